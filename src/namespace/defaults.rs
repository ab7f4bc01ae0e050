//! What the configuration of an unprivileged user may omit: the user namespace, which owns all other namespaces of the
//! container, and its ID mappings (subuid(5), subgid(5)).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;

use linux_raw_sys::general::{CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN};
use rustix::fs::CWD;

use super::id_helper::{IdHelper, NEWGIDMAP, NEWUIDMAP};
use super::map_error::MAX_EXTENTS;
use super::user::own;
use crate::config::Config;
use crate::config::linux::{IdMapping, Linux, Namespace, NamespaceKind};
use crate::error::{Error, Kind};
use crate::host::{Host, user_name};
use crate::os::file;

/// Adds a user namespace if there is none and the caller may not create the others without: returns whether it was
/// added. Adds the mappings of a new user namespace if there are none.
///
/// The mappings are the caller's own ID as root, followed by its ranges in /etc/subuid and /etc/subgid. Without ranges,
/// or if newuidmap(1) and newgidmap(1) cannot get privileges, nothing is added: then only the own ID is mapped.
pub fn complete(config: &mut Config<'_>, host: &Host, warnings: &mut Vec<Error>) -> bool {
    let linux = &mut config.linux;
    let has_user = linux.namespaces.iter().any(|namespace| namespace.kind == NamespaceKind::User);
    let adds = !has_user && !host.has(CAP_SYS_ADMIN);
    if adds {
        linux.add_user_namespace();
        let text = format_args!("linux.namespaces: a user namespace is added: mote has no CAP_SYS_ADMIN");
        warnings.push(Error::new(Kind::Remark, text));
    }
    let is_new = |one: &Namespace<'_>| one.kind == NamespaceKind::User && one.path.is_none();
    let may_map = host.has(CAP_SETUID) && host.has(CAP_SETGID);
    let has_maps = !linux.uid_mappings.is_empty() || !linux.gid_mappings.is_empty();
    if !may_map && !has_maps && linux.namespaces.iter().any(is_new) {
        add_mappings(linux, host);
    }
    if adds {
        remove_unmapped_groups(config);
    }
    adds
}

/// Removes `gid=5` of devpts, which each configuration for root has, if the group is not mapped: group 0 owns terminals
/// then.
#[cold]
#[inline(never)]
fn remove_unmapped_groups(config: &mut Config<'_>) {
    let groups = &config.linux.gid_mappings;
    let is_mapped = |id: u32| IdMapping::to_host(groups, id).is_some();
    for mount in config.mounts.iter_mut().filter(|mount| mount.kind == Some(c"devpts")) {
        let group = |option: &CStr| option.to_str().ok()?.strip_prefix("gid=")?.parse().ok();
        mount.options.retain(|option| group(option).is_none_or(is_mapped));
    }
}

#[cold]
#[inline(never)]
fn add_mappings(linux: &mut Linux<'_>, host: &Host) {
    let name = user_name(host.uid);
    let ranges = |helper: &IdHelper, id: u32| {
        let text = file::read(CWD, helper.file).ok().filter(|_| helper.gets_privileges())?;
        let mappings = mappings(&String::from_utf8_lossy(&text), host.uid, name.as_deref(), id);
        (mappings.len() > 1).then_some(mappings)
    };
    let (uids, gids) = (ranges(&NEWUIDMAP, host.uid), ranges(&NEWGIDMAP, host.gid));
    if uids.is_some() || gids.is_some() {
        linux.uid_mappings = uids.unwrap_or_else(|| alloc::vec![own(host.uid)]);
        linux.gid_mappings = gids.unwrap_or_else(|| alloc::vec![own(host.gid)]);
    }
}

/// The caller's ID `id` as 0, and all ranges of the user in lines `USER:FIRST:COUNT`, where USER is a name or a UID. Ranges that
/// overlap others are ignored, because the kernel rejects them.
fn mappings(text: &str, uid: u32, name: Option<&str>, id: u32) -> Vec<IdMapping> {
    let number = format!("{uid}");
    let mut list = alloc::vec![own(id)];
    for line in text.lines() {
        let mut fields = line.trim_ascii().split(':');
        let user = fields.next();
        if user != Some(&number) && (name.is_none() || user != name) {
            continue;
        }
        let mut number = || fields.next()?.parse::<u32>().ok();
        let (Some(host_id), Some(size @ 1..)) = (number(), number()) else { continue };
        let container_id = list.last().map_or(0, |last| last.container_id + last.size);
        let end = |first: u32| first.checked_add(size).is_some();
        let is_apart = |one: &IdMapping| host_id >= one.host_id + one.size || one.host_id >= host_id + size;
        if list.len() < MAX_EXTENTS && end(host_id) && end(container_id) && list.iter().all(is_apart) {
            list.push(IdMapping { container_id, host_id, size });
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_a_user() {
        let of = |text: &str| {
            let list = mappings(text, 1000, Some("me"), 1000);
            let list = list.iter().map(|map| (map.container_id, map.host_id, map.size));
            list.skip(1).collect::<Vec<_>>()
        };
        assert_eq!(
            of("me:100000:65536\n1000:300000:10\nyou:5:6\n"),
            [(1, 100_000, 65536), (65537, 300_000, 10)]
        );
        assert_eq!(of("# me\n\nme\nme:x:1\nme:1:\nme:5:0\nme:-1:5\nme:5:3:9"), [(1, 5, 3)]);
        assert_eq!(of("me:900:101\nme:100:10\nme:109:5\nme:95:6\nme:110:1"), [(1, 100, 10), (11, 110, 1)]);
        assert_eq!(of("me:4294967295:1\nme:4294967294:1\nme:2000:4294965295"), [(1, 4_294_967_294, 1)]);
        assert_eq!(mappings("me:1:2", 1000, None, 7).len(), 1);
    }
}
