//! `linux.seccomp`: what the kernel does with mote's programs. What the programs say of every call is tested in
//! tests/seccomp.

pub mod action;
pub mod argument;
pub mod death;
pub mod handover;
pub mod listener;
pub mod own;

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};

use crate::bundle::Bundle;
use crate::check::{Outcome, fail, holds, skip_allowed};
use crate::command::LIMIT;
use crate::json;
use crate::json::Json;
use crate::rig::{Runtime, Rig};
use crate::sys;
use crate::sys::seccomp::{self, Answer, Notification};

/// A profile that lets everything pass but for these rules. It names this machine: older runcs fall over else.
pub fn profile(rules: Vec<Json>) -> Json {
    let machine = format!("SCMP_ARCH_{}", std::env::consts::ARCH.to_uppercase());
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": [machine],
        "syscalls": (Json::List(rules))
    })
}

/// A rule about calls.
pub fn rule(action: &str, names: &[&str]) -> Json {
    json!({"names": (names.to_vec()), "action": action})
}

/// What ends a process that has no handler for SIGSYS.
const KILLS: [&str; 4] = ["SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"];

/// The peers make other calls, and have other words.
fn only_mote(rig: &Rig) -> Outcome {
    if rig.is(Runtime::Mote) { Ok(()) } else { skip_allowed("about mote's own words") }
}

/// A container with a filter, whose program says that it ran.
fn filtered(rig: &Rig, no_new_privileges: bool, section: Json) -> Outcome<Bundle> {
    only_mote(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.set("process.noNewPrivileges", no_new_privileges);
    bundle.set("linux.seccomp", section);
    bundle.verbs(&["say", "ran"]);
    Ok(bundle)
}

/// Whoever takes the listener of a filter, and answers.
struct Agent {
    socket: UnixListener,
    path: String,
    /// The connection ends before there is an answer, as the specification demands; the peers keep it for a while.
    to_the_end: bool,
}

impl Agent {
    /// Listens in the test's directory.
    fn new(rig: &Rig) -> Outcome<Agent> {
        let path = rig.dir.join("agent");
        let socket = UnixListener::bind(&path)?;
        if let Some(user) = rig.user {
            sys::chown(&path, user, user)?;
        }
        Ok(Agent { socket, path: path.display().to_string(), to_the_end: rig.is(Runtime::Mote) })
    }

    /// A profile that asks about these calls.
    fn profile(&self, names: &[&str]) -> Json {
        let mut section = profile(vec![rule("SCMP_ACT_NOTIFY", names)]);
        section.set("listenerPath", self.path.as_str());
        section
    }

    fn accept(&self) -> Outcome<UnixStream> {
        holds("mote connects", sys::readable(&self.socket, LIMIT)?)?;
        Ok(self.socket.accept()?.0)
    }

    /// Takes what is sent on one connection, up to its end: the listener, and what is said of the process.
    fn take(&self) -> Outcome<(OwnedFd, Json)> {
        let mut stream = self.accept()?;
        holds("a message arrives", sys::readable(&stream, LIMIT)?)?;
        let (mut fds, mut text) = sys::receive_fds::receive(&stream)?;
        if self.to_the_end {
            stream.set_read_timeout(Some(LIMIT))?;
            stream.read_to_string(&mut text)?;
        }
        match (fds.pop(), fds.is_empty()) {
            (Some(fd), true) => Ok((fd, Json::parse(&text)?)),
            _ => fail("not one descriptor"),
        }
    }
}

/// Answers all calls in one way until the last process with the filter has ended: the numbers of the calls.
fn answer_all(listener: &OwnedFd, answer: fn(&Notification) -> Answer) -> Outcome<Vec<i32>> {
    let mut calls = Vec::new();
    while let Some(notification) = seccomp::next(listener)? {
        calls.push(notification.call);
        match seccomp::answer(listener, &notification, answer(&notification)) {
            // It was killed meanwhile.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            answered => answered?,
        }
    }
    Ok(calls)
}
