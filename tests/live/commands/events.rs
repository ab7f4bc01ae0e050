//! `events`: statistics of a container, once and at an interval, and the event of an OOM kill.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::bundle::Bundle;
use crate::cgroups::{is_v1, unified_top};
use crate::check::{Outcome, fail, holds, same, skip_allowed};
use crate::command::{LIMIT, Running, start};
use crate::json::Json;
use crate::rig::{Layout, Rig, Runtime};
use crate::{sys, tests_in_layouts};

tests_in_layouts![
    events_stats_equal_the_control_files,
    events_of_a_created_container,
    events_at_each_interval_until_the_end,
    events_does_not_leak_memory,
    events_report_an_oom_kill_of_a_process,
    events_report_an_oom_kill_of_the_init,
    events_end_when_the_reader_closes,
    events_of_a_stopped_container_are_rejected,
    events_of_a_container_without_a_cgroup_are_rejected,
    events_with_an_invalid_interval_are_rejected,
];

/// The members of `data`, in the order of runc.
const DATA: [&str; 8] =
    ["cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"];

/// A number in `data`, and the control file that it is read from: controller and file of v1, file of v2, the key of the
/// line in either if the file has several, and the factor from v2's unit to v1's.
struct Number {
    data: [&'static str; 3],
    v1: (&'static str, &'static str),
    v2: &'static str,
    lines: [&'static str; 2],
    unit: i64,
}

const NUMBERS: [Number; 6] = [
    Number {
        data: ["cpu", "usage", "total"],
        v1: ("cpuacct", "cpuacct.usage"),
        v2: "cpu.stat",
        lines: ["", "usage_usec"],
        unit: 1000,
    },
    Number {
        data: ["memory", "usage", "limit"],
        v1: ("memory", "memory.limit_in_bytes"),
        v2: "memory.max",
        lines: ["", ""],
        unit: 1,
    },
    Number {
        data: ["memory", "usage", "max"],
        v1: ("memory", "memory.max_usage_in_bytes"),
        v2: "memory.peak",
        lines: ["", ""],
        unit: 1,
    },
    Number {
        data: ["memory", "raw", "pgfault"],
        v1: ("memory", "memory.stat"),
        v2: "memory.stat",
        lines: ["pgfault", "pgfault"],
        unit: 1,
    },
    Number {
        data: ["pids", "current", ""],
        v1: ("pids", "pids.current"),
        v2: "pids.current",
        lines: ["", ""],
        unit: 1,
    },
    Number {
        data: ["pids", "limit", ""],
        v1: ("pids", "pids.max"),
        v2: "pids.max",
        lines: ["", ""],
        unit: 1,
    },
];

impl Number {
    /// The value in the control file, or `None` if the container has no such cgroup in this layout.
    fn counted(&self, rig: &Rig) -> Outcome<Option<i64>> {
        let (controller, file) = self.v1;
        let v1 = Path::new("/sys/fs/cgroup").join(controller).join(&rig.cgroup).join(file);
        let v2 = unified_top().join(&rig.cgroup).join(self.v2);
        let places: [(PathBuf, &str, i64); 2] = [(v1, self.lines[0], 1), (v2, self.lines[1], self.unit)];
        let Some((path, line, unit)) = places.into_iter().find(|(path, ..)| path.exists()) else {
            return Ok(None);
        };
        let text = fs::read_to_string(path)?;
        let mut lines = text.lines().filter_map(|text| text.strip_prefix(line));
        Ok(Some(lines.next().unwrap_or_default().trim().parse::<i64>()? * unit))
    }
}

/// Whether the runtime sees a controller.
fn has(rig: &Rig, controller: &str) -> bool {
    let v1 = is_v1(controller);
    let list = fs::read_to_string(unified_top().join("cgroup.controllers")).unwrap_or_default();
    let v2 = list.split_whitespace().any(|name| name == controller);
    (v1 && rig.layout != Layout::V2) || (v2 && rig.layout != Layout::V1)
}

/// A bundle with the limits that this layout supports.
fn limited(rig: &Rig) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    if has(rig, "memory") {
        bundle.set("linux.resources.memory.limit", 33_554_432i64);
    }
    if has(rig, "pids") {
        bundle.set("linux.resources.pids.limit", 77i64);
    }
    Ok(bundle)
}

/// Starts `events` at an interval and waits for the first line, after which no event is missed.
fn follow(rig: &Rig, interval: &str) -> Outcome<Running> {
    let mut events = start(&mut rig.command(&["events", "--interval", interval, &rig.id]), false)?;
    is_stats(rig, &events.lines.next()?)?;
    Ok(events)
}

/// The lines up to a line (an empty one is the end), which must appear within the time limit.
fn until(events: &mut Running, wanted: &str) -> Outcome<String> {
    let (mut text, start) = (String::new(), Instant::now());
    loop {
        match events.lines.next()? {
            line if line == wanted => return Ok(text),
            line if line.is_empty() => return fail(format_args!("no {wanted:?}")),
            _ if start.elapsed() > LIMIT => return fail(format_args!("no {wanted:?} in time")),
            line => text += &(line + "\n"),
        }
    }
}

/// The lines up to the end, and checks exit code 0. The pipe is read first, as a process with a full pipe does not
/// exit.
fn rest(events: &mut Running) -> Outcome<String> {
    let text = until(events, "")?;
    let (status, errors) = events.status()?;
    same("exit code and standard error", (status.code(), errors.as_str()), (Some(0), ""))?;
    Ok(text)
}

/// Checks that a line is an event of statistics, and returns its data.
fn is_stats(rig: &Rig, line: &str) -> Outcome<Json> {
    let event = Json::parse(line)?;
    same("members", event.keys(), vec!["type", "id", "data"])?;
    same("type", event.at("type").text(), "stats")?;
    same("id", event.at("id").text(), rig.id.as_str())?;
    same("members of the data", event.at("data").keys(), DATA.to_vec())?;
    Ok(event.at("data").clone())
}

/// The event of an OOM kill.
fn oom(rig: &Rig) -> String {
    format!("{{\"type\":\"oom\",\"id\":\"{}\"}}", rig.id)
}

fn only_mote(rig: &Rig) -> Outcome {
    match rig.is(Runtime::Mote) {
        true => Ok(()),
        false => skip_allowed("runc fails when the cgroup is removed, crun has no events"),
    }
}

/// The container waits, so that the values do not change in between. `events` reports its peak, too.
fn events_stats_equal_the_control_files(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let mut bundle = limited(rig)?;
    let _running = rig.waiting(&mut bundle)?;
    rig.mote(&["exec", &rig.id, "/payload", "allocate", "8192"])?.success()?;
    let text = rig.mote(&["events", "--stats", &rig.id])?.success()?.stdout;
    same("lines", text.lines().count(), 1)?;
    let data = is_stats(rig, &text)?;
    for number in &NUMBERS {
        let [one, two, three] = number.data;
        let event = data.at(one).at(two);
        let event = if three.is_empty() { event } else { event.at(three) };
        if let Some(counted) = number.counted(rig)? {
            same(&number.data.join("."), event.int(), counted)?;
        }
    }
    holds("CPU time", data.at("cpu").at("usage").at("total").int() > 0)?;
    // Without the controller, the processes are counted.
    if has(rig, "pids") || rig.layout != Layout::V1 {
        same("processes", data.at("pids").at("current").int(), 1)?;
    }
    if has(rig, "memory") {
        holds("memory", data.at("memory").at("usage").at("usage").int() > 0)?;
        same("limit", data.at("memory").at("usage").at("limit").int(), 33_554_432)?;
    }
    same("interfaces", data.at("network_interfaces"), &Json::Null)?;
    rig.delete()
}

fn events_of_a_created_container(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "1"]);
    let _created = rig.create(&bundle, &[])?;
    is_stats(rig, &rig.mote(&["events", "--stats", &rig.id])?.success()?.stdout)?;
    rig.delete()
}

