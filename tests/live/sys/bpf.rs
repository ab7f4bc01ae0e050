//! bpf(2): the programs that are attached to a cgroup, and whether a program still exists.

use std::fs::File;
use std::io::Result;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use super::check;

// include/uapi/linux/bpf.h
const PROG_GET_FD_BY_ID: i32 = 13;
const PROG_QUERY: i32 = 16;
const CGROUP_DEVICE: u32 = 6;

/// The ids of the programs of type BPF_CGROUP_DEVICE that are attached to a cgroup.
pub fn programs(cgroup: &Path) -> Result<Vec<u32>> {
    let directory = File::open(cgroup)?;
    let mut ids = [0u32; 16];
    let address = ids.as_mut_ptr() as u64;
    // target_fd, attach_type, query_flags, attach_flags, prog_ids, prog_cnt, and members that newer kernels write.
    let mut words = [0u32; 32];
    words[0] = directory.as_raw_fd().cast_unsigned();
    words[1] = CGROUP_DEVICE;
    words[4..6].copy_from_slice(&[address, address >> 32].map(|half| half as u32));
    if cfg!(target_endian = "big") {
        words.swap(4, 5);
    }
    words[6] = 16;
    // SAFETY: the words and the ids outlive the call, and the array has the length given.
    check(unsafe { libc::syscall(libc::SYS_bpf, PROG_QUERY, words.as_mut_ptr(), size_of_val(&words)) })?;
    Ok(ids.into_iter().take(words[6] as usize).collect())
}

/// Whether a program with this id exists.
pub fn exists(id: u32) -> bool {
    let words = [id, 0, 0];
    // SAFETY: the words outlive the call.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, PROG_GET_FD_BY_ID, words.as_ptr(), size_of_val(&words)) };
    // SAFETY: the kernel returned this file descriptor to this call only.
    fd >= 0 && unsafe { OwnedFd::from_raw_fd(fd as RawFd) }.as_raw_fd() >= 0
}
