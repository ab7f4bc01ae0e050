//! D-Bus replies of an old, slow or broken systemd: the test listens on a socket and answers StartTransientUnit and
//! SetUnitProperties. It creates no cgroups, so mote creates all of them.

use std::io::{Read, Result, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::{content, controller_dir};
use crate::bundle::Bundle;
use crate::check::{Outcome, contains, holds, same, skip_allowed};
use crate::command::{Output, run};
use crate::rig::{Rig, Runtime};
use crate::rootless::{as_ordinary_user, user_namespace_bundle};
use crate::{json, sys, tests};

tests![
    "bus",
    bus_unknown_property_is_left_out,
    bus_unknown_property_is_remembered_per_systemd,
    bus_unknown_property_is_left_out_of_updates,
    bus_unknown_property_of_an_annotation_is_rejected,
    bus_long_and_forged_signals_are_ignored,
    bus_unavailable_at_update_and_delete,
    bus_authentication_rejected,
    bus_invalid_replies_are_rejected,
    bus_of_a_user_that_refuses,
];

const RETURN: u8 = 2;
const ERROR: u8 = 3;
const SIGNAL: u8 = 4;

/// The reply to StartTransientUnit.
#[derive(Clone, Copy)]
enum Reply {
    Success,
    /// An error: a property of this name is unknown.
    Without(&'static str),
    /// Before the reply, a signal that is longer than any that mote waits for, and one with a forged sender.
    ExtraSignals,
    /// Authentication is rejected.
    NoAuthentication,
    /// An error whose text has two lines.
    Error,
    /// Half a reply.
    Half,
    /// A reply longer than any valid one.
    Long,
    /// Not a D-Bus message.
    Garbage,
    /// The connection ends before the job does.
    Disconnect,
    /// The job ends with this result.
    Job(&'static str),
}

struct Bus {
    address: String,
    /// The calls of StartTransientUnit and SetUnitProperties as received.
    starts: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Bus {
    /// Serves all connections until the test process exits.
    fn new(rig: &Rig, name: &str, reply: Reply) -> Outcome<Bus> {
        if !rig.is(Runtime::Mote) {
            return skip_allowed("runc and crun use other names and messages");
        }
        let path = rig.dir.join(name);
        let listener = UnixListener::bind(&path)?;
        let starts = Arc::new(Mutex::new(Vec::new()));
        let calls = starts.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let calls = calls.clone();
                std::thread::spawn(move || serve(stream, reply, &calls));
            }
        });
        Ok(Bus { address: format!("unix:path={}", path.display()), starts })
    }

    /// Runs `run` or `create` with this systemd; the machine's own is hidden.
    fn call(&self, rig: &Rig, verb: &str, bundle: &Bundle) -> Outcome<Output> {
        let mut command = rig.launch(verb, bundle, &[])?;
        command.env("DBUS_SYSTEM_BUS_ADDRESS", &self.address);
        sys::before_exec(&mut command, || {
            let own = Path::new("/run/systemd/private");
            if own.exists() {
                sys::unshare(libc::CLONE_NEWNS)?;
                sys::bind_over(Path::new("/dev/null"), own)?;
            }
            Ok(())
        });
        run(&mut command, "")
    }

    /// For each call, whether it contains a word.
    fn has(&self, word: &str) -> Vec<bool> {
        let starts = self.starts.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        starts.iter().map(|call| contains_word(word, call)).collect()
    }
}

fn contains_word(word: &str, bytes: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

/// Serves one connection until the client closes it.
fn serve(mut stream: UnixStream, reply: Reply, starts: &Mutex<Vec<Vec<u8>>>) -> Result<()> {
    let mut line = Vec::new();
    while !line.ends_with(b"BEGIN\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        line.extend(byte);
    }
    if let Reply::NoAuthentication = reply {
        return stream.write_all(b"REJECTED EXTERNAL\r\n");
    }
    stream.write_all(b"DATA\r\nOK 0123456789abcdef0123456789abcdef\r\n")?;
    loop {
        let (serial, call) = receive(&mut stream)?;
        if contains_word("AddMatch", &call) {
            continue;
        }
        let answer = if contains_word("ControlGroup", &call) {
            let root = [b"\x01s\0\0", text("/").as_slice()].concat();
            message(RETURN, &[number(serial), signature("v")], &root)
        } else if contains_word("StopUnit", &call) {
            [done(serial), job("done", ":1.1")].concat()
        } else if contains_word("StartTransientUnit", &call) || contains_word("SetUnitProperties", &call) {
            starts.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(call.clone());
            let (answer, end) = start(serial, &call, reply);
            stream.write_all(&answer)?;
            if end {
                return Ok(());
            }
            continue;
        } else {
            // The reply to Hello.
            message(RETURN, &[number(serial), signature("s")], &text(":1.2"))
        };
        stream.write_all(&answer)?;
    }
}

/// The reply to StartTransientUnit, and whether the connection then ends.
fn start(serial: u32, call: &[u8], reply: Reply) -> (Vec<u8>, bool) {
    let success = [done(serial), job("done", ":1.1")].concat();
    match reply {
        Reply::Without(name) if contains_word(name, call) => {
            let why = format!("Cannot set property {name}, or unknown property.");
            (error_reply(serial, "org.freedesktop.DBus.Error.PropertyReadOnly", &why), false)
        }
        Reply::Success | Reply::Without(_) | Reply::NoAuthentication => (success, false),
        Reply::ExtraSignals => {
            let long = message(SIGNAL, &[signature("s")], &text(&"x".repeat(1 << 20)));
            ([long, done(serial), job("failed", ":1.9"), job("done", ":1.1")].concat(), false)
        }
        Reply::Error => (error_reply(serial, "org.freedesktop.DBus.Error.AccessDenied", "no\nnever"), false),
        Reply::Half => (success.into_iter().take(20).collect(), true),
        Reply::Long => {
            (message(RETURN, &[number(serial), signature("o")], &text(&"x".repeat(1 << 20))), false)
        }
        Reply::Garbage => (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), false),
        Reply::Disconnect => (done(serial), true),
        Reply::Job(result) => ([done(serial), job(result, ":1.1")].concat(), false),
    }
}

/// Receives a call: its serial number and what follows the fixed header.
fn receive(stream: &mut UnixStream) -> Result<(u32, Vec<u8>)> {
    let mut head = [[0; 4]; 4];
    stream.read_exact(head.as_flattened_mut())?;
    let [_, body, serial, fields] = head.map(u32::from_le_bytes);
    let mut rest = vec![0; (fields.next_multiple_of(8) + body) as usize];
    stream.read_exact(&mut rest)?;
    Ok((serial, rest))
}

/// A message in little-endian byte order.
fn message(kind: u8, fields: &[Vec<u8>], body: &[u8]) -> Vec<u8> {
    let mut header = Vec::new();
    for field in fields {
        header.resize(header.len().next_multiple_of(8), 0);
        header.extend(field);
    }
    let mut out = vec![b'l', kind, 1, 1];
    for number in [body.len(), 1, header.len()] {
        out.extend((number as u32).to_le_bytes());
    }
    out.extend(header);
    out.resize(out.len().next_multiple_of(8), 0);
    out.extend(body);
    out
}

/// A header field.
fn field(code: u8, kind: u8, value: &[u8]) -> Vec<u8> {
    [&[code, 1, kind, 0], value].concat()
}

fn number(serial: u32) -> Vec<u8> {
    field(5, b'u', &serial.to_le_bytes())
}

fn signature(kind: &str) -> Vec<u8> {
    field(8, b'g', &[&[kind.len() as u8], kind.as_bytes(), b"\0"].concat())
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_le_bytes(), text.as_bytes(), b"\0"].concat()
}

