//! What the programs of a plan do, found by running them: which devices a device program allows, and what a seccomp
//! filter returns for each system call.

use std::collections::{BTreeMap, BTreeSet};

use mote::seccomp::{ALLOW, ARCHS, Arch, ERRNO, KILL_PROCESS, KILL_THREAD, LOG, NOTIFY, Program, TRACE, TRAP};

use crate::machine::{Request, check, run};
use crate::names::{FILTER_FLAGS, bits, errno};
use crate::text::Entry;

/// A device program, from what its type prints: `asked for: [b7, 95]`. For each device that the program tells apart,
/// the accesses that are allowed; `*` is any other number.
pub fn devices(path: &str, debug: &str) -> Entry {
    let (asked, program) = debug.split_once(": [").unwrap_or_else(|| panic!("no program: {debug}"));
    let program = program.trim_end_matches(']').split(", ").map(|word| u64::from_str_radix(word, 16).unwrap());
    let program: Vec<u64> = program.collect();
    check(&program);
    let mut items = vec![format!("{} instructions", program.len()), asked.to_owned()];
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

/// The constants that a program compares a register with, after `None`.
fn constants(program: &[u64], register: u8) -> BTreeSet<Number> {
    let compared = program.iter().filter_map(|instruction| {
        let [opcode, registers, _, _, value @ ..] = instruction.to_ne_bytes();
        let to = if cfg!(target_endian = "big") { registers >> 4 } else { registers & 15 };
        (matches!(opcode, 0x15 | 0x55) && to == register).then(|| Some(u32::from_ne_bytes(value)))
    });
    compared.chain([None]).collect()
}

/// The pairs of numbers whose access does not follow from a pair with `*` that is printed.
fn distinct(
    majors: &BTreeSet<Number>,
    minors: &BTreeSet<Number>,
    access: impl Fn(&Number, &Number) -> String,
) -> Vec<(Number, Number, String)> {
    let mut list = vec![(None, None, access(&None, &None))];
    for minor in minors.iter().filter(|minor| minor.is_some()) {
        if access(&None, minor) != access(&None, &None) {
            list.push((None, *minor, access(&None, minor)));
        }
    }
    for major in majors.iter().filter(|major| major.is_some()) {
        let whole = access(major, &None);
        if whole != access(&None, &None) {
            list.push((*major, None, whole.clone()));
        }
        for minor in minors.iter().filter(|minor| minor.is_some()) {
            let own = access(major, minor);
            // Of two patterns that fit, neither is the narrower one: say it again.
            if own != whole || own != access(&None, minor) && access(&None, minor) != access(&None, &None) {
                list.push((*major, *minor, own));
            }
        }
    }
    list
}

/// A seccomp filter. Of the action of most calls only the number of calls is printed: it is that of all others.
pub fn filter(path: &str, program: &Program<'_>) -> Vec<Entry> {
    let arch = Arch::native();
    let names = calls(arch);
    let mut actions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut conditional = Vec::new();
    for (name, number) in &names {
        let ways = ways(&program.instructions, arch.audit, *number);
        match &ways[..] {
            [(_, verdict)] => actions.entry(action(*verdict)).or_default().push((*name).to_owned()),
            ways => conditional.push(format!("{name}: {}", by_arguments(ways))),
        }
    }
    let most = actions.iter().max_by_key(|(_, names)| names.len()).map(|(action, _)| action.clone());
    let at = |name: &str| format!("{path}.{name}");
    let flags = bits(program.flags.into(), FILTER_FLAGS);
    let mut out = vec![Entry::list(path, vec![format!("{} instructions", program.instructions.len())])];
    out.push(Entry::flags(&at("flags"), flags));
    out.push(Entry::list(&at("architectures"), architectures(program)));
    for (action, names) in actions {
        let all_others = Some(&action) == most.as_ref();
        out.push(match all_others {
            true => Entry::one(&at(&action), "all other system calls".into()),
            false => Entry::flags(&at(&action), names),
        });
    }
    out.push(Entry::list(&at("by arguments"), conditional));
    let newer = ways(&program.instructions, arch.audit, 5000);
    out.push(Entry::one(&at("unknown numbers"), newer.iter().map(|(_, verdict)| action(*verdict)).collect()));
    let unknown = program.unknown.iter().map(|name| name.escape_ascii().to_string());
    out.push(Entry::list(&at("unknown names"), unknown.collect()));
    if program.ordinary {
        out.push(Entry::one(&at("ordinary"), "true".into()));
    }
    out.retain(|entry| !entry.value().is_empty());
    out
}

/// Those whose calls are told apart; x32 has the number of x86_64 with a bit more.
fn architectures(program: &Program<'_>) -> Vec<String> {
    let verdicts = |audit, number| -> Vec<u32> {
        let ways = ways(&program.instructions, audit, number);
        ways.into_iter().map(|(_, verdict)| verdict).collect()
    };
    let sees = |audit| (0..500).any(|number| verdicts(audit, number) != verdicts(0, number));
    let mut audits = Vec::new();
    let mut list = Vec::new();
    for arch in ARCHS.iter().filter(|arch| sees(arch.audit)) {
        if !audits.contains(&arch.audit) {
            audits.push(arch.audit);
            let allowed = (0..512).filter(|number| verdicts(arch.audit, *number) == [ALLOW]).count();
            list.push(format!("{} (ALLOW: {allowed} numbers)", arch.name));
        }
    }
    let x32 = (0..512).filter(|number| verdicts(0xc000_003e, number | 0x4000_0000) == [ALLOW]).count();
    if x32 > 0 {
        list.push(format!("X32 (ALLOW: {x32} numbers)"));
    }
    list
}

/// `ERRNO(EPERM)`
fn action(verdict: u32) -> String {
    let number = verdict & 0xffff;
    match verdict & 0xffff_0000 {
        ALLOW => "ALLOW".into(),
        ERRNO => format!("ERRNO({})", errno(number)),
        KILL_PROCESS => "KILL_PROCESS".into(),
        KILL_THREAD => "KILL_THREAD".into(),
        LOG => "LOG".into(),
        NOTIFY => "NOTIFY".into(),
        TRACE => format!("TRACE({number})"),
        TRAP => "TRAP".into(),
        _ => format!("{verdict:#x}"),
    }
}

/// The system calls of an architecture, out of the rows of the table.
fn calls(arch: &Arch) -> Vec<(&'static str, u32)> {
    let column = match arch.name {
        "X86_64" => 0,
        "AARCH64" => 4,
        other => panic!("the column of {other} is not known here"),
    };
    let row = |line: &'static str| {
        let (kind, rest) = line.trim().split_once("(\"")?;
        let (name, cells) = rest.split_once("\", ")?;
        let mut cells = cells.trim_matches(['[', ']', ')', ',', ' ']).split(',');
        let cell = cells.nth(if kind == "all" { 0 } else { column })?;
        Some((name, cell.trim().parse().ok()?))
    };
    include_str!("../../src/seccomp/table.rs").lines().filter_map(row).collect()
}

