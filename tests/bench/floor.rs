//! The minimum of a container start: the system calls that the bench bundle needs, and nothing else.
//!
//! `floor [--no-net] [--procs] ROOTFS NAME` makes a cgroup NAME in every mounted hierarchy, starts /true of
//! ROOTFS as the container that `tests/bench/config.json` describes, waits for it and removes the cgroups.
//! `floor --user ID [--no-net] ROOTFS NAME` does what `scripts/bench --rootless` measures: the ordinary user ID becomes
//! root of a new user namespace. There is no cgroup, and device nodes of the host are bind-mounted.
//! It reads no configuration (the bundle is repeated in the code below: change both), writes no state and checks only
//! the results of its calls. No runtime that does the same work can be faster; `scripts/bench` prints how close mote
//! comes.
//!
//! cgroup v2 is joined by CLONE_INTO_CGROUP. v1 is joined by the child itself, writing 0 to `tasks`: for a
//! thread that moves only itself the kernel takes no cgroup_threadgroup_rwsem, whose first taker waits for
//! an RCU grace period. `--procs` writes to `cgroup.procs` instead, to see the difference.

#![no_std]
#![no_main]

mod hierarchy;
mod kernel;

use core::ffi::CStr;
use hierarchy::Cgroups;
use kernel::{Done, Line, Start, check, exit, fail, text};

const AT_FDCWD: isize = -100;
const O_PATH_DIRECTORY: usize = 0o12200000; // O_PATH | O_DIRECTORY | O_CLOEXEC
const ENOENT: isize = -2;

const MS_RDONLY: usize = 1;
const MS_NOSUID: usize = 2;
const MS_NODEV: usize = 4;
const MS_NOEXEC: usize = 8;
const MS_REMOUNT: usize = 0x20;
const MS_BIND: usize = 0x1000;
const MS_REC: usize = 0x4000;
const MS_PRIVATE: usize = 1 << 18;
const MS_RELATIME: usize = 1 << 21;
const MS_STRICTATIME: usize = 1 << 24;
const MNT_DETACH: usize = 2;

const CLONE_NEWNS: u64 = 0x20000;
const CLONE_NEWCGROUP: u64 = 0x2000000;
const CLONE_NEWUTS: u64 = 0x4000000;
const CLONE_NEWIPC: u64 = 0x8000000;
const CLONE_NEWUSER: u64 = 0x10000000;
const CLONE_NEWPID: u64 = 0x20000000;
const CLONE_NEWNET: u64 = 0x40000000;
const CLONE_INTO_CGROUP: u64 = 0x200000000;

struct Job {
    rootfs: *const u8,
    network: bool,
    join_file: &'static [u8],
    /// None in a user namespace.
    cgroups: Option<Cgroups>,
    /// The user who becomes root of a user namespace.
    user: &'static [u8],
}

extern "C" fn program(stack: *const usize) -> ! {
    // SAFETY: `_start` passes its stack pointer.
    let start = unsafe { Start::new(stack) };
    let mut words = start.arguments.iter().skip(1).copied().peekable();
    let user = words.next_if(|w| text(*w) == b"--user").and_then(|_| words.next()).map(text);
    let network = words.next_if(|w| text(*w) == b"--no-net").is_none();
    let procs = words.next_if(|w| text(*w) == b"--procs").is_some();
    let (Some(rootfs), Some(name)) = (words.next(), words.next()) else {
        fail(b"usage: floor [--user ID] [--no-net] [--procs] ROOTFS NAME", b"", 0);
    };
    let join_file: &[u8] = if procs { b"cgroup.procs" } else { b"tasks" };
    let cgroups = user.is_none().then(|| Cgroups::mounted(text(name)));
    let mut job = Job { rootfs, network, join_file, cgroups, user: user.unwrap_or_default() };
    let result = job.cgroups.as_mut().map_or(Ok(()), Cgroups::make).and_then(|()| run(&job));
    job.cgroups.iter().for_each(Cgroups::remove);
    match result {
        Ok(status) => exit(status),
        Err((what, errno)) => fail(what.as_bytes(), b"", errno),
    }
}

fn run(job: &Job) -> Done<i32> {
    let mut flags = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID;
    if job.network {
        flags |= CLONE_NEWNET;
    }
    let cgroup = match &job.cgroups {
        Some(cgroups) => cgroups.open_unified()?,
        None => {
            flags |= CLONE_NEWUSER;
            None
        }
    };
    if cgroup.is_some() {
        flags |= CLONE_INTO_CGROUP;
    }
    let cgroup = cgroup.unwrap_or_default() as u64;
    let pid = check("clone3", kernel::spawn(flags, cgroup, container, job as *const Job as usize))?;
    let mut status = 0i32;
    check("wait4", sys!(WAIT4, pid, &raw mut status, 0, 0))?;
    Ok(if status & 0x7f == 0 { status >> 8 & 0xff } else { 1 })
}

