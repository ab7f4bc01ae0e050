//! Signals: forwarded by a runtime in the foreground; none is ignored or blocked in the container.

use crate::check::{Outcome, same};
use crate::rig::Rig;
use crate::{sys, tests};

tests![
    "process",
    signals_are_forwarded,
    signals_are_forwarded_many_times,
    signals_have_default_dispositions,
    signals_blocked_by_the_caller_are_unblocked,
];

fn signals_are_forwarded(rig: &mut Rig) -> Outcome {
    let signals = [libc::SIGTERM, libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGUSR1];
    let more = [libc::SIGUSR2, libc::SIGALRM, libc::SIGCONT, libc::SIGWINCH, libc::SIGRTMAX()];
    let signals: Vec<i32> = signals.into_iter().chain(more).collect();
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", &signals.len().to_string()]);
    let mut running = rig.spawn(&bundle, &[])?;
    running.lines.until("waiting=1")?;
    for signal in signals {
        running.signal(signal)?;
        same("the payload's output", running.lines.next()?, format!("signal={signal}"))?;
    }
    running.finish()?.success()?;
    Ok(())
}

fn signals_are_forwarded_many_times(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "50"]);
    let mut running = rig.spawn(&bundle, &[])?;
    running.lines.until("waiting=1")?;
    for _ in 0..50 {
        running.signal(libc::SIGUSR1)?;
        same("the payload's output", running.lines.next()?.as_str(), "signal=10")?;
    }
    running.finish()?.success()?;
    Ok(())
}

fn signals_have_default_dispositions(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let inside = rig.report(&mut bundle, &["signals"])?;
    inside.is("ignored", "")?;
    inside.is("blocked", "")
}

fn signals_blocked_by_the_caller_are_unblocked(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["signals"]);
    let mut command = rig.launch("run", &bundle, &[])?;
    sys::before_exec(&mut command, || {
        sys::block_signals();
        Ok(())
    });
    crate::command::run(&mut command, "")?.success()?.report().is("blocked", "")
}
