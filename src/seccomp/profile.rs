//! The second stage: converts rules, which contain names, to runs of syscall numbers with their verdicts, for each
//! architecture.

use alloc::vec;
use alloc::vec::Vec;

use super::arch::{Arch, X32};
use super::args::{self, Alternative, Compare, Condition, Conditions};
use super::bpf::{self, ARCH, Graph, Id, Op};
use super::filter::{ERRNO, KILL_THREAD};
use super::names::{self, Carrier, Name, SLOTS};
use super::tree::{self, Run};

/// SCMP_ACT_ERRNO with ENOSYS.
const NO_SUCH_CALL: u32 = ERRNO | 38;

/// A rule of the profile, decoded.
pub(super) struct Rule {
    pub action: u32,
    /// Whether the rule is ignored because its action is the default one. The calls that it names are still known to
    /// the profile, and so are not newer than it (see [`Profile::newer_fail`]).
    pub idle: bool,
    pub conditions: Vec<Condition>,
    /// Whether it suffices that one of the conditions holds, because an argument is compared twice; else all must.
    pub any: bool,
}

/// A profile, decoded.
pub(super) struct Profile {
    pub default: u32,
    /// Whether calls newer than the profile fail with ENOSYS, so that callers fall back to older ones.
    pub newer_fail: bool,
    pub rules: Vec<Rule>,
    /// All names, in the order of the profile, with the index of the rule.
    pub names: Vec<(Name, u32)>,
    /// The native one first.
    pub archs: Vec<&'static Arch>,
}

/// An element of the linked list of rules with conditions for a call.
#[derive(Clone, Copy)]
struct RuleEntry {
    /// The index of the rule.
    rule: u32,
    /// The value of the first argument, if the call is a multiplexer, and the rule is for one of its operations.
    part: Option<u8>,
    /// The next element of the same list, counted from 1; 0 at the end.
    next: u32,
}

/// The rules for each call of one architecture. The memory is reused for the next architecture.
struct Calls {
    /// For each slot: [`DECIDED`] with a verdict; or the first element of its list, counted from 1; or 0 without rules.
    slots: Vec<u32>,
    entries: Vec<RuleEntry>,
    /// One above the last slot that the profile names.
    end: usize,
}

/// A rule without conditions decides the call, so all others are ignored.
const DECIDED: u32 = 1 << 31;

/// The effect of a rule on its calls.
#[derive(Clone, Copy)]
enum Effect {
    /// None, because the action is the default one.
    Nothing,
    Verdict(Id),
    /// It depends on the arguments.
    Depends,
}

impl Profile {
    /// Builds the complete graph, and returns its root.
    pub(super) fn graph(&self, graph: &mut Graph) -> Id {
        let verdicts: Vec<Id> = self.rules.iter().map(|rule| graph.verdict(rule.action)).collect();
        let mut next = graph.verdict(KILL_THREAD);
        let mut calls = Calls::new(self);
        for (index, arch) in self.archs.iter().enumerate().rev() {
            // x32 is handled together with x86_64, which has the same `audit`.
            if self.archs.iter().take(index).any(|before| before.audit == arch.audit) {
                continue;
            }
            let runs = self.runs(graph, &verdicts, arch, &mut calls);
            let folded = tree::fold(graph, &runs);
            let numbers = tree::tree(graph, &folded);
            next = graph.branch(ARCH, Op::Equal, arch.audit, numbers, next);
        }
        next
    }

    /// The verdicts for all numbers of an architecture.
    fn runs(&self, graph: &mut Graph, verdicts: &[Id], arch: &Arch, calls: &mut Calls) -> Vec<Run> {
        let mut runs = Vec::with_capacity(self.names.len());
        for half in [0, X32] {
            let mut of_both = self.archs.iter().filter(|other| other.audit == arch.audit);
            if let Some(arch) = of_both.find(|arch| arch.base & X32 == half) {
                calls.sort(self, arch, verdicts);
                calls.runs(self, arch, graph, verdicts, &mut runs);
            } else if arch.has_x32() {
                tree::push(&mut runs, (half, graph.verdict(KILL_THREAD)));
                // A tracer sets the number to -1 to skip a call, after which the kernel runs the filter again.
                if half == X32 {
                    tree::push(&mut runs, (u32::MAX, graph.verdict(self.default)));
                }
            }
        }
        runs
    }
}

impl Calls {
    fn new(profile: &Profile) -> Self {
        Calls { slots: vec![0; SLOTS], entries: Vec::with_capacity(profile.names.len()), end: 0 }
    }

    /// Assigns the rules to the slots of an architecture.
    fn sort(&mut self, profile: &Profile, arch: &Arch, verdicts: &[Id]) {
        self.entries.clear();
        self.slots.iter_mut().take(self.end).for_each(|slot| *slot = 0);
        self.end = 0;
        let effects = profile.rules.iter().zip(verdicts);
        let effects: Vec<Effect> = effects.map(|(rule, verdict)| rule.effect(arch, *verdict)).collect();
        let (socketcall, ipc) = (arch.slot("socketcall"), arch.slot("ipc"));
        // In reverse order, since each rule is inserted at the front of the list of its call.
        for &(name, rule) in profile.names.iter().rev() {
            let Some(&effect) = effects.get(rule as usize) else { continue };
            if let Some(slot) = name.slot(arch.column) {
                self.add(slot, rule, effect, None);
            }
            let effect = if matches!(effect, Effect::Nothing) { effect } else { Effect::Depends };
            match (name.carrier(), socketcall, ipc) {
                (Some(Carrier::Socketcall(part)), Some(slot), _) => self.add(slot, rule, effect, Some(part)),
                (Some(Carrier::Ipc(part)), _, Some(slot)) => self.add(slot, rule, effect, Some(part)),
                _ => {}
            }
        }
    }

