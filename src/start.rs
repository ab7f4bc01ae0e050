//! The start of the program, without a C library: the kernel's entry point, and the few symbols that Rust code and the library
//! expect of one.
//!
//! The kernel starts a program with the stack pointer at `argc`, and after it `argv`, the environment and the auxiliary
//! vector, the first two ended by a null pointer, the last by AT_NULL (execve(2), getauxval(3); `create_elf_tables` of
//! fs/binfmt_elf.c). mote needs nothing else that C's start-up code prepares: no thread-local storage, no stack protector, no exit
//! handlers.
#![allow(unsafe_code)] // The entry point, and symbols that others expect.

#[cfg(not(c_start))]
use core::arch::naked_asm;
#[cfg(not(c_start))]
use core::ffi::c_ulong;
use core::ffi::{CStr, c_char};
use core::iter::from_fn;
#[cfg(not(c_start))]
use core::ptr::null;

/// The environment, as environ(7) describes it. Written once, before anything reads it.
#[cfg(not(c_start))]
#[unsafe(no_mangle)]
static mut environ: *const *const c_char = null();

#[cfg(c_start)]
unsafe extern "C" {
    /// That of the C library.
    static mut environ: *const *const c_char;
}

/// The auxiliary vector. Written once, before anything reads it.
#[cfg(not(c_start))]
static mut AUXILIARY: *const [c_ulong; 2] = null();

/// The entry point, which build.rs names to the linker: calls [`start`] with the initial stack pointer, on a stack that is
/// aligned as functions expect it.
#[cfg(not(c_start))]
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn mote_start() -> ! {
    #[cfg(target_arch = "x86_64")]
    naked_asm!("xor ebp, ebp", "mov rdi, rsp", "and rsp, -16", "call {}", "ud2", sym start);
    #[cfg(target_arch = "x86")]
    naked_asm!("xor ebp, ebp", "mov eax, esp", "and esp, -16", "sub esp, 12", "push eax", "call {}", "ud2", sym start);
    #[cfg(target_arch = "aarch64")]
    naked_asm!("mov x29, xzr", "mov x30, xzr", "mov x0, sp", "b {}", sym start);
    #[cfg(target_arch = "arm")]
    naked_asm!("mov fp, #0", "mov lr, #0", "mov r0, sp", "bic sp, sp, #7", "b {}", sym start);
    // The linker may replace addresses by offsets from gp.
    #[cfg(target_arch = "riscv64")]
    naked_asm!(
        ".option push", ".option norelax", "lla gp, __global_pointer$", ".option pop",
        "mv a0, sp", "andi sp, sp, -16", "tail {}", sym start
    );
    #[cfg(target_arch = "powerpc64")]
    naked_asm!(
        "addis 2, 12, .TOC.-mote_start@ha", "addi 2, 2, .TOC.-mote_start@l",
        "mr 3, 1", "clrrdi 1, 1, 4", "li 0, 0", "stdu 0, -32(1)", "bl {}", "nop", sym start
    );
    #[cfg(target_arch = "s390x")]
    naked_asm!("lgr %r2, %r15", "aghi %r15, -160", "lghi %r0, 0", "stg %r0, 0(%r15)", "jg {}", sym start);
}

/// The function that the start-up code of a C library calls, where the program is linked in another way than that of
/// .cargo/config.toml (build.rs): that code relocates it. The C library has its own environment and getauxval(3), which
/// constructors of `std` call before this.
///
/// # Safety
/// `argv` must be the array of the arguments, which ends with a null pointer.
#[cfg(c_start)]
#[unsafe(no_mangle)]
unsafe extern "C" fn main(_: core::ffi::c_int, argv: *const *const c_char) -> ! {
    // SAFETY: as the caller guarantees.
    super::main(unsafe { strings(argv) })
}

