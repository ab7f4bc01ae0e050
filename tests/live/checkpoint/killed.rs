//! CRIU or mote killed during a dump or a restore: a container that was to be dumped continues, and nothing of one that was
//! to be restored is left after `delete --force`.

use std::process::Stdio;
use std::time::Duration;

use super::{container, dump, images, needs_criu, restore_command, signal};
use crate::bundle::Bundle;
use crate::check::{Outcome, fail, holds, same};
use crate::command;
use crate::rig::Rig;
use crate::sys::trace::killed_at;
use crate::{sys, tests};

tests![
    "killed",
    alone: true,
    checkpoint_killed_before_every_second_call,
    restore_killed_before_every_third_call,
    criu_killed_during_a_dump,
    criu_killed_during_a_restore,
    criu_killed_during_a_restore_without_a_cgroup,
];

/// More system calls than any command here makes.
const MOST: u32 = 1000;

/// Each time CRIU dumps the container, as far as it comes.
fn checkpoint_killed_before_every_second_call(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let mut running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    let path = images(rig).display().to_string();
    for number in (0..MOST).step_by(2) {
        let mut command = rig.command(&["checkpoint", "--leave-running", "--image-path", &path, &rig.id]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let killed = killed_at(&mut command, number)?;
        rig.status_is("running")?;
        signal(rig)?;
        let count = number / 2 + 1;
        let state = format!("state={count} true {count}");
        same(&format!("call {number}: the state"), running.lines.next()?, state)?;
        if !killed {
            holds("more than 50 system calls", number > 50)?;
            return rig.delete();
        }
    }
    fail("the command makes too many system calls")
}

/// The first calls are those of `create`, which is killed before each of them.
fn restore_killed_before_every_third_call(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let _running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    dump(rig, &[])?.success()?;
    for number in (0..MOST).step_by(3) {
        let mut command = restore_command(rig, &bundle, &["--detach"])?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let killed = killed_at(&mut command, number)?;
        let deleted = rig.mote(&["delete", "--force", &rig.id])?;
        same(&format!("call {number}: the errors of delete"), deleted.stderr.as_str(), "")?;
        rig.nothing_left_after(format_args!("call {number}"))?;
        if !killed {
            return holds("more than 100 system calls", number > 100);
        }
    }
    fail("the command makes too many system calls")
}

/// CRIU is killed at several moments. The container continues, unless CRIU was executing code in one of its processes at
/// that moment, which nothing can undo: then it has ended. It is never frozen, and can always be deleted.
fn criu_killed_during_a_dump(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let verbs = ["fork", "3", "survive", "/tmp/file"];
    let mut running = container(rig, &mut bundle, &verbs)?;
    let path = images(rig).display().to_string();
    let (mut count, mut ended) = (0, 0);
    for number in 1..=20 {
        let words = ["checkpoint", "--leave-running", "--image-path", &path, &rig.id];
        let mut dumping = command::start(&mut rig.command(&words), false)?;
        // Moments from the start to the end of the dump.
        std::thread::sleep(Duration::from_millis(25 * number));
        kill_children(dumping.pid());
        let (status, errors) = dumping.status()?;
        holds(&format!("{number}: {errors}"), status.success() || errors.contains("criu"))?;
        count += 1;
        let state = format!("state={count} true {count}");
        let status = rig.state()?.at("status").text().to_string();
        holds(&format!("{number}: it is {status}"), status == "running" || status == "stopped")?;
        // It may end when it continues.
        let answered = signal(rig).is_ok() && running.lines.next().is_ok_and(|line| line == state);
        if !answered {
            rig.status_is("stopped")?;
            (count, ended) = (0, ended + 1);
            rig.delete()?;
            rig.nothing_left()?;
            running = container(rig, &mut bundle, &verbs)?;
        }
    }
    holds(&format!("it continues in most cases, but has ended {ended} times"), ended < 10)?;
    rig.delete()?;
    rig.nothing_left()
}

/// Nothing is left, whatever CRIU had restored at that moment.
fn criu_killed_during_a_restore(rig: &mut Rig) -> Outcome {
    kill_restores(rig, rig.bundle()?)
}

/// No cgroup has the processes that CRIU leaves.
fn criu_killed_during_a_restore_without_a_cgroup(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.remove("linux.cgroupsPath");
    rig.globals.extend(["--cgroup-manager".into(), "disabled".into()]);
    kill_restores(rig, bundle)
}

fn kill_restores(rig: &Rig, mut bundle: Bundle) -> Outcome {
    needs_criu(rig)?;
    let _running = container(rig, &mut bundle, &["fork", "3", "survive", "/tmp/file"])?;
    dump(rig, &[])?.success()?;
    for number in 1..=20 {
        let mut restoring = command::start(&mut restore_command(rig, &bundle, &["--detach"])?, false)?;
        // Moments from the start to the end of the restore.
        std::thread::sleep(Duration::from_millis(30 * number));
        kill_children(restoring.pid());
        let (status, errors) = restoring.status()?;
        match status.success() {
            true => rig.delete()?,
            false => holds(
                &format!("{number}: {errors}"),
                errors.contains("criu") || errors.contains("prepares the restore died: killed by SIGKILL"),
            )?,
        }
        rig.nothing_left_after(number)?;
    }
    Ok(())
}

/// Kills the children of a process, of which mote has one: CRIU. They may have ended.
fn kill_children(pid: i32) {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    for child in list.split_whitespace().filter_map(|pid| pid.parse().ok()) {
        let _ = sys::kill(child, libc::SIGKILL);
    }
}
