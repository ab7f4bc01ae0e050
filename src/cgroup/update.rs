//! Changing the limits of a running container (`update`). If one limit fails, those already changed are restored.
//!
//! Some limits depend on others, and those that are not given keep their present values: the configuration and v1
//! limit memory plus swap, v2 limits swap alone; a CPU quota is for a period. The order in which the kernel accepts
//! dependent writes is found by retrying (see `Cgroup::write`).

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::slice;

use rustix::fd::AsFd;

use super::controllers::write::{Field, IfMissing, Write, controller, nonzero, plan, plan_with};
use super::devices::rules::is_everything;
use super::fs::hierarchies::Hierarchies;
use super::handle::Cgroup;
use super::plan::plan_devices;
use crate::config::device::DeviceRule;
use crate::config::resources::{Cpu, Memory, Resources};
use crate::error::{Error, Result};
use crate::host::Cgroups;

/// A function that is called with the writes that were done, and with all device rules if there are new ones.
pub type OnUpdate<'t> = dyn FnMut(&Cgroup, &[Write], &[DeviceRule]) -> Result<()> + 't;

/// The first field of `resources` that changes a cgroup; `None` if none does. `earlier` are the device rules of the
/// container's configuration.
#[cold]
#[inline(never)]
pub fn first_given(
    resources: &Resources<'_>,
    earlier: &[DeviceRule],
    layout: &Cgroups,
) -> Result<Option<Field>> {
    let rules = adds_rules(&resources.devices, earlier).then_some(Field("devices", None));
    Ok(plan(resources, layout)?.first().map(|write| write.field).or(rules))
}

/// Whether `given` has device rules that are not in force yet. An engine that updates another limit also passes the
/// device rules that it has stored. These are the beginning of `earlier`, the list in the container's configuration, to
/// which other programs may have added rules; or a single rule that denies everything, if the engine has stored none.
fn adds_rules(given: &[DeviceRule], earlier: &[DeviceRule]) -> bool {
    let nothing_allowed = |rule: &DeviceRule| !rule.allow && is_everything(rule);
    !earlier.starts_with(given) && !matches!(given, [rule] if nothing_allowed(rule))
}

impl Cgroup {
    /// Sets the limits that are given in `resources` and keeps the others. New device rules apply after those in
    /// `earlier`, the list in the container's configuration.
    ///
    /// With `memory.checkBeforeUpdate` a limit below the current usage is rejected, as v1 always does; without it v2
    /// kills processes (OOM) instead.
    ///
    /// Errors: the previous values are restored, except device rules on v1, which are written last, and enabled
    /// controllers. `on_update` is called at the end, and its error is handled the same way.
    pub fn update(
        &self,
        resources: &Resources<'_>,
        earlier: &[DeviceRule],
        on_update: &mut OnUpdate<'_>,
    ) -> Result<()> {
        let layout = self.hierarchies.layout();
        let memory = self.complete_memory(resources.memory, &layout)?;
        let cpu = self.complete_cpu(resources.cpu, &layout);
        let mut writes = plan_with(resources, &memory, &cpu, &layout)?;
        // In a new cgroup the OOM killer is enabled, so only an update has to write this.
        if memory.disable_oom_killer == Some(false) && layout.has_v1("memory") {
            writes.push(Write::new("memory.oom_control", &0, "memory.disableOOMKiller"));
        }
        let given = &resources.devices;
        let rules = match adds_rules(given, earlier) {
            true => [earlier, given].concat(),
            false => Vec::new(),
        };
        let program = match rules.is_empty() {
            true => None,
            false => plan_devices(&rules, Some(earlier.len()), &layout, &mut writes)?,
        };
        let enabled = self.hierarchies.enable(&self.path, &writes);
        enabled.map_err(|error| self.hierarchies.not_delegated(error, &self.path, &writes))?;
        let mut undo = Vec::new();
        let written = writes.clone();
        let limited = self.change(&memory, writes, &mut undo);
        let changed = limited.and_then(|()| match program {
            Some(program) => program.replace(self.hierarchies.open_v2(&self.path)?.as_fd()),
            None => Ok(()),
        });
        let changed = changed.and_then(|()| on_update(self, &written, &rules));
        if changed.is_err() {
            for write in undo.iter().rev() {
                let _ = self.write(slice::from_ref(write), None);
            }
        }
        changed
    }

