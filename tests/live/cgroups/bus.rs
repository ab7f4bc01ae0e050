//! What a systemd that is old, slow of speech or broken says by D-Bus, and what becomes of that: a socket in its place,
//! at which the test answers. It makes no cgroups, so mote makes all of them.

use std::io::{Read, Result, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::{place, says};
use crate::bundle::Bundle;
use crate::check::{Outcome, contains, holds, same, skip_allowed};
use crate::command::{Output, run};
use crate::rig::{Runtime, Rig};
use crate::{json, sys, tests};

tests![
    "bus",
    bus_property_that_is_not_known,
    bus_property_that_is_not_known_to_another,
    bus_property_that_is_not_known_to_be_changed,
    bus_property_that_is_asked_for_is_not_left_out,
    bus_long_signals_and_those_of_others,
    bus_that_goes_away,
    bus_that_lets_nobody_in,
    bus_bad_answers,
];

const RETURN: u8 = 2;
const ERROR: u8 = 3;
const SIGNAL: u8 = 4;

/// What comes when a scope is to be started.
#[derive(Clone, Copy)]
enum Manner {
    Good,
    /// A property of this name is refused.
    Without(&'static str),
    /// Before the answer comes a signal that is longer than any that is waited for, and one that somebody else forged.
    Talkative,
    /// Nobody is let in.
    Closed,
    /// An error, with two lines of text.
    Refusing,
    /// Half an answer.
    Half,
    /// An answer that is longer than any.
    Long,
    /// What is no answer.
    Garbage,
    /// The end before the job's.
    Gone,
    /// The job ends so.
    Job(&'static str),
}

struct Bus {
    address: String,
    /// The calls of StartTransientUnit and SetUnitProperties, as they came.
    starts: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Bus {
    /// Answers whoever comes, until the test's process ends.
    fn new(rig: &Rig, name: &str, manner: Manner) -> Outcome<Bus> {
        if !rig.is(Runtime::Mote) {
            return skip_allowed("runc and crun have other names and other words");
        }
        let path = rig.dir.join(name);
        let listener = UnixListener::bind(&path)?;
        let starts = Arc::new(Mutex::new(Vec::new()));
        let calls = starts.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let calls = calls.clone();
                std::thread::spawn(move || serve(stream, manner, &calls));
            }
        });
        Ok(Bus { address: format!("unix:path={}", path.display()), starts })
    }

    /// `run` or `create` with this systemd, whatever others there are.
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

    /// In which calls a word was.
    fn has(&self, word: &str) -> Vec<bool> {
        let starts = self.starts.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        starts.iter().map(|call| is_in(word, call)).collect()
    }
}

fn is_in(word: &str, bytes: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

/// One who calls, until he hangs up.
fn serve(mut stream: UnixStream, manner: Manner, starts: &Mutex<Vec<Vec<u8>>>) -> Result<()> {
    let mut line = Vec::new();
    while !line.ends_with(b"BEGIN\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        line.extend(byte);
    }
    if let Manner::Closed = manner {
        return stream.write_all(b"REJECTED EXTERNAL\r\n");
    }
    stream.write_all(b"DATA\r\nOK 0123456789abcdef0123456789abcdef\r\n")?;
    loop {
        let (serial, call) = receive(&mut stream)?;
        if is_in("AddMatch", &call) {
            continue;
        }
        let answer = if is_in("ControlGroup", &call) {
            let root = [b"\x01s\0\0", text("/").as_slice()].concat();
            message(RETURN, &[number(serial), signature("v")], &root)
        } else if is_in("StopUnit", &call) {
            [done(serial), job("done", ":1.1")].concat()
        } else if is_in("StartTransientUnit", &call) || is_in("SetUnitProperties", &call) {
            starts.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(call.clone());
            let (answer, end) = start(serial, &call, manner);
            stream.write_all(&answer)?;
            if end {
                return Ok(());
            }
            continue;
        } else {
            // Hello.
            message(RETURN, &[number(serial), signature("s")], &text(":1.2"))
        };
        stream.write_all(&answer)?;
    }
}

/// What is said to StartTransientUnit, and whether that is the end.
fn start(serial: u32, call: &[u8], manner: Manner) -> (Vec<u8>, bool) {
    let good = [done(serial), job("done", ":1.1")].concat();
    match manner {
        Manner::Without(name) if is_in(name, call) => {
            let why = format!("Cannot set property {name}, or unknown property.");
            (refusal(serial, "org.freedesktop.DBus.Error.PropertyReadOnly", &why), false)
        }
        Manner::Good | Manner::Without(_) | Manner::Closed => (good, false),
        Manner::Talkative => {
            let long = message(SIGNAL, &[signature("s")], &text(&"x".repeat(1 << 20)));
            ([long, done(serial), job("failed", ":1.9"), job("done", ":1.1")].concat(), false)
        }
        Manner::Refusing => (refusal(serial, "org.freedesktop.DBus.Error.AccessDenied", "no\nnever"), false),
        Manner::Half => (good.into_iter().take(20).collect(), true),
        Manner::Long => {
            (message(RETURN, &[number(serial), signature("o")], &text(&"x".repeat(1 << 20))), false)
        }
        Manner::Garbage => (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), false),
        Manner::Gone => (done(serial), true),
        Manner::Job(result) => ([done(serial), job(result, ":1.1")].concat(), false),
    }
}

/// A call's number, and what is behind its head.
fn receive(stream: &mut UnixStream) -> Result<(u32, Vec<u8>)> {
    let mut head = [[0; 4]; 4];
    stream.read_exact(head.as_flattened_mut())?;
    let [_, body, serial, fields] = head.map(u32::from_le_bytes);
    let mut rest = vec![0; (fields.next_multiple_of(8) + body) as usize];
    stream.read_exact(&mut rest)?;
    Ok((serial, rest))
}

/// A message, in the order of bytes that is the commonest.
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

/// A header's field.
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

/// The answer with a job, from the bus's first.
fn done(serial: u32) -> Vec<u8> {
    message(RETURN, &[number(serial), field(7, b's', &text(":1.1")), signature("o")], &text("/job/7"))
}

fn refusal(serial: u32, name: &str, why: &str) -> Vec<u8> {
    message(ERROR, &[number(serial), field(4, b's', &text(name)), signature("s")], &text(why))
}

/// The end of the job, as somebody says.
fn job(result: &str, who: &str) -> Vec<u8> {
    let fields = [field(3, b's', &text("JobRemoved")), field(7, b's', &text(who)), signature("uoss")];
    let mut body = 7u32.to_le_bytes().to_vec();
    for word in ["/job/7", "x.scope", result] {
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend(text(word));
    }
    message(SIGNAL, &fields, &body)
}

/// A scope that is in no slice: what mote makes is gone when the scope is.
fn bundle(rig: &mut Rig) -> Outcome<Bundle> {
    rig.globals = vec!["--systemd-cgroup".to_string()];
    let mut bundle = rig.bundle()?;
    bundle.set("linux.cgroupsPath", format!("-.slice::{}", rig.cgroup));
    bundle.set("linux.resources.pids.limit", 13i64);
    bundle.verbs(&[]);
    Ok(bundle)
}

fn has_limit(rig: &Rig, limit: &str) -> Outcome {
    let (top, _) = place(rig, "pids", "pids")?;
    let own = top.with_file_name(format!("{}.scope/container", rig.cgroup));
    same("pids.max", says(&own, "pids.max")?.as_str(), limit)
}

fn bus_property_that_is_not_known(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    let bus = Bus::new(rig, "bus", Manner::Without("TasksMax"))?;
    bundle.verbs(&["wait", "1"]);
    bus.call(rig, "create", &bundle)?.success()?;
    same("calls with the property", bus.has("TasksMax"), [true, false])?;
    same("calls with another", bus.has("CollectMode"), [true, true])?;
    has_limit(rig, "13")?;
    rig.delete()?;
    rig.nothing_left()
}

/// What one systemd has said is not asked of it again; of another it is.
fn bus_property_that_is_not_known_to_another(rig: &mut Rig) -> Outcome {
    let bundle = bundle(rig)?;
    let old = Bus::new(rig, "old", Manner::Without("TasksMax"))?;
    for _ in 0..2 {
        old.call(rig, "run", &bundle)?.success()?;
    }
    same("calls with the property", old.has("TasksMax"), [true, false, false])?;
    let new = Bus::new(rig, "new", Manner::Good)?;
    new.call(rig, "run", &bundle)?.success()?;
    same("calls with the property", new.has("TasksMax"), [true])?;
    // The same again, as after an upgrade.
    std::fs::remove_file(rig.dir.join("old"))?;
    let upgraded = Bus::new(rig, "old", Manner::Without("TasksMax"))?;
    upgraded.call(rig, "run", &bundle)?.success()?;
    same("calls with the property", upgraded.has("TasksMax"), [true, false])?;
    rig.nothing_left()
}

fn bus_property_that_is_not_known_to_be_changed(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    bundle.remove("linux.resources.pids");
    let bus = Bus::new(rig, "bus", Manner::Without("TasksMax"))?;
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

fn bus_property_that_is_asked_for_is_not_left_out(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    bundle.set("annotations", json!({"org.systemd.property.NoSuchThing": "5"}));
    let bus = Bus::new(rig, "bus", Manner::Without("NoSuchThing"))?;
    bus.call(rig, "run", &bundle)?.failure(&[
        "StartTransientUnit",
        "PropertyReadOnly",
        "property NoSuchThing",
    ])?;
    same("calls", bus.has("NoSuchThing"), [true])?;
    rig.nothing_left()
}

fn bus_long_signals_and_those_of_others(rig: &mut Rig) -> Outcome {
    let bundle = bundle(rig)?;
    Bus::new(rig, "bus", Manner::Talkative)?.call(rig, "run", &bundle)?.success()?;
    rig.nothing_left()
}

/// A systemd that is gone has taken its scopes along.
fn bus_that_goes_away(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    let bus = Bus::new(rig, "bus", Manner::Good)?;
    bundle.verbs(&["wait", "1"]);
    bus.call(rig, "create", &bundle)?.success()?;
    std::fs::remove_file(rig.dir.join("bus"))?;
    let output = rig.mote(&["update", "--pids-limit", "5", &rig.id])?;
    output.failure(&["systemd: D-Bus at ", "no such file or directory"])?;
    rig.delete()?;
    rig.nothing_left()
}

fn bus_that_lets_nobody_in(rig: &mut Rig) -> Outcome {
    let bundle = bundle(rig)?;
    let output = Bus::new(rig, "bus", Manner::Closed)?.call(rig, "run", &bundle)?;
    // Of all addresses that were tried, the first is told of.
    same("exit code", output.code(), 1)?;
    contains("the error", &output.stderr, "systemd: D-Bus at ")?;
    holds("one line", output.stderr.lines().count() == 1)?;
    rig.nothing_left()
}

fn bus_bad_answers(rig: &mut Rig) -> Outcome {
    let bundle = bundle(rig)?;
    for (name, manner, words) in [
        ("refusing", Manner::Refusing, &["StartTransientUnit", "Error.AccessDenied: no; never"][..]),
        ("half", Manner::Half, &["recvfrom", "connection reset"]),
        ("long", Manner::Long, &["malformed D-Bus message"]),
        ("garbage", Manner::Garbage, &["malformed D-Bus message"]),
        ("gone", Manner::Gone, &["recvfrom", "connection reset"]),
        ("failed", Manner::Job("failed"), &["StartTransientUnit", "JobRemoved", "\"failed\""]),
    ] {
        for verb in ["run", "create"] {
            let bus = Bus::new(rig, &format!("{name}-{verb}"), manner)?;
            bus.call(rig, verb, &bundle)?.failure(words)?;
            same(name, bus.starts.lock().map_or(0, |starts| starts.len()), 1)?;
            rig.nothing_left()?;
        }
    }
    Ok(())
}
