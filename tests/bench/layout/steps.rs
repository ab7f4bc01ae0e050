//! Records which functions of a program run, in which of its processes and when, by single steps (ptrace(2)).

use std::collections::{BTreeSet, HashMap};
use std::ffi::{c_int, c_long};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::map::{Function, Program};

unsafe extern "C" {
    fn ptrace(request: c_int, pid: c_int, address: usize, data: usize) -> c_long;
    fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
}

const TRACEME: c_int = 0;
const PEEKUSER: c_int = 3;
const SINGLESTEP: c_int = 9;
const DETACH: c_int = 17;
const SETOPTIONS: c_int = 0x4200;
/// PTRACE_O_TRACEFORK, TRACEVFORK, TRACECLONE, TRACEEXEC.
const OPTIONS: usize = 2 | 4 | 8 | 16;
const EVENT_EXEC: c_int = 4;
const SIGTRAP: c_int = 5;
const SIGSTOP: c_int = 19;
const WALL: c_int = 0x4000_0000;
/// Offset of the instruction pointer in struct user (sys/user.h) of x86-64.
const POINTER: usize = 16 * 8;

/// When a function ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// In the command's own process, until it calls the function `MARK`.
    Early,
    /// In the command's own process after that.
    Late,
    /// In another process, until that executes a program, or calls `MARK` the second time.
    Child,
    /// In another process after that: it is about to release its memory.
    Created,
}

/// The function that drops pages of code that are no longer needed.
pub const MARK: &str = "15drop_text_pages";

struct Tracer<'p> {
    program: &'p Program,
    root: c_int,
    is_late: bool,
    /// How often each process has called `MARK`.
    marks: HashMap<c_int, u32>,
    seen: BTreeSet<(Phase, String)>,
    /// The function in which each process was at its last step.
    last: HashMap<c_int, &'p Function>,
}

/// Runs a command until it exits; returns the symbols of the functions of its program that ran. A container init that it
/// leaves behind is detached when it waits for its start.
pub fn trace(program: &Program, command: &[String]) -> BTreeSet<(Phase, String)> {
    assert!(program.functions.iter().any(|function| function.symbol.contains(MARK)), "no function {MARK}");
    let mut traced = Command::new(&command[0]);
    traced.args(&command[1..]).stdout(Stdio::null());
    // SAFETY: one system call, which allocates nothing.
    unsafe {
        traced.pre_exec(|| {
            ptrace(TRACEME, 0, 0, 0);
            Ok(())
        })
    };
    let child = traced.spawn().unwrap_or_else(|error| panic!("{}: {error}", command[0]));
    let root = child.id() as c_int;
    // SAFETY: no status is written. It is stopped by execve.
    unsafe { waitpid(root, std::ptr::null_mut(), WALL) };
    let mut tracer = Tracer {
        program,
        root,
        is_late: false,
        marks: HashMap::new(),
        seen: BTreeSet::new(),
        last: HashMap::new(),
    };
    let status = tracer.follow();
    assert!(status == 0, "{}: wait status {status:#x}", command.join(" "));
    tracer.seen
}

impl Tracer<'_> {
    /// Records the function in which a stopped process is. Returns whether it has left the program: it runs a copy of
    /// code.
    fn step(&mut self, pid: c_int) -> bool {
        // SAFETY: the request reads a word of the registers of a stopped process.
        let address = unsafe { ptrace(PEEKUSER, pid, POINTER, 0) } as u64;
        if let Some(last) = self.last.get(&pid)
            && (last.start..last.start + last.size).contains(&address)
        {
            return false;
        }
        let Some(function) = self.program.at(address) else {
            return self.marks.get(&pid).is_some_and(|marks| *marks > 1);
        };
        self.last.insert(pid, function);
        let is_mark = function.symbol.contains(MARK);
        self.is_late |= pid == self.root && is_mark;
        let marks = self.marks.entry(pid).or_default();
        *marks += u32::from(is_mark && address == function.start);
        let phase = match (pid == self.root, self.is_late) {
            (false, _) if *marks > 1 => Phase::Created,
            (false, _) => Phase::Child,
            (true, false) => Phase::Early,
            (true, true) => Phase::Late,
        };
        self.seen.insert((phase, function.symbol.clone()));
        false
    }

    /// Traces all processes until each has exited, executed a program or left this one; returns the wait status of the
    /// command's own.
    fn follow(&mut self) -> c_int {
        let (mut known, mut end) = (BTreeSet::from([self.root]), 0);
        // SAFETY: like all below, a request without memory, for a stopped process.
        unsafe { ptrace(SETOPTIONS, self.root, 0, OPTIONS) };
        // SAFETY: as above.
        unsafe { ptrace(SINGLESTEP, self.root, 0, 0) };
        while !known.is_empty() {
            let mut status = 0;
            // SAFETY: the status outlives the call.
            let pid = unsafe { waitpid(-1, &raw mut status, WALL) };
            if status & 0xff != 0x7f {
                known.remove(&pid);
                if pid == self.root {
                    end = status;
                }
                continue;
            }
            let (signal, event) = (status >> 8 & 0xff, status >> 16);
            if event == EVENT_EXEC {
                known.remove(&pid);
                // SAFETY: as above.
                unsafe { ptrace(DETACH, pid, 0, 0) };
                continue;
            }
            let deliver = match signal {
                SIGTRAP => 0,
                // The initial stop of a new process.
                SIGSTOP if known.insert(pid) => 0,
                other => other as usize,
            };
            if signal == SIGTRAP && event == 0 && self.step(pid) {
                known.remove(&pid);
                // SAFETY: as above.
                unsafe { ptrace(DETACH, pid, 0, 0) };
                continue;
            }
            // SAFETY: as above.
            unsafe { ptrace(SINGLESTEP, pid, 0, deliver) };
        }
        end
    }
}
