//! Conditions on arguments: the order of the rules for a call, and the tests of one rule.
//!
//! All conditions of a rule must hold. If several rules match a call, the first one decides. Their order is the one in
//! which libseccomp traverses its tree. Rules are compared by their first condition:
//!
//! 1. the index of the argument, the highest first;
//! 2. the operator: `==`, `!=` and masks, then `<` and `<=`, then `>` and `>=`;
//! 3. the value: for `<` and `<=` the smallest first, for the other operators the greatest.
//!
//! Rules with the same first condition are compared by their next one, and so on. Rules that this does not order, such
//! as those with different masks, are tested in the order of the profile.

use alloc::vec::Vec;
use core::cmp::Ordering;

use super::arch::Arch;
use super::bpf::{Graph, Id, KnownWords, Op, Test};

/// `SCMP_CMP_*`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A comparison of the bits of one argument that are in `mask`; these are all bits except for `SCMP_CMP_MASKED_EQ`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Condition {
    pub index: u8,
    pub compare: Compare,
    pub mask: u64,
    pub value: u64,
}

/// The conditions of a rule, by argument; unused elements are [`Condition::NONE`].
pub(super) type Conditions = [Condition; 6];

/// One of the rules for a call.
#[derive(Clone, Copy)]
pub(super) struct Alternative {
    pub conditions: Conditions,
    pub verdict: Id,
}

impl Condition {
    /// A condition that always holds.
    pub(super) const NONE: Condition = Condition { index: 0, compare: Compare::Equal, mask: 0, value: 0 };

    /// The condition on a 32-bit architecture, where only the lower half of an argument is compared.
    pub(super) fn narrow(self) -> Self {
        let half = u64::from(u32::MAX);
        Condition { mask: self.mask & half, value: self.value & half, ..self }
    }

    /// Whether the condition holds for an argument.
    pub(super) fn holds(&self, argument: u64) -> bool {
        let (argument, value) = (argument & self.mask, self.value);
        match self.compare {
            Compare::Equal => argument == value,
            Compare::NotEqual => argument != value,
            Compare::Less => argument < value,
            Compare::LessOrEqual => argument <= value,
            Compare::Greater => argument > value,
            Compare::GreaterOrEqual => argument >= value,
        }
    }

    fn is_none(&self) -> bool {
        self.mask == 0
    }

    fn rank(&self) -> u8 {
        match self.compare {
            Compare::Equal | Compare::NotEqual => 0,
            Compare::Less | Compare::LessOrEqual => 1,
            Compare::Greater | Compare::GreaterOrEqual => 2,
        }
    }

    /// The order in which two conditions are tested. `Equal` does not mean that the conditions are the same.
    fn order(&self, other: &Self) -> Ordering {
        // As in libseccomp, upper halves are compared first, and lower halves only if the masks of the upper are the
        // same.
        let masks = (self.mask >> 32, other.mask >> 32);
        let all_bits = self.mask == u64::MAX && other.mask == u64::MAX;
        let low = if all_bits || masks.0 == masks.1 { 0 } else { 32 };
        let (one, other_one) = (self.value >> low, other.value >> low);
        let values = match self.rank() {
            1 => one.cmp(&other_one),
            _ => other_one.cmp(&one),
        };
        other.index.cmp(&self.index).then(self.rank().cmp(&other.rank())).then(values)
    }
}

/// Inserts a rule at its place among those that precede it in the profile.
pub(super) fn insert(alternatives: &mut Vec<Alternative>, new: Alternative) {
    let mut most = 0;
    let place = alternatives.iter().position(|there| {
        let pairs = || new.conditions.iter().zip(&there.conditions);
        let shared = pairs().take_while(|(one, other)| one == other && !one.is_none()).count();
        // Rules that begin with the same conditions stay together.
        if shared < most {
            return true;
        }
        most = shared;
        let mut apart =
            pairs().skip(shared).take(1).filter(|(one, other)| !one.is_none() && !other.is_none());
        apart.any(|(one, other)| one.order(other) == Ordering::Less)
    });
    alternatives.insert(place.unwrap_or(alternatives.len()), new);
}

