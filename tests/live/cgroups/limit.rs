//! `linux.resources`: values read from the cgroup's files while the container runs.

use std::fs;
use std::path::PathBuf;

use super::{content, controller_dir, unified};
use crate::check::{Outcome, contains, different, holds, same, skip_allowed};
use crate::json;
use crate::json::Json;
use crate::rig::{Layout, Rig, Runtime};
use crate::rootless::{as_ordinary_user, user_namespace_bundle};
use crate::tests_in_layouts;

tests_in_layouts![
    memory_limit,
    memory_reservation,
    memory_limit_kills,
    memory_limit_kills_during_set_up,
    cpu_shares,
    cpu_quota_and_period,
    cpuset,
    cpuset_of_missing_cpus_is_rejected,
    pids_limit,
    pids_limit_is_enforced,
    pids_limit_of_1_runs,
    pids_limit_of_0_runs,
    pids_without_a_limit,
    huge_page_limits,
    huge_pages_of_an_unknown_size_are_rejected,
    rdma_is_rejected,
    network_class_id,
    network_priorities,
    limit_without_its_controller_is_rejected,
    memory_error_without_its_controller_names_the_given_field,
    error_names_existing_paths,
];

/// A file of the container's cgroup: its controller, and for v1 and v2 the name and the expected value.
#[derive(Clone, Copy)]
struct Value {
    controller: &'static str,
    v1: (&'static str, &'static str),
    v2: (&'static str, &'static str),
}

/// The file and its value; skips the test if the machine has no such controller.
fn file(rig: &Rig, value: &Value) -> Outcome<(PathBuf, &'static str)> {
    let (directory, v2) = controller_dir(rig, value.controller, value.controller)?;
    let (name, want) = if v2 { value.v2 } else { value.v1 };
    Ok((directory.join(name), want))
}

/// Runs a container with these resources and compares the files.
fn reads_back(rig: &Rig, resources: Json, values: &[Value]) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.resources", resources);
    let files: Vec<_> = values.iter().map(|value| file(rig, value)).collect::<Outcome<_>>()?;
    let _running = rig.waiting(&mut bundle)?;
    for (path, want) in files {
        same(&path.display().to_string(), fs::read_to_string(&path)?.trim(), want)?;
    }
    rig.delete()
}

fn memory_limit(rig: &mut Rig) -> Outcome {
    let value = Value {
        controller: "memory",
        v1: ("memory.limit_in_bytes", "67108864"),
        v2: ("memory.max", "67108864"),
    };
    reads_back(rig, json!({"memory": {"limit": 67108864i64}}), &[value])
}

fn memory_reservation(rig: &mut Rig) -> Outcome {
    let value = Value {
        controller: "memory",
        v1: ("memory.soft_limit_in_bytes", "33554432"),
        v2: ("memory.low", "33554432"),
    };
    reads_back(rig, json!({"memory": {"reservation": 33554432i64}}), &[value])
}

fn memory_limit_kills(rig: &mut Rig) -> Outcome {
    let value = Value { controller: "memory", v1: ("", ""), v2: ("", "") };
    file(rig, &value)?;
    let mut bundle = rig.bundle()?;
    bundle.set("linux.resources.memory.limit", 33554432i64);
    bundle.verbs(&["say", "before", "allocate", "131072"]);
    let output = rig.run(&bundle, &[])?;
    output.report().is("allocate", "(not reported)")?;
    if rig.is(Runtime::Mote) {
        contains("the error", &output.stderr, "out of memory: linux.resources.memory.limit 33554432, peak ")?;
    }
    same("exit code", output.code(), 137)
}

/// Files that are written while the rootfs is set up are charged to the container, too.
fn memory_limit_kills_during_set_up(rig: &mut Rig) -> Outcome {
    file(rig, &Value { controller: "memory", v1: ("", ""), v2: ("", "") })?;
    if !rig.is(Runtime::Mote) {
        return skip_allowed("checks mote's messages");
    }
    let mut bundle = rig.bundle()?;
    fs::create_dir(bundle.host_path("large"))?;
    fs::write(bundle.host_path("large/file"), vec![1u8; 32 << 20])?;
    bundle.mount(
        json!({"destination": "/large", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]}),
    );
    // Without swap, to which the file could be written.
    bundle.set("linux.resources.memory", json!({"limit": 8388608i64, "swap": 8388608i64}));
    bundle.verbs(&[]);
    let words = ["died while its rootfs was set up", "SIGKILL: out of memory", "limit 8388608, peak 8"];
    rig.rejected(&bundle, &words)
}

fn cpu_shares(rig: &mut Rig) -> Outcome {
    let value = Value { controller: "cpu", v1: ("cpu.shares", "512"), v2: ("cpu.weight", "59") };
    reads_back(rig, json!({"cpu": {"shares": 512i64}}), &[value])
}

