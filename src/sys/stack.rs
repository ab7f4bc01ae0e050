//! clone(2) of a process that shares the memory, and runs on a stack of its own.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
use linux_raw_sys::general::__NR_clone;
use rustix::fd::RawFd;
use rustix::io::Result;

/// Clones a process that runs `run(argument)` on the stack that ends at `stack`, which is aligned to 16 bytes. `flags` contain
/// CLONE_VM; with CLONE_PIDFD its pidfd is stored. Returns its PID.
///
/// Where there is no code for the architecture, the process gets a copy of the memory instead.
pub(crate) fn clone_on_stack(
    flags: u32,
    stack: usize,
    pidfd: &mut RawFd,
    run: extern "C" fn(usize) -> !,
    argument: usize,
) -> Result<usize> {
    let arguments = [flags as usize, stack, &raw mut *pidfd as usize];
    super::check(clone(arguments, run, argument))
}

/// The system call, whose first arguments are flags, stack and pidfd on all architectures.
#[cfg(target_arch = "x86_64")]
fn clone([flags, stack, pidfd]: [usize; 3], run: extern "C" fn(usize) -> !, argument: usize) -> usize {
    let returned: usize;
    // SAFETY: the new process shares the memory and runs on the other stack, which `run` does not leave. System calls
    // preserve all registers but rax, rcx and r11. The stack is aligned at the call.
    unsafe {
        core::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") __NR_clone as usize => returned,
            in("rdi") flags,
            in("rsi") stack,
            in("rdx") pidfd,
            in("r10") 0,
            in("r8") 0,
            in("r12") argument,
            in("r13") run,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    returned
}

#[cfg(target_arch = "aarch64")]
fn clone([flags, stack, pidfd]: [usize; 3], run: extern "C" fn(usize) -> !, argument: usize) -> usize {
    let returned: usize;
    // SAFETY: as for x86_64. System calls preserve all registers but x0.
    unsafe {
        core::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, x9",
            "blr x10",
            "udf #0",
            "2:",
            inlateout("x0") flags => returned,
            in("x8") __NR_clone as usize,
            in("x1") stack,
            in("x2") pidfd,
            in("x3") 0,
            in("x4") 0,
            in("x9") argument,
            in("x10") run,
            lateout("x30") _,
        );
    }
    returned
}

#[cfg(target_arch = "riscv64")]
fn clone([flags, stack, pidfd]: [usize; 3], run: extern "C" fn(usize) -> !, argument: usize) -> usize {
    let returned: usize;
    // SAFETY: as for x86_64. System calls preserve all registers but a0.
    unsafe {
        core::arch::asm!(
            "ecall",
            "bnez a0, 2f",
            "mv a0, t0",
            "jalr t1",
            "unimp",
            "2:",
            inlateout("a0") flags => returned,
            in("a7") __NR_clone as usize,
            in("a1") stack,
            in("a2") pidfd,
            in("a3") 0,
            in("a4") 0,
            in("t0") argument,
            in("t1") run,
            lateout("ra") _,
        );
    }
    returned
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
fn clone([flags, _, pidfd]: [usize; 3], run: extern "C" fn(usize) -> !, argument: usize) -> usize {
    let flags = flags & !(linux_raw_sys::general::CLONE_VM as usize);
    // SAFETY: the new process continues on its own copy of this stack.
    let returned = unsafe { super::raw::clone(flags, pidfd) };
    match returned {
        0 => run(argument),
        parent => parent,
    }
}
