//! Unmounting of the host's mounts, if its root remains the first mount of the namespace (proc_pid_mountinfo(5)). They
//! are unmounted by path; paths begin at the host's root until chroot(2).

use core::ffi::CStr;
use core::iter;

use linux_raw_sys::general as sys;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, SeekFrom, StatxFlags, fstatfs, open, openat, seek, statx};
use rustix::io::{Errno, read};
use rustix::mount::{UnmountFlags, unmount};

use super::{mask, tree};
use crate::error::{At, Error, On, Result, Show};
use crate::os::procfs;

/// A line of mountinfo.
struct Mount<'l> {
    id: u64,
    /// The ID of the parent mount; its own ID for the first mount.
    parent: u64,
    /// The mount point.
    path: &'l CStr,
    kind: &'l [u8],
}

/// Whether this process's root is the first mount of its namespace.
pub fn root_is_first() -> Result<bool> {
    let (root, mut first) = (root_mount()?, false);
    each(&mountinfo()?, &mut |mount| {
        first |= mount.id == root && mount.parent == root;
        Ok(())
    })?;
    Ok(first)
}

/// Unmounts all mounts of the host except its root. If this is denied, in a user namespace that does not own the
/// mounts, each procfs and sysfs is covered instead: as long as one without masks is visible, the kernel permits a
/// process of the container to mount a new, unmasked one in a user namespace of its own (mount_namespaces(7)).
pub fn everything() -> Result<()> {
    let root = root_mount()?;
    // Opened before, because the procfs may be unmounted first.
    let file = mountinfo()?;
    loop {
        let (mut done, mut denied) = (false, false);
        each(&file, &mut |mount| {
            if mount.parent == root && mount.path != c"/" {
                // Several mounts may be stacked at a path; umount2 removes the topmost.
                let removed = (0..).take_while(|_| remove(mount.path)).count();
                done |= removed > 0;
                denied |= removed == 0;
            }
            Ok(())
        })?;
        match (done, denied) {
            (_, false) => return Ok(()),
            // Its path may have been below a mount that is removed now.
            (true, true) => {}
            (false, true) => return each(&file, &mut |mount| cover(&mount)),
        }
    }
}

fn remove(path: &CStr) -> bool {
    unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).is_ok()
}

/// Mounts an empty tmpfs over a procfs or sysfs. One that is hidden by another mount is ignored.
fn cover(mount: &Mount<'_>) -> Result<()> {
    if !matches!(mount.kind, b"proc" | b"sysfs") {
        return Ok(());
    }
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(place) = open(mount.path, flags, Mode::empty()) else { return Ok(()) };
    let magic = fstatfs(&place).on(format_args!("fstatfs"))?.f_type as u64;
    match [sys::PROC_SUPER_MAGIC, sys::SYSFS_MAGIC].iter().any(|one| u64::from(*one) == magic) {
        true => {
            let (_, empty) = tree::filesystem(c"tmpfs", c"tmpfs", iter::empty(), mask::HIDDEN.into())?;
            tree::attach_at_path(empty.as_fd(), mount.path).at(format_args!("{}", Show(mount.path)))
        }
        false => Ok(()),
    }
}

/// The size of the buffer, enough for a line up to the filesystem type. The options after it may be longer.
const SPACE: usize = 16 * 1024;

