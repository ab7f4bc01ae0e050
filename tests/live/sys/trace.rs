//! Actions on a program before one of its system calls (ptrace(2)).

use std::collections::BTreeSet;
use std::io::{Error, Result};
use std::os::unix::fs::FileExt;
use std::process::Command;

use super::check;

// C libraries differ in their type.
const TRACEME: i64 = libc::PTRACE_TRACEME as i64;
const SETOPTIONS: i64 = libc::PTRACE_SETOPTIONS as i64;
const SYSCALL: i64 = libc::PTRACE_SYSCALL as i64;

fn ptrace(request: i64, pid: i32, data: i32) -> Result<()> {
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: the requests used here take no address, and a number as data.
    let answer = unsafe { libc::ptrace(request as _, pid, none, data as usize as *mut libc::c_void) };
    check(answer).map(drop)
}

fn wait(pid: i32) -> Result<i32> {
    let mut status = 0;
    // SAFETY: the status outlives the call.
    check(i64::from(unsafe { libc::waitpid(pid, &raw mut status, 0) }))?;
    Ok(status)
}

/// Runs a command up to its `number`th system call after execve, counted from 0, calls `act` with its PID before
/// the kernel executes that call, and lets it run until it exits. Returns the wait status, and whether the command made
/// that many calls. Only the command itself is counted and stopped, not its children.
pub fn interrupted_at(
    command: &mut Command,
    number: u32,
    act: impl FnOnce(i32) -> Result<()>,
) -> Result<(i32, bool)> {
    let mut seen = 0;
    let that = |_| {
        seen += 1;
        Ok(seen - 1 == number)
    };
    interrupted_when(command, that, act)
}

/// Like `interrupted_at`, before the first system call for which `when` is true of the command's PID.
pub fn interrupted_when(
    command: &mut Command,
    mut when: impl FnMut(i32) -> Result<bool>,
    act: impl FnOnce(i32) -> Result<()>,
) -> Result<(i32, bool)> {
    super::before_exec(command, || ptrace(TRACEME, 0, 0));
    #[allow(clippy::zombie_processes)] // It is waited for below, by a function that also reports stops.
    let child = command.spawn()?;
    let pid = child.id().cast_signed();
    // The stop at execve.
    wait(pid)?;
    ptrace(SETOPTIONS, pid, libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL)?;
    let (mut before, mut signal, mut act) = (true, 0, Some(act));
    loop {
        match ptrace(SYSCALL, pid, signal) {
            // It was killed while it was stopped.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
            other => other?,
        }
        let status = wait(pid)?;
        if !libc::WIFSTOPPED(status) {
            return Ok((status, act.is_none()));
        }
        signal = libc::WSTOPSIG(status);
        if signal != libc::SIGTRAP | 0x80 {
            continue;
        }
        signal = 0;
        if before
            && act.is_some()
            && when(pid)?
            && let Some(act) = act.take()
        {
            act(pid)?;
        }
        // Stops come in pairs: at the entry of a call, and at its exit.
        before = !before;
    }
}

/// The call with which rustix receives from a socket.
#[cfg(target_arch = "x86")]
const RECEIVE: libc::c_long = libc::SYS_socketcall;
#[cfg(any(target_arch = "arm", target_arch = "powerpc64"))]
const RECEIVE: libc::c_long = libc::SYS_recv;
#[cfg(not(any(target_arch = "x86", target_arch = "arm", target_arch = "powerpc64")))]
const RECEIVE: libc::c_long = libc::SYS_recvfrom;

/// Whether a stopped process is about to receive from a socket that raises SIGIO (proc_pid_syscall(5),
/// proc_pid_fdinfo(5)).
pub fn receives_with_sigio(pid: i32) -> Result<bool> {
    /// `SYS_RECV`, of linux/net.h.
    const OPERATION: u64 = 10;
    let fd = match call_of(pid)? {
        (RECEIVE, [OPERATION, arguments]) if cfg!(target_arch = "x86") => {
            let mut first = [0; 4];
            std::fs::File::open(format!("/proc/{pid}/mem"))?.read_exact_at(&mut first, arguments)?;
            u64::from(u32::from_ne_bytes(first))
        }
        (RECEIVE, [fd, _]) if !cfg!(target_arch = "x86") => fd,
        _ => return Ok(false),
    };
    let info = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}"))?;
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap_or_default();
    let flags = i32::from_str_radix(flags.trim(), 8).map_err(Error::other)?;
    Ok(flags & libc::O_ASYNC != 0)
}

