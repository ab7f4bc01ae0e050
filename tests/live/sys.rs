//! The system calls the suite needs and the standard library lacks: the only unsafe code of the tests.

#![allow(unsafe_code)]
// A block here is one wrapper's worth of calls, and its argument holds for all of them.
#![allow(clippy::multiple_unsafe_ops_per_block)]

pub mod attack;
pub mod audit;
pub mod bpf;
pub mod caller;
pub mod limit;
pub mod pass;
pub mod pty;
pub mod schedule;
pub mod seccomp;
pub mod trace;

use std::ffi::CString;
use std::io::{Error, Result};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

fn check(answer: i64) -> Result<i64> {
    if answer < 0 { Err(Error::last_os_error()) } else { Ok(answer) }
}

fn text(words: impl AsRef<std::ffi::OsStr>) -> Result<CString> {
    CString::new(words.as_ref().as_bytes()).map_err(|_| Error::from_raw_os_error(libc::EINVAL))
}

/// The process's arguments, from the C `main` (the standard library's start-up does not run here).
pub fn arguments(argc: i32, argv: *const *const libc::c_char) -> Vec<String> {
    (0..usize::try_from(argc).unwrap_or(0))
        .map(|index| {
            // SAFETY: the C runtime passes `argc` pointers to strings that live as long as the process.
            let word = unsafe { std::ffi::CStr::from_ptr(*argv.add(index)) };
            word.to_string_lossy().into_owned()
        })
        .collect()
}

/// Has a child do something between fork and exec. Whatever `act` needs must be ready before.
pub fn before_exec(
    command: &mut std::process::Command,
    act: impl FnMut() -> Result<()> + Send + Sync + 'static,
) {
    use std::os::unix::process::CommandExt;
    // SAFETY: musl keeps its allocator usable in the child, and the actions take no lock of the suite's.
    unsafe { command.pre_exec(act) };
}

/// A system call that newer kernels have and sandboxes may refuse, by its name.
pub fn call_number(name: &str) -> Option<i64> {
    let number = match name {
        "bpf" => libc::SYS_bpf,
        "clone3" => libc::SYS_clone3,
        "close_range" => libc::SYS_close_range,
        "faccessat2" => libc::SYS_faccessat2,
        "mknodat" => libc::SYS_mknodat,
        "openat2" => libc::SYS_openat2,
        "pidfd_getfd" => libc::SYS_pidfd_getfd,
        "seccomp" => libc::SYS_seccomp,
        "sendfile" => libc::SYS_sendfile,
        "statx" => libc::SYS_statx,
        "userfaultfd" => libc::SYS_userfaultfd,
        _ => return None,
    };
    Some(number)
}

/// Makes such a call with arguments that it must refuse.
pub fn call(number: i64) -> Result<i64> {
    let nothing = std::ptr::null::<u8>();
    // SAFETY: no descriptor, no memory and no size: there is nothing that it could do.
    check(unsafe { libc::syscall(number, -1, nothing, nothing, 0, nothing) })
}

/// A seccomp program that answers calls, given by their numbers, with an error, and lets all others pass.
pub fn filter(refused: &[(i64, i32)]) -> Vec<libc::sock_filter> {
    let jump = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let line = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    // The number is the first word of what the program sees.
    let mut program = vec![line(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0)];
    for (number, errno) in refused {
        program.push(libc::sock_filter { code: jump, jt: 0, jf: 1, k: *number as u32 });
        program.push(line(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | errno.cast_unsigned()));
    }
    program.push(line(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW));
    program
}

/// Puts this process and all that it becomes and starts under a seccomp program.
pub fn confine(program: &mut [libc::sock_filter]) -> Result<()> {
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: the kernel copies the program, which outlives the call.
    check(unsafe { libc::syscall(libc::SYS_seccomp, mode, 0, &raw const filter) }).map(drop)
}

pub fn unshare(flags: i32) -> Result<()> {
    // SAFETY: takes no pointer.
    check(i64::from(unsafe { libc::unshare(flags) })).map(drop)
}

/// Enters the network and mount namespaces of a process.
pub fn enter(pid: i32) -> Result<()> {
    let files = ["net", "mnt"].map(|name| std::fs::File::open(format!("/proc/{pid}/ns/{name}")));
    for file in files {
        join(file?.as_raw_fd())?;
    }
    Ok(())
}

/// Enters the namespace that a descriptor is of.
pub fn join(namespace: RawFd) -> Result<()> {
    // SAFETY: takes no pointer.
    check(i64::from(unsafe { libc::setns(namespace, 0) })).map(drop)
}

pub fn mount(source: &str, target: &Path, kind: &str, flags: u64, data: &str) -> Result<()> {
    let (source, target, kind, data) = (text(source)?, text(target)?, text(kind)?, text(data)?);
    // SAFETY: four strings that outlive the call.
    check(i64::from(unsafe {
        libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, data.as_ptr().cast())
    }))
    .map(drop)
}

/// Lays a directory over another, in a mount namespace of this process's own.
pub fn cover(source: &Path, target: &Path) -> Result<()> {
    unshare(libc::CLONE_NEWNS)?;
    mount("", Path::new("/"), "", libc::MS_REC | libc::MS_PRIVATE, "")?;
    mount(&source.to_string_lossy(), target, "", libc::MS_BIND, "")
}

pub fn umount(target: &Path) -> Result<()> {
    let target = text(target)?;
    // SAFETY: one string that outlives the call.
    check(i64::from(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) })).map(drop)
}