/// Moves conditions to the front, and removes those that always hold.
pub(super) fn pack(conditions: &mut Conditions) {
    let mut packed = [Condition::NONE; 6];
    let there = conditions.iter().filter(|condition| !condition.is_none());
    for (place, condition) in packed.iter_mut().zip(there) {
        *place = *condition;
    }
    *conditions = packed;
}

/// Adds the tests of one rule, which lead to its verdict if all conditions hold, else to `no`.
pub(super) fn chain(graph: &mut Graph, arch: &Arch, rule: &Alternative, no: Id) -> Id {
    let mut next = rule.verdict;
    for (count, condition) in rule.conditions.iter().enumerate().rev().filter(|(_, c)| !c.is_none()) {
        // The words whose values are known when this condition is tested, because the conditions before it hold.
        let mut known = KnownWords::default();
        for held in rule.conditions.iter().take(count).filter(|held| held.is_exact(arch)) {
            let (low, high) = arch.halves(held.index);
            know(&mut known, low, held.value as u32);
            if arch.is_wide() {
                know(&mut known, high, (held.value >> 32) as u32);
            }
        }
        next = condition.tests(graph, arch, &known, next, no);
    }
    next
}

fn know(known: &mut KnownWords, word: u8, value: u32) {
    if let Some(place) = known.get_mut(usize::from(word / 4)) {
        *place = Some(value);
    }
}

impl Condition {
    /// Whether the condition holds for a single value only.
    fn is_exact(&self, arch: &Arch) -> bool {
        let all = if arch.is_wide() { u64::MAX } else { u64::from(u32::MAX) };
        self.compare == Compare::Equal && self.mask == all
    }

    /// Adds the tests of the one or two words of the argument.
    fn tests(&self, graph: &mut Graph, arch: &Arch, known: &KnownWords, yes: Id, no: Id) -> Id {
        let (low, high) = arch.halves(self.index);
        let (below, above) = (self.value as u32, (self.value >> 32) as u32);
        // A comparison and its negation are the same test with exchanged branches.
        let (op, yes, no) = match self.compare {
            Compare::Equal => return self.equal(graph, arch, known, yes, no),
            Compare::NotEqual => return self.equal(graph, arch, known, no, yes),
            Compare::Greater => (Op::Greater, yes, no),
            Compare::LessOrEqual => (Op::Greater, no, yes),
            Compare::GreaterOrEqual => (Op::GreaterOrEqual, yes, no),
            Compare::Less => (Op::GreaterOrEqual, no, yes),
        };
        if !arch.is_wide() {
            return graph.test(Test::new(low, op, below), known, yes, no);
        }
        let mut inside = *known;
        know(&mut inside, high, above);
        let lower = graph.test(Test::new(low, op, below), &inside, yes, no);
        let same = graph.test(Test::new(high, Op::Equal, above), known, lower, no);
        graph.test(Test::new(high, Op::Greater, above), known, yes, same)
    }

    fn equal(&self, graph: &mut Graph, arch: &Arch, known: &KnownWords, yes: Id, no: Id) -> Id {
        let (low, high) = arch.halves(self.index);
        let (mask, value) = (self.mask, self.value);
        let mut inside = *known;
        if arch.is_wide() && (mask >> 32) as u32 == u32::MAX {
            know(&mut inside, high, (value >> 32) as u32);
        }
        let lower = word_equal(graph, &inside, (low, mask as u32, value as u32), yes, no);
        match arch.is_wide() {
            true => word_equal(graph, known, (high, (mask >> 32) as u32, (value >> 32) as u32), lower, no),
            false => lower,
        }
    }
}

/// Adds a test for the masked bits of a word. Where possible it is BPF_JSET, which does not change the accumulator,
/// so that the next test need not load the word again.
fn word_equal(
    graph: &mut Graph,
    known: &KnownWords,
    (word, mask, value): (u8, u32, u32),
    yes: Id,
    no: Id,
) -> Id {
    let any = Test::new(word, Op::AnyBit, mask);
    match mask {
        0 => yes,
        u32::MAX => graph.test(Test::new(word, Op::Equal, value), known, yes, no),
        _ if value == 0 => graph.test(any, known, no, yes),
        _ if value == mask && mask.is_power_of_two() => graph.test(any, known, yes, no),
        _ => graph.test(Test { word, op: Op::Equal, mask, value }, known, yes, no),
    }
}
