//! `linux.seccomp`: the effect of mote's filters in the kernel. The result of a filter for every system call is tested
//! in tests/seccomp.

pub mod action;
pub mod argument;
pub mod early_kill;
pub mod foreign;
pub mod listener;
pub mod listener_error;
pub mod mote_calls;
pub mod user_namespace;

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};

use crate::bundle::Bundle;
use crate::check::{Outcome, fail, holds, skip_allowed};
use crate::command::LIMIT;
use crate::json;
use crate::json::Json;
use crate::rig::{Rig, Runtime};
use crate::sys;
use crate::sys::seccomp::{self, Answer, Notification};

/// A profile that allows everything except for these rules. It names this architecture, as older versions of runc fail
/// otherwise.
pub fn profile(rules: Vec<Json>) -> Json {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": [(native_arch())],
        "syscalls": (Json::List(rules))
    })
}

/// The name of this CPU in `linux.seccomp.architectures`.
pub fn native_arch() -> String {
    let name = match std::env::consts::ARCH {
        "powerpc64" => "ppc64le",
        name => name,
    };
    format!("SCMP_ARCH_{}", name.to_uppercase())
}

/// The default profile of docker 20.10, a list of allowed calls; those of its architectures that have the byte order of this machine.
fn docker() -> Outcome<Json> {
    let text = include_str!("../../plan/real/docker-20.10-blkio-throttle.json");
    let mut section = Json::parse(text)?.at("linux").at("seccomp").clone();
    if cfg!(target_endian = "big") {
        section.remove("architectures");
    }
    if cfg!(target_arch = "arm") {
        // docker adds them on ARM; programs use them when they start.
        section.set("syscalls[+]", rule("SCMP_ACT_ALLOW", &["cacheflush", "set_tls"]));
    }
    Ok(section)
}

/// A rule for system calls.
pub fn rule(action: &str, names: &[&str]) -> Json {
    json!({"names": (names.to_vec()), "action": action})
}

/// Calls of mote that have another name on CPUs of 32 bits.
const SETGROUPS: &str = if IS_32_BIT { "setgroups32" } else { "setgroups" };
const SETRESGID: &str = if IS_32_BIT { "setresgid32" } else { "setresgid" };
const SETRESUID: &str = if IS_32_BIT { "setresuid32" } else { "setresuid" };
const IS_32_BIT: bool = cfg!(target_pointer_width = "32");

/// The call with which a process of mote reports an error, except for one that waits for `start`: that is sendto(2).
const SEND: &str = match () {
    () if cfg!(target_arch = "x86") => "socketcall",
    () if cfg!(any(target_arch = "arm", target_arch = "powerpc64")) => "send",
    () => "sendto",
};

/// Actions that kill a process without a handler for SIGSYS.
const KILLS: [&str; 4] = ["SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"];

/// runc and crun make other calls, and have other messages.
fn only_mote(rig: &Rig) -> Outcome {
    if rig.is(Runtime::Mote) { Ok(()) } else { skip_allowed("checks mote's messages") }
}

/// A bundle with a filter, whose program reports that it ran.
fn filtered(rig: &Rig, no_new_privileges: bool, section: Json) -> Outcome<Bundle> {
    only_mote(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.set("process.noNewPrivileges", no_new_privileges);
    bundle.set("linux.seccomp", section);
    bundle.verbs(&["say", "ran"]);
    Ok(bundle)
}

/// A seccomp agent: receives the listener fd, and answers notifications.
pub struct Agent {
    pub socket: UnixListener,
    pub path: String,
    /// mote closes the connection after the message, as the specification demands; runc and crun keep it open.
    is_closed: bool,
}

impl Agent {
    /// Listens in the directory of the test.
    pub fn new(rig: &Rig) -> Outcome<Agent> {
        let path = rig.dir.join("agent");
        let socket = UnixListener::bind(&path)?;
        if let Some(user) = rig.user {
            sys::chown(&path, user, user)?;
        }
        Ok(Agent { socket, path: path.display().to_string(), is_closed: rig.is(Runtime::Mote) })
    }

    /// A profile with SCMP_ACT_NOTIFY for these calls.
    pub fn profile(&self, names: &[&str]) -> Json {
        let mut section = profile(vec![rule("SCMP_ACT_NOTIFY", names)]);
        section.set("listenerPath", self.path.as_str());
        section
    }

    fn accept(&self) -> Outcome<UnixStream> {
        holds("mote connects", sys::readable(&self.socket, LIMIT)?)?;
        Ok(self.socket.accept()?.0)
    }

    /// Receives one connection up to its end: the listener fd, and the state of the process.
    pub fn take(&self) -> Outcome<(OwnedFd, Json)> {
        let mut stream = self.accept()?;
        holds("a message arrives", sys::readable(&stream, LIMIT)?)?;
        let (mut fds, mut text) = sys::unix_socket::receive(&stream)?;
        if self.is_closed {
            stream.set_read_timeout(Some(LIMIT))?;
            stream.read_to_string(&mut text)?;
        }
        match (fds.pop(), fds.is_empty()) {
            (Some(fd), true) => Ok((fd, Json::parse(&text)?)),
            _ => fail("not exactly one file descriptor"),
        }
    }
}

/// Answers all notifications until the last process with the filter has exited; returns the numbers of the calls.
pub fn answer_all(listener: &OwnedFd, answer: fn(&Notification) -> Answer) -> Outcome<Vec<i32>> {
    let mut calls = Vec::new();
    while let Some(notification) = seccomp::next(listener)? {
        calls.push(notification.call);
        match seccomp::answer(listener, &notification, answer(&notification)) {
            // The process was killed in the meantime.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            answered => answered?,
        }
    }
    Ok(calls)
}
