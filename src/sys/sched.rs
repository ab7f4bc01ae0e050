//! Scheduling, memory policy and personality: sched_setattr(2), sched_setaffinity(2), ioprio_set(2),
//! set_mempolicy(2), personality(2), for the calling process.

use linux_raw_sys::general::{
    __NR_ioprio_set, __NR_personality, __NR_sched_setaffinity, __NR_sched_setattr, __NR_set_mempolicy,
};
use rustix::io::Result;

/// `struct sched_attr` of include/uapi/linux/sched/types.h (linux 5.3); [`sched_setattr`] fills in the size.
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
    /// In nanoseconds, as `deadline` and `period`; for SCHED_DEADLINE.
    pub runtime: u64,
    pub deadline: u64,
    pub period: u64,
    util_min: u32,
    util_max: u32,
}

/// Sets policy and parameters. Anything that raises the priority needs CAP_SYS_NICE (sched(7)).
pub fn sched_setattr(attributes: Attributes) -> Result<()> {
    let all = Attributes { size: size_of::<Attributes>() as u32, ..attributes };
    // SAFETY: the structure contains its size, and outlives the call.
    let returned =
        unsafe { super::raw::syscall3(__NR_sched_setattr as usize, 0, &raw const all as usize, 0) };
    super::check(returned).map(drop)
}

/// Sets the CPU affinity mask: bit n is CPU n. CPUs that do not exist are ignored.
///
/// Errors: EINVAL if none of them can be used.
pub fn sched_setaffinity(cpus: &[u64]) -> Result<()> {
    // SAFETY: the length of the mask is passed, and the mask outlives the call.
    let returned = unsafe {
        super::raw::syscall3(__NR_sched_setaffinity as usize, 0, size_of_val(cpus), cpus.as_ptr().addr())
    };
    super::check(returned).map(drop)
}

/// Sets the NUMA memory policy for new pages: `MPOL_*` with its flags, and the node mask: bit n is node n.
pub fn set_mempolicy(mode: u32, nodes: &[u64]) -> Result<()> {
    // The kernel reads one bit less than `maxnode`.
    let bits = nodes.len() * 64 + 1;
    // SAFETY: the kernel reads `bits` - 1 bits, which outlive the call; none of an empty mask.
    let returned = unsafe {
        super::raw::syscall3(__NR_set_mempolicy as usize, mode as usize, nodes.as_ptr().addr(), bits)
    };
    super::check(returned).map(drop)
}

/// `IOPRIO_WHO_PROCESS` of include/uapi/linux/ioprio.h.
const PROCESS: usize = 1;

/// Sets the I/O priority: class and level, as `IOPRIO_PRIO_VALUE` packs them.
pub fn ioprio_set(value: u16) -> Result<()> {
    // SAFETY: takes no pointer.
    super::check(unsafe { super::raw::syscall3(__NR_ioprio_set as usize, PROCESS, 0, value.into()) })
        .map(drop)
}

/// Sets the execution domain (`PER_*`).
pub fn personality(value: u32) -> Result<()> {
    // SAFETY: takes no pointer.
    super::check(unsafe { super::raw::syscall1(__NR_personality as usize, value as usize) }).map(drop)
}
