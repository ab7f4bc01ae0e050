//! The middle: rules by name become, for each architecture, runs of numbers with their verdicts.

use alloc::vec;
use alloc::vec::Vec;

use super::arch::{Arch, X32};
use super::args::{self, Alternative, Compare, Condition, Conditions};
use super::bpf::{self, ARCH, Graph, Id, Op};
use super::names::{self, Carrier, Name, SLOTS};
use super::tree::{self, Run};
use super::{ERRNO, KILL_THREAD};

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

/// A rule about a call; the next one of the same call is the `next`th entry.
#[derive(Clone, Copy)]
struct Entry {
    rule: u32,
    /// What the first argument must be: the call is a part of this one.
    part: Option<u8>,
    next: u32,
}

/// The rules about each call of one architecture. The next one takes its place, in the same memory.
struct Calls {
    /// The first entry of each, counted from 1; 0 is none.
    slots: Vec<u32>,
    entries: Vec<Entry>,
    /// One above the last slot that the profile names.
    end: usize,
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
                calls.sort(self, arch);
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
    fn sort(&mut self, profile: &Profile, arch: &Arch) {
        self.entries.clear();
        self.slots.iter_mut().take(self.end).for_each(|slot| *slot = 0);
        self.end = 0;
        let (socketcall, ipc) = (arch.slot("socketcall"), arch.slot("ipc"));
        // From the last on, since each is put before those of the same call.
        for &(name, rule) in profile.names.iter().rev() {
            let idle = profile.rules.get(rule as usize).is_none_or(|rule| rule.idle);
            if let Some(slot) = name.slot(arch.column) {
                self.add(slot, rule, None, idle);
            }
            match (name.carrier(), socketcall, ipc) {
                (Some(Carrier::Socketcall(part)), Some(slot), _) => self.add(slot, rule, Some(part), idle),
                (Some(Carrier::Ipc(part)), _, Some(slot)) => self.add(slot, rule, Some(part), idle),
                _ => {}
            }
        }
    }

    #[inline(always)]
    fn add(&mut self, slot: usize, rule: u32, part: Option<u8>, idle: bool) {
        self.end = self.end.max(slot + 1);
        if let Some(head) = self.slots.get_mut(slot).filter(|_| !idle) {
            self.entries.push(Entry { rule, part, next: *head });
            *head = self.entries.len() as u32;
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
        let mut behind = base;
        for (slot, &head) in self.slots.iter().take(self.end).enumerate().filter(|(_, head)| **head != 0) {
            alternatives.clear();
            let decided = self.gather(profile, arch, graph, verdicts, head, &mut alternatives);
            let verdict = decided.unwrap_or_else(|| {
                let rules = alternatives.iter().rev();
                rules.fold(default, |no, rule| args::chain(graph, arch, rule, no))
            });
            let number = names::number(slot) + base;
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

    /// All rules about a call in the order in which they are asked, or the verdict of the first without conditions,
    /// beside which the others mean nothing.
    fn gather(
        &self,
        profile: &Profile,
        arch: &Arch,
        graph: &mut Graph,
        verdicts: &[Id],
        mut at: u32,
        alternatives: &mut Vec<Alternative>,
    ) -> Option<Id> {
        while let Some(entry) = self.entries.get((at as usize).wrapping_sub(1)) {
            at = entry.next;
            let index = entry.rule as usize;
            let (Some(rule), Some(&verdict)) = (profile.rules.get(index), verdicts.get(index)) else {
                continue;
            };
            // Most have none, and are no part of anything.
            if rule.conditions.is_empty() && entry.part.is_none() {
                return Some(verdict);
            }
            // At least one rule, and one for each condition where any is enough.
            let size = if rule.any { 1 } else { 6 };
            let mut rest = rule.conditions.as_slice();
            loop {
                let (conditions, behind) = rest.split_at(size.min(rest.len()));
                let conditions = place(conditions, arch, entry.part);
                if args::is_empty(&conditions) {
                    return Some(verdict);
                }
                if alternatives.len() >= bpf::MOST {
                    graph.fill();
                    return Some(verdict);
                }
                args::insert(alternatives, Alternative { conditions, verdict });
                rest = behind;
                if rest.is_empty() {
                    break;
                }
            }
        }
        None
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