/// In the child 0. Only for the payload, which has one thread.
pub fn fork() -> Result<i32> {
    // SAFETY: the payload is single-threaded, so the child may go on as the parent did.
    check(i64::from(unsafe { libc::fork() })).map(|pid| pid as i32)
}

pub fn kill(pid: i32, signal: i32) -> Result<()> {
    // SAFETY: takes no pointer.
    check(i64::from(unsafe { libc::kill(pid, signal) })).map(drop)
}

/// Waits for a child and gives its raw status.
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
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Waits until the descriptor can be read (or is at its end); false when the time is over.
pub fn readable(fd: &impl AsRawFd, limit: Duration) -> Result<bool> {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let limit = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: one pollfd that outlives the call.
    check(i64::from(unsafe { libc::poll(&mut poll, 1, limit) })).map(|count| count > 0)
}

/// A file without a name: takes a command's output, however much, and can be read at any time.
pub fn memory_file() -> Result<std::fs::File> {
    // SAFETY: a constant string.
    let fd = check(i64::from(unsafe { libc::memfd_create(c"output".as_ptr(), libc::MFD_CLOEXEC) }))?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { std::fs::File::from_raw_fd(fd as RawFd) })
}

/// Copies a descriptor to a given number that stays open across exec.
pub fn duplicate_to(from: RawFd, to: RawFd) -> Result<()> {
    // SAFETY: takes no pointer; in a child before exec no file that Rust owns is used any more.
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

/// A unix socket on which somebody waits already and nobody else can: connecting blocks.
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
    // SAFETY: the list has room for the 256 groups the kernel is told of.
    let count = unsafe { libc::getgroups(256, list.as_mut_ptr()) };
    list.truncate(usize::try_from(count).unwrap_or(0));
    list
}

pub fn set_groups(list: &[u32]) -> Result<()> {
    // SAFETY: the list outlives the call, which is told its length.
    check(i64::from(unsafe { libc::setgroups(list.len(), list.as_ptr()) })).map(drop)
}

/// Process id, parent, group and session.
pub fn family() -> [i32; 4] {
    // SAFETY: takes no pointer.
    unsafe { [libc::getpid(), libc::getppid(), libc::getpgid(0), libc::getsid(0)] }
}

pub fn umask() -> u32 {
    // SAFETY: takes no pointer; the mask is put back at once.
    unsafe {
        let mask = libc::umask(0);
        libc::umask(mask);
        mask
    }
}

/// The answer of a `prctl` that only asks.
pub fn prctl(option: i32, argument: u64) -> i32 {
    // SAFETY: the options used take no pointer.
    unsafe { libc::prctl(option, argument, 0u64, 0u64, 0u64) }
}

/// Whether a capability is in the ambient set.
pub fn ambient(capability: u64) -> bool {
    // SAFETY: takes no pointer.
    unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_IS_SET, capability, 0u64, 0u64) == 1 }
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
pub fn names() -> [String; 3] {
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

/// All 64 signals. The C library's own sets leave out those it keeps for itself.
static ALL: u64 = !0;
const SET: usize = size_of::<u64>();

/// The signals that are ignored, and those that are blocked.
pub fn signals() -> (Vec<i32>, Vec<i32>) {
    let mut mask = 0u64;
    let (nothing, out) = (std::ptr::null::<u64>(), &raw mut mask);
    // SAFETY: the set outlives the call, which is told its size.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, nothing, out, SET) };
    let blocked = (1..=64).filter(|signal| mask >> (signal - 1) & 1 == 1).collect();
    let ignored = (1..=64).filter(|signal| handler(*signal) == libc::SIG_IGN as u64).collect();
    (ignored, blocked)
}

fn handler(signal: i32) -> u64 {
    // The handler comes first in the kernel's structure, which has four words at the most.
    let mut action = [0u64; 4];
    let (nothing, out) = (std::ptr::null::<u64>(), action.as_mut_ptr());
    // SAFETY: the structure outlives the call, which is told the size of the set in it.
    unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, nothing, out, SET) };
    let [handler, ..] = action;
    handler
}

/// Blocks every signal, so that `next_signal` finds what comes.
pub fn block_signals() {
    let (all, nothing) = (&raw const ALL, std::ptr::null::<u64>());
    // SAFETY: the set outlives the call, which is told its size.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, all, nothing, SET) };
}

/// Writing to a command that is gone must not end the suite. What it starts has the default again: the standard
/// library sees to that.
pub fn ignore_broken_pipes() {
    // SAFETY: takes no pointer.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Waits for one; being frozen and thawed is none.
pub fn next_signal() -> i32 {
    let (all, nothing) = (&raw const ALL, std::ptr::null::<u64>());
    loop {
        // SAFETY: the set outlives the call, which is told its size; no information and no limit are asked for.
        let signal = unsafe { libc::syscall(libc::SYS_rt_sigtimedwait, all, nothing, nothing, SET) };
        if signal > 0 {
            return signal as i32;
        }
    }
}

/// Whole seconds of a clock.
pub fn clock(kind: i32) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: one structure that outlives the call.
    unsafe { libc::clock_gettime(kind, &mut time) };
    time.tv_sec
}

/// The flags of a network interface.
pub fn interface_flags(name: &str) -> Result<i16> {
    // SAFETY: the request is a plain structure with a terminated name; the socket is closed again.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(15)) {
            *to = from as libc::c_char;
        }
        let socket =
            check(i64::from(libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0)))? as i32;
        let answer = libc::ioctl(socket, libc::SIOCGIFFLAGS as _, &mut request);
        let error = check(i64::from(answer));
        libc::close(socket);
        error.map(|_| request.ifr_ifru.ifru_flags)
    }
}
