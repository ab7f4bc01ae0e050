//! Open descriptors at execve: 0, 1, 2, those asked for, and no other (CVE-2016-9962, CVE-2024-21626).

use rustix::fd::RawFd;
use rustix::fs::{FileType, Gid, Uid, fchown, fstat};
use rustix::io::Errno;

use crate::error::{On, Result};
use crate::sys::fd::{close_all_from, inherited};

/// How many descriptors after the standard three the container gets (`--preserve-fds`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan {
    pub preserved: u32,
}

impl Plan {
    /// Gives the standard descriptors to the user and its group, so that programs can open /dev/stdout again. Not
    /// devices: those belong to whoever has them. What cannot be given is not mote's to judge.
    pub fn give_standard(self, user: Uid, group: Gid) -> Result<()> {
        for number in 0..3 {
            let Some(fd) = inherited(number) else { continue };
            let stat = fstat(fd).on(format_args!("fstat {number}"))?;
            let kind = FileType::from_raw_mode(stat.st_mode);
            if stat.st_uid == user.as_raw()
                || matches!(kind, FileType::CharacterDevice | FileType::BlockDevice)
            {
                continue;
            }
            match fchown(fd, Some(user), Some(group)) {
                Ok(()) | Err(Errno::PERM | Errno::ROFS | Errno::INVAL) => {}
                given => given.on(format_args!("fchown {number}"))?,
            }
        }
        Ok(())
    }

    /// Closes all others, also those that whoever started mote left open, but for mote's own lines to the
    /// outside, which execve closes.
    pub fn apply(self, lines: &mut [RawFd]) -> Result<()> {
        let first = RawFd::try_from(self.preserved).unwrap_or(RawFd::MAX - 3) + 3;
        close_all_from(first, lines).on(format_args!("close_range {first}"))
    }
}
