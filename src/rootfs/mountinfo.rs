//! The mounts of this process's mount namespace, and the mount of a file (proc_pid_mountinfo(5), proc_pid_fdinfo(5)).

use core::ffi::CStr;

use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags, SeekFrom, StatxFlags, openat, seek, statx};
use rustix::io::read;
use rustix::path::DecInt;

use super::path_text::join;
use crate::error::{Error, On, Result};
use crate::os::procfs;

/// A line of mountinfo.
pub struct Mount<'l> {
    pub id: u64,
    /// The ID of the parent mount; its own ID for the first mount.
    pub parent: u64,
    /// The device number of the filesystem, `major:minor`.
    pub device: &'l [u8],
    /// The directory of the filesystem that is mounted; blanks are escaped.
    pub root: &'l [u8],
    /// The mount point.
    pub path: &'l CStr,
    pub kind: &'l [u8],
}

/// The size of the buffer, enough for a line up to the filesystem type. The options after it may be longer.
const SPACE: usize = 16 * 1024;

/// Calls a function for each mount that is reachable from this process's root. No memory is allocated.
#[cold]
#[inline(never)]
pub fn each(file: &OwnedFd, visit: &mut dyn FnMut(Mount<'_>) -> Result<()>) -> Result<()> {
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

/// Opens mountinfo of this process.
pub fn mountinfo() -> Result<OwnedFd> {
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
    let (device, root) = (fields.next()?, fields.next()?);
    let path = unescaped(fields.next()?, space)?;
    fields.find(|word| *word == b"-")?;
    Some(Mount { id, parent, device, root, path, kind: fields.next()? })
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

/// The ID of the mount on which a file descriptor was opened, as in mountinfo: from statx(2) (linux 5.8), or if that is
/// denied from fdinfo, which a process in a new user namespace may not open.
pub fn mount_id(fd: BorrowedFd<'_>) -> Result<u64> {
    match statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID) {
        Ok(found) if found.stx_mask & StatxFlags::MNT_ID.bits() != 0 => Ok(found.stx_mnt_id),
        _ => mount_id_of_fdinfo(fd),
    }
}

fn mount_id_of_fdinfo(fd: BorrowedFd<'_>) -> Result<u64> {
    let mut space = [0u8; super::path_text::PATH_MAX];
    let number = DecInt::new(fd.as_raw_fd());
    let path = join(&mut space, &[b"self/fdinfo/", number.as_bytes()]).on(format_args!("fdinfo"))?;
    let file = openat(procfs::open()?, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .on(format_args!("openat /proc/self/fdinfo"))?;
    let mut text = [0u8; 256];
    let count = read(&file, &mut text).on(format_args!("read fdinfo"))?;
    parse_mount_id(text.get(..count).unwrap_or_default())
        .ok_or_else(|| Error::invalid(format_args!("/proc/self/fdinfo: no mnt_id")))
}

pub fn parse_mount_id(text: &[u8]) -> Option<u64> {
    let id = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"mnt_id:\t"))?;
    core::str::from_utf8(id).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fd::AsFd;

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

    #[test]
    fn mount_of_a_file() {
        assert_eq!(parse_mount_id(b"pos:\t0\nflags:\t010000000\nmnt_id:\t21\nino:\t2\n"), Some(21));
        assert_eq!(parse_mount_id(b"pos:\t0\nmnt_id:\t\n"), None);
        assert_eq!(parse_mount_id(b""), None);
        let root = rustix::fs::open(c"/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        assert_eq!(mount_id(root.as_fd()).unwrap(), mount_id_of_fdinfo(root.as_fd()).unwrap());
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
