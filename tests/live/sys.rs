//! System calls that the standard library lacks: the only unsafe code of the tests.

#![allow(unsafe_code)]
// One SAFETY comment covers all calls of a wrapper.
#![allow(clippy::multiple_unsafe_ops_per_block)]

pub mod attack;
pub mod audit;
pub mod bpf;
pub mod caller;
pub mod deny;
pub mod interface;
pub mod limit;
pub mod mounts;
pub mod perf;
pub mod pty;
pub mod schedule;
pub mod seccomp;
pub mod trace;
pub mod unix_socket;

use std::ffi::CString;
use std::io::{Error, Result};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

fn check<T: PartialOrd + Default>(answer: T) -> Result<T> {
    if answer < T::default() { Err(Error::last_os_error()) } else { Ok(answer) }
}

fn text(words: impl AsRef<std::ffi::OsStr>) -> Result<CString> {
    CString::new(words.as_ref().as_bytes()).map_err(|_| Error::from_raw_os_error(libc::EINVAL))
}

/// In bytes.
pub fn page_size() -> libc::c_long {
    // SAFETY: reads a value.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) }
}

/// The arguments that the C runtime passed to `main`, as the start-up code of the standard library does not run
/// here.
pub fn arguments(argc: i32, argv: *const *const libc::c_char) -> Vec<String> {
    (0..usize::try_from(argc).unwrap_or(0))
        .map(|index| {
            // SAFETY: the C runtime passes `argc` pointers to strings that live as long as the process.
            let word = unsafe { std::ffi::CStr::from_ptr(*argv.add(index)) };
            word.to_string_lossy().into_owned()
        })
        .collect()
}

/// Runs `act` in the child between fork and exec. Everything it needs must be prepared before.
pub fn before_exec(
    command: &mut std::process::Command,
    act: impl FnMut() -> Result<()> + Send + Sync + 'static,
) {
    use std::os::unix::process::CommandExt;
    // SAFETY: musl keeps its allocator usable in the child, and the actions take no lock that another thread may hold.
    unsafe { command.pre_exec(act) };
}

pub fn unshare(flags: i32) -> Result<()> {
    // SAFETY: takes no pointer.
    check(i64::from(unsafe { libc::unshare(flags) })).map(drop)
}

/// Enters the network and mount namespaces of a process.
pub fn enter_namespaces(pid: i32) -> Result<()> {
    let files = ["net", "mnt"].map(|name| std::fs::File::open(format!("/proc/{pid}/ns/{name}")));
    for file in files {
        setns(file?.as_raw_fd())?;
    }
    Ok(())
}

/// Joins the namespace of a file descriptor.
pub fn setns(namespace: RawFd) -> Result<()> {
    // SAFETY: takes no pointer.
    check(i64::from(unsafe { libc::setns(namespace, 0) })).map(drop)
}

/// Opens the user namespace that owns a namespace (ioctl_ns(2)).
pub fn owner(namespace: &std::fs::File) -> Result<OwnedFd> {
    const NS_GET_USERNS: libc::c_int = 0xb701;
    // SAFETY: the request has no argument; the kernel has opened the file for this process.
    unsafe {
        check(libc::ioctl(namespace.as_raw_fd(), NS_GET_USERNS as _)).map(|fd| OwnedFd::from_raw_fd(fd))
    }
}

pub fn mount(source: &str, target: &Path, kind: &str, flags: libc::c_ulong, data: &str) -> Result<()> {
    let (source, target, kind, data) = (text(source)?, text(target)?, text(kind)?, text(data)?);
    // SAFETY: four strings that outlive the call.
    check(i64::from(unsafe {
        libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, data.as_ptr().cast())
    }))
    .map(drop)
}

/// Bind-mounts a directory over another one, in a new mount namespace of this process.
pub fn bind_over(source: &Path, target: &Path) -> Result<()> {
    unshare(libc::CLONE_NEWNS)?;
    mount("", Path::new("/"), "", libc::MS_REC | libc::MS_PRIVATE, "")?;
    mount(&source.to_string_lossy(), target, "", libc::MS_BIND, "")
}

pub fn umount(target: &Path) -> Result<()> {
    let target = text(target)?;
    // SAFETY: one string that outlives the call.
    check(i64::from(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) })).map(drop)
}

/// fork(2). Only for the payload, which has one thread.
pub fn fork() -> Result<i32> {
    // SAFETY: the payload is single-threaded, so the child may do whatever the parent may.
    check(i64::from(unsafe { libc::fork() })).map(|pid| pid as i32)
}

pub fn kill(pid: i32, signal: i32) -> Result<()> {
    // SAFETY: takes no pointer.
    check(i64::from(unsafe { libc::kill(pid, signal) })).map(drop)
}

/// Waits for a child and returns its wait status.
pub fn wait(pid: i32) -> Result<i32> {
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    check(i64::from(unsafe { libc::waitpid(pid, &mut status, 0) })).map(|_| status)
}

pub fn exit(code: i32) -> ! {
    // SAFETY: ends the process without running anything else.
    unsafe { libc::_exit(code) }
}

