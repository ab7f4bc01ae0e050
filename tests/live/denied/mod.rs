//! Modern system calls, each denied by a seccomp filter around the runtime with ENOSYS, as by an old kernel or the
//! sandbox of a container engine, with EPERM, as by older sandboxes, and with EINVAL: each scenario has the same result as
//! without the filter, or one command fails with an error that names the call and leaves nothing behind. Which of both is
//! the table in docs/system-calls.md, which these tests compare with what they observe.

mod scenarios;
mod steps;

use std::sync::OnceLock;

use crate::check::{Outcome, contains, fail, holds, same, skip_allowed};
use crate::rig::{Rig, Runtime};
use crate::tests;
use scenarios::{SCENARIOS, Scenario};
use steps::{Record, Step, Steps};

tests![
    "denied",
    openat2,
    clone3,
    open_tree,
    move_mount,
    fsopen,
    fsconfig,
    fsmount,
    mount_setattr,
    close_range,
    pidfd_open,
    pidfd_send_signal,
    statx,
    memfd_create,
    prctl_set_mm,
    userfaultfd,
    process_madvise,
    table_has_no_other_rows,
];

/// The rows of the table.
const CALLS: &[&str] = &[
    "openat2",
    "clone3",
    "open_tree",
    "move_mount",
    "fsopen",
    "fsconfig",
    "fsmount",
    "mount_setattr",
    "close_range",
    "pidfd_open",
    "pidfd_send_signal",
    "statx",
    "memfd_create",
    "prctl PR_SET_MM",
    "userfaultfd",
    "process_madvise",
];

fn openat2(rig: &mut Rig) -> Outcome {
    row_is_documented(rig, "openat2")
}

fn clone3(rig: &mut Rig) -> Outcome {
    row_is_documented(rig, "clone3")
}

fn open_tree(rig: &mut Rig) -> Outcome {
    row_is_documented(rig, "open_tree")
}

fn move_mount(rig: &mut Rig) -> Outcome {
    row_is_documented(rig, "move_mount")
}

fn fsopen(rig: &mut Rig) -> Outcome {
    row_is_documented(rig, "fsopen")
}

fn fsconfig(rig: &mut Rig) -> Outcome {
    row_is_documented(rig, "fsconfig")
}

fn fsmount(rig: &mut Rig) -> Outcome {
    row_is_documented(rig, "fsmount")
}

fn mount_setattr(rig: &mut Rig) -> Outcome {
    row_is_documented(rig, "mount_setattr")
}

fn close_range(rig: &mut Rig) -> Outcome {
    if !cfg!(target_arch = "x86_64") {
        return skip_allowed("without it a million numbers are closed, for minutes if the CPU is emulated");
    }
    row_is_documented(rig, "close_range")
}

fn pidfd_open(rig: &mut Rig) -> Outcome {
    row_is_documented(rig, "pidfd_open")
}

fn pidfd_send_signal(rig: &mut Rig) -> Outcome {
    row_is_documented(rig, "pidfd_send_signal")
}

fn statx(rig: &mut Rig) -> Outcome {
    if cfg!(target_pointer_width = "32") {
        return skip_allowed("the C library of the program needs it");
    }
    row_is_documented(rig, "statx")
}

fn memfd_create(rig: &mut Rig) -> Outcome {
    row_is_documented(rig, "memfd_create")
}

fn prctl_set_mm(rig: &mut Rig) -> Outcome {
    row_is_documented(rig, "prctl PR_SET_MM")
}

fn userfaultfd(rig: &mut Rig) -> Outcome {
    row_is_documented(rig, "userfaultfd")
}

fn process_madvise(rig: &mut Rig) -> Outcome {
    row_is_documented(rig, "process_madvise")
}

/// In this order.
fn table_has_no_other_rows(_: &mut Rig) -> Outcome {
    let rows: Vec<&str> =
        DOCUMENT.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    same("the rows of docs/system-calls.md", rows.as_slice(), CALLS)
}

const DOCUMENT: &str = include_str!("../../../docs/system-calls.md");

/// The columns of the table: the error number, and its text in an error of mote.
const ERRNOS: [(i32, &str); 3] = [
    (libc::ENOSYS, "function not implemented"),
    (libc::EPERM, "operation not permitted"),
    (libc::EINVAL, "invalid argument"),
];

