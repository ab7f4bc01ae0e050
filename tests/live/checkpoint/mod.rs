//! `checkpoint` and `restore`: what of a container survives.

pub mod connection;
pub mod failure;
pub mod killed;
pub mod mounts;
pub mod options;
pub mod placement;
pub mod survive;
pub mod terminal;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::bundle::Bundle;
use crate::check::{Outcome, same, skip_allowed};
use crate::command::{self, LIMIT, Output, Running, run};
use crate::rig::Rig;
use crate::sys;

/// Skips the test if CRIU is missing, or does not work on this kernel.
pub fn needs_criu(rig: &Rig) -> Outcome {
    let checked = run(Command::new("criu").arg("check").current_dir(&rig.dir), "");
    match checked {
        Err(_) => skip_allowed("criu is not installed"),
        Ok(output) if output.code() == 0 => {
            // Kept until the suite ends. A kernel without events has none that CRIU could use either.
            static EVENT: OnceLock<Option<OwnedFd>> = OnceLock::new();
            EVENT.get_or_init(|| sys::perf::event().ok());
            Ok(())
        }
        Ok(output) => {
            let why = output.stderr.lines().next().unwrap_or_default().to_string();
            skip_allowed(format_args!("criu does not work on this kernel: {why}"))
        }
    }
}

/// The directory of the images of a test.
pub fn images(rig: &Rig) -> PathBuf {
    rig.dir.join("images")
}

/// The words of `checkpoint` or `restore` with the images of the test.
fn words<'w>(verb: &'w str, images: &'w str, options: &[&'w str]) -> Vec<&'w str> {
    [verb, "--image-path", images].into_iter().chain(options.iter().copied()).collect()
}

/// Runs `checkpoint` until it exits.
pub fn dump(rig: &Rig, options: &[&str]) -> Outcome<Output> {
    let images = images(rig).display().to_string();
    let mut words = words("checkpoint", &images, options);
    words.push(&rig.id);
    rig.mote(&words)
}

/// Skips the test if CRIU is missing, or this kernel does not know what memory was changed (CONFIG_MEM_SOFT_DIRTY).
pub fn needs_memory_tracking(rig: &Rig) -> Outcome {
    needs_criu(rig)?;
    match run(Command::new("criu").args(["check", "--feature", "mem_dirty_track"]).current_dir(&rig.dir), "")?
        .code()
    {
        0 => Ok(()),
        _ => skip_allowed("this kernel does not track changes of memory"),
    }
}

/// Skips the test where CRIU hangs at the end of `restore`, which it does without mote, too.
pub fn criu_restores() -> Outcome {
    match cfg!(target_arch = "aarch64") {
        true => skip_allowed("CRIU 4.1 hangs when it restores on aarch64"),
        false => Ok(()),
    }
}

/// The command line of `restore`; the configuration is written.
pub fn restore_command(rig: &Rig, bundle: &Bundle, options: &[&str]) -> Outcome<Command> {
    criu_restores()?;
    let images = images(rig).display().to_string();
    let more = ["--image-path", &images];
    let options: Vec<&str> = more.into_iter().chain(options.iter().copied()).collect();
    rig.launch("restore", bundle, &options)
}

/// Restores the container, detached. The result reads its output.
pub fn restore(rig: &Rig, bundle: &Bundle, options: &[&str]) -> Outcome<Running> {
    let options: Vec<&str> = ["--detach"].into_iter().chain(options.iter().copied()).collect();
    let mut running = command::start(&mut restore_command(rig, bundle, &options)?, false)?;
    let (status, errors) = running.status()?;
    same("the errors of restore", errors.as_str(), "")?;
    same("the exit code of restore", status.code(), Some(0))?;
    Ok(running)
}

/// Sends SIGUSR1 to the container init.
pub fn signal(rig: &Rig) -> Outcome {
    rig.mote(&["kill", &rig.id, "USR1"])?.success().map(drop)
}

/// Creates and starts a container with these verbs, which print `waiting=1` when they are ready.
pub fn container(rig: &Rig, bundle: &mut Bundle, verbs: &[&str]) -> Outcome<Running> {
    bundle.verbs(verbs);
    let mut running = rig.create(bundle, &[])?;
    rig.mote(&["start", &rig.id])?.success()?;
    running.lines.until("waiting=1")?;
    Ok(running)
}

/// Dumps the container, checks that it is removed, and restores it.
pub fn cycle(rig: &Rig, bundle: &Bundle, options: (&[&str], &[&str])) -> Outcome<Running> {
    dump(rig, options.0)?.success()?;
    rig.nothing_left()?;
    restore(rig, bundle, options.1)
}

/// Waits until a file, which a container writes to, has a line.
pub fn wait_for_line(path: &Path, line: &str) -> Outcome {
    let start = std::time::Instant::now();
    while start.elapsed() < LIMIT {
        if std::fs::read_to_string(path)?.lines().any(|found| found == line) {
            return Ok(());
        }
        // A regular file has no events for its reader.
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    crate::check::fail(format_args!("{} has no line {line}", path.display()))
}
