//! A minimal runtime for the bench programs: `_start`, system calls, a child on its own stack, output of text.
//!
//! Without the standard library and a C library, so that starting one of these programs costs only what the kernel
//! needs. For x86_64 and aarch64. Built by `scripts/bench` with plain `rustc`.

#![allow(dead_code)] // each program uses a part of it

use core::ffi::CStr;

#[cfg(target_arch = "x86_64")]
pub mod nr {
    pub const READ: usize = 0;
    pub const WRITE: usize = 1;
    pub const CLOSE: usize = 3;
    pub const IOCTL: usize = 16;
    pub const SOCKET: usize = 41;
    pub const EXECVE: usize = 59;
    pub const WAIT4: usize = 61;
    pub const CHDIR: usize = 80;
    pub const UMASK: usize = 95;
    pub const PTRACE: usize = 101;
    pub const SETGROUPS: usize = 116;
    pub const CAPSET: usize = 126;
    pub const PIVOT_ROOT: usize = 155;
    pub const PRCTL: usize = 157;
    pub const MOUNT: usize = 165;
    pub const UMOUNT2: usize = 166;
    pub const SETHOSTNAME: usize = 170;
    pub const CLOCK_GETTIME: usize = 228;
    pub const EXIT_GROUP: usize = 231;
    pub const OPENAT: usize = 257;
    pub const MKDIRAT: usize = 258;
    pub const MKNODAT: usize = 259;
    pub const NEWFSTATAT: usize = 262;
    pub const UNLINKAT: usize = 263;
    pub const SYMLINKAT: usize = 266;
    pub const PPOLL: usize = 271;
    pub const UNSHARE: usize = 272;
    pub const DUP3: usize = 292;
    pub const PRLIMIT64: usize = 302;
    pub const SETNS: usize = 308;
    pub const BPF: usize = 321;
    pub const EXECVEAT: usize = 322;
    pub const CLONE3: usize = 435;
}

#[cfg(target_arch = "aarch64")]
pub mod nr {
    pub const DUP3: usize = 24;
    pub const IOCTL: usize = 29;
    pub const MKNODAT: usize = 33;
    pub const MKDIRAT: usize = 34;
    pub const UNLINKAT: usize = 35;
    pub const SYMLINKAT: usize = 36;
    pub const UMOUNT2: usize = 39;
    pub const MOUNT: usize = 40;
    pub const PIVOT_ROOT: usize = 41;
    pub const CHDIR: usize = 49;
    pub const OPENAT: usize = 56;
    pub const CLOSE: usize = 57;
    pub const READ: usize = 63;
    pub const WRITE: usize = 64;
    pub const PPOLL: usize = 73;
    pub const NEWFSTATAT: usize = 79;
    pub const CAPSET: usize = 91;
    pub const EXIT_GROUP: usize = 94;
    pub const UNSHARE: usize = 97;
    pub const CLOCK_GETTIME: usize = 113;
    pub const PTRACE: usize = 117;
    pub const SETGROUPS: usize = 159;
    pub const SETHOSTNAME: usize = 161;
    pub const UMASK: usize = 166;
    pub const PRCTL: usize = 167;
    pub const SOCKET: usize = 198;
    pub const EXECVE: usize = 221;
    pub const WAIT4: usize = 260;
    pub const PRLIMIT64: usize = 261;
    pub const SETNS: usize = 268;
    pub const BPF: usize = 280;
    pub const EXECVEAT: usize = 281;
    pub const CLONE3: usize = 435;
}

#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".globl _start",
    "_start: xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {program}",
    "ud2",
    program = sym crate::program,
);

#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".globl _start",
    "_start: mov x29, xzr",
    "mov x0, sp",
    "bl {program}",
    "brk #1",
    program = sym crate::program,
);