fn cpu_quota_and_period(rig: &mut Rig) -> Outcome {
    let resources = json!({"cpu": {"quota": 50000i64, "period": 200000i64}});
    let two = ("cpu.max", "50000 200000");
    let quota = Value { controller: "cpu", v1: ("cpu.cfs_quota_us", "50000"), v2: two };
    let period = Value { controller: "cpu", v1: ("cpu.cfs_period_us", "200000"), v2: two };
    reads_back(rig, resources, &[quota, period])
}

fn cpuset(rig: &mut Rig) -> Outcome {
    let cpus = Value { controller: "cpuset", v1: ("cpuset.cpus", "0"), v2: ("cpuset.cpus", "0") };
    let mems = Value { controller: "cpuset", v1: ("cpuset.mems", "0"), v2: ("cpuset.mems", "0") };
    reads_back(rig, json!({"cpu": {"cpus": "0", "mems": "0"}}), &[cpus, mems])?;
    // With a line break, as when read from a file.
    reads_back(rig, json!({"cpu": {"cpus": "0\n", "mems": "0\n"}}), &[cpus, mems])
}

fn cpuset_of_missing_cpus_is_rejected(rig: &mut Rig) -> Outcome {
    file(rig, &Value { controller: "cpuset", v1: ("", ""), v2: ("", "") })?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.set("linux.resources.cpu.cpus", "4000");
    rig.rejected(&bundle, &["cpuset.cpus"])
}

const PIDS: &str = "pids";
/// Only determines whether the controller exists.
const ANY_PIDS: Value = Value { controller: PIDS, v1: ("", ""), v2: ("", "") };

fn pids_limit(rig: &mut Rig) -> Outcome {
    let value = Value { controller: PIDS, v1: ("pids.max", "77"), v2: ("pids.max", "77") };
    reads_back(rig, json!({"pids": {"limit": 77i64}}), &[value])
}

/// A limit of two: the program, and one child.
fn pids_limit_is_enforced(rig: &mut Rig) -> Outcome {
    file(rig, &ANY_PIDS)?;
    let mut bundle = rig.bundle()?;
    bundle.set("linux.resources.pids.limit", 2i64);
    let inside = rig.report(&mut bundle, &["fork", "2"])?;
    different("the first child", inside.all("fork").first().copied(), Some("!EAGAIN"))?;
    inside.is("fork", "!EAGAIN")
}

/// The runtime may have no other process in the cgroup.
fn pids_limit_of_1_runs(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("the threads of runc's init exceed it");
    }
    file(rig, &ANY_PIDS)?;
    let mut bundle = rig.bundle()?;
    bundle.set("linux.resources.pids.limit", 1i64);
    for options in [&[][..], &["--no-pivot"]] {
        bundle.verbs(&["say", "runs", "exit", "4"]);
        let output = rig.run(&bundle, options)?;
        output.report().is("say", "runs")?;
        same("exit code", output.code(), 4)?;
    }
    rig.report(&mut bundle, &["fork", "1"])?.is("fork", "!EAGAIN")
}

/// A limit of 0 denies fork(2), but the init is moved into the cgroup.
fn pids_limit_of_0_runs(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun treat 0 as no limit");
    }
    let (path, _) = file(rig, &Value { controller: PIDS, v1: ("pids.max", ""), v2: ("pids.max", "") })?;
    let mut bundle = rig.bundle()?;
    bundle.set("linux.resources.pids.limit", 0i64);
    rig.report(&mut bundle, &["fork", "1"])?.is("fork", "!EAGAIN")?;
    let _running = rig.waiting(&mut bundle)?;
    let limit = fs::read_to_string(path)?;
    holds(&format!("{limit:?} is 0 or 1"), ["0", "1"].contains(&limit.trim()))?;
    rig.delete()
}

fn pids_without_a_limit(rig: &mut Rig) -> Outcome {
    let value = Value { controller: PIDS, v1: ("pids.max", "max"), v2: ("pids.max", "max") };
    reads_back(rig, json!({"pids": {"limit": (-1i64)}}), &[value])
}

/// The sizes of huge pages as named in the control files, and in bytes.
fn huge_pages() -> Outcome<Vec<(String, u64)>> {
    let mut sizes = Vec::new();
    let Ok(list) = fs::read_dir("/sys/kernel/mm/hugepages") else { return Ok(sizes) };
    for entry in list {
        let name = entry?.file_name().display().to_string();
        let number = name.trim_start_matches("hugepages-").trim_end_matches("kB");
        let kib: u64 = number.parse()?;
        let (count, unit) = match kib {
            0..1024 => (kib, "KB"),
            1024..1_048_576 => (kib >> 10, "MB"),
            _ => (kib >> 20, "GB"),
        };
        sizes.push((format!("{count}{unit}"), kib << 10));
    }
    Ok(sizes)
}