    #[inline(always)]
    fn add(&mut self, slot: usize, rule: u32, effect: Effect, part: Option<u8>) {
        self.end = self.end.max(slot + 1);
        let Some(state) = self.slots.get_mut(slot) else { return };
        match effect {
            Effect::Verdict(verdict) => *state = DECIDED | verdict,
            Effect::Depends if *state & DECIDED == 0 => {
                self.entries.push(RuleEntry { rule, part, next: *state });
                *state = self.entries.len() as u32;
            }
            _ => {}
        }
    }

    /// Appends the verdicts for all numbers of the architecture to `runs`.
    fn runs(&self, profile: &Profile, arch: &Arch, graph: &mut Graph, verdicts: &[Id], runs: &mut Vec<Run>) {
        let default = graph.verdict(profile.default);
        let newer_fail = profile.newer_fail && self.end > 1;
        let base = arch.base;
        tree::push(runs, (base & X32, default));
        if newer_fail && arch.is_s390() {
            tree::push(runs, (0, graph.verdict(NO_SUCH_CALL)));
            tree::push(runs, (1, default));
        }
        let mut alternatives = Vec::new();
        let (mut behind, mut before) = (base, 0);
        for (slot, &state) in self.slots.iter().take(self.end).enumerate().filter(|(_, state)| **state != 0) {
            let number = names::number(slot) + base;
            // Most calls have the same verdict as the preceding number.
            if number == behind && state == before {
                behind += 1;
                continue;
            }
            before = state;
            let verdict = if state & DECIDED != 0 {
                state & !DECIDED
            } else {
                alternatives.clear();
                self.gather(profile, arch, graph, verdicts, state, &mut alternatives);
                let rules = alternatives.iter().rev();
                rules.fold(default, |no, rule| args::chain(graph, arch, rule, no))
            };
            if number != behind {
                tree::push(runs, (behind, default));
            }
            tree::push(runs, (number, verdict));
            behind = number + 1;
        }
        tree::push(runs, (behind, default));
        if newer_fail {
            tree::push(runs, (names::number(self.end) + base, graph.verdict(NO_SUCH_CALL)));
        }
    }

    /// Collects the rules for a call whose list begins with element `at`, in the order in which they are tested.
    fn gather(
        &self,
        profile: &Profile,
        arch: &Arch,
        graph: &mut Graph,
        verdicts: &[Id],
        mut at: u32,
        alternatives: &mut Vec<Alternative>,
    ) {
        while let Some(entry) = self.entries.get((at as usize).wrapping_sub(1)) {
            at = entry.next;
            let index = entry.rule as usize;
            let (Some(rule), Some(&verdict)) = (profile.rules.get(index), verdicts.get(index)) else {
                continue;
            };
            // One alternative with all conditions, or, if one of them suffices, one for each.
            let size = if rule.any { 1 } else { 6 };
            let mut rest = rule.conditions.as_slice();
            loop {
                if alternatives.len() >= bpf::MOST {
                    return graph.fill();
                }
                let (conditions, behind) = rest.split_at(size.min(rest.len()));
                let conditions = place(conditions, arch, entry.part);
                args::insert(alternatives, Alternative { conditions, verdict });
                rest = behind;
                if rest.is_empty() {
                    break;
                }
            }
        }
    }
}

impl Rule {
    /// Whether the rule can match a call of which only the leading `arguments` are known.
    pub(super) fn may_match(&self, arch: &Arch, arguments: &[u64]) -> bool {
        let may_hold = |condition: &Condition| {
            let condition = if arch.is_wide() { *condition } else { condition.narrow() };
            arguments.get(usize::from(condition.index)).is_none_or(|argument| condition.holds(*argument))
        };
        let mut conditions = self.conditions.iter();
        if self.any { conditions.any(may_hold) } else { conditions.all(may_hold) }
    }

    /// The effect of the rule. On a 32-bit architecture, conditions on the upper halves of arguments always hold.
    fn effect(&self, arch: &Arch, verdict: Id) -> Effect {
        let all = if arch.is_wide() { u64::MAX } else { u64::from(u32::MAX) };
        let holds = |condition: &Condition| condition.mask & all == 0;
        let mut conditions = self.conditions.iter();
        match if self.any { conditions.any(holds) } else { conditions.all(holds) } {
            _ if self.idle => Effect::Nothing,
            true => Effect::Verdict(verdict),
            false => Effect::Depends,
        }
    }
}

/// Sorts conditions by argument, and narrows them for 32-bit architectures. With `part`, the rule is for an operation
/// of a multiplexer, which is selected by the first argument; the other conditions are applied to the arguments of
/// the multiplexer itself, as in libseccomp.
fn place(given: &[Condition], arch: &Arch, part: Option<u8>) -> Conditions {
    let mut conditions = [Condition::NONE; 6];
    for condition in given {
        if let Some(place) = conditions.get_mut(usize::from(condition.index)) {
            *place = if arch.is_wide() { *condition } else { condition.narrow() };
        }
    }
    if let (Some(part), [first, ..]) = (part, &mut conditions) {
        let wide = Condition { index: 0, compare: Compare::Equal, mask: u64::MAX, value: u64::from(part) };
        *first = if arch.is_wide() { wide } else { wide.narrow() };
    }
    args::pack(&mut conditions);
    conditions
}
