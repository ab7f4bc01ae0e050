//! The file descriptors that are open at execve: 0, 1, 2 and those of `--preserve-fds`, and no others (CVE-2016-9962,
//! CVE-2024-21626).

use rustix::fd::RawFd;
use rustix::fs::{FileType, Gid, Uid, fchown, fstat};
use rustix::io::Errno;

use crate::error::{On, Result};
use crate::sys::fd::{close_all_from, inherited};

/// The number of file descriptors from 3 on that the container inherits (`--preserve-fds`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan {
    pub preserved: u32,
}

impl Plan {
    /// Changes the owner of the files of the standard file descriptors to the user and its group, so that programs can
    /// open /dev/stdout. Devices keep their owner. It is not an error if the kernel denies the change, or the
    /// filesystem does not support it.
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

    /// Closes all other file descriptors, including those that mote has inherited, except `kept`: the sockets and pipes
    /// that mote still needs, which execve closes.
    pub fn apply(self, kept: &mut [RawFd]) -> Result<()> {
        let first = RawFd::try_from(self.preserved).unwrap_or(RawFd::MAX - 3) + 3;
        close_all_from(first, kept).on(format_args!("close_range {first}"))
    }
}