/// The successful reply, with the path of the job, from the first connection name of the bus.
fn done(serial: u32) -> Vec<u8> {
    message(RETURN, &[number(serial), field(7, b's', &text(":1.1")), signature("o")], &text("/job/7"))
}

fn error_reply(serial: u32, name: &str, why: &str) -> Vec<u8> {
    message(ERROR, &[number(serial), field(4, b's', &text(name)), signature("s")], &text(why))
}

/// The signal JobRemoved with this result, from this sender.
fn job(result: &str, who: &str) -> Vec<u8> {
    let fields = [field(3, b's', &text("JobRemoved")), field(7, b's', &text(who)), signature("uoss")];
    let mut body = 7u32.to_le_bytes().to_vec();
    for word in ["/job/7", "x.scope", result] {
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend(text(word));
    }
    message(SIGNAL, &fields, &body)
}

/// A scope in no slice: what mote creates is removed with the scope.
fn bundle(rig: &mut Rig) -> Outcome<Bundle> {
    rig.globals = vec!["--systemd-cgroup".to_string()];
    let mut bundle = rig.bundle()?;
    bundle.set("linux.cgroupsPath", format!("-.slice::{}", rig.cgroup));
    bundle.set("linux.resources.pids.limit", 13i64);
    bundle.verbs(&[]);
    Ok(bundle)
}

