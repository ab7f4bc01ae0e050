//! Identities that are recorded and compared later: of a process's root directory, in the state directory, and of the
//! tmpfs that an entry of `mounts` created.

use core::cell::Cell;
use core::ffi::CStr;
use core::fmt;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Stat, StatxFlags, fstat, makedev, statat, statx};
use rustix::io::Errno;

use crate::error::{Error, Kind, On, Result};

/// A root directory: its mount ID, device and inode (statx(2)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RootId {
    /// The mount ID, which is never reused since linux 6.8 (STATX_MNT_ID_UNIQUE); 0 if it is unknown: before linux 5.8,
    /// or if statx is denied.
    pub mount: u64,
    pub device: u64,
    pub inode: u64,
}

/// The root directory that a process must have after it joined a container.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    root: RootId,
    /// Whether it is the same directory as the host's root, so that only the mount IDs differ.
    like_hosts: bool,
}

/// `STATX_MNT_ID_UNIQUE` of include/uapi/linux/stat.h. Older kernels ignore it.
const MNT_ID_UNIQUE: u32 = 0x4000;

impl RootId {
    /// The root of the calling process.
    pub fn own() -> Result<Self> {
        RootId::read(CWD, c"/", AtFlags::empty())
    }

    /// A root directory that is open.
    #[cold]
    #[inline(never)]
    pub fn of(root: &OwnedFd) -> Result<Self> {
        RootId::read(root.as_fd(), c"", AtFlags::EMPTY_PATH)
    }

    #[inline(always)] // Into `own`: see scripts/layout.ld.
    fn read(directory: BorrowedFd<'_>, path: &CStr, flags: AtFlags) -> Result<Self> {
        let wanted = StatxFlags::INO | StatxFlags::MNT_ID | StatxFlags::from_bits_retain(MNT_ID_UNIQUE);
        let (mount, device, inode) = match statx(directory, path, flags, wanted) {
            Ok(found) => (found.stx_mnt_id, makedev(found.stx_dev_major, found.stx_dev_minor), found.stx_ino),
            // A seccomp filter without statx.
            Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => {
                let found = statat(directory, path, flags).on(format_args!("newfstatat /"))?;
                (0, found.st_dev, found.st_ino)
            }
            Err(errno) => return Err(Error::system(errno, format_args!("statx /"))),
        };
        Ok(RootId { mount, device, inode })
    }

    /// Parses the format of [`fmt::Display`]: three decimal numbers.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(' ').map(str::parse);
        let mut next = || numbers.next()?.ok();
        Some(RootId { mount: next()?, device: next()?, inode: next()? })
    }
}

impl fmt::Display for RootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.mount, self.device, self.inode)
    }
}

impl Expected {
    /// Called in the parent, whose root is the host's; `root` is that of the container.
    pub fn new(root: RootId) -> Result<Self> {
        let own = RootId::own()?;
        Ok(Expected { root, like_hosts: (own.device, own.inode) == (root.device, root.inode) })
    }

    /// Checks the root of the calling process, after it joined the container. Mount IDs are compared only if necessary:
    /// a process of the container may have bind-mounted its root over itself, which changes nothing else.
    pub fn check(&self) -> Result<()> {
        let (found, root) = (RootId::own()?, &self.root);
        let same_file = (found.device, found.inode) == (root.device, root.inode);
        let same_mount = found.mount == root.mount || found.mount == 0 || root.mount == 0;
        match same_file && (same_mount || !self.like_hosts) {
            true => Ok(()),
            false => Err(Error::new(
                Kind::State,
                format_args!("/ is not the root that the container was created with: {found}, not {root}"),
            )),
        }
    }
}

/// A tmpfs that is not mounted outside of the container, because it was created for it.
#[derive(Default)]
pub struct TmpfsId {
    /// The device number; 0 until it is recorded.
    device: Cell<u64>,
}

impl TmpfsId {
    /// Records a new tmpfs, of which `tree` is the mount.
    pub fn record(&self, tree: &OwnedFd) -> Result<()> {
        self.device.set(fstat(tree).on(format_args!("fstat"))?.st_dev);
        Ok(())
    }

    /// Whether a file is on the recorded tmpfs.
    pub fn contains(&self, file: &Stat) -> bool {
        file.st_dev == self.device.get()
    }
}

impl fmt::Debug for TmpfsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("-")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn text() {
        let root = RootId { mount: u64::MAX, device: 8 << 8 | 1, inode: 2 };
        assert_eq!(RootId::parse(&root.to_string()), Some(root));
        for bad in ["", "1 2", "1 2 x", "-1 2 3"] {
            assert_eq!(RootId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn own_root() {
        let own = RootId::own().unwrap();
        Expected::new(own).unwrap().check().unwrap();
        let elsewhere = RootId { inode: own.inode + 1, ..own };
        assert!(Expected::new(elsewhere).unwrap().check().is_err());
        // The same directory by another mount: a container whose root.path is the host's root.
        let by_another = RootId { mount: own.mount + 1, ..own };
        assert!(Expected::new(by_another).unwrap().check().is_err());
    }
}