fn events_at_each_interval_until_the_end(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    let begin = Instant::now();
    let mut events = follow(rig, "20ms")?;
    for _ in 0..4 {
        is_stats(rig, &events.lines.next()?)?;
    }
    holds("the intervals have passed", begin.elapsed() >= Duration::from_millis(3 * 20))?;
    holds("events continues", !events.has_ended()?)?;
    rig.kill_init()?;
    rest(&mut events)?.lines().try_for_each(|line| is_stats(rig, line).map(drop))?;
    rig.delete()
}

/// The size of a process's address space, from /proc.
fn size(running: &Running) -> Outcome<String> {
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid()))?;
    let size = status.lines().find(|line| line.starts_with("VmSize:"));
    Ok(size.unwrap_or_default().to_string())
}

/// Memory allocated per line would show after 600 lines.
fn events_does_not_leak_memory(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    let mut events = follow(rig, "1ms")?;
    let before = size(&events)?;
    for _ in 0..600 {
        events.lines.next()?;
    }
    same("the size", size(&events)?, before)?;
    rig.delete()
}

/// The init stays below the limit, and an exec process exceeds it.
fn events_report_an_oom_kill_of_a_process(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    if !has(rig, "memory") {
        return skip_allowed("no memory controller in this layout");
    }
    let mut bundle = limited(rig)?;
    let _running = rig.waiting(&mut bundle)?;
    let mut events = follow(rig, "200ms")?;
    let eaten = rig.mote(&["exec", &rig.id, "/payload", "allocate", "131072"])?;
    same("exit code", eaten.code(), 137)?;
    let event = oom(rig);
    until(&mut events, &event)?;
    rig.status_is("running")?;
    holds("events continues", !events.has_ended()?)?;
    rig.kill_init()?;
    let more = rest(&mut events)?;
    same("more events of an OOM kill", more.lines().filter(|line| *line == event).count(), 0)?;
    rig.delete()
}

