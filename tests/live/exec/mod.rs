//! `exec`: the attributes of an exec process, as reported by the payload.

pub mod exit;
pub mod file;
pub mod placement;
pub mod process;
pub mod state;

use std::process::Command;

use crate::bundle::Bundle;
use crate::check::{Outcome, contains, same, skip_allowed};
use crate::command::{self, Output};
use crate::report::Report;
use crate::rig::{Rig, Runtime};

/// The command line of `exec` for the payload with these verbs.
pub fn command(rig: &Rig, options: &[&str], verbs: &[&str]) -> Command {
    program(rig, options, &[&["/payload"], verbs].concat())
}

fn program(rig: &Rig, options: &[&str], words: &[&str]) -> Command {
    rig.command(&[&["exec"], options, &[rig.id.as_str()], words].concat())
}

fn exec(rig: &Rig, options: &[&str], verbs: &[&str]) -> Outcome<Output> {
    command::run(&mut command(rig, options, verbs), "")
}

fn report(rig: &Rig, options: &[&str], verbs: &[&str]) -> Outcome<Report> {
    Ok(exec(rig, options, verbs)?.success()?.report())
}

/// Checks for this exit code, and for one line of error with these words.
fn rejected(output: &Output, code: i32, words: &[&str]) -> Outcome {
    same("exit code", output.code(), code)?;
    same("lines on the standard error", output.stderr.lines().count(), 1)?;
    words.iter().try_for_each(|word| contains("the error", &output.stderr, word))
}

/// runc and crun have other exit codes and messages, and lack some options.
pub fn only_mote(rig: &Rig) -> Outcome {
    match rig.is(Runtime::Mote) {
        true => Ok(()),
        false => skip_allowed("runc and crun differ here"),
    }
}

/// A container whose program waits for a signal.
pub fn container(rig: &Rig) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    rig.waiting(&mut bundle)?;
    Ok(bundle)
}