fn has_limit(rig: &Rig, limit: &str) -> Outcome {
    let (top, _) = controller_dir(rig, "pids", "pids")?;
    let own = top.with_file_name(format!("{}.scope/container", rig.cgroup));
    same("pids.max", content(&own, "pids.max")?.as_str(), limit)
}

fn bus_unknown_property_is_left_out(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    let bus = Bus::new(rig, "bus", Reply::Without("TasksMax"))?;
    bundle.verbs(&["wait", "1"]);
    bus.call(rig, "create", &bundle)?.success()?;
    same("calls with the property", bus.has("TasksMax"), [true, false])?;
    same("calls with another property", bus.has("CollectMode"), [true, true])?;
    has_limit(rig, "13")?;
    rig.delete()?;
    rig.nothing_left()
}

/// A property that one systemd has rejected is not sent to it again, but is sent to another one.
fn bus_unknown_property_is_remembered_per_systemd(rig: &mut Rig) -> Outcome {
    let bundle = bundle(rig)?;
    let old = Bus::new(rig, "old", Reply::Without("TasksMax"))?;
    for _ in 0..2 {
        old.call(rig, "run", &bundle)?.success()?;
    }
    same("calls with the property", old.has("TasksMax"), [true, false, false])?;
    let new = Bus::new(rig, "new", Reply::Success)?;
    new.call(rig, "run", &bundle)?.success()?;
    same("calls with the property", new.has("TasksMax"), [true])?;
    // A new systemd at the same address, as after an upgrade.
    std::fs::remove_file(rig.dir.join("old"))?;
    let upgraded = Bus::new(rig, "old", Reply::Without("TasksMax"))?;
    upgraded.call(rig, "run", &bundle)?.success()?;
    same("calls with the property", upgraded.has("TasksMax"), [true, false])?;
    rig.nothing_left()
}

fn bus_unknown_property_is_left_out_of_updates(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    bundle.remove("linux.resources.pids");
    let bus = Bus::new(rig, "bus", Reply::Without("TasksMax"))?;
    bundle.verbs(&["wait", "1"]);
    bus.call(rig, "create", &bundle)?.success()?;
    for limit in ["5", "6"] {
        rig.mote(&["update", "--pids-limit", limit, &rig.id])?.success()?;
        has_limit(rig, limit)?;
    }
    same("calls with the property", bus.has("TasksMax"), [false, true])?;
    rig.delete()?;
    rig.nothing_left()
}

fn bus_unknown_property_of_an_annotation_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    bundle.set("annotations", json!({"org.systemd.property.NoSuchThing": "5"}));
    let bus = Bus::new(rig, "bus", Reply::Without("NoSuchThing"))?;
    bus.call(rig, "run", &bundle)?.failure(&[
        "StartTransientUnit",
        "PropertyReadOnly",
        "property NoSuchThing",
    ])?;
    same("calls", bus.has("NoSuchThing"), [true])?;
    rig.nothing_left()
}

