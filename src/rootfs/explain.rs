//! Reasons for errors of the mount API of linux 5.2, whose error numbers are less specific than those of mount(2).

use core::fmt;

use linux_raw_sys::general as sys;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, fstat, fstatfs};
use rustix::io::{Errno, Result as Raw, read};

use crate::error::{Error, Show};
use crate::sys::mount::SetAttr;

/// The error of move_mount(2): EINVAL is replaced by ENOTDIR, which mount(2) returns and engines match on, if a
/// directory was to be attached to a file or the reverse.
#[cold]
#[inline(never)]
pub fn attach(errno: Errno, tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Error {
    let is_directory =
        |fd| fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
    match (errno, is_directory(tree), is_directory(target)) {
        (Errno::INVAL, true, false) => {
            Error::system(Errno::NOTDIR, format_args!("move_mount of a directory onto a file"))
        }
        (Errno::INVAL, false, true) => {
            Error::system(Errno::NOTDIR, format_args!("move_mount of a file onto a directory"))
        }
        // The tree contains a bind mount of a mount namespace (/proc/PID/ns/mnt). The kernel permits it only in an
        // older mount namespace, so that namespaces cannot keep each other in existence (`check_for_nsfs_mounts`).
        (Errno::LOOP, ..) => {
            Error::system(errno, format_args!("move_mount (a mount namespace is pinned below the source)"))
        }
        _ => Error::system(errno, format_args!("move_mount")),
    }
}

/// The error of open_tree(2) of `what`. `recursive` tries the same with AT_RECURSIVE.
#[cold]
#[inline(never)]
pub fn copy(errno: Errno, what: fmt::Arguments<'_>, recursive: &dyn Fn() -> Raw<OwnedFd>) -> Error {
    let reason = match (errno, recursive()) {
        // Mounts from a more privileged user namespace are locked together: a copy without them would reveal what
        // they cover (mount_namespaces(7)).
        (Errno::INVAL, Ok(_)) => " (mounts below it are locked in a user namespace: use \"rbind\")",
        _ => "",
    };
    Error::system(errno, format_args!("open_tree {what}{reason}"))
}

/// The error of mount_setattr(2), or of another call for the same change: flags that were set in a more privileged user
/// namespace are locked.
#[cold]
#[inline(never)]
pub fn change(errno: Errno, call: &str, tree: BorrowedFd<'_>, change: SetAttr) -> Error {
    let atime = u64::from(sys::MOUNT_ATTR__ATIME);
    let cleared = Flags(change.clear & !atime & current(tree));
    let what = format_args!("{call} {change}");
    match errno {
        Errno::PERM if cleared.0 != 0 => {
            Error::system(errno, format_args!("{what} (a user namespace may not clear {cleared})"))
        }
        Errno::PERM if change.clear & atime != 0 => {
            let rule = "the rule for access times";
            Error::system(errno, format_args!("{what} (a user namespace may not change {rule})"))
        }
        _ => Error::system(errno, what),
    }
}

/// The flags of a mount that can be locked, `MOUNT_ATTR_*`, except those of access times.
fn current(tree: BorrowedFd<'_>) -> u64 {
    let flags = fstatfs(tree).map_or(0, |statfs| statfs.f_flags as u64);
    // `ST_*` of statfs(2) have the same values.
    let same =
        sys::MOUNT_ATTR_RDONLY | sys::MOUNT_ATTR_NOSUID | sys::MOUNT_ATTR_NODEV | sys::MOUNT_ATTR_NOEXEC;
    flags & u64::from(same)
}

/// The error of fsopen(2), or of fsconfig(2) with FSCONFIG_CMD_CREATE, for a filesystem type.
pub fn filesystem(errno: Errno, what: fmt::Arguments<'_>, kind: &core::ffi::CStr) -> Error {
    let reason = match (errno, kind.to_bytes()) {
        (Errno::NODEV, _) => "this kernel has no filesystem of that type",
        (Errno::PERM, b"sysfs") => "needs a network namespace that the user namespace owns",
        (Errno::PERM, b"proc") => "needs a pid namespace that the user namespace owns",
        (Errno::PERM, b"mqueue") => "needs an IPC namespace that the user namespace owns",
        (Errno::PERM, b"cgroup" | b"cgroup2") => "needs a cgroup namespace that the user namespace owns",
        (Errno::PERM, _) => "needs CAP_SYS_ADMIN in the initial user namespace",
        _ => return Error::system(errno, format_args!("{what}")),
    };
    Error::system(errno, format_args!("{what} ({reason})"))
}

/// The error of fsmount(2) for a new filesystem. EPERM for a procfs or sysfs: see `visible.rs`.
#[cold]
#[inline(never)]
pub fn new_mount(made: &OwnedFd, errno: Errno, kind: &core::ffi::CStr) -> Error {
    let what = format_args!("fsmount {}", Show(kind));
    let path = match kind.to_bytes() {
        b"proc" => "/proc",
        b"sysfs" => "/sys",
        _ => "",
    };
    if errno != Errno::PERM || path.is_empty() {
        return context(made, errno, what, |what| Error::system(errno, what));
    }
    let reason = format_args!(
        "the host's {path} is missing or partly covered, and a user namespace may not reveal more: \
         unmask its paths, or use a bind mount of {path}"
    );
    Error::system(errno, format_args!("{what} ({reason})"))
}

/// An error with the kernel's message from the log of an fsopen(2) context, such as "tmpfs: Bad value for 'size'"; if
/// the log is empty, the error that `known` makes of `what`.
#[cold]
#[inline(never)]
pub fn context(
    context: &OwnedFd,
    errno: Errno,
    what: fmt::Arguments<'_>,
    known: impl FnOnce(fmt::Arguments<'_>) -> Error,
) -> Error {
    let mut space = [0u8; 256];
    let mut found = None;
    // Each read returns one message, the oldest first. The last error message is the cause.
    while let Ok(count) = read(context.as_fd(), &mut space) {
        if space.starts_with(b"e ") || found.is_none() {
            found = Some((space, count));
        }
    }
    let Some((message, count)) = found else { return known(what) };
    let text = message.get(..count).unwrap_or_default();
    let text = text.get(2..).filter(|_| text.get(1) == Some(&b' ')).unwrap_or(text);
    let text = core::str::from_utf8(text.trim_ascii_end()).unwrap_or("?");
    Error::system(errno, format_args!("{what} ({text})"))
}

/// `MOUNT_ATTR_*` with the option names of mount(8).
struct Flags(u64);

static FLAGS: [(u32, &str); 8] = [
    (sys::MOUNT_ATTR_RDONLY, "ro"),
    (sys::MOUNT_ATTR_NOSUID, "nosuid"),
    (sys::MOUNT_ATTR_NODEV, "nodev"),
    (sys::MOUNT_ATTR_NOEXEC, "noexec"),
    (sys::MOUNT_ATTR_NOATIME, "noatime"),
    (sys::MOUNT_ATTR_STRICTATIME, "strictatime"),
    (sys::MOUNT_ATTR_NODIRATIME, "nodiratime"),
    (sys::MOUNT_ATTR_NOSYMFOLLOW, "nosymfollow"),
];

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = FLAGS.iter().filter(|(flag, _)| self.0 & u64::from(*flag) != 0);
        for (index, (_, name)) in names.enumerate() {
            write!(f, "{}{name}", if index > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

/// The arguments of mount_setattr(2), with the option names of mount(8).
impl fmt::Display for SetAttr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clear = self.clear & !u64::from(sys::MOUNT_ATTR__ATIME);
        let propagation = match self.propagation as u32 {
            sys::MS_SHARED => "shared",
            sys::MS_SLAVE => "slave",
            sys::MS_PRIVATE => "private",
            sys::MS_UNBINDABLE => "unbindable",
            _ => "",
        };
        let atime = if self.clear == clear { "" } else { "atime" };
        let comma = if clear != 0 && !atime.is_empty() { "," } else { "" };
        let mut space = if self.recursive { "AT_RECURSIVE" } else { "" };
        f.write_str(space)?;
        for (name, given, value) in [
            ("set ", self.set != 0, format_args!("{}", Flags(self.set))),
            ("clear ", self.clear != 0, format_args!("{}{comma}{atime}", Flags(clear))),
            ("", self.propagation != 0, format_args!("{propagation}")),
        ] {
            if given {
                let between = if space.is_empty() { "" } else { " " };
                write!(f, "{between}{name}{value}")?;
                space = " ";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn changes_as_text() {
        let change = SetAttr::default();
        for (change, text) in [
            (SetAttr { set: 5, ..change }, "set ro,nodev"),
            (SetAttr { clear: 2, recursive: true, ..change }, "AT_RECURSIVE clear nosuid"),
            (SetAttr { set: 0x10, clear: 0x70, ..change }, "set noatime clear atime"),
            (SetAttr { clear: 0x78, propagation: 1 << 18, ..change }, "clear noexec,atime private"),
        ] {
            assert_eq!(change.to_string(), text);
        }
    }
}
