//! bpf(2): programs that cgroups ask before a device is used (`BPF_PROG_TYPE_CGROUP_DEVICE`, linux 4.15).

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

/// The name of each program.
const NAME: [u8; 16] = *b"mote_devices\0\0\0\0";

/// For BPF_OBJ_GET_INFO_BY_FD.
#[repr(C)]
struct Info {
    program: u32,
    size: u32,
    info: u64,
}

/// For BPF_PROG_ATTACH and BPF_PROG_DETACH.
#[repr(C)]
struct Attach {
    cgroup: u32,
    program: u32,
    kind: u32,
    flags: u32,
    replaced: u32,
}

/// For BPF_PROG_QUERY. Newer kernels write into `more` whatever size they are told.
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

/// Makes the call, and gives what it returned.
///
/// # Safety
///
/// The attributes must be those of the command, and their addresses be good for as long as it takes.
unsafe fn bpf<T>(command: usize, attributes: &mut T) -> Result<usize> {
    let attributes: *mut T = attributes;
    // SAFETY: the attributes are of this size and outlive the call; the rest is the caller's word.
    let returned = unsafe { sc::syscall3(__NR_bpf as usize, command, attributes as usize, size_of::<T>()) };
    super::check(returned)
}

/// Has the kernel verify and take a program, `struct bpf_insn`s. What it thinks of it is written to `log`, if
/// there is room; a log makes the call slow.
///
/// Errors: those of bpf(2); EPERM also where memory is charged to RLIMIT_MEMLOCK, which is before linux 5.11.
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
    // SAFETY: instructions, log and license are as long as is said and outlive the call; only the log is written.
    let fd = unsafe { bpf(PROG_LOAD, &mut attributes) }?;
    // SAFETY: the kernel made a new descriptor, which nobody else knows; it is closed on exec.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Attaches a program to a cgroup v2 directory, beside those that are there: all of them must allow a use, and
/// so must those of the cgroups above. `replacing` is one that it takes the place of, without a moment between.
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
    // SAFETY: there is no address in it.
    match (unsafe { bpf(PROG_ATTACH, &mut attributes) }, replacing) {
        // Before linux 5.6: for a moment both must allow.
        (Err(Errno::INVAL), Some(old)) => {
            attach(cgroup, program, None)?;
            detach(cgroup, old)
        }
        (returned, _) => returned.map(drop),
    }
}

/// Takes a program away from a cgroup.
pub fn detach(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: there is no address in it.
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

/// How many programs are attached to this very cgroup; their ids go to `ids`.
///
/// Errors: those of bpf(2); ENOSPC when there are more than fit.
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
    // SAFETY: the ids are as many as is said and outlive the call.
    unsafe { bpf(PROG_QUERY, &mut attributes) }?;
    Ok(attributes.count as usize)
}

/// A program by its id, while there is one. Takes CAP_SYS_ADMIN.
pub fn by_id(id: u32) -> Result<OwnedFd> {
    // `open_flags` is the third.
    let mut attributes = [id, 0, 0];
    // SAFETY: there is no address in it.
    let fd = unsafe { bpf(PROG_GET_FD_BY_ID, &mut attributes) }?;
    // SAFETY: the kernel made a new descriptor, which nobody else knows; it is closed on exec.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Whether a program is one that [`load`] has made: it has the name.
pub fn is_own(program: BorrowedFd<'_>) -> Result<bool> {
    // `struct bpf_prog_info` as far as its name, which is the end.
    let mut info = [0u64; 10];
    let mut attributes = Info {
        program: program.as_raw_fd() as u32,
        size: size_of_val(&info) as u32,
        info: info.as_mut_ptr() as u64,
    };
    // SAFETY: what is written to has the size that is said, and outlives the call; its addresses are zero, so that
    // nothing is written elsewhere.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut attributes) }?;
    let name = info.last_chunk::<2>().map(|[first, second]| [first.to_ne_bytes(), second.to_ne_bytes()]);
    Ok(name.is_some_and(|name| name.as_flattened() == NAME))
}