fn bus_long_and_forged_signals_are_ignored(rig: &mut Rig) -> Outcome {
    let bundle = bundle(rig)?;
    Bus::new(rig, "bus", Reply::ExtraSignals)?.call(rig, "run", &bundle)?.success()?;
    rig.nothing_left()
}

/// A systemd that has exited has removed its scopes.
fn bus_unavailable_at_update_and_delete(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    let bus = Bus::new(rig, "bus", Reply::Success)?;
    bundle.verbs(&["wait", "1"]);
    bus.call(rig, "create", &bundle)?.success()?;
    std::fs::remove_file(rig.dir.join("bus"))?;
    let output = rig.mote(&["update", "--pids-limit", "5", &rig.id])?;
    output.failure(&["systemd: D-Bus at ", "no such file or directory"])?;
    rig.delete()?;
    rig.nothing_left()
}

fn bus_authentication_rejected(rig: &mut Rig) -> Outcome {
    let bundle = bundle(rig)?;
    let output = Bus::new(rig, "bus", Reply::NoAuthentication)?.call(rig, "run", &bundle)?;
    // The error names the first of all addresses that were tried.
    same("exit code", output.code(), 1)?;
    contains("the error", &output.stderr, "systemd: D-Bus at ")?;
    holds("one line", output.stderr.lines().count() == 1)?;
    rig.nothing_left()
}

fn bus_invalid_replies_are_rejected(rig: &mut Rig) -> Outcome {
    let bundle = bundle(rig)?;
    for (name, reply, words) in [
        ("refusing", Reply::Error, &["StartTransientUnit", "Error.AccessDenied: no; never"][..]),
        ("half", Reply::Half, &["recvfrom", "connection reset"]),
        ("long", Reply::Long, &["malformed D-Bus message"]),
        ("garbage", Reply::Garbage, &["malformed D-Bus message"]),
        ("disconnect", Reply::Disconnect, &["recvfrom", "connection reset"]),
        ("failed", Reply::Job("failed"), &["StartTransientUnit", "JobRemoved", "\"failed\""]),
    ] {
        for verb in ["run", "create"] {
            let bus = Bus::new(rig, &format!("{name}-{verb}"), reply)?;
            bus.call(rig, verb, &bundle)?.failure(words)?;
            same(name, bus.starts.lock().map_or(0, |starts| starts.len()), 1)?;
            rig.nothing_left()?;
        }
    }
    Ok(())
}

/// All addresses are in the error, with the variables that they come from.
fn bus_of_a_user_that_refuses(rig: &mut Rig) -> Outcome {
    let bus = Bus::new(rig, "bus", Reply::NoAuthentication)?;
    as_ordinary_user(rig)?;
    sys::chown(&rig.dir.join("bus"), crate::rootless::USER, crate::rootless::USER)?;
    rig.globals = vec!["--systemd-cgroup".to_string()];
    let mut bundle = user_namespace_bundle(rig)?;
    bundle.verbs(&[]);
    let mut command = rig.launch("run", &bundle, &[])?;
    command.env("DBUS_SESSION_BUS_ADDRESS", &bus.address).env("XDG_RUNTIME_DIR", &rig.dir);
    let dir = rig.dir.display();
    let refused =
        format!("systemd: D-Bus at {dir}/bus (DBUS_SESSION_BUS_ADDRESS): AUTH EXTERNAL: REJECTED EXTERNAL: ");
    let missing =
        format!("; D-Bus at {dir}/systemd/private (XDG_RUNTIME_DIR): connect: no such file or directory; ");
    run(&mut command, "")?.failure(&[&refused, &missing, ", or use --cgroup-manager cgroupfs\n"])?;
    rig.nothing_left()
}