extern "C" fn container(job: usize) -> ! {
    // SAFETY: `run` passed its job, and is suspended until this process executes or exits.
    let job = unsafe { &*(job as *const Job) };
    let result = enter(job).and_then(|()| mounts(job)).and_then(|()| process(job));
    match result {
        Err((what, errno)) => fail(what.as_bytes(), b"", errno),
        Ok(_) => exit(1),
    }
}

/// A user may map the own ID, and the group after it has given up setgroups(2).
fn map_ids(user: &[u8]) -> Done<()> {
    let map = Line::new().put(b"0 ").put(user).put(b" 1");
    for (file, text) in [
        (c"/proc/self/uid_map", map.bytes()),
        (c"/proc/self/setgroups", b"deny"),
        (c"/proc/self/gid_map", map.bytes()),
    ] {
        let fd = check("open of an ID map", sys!(OPENAT, AT_FDCWD, file.as_ptr(), 0o2000001))?; // O_WRONLY | O_CLOEXEC
        check("write to an ID map", sys!(WRITE, fd, text.as_ptr(), text.len()))?;
        sys!(CLOSE, fd);
    }
    Ok(())
}

fn enter(job: &Job) -> Done<()> {
    match &job.cgroups {
        Some(cgroups) => cgroups.join(job.join_file)?,
        None => map_ids(job.user)?,
    }
    // Only now: the root of the namespace is the cgroup of the process that creates it.
    check("unshare", sys!(UNSHARE, CLONE_NEWCGROUP))?;
    check("sethostname", sys!(SETHOSTNAME, c"bench".as_ptr(), 5))?;
    if job.network {
        let socket = check("socket", sys!(SOCKET, 2, 0o2000002, 0))?; // AF_INET, SOCK_DGRAM | SOCK_CLOEXEC
        let mut request = [0u64; 5]; // struct ifreq
        request[0] = u64::from_le_bytes(*b"lo\0\0\0\0\0\0");
        request[2] = 0x41; // IFF_UP | IFF_RUNNING
        check("SIOCSIFFLAGS", sys!(IOCTL, socket, 0x8914, request.as_ptr()))?;
        sys!(CLOSE, socket);
    }
    Ok(())
}

fn mount(source: &CStr, target: &CStr, kind: &CStr, flags: usize, data: &CStr) -> Done<usize> {
    check("mount", sys!(MOUNT, source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, data.as_ptr()))
}

fn directory(path: &CStr) -> Done<usize> {
    check("mkdir", sys!(MKDIRAT, AT_FDCWD, path.as_ptr(), 0o755))
}

/// Everything is created below the working directory, which becomes the root at the end.
fn mounts(job: &Job) -> Done<()> {
    const SAFE: usize = MS_NOSUID | MS_NOEXEC | MS_NODEV;
    sys!(UMASK, 0);
    mount(c"", c"/", c"", MS_REC | MS_PRIVATE, c"")?;
    check("bind of the root", sys!(MOUNT, job.rootfs, job.rootfs, 0, MS_BIND | MS_REC, 0))?;
    check("chdir", sys!(CHDIR, job.rootfs))?;
    mount(c"proc", c"proc", c"proc", 0, c"")?;
    mount(c"tmpfs", c"dev", c"tmpfs", MS_NOSUID | MS_STRICTATIME, c"mode=755,size=65536k")?;
    directory(c"dev/pts")?;
    // Group 5 is not mapped in a user namespace.
    let options = match &job.cgroups {
        Some(_) => c"newinstance,ptmxmode=0666,mode=0620,gid=5",
        None => c"newinstance,ptmxmode=0666,mode=0620",
    };
    mount(c"devpts", c"dev/pts", c"devpts", MS_NOSUID | MS_NOEXEC, options)?;
    directory(c"dev/shm")?;
    mount(c"shm", c"dev/shm", c"tmpfs", SAFE, c"mode=1777,size=65536k")?;
    directory(c"dev/mqueue")?;
    mount(c"mqueue", c"dev/mqueue", c"mqueue", SAFE, c"")?;
    match job.network {
        false if job.cgroups.is_none() => mount(c"/sys", c"sys", c"", MS_BIND | MS_REC, c"")?,
        _ => mount(c"sysfs", c"sys", c"sysfs", SAFE | MS_RDONLY, c"")?,
    };
    if let Some(cgroups) = &job.cgroups {
        cgroups.mount(SAFE | MS_RELATIME)?;
    }
    devices(job)?;
    masks()?;
    check("pivot_root", sys!(PIVOT_ROOT, c".".as_ptr(), c".".as_ptr()))?;
    check("umount", sys!(UMOUNT2, c".".as_ptr(), MNT_DETACH))?;
    check("chdir", sys!(CHDIR, c"/".as_ptr()))?;
    mount(c"", c"/", c"", MS_REMOUNT | MS_BIND | MS_RDONLY, c"")?;
    Ok(())
}

