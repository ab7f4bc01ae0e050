//! Traces a command and all its children with ptrace(2), and counts the system calls of each process.
//!
//! A process is traced until it executes a program inside another root, that is, until it becomes the container's
//! payload; then it is detached. Prints one line for each: its role, its system calls, its peak RSS twice (VmHWM, and
//! the exact sum of smaps_rollup), both in KB, and its threads. Memory is read when the process is about to exit or to
//! execute, when a runtime uses the most.

use crate::kernel::{self, Line};
use crate::sys;
use core::ffi::CStr;

const PTRACE_SYSCALL: usize = 24;
const PTRACE_DETACH: usize = 17;
const PTRACE_SETOPTIONS: usize = 0x4200;
const PTRACE_GETEVENTMSG: usize = 0x4201;
const PTRACE_GET_SYSCALL_INFO: usize = 0x420e;
/// TRACESYSGOOD, FORK, VFORK, CLONE, EXEC, EXIT.
const OPTIONS: usize = 1 | 2 | 4 | 8 | 16 | 64;
const SYSCALL_STOP: i32 = 5 | 0x80;
const EVENT_EXEC: i32 = 4;
const EVENT_EXIT: i32 = 6;
const SIGTRAP: i32 = 5;
const SIGSTOP: i32 = 19;
const WALL: usize = 0x40000000;

#[derive(Clone, Copy, Default)]
struct Process {
    pid: u64,
    calls: u64,
    high_water: u64,
    resident: u64,
    threads: u64,
}

struct Tracer {
    processes: [Process; 32],
    known: usize,
    /// Thread ids seen so far, 0 for a free slot.
    threads: [u64; 512],
}

/// Traces `root`, a child stopped at its execve, until it exits; returns its exit code.
pub fn trace(root: isize) -> i32 {
    let mut tracer = Tracer { processes: [Process::default(); 32], known: 0, threads: [0; 512] };
    let mut code = 1;
    loop {
        let mut status = 0i32;
        let tid = sys!(WAIT4, -1isize, &raw mut status, WALL, 0);
        if tid < 0 {
            break; // ECHILD: all are gone
        }
        if status & 0xff == 0x7f {
            tracer.stopped(tid as u64, status >> 8);
            continue;
        }
        tracer.remove_thread(tid as u64);
        if tid == root {
            code = if status & 0x7f == 0 { status >> 8 & 0xff } else { 1 };
            break;
        }
    }
    tracer.report();
    code
}

/// /proc/PID/NAME, with a terminating NUL.
pub fn proc_path(pid: u64, name: &[u8]) -> [u8; 64] {
    let line = Line::new().put(b"/proc/").number(pid).put(b"/").put(name);
    let mut path = [0; 64];
    for (to, from) in path.iter_mut().zip(line.bytes()) {
        *to = *from;
    }
    path
}

impl Tracer {
    /// Handles a stop of a thread: `what` is the signal, with the ptrace event in the upper bits.
    fn stopped(&mut self, tid: u64, what: i32) {
        let signal = what & 0xff;
        let fresh = self.add_thread(tid);
        let mut deliver = 0;
        match (signal, what >> 8) {
            (SYSCALL_STOP, _) => self.system_call(tid),
            (SIGTRAP, EVENT_EXEC) => {
                let before = event_message(tid); // the thread's id, if it was not the first of its process
                if before != tid {
                    self.remove_thread(before);
                }
                if root_of(tid) != root_of(0) {
                    self.remove_thread(tid);
                    sys!(PTRACE, PTRACE_DETACH, tid, 0, 0);
                    return;
                }
            }
            (SIGTRAP, EVENT_EXIT) => self.read_memory(tid),
            (SIGTRAP, 0) if fresh => {
                sys!(PTRACE, PTRACE_SETOPTIONS, tid, 0, OPTIONS); // the command's own execve
            }
            (SIGSTOP, 0) if fresh => {} // the stop in which every new child begins
            (_, 0) => deliver = signal,
            _ => {}
        }
        sys!(PTRACE, PTRACE_SYSCALL, tid, 0, deliver);
    }

