//! Which directory a process has as its root, in terms that can be written down and compared.

use core::fmt;

use rustix::fs::{AtFlags, CWD, StatxFlags, makedev, stat, statx};
use rustix::io::Errno;

use crate::error::{Error, Kind, On, Result};

/// A root directory: its mount, and the file that it is there (statx(2)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RootId {
    /// The mount's id, which is not given out again since linux 6.8 (STATX_MNT_ID_UNIQUE); 0 where the kernel does
    /// not tell it: before linux 5.8, or where statx is refused.
    pub mount: u64,
    pub device: u64,
    pub inode: u64,
}

/// What the root of a process that joins a container has to be.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    root: RootId,
    /// The same directory as the host's root: only the mount tells them apart.
    like_hosts: bool,
}

/// `STATX_MNT_ID_UNIQUE` of include/uapi/linux/stat.h. A kernel that does not know it passes it over.
const MNT_ID_UNIQUE: u32 = 0x4000;

impl RootId {
    /// Of this process's own root.
    pub fn own() -> Result<Self> {
        let wanted = StatxFlags::INO | StatxFlags::MNT_ID | StatxFlags::from_bits_retain(MNT_ID_UNIQUE);
        let (mount, device, inode) = match statx(CWD, c"/", AtFlags::empty(), wanted) {
            Ok(found) => (found.stx_mnt_id, makedev(found.stx_dev_major, found.stx_dev_minor), found.stx_ino),
            // A sandbox that knows it not.
            Err(Errno::NOSYS | Errno::PERM) => {
                let found = stat(c"/").on(format_args!("newfstatat /"))?;
                (0, found.st_dev, found.st_ino)
            }
            Err(errno) => return Err(Error::system(errno, format_args!("statx /"))),
        };
        Ok(RootId { mount, device, inode })
    }

    /// Reads what [`fmt::Display`] has written.
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
    /// On the host's side: `root` is the container's.
    pub fn new(root: RootId) -> Result<Self> {
        let own = RootId::own()?;
        Ok(Expected { root, like_hosts: (own.device, own.inode) == (root.device, root.inode) })
    }

    /// Inside: an error unless this process has that root now. A process of the container may have bound its root over
    /// itself, which changes the mount and nothing else.
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