pub fn pidfd(pid: i32) -> Result<OwnedFd> {
    // SAFETY: takes no pointer.
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: the kernel returned this file descriptor to this call only.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Waits until the file descriptor is readable or at end of file; `false` after the time limit.
pub fn readable(fd: &impl AsRawFd, limit: Duration) -> Result<bool> {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let limit = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: one pollfd that outlives the call.
    check(i64::from(unsafe { libc::poll(&mut poll, 1, limit) })).map(|count| count > 0)
}

/// Waits until one of two file descriptors is readable or at end of file; whether the first is.
pub fn first_readable(one: &impl AsRawFd, other: &impl AsRawFd, limit: Duration) -> Result<bool> {
    let poll = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let mut both = [poll(one.as_raw_fd()), poll(other.as_raw_fd())];
    let limit = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: two pollfds that outlive the call.
    check(i64::from(unsafe { libc::poll(both.as_mut_ptr(), 2, limit) }))?;
    let [first, _] = both;
    Ok(first.revents != 0)
}

/// A memfd, which takes any amount of output and can be read at any time.
pub fn memory_file() -> Result<std::fs::File> {
    // SAFETY: a constant string.
    let fd = check(i64::from(unsafe { libc::memfd_create(c"output".as_ptr(), libc::MFD_CLOEXEC) }))?;
    // SAFETY: the kernel returned this file descriptor to this call only.
    Ok(unsafe { std::fs::File::from_raw_fd(fd as RawFd) })
}

/// Duplicates a file descriptor to the given number, without close-on-exec.
pub fn duplicate_to(from: RawFd, to: RawFd) -> Result<()> {
    // SAFETY: takes no pointer; a child before exec does not use the files of Rust any more.
    let answer =
        unsafe { if from == to { libc::fcntl(from, libc::F_SETFD, 0) } else { libc::dup2(from, to) } };
    check(i64::from(answer)).map(drop)
}

pub fn is_open(fd: RawFd) -> bool {
    // SAFETY: takes no pointer.
    unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
}

pub fn become_user(uid: u32, gid: u32) -> Result<()> {
    // SAFETY: an empty group list and three calls without pointers.
    unsafe {
        check(i64::from(libc::setgroups(0, std::ptr::null())))?;
        check(i64::from(libc::setresgid(gid, gid, gid)))?;
        check(i64::from(libc::setresuid(uid, uid, uid)))?;
    }
    Ok(())
}

/// A listening AF_UNIX socket with a full backlog, so that connect(2) blocks.
pub fn full_socket(path: &Path) -> Result<(OwnedFd, std::os::unix::net::UnixStream)> {
    let socket = std::os::unix::net::UnixListener::bind(path)?;
    // SAFETY: takes no pointer.
    check(i64::from(unsafe { libc::listen(socket.as_raw_fd(), 0) }))?;
    let waiting = std::os::unix::net::UnixStream::connect(path)?;
    Ok((socket.into(), waiting))
}

pub fn chown(path: &Path, uid: u32, gid: u32) -> Result<()> {
    std::os::unix::fs::lchown(path, Some(uid), Some(gid))
}

/// Sets an extended attribute of a file.
pub fn set_attribute(path: &Path, name: &std::ffi::CStr, value: &[u8]) -> Result<()> {
    let path = text(path)?;
    let length = value.len();
    // SAFETY: two strings and a value of this length, which outlive the call.
    let set = unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), length, 0) };
    check(set).map(drop)
}

pub fn mknod(path: &Path, mode: u32, major: u32, minor: u32) -> Result<()> {
    let path = text(path)?;
    // SAFETY: one string that outlives the call.
    check(i64::from(unsafe { libc::mknod(path.as_ptr(), mode, libc::makedev(major, minor)) })).map(drop)
}

/// Real, effective and saved user and group id.
pub fn identity() -> ([u32; 3], [u32; 3]) {
    let (mut user, mut group) = ([0; 3], [0; 3]);
    let [ru, eu, su] = &mut user;
    let [rg, eg, sg] = &mut group;
    // SAFETY: six integers that outlive the calls.
    unsafe {
        libc::getresuid(ru, eu, su);
        libc::getresgid(rg, eg, sg);
    }
    (user, group)
}

pub fn groups() -> Vec<u32> {
    let mut list = vec![0; 256];
    // SAFETY: the list has room for 256 groups, which is the size given.
    let count = unsafe { libc::getgroups(256, list.as_mut_ptr()) };
    list.truncate(usize::try_from(count).unwrap_or(0));
    list
}

pub fn set_groups(list: &[u32]) -> Result<()> {
    // SAFETY: the list outlives the call and has the length given.
    check(i64::from(unsafe { libc::setgroups(list.len(), list.as_ptr()) })).map(drop)
}

/// PID, parent PID, process group and session.
pub fn process_ids() -> [i32; 4] {
    // SAFETY: takes no pointer.
    unsafe { [libc::getpid(), libc::getppid(), libc::getpgid(0), libc::getsid(0)] }
}

