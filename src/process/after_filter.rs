//! The system calls that mote makes in a process after its seccomp filter has been loaded.
//!
//! With no_new_privs the filter is loaded right before execve. Without, loading needs CAP_SYS_ADMIN, so it comes before
//! capabilities are dropped. All calls that `finish.rs`, `init.rs`, `start_socket.rs` and `exec.rs` in `launch` make
//! after that are listed here; those of `created.rs` that are made in addition are [`RELEASING`].

use linux_raw_sys::prctl::PR_SET_DUMPABLE;

use super::call_names::{ACCEPT, FSTAT, MMAP, RECEIVE, SEND, STAT};
use super::{caps, env, exec, signals, user};
use crate::sys::seccomp::{Call, Need};

/// The peer for which the process waits after its filter has been loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// The parent, without a message to it before (`exec`).
    ExecParent,
    /// The parent, after the message that the process is set up (`run`).
    Parent,
    /// The parent, as [`WaitsFor::Parent`], and then `mote start` at the start socket (`create`).
    StartSocket,
}

/// The system calls with which a process that waits for `start` releases its memory, and looks up beforehand what would
/// explain an error of execve(2). They may fail.
pub static RELEASING: [&str; 13] = [
    "madvise",
    MMAP,
    "prctl",
    "munmap",
    "ftruncate",
    "fcntl",
    "close",
    "faccessat",
    "faccessat2",
    STAT,
    "openat",
    FSTAT,
    "pread64",
];

/// The parts of a plan that decide which system calls are made.
#[derive(Clone, Copy)]
pub struct AfterFilter<'p> {
    pub no_new_privileges: bool,
    pub user: &'p user::Plan,
    pub caps: &'p caps::Plan,
    pub env: &'p env::Plan<'p>,
    pub signals: signals::Plan,
    pub waits_for: WaitsFor,
    /// Whether the calls from the wait for `start` on are those of a list (`sys/call_list.rs`), and not those of rustix.
    pub releases_memory: bool,
}

impl AfterFilter<'_> {
    /// Reports the calls of a start that executes the program, and those of one that fails.
    pub fn calls(self, report: &mut dyn FnMut(Need, Call<'_>)) {
        if !self.no_new_privileges {
            self.early(report);
        }
        report(Need::Success, Call { name: "execve", arguments: &[] });
        let senders: &[_] = match (self.releases_memory, self.no_new_privileges) {
            (false, _) => &[SEND],
            (true, false) => &[SEND, "sendto"],
            (true, true) => &["sendto"],
        };
        for name in senders {
            report(Need::ErrorReport, Call { name, arguments: &[] });
        }
        report(Need::ErrorReport, Call { name: "exit_group", arguments: &[1] });
    }

    fn early(self, report: &mut dyn FnMut(Need, Call<'_>)) {
        let call = &mut |name, arguments: &[_]| report(Need::Success, Call { name, arguments });
        self.caps.calls(self.user.uid, call);
        self.user.calls(call);
        call("prctl", &[PR_SET_DUMPABLE.into(), 0, 0, 0, 0]);
        let waits = match self.waits_for {
            WaitsFor::ExecParent => &[][..],
            WaitsFor::Parent => &[SEND],
            WaitsFor::StartSocket if self.releases_memory => &[SEND, "accept4", "recvfrom"],
            WaitsFor::StartSocket => &[SEND, ACCEPT],
        };
        for name in exec::FINDING.iter().chain(waits).chain(&[RECEIVE, "rt_sigprocmask"]) {
            call(name, &[]);
        }
        let may_fail =
            [(self.env.needs_home, "openat"), (self.signals.ignored != 0, "rt_sigaction"), (true, "close")];
        for (_, name) in may_fail.into_iter().filter(|(is_made, _)| *is_made) {
            report(Need::Survival, Call { name, arguments: &[] });
        }
    }
}
