//! Runs a command and prints its costs: a launcher so small that it does not affect the measurement.
//!
//! `launch [--in PID] N COMMAND...` runs COMMAND N times and prints for each run: wall time in ns, the
//! largest resident set in KB, page faults (the last two of the command and of all it waited for).
//! `launch [--in PID] --trace COMMAND...` runs it once under ptrace: see `trace.rs`.
//!
//! `--in PID` enters the mount namespace of that process first, outside the measured part. COMMAND is a
//! path; it gets /dev/null as its input and output, and must succeed. A shell or `time(1)` would not do:
//! they fork, so that a small command is charged with the memory of their copy.

#![no_std]
#![no_main]

mod kernel;
mod trace;

use kernel::{Line, Start, exit, fail, text};

/// What the child needs to become the command.
struct Command {
    path: *const u8,
    arguments: *const *const u8,
    environment: *const *const u8,
    null: isize,
    traced: bool,
}

extern "C" fn program(stack: *const usize) -> ! {
    // SAFETY: `_start` passes its stack pointer.
    let start = unsafe { Start::new(stack) };
    let null = sys!(OPENAT, -100isize, c"/dev/null".as_ptr(), 0o2000002); // O_RDWR | O_CLOEXEC
    if null < 0 {
        fail(b"open", b"/dev/null", null);
    }
    let mut words = start.arguments.get(1..).unwrap_or_default();
    if let [option, pid, rest @ ..] = words
        && text(*option) == b"--in"
    {
        enter(text(*pid));
        words = rest;
    }
    let [mode, command @ ..] = words else { usage() };
    let Some(path) = command.first() else { usage() };
    let traced = text(*mode) == b"--trace";
    let command = Command {
        path: *path,
        arguments: command.as_ptr(), // argv ends in a null
        environment: start.environment,
        null,
        traced,
    };
    if traced {
        exit(trace::trace(command.start()));
    }
    for _ in 0..kernel::parse(text(*mode)) {
        command.measure();
    }
    exit(0)
}

fn usage() -> ! {
    fail(b"usage: launch [--in PID] N|--trace COMMAND...", b"", 0)
}

fn enter(pid: &[u8]) {
    let path = trace::proc_path(kernel::parse(pid), b"ns/mnt");
    let fd = sys!(OPENAT, -100isize, path.as_ptr(), 0o2000000); // O_RDONLY | O_CLOEXEC
    let result = if fd < 0 { fd } else { sys!(SETNS, fd, 0x20000) }; // CLONE_NEWNS
    if result < 0 {
        fail(b"enter the mount namespace of", pid, result);
    }
    sys!(CLOSE, fd);
}

impl Command {
    fn start(&self) -> isize {
        let pid = kernel::spawn(0, 0, become_command, self as *const Command as usize);
        if pid < 0 {
            fail(b"clone3", b"", pid);
        }
        pid
    }

    fn measure(&self) {
        let mut status = 0i32;
        let mut usage = [0u64; 18]; // struct rusage: 4 is ru_maxrss, 8 and 9 the minor and major faults
        let before = now();
        let pid = self.start();
        sys!(WAIT4, pid, &raw mut status, 0, usage.as_mut_ptr());
        let wall = now() - before;
        if status != 0 {
            Line::new().put(text(self.path)).put(b": wait status ").number(status as u64).write(2);
            exit(1);
        }
        Line::new().number(wall).put(b" ").number(usage[4]).put(b" ").number(usage[8] + usage[9]).write(1);
    }
}

fn now() -> u64 {
    let mut time = [0u64; 2];
    sys!(CLOCK_GETTIME, 1, time.as_mut_ptr()); // CLOCK_MONOTONIC
    time[0] * 1_000_000_000 + time[1]
}

extern "C" fn become_command(data: usize) -> ! {
    // SAFETY: `Command::start` passed itself, and stands still until this process executes or exits.
    let command = unsafe { &*(data as *const Command) };
    sys!(DUP3, command.null, 0, 0);
    sys!(DUP3, command.null, 1, 0);
    if command.traced {
        sys!(PTRACE, 0, 0, 0, 0); // PTRACE_TRACEME
    }
    let errno = sys!(EXECVE, command.path, command.arguments, command.environment);
    fail(b"execute", text(command.path), errno)
}