/// What the accumulator holds: a constant, or half of an argument and the mask that it was reduced by.
#[derive(Clone, Debug, PartialEq)]
enum Held {
    Number(u32),
    Argument(String, u32),
}

/// A condition on an argument, and whether it is met.
type Condition = (String, bool);

/// The ways through a program for a call whose arguments may be anything: conditions on the arguments, and what is
/// returned. Ways to the same result without conditions are one.
fn ways(program: &[u64], audit: u32, number: u32) -> Vec<(Vec<Condition>, u32)> {
    let mut ways = Vec::new();
    walk(program, (audit, number), (0, Held::Number(0)), &mut Vec::new(), &mut ways);
    match ways.iter().all(|(_, verdict)| *verdict == ways[0].1) {
        true => vec![(Vec::new(), ways[0].1)],
        false => ways,
    }
}

fn walk(
    program: &[u64],
    call: (u32, u32),
    (mut at, mut held): (usize, Held),
    conditions: &mut Vec<Condition>,
    ways: &mut Vec<(Vec<Condition>, u32)>,
) {
    loop {
        let [c0, c1, yes, no, v0, v1, v2, v3] = program[at].to_ne_bytes();
        let (code, value) = (u16::from_ne_bytes([c0, c1]), u32::from_ne_bytes([v0, v1, v2, v3]));
        at += 1;
        let (yes, no) = (at + usize::from(yes), at + usize::from(no));
        match (code, &held) {
            (0x06, _) => return ways.push((conditions.clone(), value)),
            (0x05, _) => at += value as usize,
            (0x20, _) => held = load(call, value),
            (0x54, Held::Number(number)) => held = Held::Number(number & value),
            (0x54, Held::Argument(name, mask)) => held = Held::Argument(name.clone(), mask & value),
            (0x15 | 0x25 | 0x35 | 0x45, Held::Number(number)) => {
                at = if compare(code, *number, value) { yes } else { no };
            }
            (0x15 | 0x25 | 0x35 | 0x45, Held::Argument(name, mask)) => {
                let text = condition(code, name, *mask, value);
                for (met, next) in [(true, yes), (false, no)] {
                    conditions.push((text.clone(), met));
                    walk(program, call, (next, held.clone()), conditions, ways);
                    conditions.pop();
                }
                return;
            }
            _ => panic!("an instruction {code:#x}"),
        }
    }
}

