//! Limits changed by `update` while the container runs.

use std::fs;
use std::path::PathBuf;

use super::{content, controller_dir};
use crate::check::{Outcome, contains, holds, same, skip_allowed};
use crate::command::run;
use crate::json;
use crate::json::Json;
use crate::rig::{Rig, Runtime};
use crate::tests_in_layouts;

tests_in_layouts![
    update_keeps_other_limits,
    update_of_memory_and_swap_in_either_direction,
    update_of_memory_alone_keeps_both_together,
    update_of_memory_above_both_is_rejected,
    update_of_memory_to_no_limit,
    update_of_memory_below_usage_is_rejected,
    update_reclaims_memory,
    update_of_quota_or_period_alone,
    update_of_quota_and_burst_in_either_direction,
    update_of_shares_of_an_idle_container,
    update_of_pids,
    update_of_throttles,
    update_that_fails_changes_nothing,
    update_enables_controllers,
];

/// The result of an update: `ok`, or the error.
fn update(rig: &Rig, resources: Json) -> Outcome<String> {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun have other rules");
    }
    let output = run(&mut rig.command(&["update", "--resources", "-", &rig.id]), &resources.to_string())?;
    Ok(if output.code() == 0 { "ok".into() } else { output.stderr })
}

pub fn succeeds(rig: &Rig, resources: Json) -> Outcome {
    same("the update", update(rig, resources)?.as_str(), "ok")
}

fn rejected(rig: &Rig, resources: Json, words: &[&str]) -> Outcome {
    let error = update(rig, resources)?;
    words.iter().try_for_each(|word| contains("the update", &error, word))
}

/// Starts a container with these resources.
fn with(rig: &Rig, resources: Json) -> Outcome<crate::command::Running> {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.resources", resources);
    rig.waiting(&mut bundle)
}

fn update_keeps_other_limits(rig: &mut Rig) -> Outcome {
    let (pids, _) = controller_dir(rig, "pids", "pids")?;
    let (cpu, v2) = controller_dir(rig, "cpu", "cpu")?;
    let _running = with(rig, json!({"pids": {"limit": 77i64}, "cpu": {"shares": 512i64}}))?;
    succeeds(
        rig,
        json!({"cpu": {"shares": 2048i64, "quota": 0i64, "period": 0i64}, "blockIO": {"weight": 0i64}}),
    )?;
    same("pids.max", content(&pids, "pids.max")?, "77")?;
    let (file, want) = if v2 { ("cpu.weight", "174") } else { ("cpu.shares", "2048") };
    same(file, content(&cpu, file)?, want)?;
    succeeds(rig, json!({}))?;
    same(file, content(&cpu, file)?, want)?;
    rig.delete()
}

const MIB: i64 = 1 << 20;

/// The memory limit of the container, and the limit of memory and swap together.
struct Memory {
    directory: PathBuf,
    v2: bool,
}

impl Memory {
    fn new(rig: &Rig) -> Outcome<Memory> {
        let (directory, v2) = controller_dir(rig, "memory", "memory")?;
        // v2 has a file for it, but not in the root cgroup.
        match v2 || fs::exists("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes")? {
            true => Ok(Memory { directory, v2 }),
            false => skip_allowed("no swap limit in this kernel"),
        }
    }

    fn file(&self) -> &'static str {
        if self.v2 { "memory.max" } else { "memory.limit_in_bytes" }
    }

    /// Checks both limits in MiB; -1 is no limit.
    fn check(&self, limit: i64, both: i64) -> Outcome {
        let number =
            |file| Ok::<_, crate::check::Stop>(content(&self.directory, file)?.parse().unwrap_or(i64::MAX));
        let mib = |bytes: i64| if bytes > 1 << 50 { -1 } else { bytes / MIB };
        let memory: i64 = number(self.file())?;
        let together = match self.v2 {
            true => number("memory.swap.max")?.saturating_add(memory),
            false => number("memory.memsw.limit_in_bytes")?,
        };
        same("memory limit, and memory and swap limit", (mib(memory), mib(together)), (limit, both))
    }
}

