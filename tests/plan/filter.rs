//! The result of a seccomp filter for each system call, determined by following all paths through its program.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use mote::internal::seccomp::{
    ALLOW, ARCHS, Arch, ERRNO, Filter, KILL_PROCESS, KILL_THREAD, LOG, NOTIFY, TRACE, TRAP,
};

use crate::names::{self, FILTER_FLAGS, bits, errno};
use crate::rows::{column, rows};
use crate::text::Entry;

/// The result of a filter for each system call of this architecture, and for other architectures the number of calls
/// that it allows.
pub fn filter(path: &str, program: &Filter<'_>) -> Vec<Entry> {
    let at = |name: &str| format!("{path}.{name}");
    let mut out = vec![Entry::one(path, format!("{} instructions", program.instructions.len()))];
    out.push(Entry::flags(&at("flags"), bits(program.flags.into(), FILTER_FLAGS)));
    // Many configurations have the same profile.
    static KNOWN: Mutex<Option<HashMap<Vec<u64>, Vec<Entry>>>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap();
    let known = known.get_or_insert_default();
    let entries = known.entry(program.instructions.clone()).or_insert_with(|| verdicts(path, program));
    out.extend_from_slice(entries);
    let unknown = program.unknown.iter().map(|name| name.escape_ascii().to_string());
    out.push(Entry::list(&at("unknown names"), unknown.collect()));
    if program.ordinary {
        out.push(Entry::one(&at("ordinary"), "true".into()));
    }
    out.retain(|entry| !entry.value().is_empty());
    out
}

/// The results of a filter. The action of most system calls is that of "all other system calls".
fn verdicts(path: &str, program: &Filter<'_>) -> Vec<Entry> {
    let arch = Arch::native();
    let mut actions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut conditional = Vec::new();
    for (name, number) in calls(arch) {
        let ways = ways(&program.instructions, arch.audit, number);
        match &ways[..] {
            [(_, verdict)] => actions.entry(action(*verdict)).or_default().push(name.to_owned()),
            ways => conditional.push(format!("{name}: {}", by_arguments(name, ways))),
        }
    }
    let most = actions.iter().max_by_key(|(_, names)| names.len()).map(|(action, _)| action.clone());
    let at = |name: &str| format!("{path}.{name}");
    let mut out = vec![Entry::list(&at("architectures"), architectures(program))];
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
    out
}

/// The architectures whose calls the filter distinguishes; x32 has the number of x86_64 with an additional bit.
fn architectures(program: &Filter<'_>) -> Vec<String> {
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

/// The system calls of an architecture.
fn calls(arch: &Arch) -> Vec<(&'static str, u32)> {
    let column = column(arch.name);
    rows().into_iter().filter_map(|(name, numbers)| Some((name, numbers[column]?))).collect()
}

/// The contents of the accumulator: a constant, or half of an argument and the mask applied to it.
#[derive(Clone, Debug, PartialEq)]
enum Held {
    Number(u32),
    Argument(String, u32),
}

/// A comparison with half of an argument, and its result.
#[derive(Clone, Debug, PartialEq)]
struct Condition {
    code: u16,
    name: String,
    mask: u32,
    value: u32,
    met: bool,
}

/// The paths through a program for a call with unknown arguments: conditions on the arguments, and the result. Paths to
/// the same result without conditions are merged.
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
                let condition = Condition { code, name: name.clone(), mask: *mask, value, met: true };
                if let Some(met) = condition.is_known(conditions) {
                    at = if met { yes } else { no };
                    continue;
                }
                for (met, next) in [(true, yes), (false, no)] {
                    conditions.push(Condition { met, ..condition.clone() });
                    walk(program, call, (next, held.clone()), conditions, ways);
                    conditions.pop();
                }
                return;
            }
            _ => panic!("an instruction {code:#x}"),
        }
    }
}

/// A member of `struct seccomp_data`: number, architecture, or half of an argument.
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

impl Condition {
    fn is_equality(&self) -> bool {
        self.code == 0x15 && self.mask == u32::MAX
    }

    /// Whether it is true, as far as other conditions imply that.
    fn is_known(&self, others: &[Condition]) -> Option<bool> {
        let same = |other: &&Condition| {
            (other.code, &other.name, other.mask, other.value)
                == (self.code, &self.name, self.mask, self.value)
        };
        let equal = |other: &&Condition| other.met && other.is_equality() && other.name == self.name;
        match others.iter().find(equal) {
            Some(other) => Some(compare(self.code, other.value & self.mask, self.value)),
            None => others.iter().find(same).map(|other| other.met),
        }
    }

