//! The out-of-memory killer's preference (proc_pid_oom_score_adj(5); config.md, "oomScoreAdj").

use alloc::string::{String, ToString};

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::write;

use crate::error::{On, Result};

/// The value as it is written; `None` leaves it alone.
#[derive(Debug, Default)]
pub struct Plan(Option<String>);

impl Plan {
    /// -1000 to 1000, checked already.
    pub fn new(score: Option<i32>) -> Self {
        Plan(score.map(|score| score.to_string()))
    }

    /// Whether there is anything to do.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Sets it for this process, through the host's procfs, before ids change: that makes /proc/self
    /// root's. Lowering it takes CAP_SYS_RESOURCE.
    pub fn apply(&self, proc: &OwnedFd) -> Result<()> {
        let Some(score) = &self.0 else { return Ok(()) };
        let file = openat(proc, c"self/oom_score_adj", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
            .on(format_args!("openat /proc/self/oom_score_adj"))?;
        write(&file, score.as_bytes())
            .map(drop)
            .on(format_args!("process.oomScoreAdj: write {score} to oom_score_adj"))
    }
}
