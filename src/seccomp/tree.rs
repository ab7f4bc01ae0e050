//! Numbers to verdicts: runs of equal verdicts, and a balanced tree of comparisons over them.

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

/// The tree.
pub(super) fn tree(graph: &mut Graph, runs: &[Run]) -> Id {
    match runs {
        [] => 0,
        [only] => only.1,
        _ => {
            let (low, high) = runs.split_at(runs.len() / 2);
            let start = high.first().map_or(0, |first| first.0);
            let yes = tree(graph, high);
            let no = tree(graph, low);
            graph.branch(NUMBER, Op::GreaterOrEqual, start, yes, no)
        }
    }
}