/// Checks that the table has the row that is observed for a call.
fn row_is_documented(rig: &mut Rig, call: &'static str) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("the table is about mote");
    }
    rig.needs_mount_setattr()?;
    let (mut cells, mut example) = (Vec::new(), "-".to_string());
    for (errno, reason) in ERRNOS {
        let (mut refused, mut all): (Vec<String>, bool) = (Vec::new(), true);
        for scenario in SCENARIOS {
            let without = without_denial(rig, scenario)?;
            let record = perform(rig, scenario, vec![(call, errno)].leak())?;
            let found = refusals(scenario, &without, &record, (call, reason))?;
            all &= found.iter().any(|(step, _)| creates(step));
            if let Some((_, error)) = found.first().filter(|_| example == "-") {
                example = format!("`{}`", error.trim_start_matches("mote: "));
            }
            for (step, _) in found {
                let what = if creates(step) { scenario.name.to_string() } else { format!("`{step}`") };
                if !refused.contains(&what) {
                    refused.push(what);
                }
            }
        }
        cells.push(match (refused.is_empty(), all) {
            (true, _) => "same".to_string(),
            (_, true) => "refused".to_string(),
            _ => format!("refused: {}", refused.join(", ")),
        });
    }
    let start = format!("| `{call}` |");
    let row = format!("{start} {} | {example} |", cells.join(" | "));
    let found = DOCUMENT.lines().find(|line| line.starts_with(&start)).unwrap_or("(nothing)");
    match found == row {
        true => Ok(()),
        false => fail(format_args!("docs/system-calls.md has {found:?}, but observed is:\n{row}")),
    }
}

/// Whether a command creates a container.
fn creates(step: &str) -> bool {
    step.starts_with("run") || step == "create"
}

/// What the scenario does if no call is denied, once for all tests.
fn without_denial(rig: &mut Rig, scenario: &'static Scenario) -> Outcome<Record> {
    static RECORDS: [OnceLock<Record>; SCENARIOS.len()] = [const { OnceLock::new() }; SCENARIOS.len()];
    let place = SCENARIOS.iter().zip(&RECORDS).find(|(one, _)| one.name == scenario.name);
    let Some((_, place)) = place else { return fail("no such scenario") };
    if let Some(record) = place.get() {
        return Ok(record.clone());
    }
    let record = perform(rig, scenario, &[])?;
    let refused = record.iter().find(|(_, step)| matches!(step, Step::Refused(..)));
    same(scenario.name, refused, None)?;
    Ok(place.get_or_init(|| record).clone())
}

/// Runs a scenario, and checks that nothing is left.
fn perform(rig: &mut Rig, scenario: &Scenario, denied: crate::rig::DeniedCalls) -> Outcome<Record> {
    rig.denied = denied;
    // The owner of the root directory is the user that creates it.
    rig.state = rig.dir.join(format!("state{}", std::fs::read_dir(&rig.dir)?.count()));
    let mut steps = Steps { rig, record: Vec::new() };
    (scenario.act)(&mut steps)?;
    let record = steps.record;
    rig.denied = &[];
    if rig.state.join(&rig.id).exists() {
        rig.delete()?;
    }
    rig.user = None;
    rig.nothing_left()?;
    Ok(record)
}

/// Compares the record of a scenario with that without the denial: the commands that were refused, and the errors.
/// Each command has the same result, or is refused, or was not run because an earlier one was refused.
fn refusals(
    scenario: &Scenario,
    without: &Record,
    record: &Record,
    (call, reason): (&str, &str),
) -> Outcome<Vec<(&'static str, String)>> {
    let mut found = Vec::new();
    let name = scenario.name;
    let mut wanted = without.iter();
    for (step, result) in record {
        let expected = wanted.find(|(one, _)| one == step);
        match result {
            Step::Refused(code, error) => {
                same(
                    &format!("{name}: {step}: exit code: {error}"),
                    *code,
                    if *step == "exec" { 255 } else { 1 },
                )?;
                same(&format!("{name}: {step}: lines of {error:?}"), error.lines().count(), 1)?;
                let words = call.split(' ').chain([reason]);
                words
                    .into_iter()
                    .try_for_each(|word| contains(&format!("{name}: {step}: the error"), error, word))?;
                found.push((*step, error.clone()));
            }
            Step::Done(_) if found.is_empty() => {
                same(&format!("{name}: {step}"), Some(result), expected.map(|(_, result)| result))?
            }
            Step::Done(_) => {}
        }
    }
    holds(&format!("{name}: all commands are run"), !found.is_empty() || record.len() == without.len())?;
    Ok(found)
}
