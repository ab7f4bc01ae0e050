//! Which setting of the host forbids new namespaces: it does not follow from the errors of clone3(2) and of later calls.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, statat};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::error::Error;
use crate::host;
use crate::os::{file, procfs};

/// The kinds of namespaces in the names of sysctls (namespaces(7), "The /proc/sys/user directory").
const LIMITS: [&str; 8] = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"];

/// Adds the cause to an error of the creation of a container. `user`: it has a new user namespace.
#[cold]
#[inline(never)]
pub fn explain(error: &mut Error, user: bool) {
    let creates = ["clone3", "unshare"].iter().any(|call| error.text().starts_with(call));
    let denied = error.is(Errno::PERM) || error.is(Errno::ACCESS);
    if creates && error.is(Errno::NOSPC) {
        error.append(format_args!(": {}", limit(&sysctl)));
    } else if let Some(why) = (creates && error.is(Errno::INVAL)).then(|| unknown(&is_there)).flatten() {
        error.append(format_args!(": {why}"));
    } else if let Some(why) = (user && denied).then(|| denial(creates, &sysctl)).flatten() {
        error.append(format_args!(": {why}"));
    }
}

/// A file of /proc/sys, if it exists.
fn sysctl(name: &str) -> Option<String> {
    let path = alloc::ffi::CString::new(format!("/proc/sys/{}", name.replace('.', "/"))).ok()?;
    let text = file::read(CWD, &path).ok()?;
    Some(String::from_utf8_lossy(&text).trim_ascii().into())
}

/// ENOSPC: a limit is reached, which may also be that of an outer user namespace.
fn limit(sysctl: &dyn Fn(&str) -> Option<String>) -> String {
    let names = LIMITS.iter().map(|kind| format!("user.max_{kind}_namespaces"));
    let zero: Vec<String> = names.filter(|name| sysctl(name).as_deref() == Some("0")).collect();
    match zero.as_slice() {
        [] => "a limit user.max_*_namespaces is reached, or namespaces are nested more than 32 deep".into(),
        names => format!("sysctl {} is 0", names.join(", ")),
    }
}

/// Whether the kernel has namespaces of this kind (namespaces(7), "The /proc/pid/ns/ directory"); true if that is unknown.
fn is_there(kind: &str) -> bool {
    let find = |proc: OwnedFd| statat(proc, format!("self/ns/{kind}"), AtFlags::SYMLINK_NOFOLLOW).map(drop);
    procfs::open().ok().map(find) != Some(Err(Errno::NOENT))
}

/// EINVAL: the kernel may not have namespaces of a kind, such as time namespaces on 32-bit ARM.
fn unknown(is_there: &dyn Fn(&str) -> bool) -> Option<String> {
    let missing: Vec<&str> = LIMITS.into_iter().filter(|kind| !is_there(kind)).collect();
    (!missing.is_empty()).then(|| format!("this kernel has no namespaces of kind {}", missing.join(", ")))
}

fn denial(creates: bool, sysctl: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let is = |name: &str, value: &str| sysctl(name).as_deref() == Some(value);
    // Of Debian and older Ubuntu.
    if creates && is("kernel.unprivileged_userns_clone", "0") {
        return Some("sysctl kernel.unprivileged_userns_clone is 0".into());
    }
    // Then a program without a profile gets no capabilities in its user namespace, or may not create one.
    let name = "kernel.apparmor_restrict_unprivileged_userns";
    if is(name, "1") {
        return Some(format!("sysctl {name} is 1: mote needs an AppArmor profile with the rule \"userns,\""));
    }
    if !is_mapped(geteuid().as_raw(), &own_map()) {
        return Some("mote's own user ID is not mapped in its user namespace".into());
    }
    if has_filter() {
        return Some("mote runs under a seccomp filter, which may deny it".into());
    }
    creates.then(|| "a security module denies user namespaces, or mote is in a chroot".into())
}

/// Whether a seccomp filter is in force for this process (proc_pid_status(5)).
fn has_filter() -> bool {
    let status = file::read(CWD, c"/proc/self/status").unwrap_or_default();
    String::from_utf8_lossy(&status).lines().any(|line| line == "Seccomp:\t2")
}

/// The UID map of this process's user namespace; empty if it is unknown.
fn own_map() -> Vec<[u32; 3]> {
    procfs::open().ok().and_then(|proc| host::own_map(&proc, "uid_map")).unwrap_or_default()
}

/// Whether an ID is mapped; true if the map is unknown.
fn is_mapped(id: u32, map: &[[u32; 3]]) -> bool {
    map.is_empty() || map.iter().any(|[first, _, count]| id.wrapping_sub(*first) < *count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings() {
        let with = |pairs: &'static [(&str, &str)]| {
            move |name: &str| pairs.iter().find(|pair| pair.0 == name).map(|pair| String::from(pair.1))
        };
        let zero = with(&[("user.max_user_namespaces", "0"), ("user.max_net_namespaces", "0")]);
        assert_eq!(limit(&zero), "sysctl user.max_user_namespaces, user.max_net_namespaces is 0");
        assert!(limit(&with(&[("user.max_user_namespaces", "5")])).contains("max_*"));
        assert_eq!(
            unknown(&|kind| kind != "time").as_deref(),
            Some("this kernel has no namespaces of kind time")
        );
        assert_eq!(unknown(&|_| true), None);
        let debian = with(&[("kernel.unprivileged_userns_clone", "0")]);
        assert!(denial(true, &debian).unwrap().ends_with("kernel.unprivileged_userns_clone is 0"));
        assert_eq!(denial(false, &debian), None);
        let ubuntu = with(&[("kernel.apparmor_restrict_unprivileged_userns", "1")]);
        assert!(denial(false, &ubuntu).unwrap().contains("apparmor_restrict_unprivileged_userns is 1"));
        assert_eq!(denial(false, &with(&[("kernel.apparmor_restrict_unprivileged_userns", "0")])), None);
        let is_mapped = |id, map| is_mapped(id, &host::parse_map(map));
        assert!(is_mapped(5, "         0          0 4294967295\n") && is_mapped(5, ""));
        assert!(is_mapped(1001, "0 5 1\n1000 9 2\n") && !is_mapped(1002, "0 5 1\n1000 9 2\n"));
    }
}