pub fn umask() -> u32 {
    // SAFETY: takes no pointer; the mask is restored at once.
    unsafe {
        let mask = libc::umask(0);
        libc::umask(mask);
        mask
    }
}

/// An argument of prctl(2) that is not used: it is variadic, and reads words.
const NONE: libc::c_ulong = 0;

/// The result of a `prctl` operation that takes no pointer and changes nothing.
pub fn prctl(option: i32, argument: libc::c_ulong) -> i32 {
    // SAFETY: the options used take no pointer.
    unsafe { libc::prctl(option, argument, NONE, NONE, NONE) }
}

/// Whether a capability is in the ambient set.
pub fn ambient(capability: libc::c_ulong) -> bool {
    // SAFETY: takes no pointer.
    unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_IS_SET, capability, NONE, NONE) == 1 }
}

/// Effective, permitted and inheritable capabilities as bits.
pub fn capabilities() -> [u64; 3] {
    let header: [u32; 2] = [0x2008_0522, 0];
    let mut data = [[0u32; 3]; 2];
    // SAFETY: version 3 takes an 8-byte header and two records of three words.
    unsafe { libc::syscall(libc::SYS_capget, header.as_ptr(), data.as_mut_ptr()) };
    let [low, high] = data;
    let [mut sets, high] = [low.map(u64::from), high.map(u64::from)];
    for (set, high) in sets.iter_mut().zip(high) {
        *set |= high << 32;
    }
    sets
}

/// Soft and hard limit of resource number `kind`.
pub fn limit(kind: u32) -> Result<(u64, u64)> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: one structure that outlives the call.
    check(unsafe {
        libc::syscall(libc::SYS_prlimit64, 0, kind, std::ptr::null::<libc::rlimit>(), &mut limit)
    })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// Host name, domain name and machine.
pub fn uname() -> [String; 3] {
    // SAFETY: all-zero bytes are a valid utsname, which the kernel fills with terminated strings.
    let uts = unsafe {
        let mut uts: libc::utsname = std::mem::zeroed();
        libc::uname(&mut uts);
        uts
    };
    let text = |field: &[libc::c_char]| {
        field.iter().take_while(|byte| **byte != 0).map(|byte| *byte as u8 as char).collect()
    };
    [text(&uts.nodename), text(&uts.domainname), text(&uts.machine)]
}

/// The version of the kernel: its first two numbers.
pub fn kernel() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// All 64 signals. The signal sets of the C library leave out the signals that it uses itself.
static ALL: u64 = !0;
const SET: usize = size_of::<u64>();

/// The signals that are ignored, and those that are blocked.
pub fn signals() -> (Vec<i32>, Vec<i32>) {
    let mut mask = 0u64;
    let (nothing, out) = (std::ptr::null::<u64>(), &raw mut mask);
    // SAFETY: the set outlives the call and has the size given.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, nothing, out, SET) };
    let blocked = (1..=64).filter(|signal| mask >> (signal - 1) & 1 == 1).collect();
    let ignored = (1..=64).filter(|signal| handler(*signal) == libc::SIG_IGN).collect();
    (ignored, blocked)
}

fn handler(signal: i32) -> usize {
    // The handler is the first of at most five words of struct kernel_sigaction.
    let mut action = [0usize; 5];
    let (nothing, out) = (std::ptr::null::<usize>(), action.as_mut_ptr());
    // SAFETY: the structure outlives the call, and the set in it has the size given.
    unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, nothing, out, SET) };
    let [handler, ..] = action;
    handler
}

/// Blocks every signal, so that `next_signal` receives it.
pub fn block_signals() {
    let (all, nothing) = (&raw const ALL, std::ptr::null::<u64>());
    // SAFETY: the set outlives the call and has the size given.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, all, nothing, SET) };
}

/// Ignores SIGPIPE, as writing to a command that has exited must not kill the suite. The standard library resets
/// SIGPIPE in the commands it starts.
pub fn ignore_broken_pipes() {
    // SAFETY: takes no pointer.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Waits for a signal. sigtimedwait(2) also returns after a freeze, without a signal.
pub fn next_signal() -> i32 {
    let (all, nothing) = (&raw const ALL, std::ptr::null::<u64>());
    loop {
        // SAFETY: the set outlives the call and has the size given; the two other pointers are null.
        let signal = unsafe { libc::syscall(libc::SYS_rt_sigtimedwait, all, nothing, nothing, SET) };
        if signal > 0 {
            return signal as i32;
        }
    }
}

/// The time of a clock in seconds.
pub fn clock(kind: i32) -> impl std::fmt::Display {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: one structure that outlives the call.
    unsafe { libc::clock_gettime(kind, &mut time) };
    time.tv_sec
}

/// Locks an open file without waiting (flock(2)).
pub fn flock(fd: RawFd) -> Result<()> {
    // SAFETY: takes no pointer.
    check(i64::from(unsafe { libc::flock(fd, libc::LOCK_EX | libc::LOCK_NB) })).map(drop)
}
