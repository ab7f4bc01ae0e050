//! `linux.resources.memory` (admin-guide/cgroup-v1/memory.rst; cgroup-v2.rst, "Memory").

use super::write::{Field, IfMissing, Limit, Writes, no_such_limit, nonzero};
use crate::config::resources::Memory;
use crate::error::{Error, Result};

impl Writes<'_> {
    /// Adds the memory limits. Engines write zero for "not set", except for swappiness.
    ///
    /// Errors: limits that v2 does not have, and a swap limit that it cannot express.
    pub fn memory(&mut self, memory: &Memory) -> Result<()> {
        if self.is_v2("memory") {
            self.memory_v2(memory)?;
        } else {
            // The memory limit first: that of memory plus swap must not be below it.
            self.put_some("memory.limit_in_bytes", nonzero(memory.limit), "memory.limit");
            self.put_some("memory.memsw.limit_in_bytes", nonzero(memory.swap), "memory.swap");
            self.put_some("memory.soft_limit_in_bytes", nonzero(memory.reservation), "memory.reservation");
        }
        self.put_some_v1("memory.kmem.limit_in_bytes", nonzero(memory.kernel), "memory.kernel")?;
        self.put_some_v1("memory.kmem.tcp.limit_in_bytes", nonzero(memory.kernel_tcp), "memory.kernelTCP")?;
        let swappiness = memory.swappiness.map(|value| value as i64);
        self.put_some_v1("memory.swappiness", swappiness, "memory.swappiness")?;
        let disabled = memory.disable_oom_killer.filter(|on| *on).map(i64::from);
        self.put_some_v1("memory.oom_control", disabled, "memory.disableOOMKiller")?;
        // Accounting is always hierarchical on v2, and on v1 since linux 5.11.
        match memory.use_hierarchy {
            Some(false) if self.is_v2("memory") => {
                return Err(no_such_limit(Field("memory.useHierarchy", None)));
            }
            Some(on) if !self.is_v2("memory") => {
                self.put("memory.use_hierarchy", &i64::from(on), "memory.useHierarchy");
            }
            _ => {}
        }
        Ok(())
    }

    /// Adds the limits of v2, which limits swap alone; `memory.swap` in the configuration is memory plus swap.
    fn memory_v2(&mut self, memory: &Memory) -> Result<()> {
        // Before memory.max, since reclaiming for that may need swap.
        if let Some(both) = nonzero(memory.swap) {
            let swap = match nonzero(memory.limit) {
                _ if both < 0 => -1,
                Some(limit) if limit > 0 && both >= limit => both - limit,
                _ => {
                    return Err(Error::invalid(format_args!(
                        "linux.resources.memory.swap: {both} is memory plus swap, and needs a memory.limit not above it"
                    )));
                }
            };
            // A kernel without swap support has no such file, and nothing to limit.
            self.push("memory.swap.max".into(), &Limit(swap), Field("memory.swap", None), IfMissing::Ignore);
        }
        self.limit("memory.max", memory.limit, "memory.limit");
        self.limit("memory.low", memory.reservation, "memory.reservation");
        Ok(())
    }

    fn limit(&mut self, file: &'static str, value: Option<i64>, field: &'static str) {
        if let Some(value) = nonzero(value) {
            self.put(file, &Limit(value), field);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::controllers::write::table::{check, hierarchies, show};
    use crate::config::resources::Resources;

    fn with(memory: Memory) -> Resources<'static> {
        Resources { memory, ..Resources::default() }
    }

    #[test]
    fn limits() {
        let zero = Memory {
            limit: Some(0),
            reservation: Some(0),
            swap: Some(0),
            kernel: Some(0),
            kernel_tcp: Some(0),
            disable_oom_killer: Some(false),
            check_before_update: Some(true),
            ..Memory::default()
        };
        check(&with(zero), &[], &[]);
        let limit = |limit| with(Memory { limit: Some(limit), ..Memory::default() });
        check(&limit(1), &["memory.limit_in_bytes=1"], &["memory.max=1"]);
        check(&limit(-1), &["memory.limit_in_bytes=-1"], &["memory.max=max"]);
        check(
            &limit(i64::MAX),
            &["memory.limit_in_bytes=9223372036854775807"],
            &["memory.max=9223372036854775807"],
        );
        let reservation = |value| with(Memory { reservation: Some(value), ..Memory::default() });
        check(&reservation(-1), &["memory.soft_limit_in_bytes=-1"], &["memory.low=max"]);
        check(&reservation(5), &["memory.soft_limit_in_bytes=5"], &["memory.low=5"]);
    }

    #[test]
    fn memory_and_swap() {
        let both = |limit, swap| with(Memory { limit, swap: Some(swap), ..Memory::default() });
        let error =
            "linux.resources.memory.swap: 7 is memory plus swap, and needs a memory.limit not above it";
        for (limit, swap, v1, v2) in [
            (
                Some(5),
                7,
                &["memory.limit_in_bytes=5", "memory.memsw.limit_in_bytes=7"][..],
                &["memory.swap.max=2?", "memory.max=5"][..],
            ),
            (
                Some(7),
                7,
                &["memory.limit_in_bytes=7", "memory.memsw.limit_in_bytes=7"],
                &["memory.swap.max=0?", "memory.max=7"],
            ),
            (Some(8), 7, &["memory.limit_in_bytes=8", "memory.memsw.limit_in_bytes=7"], &[error]),
            (Some(-1), 7, &["memory.limit_in_bytes=-1", "memory.memsw.limit_in_bytes=7"], &[error]),
            (None, 7, &["memory.memsw.limit_in_bytes=7"], &[error]),
            (None, -1, &["memory.memsw.limit_in_bytes=-1"], &["memory.swap.max=max?"]),
            (
                Some(5),
                -1,
                &["memory.limit_in_bytes=5", "memory.memsw.limit_in_bytes=-1"],
                &["memory.swap.max=max?", "memory.max=5"],
            ),
            (
                Some(-1),
                -1,
                &["memory.limit_in_bytes=-1", "memory.memsw.limit_in_bytes=-1"],
                &["memory.swap.max=max?", "memory.max=max"],
            ),
            (Some(5), 0, &["memory.limit_in_bytes=5"], &["memory.max=5"]),
        ] {
            check(&both(limit, swap), v1, v2);
        }
    }

    #[test]
    fn what_v1_alone_has() {
        let none = |name: &str| alloc::format!("linux.resources.memory.{name}: cgroup v2 has no such limit");
        let memory = Memory { kernel: Some(-1), ..Memory::default() };
        check(&with(memory), &["memory.kmem.limit_in_bytes=-1"], &[&none("kernel")]);
        let memory = Memory { kernel_tcp: Some(9), ..Memory::default() };
        check(&with(memory), &["memory.kmem.tcp.limit_in_bytes=9"], &[&none("kernelTCP")]);
        for (swappiness, line) in [(0, "memory.swappiness=0"), (100, "memory.swappiness=100")] {
            let memory = Memory { swappiness: Some(swappiness), ..Memory::default() };
            check(&with(memory), &[line], &[&none("swappiness")]);
        }
        let memory = Memory { disable_oom_killer: Some(true), ..Memory::default() };
        check(&with(memory), &["memory.oom_control=1"], &[&none("disableOOMKiller")]);
        let hierarchy = |on| with(Memory { use_hierarchy: Some(on), ..Memory::default() });
        check(&hierarchy(true), &["memory.use_hierarchy=1"], &[]);
        check(&hierarchy(false), &["memory.use_hierarchy=0"], &[&none("useHierarchy")]);
    }

    /// In the hybrid layout the controller may be on v2.
    #[test]
    fn on_v2_beside_v1() {
        let resources = with(Memory { limit: Some(5), ..Memory::default() });
        assert_eq!(show(&resources, &hierarchies(&["cpu"], true)), "memory.max=5");
        assert_eq!(show(&resources, &hierarchies(&["memory"], true)), "memory.limit_in_bytes=5");
    }
}
