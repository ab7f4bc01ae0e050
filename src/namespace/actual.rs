//! The namespaces that a process is in, compared with those that it should be in: for a process that another program has
//! restored.

use alloc::format;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Stat, fstat, statat};
use rustix::io::Errno;

use super::{Kind, Plan, own};
use crate::config::linux::NAMESPACES;
use crate::error::{Error, Kind as ErrorKind, On, Result};
use crate::os::procfs;

/// Checks that the process with this PID is in new namespaces where they should be new, and else in those given by path
/// (`joined`, in the order of the plan) or this process's own. Returns whether it is in another time namespace although
/// none is listed: CRIU restores clocks as they were.
pub fn check(plan: &Plan<'_>, joined: &[OwnedFd], pid: i32) -> Result<bool> {
    let proc = procfs::open_own(false)?;
    let mut has_other_time = false;
    for (name, kind) in NAMESPACES {
        let file = own(kind).to_str().ok().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
        let of = |process: &str| {
            let path = format!("{process}/ns/{file}");
            statat(&proc, path.as_str(), AtFlags::empty()).map(|found| id(&found))
        };
        let (own, actual) = match (of("self"), of(&format!("{pid}"))) {
            // A kernel without this kind.
            (Err(Errno::NOENT), _) => continue,
            (own, actual) => (own, actual.on(format_args!("newfstatat /proc/{pid}/ns/{file}"))?),
        };
        let own = own.on(format_args!("newfstatat /proc/self/ns/{file}"))?;
        let path = plan.joined_of(kind, joined);
        let path = path.map(|fd| fstat(fd).map(|found| id(&found)).on(format_args!("fstat"))).transpose()?;
        let (is_right, wanted) = match path {
            Some(path) => (actual == path, "the one that is given by path"),
            None if plan.is_new(kind) => (actual != own, "one of its own"),
            None if kind == Kind::Time => {
                has_other_time = actual != own;
                continue;
            }
            None => (actual == own, "that of the host"),
        };
        if !is_right {
            let why = format_args!(
                "linux.namespaces: the restored process is in another {name} namespace than {wanted}"
            );
            return Err(Error::new(ErrorKind::State, why));
        }
    }
    Ok(has_other_time)
}

fn id(found: &Stat) -> (u64, u64) {
    (found.st_dev, found.st_ino)
}