fn huge_page_limits(rig: &mut Rig) -> Outcome {
    let (directory, v2) = controller_dir(rig, "hugetlb", "hugetlb")?;
    let sizes = huge_pages()?;
    let file = if v2 { "max" } else { "limit_in_bytes" };
    let mut bundle = rig.bundle()?;
    for (name, bytes) in &sizes {
        let limit = i64::try_from(3 * bytes)?;
        bundle.set("linux.resources.hugepageLimits[+]", json!({"pageSize": (name.clone()), "limit": limit}));
    }
    let _running = rig.waiting(&mut bundle)?;
    for (name, bytes) in &sizes {
        for file in [format!("hugetlb.{name}.{file}"), format!("hugetlb.{name}.rsvd.{file}")] {
            // crun does not set the second one.
            if rig.is(Runtime::Crun) && file.contains("rsvd") {
                continue;
            }
            same(&file, content(&directory, &file)?, (3 * bytes).to_string())?;
        }
    }
    rig.delete()
}

fn huge_pages_of_an_unknown_size_are_rejected(rig: &mut Rig) -> Outcome {
    controller_dir(rig, "hugetlb", "hugetlb")?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.set("linux.resources.hugepageLimits", json!([{"pageSize": "3MB", "limit": 0i64}]));
    rig.rejected(&bundle, &["linux.resources.hugepageLimits[0]: ", "hugetlb.3MB."])
}

/// Without the controller, or without the device.
fn rdma_is_rejected(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("crun ignores it");
    }
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.set("linux.resources.rdma", json!({"none_0": {"hcaHandles": 3i64}}));
    rig.rejected(&bundle, &["linux.resources.rdma"])
}

fn network_class_id(rig: &mut Rig) -> Outcome {
    let class = json!({"network": {"classID": 1_048_577i64}});
    network(rig, class, "net_cls", "net_cls.classid", "1048577", "network.classID")
}

fn network_priorities(rig: &mut Rig) -> Outcome {
    let list = json!({"network": {"priorities": [{"name": "lo", "priority": 7i64}]}});
    network(rig, list, "net_prio", "net_prio.ifpriomap", "lo 7", "network.priorities[0]")
}

/// Controllers that only v1 has.
fn network(rig: &Rig, resources: Json, controller: &str, file: &str, line: &str, field: &str) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.resources", resources);
    match controller_dir(rig, controller, "none") {
        Ok((directory, _)) => {
            let _running = rig.waiting(&mut bundle)?;
            let text = content(&directory, file)?;
            holds(&format!("{line} in {text}"), text.lines().any(|known| known == line))?;
            rig.delete()
        }
        Err(_) if !rig.is(Runtime::Mote) => skip_allowed("runc and crun ignore what v2 does not have"),
        Err(_) => {
            bundle.verbs(&[]);
            rig.rejected(&bundle, &[&format!("linux.resources.{field}: ")])
        }
    }
}

/// A limit that cannot be set must not be ignored silently.
fn limit_without_its_controller_is_rejected(rig: &mut Rig) -> Outcome {
    if file(rig, &ANY_PIDS).is_ok() {
        return skip_allowed("this layout has the controller");
    }
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.set("linux.resources.pids.limit", 5i64);
    rig.rejected(&bundle, &["pids"])
}

/// Engines add a swap limit to a memory limit.
fn memory_error_without_its_controller_names_the_given_field(rig: &mut Rig) -> Outcome {
    if file(rig, &Value { controller: "memory", v1: ("", ""), v2: ("", "") }).is_ok() || !unified(rig) {
        return skip_allowed("this layout has the controller");
    }
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.set("linux.resources.memory", json!({"limit": 67108864i64, "swap": 134217728i64}));
    let missing = "linux.resources.memory.limit: controller \"memory\" is missing in /sys/fs/cgroup/cgroup.controllers: ";
    rig.rejected(&bundle, &[missing])?;
    let _running = rig.waiting(&mut rig.bundle()?)?;
    rig.failure(&rig.mote(&["update", "--memory", "64m", &rig.id])?, &[missing])?;
    rig.delete()
}

/// By paths that exist in the layout at hand.
fn error_names_existing_paths(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("checks mote's messages");
    }
    as_ordinary_user(rig)?;
    let mut bundle = user_namespace_bundle(rig)?;
    bundle.verbs(&[]);
    bundle.set("linux.cgroupsPath", format!("/{}", rig.cgroup));
    let hierarchy = match (unified(rig), rig.layout) {
        (true, _) => String::new(),
        (false, Layout::V1) => fs::read_dir("/sys/fs/cgroup")?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| super::is_v1(name) && name != "unified")
            .min()
            .map(|name| format!("/{name}"))
            .unwrap_or_default(),
        (false, _) => "/unified".to_string(),
    };
    let path = &rig.cgroup;
    let words =
        format!(" this user: cgroup /{path}: mkdirat /sys/fs/cgroup{hierarchy}/{path}: permission denied; ");
    rig.rejected(&bundle, &[&words])
}
