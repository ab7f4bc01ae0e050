//! When a container's process joins its cgroup, by the limits of that.

use crate::config::resources::Resources;

/// When a container's process joins its cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinTime {
    /// At the clone (CLONE_INTO_CGROUP, linux 5.7): no migration, which waits for the kernel's
    /// `cgroup_threadgroup_rwsem`. Only v2 has it; v1 hierarchies are joined first thing.
    AtClone,
    /// Before it sets up the container. With `pids.max` 0 no process can be cloned there, but one can move in: "organisational operations are not blocked" (cgroup-v2.rst).
    Early,
    /// As the last step, so that the memory for setting up is not charged to a small limit.
    Late,
}

impl JoinTime {
    /// By the limits that are in force in the cgroup.
    pub fn of(resources: &Resources<'_>) -> Self {
        let mut small = resources.memory.limit.is_some_and(|limit| (1..SMALL).contains(&limit));
        let mut pids = resources.pids;
        for (file, value) in &resources.unified {
            if *file == c"pids.max" {
                pids = Some(i64::from(*value != c"0"));
            } else if *file == c"memory.max" || *file == c"memory.high" {
                // Up to 999999, or something with a unit.
                small |= value.count_bytes() < 7 && *value != c"max";
            }
        }
        match pids {
            _ if small => JoinTime::Late,
            Some(0) => JoinTime::Early,
            _ => JoinTime::AtClone,
        }
    }
}

impl JoinTime {
    /// Nobody is born where one process is all there may be, and one is there.
    pub fn with_placeholder(self, pids: Option<i64>) -> Self {
        match (self, pids) {
            (JoinTime::AtClone, Some(..=1)) if pids != Some(-1) => JoinTime::Early,
            _ => self,
        }
    }
}

/// Below this limit of memory the container's process joins late. Setting up charges some 100 KB.
const SMALL: i64 = 4 << 20;
