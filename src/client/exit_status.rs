//! How a process has ended.

use core::fmt;

use crate::sys::end::End;

/// How a process has ended (wait(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitStatus {
    code: i32,
    signal: i32,
}

impl ExitStatus {
    pub(super) fn new(code: i32, signal: i32) -> Self {
        ExitStatus { code, signal }
    }

    pub(super) fn of(end: End) -> Self {
        match end {
            End::Exited(code) => ExitStatus::new(code, 0),
            End::Killed { signal, .. } => ExitStatus::new(0, signal),
        }
    }

    /// The exit code; `None` if a signal killed the process.
    pub fn code(&self) -> Option<i32> {
        (self.signal == 0).then_some(self.code)
    }

    /// The number of the signal that killed the process.
    pub fn signal(&self) -> Option<i32> {
        (self.signal != 0).then_some(self.signal)
    }

    /// Whether the process has exited with code 0.
    pub fn success(&self) -> bool {
        self.code() == Some(0)
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.signal {
            0 => write!(f, "exit code {}", self.code),
            signal => write!(f, "killed by signal {signal}"),
        }
    }
}