#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn call(number: usize, a: [usize; 6]) -> isize {
    let result;
    // SAFETY: a system call; the caller is responsible for the pointers among the arguments.
    unsafe {
        core::arch::asm!("syscall", inlateout("rax") number as isize => result,
            in("rdi") a[0], in("rsi") a[1], in("rdx") a[2], in("r10") a[3], in("r8") a[4], in("r9") a[5],
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub fn call(number: usize, a: [usize; 6]) -> isize {
    let result;
    // SAFETY: a system call; the caller is responsible for the pointers among the arguments.
    unsafe {
        core::arch::asm!("svc 0", in("x8") number, inlateout("x0") a[0] as isize => result,
            in("x1") a[1], in("x2") a[2], in("x3") a[3], in("x4") a[4], in("x5") a[5], options(nostack));
    }
    result
}

/// A system call by name with as many arguments as it has; negative errno on failure.
#[macro_export]
macro_rules! sys {
    ($name:ident $(, $a:expr)*) => {{
        let given = [$($a as usize),*];
        let mut six = [0usize; 6];
        let mut i = 0;
        while i < given.len() {
            six[i] = given[i];
            i += 1;
        }
        $crate::kernel::call($crate::kernel::nr::$name, six)
    }};
}

/// An error is the name of the call and its negative errno.
pub type Done<T> = Result<T, (&'static str, isize)>;

pub fn check(what: &'static str, result: isize) -> Done<usize> {
    if result < 0 { Err((what, result)) } else { Ok(result as usize) }
}

/// `struct clone_args`, CLONE_ARGS_SIZE_VER2 (Linux 5.7).
#[repr(C)]
#[derive(Default)]
pub struct CloneArgs {
    pub flags: u64,
    pub pidfd: u64,
    pub child_tid: u64,
    pub parent_tid: u64,
    pub exit_signal: u64,
    pub stack: u64,
    pub stack_size: u64,
    pub tls: u64,
    pub set_tid: u64,
    pub set_tid_size: u64,
    pub cgroup: u64,
}

pub const CLONE_VM: u64 = 0x100;
pub const CLONE_VFORK: u64 = 0x4000;
pub const SIGCHLD: u64 = 17;

#[repr(align(16))]
struct Stack([u8; 16384]);
static mut STACK: Stack = Stack([0; 16384]);

/// Starts `entry(data)` as a process that shares this one's memory until it executes or exits (like vfork), on its own
/// stack. One at a time. Returns its PID.
pub fn spawn(flags: u64, cgroup: u64, entry: extern "C" fn(usize) -> !, data: usize) -> isize {
    let args = CloneArgs {
        flags: flags | CLONE_VM | CLONE_VFORK,
        exit_signal: SIGCHLD,
        stack: &raw mut STACK as u64,
        stack_size: size_of::<Stack>() as u64,
        cgroup,
        ..CloneArgs::default()
    };
    // SAFETY: CLONE_VFORK suspends this thread while the child runs on STACK, and `entry` does not return.
    unsafe { clone_on_stack(&args, entry, data) }
}

#[cfg(target_arch = "x86_64")]
unsafe fn clone_on_stack(args: &CloneArgs, entry: extern "C" fn(usize) -> !, data: usize) -> isize {
    let result;
    // SAFETY: the caller provides the stack; the child leaves this block only through `entry`.
    unsafe {
        core::arch::asm!("syscall", "test rax, rax", "jnz 2f",
            "xor ebp, ebp", "mov rdi, r9", "call r8", "ud2", "2:",
            inlateout("rax") nr::CLONE3 as isize => result,
            in("rdi") args, in("rsi") size_of::<CloneArgs>(), in("r8") entry, in("r9") data,
            lateout("rcx") _, lateout("r11") _);
    }
    result
}

#[cfg(target_arch = "aarch64")]
unsafe fn clone_on_stack(args: &CloneArgs, entry: extern "C" fn(usize) -> !, data: usize) -> isize {
    let result;
    // SAFETY: the caller provides the stack; the child leaves this block only through `entry`.
    unsafe {
        core::arch::asm!("svc 0", "cbnz x0, 2f", "mov x29, xzr", "mov x0, x3", "blr x2", "brk #1", "2:",
            in("x8") nr::CLONE3, inlateout("x0") args => result,
            in("x1") size_of::<CloneArgs>(), in("x2") entry, in("x3") data);
    }
    result
}

/// The arguments and the environment as the kernel puts them on the stack.
pub struct Start {
    pub arguments: &'static [*const u8],
    pub environment: *const *const u8,
}

impl Start {
    /// # Safety
    /// `stack` is the stack pointer at `_start`.
    pub unsafe fn new(stack: *const usize) -> Start {
        // SAFETY: argc, then argv with a null at its end, then the environment (the System V ABI).
        unsafe {
            let count = *stack;
            let argv = stack.add(1).cast::<*const u8>();
            Start { arguments: core::slice::from_raw_parts(argv, count), environment: argv.add(count + 1) }
        }
    }
}

pub fn text(s: *const u8) -> &'static [u8] {
    // SAFETY: an argument from the kernel is terminated by a NUL and lives as long as the process.
    unsafe { CStr::from_ptr(s.cast()) }.to_bytes()
}

pub fn exit(code: i32) -> ! {
    loop {
        sys!(EXIT_GROUP, code);
    }
}

/// A line of output, collected and then written at once.
pub struct Line {
    bytes: [u8; 512],
    length: usize,
}

impl Line {
    pub const fn new() -> Line {
        Line { bytes: [0; 512], length: 0 }
    }

    pub fn put(mut self, s: &[u8]) -> Line {
        for &b in s {
            if let Some(slot) = self.bytes.get_mut(self.length) {
                *slot = b;
                self.length += 1;
            }
        }
        self
    }

    pub fn number(self, n: u64) -> Line {
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        let mut rest = n;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.put(&digits[at..])
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    pub fn write(self, fd: i32) {
        let line = self.put(b"\n");
        sys!(WRITE, fd, line.bytes.as_ptr(), line.length);
    }
}

pub fn fail(what: &[u8], subject: &[u8], errno: isize) -> ! {
    let space: &[u8] = if subject.is_empty() { b"" } else { b" " };
    let line = Line::new().put(what).put(space).put(subject);
    if errno == 0 { line } else { line.put(b": errno ").number(errno.unsigned_abs() as u64) }.write(2);
    exit(1)
}

pub fn parse(s: &[u8]) -> u64 {
    let digits = s.iter().take_while(|b| b.is_ascii_digit());
    digits.fold(0, |n, b| n.wrapping_mul(10).wrapping_add((b - b'0') as u64))
}

/// Reads the beginning of a file into `buffer`; returns the part that was read.
pub fn read_file<'a>(path: &CStr, buffer: &'a mut [u8]) -> Result<&'a [u8], isize> {
    let fd = sys!(OPENAT, -100isize, path.as_ptr(), 0o2000000); // AT_FDCWD, O_RDONLY | O_CLOEXEC
    if fd < 0 {
        return Err(fd);
    }
    let mut length = 0;
    loop {
        let rest = &mut buffer[length..];
        let n = sys!(READ, fd, rest.as_mut_ptr(), rest.len());
        if n <= 0 {
            break;
        }
        length += n as usize;
    }
    sys!(CLOSE, fd);
    Ok(&buffer[..length])
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    fail(b"panic", b"", 0)
}

// Referenced by the unwind tables of the core library; nothing here unwinds.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

// Functions that the compiler may call for copies, byte by byte, as nothing here copies more than a line. Volatile, so
// that the loops are not compiled to calls of themselves.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    for i in 0..n {
        // SAFETY: both are valid for `n` bytes: memcpy's contract.
        unsafe { to.add(i).write_volatile(from.add(i).read()) };
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, n: usize) -> *mut u8 {
    for i in 0..n {
        // SAFETY: `to` is valid for `n` bytes: memset's contract.
        unsafe { to.add(i).write_volatile(byte as u8) };
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    for i in 0..n {
        // SAFETY: both are valid for `n` bytes: memcmp's contract.
        let (x, y) = unsafe { (a.add(i).read_volatile(), b.add(i).read_volatile()) };
        if x != y {
            return x as i32 - y as i32;
        }
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    // SAFETY: the same contract.
    unsafe { memcmp(a, b, n) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(s: *const u8) -> usize {
    let mut n = 0;
    // SAFETY: `s` ends in a NUL: strlen's contract.
    while unsafe { s.add(n).read_volatile() } != 0 {
        n += 1;
    }
    n
}
