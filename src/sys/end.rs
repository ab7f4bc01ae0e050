//! The wait status of a process that has ended (wait(2), signal(7)).

use core::fmt;

use super::signal::NAMES;

/// How a process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It exited with this code.
    Exited(i32),
    /// It was killed by this signal; `dumped` is whether a core file was written (core(5)).
    Killed { signal: i32, dumped: bool },
}

/// The signal of a seccomp filter with the actions KILL_PROCESS, KILL_THREAD and TRAP (seccomp(2)).
const SIGSYS: i32 = linux_raw_sys::general::SIGSYS as i32;

impl End {
    /// Decodes a status as wait4(2) returns it, which is also the format of `exit_code` in proc_pid_stat(5).
    pub fn of_status(status: i32) -> Self {
        match status & 0x7f {
            0 => End::Exited(status >> 8 & 0xff),
            signal => End::Killed { signal, dumped: status & 0x80 != 0 },
        }
    }
}

/// An [`End`] for error messages; `None` if it is unknown.
pub struct How(pub Option<End>);

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(end) => end.fmt(f),
            None => f.write_str("exit status unknown"),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (signal, dumped) = match *self {
            End::Exited(code) => return write!(f, "exit code {code}"),
            End::Killed { signal, dumped } => (signal, dumped),
        };
        match usize::try_from(signal).ok().and_then(|signal| NAMES.get(signal)) {
            Some(name) => write!(f, "killed by SIG{name}")?,
            None => write!(f, "killed by signal {signal}")?,
        }
        f.write_str(if signal == SIGSYS { " (a seccomp filter)" } else { "" })?;
        f.write_str(if dumped { ", core dumped" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::End;
    use alloc::string::ToString;

    #[test]
    fn ends_as_text() {
        for (status, text) in [
            (0, "exit code 0"),
            (3 << 8, "exit code 3"),
            (9, "killed by SIGKILL"),
            (31, "killed by SIGSYS (a seccomp filter)"),
            (31 | 0x80, "killed by SIGSYS (a seccomp filter), core dumped"),
            (11 | 0x80, "killed by SIGSEGV, core dumped"),
            (40, "killed by signal 40"),
        ] {
            assert_eq!(End::of_status(status).to_string(), text);
        }
    }
}
