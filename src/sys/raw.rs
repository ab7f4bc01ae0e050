//! The system call instruction, with one to six arguments, and calls whose arguments depend on the architecture (syscall(2)).
//!
//! A negated error number is returned as it is: see `check` in the module above.

use core::arch::asm;

use linux_raw_sys::general::{__NR_clone, __NR_pwrite64};

/// Defines the functions, from what [`system_call`] needs of the architecture and the registers of the arguments.
macro_rules! system_calls {
    ($architecture:tt $first:tt $second:tt $third:tt $fourth:tt $fifth:tt $sixth:tt) => {
        system_call!($architecture syscall1; a $first; $second $third $fourth $fifth $sixth);
        system_call!($architecture syscall2; a $first, b $second; $third $fourth $fifth $sixth);
        system_call!($architecture syscall3; a $first, b $second, c $third; $fourth $fifth $sixth);
        system_call!($architecture syscall4; a $first, b $second, c $third, d $fourth; $fifth $sixth);
        system_call!($architecture syscall5; a $first, b $second, c $third, d $fourth, e $fifth; $sixth);
        system_call!($architecture syscall6; a $first, b $second, c $third, d $fourth, e $fifth, f $sixth;);
    };
}

/// Defines a function, given the registers of its arguments and those of the arguments that it lacks. The result is in the
/// register of the first argument, except on x86.
macro_rules! system_call {
    // Where a call clobbers registers, it clobbers those of all arguments.
    (
        [$instruction:literal, $number:tt, $($clobbered:tt),+]
        $name:ident; $($argument:ident $register:tt),*; $($unused:tt)+
    ) => {
        system_call!([$instruction, $number, $($clobbered,)+ $($unused),+] $name; $($argument $register),*;);
    };
    (
        [$instruction:literal, $number:tt $(, $clobbered:tt)*]
        $name:ident; $first:ident $place:tt $(, $argument:ident $register:tt)*; $($unused:tt)*
    ) => {
        /// # Safety
        /// What the arguments point to must be valid for the system call, and its effects for the rest of the process.
        #[inline(always)]
        pub unsafe fn $name(number: usize, $first: usize $(, $argument: usize)*) -> usize {
            let returned;
            // SAFETY: as the caller guarantees.
            unsafe {
                asm!($instruction, inlateout($number) number => _, inlateout($place) $first => returned,
                    $(inlateout($register) $argument => _,)* $(lateout($clobbered) _,)* options(nostack));
            }
            returned
        }
    };
    (
        [$instruction:literal; $($clobbered:tt),*]
        $name:ident; $($argument:ident $register:tt),*; $($unused:tt)*
    ) => {
        /// # Safety
        /// What the arguments point to must be valid for the system call, and its effects for the rest of the process.
        #[inline(always)]
        pub unsafe fn $name(number: usize, $($argument: usize),*) -> usize {
            let returned;
            // SAFETY: as the caller guarantees.
            unsafe {
                asm!($instruction, inlateout("rax") number => returned, $(in($register) $argument,)*
                    $(lateout($clobbered) _,)* options(nostack));
            }
            returned
        }
    };
    (
        [in memory]
        $name:ident; $($argument:ident $register:tt),*; $($unused:tt)*
    ) => {
        /// # Safety
        /// What the arguments point to must be valid for the system call, and its effects for the rest of the process.
        #[inline(always)]
        pub unsafe fn $name(number: usize, $($argument: usize),*) -> usize {
            let mut registers = [0; 7];
            registers.iter_mut().zip([number, $($argument),*]).for_each(|(register, value)| *register = value);
            // SAFETY: as the caller guarantees.
            unsafe { call_with_registers(&registers) }
        }
    };
}

