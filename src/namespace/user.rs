//! Id mappings of a new user namespace (user_namespaces(7); config-linux.md, "User namespace mappings").

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use linux_raw_sys::general::{CAP_SETGID, CAP_SETUID};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::write;
use rustix::process::Pid;

use crate::config::linux::{IdMapping, Mappings};
use crate::error::{Error, On, Result};
use crate::host::Host;

/// What is written to `uid_map` and `gid_map`.
#[derive(Debug)]
pub struct Plan {
    uids: Vec<IdMapping>,
    gids: Vec<IdMapping>,
    /// Without CAP_SETGID a group can be mapped only where setgroups(2) is given up (CVE-2014-8989).
    deny_setgroups: bool,
}

impl Plan {
    /// Mappings for a `fresh` user namespace; `None` when there is none to map.
    pub fn new(
        uids: &[IdMapping],
        gids: &[IdMapping],
        fresh: bool,
        joined: bool,
        host: &Host,
    ) -> Result<Option<Self>> {
        if !fresh {
            let given = match (uids, gids) {
                ([], []) => return Ok(None),
                _ if joined => return Ok(None),
                ([], _) => "gid",
                _ => "uid",
            };
            return Err(Error::invalid(format_args!("linux.{given}Mappings: needs a user namespace")));
        }
        let (own_uid, own_gid) = ([own(host.uid)], [own(host.gid)]);
        let (uids, gids) = match (uids, gids) {
            // Whoever made it is its root, as unshare(1) has it.
            ([], []) => (&own_uid[..], &own_gid[..]),
            given => given,
        };
        check("linux.uidMappings", uids, host.uid, host.has(CAP_SETUID))?;
        check("linux.gidMappings", gids, host.gid, host.has(CAP_SETGID))?;
        let deny_setgroups = !host.has(CAP_SETGID);
        Ok(Some(Plan { uids: uids.to_vec(), gids: gids.to_vec(), deny_setgroups }))
    }

    /// Whose ids are whose.
    pub fn mappings(&self) -> Mappings<'_> {
        (&self.uids, &self.gids)
    }

    /// Whether setgroups(2) is given up.
    pub fn denies_setgroups(&self) -> bool {
        self.deny_setgroups
    }

    /// Writes the maps of process `pid`, from its parent's user namespace.
    pub fn apply(&self, proc: &OwnedFd, pid: Pid) -> Result<()> {
        if self.deny_setgroups {
            put(proc, pid, "setgroups", "deny")?;
        }
        write_maps(proc, pid, self.mappings())
    }
}

/// Writes the maps of a process in a new user namespace.
#[cold]
#[inline(never)]
pub(super) fn write_maps(proc: &OwnedFd, pid: Pid, (uids, gids): Mappings<'_>) -> Result<()> {
    put(proc, pid, "gid_map", &lines(gids))?;
    put(proc, pid, "uid_map", &lines(uids))
}

fn put(proc: &OwnedFd, pid: Pid, file: &str, text: &str) -> Result<()> {
    let path = format!("{}/{file}", pid.as_raw_nonzero());
    let fd = openat(proc, path.as_str(), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
        .on(format_args!("openat /proc/{path}"))?;
    write(&fd, text.as_bytes()).on(format_args!("write /proc/{path}")).map(drop)
}

/// An id as root's.
fn own(id: u32) -> IdMapping {
    IdMapping { container_id: 0, host_id: id, size: 1 }
}

/// Without `any`, the capability for it, a process maps its own id and no other (user_namespaces(7)).
fn check(field: &str, mappings: &[IdMapping], own: u32, any: bool) -> Result<()> {
    if mappings.is_empty() {
        return Err(Error::invalid(format_args!(
            "{field}: missing or empty, and linux.namespaces has a new user namespace"
        )));
    }
    let single = matches!(mappings, [IdMapping { host_id, size: 1, .. }] if *host_id == own);
    match any || single {
        true => Ok(()),
        false => Err(Error::unsupported(format_args!(
            "{field}: an ordinary user can map only its own id {own}; newuidmap and newgidmap are not supported yet"
        ))),
    }
}

fn lines(mappings: &[IdMapping]) -> String {
    mappings.iter().map(|m| format!("{} {} {}\n", m.container_id, m.host_id, m.size)).collect()
}