    fn show(&self, call: &str) -> String {
        let Condition { code, name, mask, value, met } = self;
        let number = |value: u32| {
            let (argument, half) = name.split_once('.').unwrap_or((name, ""));
            if half == "low" { names::argument(call, argument, value.into()) } else { format!("{value:#x}") }
        };
        let name = if *mask == u32::MAX { name.clone() } else { format!("{name} & {}", number(*mask)) };
        let value = number(*value);
        match (code, met) {
            (0x15, true) => format!("{name} = {value}"),
            (0x15, false) => format!("{name} != {value}"),
            (0x25, true) => format!("{name} > {value}"),
            (0x25, false) => format!("{name} <= {value}"),
            (0x35, true) => format!("{name} >= {value}"),
            (0x35, false) => format!("{name} < {value}"),
            (_, true) => format!("{name} & {value} != 0"),
            (_, false) => format!("{name} & {value} = 0"),
        }
    }
}

/// `ALLOW if arg0 = 0x8 or arg0 = 0x0; else ERRNO(EPERM)`. `else` is the path on which no comparison is true.
fn by_arguments(call: &str, ways: &[(Vec<Condition>, u32)]) -> String {
    let last = ways.iter().find(|(conditions, _)| conditions.iter().all(|condition| !condition.met));
    let last = last.map(|(_, verdict)| *verdict);
    let mut verdicts: Vec<(u32, Vec<String>)> = Vec::new();
    for (conditions, verdict) in ways.iter().filter(|(_, verdict)| Some(*verdict) != last) {
        let text = all_of(call, conditions);
        match verdicts.iter_mut().find(|(known, _)| known == verdict) {
            Some((_, texts)) => texts.push(text),
            None => verdicts.push((*verdict, vec![text])),
        }
    }
    let verdicts = verdicts.into_iter();
    let mut text: Vec<String> =
        verdicts.map(|(verdict, texts)| format!("{} if {}", action(verdict), texts.join(" or "))).collect();
    text.extend(last.map(|verdict| format!("else {}", action(verdict))));
    text.join("; ")
}

/// The conjunction of conditions. An equality implies inequalities; the halves of an argument are merged.
fn all_of(call: &str, conditions: &[Condition]) -> String {
    let equal = |name: &str| {
        let mut met = conditions.iter().filter(|condition| condition.met && condition.is_equality());
        met.find(|condition| condition.name == name)
    };
    let texts = conditions.iter().filter(|condition| condition.met || equal(&condition.name).is_none());
    let texts = texts.filter_map(|condition| {
        let (argument, half) = condition.name.split_once('.')?;
        let other = equal(&format!("{argument}.{}", if half == "low" { "high" } else { "low" }));
        match (condition.is_equality() && condition.met, half, other) {
            (true, "low", Some(high)) => {
                let value = u64::from(high.value) << 32 | u64::from(condition.value);
                Some(format!("{argument} = {}", names::argument(call, argument, value)))
            }
            (true, "high", Some(_)) => None,
            _ => Some(condition.show(call)),
        }
    });
    texts.collect::<Vec<_>>().join(" and ")
}

#[test]
fn verdicts_of_a_filter() {
    let instruction = |(code, yes, no, value): (u16, u8, u8, u32)| {
        let ([c0, c1], [v0, v1, v2, v3]) = (code.to_ne_bytes(), value.to_ne_bytes());
        u64::from_ne_bytes([c0, c1, yes, no, v0, v1, v2, v3])
    };
    let (low, high) = if cfg!(target_endian = "little") { (16, 20) } else { (20, 16) };
    let program = [
        (0x20, 0, 0, 0),
        (0x15, 0, 5, 7),
        (0x20, 0, 0, high),
        (0x15, 0, 2, 0),
        (0x20, 0, 0, low),
        (0x15, 1, 0, 8),
        (0x06, 0, 0, ERRNO | 1),
        (0x06, 0, 0, ALLOW),
    ];
    let program: Vec<u64> = program.into_iter().map(instruction).collect();
    let text = by_arguments("any", &ways(&program, 0, 7));
    assert_eq!(text, "ALLOW if arg0 = 0x8; else ERRNO(EPERM)");
    assert_eq!(ways(&program, 0, 8), [(Vec::new(), ALLOW)]);
}
