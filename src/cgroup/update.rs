//! Limits of a container that is running, changed; all of them, or as far as can be none.
//!
//! Some limits are said in terms of others, and what is not given is what the kernel has: memory and swap are
//! limited together in the configuration and on v1, but each on v2; a quota of CPU time is for a period. The order
//! in which the kernel takes them is found by trying (see [`Cgroup::write`]).

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

/// Called with what has been written, and with all device rules if there are new ones.
pub type OnUpdate<'t> = dyn FnMut(&Cgroup, &[Write], &[DeviceRule]) -> Result<()> + 't;

/// The first field of `resources` for which something is to be written to a cgroup; `None` where nothing is. `earlier`
/// are the rules of devices of the container's configuration.
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

/// Whether rules of devices say more than those that are in force. With an update of something else engines pass on the
/// list that they have, to which the container's configuration may have added some at its end; without devices that is
/// what every list begins with, that nothing is allowed.
fn adds_rules(given: &[DeviceRule], earlier: &[DeviceRule]) -> bool {
    let nothing_allowed = |rule: &DeviceRule| !rule.allow && is_everything(rule);
    !earlier.starts_with(given) && !matches!(given, [rule] if nothing_allowed(rule))
}

impl Cgroup {
    /// Sets what is given of `resources` and leaves the rest. Rules of devices come after `earlier`, those of the
    /// container's configuration; where they are what that list begins with, there is nothing to do.
    ///
    /// With `memory.checkBeforeUpdate` a limit below what is in use is refused, as v1 always does; without it v2
    /// ends processes instead.
    ///
    /// When it fails, what was written before is written back. Not so rules of devices on v1, which come last, and
    /// controllers that were enabled. At the end `on_update` is called, and may fail as well.
    pub fn update(
        &self,
        resources: &Resources<'_>,
        earlier: &[DeviceRule],
        on_update: &mut OnUpdate<'_>,
    ) -> Result<()> {
        let layout = self.hierarchies.layout();
        let memory = self.whole_memory(resources.memory, &layout)?;
        let cpu = self.whole_cpu(resources.cpu, &layout);
        let mut writes = plan_with(resources, &memory, &cpu, &layout)?;
        // In a new cgroup it is there, and need not be said.
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
        self.hierarchies.enable(&self.path, &writes)?;
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
            // Swap, which there may be more of now.
            self.write(&writes, Some(undo))?;
            if let Some(high) = self.squeeze(limit, undo)? {
                rest.insert(1, high);
            }
            writes = rest;
        }
        self.write(&writes, Some(undo))
    }

    /// v2: sees to it that no more memory is in use than a limit that is about to be set, which would have the
    /// killer called. Meanwhile memory.high, which calls nobody, keeps the container from taking more; given back
    /// is the write that ends it.
    fn squeeze(&self, limit: i64, undo: &mut Vec<Write>) -> Result<Option<Write>> {
        let field = "memory.limit";
        let mut high = None;
        if self.number("memory.high").is_none_or(|now| limit < now) {
            // The kernel reclaims what it can on this occasion.
            let write = Write::new("memory.high", &limit, field);
            self.write(slice::from_ref(&write), Some(undo))?;
            high = undo.last().cloned();
        }
        let excess = || self.number("memory.current").filter(|used| *used > limit);
        if let Some(used) = excess() {
            // It may reclaim less, or not be there (linux 5.19): that is seen next.
            let write = Write::new("memory.reclaim", &(used - limit), field);
            let _ = self.write(slice::from_ref(&write), None);
        }
        match excess() {
            Some(used) => Err(Error::invalid(format_args!(
                "linux.resources.{field}: {limit} is below what is in use, {used}"
            ))),
            None => Ok(high),
        }
    }

    /// What is limited together stays so, as on v1, when only the one limit is given.
    fn whole_memory(&self, mut memory: Memory, layout: &Cgroups) -> Result<Memory> {
        let v2 = layout.is_v2("memory");
        let swap = self.number(if v2 { "memory.swap.max" } else { "memory.memsw.limit_in_bytes" });
        match (nonzero(memory.limit), nonzero(memory.swap), swap) {
            // Without one on memory there is none on both.
            (Some(-1), None, Some(_)) => memory.swap = Some(-1),
            // No swap at all stays none.
            (Some(_), None, Some(0)) if v2 => {}
            (Some(limit), None, Some(swap)) => {
                let both = match v2 {
                    true => self.number("memory.max").map(|now| swap.saturating_add(now)),
                    false => Some(swap),
                };
                match both {
                    Some(both) if limit > both => {
                        return Err(Error::invalid(format_args!(
                            "linux.resources.memory.limit: {limit} is above the limit of memory and swap together, {both}: give memory.swap too"
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

    /// v2 has quota and period in one file; a quota alone leaves the period, but a period needs the quota.
    fn whole_cpu<'a>(&self, cpu: Cpu<'a>, layout: &Cgroups) -> Cpu<'a> {
        match (nonzero(cpu.quota), cpu.period) {
            (None, Some(1..)) if layout.is_v2("cpu") => Cpu { quota: self.number("cpu.max"), ..cpu },
            _ => cpu,
        }
    }

    /// The number that a file begins with; none for `max`, or where there is no such file.
    pub(super) fn number(&self, file: &str) -> Option<i64> {
        self.text(file)?.split_ascii_whitespace().next()?.parse().ok()
    }

    pub(super) fn text(&self, file: &str) -> Option<String> {
        let hierarchy = self.hierarchies.of(controller(file))?;
        self.hierarchies.read(&format!("{hierarchy}{}/{file}", self.path)).ok()
    }

    /// What to write to have things as they are.
    #[cold]
    #[inline(never)]
    pub(super) fn before(&self, write: &Write) -> Option<Write> {
        // A longer text may not be whole.
        let text = self.text(&write.file).filter(|text| text.len() < 1024)?;
        let value = present(&write.file, &text, &write.value)?;
        Some(Write { file: write.file.clone(), value, field: write.field, if_missing: IfMissing::Error })
    }
}

impl Hierarchies {
    /// The layout that this is.
    pub(super) fn layout(&self) -> Cgroups {
        match self.v2 {
            Some(".") => Cgroups::Unified,
            v2 => Cgroups::Hierarchies { names: self.v1.clone(), unified: v2.is_some() },
        }
    }
}

/// How files with a line for each device have none for it, by how their names begin.
static NONE: [(&str, &str); 6] = [
    ("io.max", " rbps=max wbps=max riops=max wiops=max"),
    ("rdma.max", " hca_handle=max hca_object=max"),
    ("blkio.throttle.", " 0"),
    ("blkio.", " default"),
    ("io.bfq.weight", " default"),
    ("io.weight", " default"),
];

/// What to write to a file so that it says what it does, as far as a value about to be written is concerned.
fn present(file: &str, text: &str, value: &str) -> Option<String> {
    // A line for each device, or `default`.
    let key = value.split(' ').next().filter(|key| key.len() < value.len() && file != "cpu.max");
    let Some(key) = key else {
        let line = text.lines().next().unwrap_or_default();
        let line = line.strip_prefix("oom_kill_disable ").unwrap_or(line);
        // A set of CPUs may be empty, which takes a write all the same.
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