fn devices(job: &Job) -> Done<()> {
    let nodes = [
        (c"dev/null", c"/dev/null", 1, 3),
        (c"dev/zero", c"/dev/zero", 1, 5),
        (c"dev/full", c"/dev/full", 1, 7),
        (c"dev/random", c"/dev/random", 1, 8),
        (c"dev/urandom", c"/dev/urandom", 1, 9),
        (c"dev/tty", c"/dev/tty", 5, 0),
    ];
    let links = [
        (c"/proc/self/fd", c"fd"),
        (c"/proc/self/fd/0", c"stdin"),
        (c"/proc/self/fd/1", c"stdout"),
        (c"/proc/self/fd/2", c"stderr"),
        (c"pts/ptmx", c"ptmx"),
    ];
    let dev = check("open of /dev", sys!(OPENAT, AT_FDCWD, c"dev".as_ptr(), O_PATH_DIRECTORY))?;
    for (name, host, major, minor) in nodes {
        // A user namespace cannot create device nodes, so they are bind-mounted over files.
        let (mode, device) = match &job.cgroups {
            Some(_) => (0o20666, major << 8 | minor), // S_IFCHR
            None => (0o100666, 0),                    // S_IFREG
        };
        check("mknod", sys!(MKNODAT, AT_FDCWD, name.as_ptr(), mode, device))?;
        if job.cgroups.is_none() {
            mount(host, name, c"", MS_BIND, c"")?;
        }
    }
    for (to, name) in links {
        check("symlink", sys!(SYMLINKAT, to.as_ptr(), dev, name.as_ptr()))?;
    }
    sys!(CLOSE, dev);
    Ok(())
}

/// Paths that are missing on this host are tried, too, as a runtime cannot know that.
fn masks() -> Done<()> {
    let files = [
        c"proc/kcore",
        c"proc/keys",
        c"proc/latency_stats",
        c"proc/timer_list",
        c"proc/timer_stats",
        c"proc/sched_debug",
    ];
    let directories = [c"proc/acpi", c"proc/asound", c"sys/firmware", c"proc/scsi"];
    let read_only = [c"proc/bus", c"proc/fs", c"proc/irq", c"proc/sys", c"proc/sysrq-trigger"];
    let unless_absent = |done: Done<usize>| match done {
        Err((_, ENOENT)) => Ok(false),
        Err(failure) => Err(failure),
        Ok(_) => Ok(true),
    };
    for path in files {
        unless_absent(mount(c"dev/null", path, c"", MS_BIND, c""))?;
    }
    let mut empty = None; // one read-only tmpfs serves all directories
    for path in directories {
        let done = match empty {
            None => mount(c"tmpfs", path, c"tmpfs", MS_RDONLY, c""),
            Some(first) => mount(first, path, c"", MS_BIND, c""),
        };
        if unless_absent(done)? {
            empty = empty.or(Some(path));
        }
    }
    for path in read_only {
        if unless_absent(mount(path, path, c"", MS_BIND | MS_REC, c""))? {
            mount(c"", path, c"", MS_REMOUNT | MS_BIND | MS_RDONLY, c"")?;
        }
    }
    Ok(())
}

fn process(job: &Job) -> Done<usize> {
    const KEPT: u32 = 1 << 29 | 1 << 10 | 1 << 5; // AUDIT_WRITE, NET_BIND_SERVICE, KILL
    let limit = [1024u64; 2];
    check("prlimit", sys!(PRLIMIT64, 0, 7, limit.as_ptr(), 0))?; // RLIMIT_NOFILE
    if job.cgroups.is_some() {
        check("setgroups", sys!(SETGROUPS, 0, 0))?;
    }
    for capability in 0..64 {
        let kept = capability < 32 && KEPT >> capability & 1 == 1;
        if !kept && sys!(PRCTL, 24, capability, 0, 0, 0) < 0 {
            break; // PR_CAPBSET_DROP: past the last capability of this kernel
        }
    }
    let header = [0x20080522u32, 0]; // _LINUX_CAPABILITY_VERSION_3
    let sets = [KEPT, KEPT, 0, 0, 0, 0];
    check("capset", sys!(CAPSET, header.as_ptr(), sets.as_ptr()))?;
    check("no_new_privs", sys!(PRCTL, 38, 1, 0, 0, 0))?;
    sys!(UMASK, 0o022);
    let path = c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let environment = [path.as_ptr(), c"TERM=xterm".as_ptr(), core::ptr::null()];
    let arguments = [c"/true".as_ptr(), core::ptr::null()];
    check("execve", sys!(EXECVE, c"/true".as_ptr(), arguments.as_ptr(), environment.as_ptr()))
}
