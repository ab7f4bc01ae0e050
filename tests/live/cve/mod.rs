//! Attacks on published vulnerabilities of container runtimes, each test named by the id of one. docs/security.md lists
//! all of them, also those for which a test of another group is enough, or none is possible.
//!
//! The comment of a test describes the vulnerability, and against which runtime the attack succeeds: an older version of
//! runc or crun (`MOTE=/usr/sbin/runc`), or mote without the mechanism that is named.

pub mod cgroup;
pub mod descriptor;
pub mod device;
pub mod hook;
pub mod identity;
pub mod mask;
pub mod mount;
pub mod other_process;
pub mod own_file;
pub mod procfs;
pub mod race;
pub mod terminal;
pub mod value;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{JoinHandle, spawn};

use crate::check::{Outcome, holds};
use crate::sys::attack::exchange;

/// A thread that exchanges names in pairs, as a process with access to the image or to a volume could, until it is
/// dropped.
struct Exchange {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU32>,
    thread: Option<JoinHandle<()>>,
}

impl Exchange {
    fn start(pairs: Vec<(PathBuf, PathBuf)>) -> Outcome<Exchange> {
        for (one, two) in &pairs {
            exchange(one, two)?;
        }
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (stopped, counter) = (stop.clone(), count.clone());
        let thread = spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                for (one, two) in &pairs {
                    counter.fetch_add(exchange(one, two).is_ok().into(), Ordering::Relaxed);
                }
            }
        });
        Ok(Exchange { stop, count, thread: Some(thread) })
    }

    /// Checks that names were exchanged many times.
    fn is_fast(&self) -> Outcome {
        let count = self.count.load(Ordering::Relaxed);
        holds(&format!("{count} exchanges are more than 3000"), count > 3000)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // It fails only if the thread has panicked.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