/// Of `struct seccomp_data`: the number, the architecture, or half of an argument.
fn load((audit, number): (u32, u32), offset: u32) -> Held {
    match offset {
        0 => Held::Number(number),
        4 => Held::Number(audit),
        _ => {
            let second = offset % 8 == 4;
            let half = if second == cfg!(target_endian = "little") { "high" } else { "low" };
            Held::Argument(format!("arg{}.{half}", (offset - 16) / 8), u32::MAX)
        }
    }
}

fn compare(code: u16, number: u32, value: u32) -> bool {
    match code {
        0x15 => number == value,
        0x25 => number > value,
        0x35 => number >= value,
        _ => number & value != 0,
    }
}

fn condition(code: u16, name: &str, mask: u32, value: u32) -> String {
    let name = if mask == u32::MAX { name.to_owned() } else { format!("{name} & {mask:#x}") };
    match code {
        0x15 => format!("{name} = {value:#x}"),
        0x25 => format!("{name} > {value:#x}"),
        0x35 => format!("{name} >= {value:#x}"),
        _ => format!("{name} has {value:#x}"),
    }
}

/// `ALLOW if arg0.low = 0x8, else ERRNO(EPERM)`: the way on which no condition is met is the last.
fn by_arguments(ways: &[(Vec<Condition>, u32)]) -> String {
    let is_last = |(conditions, _): &&(Vec<Condition>, u32)| conditions.iter().all(|(_, met)| !met);
    let last = ways.iter().find(is_last).map(|(_, verdict)| *verdict);
    let mut text: Vec<String> = Vec::new();
    for (conditions, verdict) in ways.iter().filter(|(_, verdict)| Some(*verdict) != last) {
        // Of an argument that is equal to something it is known that it is nothing else.
        let equal = |text: &str| {
            let (name, _) = text.split_once(" = ")?;
            Some(name.to_owned())
        };
        let known: Vec<String> =
            conditions.iter().filter(|(_, met)| *met).filter_map(|(text, _)| equal(text)).collect();
        let told = conditions.iter().filter(|(text, met)| *met || !equal(text).is_some_and(|n| known.contains(&n)));
        let told: Vec<String> =
            told.map(|(text, met)| if *met { text.clone() } else { format!("not {text}") }).collect();
        text.push(format!("{} if {}", action(*verdict), told.join(" and ")));
    }
    text.extend(last.map(|verdict| format!("else {}", action(verdict))));
    text.join("; ")
}
