//! Comparisons of arguments in all 64 bits; on CPUs of 32 bits of the lower half, as libseccomp does. munlockall(2)
//! ignores its arguments, and no runtime calls it.

use super::profile;
use crate::check::Outcome;
use crate::json;
use crate::json::Json;
use crate::rig::Rig;
use crate::tests;

tests![
    "filter",
    equal,
    not_equal,
    less,
    less_or_equal,
    greater,
    greater_or_equal,
    masked,
    all_conditions_of_a_rule,
    any_of_several_rules,
    two_conditions_for_one_argument,
    every_argument,
];

/// More than 32 bits, so that both halves matter.
const VALUE: i64 = 0x5_0000_0007;

/// Whether the upper halves of arguments and values do not matter.
const IS_NARROW: bool = cfg!(target_pointer_width = "32");

fn compared(index: i64, op: &str, value: i64, second: i64) -> Json {
    json!({"index": index, "op": op, "value": value, "valueTwo": second})
}

fn rule(arguments: Vec<Json>) -> Json {
    json!({"names": ["munlockall"], "action": "SCMP_ACT_ERRNO", "args": (Json::List(arguments))})
}

/// Makes calls with these arguments, and checks whether each is denied.
fn calls_denied(rig: &Rig, rules: Vec<Json>, calls: &[(&[i64], bool)]) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.seccomp", profile(rules));
    let word = |arguments: &[i64]| {
        arguments.iter().fold("munlockall".to_string(), |word, argument| format!("{word} {argument}"))
    };
    let words: Vec<String> = calls.iter().map(|(arguments, _)| word(arguments)).collect();
    let verbs: Vec<&str> = words.iter().flat_map(|word| ["syscall", word.as_str()]).collect();
    let inside = rig.report(&mut bundle, &verbs)?;
    for (word, (_, is_denied)) in words.iter().zip(calls) {
        inside.is(&format!("syscall:{word}"), if *is_denied { "!EPERM" } else { "0" })?;
    }
    Ok(())
}

/// The part of an argument or a value that is compared.
fn part(number: i64) -> u64 {
    number.cast_unsigned() & usize::MAX as u64
}

/// Checks an operator with arguments below, at and above the value, including those where a comparison of only one half
/// would give another result.
fn operator(rig: &Rig, op: &str, holds: fn(u64, u64) -> bool) -> Outcome {
    const NEAR: [i64; 9] = [
        0,
        7,
        VALUE - 1,
        VALUE,
        VALUE + 1,
        VALUE - (1 << 32) + 1,
        VALUE + (1 << 32) - 1,
        VALUE ^ 1 << 32,
        -1,
    ];
    let arguments = NEAR.map(|value| [9, value]);
    let calls: Vec<(&[i64], bool)> = arguments
        .iter()
        .zip(NEAR)
        .map(|(list, value)| (list.as_slice(), holds(part(value), part(VALUE))))
        .collect();
    calls_denied(rig, vec![rule(vec![compared(1, op, VALUE, 0)])], &calls)
}

fn equal(rig: &mut Rig) -> Outcome {
    operator(rig, "SCMP_CMP_EQ", |given, value| given == value)
}

fn not_equal(rig: &mut Rig) -> Outcome {
    operator(rig, "SCMP_CMP_NE", |given, value| given != value)
}

fn less(rig: &mut Rig) -> Outcome {
    operator(rig, "SCMP_CMP_LT", |given, value| given < value)
}

fn less_or_equal(rig: &mut Rig) -> Outcome {
    operator(rig, "SCMP_CMP_LE", |given, value| given <= value)
}

fn greater(rig: &mut Rig) -> Outcome {
    operator(rig, "SCMP_CMP_GT", |given, value| given > value)
}

fn greater_or_equal(rig: &mut Rig) -> Outcome {
    operator(rig, "SCMP_CMP_GE", |given, value| given >= value)
}

/// `value` is the mask; the bits in it, of both halves, must equal those of `valueTwo`.
fn masked(rig: &mut Rig) -> Outcome {
    let (mask, value) = (0x3_0000_00f0, 0x2_0000_0050);
    let calls: &[(&[i64], bool)] = &[
        (&[0x2_0000_0050], true),
        (&[0x7e_0000_0f5a], true),
        (&[0x3_0000_0050], IS_NARROW),
        (&[0x2_0000_0040], false),
        (&[0x50], IS_NARROW),
    ];
    calls_denied(rig, vec![rule(vec![compared(0, "SCMP_CMP_MASKED_EQ", mask, value)])], calls)
}

fn all_conditions_of_a_rule(rig: &mut Rig) -> Outcome {
    let both = vec![compared(0, "SCMP_CMP_EQ", 1, 0), compared(5, "SCMP_CMP_GT", 1, 0)];
    let calls: &[(&[i64], bool)] =
        &[(&[1, 0, 0, 0, 0, 2], true), (&[1, 0, 0, 0, 0, 1], false), (&[2, 0, 0, 0, 0, 2], false)];
    calls_denied(rig, vec![rule(both)], calls)
}

fn any_of_several_rules(rig: &mut Rig) -> Outcome {
    let rules = [1, 3, 5].map(|value| rule(vec![compared(0, "SCMP_CMP_EQ", value, 0)]));
    let calls: &[(&[i64], bool)] =
        &[(&[0], false), (&[1], true), (&[2], false), (&[3], true), (&[4], false), (&[5], true)];
    calls_denied(rig, rules.to_vec(), calls)
}

/// As in runc and crun: one of the two conditions is sufficient.
fn two_conditions_for_one_argument(rig: &mut Rig) -> Outcome {
    let twice = vec![compared(0, "SCMP_CMP_EQ", 1, 0), compared(0, "SCMP_CMP_EQ", 3, 0)];
    let calls: &[(&[i64], bool)] = &[(&[1], true), (&[2], false), (&[3], true)];
    calls_denied(rig, vec![rule(twice)], calls)
}

fn every_argument(rig: &mut Rig) -> Outcome {
    let all = (0..6).map(|index| compared(index, "SCMP_CMP_EQ", VALUE + index, 0)).collect();
    let right = [0, 1, 2, 3, 4, 5].map(|index| VALUE + index);
    let mut wrong = [right; 6];
    for (index, list) in wrong.iter_mut().enumerate() {
        if let Some(argument) = list.get_mut(index) {
            *argument ^= 1 << 40;
        }
    }
    let wrong = wrong.iter().map(|list| (list.as_slice(), IS_NARROW));
    let calls: Vec<(&[i64], bool)> = wrong.chain([(right.as_slice(), true)]).collect();
    calls_denied(rig, vec![rule(all)], &calls)
}
