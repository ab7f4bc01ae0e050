//! The search tree that maps syscall numbers to verdicts.

use alloc::vec::Vec;

use super::bpf::{Graph, Id, NUMBER, Op};

/// A run of numbers with the same verdict: the first number, and the verdict. It ends before the next run.
pub(super) type Run = (u32, Id);

/// Appends a run; if it begins at the same number as the last one, it replaces that.
pub(super) fn push(runs: &mut Vec<Run>, run: Run) {
    runs.pop_if(|last| last.0 == run.0);
    if runs.last().is_none_or(|last| last.1 != run.1) {
        runs.push(run);
    }
}

/// The maximum number of tests for equality in one run (see [`fold`]).
const ALONE: usize = 3;

/// Merges runs that are separated by single numbers, for which tests for equality are added: `A B A C A` becomes one
/// run with two tests, and the tree has four leaves less.
pub(super) fn fold(graph: &mut Graph, runs: &[Run]) -> Vec<Run> {
    let mut folded: Vec<Run> = Vec::with_capacity(runs.len());
    let mut rest = runs;
    while let [(start, common), behind @ ..] = rest {
        rest = behind;
        let mut verdict = *common;
        for _ in 0..ALONE {
            let [one, after, ..] = rest else { break };
            if one.0 + 1 != after.0 || after.1 != *common {
                break;
            }
            verdict = graph.branch(NUMBER, Op::Equal, one.0, one.1, verdict);
            rest = rest.get(2..).unwrap_or_default();
        }
        folded.push((*start, verdict));
    }
    folded
}

/// Builds a binary search tree over runs, and returns its root. The two halves of a node have about the same weight:
/// that of a run is the count of its numbers, since the kernel runs the filter for every number when it is loaded,
/// plus two, so that short runs are balanced as well.
pub(super) fn tree(graph: &mut Graph, runs: &[Run]) -> Id {
    match runs {
        [] => 0,
        [only] => only.1,
        _ => {
            let place = |at: usize| runs.get(at).map_or(0, |run| u64::from(run.0) + 2 * at as u64);
            let last = runs.len() - 1;
            let middle = u64::midpoint(place(0), place(last));
            let (low, high) = runs.split_at((1..last).find(|at| place(*at) > middle).unwrap_or(last));
            let start = high.first().map_or(0, |first| first.0);
            let yes = tree(graph, high);
            let no = tree(graph, low);
            graph.branch(NUMBER, Op::GreaterOrEqual, start, yes, no)
        }
    }
}