/// Runs a command to its end, and returns the RSS in KB of each of its processes, in the order of their creation, when it
/// exits, executes a program or waits for a connection.
pub fn resident_at_end(command: &mut Command) -> Result<Vec<u64>> {
    const OPTIONS: i32 = libc::PTRACE_O_TRACESYSGOOD
        | libc::PTRACE_O_EXITKILL
        | libc::PTRACE_O_TRACEFORK
        | libc::PTRACE_O_TRACEVFORK
        | libc::PTRACE_O_TRACECLONE
        | libc::PTRACE_O_TRACEEXEC;
    super::before_exec(command, || ptrace(TRACEME, 0, 0));
    #[allow(clippy::zombie_processes)] // Waited for below.
    let root = command.spawn()?.id().cast_signed();
    wait(root)?;
    ptrace(SETOPTIONS, root, OPTIONS)?;
    ptrace(SYSCALL, root, 0)?;
    let (mut found, mut traced) = (vec![(root, 0)], BTreeSet::from([root]));
    while !traced.is_empty() {
        let mut status = 0;
        // Other tests run in other threads of this process.
        let options = libc::__WALL | libc::__WNOTHREAD;
        // SAFETY: the status outlives the call.
        let pid = check(i64::from(unsafe { libc::waitpid(-1, &raw mut status, options) }))? as i32;
        if !libc::WIFSTOPPED(status) {
            traced.remove(&pid);
            continue;
        }
        if traced.insert(pid) {
            found.push((pid, 0));
        }
        let (call, _) = call_of(pid)?;
        if [libc::SYS_accept4, libc::SYS_execve, libc::SYS_exit_group].contains(&call) {
            let resident = memory(pid, "Rss")?;
            let process = found.iter_mut().filter(|(known, _)| *known == pid);
            process.for_each(|(_, most)| *most = resident.max(*most));
        }
        if status >> 16 == libc::PTRACE_EVENT_EXEC || call == libc::SYS_accept4 {
            traced.remove(&pid);
            ptrace(libc::PTRACE_DETACH as i64, pid, 0)?;
            continue;
        }
        let signal = libc::WSTOPSIG(status);
        let is_own = signal == libc::SIGTRAP | 0x80 || signal == libc::SIGTRAP || signal == libc::SIGSTOP;
        ptrace(SYSCALL, pid, if is_own { 0 } else { signal })?;
    }
    Ok(found.into_iter().map(|(_, resident)| resident).collect())
}

/// The number of the system call at which a process is stopped, and its first two arguments (proc_pid_syscall(5)).
fn call_of(pid: i32) -> Result<(libc::c_long, [u64; 2])> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/syscall"))?;
    let mut fields = text.split(' ');
    let number = fields.next().and_then(|field| field.trim().parse().ok());
    let arguments = [(); 2].map(|()| {
        let field = fields.next().and_then(|field| field.strip_prefix("0x"));
        field.and_then(|field| u64::from_str_radix(field, 16).ok()).unwrap_or_default()
    });
    // Without a call: "running", or -1.
    Ok((number.unwrap_or(-1), arguments))
}

/// Waits until a process is blocked in a system call.
pub fn until_blocked_in(pid: i32, call: libc::c_long) -> Result<()> {
    for _ in 0..30_000 {
        if call_of(pid)?.0 == call {
            return Ok(());
        }
        // The kernel does not report it, so this polls.
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    Err(Error::other(format!("process {pid} is not in system call {call}")))
}

/// A field of smaps_rollup (proc_pid_smaps(5)), in KB.
pub fn memory(pid: i32, field: &str) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    number.ok_or_else(|| Error::other(format!("no {field}")))
}

/// Kills a command before its `number`th system call. Returns `false` if it exited before that.
pub fn killed_at(command: &mut Command, number: u32) -> Result<bool> {
    match interrupted_at(command, number, |pid| super::kill(pid, libc::SIGKILL))? {
        (status, true) if !libc::WIFSIGNALED(status) => Err(Error::other(format!("status {status:#x}"))),
        (_, came) => Ok(came),
    }
}