#[cfg(target_arch = "x86_64")]
system_calls!(["syscall"; "rcx", "r11"] "rdi" "rsi" "rdx" "r10" "r8" "r9");
#[cfg(target_arch = "aarch64")]
system_calls!(["svc 0", "x8"] "x0" "x1" "x2" "x3" "x4" "x5");
#[cfg(target_arch = "arm")]
system_calls!(["svc 0", "r7"] "r0" "r1" "r2" "r3" "r4" "r5");
#[cfg(target_arch = "riscv64")]
system_calls!(["ecall", "a7"] "a0" "a1" "a2" "a3" "a4" "a5");
#[cfg(target_arch = "s390x")]
system_calls!(["svc 0", "r1"] "r2" "r3" "r4" "r5" "r6" "r7");
// An error is reported by the bit SO of cr0, with a number that is not negated. The kernel clears all volatile registers
// (Documentation/arch/powerpc/syscall64-abi.rst); QEMU's user emulation does not.
#[cfg(target_arch = "powerpc64")]
system_calls!(
    ["sc; bns 1f; neg 3, 3; 1:", "r0", "r9", "r10", "r11", "r12", "cr0", "ctr", "xer"]
    "r3" "r4" "r5" "r6" "r7" "r8"
);
#[cfg(target_arch = "x86")]
system_calls!([in memory] "ebx" "ecx" "edx" "esi" "edi" "ebp");

/// Makes a system call with the values of eax, ebx, ecx, edx, esi, edi and ebp, of which the compiler has some in use.
///
/// # Safety
/// As for the functions above.
#[cfg(target_arch = "x86")]
#[inline(always)]
unsafe fn call_with_registers(registers: &[usize; 7]) -> usize {
    let returned;
    // SAFETY: as the caller guarantees. All registers are restored but those named, and the stack is as before.
    unsafe {
        asm!(
            "push ebx", "push esi", "push edi", "push ebp",
            "mov ebx, [eax + 4]", "mov ecx, [eax + 8]", "mov edx, [eax + 12]", "mov esi, [eax + 16]",
            "mov edi, [eax + 20]", "mov ebp, [eax + 24]", "mov eax, [eax]",
            "int 0x80",
            "pop ebp", "pop edi", "pop esi", "pop ebx",
            inlateout("eax") registers.as_ptr() => returned, out("ecx") _, out("edx") _,
        );
    }
    returned
}

/// mmap(2). On 32-bit architectures `at` must be a multiple of 4096.
///
/// # Safety
/// Nothing that is in use must be in the way of MAP_FIXED.
#[inline(always)]
pub unsafe fn mmap(
    address: usize,
    length: usize,
    protection: u32,
    flags: u32,
    fd: usize,
    at: usize,
) -> usize {
    let (protection, flags) = (protection as usize, flags as usize);
    #[cfg(target_arch = "s390x")]
    {
        let arguments = [address, length, protection, flags, fd, at];
        // SAFETY: as the caller guarantees; the array outlives the call.
        unsafe { syscall1(linux_raw_sys::general::__NR_mmap as usize, arguments.as_ptr() as usize) }
    }
    #[cfg(all(target_pointer_width = "64", not(target_arch = "s390x")))]
    // SAFETY: as the caller guarantees.
    unsafe {
        let number = linux_raw_sys::general::__NR_mmap as usize;
        syscall6(number, address, length, protection, flags, fd, at)
    }
    #[cfg(target_pointer_width = "32")]
    // SAFETY: as the caller guarantees.
    unsafe {
        let number = linux_raw_sys::general::__NR_mmap2 as usize;
        syscall6(number, address, length, protection, flags, fd, at / 4096)
    }
}

/// clone(2) without a new stack.
///
/// # Safety
/// `flags` must not contain CLONE_VM; `pidfd` is the address of an integer that outlives the call.
#[inline(always)]
pub unsafe fn clone(flags: usize, pidfd: usize) -> usize {
    // CONFIG_CLONE_BACKWARDS2 swaps flags and stack, CONFIG_CLONE_BACKWARDS the last two arguments, which are 0.
    let [first, second] = if cfg!(target_arch = "s390x") { [0, flags] } else { [flags, 0] };
    // SAFETY: the new process continues on its own copy of this stack.
    unsafe { syscall5(__NR_clone as usize, first, second, pidfd, 0, 0) }
}

/// pwrite(2).
///
/// # Safety
/// So many bytes from the address `start` on must be mapped, and not be changed during the call.
#[inline(always)]
pub unsafe fn pwrite(fd: usize, start: usize, length: usize, at: usize) -> usize {
    // A 64-bit argument is two words on 32-bit architectures, on ARM from an even register on.
    let [fourth, fifth] = if cfg!(target_arch = "arm") { [0, at] } else { [at, 0] };
    // SAFETY: as the caller guarantees.
    unsafe { syscall6(__NR_pwrite64 as usize, fd, start, length, fourth, fifth, 0) }
}
