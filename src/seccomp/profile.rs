//! The second stage: rules by name become, for each architecture, runs of numbers with their verdicts.

use alloc::vec;
use alloc::vec::Vec;

use super::arch::{Arch, X32};
use super::args::{self, Alternative, Compare, Condition, Conditions};
use super::bpf::{self, ARCH, Graph, Id, Op};
use super::filter::{ERRNO, KILL_THREAD};
use super::names::{self, Carrier, Name, SLOTS};
use super::tree::{self, Run};

/// With ENOSYS.
const NO_SUCH_CALL: u32 = ERRNO | 38;

/// A rule of the profile, understood.
pub(super) struct Rule {
    pub action: u32,
    /// A rule that does what would be done anyway is none; but its names are known to the profile.
    pub idle: bool,
    /// All must hold; or, where one argument is compared twice, any.
    pub conditions: Vec<Condition>,
    pub any: bool,
}

/// A profile, understood.
pub(super) struct Profile {
    pub default: u32,
    /// Whether calls newer than the profile fail with ENOSYS, so that callers fall back to older ones.
    pub newer_fail: bool,
    pub rules: Vec<Rule>,
    /// Every name, in order, with the index of its rule.
    pub names: Vec<(Name, u32)>,
    /// The machine's own first.
    pub archs: Vec<&'static Arch>,
}

/// A rule about a call that depends on its arguments; the next one of the same call is the `next`th entry.
#[derive(Clone, Copy)]
struct RuleEntry {
    rule: u32,
    /// What the first argument must be: the call is a part of this one.
    part: Option<u8>,
    next: u32,
}

/// What the rules say of each call of one architecture. The next one takes its place, in the same memory.
struct Calls {
    /// [`DECIDED`] and a verdict; or the first entry, counted from 1; or nothing, which is 0.
    slots: Vec<u32>,
    entries: Vec<RuleEntry>,
    /// One above the last slot that the profile names.
    end: usize,
}

/// There is a rule without conditions about the call, beside which all others mean nothing.
const DECIDED: u32 = 1 << 31;

/// What a rule says of its calls.
#[derive(Clone, Copy)]
enum Effect {
    /// What would be done anyway.
    Nothing,
    Verdict(Id),
    /// It depends on the arguments.
    Depends,
}

impl Profile {
    /// Makes the whole graph, and gives its root.
    pub(super) fn graph(&self, graph: &mut Graph) -> Id {
        let verdicts: Vec<Id> = self.rules.iter().map(|rule| graph.verdict(rule.action)).collect();
        let mut next = graph.verdict(KILL_THREAD);
        let mut calls = Calls::new(self);
        for (index, arch) in self.archs.iter().enumerate().rev() {
            // x32 is asked for with the numbers of x86_64.
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

    /// The verdicts of all numbers of an architecture.
    fn runs(&self, graph: &mut Graph, verdicts: &[Id], arch: &Arch, calls: &mut Calls) -> Vec<Run> {
        let mut runs = Vec::with_capacity(self.names.len());
        for half in [0, X32] {
            let mut of_both = self.archs.iter().filter(|other| other.audit == arch.audit);
            if let Some(arch) = of_both.find(|arch| arch.base & X32 == half) {
                calls.sort(self, arch, verdicts);
                calls.runs(self, arch, graph, verdicts, &mut runs);
            } else if arch.has_x32() {
                tree::push(&mut runs, (half, graph.verdict(KILL_THREAD)));
                // A tracer that has a call skipped sets its number to -1, and the filter is asked again.
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

    /// Sorts the rules by the numbers of an architecture.
    fn sort(&mut self, profile: &Profile, arch: &Arch, verdicts: &[Id]) {
        self.entries.clear();
        self.slots.iter_mut().take(self.end).for_each(|slot| *slot = 0);
        self.end = 0;
        let effects = profile.rules.iter().zip(verdicts);
        let effects: Vec<Effect> = effects.map(|(rule, verdict)| rule.effect(arch, *verdict)).collect();
        let (socketcall, ipc) = (arch.slot("socketcall"), arch.slot("ipc"));
        // From the last on, since each is put before those of the same call.
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
        let Some(said) = self.slots.get_mut(slot) else { return };
        match effect {
            Effect::Verdict(verdict) => *said = DECIDED | verdict,
            Effect::Depends if *said & DECIDED == 0 => {
                self.entries.push(RuleEntry { rule, part, next: *said });
                *said = self.entries.len() as u32;
            }
            _ => {}
        }
    }

    /// The verdicts of all numbers.
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
        for (slot, &said) in self.slots.iter().take(self.end).enumerate().filter(|(_, said)| **said != 0) {
            let number = names::number(slot) + base;
            // Most calls stand among others that are decided alike.
            if number == behind && said == before {
                behind += 1;
                continue;
            }
            before = said;
            let verdict = if said & DECIDED != 0 {
                said & !DECIDED
            } else {
                alternatives.clear();
                self.gather(profile, arch, graph, verdicts, said, &mut alternatives);
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

    /// All rules about a call, none of which decides it alone, in the order in which they are asked.
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
            // At least one rule, and one for each condition where any is enough.
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
    /// Whether its conditions can all hold, or one of them where that is enough.
    pub(super) fn may_match(&self, arch: &Arch, arguments: &[u64]) -> bool {
        let may_hold = |condition: &Condition| {
            let condition = if arch.is_wide() { *condition } else { condition.narrow() };
            arguments.get(usize::from(condition.index)).is_none_or(|argument| condition.holds(*argument))
        };
        let mut conditions = self.conditions.iter();
        if self.any { conditions.any(may_hold) } else { conditions.all(may_hold) }
    }

    /// On an architecture of 32 bits, conditions on the upper halves of arguments always hold.
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

/// Conditions by the argument they compare, as an architecture sees them. With `part` the call is a part of another
/// one, whose first argument says so; libseccomp compares the rest as if they were that one's arguments, too.
fn place(given: &[Condition], arch: &Arch, part: Option<u8>) -> Conditions {
    let mut conditions = [Condition::NONE; 6];
    for condition in given {
        if let Some(place) = conditions.get_mut(usize::from(condition.index)) {
            *place = if arch.is_wide() { *condition } else { condition.narrow() };
        }
    }
    if let (Some(part), [first, ..]) = (part, &mut conditions) {
        let whole = Condition { index: 0, compare: Compare::Equal, mask: u64::MAX, value: u64::from(part) };
        *first = if arch.is_wide() { whole } else { whole.narrow() };
    }
    args::pack(&mut conditions);
    conditions
}
