//! Numbers to verdicts: runs of equal verdicts, and a tree of comparisons over them.

use alloc::vec::Vec;

use super::bpf::{Graph, Id, NUMBER, Op};

/// From this number on, up to the next run.
pub(super) type Run = (u32, Id);

/// Adds a run, which may begin where the last one does and then takes its place.
pub(super) fn push(runs: &mut Vec<Run>, run: Run) {
    runs.pop_if(|last| last.0 == run.0);
    if runs.last().is_none_or(|last| last.1 != run.1) {
        runs.push(run);
    }
}

/// Numbers that stand alone within a run become tests for equality, up to so many one after another.
const ALONE: usize = 3;

/// `A B A C A` is one run then, of two tests, and the tree has four leaves less.
pub(super) fn fold(graph: &mut Graph, runs: &[Run]) -> Vec<Run> {
    let mut folded: Vec<Run> = Vec::with_capacity(runs.len());
    let mut rest = runs;
    while let [(start, whole), behind @ ..] = rest {
        rest = behind;
        let mut verdict = *whole;
        for _ in 0..ALONE {
            let [one, after, ..] = rest else { break };
            if one.0 + 1 != after.0 || after.1 != *whole {
                break;
            }
            verdict = graph.branch(NUMBER, Op::Equal, one.0, one.1, verdict);
            rest = rest.get(2..).unwrap_or_default();
        }
        folded.push((*start, verdict));
    }
    folded
}

/// The tree. Each half has as many numbers as the other, since the kernel asks for every number when it loads the
/// program, or, where runs are short, as many runs: one counts as two numbers more.
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