/// Reported even if the container exits because of it.
fn events_report_an_oom_kill_of_the_init(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    if !has(rig, "memory") {
        return skip_allowed("no memory controller in this layout");
    }
    let mut bundle = limited(rig)?;
    bundle.verbs(&["wait", "1", "allocate", "131072"]);
    let mut running = rig.create(&bundle, &[])?;
    rig.mote(&["start", &rig.id])?.success()?;
    running.lines.until("waiting=1")?;
    let mut events = follow(rig, "50ms")?;
    rig.mote(&["kill", &rig.id, "USR1"])?.success()?;
    let text = rest(&mut events)?;
    let event = oom(rig);
    holds("the OOM kill is reported", text.lines().any(|line| line == event))?;
    rig.delete()
}

fn events_end_when_the_reader_closes(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    // Detected when the next line is written, without a line, and by whichever comes first.
    for interval in ["1ns", "1h"].into_iter().chain(["1ms"; 20]) {
        let mut command = rig.command(&["events", "--interval", interval, &rig.id]);
        let errors = sys::memory_file()?;
        let mut child = command.stdout(Stdio::piped()).stderr(errors.try_clone()?).spawn()?;
        drop(child.stdout.take());
        if !sys::readable(&sys::pidfd(child.id().cast_signed())?, LIMIT)? {
            child.kill()?;
            child.wait()?;
            return fail("events does not exit");
        }
        same("exit code", child.wait()?.code(), Some(0))?;
        same("bytes of error", errors.metadata()?.len(), 0)?;
    }
    rig.delete()
}

fn events_of_a_stopped_container_are_rejected(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    rig.kill_init()?;
    for options in [&[][..], &["--stats"]] {
        let words = [&["events"], options].concat();
        let stopped = rig.mote(&[&words[..], &[&rig.id]].concat())?;
        rig.failure(&stopped, &["container not running", &rig.id, "stopped"])?;
        rig.failure(&rig.mote(&[&words[..], &["nobody"]].concat())?, &["nobody", "does not exist"])?;
    }
    rig.delete()
}

fn events_of_a_container_without_a_cgroup_are_rejected(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    rig.globals.push("--cgroup-manager=disabled".into());
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    rig.failure(&rig.mote(&["events", "--stats", &rig.id])?, &[&rig.id, "no cgroup"])?;
    rig.delete()
}

/// Rejected before the container is looked up.
fn events_with_an_invalid_interval_are_rejected(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    for interval in ["0", "0s", "-1s", "moon", "5x", "1h2", "99999999999999999999"] {
        for options in [&[][..], &["--stats"]] {
            let words = [&["events", "--interval", interval], options, &["nobody"]].concat();
            rig.usage_error(&rig.mote(&words)?, &format!("\"{interval}\""))?;
        }
    }
    rig.failure(&rig.mote(&["events", "--interval", "5", "nobody"])?, &["does not exist"])
}
