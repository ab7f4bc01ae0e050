//! The last steps to a program, the same for a container's first process and for those that join it:
//! who it is, what it may, what it has open, and execve.

use core::ffi::CStr;

use rustix::fd::RawFd;
use rustix::fs::Uid;

use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::process::{cwd, env};
use crate::rootfs::path::Root;

/// The program, found and ready to be run.
pub struct Program {
    /// Which of the places where it could be.
    place: usize,
    /// `HOME=...`, when the configuration has none.
    home: Option<[u8; 512]>,
}

/// Takes on the container's identity, inside its root.
pub fn identity(plan: &Plan<'_>, root: Root, lines: &mut [RawFd]) -> Result<Program> {
    let process = &plan.process;
    // Limits last of what root does, since they bind mote too, and before ids change: a hard limit can
    // be raised only with CAP_SYS_RESOURCE. Under a user namespace the parent has set them.
    if !plan.user_namespace {
        process.rlimits.apply(None)?;
    }
    let arrived = cwd::apply(&root, process.cwd)?;

    if process.user.uid != 0 {
        process.fds.give_standard(Uid::from_raw(process.user.uid))?;
    }

    // The bounding set needs CAP_SETPCAP, ids need CAP_SETUID: both are gone after the last line.
    process.caps.apply_before_ids()?;
    process.user.apply()?;
    process.caps.apply_after_ids()?;
    if !arrived {
        cwd::apply_as_user(process.cwd)?;
    }
    if process.no_new_privileges {
        process.caps.apply_no_new_privileges()?;
    }
    process.user.apply_umask();

    // As the user: what it may not execute is not found.
    let place = process.exec.find()?;
    let mut home = None;
    if process.env.needs_home {
        let space = home.insert([0u8; 512]);
        env::home(process.user.uid, space);
    }
    // After the last descriptor is opened: it may wait at the gate for long, with nothing of the host's.
    process.fds.apply(lines)?;
    root.forget();
    Ok(Program { place, home })
}

/// Becomes the program; comes back only with the reason why not.
pub fn become_program(plan: &Plan<'_>, program: &Program) -> Error {
    if let Err(error) = plan.process.signals.apply() {
        return error;
    }
    let home = program.home.as_ref().and_then(|space| CStr::from_bytes_until_nul(space).ok());
    plan.process.exec.run(program.place, &plan.process.env.variables, home)
}
