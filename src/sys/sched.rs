//! Scheduling, memory policy and personality: sched_setattr(2), sched_setaffinity(2), ioprio_set(2),
//! set_mempolicy(2), personality(2), for the calling process.

use linux_raw_sys::general::{
    __NR_ioprio_set, __NR_personality, __NR_sched_setaffinity, __NR_sched_setattr, __NR_set_mempolicy,
};
use rustix::io::Result;

/// `struct sched_attr` of include/uapi/linux/sched/types.h (linux 5.3), but for the size in front of it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Attributes {
    size: u32,
    /// `SCHED_*`
    pub policy: u32,
    /// `SCHED_FLAG_*`
    pub flags: u64,
    pub nice: i32,
    pub priority: u32,
    /// Nanoseconds, of SCHED_DEADLINE.
    pub runtime: u64,
    pub deadline: u64,
    pub period: u64,
    util_min: u32,
    util_max: u32,
}

/// Sets policy and parameters. Most but lowering oneself takes CAP_SYS_NICE.
pub fn sched_setattr(attributes: Attributes) -> Result<()> {
    let all = Attributes { size: size_of::<Attributes>() as u32, ..attributes };
    // SAFETY: the structure says its own size, and outlives the call.
    let returned = unsafe { sc::syscall3(__NR_sched_setattr as usize, 0, &raw const all as usize, 0) };
    super::check(returned).map(drop)
}

/// Sets the CPUs it may run on: bit n is CPU n. Those that are not there are passed over, but one must be.
pub fn sched_setaffinity(cpus: &[u64]) -> Result<()> {
    // SAFETY: the kernel reads as many bytes as are said, which outlive the call.
    let returned =
        unsafe { sc::syscall3(__NR_sched_setaffinity as usize, 0, size_of_val(cpus), cpus.as_ptr().addr()) };
    super::check(returned).map(drop)
}

/// Sets the policy for new pages: `MPOL_*` with its flags, and the nodes it is about: bit n is node n.
pub fn set_mempolicy(mode: u32, nodes: &[u64]) -> Result<()> {
    // The kernel takes one bit less than it is told of.
    let bits = nodes.len() * 64 + 1;
    // SAFETY: the kernel reads the bits that are said, which outlive the call; of an empty list none, since one
    // less than one is none.
    let returned =
        unsafe { sc::syscall3(__NR_set_mempolicy as usize, mode as usize, nodes.as_ptr().addr(), bits) };
    super::check(returned).map(drop)
}

/// `IOPRIO_WHO_PROCESS` of include/uapi/linux/ioprio.h.
const PROCESS: usize = 1;

/// Sets the priority for storage: class and level.
pub fn ioprio_set(value: u16) -> Result<()> {
    // SAFETY: takes no pointer.
    super::check(unsafe { sc::syscall3(__NR_ioprio_set as usize, PROCESS, 0, value.into()) }).map(drop)
}

/// Sets the execution domain.
pub fn personality(value: u32) -> Result<()> {
    // SAFETY: takes no pointer.
    super::check(unsafe { sc::syscall1(__NR_personality as usize, value as usize) }).map(drop)
}
