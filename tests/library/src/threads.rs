//! Calls of many threads at once, in a program that has children and a handler of SIGCHLD of its own, and whose allocator is
//! locked for long by another thread.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use mote::{Child, Container, Error, ExecOptions, Force, Pending, Process, Runtime};

use crate::{Result, Scene, allocator};

const THREADS: usize = 6;
const ROUNDS: usize = 8;

static SIGCHLDS: AtomicU32 = AtomicU32::new(0);

extern "C" fn on_sigchld(_: i32) {
    SIGCHLDS.fetch_add(1, Ordering::Relaxed);
}

extern "C" fn on_alarm(_: i32) {}

fn unsafe_zeroed() -> libc::sigaction {
    // SAFETY: plain data, for which zero is valid.
    unsafe { std::mem::zeroed() }
}

/// Interrupts system calls of all threads, without SA_RESTART.
fn interrupt_often() {
    let mut action: libc::sigaction = unsafe_zeroed();
    action.sa_sigaction = on_alarm as *const () as usize;
    let often = libc::timeval { tv_sec: 0, tv_usec: 500 };
    let timer = libc::itimerval { it_interval: often, it_value: often };
    // SAFETY: the structures outlive the calls.
    unsafe {
        libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut());
        libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut());
    }
}

/// Waits for any child, whatever signals arrive; returns its PID, or -1 if there is none.
pub fn wait_for_any(options: i32) -> i32 {
    loop {
        // SAFETY: no status is returned.
        let found = unsafe { libc::waitpid(-1, std::ptr::null_mut(), options) };
        if found >= 0 || std::io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            return found;
        }
    }
}

/// All types can be moved to other threads, and used by several.
fn check_types() {
    fn shared<T: Send + Sync>() {}
    shared::<(Runtime, Container, Child, Error, Pending<Container>, mote::Events, Process, ExecOptions)>();
}

pub fn test(scene: &Scene) -> Result {
    check_types();
    // SAFETY: the handler only counts.
    unsafe { libc::signal(libc::SIGCHLD, on_sigchld as *const () as usize) };
    interrupt_often();
    let done = AtomicBool::new(false);
    let options = scene.quiet()?;
    let work = |thread: usize| -> mote::Result<()> {
        for round in 0..ROUNDS {
            let id = format!("{}-{thread}-{round}", scene.id);
            let bundle = scene.bundle_of(&id, &["exit", "5"]);
            let container = scene.runtime.create(&id, &bundle, &options)?;
            container.start()?;
            let status = container.wait()?;
            assert_eq!(status.code(), Some(5), "{status}");
            container.delete(Force::No)?;
        }
        Ok(())
    };
    thread::scope(|scope| -> Result {
        // As a thread in malloc(3), for so long that a process that needs the lock would be seen to hang or abort.
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                allocator::hold(|| thread::sleep(Duration::from_millis(2)));
                thread::yield_now();
            }
        });
        // Its own children, which it waits for by any PID.
        let children = scope.spawn(|| -> Result<u32> {
            let mut count = 0;
            while !done.load(Ordering::Relaxed) {
                let child = Command::new("/bin/true").spawn()?.id();
                let found = wait_for_any(0);
                count += 1;
                if found != child as i32 {
                    return Err(format!("waitpid: {found}, not {child}").into());
                }
            }
            Ok(count)
        });
        let workers: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || work(thread))).collect();
        let results: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        done.store(true, Ordering::Relaxed);
        let count = children.join().map_err(|_| "the thread with children has panicked")??;
        for result in results {
            result.map_err(|_| "a thread has panicked")??;
        }
        let signals = SIGCHLDS.load(Ordering::Relaxed);
        match signals <= count {
            true => Ok(()),
            false => Err(format!("{signals} signals for {count} children").into()),
        }
    })
}
