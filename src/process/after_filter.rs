//! The system calls of mote in a process whose seccomp filter is loaded already.
//!
//! With no_new_privs that is right before execve; without, it needs CAP_SYS_ADMIN, and comes before capabilities are
//! dropped. Everything that `finish.rs`, `init.rs`, `start_socket.rs` and `exec.rs` of `launch` do after that is listed here.

use linux_raw_sys::prctl::PR_SET_DUMPABLE;

use super::{caps, env, exec, signals, user};
use crate::sys::seccomp::{Call, Need};

/// What the process waits for after its filter is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// The parent, without sending it a message first (`exec`).
    ExecParent,
    /// The parent, after the message that it is set up.
    Parent,
    /// The same, and then `start` at the start socket.
    StartSocket,
}

/// The parts of a plan that decide which system calls are made.
#[derive(Clone, Copy)]
pub struct AfterFilter<'p> {
    pub no_new_privileges: bool,
    pub user: &'p user::Plan,
    pub caps: &'p caps::Plan,
    pub env: &'p env::Plan<'p>,
    pub signals: signals::Plan,
    pub waits_for: WaitsFor,
}

/// The receiving and the sending call of `launch/message.rs`, as rustix makes them.
const RECEIVE: &str = if cfg!(target_arch = "arm") { "recv" } else { "recvfrom" };
const SEND: &str = if cfg!(target_arch = "arm") { "send" } else { "sendto" };

impl AfterFilter<'_> {
    /// The calls that every start makes which comes to the program, and those of one that does not.
    pub fn calls(self, report: &mut dyn FnMut(Need, Call<'_>)) {
        if !self.no_new_privileges {
            self.early(report);
        }
        report(Need::Success, Call { name: "execve", arguments: &[] });
        report(Need::Words, Call { name: SEND, arguments: &[] });
        report(Need::Words, Call { name: "exit_group", arguments: &[1] });
    }

    fn early(self, report: &mut dyn FnMut(Need, Call<'_>)) {
        let call = &mut |name, arguments: &[_]| report(Need::Success, Call { name, arguments });
        self.caps.calls(self.user.uid, call);
        self.user.calls(call);
        call("prctl", &[PR_SET_DUMPABLE.into(), 0, 0, 0, 0]);
        let waits = match self.waits_for {
            WaitsFor::ExecParent => &[][..],
            WaitsFor::Parent => &[SEND],
            WaitsFor::StartSocket => &[SEND, "accept4"],
        };
        for name in exec::FINDING.iter().chain(waits).chain(&[RECEIVE, "rt_sigprocmask"]) {
            call(name, &[]);
        }
        let unheard =
            [(self.env.needs_home, "openat"), (self.signals.ignored != 0, "rt_sigaction"), (true, "close")];
        for (_, name) in unheard.into_iter().filter(|(is_made, _)| *is_made) {
            report(Need::Life, Call { name, arguments: &[] });
        }
    }
}
