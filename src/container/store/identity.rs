//! A container's process by more than its number: numbers are given out again.
//!
//! A pidfd's inode is a process's alone for as long as the machine runs (pidfs, linux 6.9). Before that,
//! the time it was started, in clock ticks since boot (proc_pid_stat(5), field 22), is as good as there is.

use alloc::format;

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, fstat, fstatfs, openat};
use rustix::io::{Errno, read};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::error::{Error, Kind, On, Result};
use crate::os::procfs;
use crate::sys::end::End;
use crate::sys::pidfd;

/// `PID_FS_MAGIC` of include/uapi/linux/magic.h.
const PID_FS_MAGIC: u64 = 0x5049_4446;

/// Which process it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// 0 for none (yet).
    pub pid: i32,
    /// Of the pidfd; 0 when the kernel has no pidfs.
    pub inode: u64,
    /// Read only when there is no inode; else 0.
    pub start_time: u64,
}

impl Identity {
    /// Of a process that is there.
    pub fn of(pid: Pid, pidfd: &OwnedFd) -> Result<Self> {
        let pid = pid.as_raw_nonzero().get();
        let inode = inode(pidfd)?;
        let start_time = if inode == 0 { start_time(pid)? } else { 0 };
        Ok(Identity { pid, inode, start_time })
    }

    /// The process, if it still lives: a zombie does not.
    pub fn open(&self) -> Result<Option<OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(None) };
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            // EINVAL: the number is a thread's now.
            Err(Errno::SRCH | Errno::INVAL) => return Ok(None),
            pidfd => pidfd.on(format_args!("pidfd_open {}", self.pid))?,
        };
        let same = match self.inode {
            0 => start_time(self.pid).is_ok_and(|time| time == self.start_time),
            // It came from a pidfs, so this pidfd is in it.
            inode => fstat(&pidfd).on(format_args!("fstat pidfd"))?.st_ino == inode,
        };
        Ok(Some(pidfd).filter(|pidfd| same && !pidfd::has_ended(pidfd)))
    }

    /// Whether it is the first of a pid namespace, with which all processes there end (pid_namespaces(7)); not when it
    /// has ended. `process` is its pidfd.
    pub fn leads_pid_namespace(&self, process: &OwnedFd) -> bool {
        let mut space = [0u8; 4096];
        let is_first = procfs::read_process_file(self.pid, "status", &mut space).is_ok_and(is_first);
        is_first && !pidfd::has_ended(process)
    }
}

/// After something was read about a process by its number in /proc: an error unless it was this one, which has to live still,
/// since the number of one that has ended is given out again.
pub fn check_alive(process: &OwnedFd, pid: i32) -> Result<()> {
    match pidfd::has_ended(process) {
        true => {
            Err(Error::new(Kind::State, format_args!("container not running: its process {pid} has ended")))
        }
        false => Ok(()),
    }
}

/// Whether the last of the process's numbers, from the outermost namespace to its own, is 1 (proc_pid_status(5), NSpid).
fn is_first(status: &[u8]) -> bool {
    let numbers = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"NSpid:"));
    numbers.is_some_and(|numbers| numbers.ends_with(b"\t1"))
}

fn inode(pidfd: &OwnedFd) -> Result<u64> {
    let magic = fstatfs(pidfd).on(format_args!("fstatfs pidfd"))?.f_type;
    match magic as u64 == PID_FS_MAGIC {
        true => Ok(fstat(pidfd).on(format_args!("fstat pidfd"))?.st_ino),
        false => Ok(0),
    }
}

fn start_time(pid: i32) -> Result<u64> {
    let mut space = [0u8; 1024];
    parse_start_time(procfs::read_process_file(pid, "stat", &mut space)?)
        .ok_or_else(|| Error::invalid(format_args!("/proc/{pid}/stat is not understood")))
}

fn parse_start_time(stat: &[u8]) -> Option<u64> {
    field(stat, 22)?.parse().ok()
}

/// A field, from the third on, by its number in proc_pid_stat(5). The second, a name in parentheses, may have anything
/// inside: fields are counted from its end.
fn field(stat: &[u8], number: usize) -> Option<&str> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = stat.trim_ascii_end().get(end + 2..)?.split(|byte| *byte == b' ');
    core::str::from_utf8(fields.nth(number.checked_sub(3)?)?).ok()
}

/// /proc/PID/stat of a process, open: what it says is of that process also when the number is another's.
pub struct Stat(OwnedFd);

/// `PF_FORKNOEXEC` of include/linux/sched.h, which ps(1) shows as flag 1: it has not executed a program since it was
/// cloned.
const NOT_EXECUTED: u32 = 0x40;

/// `PF_EXITING`
const EXITING: u32 = 0x04;

impl Stat {
    /// Of the process that has this number now. `None`: procfs does not show it.
    pub fn open(pid: i32) -> Option<Self> {
        let path = format!("/proc/{pid}/stat");
        openat(CWD, path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok().map(Stat)
    }

    /// Whether it died without ever executing a program, and how, as far as that is told.
    ///
    /// Execve takes the flag away before it closes descriptors, and death sets the other one before: whoever sees that
    /// one is closed may ask. Of a process that was reaped nothing is left to be asked: `None`.
    pub fn died_unexecuted(self) -> Option<Option<End>> {
        let mut space = [0u8; 1024];
        let count = read(&self.0, &mut space).ok()?;
        parse_death(space.get(..count)?)
    }
}

fn parse_death(stat: &[u8]) -> Option<Option<End>> {
    let flags: u32 = field(stat, 9)?.parse().ok()?;
    // Zero for who may not know it (proc_pid_stat(5)); a process that fails never ends with that.
    let status = field(stat, 52)?.parse().ok().filter(|status| *status != 0);
    let died = flags & NOT_EXECUTED != 0 && flags & EXITING != 0;
    died.then(|| status.map(End::of_status))
}

#[cfg(test)]
mod tests {
    use super::{End, is_first, parse_death, parse_start_time};
    use alloc::format;

    #[test]
    fn first_of_a_namespace() {
        assert!(is_first(b"Name:\ta\nNSpid:\t4711\t1\nNSpgid:\t4711\t1\n"));
        for other in [&b"NSpid:\t4711\n"[..], b"NSpid:\t4711\t11\n", b"NSpid:\t1\t2\n", b"Name:\t1\n", b""] {
            assert!(!is_first(other));
        }
    }

    #[test]
    fn a_name_with_everything() {
        let stat = b"12 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(parse_start_time(stat), Some(4711));
        assert_eq!(parse_start_time(b"12 (a"), None);
    }

    #[test]
    fn a_death_before_the_program() {
        let stat = |flags: u32, status: i32| {
            let zeros = "0 ".repeat(42);
            parse_death(format!("12 (a) b) Z 1 2 3 4 5 {flags} {zeros}{status}\n").as_bytes())
        };
        let killed = End::Killed { signal: 31, dumped: false };
        assert_eq!(stat(0x0040_004c, 31), Some(Some(killed)));
        assert_eq!(stat(0x0040_004c, 0), Some(None));
        // It lives; it had executed a program.
        assert_eq!(stat(0x0040_0040, 0), None);
        assert_eq!(stat(0x0040_000c, 31), None);
    }
}
