//! ID mappings of a new user namespace (user_namespaces(7); config-linux.md, "User namespace mappings").

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use linux_raw_sys::general::{CAP_SETGID, CAP_SETUID};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::write;
use rustix::process::Pid;

use super::id_helper::{NEWGIDMAP, NEWUIDMAP};
use super::map_error;
use crate::config::linux::{IdMapping, Mappings};
use crate::error::{At, Error, On, Result};
use crate::host::Host;

/// The mappings that are written to `uid_map` and `gid_map`.
#[derive(Debug)]
pub struct Plan {
    uids: Vec<IdMapping>,
    gids: Vec<IdMapping>,
    /// Whether setgroups(2) is disabled in the namespace, as the kernel requires before a process without CAP_SETGID
    /// writes `gid_map` (CVE-2014-8989).
    deny_setgroups: bool,
    /// The caller's own ID, if it may not write the mappings itself: newuidmap(1) and newgidmap(1) do.
    uid_helped: Option<u32>,
    gid_helped: Option<u32>,
}

impl Plan {
    /// Plans the mappings of a `fresh` user namespace; `None` if there is none. Errors: there are mappings but no user
    /// namespace, or the caller is not permitted to map these IDs.
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
            // By default the caller is mapped to root, as by `unshare --map-root-user`.
            ([], []) => (&own_uid[..], &own_gid[..]),
            given => given,
        };
        let uid_helped = helped("linux.uidMappings", uids, host.uid, host.has(CAP_SETUID))?;
        let gid_helped = helped("linux.gidMappings", gids, host.gid, host.has(CAP_SETGID))?;
        // newgidmap(1) denies it if the groups are not all the user's.
        let deny_setgroups = !host.has(CAP_SETGID) && gid_helped.is_none();
        Ok(Some(Plan { uids: uids.to_vec(), gids: gids.to_vec(), deny_setgroups, uid_helped, gid_helped }))
    }

    /// The mappings of user and group IDs.
    pub fn mappings(&self) -> Mappings<'_> {
        (&self.uids, &self.gids)
    }

    /// Whether setgroups(2) is disabled.
    pub fn denies_setgroups(&self) -> bool {
        self.deny_setgroups
    }

    /// Writes the ID maps of process `pid`, from its parent user namespace.
    pub fn apply(&self, proc: &OwnedFd, pid: Pid) -> Result<()> {
        if self.deny_setgroups {
            put(proc, pid, "setgroups", "deny")?;
        }
        match self.gid_helped {
            Some(own) => NEWGIDMAP.write(pid, &self.gids, own).at(format_args!("linux.gidMappings"))?,
            None => put_map(proc, pid, ("linux.gidMappings", "gid_map"), &self.gids)?,
        }
        match self.uid_helped {
            Some(own) => NEWUIDMAP.write(pid, &self.uids, own).at(format_args!("linux.uidMappings")),
            None => put_map(proc, pid, ("linux.uidMappings", "uid_map"), &self.uids),
        }
    }
}

/// Writes `gid_map` and `uid_map` of a process in a new user namespace.
#[cold]
#[inline(never)]
pub(super) fn write_maps(proc: &OwnedFd, pid: Pid, (uids, gids): Mappings<'_>) -> Result<()> {
    put_map(proc, pid, ("gidMappings", "gid_map"), gids)?;
    put_map(proc, pid, ("uidMappings", "uid_map"), uids)
}

/// Writes one of the maps; the names are those of the field and the file.
fn put_map(proc: &OwnedFd, pid: Pid, names: (&str, &str), mappings: &[IdMapping]) -> Result<()> {
    let text = lines(mappings);
    let explain = |error| map_error::explain(error, names, mappings, text.len(), proc);
    put(proc, pid, names.1, &text).map_err(explain)
}

fn put(proc: &OwnedFd, pid: Pid, file: &str, text: &str) -> Result<()> {
    let path = format!("{}/{file}", pid.as_raw_nonzero());
    let fd = openat(proc, path.as_str(), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
        .on(format_args!("openat /proc/{path}"))?;
    write(&fd, text.as_bytes()).on(format_args!("write /proc/{path}")).map(drop)
}

/// A mapping of one ID of the host to root.
pub(super) fn own(id: u32) -> IdMapping {
    IdMapping { container_id: 0, host_id: id, size: 1 }
}

/// Checks mappings. Without the capability (`any`) a process can map only its own ID (user_namespaces(7)), and needs help
/// for others: then its own ID is returned.
fn helped(field: &str, mappings: &[IdMapping], own: u32, any: bool) -> Result<Option<u32>> {
    if mappings.is_empty() {
        return Err(Error::invalid(format_args!(
            "{field}: missing or empty, and linux.namespaces has a new user namespace"
        )));
    }
    let single = matches!(mappings, [IdMapping { host_id, size: 1, .. }] if *host_id == own);
    Ok((!any && !single).then_some(own))
}

fn lines(mappings: &[IdMapping]) -> String {
    mappings.iter().map(|m| format!("{} {} {}\n", m.container_id, m.host_id, m.size)).collect()
}