/// Calls a function for each mount that is reachable from this process's root. No memory is allocated.
#[cold]
#[inline(never)]
fn each(file: &OwnedFd, visit: &mut dyn FnMut(Mount<'_>) -> Result<()>) -> Result<()> {
    seek(file, SeekFrom::Start(0)).on(format_args!("lseek mountinfo"))?;
    let mut space = [0u8; SPACE];
    let (mut filled, mut skip) = (0, false);
    loop {
        let free = space.get_mut(filled..).unwrap_or_default();
        let count = read(file, free).on(format_args!("read mountinfo"))?;
        filled += count;
        let mut begin = 0;
        while let Some(line) = line(space.get(begin..filled).unwrap_or_default()) {
            begin += line.len() + 1;
            if !core::mem::take(&mut skip) {
                visit_line(line, visit)?;
            }
        }
        if count == 0 {
            return Ok(());
        }
        if begin == 0 && filled == SPACE {
            // The line is longer than the buffer: the fields that are needed are at its beginning.
            if !core::mem::replace(&mut skip, true) {
                visit_line(&space, visit)?;
            }
            begin = filled;
        }
        space.copy_within(begin..filled, 0);
        filled -= begin;
    }
}

/// The first line, if it is complete.
fn line(bytes: &[u8]) -> Option<&[u8]> {
    bytes.iter().position(|byte| *byte == b'\n').and_then(|end| bytes.get(..end))
}

fn mountinfo() -> Result<OwnedFd> {
    let file = openat(procfs::open()?, c"self/mountinfo", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    file.on(format_args!("openat /proc/self/mountinfo"))
}

fn visit_line(line: &[u8], visit: &mut dyn FnMut(Mount<'_>) -> Result<()>) -> Result<()> {
    let mut path = [0u8; super::path_text::PATH_MAX];
    match parse(line, &mut path) {
        Some(mount) => visit(mount),
        None => Err(Error::invalid(format_args!("mountinfo: {}", line.escape_ascii()))),
    }
}

/// Parses `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw`.
fn parse<'l>(line: &'l [u8], space: &'l mut [u8]) -> Option<Mount<'l>> {
    let mut fields = line.split(|byte| *byte == b' ');
    let number = |word: &[u8]| core::str::from_utf8(word).ok()?.parse().ok();
    let (id, parent) = (number(fields.next()?)?, number(fields.next()?)?);
    let path = unescaped(fields.nth(2)?, space)?;
    fields.find(|word| *word == b"-")?;
    Some(Mount { id, parent, path, kind: fields.next()? })
}

/// Unescapes a path: blanks, newlines and backslashes are written as `\` and three octal digits.
fn unescaped<'s>(text: &[u8], space: &'s mut [u8]) -> Option<&'s CStr> {
    let mut rest = text;
    let mut places = space.iter_mut();
    while let [first, more @ ..] = rest {
        let (byte, after) = match (first, more) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                ((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'), after)
            }
            _ => (*first, more),
        };
        *places.next()? = byte;
        rest = after;
    }
    *places.next()? = 0;
    CStr::from_bytes_until_nul(space).ok()
}

/// The mount ID of this process's root, as in mountinfo. Errors: ENOSYS before linux 5.8.
fn root_mount() -> Result<u64> {
    let found = statx(CWD, c"/", AtFlags::empty(), StatxFlags::MNT_ID).on(format_args!("statx /"))?;
    match StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::MNT_ID) {
        true => Ok(found.stx_mnt_id),
        false => Err(Error::system(Errno::NOSYS, format_args!("statx / STATX_MNT_ID"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let mut space = [0xff; 64];
        let line = b"36 35 98:0 /a\\040b /mnt\\040x\\134\\012 rw,noatime master:1 - ext3 /dev/root rw";
        let mount = parse(line, &mut space).unwrap();
        assert_eq!((mount.id, mount.parent, mount.path), (36, 35, c"/mnt x\\\n"));
        assert_eq!(mount.kind, b"ext3");
        let mount =
            parse(b"1 1 0:2 / / rw - rootfs rootfs rw", &mut space).map(|mount| (mount.id, mount.parent));
        assert_eq!(mount, Some((1, 1)));
        for bad in [&b"36 35 98:0 / /mnt rw"[..], b"x 35 98:0 / /mnt rw - ext3 x rw", b""] {
            assert!(parse(bad, &mut space).is_none());
        }
        assert!(unescaped(b"/four", &mut [0; 5]).is_none());
    }

    /// The mounts of the test itself.
    #[test]
    fn all_of_this_process() {
        let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mut ids = std::vec::Vec::new();
        each(&mountinfo().unwrap(), &mut |mount| {
            ids.push(mount.id);
            Ok(())
        })
        .unwrap();
        let lines = text.lines().map(|line| line.split(' ').next().unwrap().parse().unwrap());
        assert_eq!(ids, lines.collect::<std::vec::Vec<u64>>());
    }
}