    fn system_call(&mut self, tid: u64) {
        let mut info = [0u64; 11]; // struct ptrace_syscall_info: byte 0 is the kind of stop, word 3 the number
        sys!(PTRACE, PTRACE_GET_SYSCALL_INFO, tid, size_of_val(&info), info.as_mut_ptr());
        if info[0] & 0xff != 1 {
            return; // PTRACE_SYSCALL_INFO_ENTRY alone
        }
        if let Some(process) = self.process(tid) {
            process.calls += 1;
        }
        let execute = [kernel::nr::EXECVE as u64, kernel::nr::EXECVEAT as u64];
        if execute.contains(&info[3]) {
            self.read_memory(tid); // when it returns, this memory is gone
        }
    }

    fn read_memory(&mut self, tid: u64) {
        let high_water = field(tid, b"status", b"VmHWM:");
        let resident = field(tid, b"smaps_rollup", b"Rss:");
        if let Some(process) = self.process(tid) {
            process.high_water = process.high_water.max(high_water);
            process.resident = process.resident.max(resident);
        }
    }

    fn process(&mut self, tid: u64) -> Option<&mut Process> {
        let pid = field(tid, b"status", b"Tgid:");
        self.processes[..self.known].iter_mut().find(|p| p.pid == pid)
    }

    /// Adds a thread; returns whether it is new.
    fn add_thread(&mut self, tid: u64) -> bool {
        if self.threads.contains(&tid) {
            return false;
        }
        if let Some(free) = self.threads.iter_mut().find(|t| **t == 0) {
            *free = tid;
        }
        if let Some(process) = self.process(tid) {
            process.threads += 1;
        } else if let Some(process) = self.processes.get_mut(self.known) {
            *process = Process { pid: field(tid, b"status", b"Tgid:"), threads: 1, ..Process::default() };
            self.known += 1;
        }
        true
    }

    fn remove_thread(&mut self, tid: u64) {
        if let Some(place) = self.threads.iter_mut().find(|t| **t == tid) {
            *place = 0;
        }
    }

    fn report(&self) {
        for (i, p) in self.processes[..self.known].iter().enumerate() {
            let role = match i {
                0 => Line::new().put(b"parent"),
                _ => Line::new().put(b"child-").number(i as u64),
            };
            let numbers = [p.calls, p.high_water, p.resident, p.threads];
            numbers.iter().fold(role, |line, n| line.put(b" ").number(*n)).write(1);
        }
    }
}

fn event_message(tid: u64) -> u64 {
    let mut message = 0u64;
    sys!(PTRACE, PTRACE_GETEVENTMSG, tid, 0, &raw mut message);
    message
}

/// The number after `name` in /proc/TID/FILE, or 0.
fn field(tid: u64, file: &[u8], name: &[u8]) -> u64 {
    let path = proc_path(tid, file);
    let mut buffer = [0; 4096];
    let path = CStr::from_bytes_until_nul(&path).unwrap_or_default();
    let content = kernel::read_file(path, &mut buffer).unwrap_or_default();
    let line = content.split(|b| *b == b'\n').find(|line| line.starts_with(name));
    line.map_or(0, |line| kernel::parse(line[name.len()..].trim_ascii_start()))
}

/// The root directory of a process (0: of this one), as device and inode.
fn root_of(pid: u64) -> (u64, u64) {
    let path = proc_path(pid, b"root/");
    let mut stat = [0u64; 32]; // struct stat begins with st_dev and st_ino
    let path = if pid == 0 { c"/".as_ptr().cast() } else { path.as_ptr() };
    sys!(NEWFSTATAT, -100isize, path, stat.as_mut_ptr(), 0);
    (stat[0], stat[1])
}