fn memory(limit: i64, swap: i64) -> Json {
    let bytes = |mib: i64| if mib < 0 { mib } else { mib * MIB };
    json!({"memory": {"limit": (bytes(limit)), "swap": (bytes(swap))}})
}

/// v1 accepts the two files in one order only, which depends on the direction.
fn update_of_memory_and_swap_in_either_direction(rig: &mut Rig) -> Outcome {
    let limits = Memory::new(rig)?;
    let _running = with(rig, memory(64, 96))?;
    for (limit, swap) in [(128, 192), (32, 48), (64, 64), (100, -1), (-1, -1), (64, 96)] {
        succeeds(rig, memory(limit, swap))?;
        limits.check(limit, swap)?;
    }
    rig.delete()
}

fn update_of_memory_alone_keeps_both_together(rig: &mut Rig) -> Outcome {
    let limits = Memory::new(rig)?;
    let _running = with(rig, memory(64, 96))?;
    succeeds(rig, memory(80, 0))?;
    limits.check(80, 96)?;
    succeeds(rig, memory(48, 0))?;
    limits.check(48, 96)?;
    succeeds(rig, memory(0, 112))?;
    limits.check(48, 112)?;
    rig.delete()
}

fn update_of_memory_above_both_is_rejected(rig: &mut Rig) -> Outcome {
    let limits = Memory::new(rig)?;
    let _running = with(rig, memory(64, 96))?;
    rejected(rig, memory(100, 0), &["linux.resources.memory.limit: 104857600 is above ", "100663296"])?;
    limits.check(64, 96)?;
    // A limit without any swap stays without swap.
    succeeds(rig, memory(64, 64))?;
    if limits.v2 {
        succeeds(rig, memory(100, 0))?;
        limits.check(100, 100)?;
    }
    rig.delete()
}

fn update_of_memory_to_no_limit(rig: &mut Rig) -> Outcome {
    let limits = Memory::new(rig)?;
    let _running = with(rig, memory(64, 96))?;
    succeeds(rig, memory(-1, 0))?;
    limits.check(-1, -1)?;
    rig.delete()
}

/// On v1 the kernel rejects it by itself.
fn update_of_memory_below_usage_is_rejected(rig: &mut Rig) -> Outcome {
    let limits = Memory::new(rig)?;
    controller_dir(rig, "pids", "pids")?;
    let mut bundle = rig.bundle()?;
    bundle.set("linux.resources", memory(128, 128));
    bundle.verbs(&["allocate", "65536", "wait", "1"]);
    let mut running = rig.create(&bundle, &[])?;
    rig.mote(&["start", &rig.id])?.success()?;
    running.lines.until("waiting=1")?;
    let low = |pids: i64| {
        let limit = 32 * MIB;
        json!({
            "memory": {"limit": limit, "swap": limit, "checkBeforeUpdate": true},
            "pids": {"limit": pids}
        })
    };
    for pids in [50, 60] {
        rejected(rig, low(pids), &["linux.resources.memory.limit: 33554432 is below the current usage"])?;
        limits.check(128, 128)?;
        if limits.v2 {
            same("memory.high", content(&limits.directory, "memory.high")?, "max")?;
        }
    }
    rig.status_is("running")?;
    succeeds(rig, json!({"memory": {"limit": (100 * MIB), "swap": (100 * MIB), "checkBeforeUpdate": true}}))?;
    limits.check(100, 100)?;
    rig.status_is("running")?;
    rig.delete()
}

