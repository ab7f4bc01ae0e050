//! The devices that a device program allows, determined by running it.

use std::collections::BTreeSet;

use crate::interpreter::{Request, check, run};
use crate::text::Entry;

/// The result of a device program, from its debug text `TITLE: [b7, 95]`: for each device that the program
/// distinguishes, the accesses that are allowed; `*` is any other number.
pub fn devices(path: &str, debug: &str) -> Entry {
    let (title, program) = debug.split_once(": [").unwrap_or_else(|| panic!("no program: {debug}"));
    let program =
        program.trim_end_matches(']').split(", ").map(|word| u64::from_str_radix(word, 16).unwrap());
    let program: Vec<u64> = program.collect();
    check(&program);
    let mut items = vec![format!("{} instructions", program.len()), title.to_owned()];
    for (kind, letter) in [(2, 'c'), (1, 'b')] {
        let access = |major: &Number, minor: &Number| -> String {
            let number = |number: &Number| number.unwrap_or(ANY);
            let request = |access| Request { kind, access, major: number(major), minor: number(minor) };
            let allowed = [("r", 2), ("w", 4), ("m", 1)].into_iter();
            allowed.filter(|(_, bit)| run(&program, &request(*bit)) == 1).map(|(letter, _)| letter).collect()
        };
        for (major, minor, access) in distinct(&constants(&program, 4), &constants(&program, 5), access) {
            let show = |number: Number| number.map_or_else(|| "*".into(), |number| number.to_string());
            let access = if access.is_empty() { "none" } else { &access };
            items.push(format!("{letter} {}:{} {access}", show(major), show(minor)));
        }
    }
    Entry::list(path, items)
}

/// A device number; `None` is any that the program does not name.
type Number = Option<u32>;

/// No device has this number.
const ANY: u32 = u32::MAX;

/// The constants with which a program compares a register, after `None`.
fn constants(program: &[u64], register: u8) -> BTreeSet<Number> {
    let compared = program.iter().filter_map(|instruction| {
        let [opcode, registers, _, _, value @ ..] = instruction.to_ne_bytes();
        let to = if cfg!(target_endian = "big") { registers >> 4 } else { registers & 15 };
        (matches!(opcode, 0x15 | 0x55) && to == register).then(|| Some(u32::from_ne_bytes(value)))
    });
    compared.chain([None]).collect()
}

/// The pairs of numbers whose access differs from that of a pair with `*`.
fn distinct(
    majors: &BTreeSet<Number>,
    minors: &BTreeSet<Number>,
    access: impl Fn(&Number, &Number) -> String,
) -> Vec<(Number, Number, String)> {
    let any = access(&None, &None);
    let mut list = Vec::new();
    for major in majors {
        let whole = access(major, &None);
        if major.is_none() || whole != any {
            list.push((*major, None, whole.clone()));
        }
        for minor in minors.iter().filter(|minor| minor.is_some()) {
            let (own, everywhere) = (access(major, minor), access(&None, minor));
            let follows = match (whole != any, everywhere != any) {
                (false, true) => major.is_some() && own == everywhere,
                (_, false) => own == whole,
                // Neither pattern is more specific.
                (true, true) => false,
            };
            if !follows {
                list.push((*major, *minor, own));
            }
        }
    }
    list
}

#[test]
fn devices_of_a_program() {
    let rule = |allow, kind: char, major, minor, access| {
        let kind = u8::try_from(kind).unwrap();
        mote::internal::config::device::DeviceRule { allow, kind, major, minor, access }
    };
    let rules = [
        rule(false, 'a', None, None, 7),
        rule(true, 'c', Some(10), Some(229), 3),
        rule(true, 'b', None, Some(5), 1),
        rule(false, 'b', Some(7), Some(5), 1),
    ];
    let program = mote::internal::cgroup::devices::program::assemble(&rules).unwrap();
    let mut items = devices("devices", &format!("configured: {program:x?}")).items;
    // Every container may create nodes, and open its default devices.
    items.retain(|item| item.contains("10:229") || item.starts_with('b'));
    assert_eq!(items, ["c 10:229 rwm", "b *:* m", "b *:5 rm", "b 7:5 m"]);
}
