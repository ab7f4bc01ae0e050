//! The OOM score adjustment (proc_pid_oom_score_adj(5); config.md, "oomScoreAdj").

use alloc::string::{String, ToString};

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::{self, read, write};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use crate::error::{On, Result};

/// The value as text; `None` keeps the current one.
#[derive(Debug, Default)]
pub struct Plan(Option<String>);

impl Plan {
    /// The plan for a score of -1000 to 1000, which the decoder has checked.
    pub fn new(score: Option<i32>) -> Self {
        Plan(score.map(|score| score.to_string()))
    }

    /// Whether there is anything to do.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Sets the score of this process, the parent, and returns a guard that restores it; `proc` is the host's procfs.
    /// The child inherits the score. It cannot be set in the child, which may be non-dumpable: then the files of the
    /// child in procfs belong to root, and an unprivileged user cannot write them. Lowering needs CAP_SYS_RESOURCE.
    pub fn apply_to_parent<'p>(&self, proc: Option<&'p OwnedFd>) -> Result<Option<ScoreGuard<'p>>> {
        let (Some(score), Some(proc)) = (&self.0, proc) else { return Ok(None) };
        let file = open(proc).on(format_args!("openat /proc/self/oom_score_adj"))?;
        let mut before = [0; 8];
        let length = read(&file, &mut before).on(format_args!("read oom_score_adj"))?;
        if before.get(..length).unwrap_or_default().trim_ascii() == score.as_bytes() {
            return Ok(None);
        }
        write(&file, score.as_bytes())
            .on(format_args!("process.oomScoreAdj: write {score} to oom_score_adj"))?;
        Ok(Some(ScoreGuard { proc, before, length }))
    }
}

/// Restores the score of this process when dropped.
pub struct ScoreGuard<'p> {
    proc: &'p OwnedFd,
    before: [u8; 8],
    length: usize,
}

impl Drop for ScoreGuard<'_> {
    #[cold]
    #[inline(never)]
    fn drop(&mut self) {
        // `exec` has made this process non-dumpable before the clone, so that its files in procfs belong to root.
        let file = open(self.proc)
            .or_else(|_| set_dumpable_behavior(DumpableBehavior::Dumpable).and_then(|()| open(self.proc)));
        // If lowering it again is denied, the only effect is that an OOM kill of mote is more likely.
        if let Ok(file) = file {
            let _ = write(&file, self.before.get(..self.length).unwrap_or_default());
        }
    }
}

fn open(proc: &OwnedFd) -> io::Result<OwnedFd> {
    openat(proc, c"self/oom_score_adj", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
}
