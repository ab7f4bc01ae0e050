//! The identity of a process, since PIDs are reused.
//!
//! The inode number of a pidfd is unique until reboot (pidfs, linux 6.9). On older kernels the PID is combined with the
//! start time of the process, in clock ticks since boot (proc_pid_stat(5), field 22).

use alloc::format;

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, fstat, fstatfs, openat};
use rustix::io::read;
use rustix::process::Pid;

use crate::error::{Error, Kind, On, Result};
use crate::os::{process, procfs};
use crate::sys::end::End;
use crate::sys::pidfd;

/// `PID_FS_MAGIC` of include/uapi/linux/magic.h.
const PID_FS_MAGIC: u64 = 0x5049_4446;

/// The identity of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// 0 if there is no process (yet).
    pub pid: i32,
    /// The inode of its pidfd; 0 if the kernel has no pidfs, or a number does not stand for one process.
    pub inode: u64,
    /// Its start time if there is no inode; otherwise 0.
    pub start_time: u64,
}

impl Identity {
    /// The identity of an existing process.
    pub fn of(pid: Pid, pidfd: &OwnedFd) -> Result<Self> {
        let pid = pid.as_raw_nonzero().get();
        let inode = inode(pidfd)?;
        let start_time = if inode == 0 { start_time(pid)? } else { 0 };
        Ok(Identity { pid, inode, start_time })
    }

    /// A pidfd of the process; `None` if it has exited, also as a zombie.
    pub fn open(&self) -> Result<Option<OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(None) };
        let Some(pidfd) = process::open(pid)? else { return Ok(None) };
        let same = match self.inode {
            0 => start_time(self.pid).is_ok_and(|time| time == self.start_time),
            // The recorded inode is of pidfs, and so is that of this pidfd.
            inode => fstat(&pidfd).on(format_args!("fstat pidfd"))?.st_ino == inode,
        };
        Ok(Some(pidfd).filter(|pidfd| same && !pidfd::has_ended(pidfd)))
    }

    /// Whether it is PID 1 of a pid namespace, whose exit kills all processes there (pid_namespaces(7)); `false` if it
    /// has exited. `process` is its pidfd.
    pub fn leads_pid_namespace(&self, process: &OwnedFd) -> bool {
        let mut space = [0u8; 4096];
        let is_first = procfs::read_process_file(self.pid, "status", &mut space).is_ok_and(is_first);
        is_first && !pidfd::has_ended(process)
    }
}

/// Checks, after /proc/PID was read, that it was that of `process`: fails if the process has exited, since its PID may
/// have been reused then.
pub fn check_alive(process: &OwnedFd, pid: i32) -> Result<()> {
    match pidfd::has_ended(process) {
        true => {
            Err(Error::new(Kind::State, format_args!("container not running: its process {pid} has ended")))
        }
        false => Ok(()),
    }
}

/// Whether the last of the PIDs in NSpid, the one in the process's own pid namespace, is 1 (proc_pid_status(5)).
fn is_first(status: &[u8]) -> bool {
    let numbers = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"NSpid:"));
    numbers.is_some_and(|numbers| numbers.ends_with(b"\t1"))
}

/// 0 on 32-bit CPUs: there the inode of a process has another number each time that a pidfd of it is opened (linux 6.12).
fn inode(pidfd: &OwnedFd) -> Result<u64> {
    if cfg!(target_pointer_width = "32") {
        return Ok(0);
    }
    let magic = fstatfs(pidfd).on(format_args!("fstatfs pidfd"))?.f_type;
    match magic as u64 == PID_FS_MAGIC {
        true => Ok(fstat(pidfd).on(format_args!("fstat pidfd"))?.st_ino),
        false => Ok(0),
    }
}

fn start_time(pid: i32) -> Result<u64> {
    let mut space = [0u8; 1024];
    parse_start_time(procfs::read_process_file(pid, "stat", &mut space)?)
        .ok_or_else(|| Error::invalid(format_args!("/proc/{pid}/stat: malformed")))
}

fn parse_start_time(stat: &[u8]) -> Option<u64> {
    field(stat, 22)?.parse().ok()
}

/// A field by its number in proc_pid_stat(5), from 3 on. Fields are counted from the end of the second, `comm` in
/// parentheses, which may contain any characters.
fn field(stat: &[u8], number: usize) -> Option<&str> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = stat.trim_ascii_end().get(end + 2..)?.split(|byte| *byte == b' ');
    core::str::from_utf8(fields.nth(number.checked_sub(3)?)?).ok()
}

/// /proc/PID/stat of a process, opened: reading it never returns data of another process, even if the PID is reused.
pub struct Stat(OwnedFd);

/// `PF_FORKNOEXEC` of include/linux/sched.h, flag 1 in ps(1): the process was cloned and has not called execve.
const NOT_EXECUTED: u32 = 0x40;

/// `PF_EXITING` of include/linux/sched.h.
const EXITING: u32 = 0x04;

impl Stat {
    /// Opens the file of the process that has this PID now. `None`: not visible in procfs.
    pub fn open(pid: i32) -> Option<Self> {
        let (proc, path) = (procfs::open_own(false).ok()?, format!("{pid}/stat"));
        openat(proc, path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok().map(Stat)
    }

    /// Whether the process died without having executed a program, and how, if the exit status is visible. `None` if
    /// it did not, or if it was reaped.
    ///
    /// Valid once a close-on-exec fd of the process is seen to be closed: execve clears PF_FORKNOEXEC, and exit sets
    /// PF_EXITING, before fds are closed.
    pub fn died_unexecuted(self) -> Option<Option<End>> {
        let mut space = [0u8; 1024];
        let count = read(&self.0, &mut space).ok()?;
        parse_death(space.get(..count)?)
    }
}

fn parse_death(stat: &[u8]) -> Option<Option<End>> {
    let flags: u32 = field(stat, 9)?.parse().ok()?;
    // 0 without permission to read it (proc_pid_stat(5)); a process that failed never exits with 0.
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