/// A limit below the current usage is accepted if the page cache can be reclaimed.
fn update_reclaims_memory(rig: &mut Rig) -> Outcome {
    let limits = Memory::new(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.set("linux.resources", memory(256, 256));
    bundle.verbs(&["fill", "/cached", "49152", "wait", "1"]);
    let mut running = rig.create(&bundle, &[])?;
    rig.mote(&["start", &rig.id])?.success()?;
    running.lines.until("waiting=1")?;
    let stat = content(&limits.directory, "memory.stat")?;
    let shared = stat.lines().find_map(|line| line.strip_prefix("shmem "));
    if shared.is_some_and(|bytes| bytes.len() > 7) {
        return skip_allowed("the bundle is in memory, on a tmpfs");
    }
    let used = if limits.v2 { "memory.current" } else { "memory.usage_in_bytes" };
    holds("the page cache is large", content(&limits.directory, used)?.parse::<i64>()? > 40 * MIB)?;
    succeeds(rig, json!({"memory": {"limit": (24 * MIB), "swap": (24 * MIB), "checkBeforeUpdate": true}}))?;
    limits.check(24, 24)?;
    if limits.v2 {
        same("memory.high", content(&limits.directory, "memory.high")?, "max")?;
    }
    rig.status_is("running")?;
    rig.delete()
}

/// Quota and period; -1 is no quota.
fn bandwidth(rig: &Rig) -> Outcome<(i64, i64)> {
    let (directory, v2) = controller_dir(rig, "cpu", "cpu")?;
    let text = match v2 {
        true => content(&directory, "cpu.max")?,
        false => {
            format!(
                "{} {}",
                content(&directory, "cpu.cfs_quota_us")?,
                content(&directory, "cpu.cfs_period_us")?
            )
        }
    };
    let (quota, period) = text.split_once(' ').unwrap_or_default();
    Ok((quota.parse().unwrap_or(-1), period.parse()?))
}

fn update_of_quota_or_period_alone(rig: &mut Rig) -> Outcome {
    controller_dir(rig, "cpu", "cpu")?;
    let _running = with(rig, json!({"cpu": {"quota": 50000i64, "period": 200000i64}}))?;
    for (cpu, want) in [
        (json!({"quota": 30000i64}), (30000, 200000)),
        (json!({"period": 100000i64}), (30000, 100000)),
        (json!({"quota": (-1i64)}), (-1, 100000)),
        (json!({"period": 50000i64}), (-1, 50000)),
        (json!({"quota": 900000i64, "period": 1000000i64}), (900000, 1000000)),
        (json!({"quota": 2000i64, "period": 10000i64}), (2000, 10000)),
    ] {
        succeeds(rig, json!({"cpu": cpu}))?;
        same("quota and period", bandwidth(rig)?, want)?;
    }
    rig.delete()
}

/// A burst must not be above the quota.
fn update_of_quota_and_burst_in_either_direction(rig: &mut Rig) -> Outcome {
    let (directory, v2) = controller_dir(rig, "cpu", "cpu")?;
    let file = if v2 { "cpu.max.burst" } else { "cpu.cfs_burst_us" };
    let _running = with(rig, json!({"cpu": {"quota": 50000i64, "period": 100000i64, "burst": 50000i64}}))?;
    for (quota, burst) in [(20000, 10000), (90000, 80000), (80000, 80000)] {
        succeeds(rig, json!({"cpu": {"quota": quota, "burst": burst}}))?;
        same("quota and period", bandwidth(rig)?, (quota, 100_000))?;
        same(file, content(&directory, file)?, burst.to_string())?;
    }
    rejected(rig, json!({"cpu": {"quota": 70000i64}}), &["linux.resources.cpu.quota: write 70000 to "])?;
    rig.delete()
}

/// The kernel rejects a weight while the cgroup is idle (cpu.idle).
fn update_of_shares_of_an_idle_container(rig: &mut Rig) -> Outcome {
    let (directory, v2) = controller_dir(rig, "cpu", "cpu")?;
    let _running = with(rig, json!({"cpu": {"shares": 512i64, "idle": 1i64}}))?;
    same("cpu.idle", content(&directory, "cpu.idle")?, "1")?;
    succeeds(rig, json!({"cpu": {"shares": 512i64, "idle": 1i64}}))?;
    succeeds(rig, json!({"cpu": {"shares": 512i64, "idle": 0i64}}))?;
    same("cpu.idle", content(&directory, "cpu.idle")?, "0")?;
    let (file, want) = if v2 { ("cpu.weight", "59") } else { ("cpu.shares", "512") };
    same(file, content(&directory, file)?, want)?;
    rig.delete()
}

fn update_of_pids(rig: &mut Rig) -> Outcome {
    let (directory, _) = controller_dir(rig, "pids", "pids")?;
    let _running = with(rig, json!({}))?;
    for (limit, want) in [(7, "7"), (0, "0"), (-1, "max")] {
        succeeds(rig, json!({"pids": {"limit": limit}}))?;
        same("pids.max", content(&directory, "pids.max")?, want)?;
    }
    rig.delete()
}

fn update_of_throttles(rig: &mut Rig) -> Outcome {
    let (directory, v2) = controller_dir(rig, "blkio", "io")?;
    let (_, major, minor) = super::block::disk()?;
    let one = |rate: i64| json!([{"major": major, "minor": minor, "rate": rate}]);
    let _running = with(rig, json!({"blockIO": {"throttleReadBpsDevice": (one(1000))}}))?;
    let file = if v2 { "io.max" } else { "blkio.throttle.read_bps_device" };
    let line = |rate: i64| match v2 {
        true => format!("{major}:{minor} rbps={rate} wbps=max riops=max wiops=max"),
        false => format!("{major}:{minor} {rate}"),
    };
    succeeds(rig, json!({"blockIO": {"throttleReadBpsDevice": (one(2000))}}))?;
    same(file, content(&directory, file)?, line(2000))?;
    // A later failure restores the throttle, and removes those that did not exist.
    let none = json!([{"major": 240i64, "minor": 99i64, "rate": 5i64}]);
    let failing = json!({"blockIO": {
        "throttleReadBpsDevice": (one(3000)),
        "throttleWriteBpsDevice": (one(3000)),
        "throttleWriteIOPSDevice": none
    }});
    rejected(rig, failing, &["linux.resources.blockIO.throttleWriteIOPSDevice[0]: ", "no such device"])?;
    same(file, content(&directory, file)?, line(2000))?;
    if !v2 {
        let file = "blkio.throttle.write_bps_device";
        same(file, content(&directory, file)?, "")?;
    }
    succeeds(rig, json!({"blockIO": {"throttleReadBpsDevice": (one(0))}}))?;
    same(file, content(&directory, file)?, "")?;
    rig.delete()
}

fn update_that_fails_changes_nothing(rig: &mut Rig) -> Outcome {
    let limits = Memory::new(rig)?;
    let (pids, _) = controller_dir(rig, "pids", "pids")?;
    let (sets, _) = controller_dir(rig, "cpuset", "cpuset")?;
    let mut before = memory(64, 96);
    before.set("cpu", json!({"quota": 50000i64, "period": 100000i64, "cpus": "0"}));
    before.set("pids.limit", 77i64);
    let _running = with(rig, before)?;
    // Limits raised and lowered before the one that fails.
    for (limit, swap) in [(128, 192), (32, 48)] {
        let mut after = memory(limit, swap);
        after.set("pids.limit", 88i64);
        after.set("cpu", json!({"quota": 20000i64, "period": 50000i64, "mems": "63"}));
        rejected(rig, after, &["linux.resources.cpu.mems: "])?;
        limits.check(64, 96)?;
        same("quota and period", bandwidth(rig)?, (50000, 100_000))?;
        same("pids.max", content(&pids, "pids.max")?, "77")?;
        same("cpuset.cpus", content(&sets, "cpuset.cpus")?, "0")?;
    }
    rig.delete()
}

/// A controller that few containers use, and that is not enabled in the cgroup above.
fn update_enables_controllers(rig: &mut Rig) -> Outcome {
    let (directory, v2) = controller_dir(rig, "hugetlb", "hugetlb")?;
    if !v2 || !fs::exists("/sys/kernel/mm/hugepages/hugepages-2048kB")? {
        return skip_allowed("no huge pages on v2");
    }
    let mut bundle = rig.bundle()?;
    bundle.set("linux.cgroupsPath", format!("/{}/below", rig.cgroup));
    let _running = rig.waiting(&mut bundle)?;
    let below = directory.join("below");
    holds("the controller is not enabled yet", !below.join("hugetlb.2MB.max").exists())?;
    let limits = json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304i64}]});
    same("the update", update(rig, limits)?.as_str(), "ok")?;
    same("hugetlb.2MB.max", content(&below, "hugetlb.2MB.max")?, "4194304")?;
    rig.delete()?;
    // The cgroup above was created by the runtime, in every hierarchy.
    crate::cleanup::remove_cgroups(&rig.cgroup);
    Ok(())
}
