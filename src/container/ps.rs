//! `ps`: lists the processes of a container.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;

use rustix::io::{Errno, read};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::stdio::dup2_stdout;

use super::store::directory::Store;
use super::store::snapshot;
use super::store::status::State;
use crate::cgroup::Cgroup;
use crate::error::{Error, On, Result};
use crate::host::Cgroups;
use crate::sys::clone::{exit, spawn};
use crate::sys::end::{End, How};
use crate::sys::exec::{Strings, execve_with_own_environment};
use crate::sys::pidfd::reap;

/// The PIDs of a container's processes in mote's pid namespace, sorted. A stopped container has none, unless some have
/// outlived the container init. Without a cgroup only the container init is known.
///
/// Errors: [`Kind::State`](crate::error::Kind::State) while the container is being created.
pub fn processes(store: &Store, id: &CStr) -> Result<Vec<i32>> {
    let directory = store.open(id)?;
    let known = snapshot::of(&directory)?;
    let status = &known.status;
    let mut pids = match known.state {
        State::Creating => return Err(known.not_running(&directory)),
        State::Stopped => Vec::new(),
        _ => Vec::from([status.process.pid]),
    };
    if let Some(path) = &status.cgroup {
        let all = Cgroup::open(path, &Cgroups::read()?)?.processes()?;
        pids.extend(all.iter().map(|pid| pid.as_raw_nonzero().get()));
    }
    pids.sort_unstable();
    pids.dedup();
    Ok(pids)
}

/// A table of processes: their PIDs, or with `options` the output of the host's ps(1) with these options, reduced to
/// the lines of these PIDs.
///
/// Errors: ps(1) is missing or fails, or its output has no column PID.
pub fn table(pids: &[i32], options: &[&CStr]) -> Result<String> {
    if options.is_empty() {
        return Ok(pids.iter().fold(String::from("PID\n"), |text, pid| format!("{text}{pid}\n")));
    }
    let text = run_ps(options)?;
    let mut lines = text.lines();
    let head = lines.next().unwrap_or_default();
    let Some(column) = head.split_ascii_whitespace().position(|name| name == "PID") else {
        return Err(Error::invalid(format_args!("ps: no column PID in the output")));
    };
    let theirs = |line: &&str| {
        let pid = line.split_ascii_whitespace().nth(column);
        pid.and_then(|pid| pid.parse().ok()).is_some_and(|pid: i32| pids.contains(&pid))
    };
    Ok(lines.filter(theirs).fold(format!("{head}\n"), |text, line| format!("{text}{line}\n")))
}

/// The paths of ps(1).
const PS: [&CStr; 2] = [c"/usr/bin/ps", c"/bin/ps"];

/// Runs ps(1) and returns its standard output; it inherits standard error.
fn run_ps(options: &[&CStr]) -> Result<String> {
    let arguments: Vec<&CStr> = core::iter::once(c"ps").chain(options.iter().copied()).collect();
    let arguments = Strings::new(&arguments);
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).on(format_args!("pipe2"))?;
    let become_ps = || {
        if dup2_stdout(&writer).is_ok() {
            for path in PS {
                execve_with_own_environment(path, &arguments);
            }
        }
        exit(127)
    };
    let (_, pidfd) = spawn(0, None, become_ps).on(format_args!("clone3"))?;
    drop(writer);
    let (mut text, mut space) = (Vec::new(), [0u8; 4096]);
    loop {
        match read(&reader, &mut space) {
            Ok(0) => break,
            Ok(count) => text.extend_from_slice(space.get(..count).unwrap_or_default()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::system(errno, format_args!("read"))),
        }
    }
    match reap(&pidfd) {
        Some(End::Exited(0)) => Ok(String::from_utf8_lossy(&text).into_owned()),
        Some(End::Exited(127)) => {
            Err(Error::invalid(format_args!("ps: not found: options require the host's ps(1)")))
        }
        end => Err(Error::invalid(format_args!("ps failed: {}", How(end)))),
    }
}
