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

/// Numbers that stand alone within a run become one test for equality: `A B A` is one run then, and the tree has
/// two leaves less.
pub(super) fn fold(graph: &mut Graph, runs: &[Run]) -> Vec<Run> {
    let mut folded: Vec<Run> = Vec::with_capacity(runs.len());
    let mut rest = runs;
    while let [first, behind @ ..] = rest {
        rest = behind;
        if let [one, after, later @ ..] = behind
            && one.0 + 1 == after.0
            && first.1 == after.1
        {
            folded.push((first.0, graph.branch(NUMBER, Op::Equal, one.0, one.1, first.1)));
            rest = later;
        } else {
            folded.push(*first);
        }
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
