//! What is known of a call that was refused: those for mounts since linux 5.2 answer vaguer than mount(2).

use core::fmt;

use linux_raw_sys::general as sys;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, fstat, fstatfs};
use rustix::io::{Errno, Result as Raw, read};

use crate::error::Error;
use crate::sys::mount::SetAttr;

/// move_mount(2): EINVAL where mount(2) says ENOTDIR, which callers look for.
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
        // A tree may not hold a mount namespace that is as old as the one that it is put into.
        (Errno::LOOP, ..) => {
            Error::system(errno, format_args!("move_mount (a mount namespace is pinned below the source)"))
        }
        _ => Error::system(errno, format_args!("move_mount")),
    }
}

/// open_tree(2), of `what`. `recursive` copies the same with all below it.
#[cold]
#[inline(never)]
pub fn copy(errno: Errno, what: fmt::Arguments<'_>, recursive: &dyn Fn() -> Raw<OwnedFd>) -> Error {
    let reason = match (errno, recursive()) {
        // Mounts of a more privileged user namespace hide what is beneath them, and stay where they are.
        (Errno::INVAL, Ok(_)) => {
            " (a user namespace may not leave out what is mounted below it: use \"rbind\")"
        }
        _ => "",
    };
    Error::system(errno, format_args!("open_tree {what}{reason}"))
}

/// mount_setattr(2): flags that a more privileged user namespace has set are locked.
#[cold]
#[inline(never)]
pub fn change(errno: Errno, tree: BorrowedFd<'_>, change: SetAttr) -> Error {
    let atime = u64::from(sys::MOUNT_ATTR__ATIME);
    let cleared = Flags(change.clear & !atime & current(tree));
    let what = format_args!("mount_setattr {change}");
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

/// `MOUNT_ATTR_*` that a mount has, as far as they can be locked but for access times.
fn current(tree: BorrowedFd<'_>) -> u64 {
    let flags = fstatfs(tree).map_or(0, |statfs| statfs.f_flags as u64);
    // `ST_*` of statfs(2) have the same numbers.
    let same =
        sys::MOUNT_ATTR_RDONLY | sys::MOUNT_ATTR_NOSUID | sys::MOUNT_ATTR_NODEV | sys::MOUNT_ATTR_NOEXEC;
    flags & u64::from(same)
}

/// fsopen(2) or fsconfig(2) with FSCONFIG_CMD_CREATE, of a type.
pub fn filesystem(errno: Errno, what: fmt::Arguments<'_>, kind: &core::ffi::CStr) -> Error {
    let reason = match (errno, kind.to_bytes()) {
        (Errno::NODEV, _) => "this kernel has no filesystem of that type",
        (Errno::PERM, b"sysfs") => "needs a network namespace that the user namespace owns",
        (Errno::PERM, b"proc") => "needs a pid namespace that the user namespace owns",
        (Errno::PERM, b"mqueue") => "needs an IPC namespace that the user namespace owns",
        (Errno::PERM, b"cgroup" | b"cgroup2") => "needs a cgroup namespace that the user namespace owns",
        (Errno::PERM, _) => "needs CAP_SYS_ADMIN in the first user namespace",
        _ => return Error::system(errno, format_args!("{what}")),
    };
    Error::system(errno, format_args!("{what} ({reason})"))
}

/// The kernel's own words for a refusal, which it leaves in the context: "tmpfs: Bad value for 'size'". Otherwise what
/// `known` makes of it.
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
    // One message at a time, from the oldest on: the last error is what ended it.
    while let Ok(count) = read(context.as_fd(), &mut space) {
        if space.starts_with(b"e ") || found.is_none() {
            found = Some((space, count));
        }
    }
    let Some((message, count)) = found else { return known(what) };
    let words = message.get(..count).unwrap_or_default();
    let words = words.get(2..).filter(|_| words.get(1) == Some(&b' ')).unwrap_or(words);
    let words = core::str::from_utf8(words.trim_ascii_end()).unwrap_or("?");
    Error::system(errno, format_args!("{what} ({words})"))
}

/// `MOUNT_ATTR_*` by the words of mount(8).
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

/// As strace(1) has it, in the words of mount(8).
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
    fn changes_in_words() {
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