/// Finds what is above the initial stack pointer, and calls the program with its arguments.
///
/// # Safety
/// `stack` must be the initial stack pointer.
#[cfg(not(c_start))]
unsafe extern "C" fn start(stack: *const usize) -> ! {
    // SAFETY: the kernel has stored the number of arguments there.
    let count = unsafe { stack.read() };
    let argv: *const *const c_char = stack.wrapping_add(1).cast();
    let envp = argv.wrapping_add(count + 1);
    // SAFETY: the process has a single thread, and nothing has read the variable yet.
    unsafe { environ = envp };
    // SAFETY: the array is there, and ends with a null pointer.
    let variables = unsafe { strings(envp) }.count();
    // SAFETY: as for `environ`.
    unsafe { AUXILIARY = envp.wrapping_add(variables + 1).cast() };
    // SAFETY: as for `envp`.
    super::main(unsafe { strings(argv) })
}

/// The strings of an array that ends with a null pointer.
///
/// # Safety
/// There must be such an array, of strings that end with a NUL and live as long as the process.
unsafe fn strings(array: *const *const c_char) -> impl Iterator<Item = &'static CStr> {
    let mut place = array;
    from_fn(move || {
        // SAFETY: the null pointer has not been passed.
        let string = unsafe { place.read() };
        (!string.is_null()).then(|| {
            place = place.wrapping_add(1);
            // SAFETY: it is a string that lives as long as the process.
            unsafe { CStr::from_ptr(string) }
        })
    })
}

/// The value of an environment variable (getenv(3)).
pub fn variable(name: &str) -> Option<&'static CStr> {
    // SAFETY: it was set before `main` was called, and is not changed.
    let array = unsafe { environ };
    // SAFETY: the kernel has put them there, and nothing changes them.
    let mut variables = unsafe { strings(array) };
    variables.find_map(|variable| {
        let value = variable.to_bytes_with_nul().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        CStr::from_bytes_with_nul(value).ok()
    })
}

/// getauxval(3); 0 for an unknown type.
#[cfg(not(c_start))]
#[unsafe(no_mangle)]
extern "C" fn getauxval(kind: c_ulong) -> c_ulong {
    /// The type of the last entry.
    const AT_NULL: c_ulong = 0;
    // SAFETY: it was set before `main` was called, and is not changed.
    let mut entry = unsafe { AUXILIARY };
    loop {
        // SAFETY: the last entry has not been passed.
        match unsafe { entry.read() } {
            [AT_NULL, _] => return 0,
            [found, value] if found == kind => return value,
            _ => entry = entry.wrapping_add(1),
        }
    }
}

/// For its links to the C library.
#[cfg(c_start)]
extern crate std;

/// What Rust code without `std` needs. With the feature `std`, and for `cargo clippy --all-targets`, the standard library
/// has it.
#[cfg(not(any(c_start, feature = "std", test)))]
mod without_std {
    use mote::internal::sys::clone::trap;

    /// A panic is a bug: nothing is printed, and the process is killed.
    #[panic_handler]
    fn on_panic(_: &core::panic::PanicInfo<'_>) -> ! {
        trap()
    }

    /// Referred to by the unwinding tables of the precompiled `core` and `alloc`. Nothing unwinds.
    #[unsafe(no_mangle)]
    extern "C" fn rust_eh_personality() {}

    /// As [`rust_eh_personality`].
    #[unsafe(no_mangle)]
    extern "C" fn _Unwind_Resume() -> ! {
        trap()
    }

    /// As [`rust_eh_personality`], in the tables of the Exception Handling ABI of ARM.
    #[cfg(target_arch = "arm")]
    #[unsafe(no_mangle)]
    extern "C" fn __aeabi_unwind_cpp_pr0() {}

    /// As [`__aeabi_unwind_cpp_pr0`].
    #[cfg(target_arch = "arm")]
    #[unsafe(no_mangle)]
    extern "C" fn __aeabi_unwind_cpp_pr1() {}
}
