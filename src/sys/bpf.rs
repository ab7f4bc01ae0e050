//! bpf(2): programs that decide on access to devices from a cgroup (`BPF_PROG_TYPE_CGROUP_DEVICE`, linux 4.15).

use core::mem::{size_of, size_of_val};

use linux_raw_sys::general::__NR_bpf;
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use rustix::io::{Errno, Result};

// include/uapi/linux/bpf.h
const PROG_LOAD: usize = 5;
const PROG_ATTACH: usize = 8;
const PROG_DETACH: usize = 9;
const PROG_GET_FD_BY_ID: usize = 13;
const OBJ_GET_INFO_BY_FD: usize = 15;
const PROG_QUERY: usize = 16;
const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 1 << 1;
const REPLACE: u32 = 1 << 2;

/// `union bpf_attr` for BPF_PROG_LOAD.
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}

/// The name of all programs that mote loads.
const NAME: [u8; 16] = *b"mote_devices\0\0\0\0";

/// `union bpf_attr` for BPF_OBJ_GET_INFO_BY_FD.
#[repr(C)]
struct Info {
    program: u32,
    size: u32,
    info: u64,
}

/// `union bpf_attr` for BPF_PROG_ATTACH and BPF_PROG_DETACH.
#[repr(C)]
struct Attach {
    cgroup: u32,
    program: u32,
    kind: u32,
    flags: u32,
    replaced: u32,
}

/// `union bpf_attr` for BPF_PROG_QUERY. Newer kernels write to `more` even if the size that is passed is smaller.
#[repr(C)]
struct Query {
    cgroup: u32,
    kind: u32,
    flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    more: [u32; 25],
}

/// Calls bpf(2), and returns its result.
///
/// # Safety
///
/// The attributes must be those of the command, and the addresses in them valid during the call.
unsafe fn bpf<T>(command: usize, attributes: &mut T) -> Result<usize> {
    let attributes: *mut T = attributes;
    // SAFETY: the attributes have this size and outlive the call; the caller guarantees the rest.
    let returned =
        unsafe { super::raw::syscall3(__NR_bpf as usize, command, attributes as usize, size_of::<T>()) };
    super::check(returned)
}

/// Loads a program of `struct bpf_insn`s (BPF_PROG_LOAD). The verifier's log is written to `log` unless that is
/// empty; a log makes the call slow.
///
/// Errors: those of bpf(2); EPERM also if RLIMIT_MEMLOCK is exceeded, to which memory is charged before linux 5.11.
pub fn load(instructions: &[u64], log: &mut [u8]) -> Result<OwnedFd> {
    let mut attributes = Load {
        kind: PROG_TYPE_CGROUP_DEVICE,
        count: u32::try_from(instructions.len()).map_err(|_| Errno::TOOBIG)?,
        instructions: instructions.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: u32::from(!log.is_empty()),
        log_size: log.len() as u32,
        log: if log.is_empty() { 0 } else { log.as_mut_ptr() as u64 },
        kernel_version: 0,
        flags: 0,
        name: NAME,
    };
    // SAFETY: instructions, log and license have the lengths passed and outlive the call; only the log is written to.
    let fd = unsafe { bpf(PROG_LOAD, &mut attributes) }?;
    // SAFETY: the kernel has created a new file descriptor, close-on-exec, which has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Attaches a program to a cgroup v2 directory, in addition to those attached before (BPF_F_ALLOW_MULTI): all of them,
/// and those of the ancestors, must allow an access. With `replacing` it atomically replaces that one (BPF_F_REPLACE).
pub fn attach(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    replacing: Option<BorrowedFd<'_>>,
) -> Result<()> {
    let mut attributes = attach_of(cgroup, program, ALLOW_MULTI);
    if let Some(old) = replacing {
        attributes.flags |= REPLACE;
        attributes.replaced = old.as_raw_fd() as u32;
    }
    // SAFETY: the attributes contain no address.
    match (unsafe { bpf(PROG_ATTACH, &mut attributes) }, replacing) {
        // Before linux 5.6 there is no BPF_F_REPLACE: until the old one is detached, both must allow an access.
        (Err(Errno::INVAL), Some(old)) => {
            attach(cgroup, program, None)?;
            detach(cgroup, old)
        }
        (returned, _) => returned.map(drop),
    }
}

/// Detaches a program from a cgroup.
pub fn detach(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: the attributes contain no address.
    unsafe { bpf(PROG_DETACH, &mut attach_of(cgroup, program, 0)) }.map(drop)
}

fn attach_of(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>, flags: u32) -> Attach {
    Attach {
        cgroup: cgroup.as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        kind: CGROUP_DEVICE,
        flags,
        replaced: 0,
    }
}

/// The number of programs attached to this cgroup, not counting those of ancestors; their IDs are written to `ids`.
///
/// Errors: those of bpf(2); ENOSPC if there are more than fit into `ids`.
pub fn attached(cgroup: BorrowedFd<'_>, ids: &mut [u32]) -> Result<usize> {
    let mut attributes = Query {
        cgroup: cgroup.as_raw_fd() as u32,
        kind: CGROUP_DEVICE,
        flags: 0,
        attach_flags: 0,
        ids: ids.as_mut_ptr() as u64,
        count: ids.len() as u32,
        more: [0; 25],
    };
    // SAFETY: `ids` has the length passed and outlives the call.
    unsafe { bpf(PROG_QUERY, &mut attributes) }?;
    Ok(attributes.count as usize)
}

/// Opens a program by its ID. Needs CAP_SYS_ADMIN.
///
/// Errors: those of bpf(2); ENOENT if the program does not exist any more.
pub fn by_id(id: u32) -> Result<OwnedFd> {
    // The third is `open_flags`.
    let mut attributes = [id, 0, 0];
    // SAFETY: the attributes contain no address.
    let fd = unsafe { bpf(PROG_GET_FD_BY_ID, &mut attributes) }?;
    // SAFETY: the kernel has created a new file descriptor, close-on-exec, which has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Whether a program was loaded by [`load`], which is recognized by its name.
pub(crate) fn is_own(program: BorrowedFd<'_>) -> Result<bool> {
    // `struct bpf_prog_info` up to and including the name.
    let mut info = [0u64; 10];
    let mut attributes = Info {
        program: program.as_raw_fd() as u32,
        size: size_of_val(&info) as u32,
        info: info.as_mut_ptr() as u64,
    };
    // SAFETY: `info` has the size passed and outlives the call; the addresses in it are zero, so the kernel writes to
    // no other memory.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut attributes) }?;
    let name = info.last_chunk::<2>().map(|[first, second]| [first.to_ne_bytes(), second.to_ne_bytes()]);
    Ok(name.is_some_and(|name| name.as_flattened() == NAME))
}