    fn change(&self, memory: &Memory, mut writes: Vec<Write>, undo: &mut Vec<Write>) -> Result<()> {
        let at = writes.iter().position(|write| write.file == "memory.max");
        if let (Some(true), Some(limit), Some(at)) = (memory.check_before_update, nonzero(memory.limit), at)
            && limit > 0
            && self.number("memory.max").is_none_or(|now| limit < now)
        {
            let mut rest = writes.split_off(at);
            // The writes before memory.max, among them the swap limit: more swap lets more be reclaimed.
            self.write(&writes, Some(undo))?;
            if let Some(high) = self.squeeze(limit, undo)? {
                rest.insert(1, high);
            }
            writes = rest;
        }
        self.write(&writes, Some(undo))
    }

    /// v2: reclaims memory until the usage is not above `limit`, since setting `memory.max` below the usage causes
    /// OOM kills. Meanwhile memory.high, which does not, limits the container; the returned write restores it.
    ///
    /// Errors: not enough could be reclaimed.
    fn squeeze(&self, limit: i64, undo: &mut Vec<Write>) -> Result<Option<Write>> {
        let field = "memory.limit";
        let mut high = None;
        if self.number("memory.high").is_none_or(|now| limit < now) {
            // Writing memory.high makes the kernel reclaim.
            let write = Write::new("memory.high", &limit, field);
            self.write(slice::from_ref(&write), Some(undo))?;
            high = undo.last().cloned();
        }
        let excess = || self.number("memory.current").filter(|used| *used > limit);
        if let Some(used) = excess() {
            // It may reclaim less, or not exist (before linux 5.19); the usage is checked below.
            let write = Write::new("memory.reclaim", &(used - limit), field);
            let _ = self.write(slice::from_ref(&write), None);
        }
        match excess() {
            Some(used) => Err(Error::invalid(format_args!(
                "linux.resources.{field}: {limit} is below the current usage, {used}"
            ))),
            None => Ok(high),
        }
    }

    /// Completes the memory limits: if only one of limit and swap is given, their sum or the other one keeps its
    /// present value, as on v1.
    fn complete_memory(&self, mut memory: Memory, layout: &Cgroups) -> Result<Memory> {
        let v2 = layout.is_v2("memory");
        let swap = self.number(if v2 { "memory.swap.max" } else { "memory.memsw.limit_in_bytes" });
        match (nonzero(memory.limit), nonzero(memory.swap), swap) {
            // An unlimited memory limit implies an unlimited sum.
            (Some(-1), None, Some(_)) => memory.swap = Some(-1),
            // Disabled swap stays disabled.
            (Some(_), None, Some(0)) if v2 => {}
            (Some(limit), None, Some(swap)) => {
                let both = match v2 {
                    true => self.number("memory.max").map(|now| swap.saturating_add(now)),
                    false => Some(swap),
                };
                match both {
                    Some(both) if limit > both => {
                        return Err(Error::invalid(format_args!(
                            "linux.resources.memory.limit: {limit} is above the limit of memory plus swap, {both}: memory.swap is required"
                        )));
                    }
                    Some(both) if v2 => memory.swap = Some(both),
                    _ => {}
                }
            }
            (None, Some(0..), _) if v2 => memory.limit = self.number("memory.max"),
            _ => {}
        }
        Ok(memory)
    }

    /// Completes the CPU limits: v2 has quota and period in one file, where a quota can be written alone, but a period
    /// only with a quota.
    fn complete_cpu<'a>(&self, cpu: Cpu<'a>, layout: &Cgroups) -> Cpu<'a> {
        match (nonzero(cpu.quota), cpu.period) {
            (None, Some(1..)) if layout.is_v2("cpu") => Cpu { quota: self.number("cpu.max"), ..cpu },
            _ => cpu,
        }
    }

    /// The number at the beginning of a file; `None` for `max`, or if there is no such file.
    pub(super) fn number(&self, file: &str) -> Option<i64> {
        self.text(file)?.split_ascii_whitespace().next()?.parse().ok()
    }

    pub(super) fn text(&self, file: &str) -> Option<String> {
        let hierarchy = self.hierarchies.of(controller(file))?;
        self.hierarchies.read(&format!("{hierarchy}{}/{file}", self.path)).ok()
    }

    /// The write that restores the present value of what `write` is about to change.
    #[cold]
    #[inline(never)]
    pub(super) fn before(&self, write: &Write) -> Option<Write> {
        // A longer text may have been cut off.
        let text = self.text(&write.file).filter(|text| text.len() < 1024)?;
        let value = present(&write.file, &text, &write.value)?;
        Some(Write { file: write.file.clone(), value, field: write.field, if_missing: IfMissing::Error })
    }
}

impl Hierarchies {
    /// The layout of these hierarchies.
    pub fn layout(&self) -> Cgroups {
        match self.v2 {
            Some(".") => Cgroups::Unified,
            v2 => Cgroups::Hierarchies { names: self.v1.clone(), unified: v2.is_some() },
        }
    }
}

/// The text that removes the limit of a device, for files with a line per device, by the beginning of the file's name.
static NONE: [(&str, &str); 6] = [
    ("io.max", " rbps=max wbps=max riops=max wiops=max"),
    ("rdma.max", " hca_handle=max hca_object=max"),
    ("blkio.throttle.", " 0"),
    ("blkio.", " default"),
    ("io.bfq.weight", " default"),
    ("io.weight", " default"),
];

/// The value to write to `file`, whose content is `text`, to restore what writing `value` changes.
fn present(file: &str, text: &str, value: &str) -> Option<String> {
    // Files with a line per device, or `default`, have it as their first word.
    let key = value.split(' ').next().filter(|key| key.len() < value.len() && file != "cpu.max");
    let Some(key) = key else {
        let line = text.lines().next().unwrap_or_default();
        let line = line.strip_prefix("oom_kill_disable ").unwrap_or(line);
        // An empty list of CPUs needs a write of at least one byte.
        return Some(format!("{line}\n"));
    };
    let of_key = |line: &&str| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(' '));
    match text.lines().find(of_key) {
        Some(line) => Some(line.to_owned()),
        None => {
            let (_, none) = NONE.iter().find(|(start, _)| file.starts_with(start))?;
            Some(format!("{key}{none}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::present;

    #[test]
    fn what_to_write_back() {
        for (file, text, value, back) in [
            ("memory.max", "max\n", "4096", Some("max\n")),
            ("cpuset.cpus", "\n", "0", Some("\n")),
            ("cpuset.cpus", "", "0-1,3", Some("\n")),
            ("memory.oom_control", "oom_kill_disable 1\nunder_oom 0\noom_kill 0\n", "0", Some("1\n")),
            ("cpu.max", "max 100000\n", "5000", Some("max 100000\n")),
            ("cpu.max", "5000 100000\n", "max 1000", Some("5000 100000\n")),
            ("io.weight", "default 100\n8:0 200\n", "500", Some("default 100\n")),
            ("io.weight", "default 100\n8:0 200\n", "8:0 500", Some("8:0 200")),
            ("io.weight", "default 100\n8:0 200\n", "8:01 500", Some("8:01 default")),
            (
                "io.max",
                "8:16 rbps=1 wbps=max\n",
                "8:1 rbps=2",
                Some("8:1 rbps=max wbps=max riops=max wiops=max"),
            ),
            ("io.max", "8:16 rbps=1 wbps=max\n", "8:16 rbps=2", Some("8:16 rbps=1 wbps=max")),
            ("blkio.throttle.read_bps_device", "8:0 5\n", "8:0 6", Some("8:0 5")),
            ("blkio.throttle.read_bps_device", "", "8:0 6", Some("8:0 0")),
            (
                "rdma.max",
                "mlx4_0 hca_handle=2 hca_object=max\n",
                "mlx4_0 hca_handle=3",
                Some("mlx4_0 hca_handle=2 hca_object=max"),
            ),
            ("rdma.max", "", "mlx4_0 hca_handle=3", Some("mlx4_0 hca_handle=max hca_object=max")),
            ("net_prio.ifpriomap", "lo 0\neth0 5\n", "lo 7", Some("lo 0")),
            ("devices.allow", "", "c 1:3 r", None),
            ("misc.max", "", "res_a 1", None),
        ] {
            assert_eq!(present(file, text, value).as_deref(), back, "{file}: {value}");
        }
    }
}
