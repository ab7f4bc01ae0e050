//! The time at which the container init joins its cgroup, which depends on the limits.

use crate::config::resources::Resources;

/// The time at which the container init joins its cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinTime {
    /// At the clone (CLONE_INTO_CGROUP, linux 5.7), without a migration, which waits for the kernel's
    /// `cgroup_threadgroup_rwsem`. Only on v2; v1 hierarchies are joined as the child's first step.
    AtClone,
    /// Before the child sets up the container. With `pids.max` 0 no process can be cloned into the cgroup, but one can
    /// be moved there: "organisational operations are not blocked" (cgroup-v2.rst).
    Early,
    /// As the child's last step, so that the memory for setting up is not charged to a small limit.
    Late,
}

impl JoinTime {
    /// The time for these limits.
    pub fn of(resources: &Resources<'_>) -> Self {
        let mut small = resources.memory.limit.is_some_and(|limit| (1..SMALL).contains(&limit));
        let mut pids = resources.pids;
        for (file, value) in &resources.unified {
            if *file == c"pids.max" {
                pids = Some(i64::from(*value != c"0"));
            } else if *file == c"memory.max" || *file == c"memory.high" {
                // Up to 999999, or a number with a unit.
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
    /// The time if the cgroup contains a placeholder process: with a `pids` limit of 1 nothing can be cloned into it.
    pub fn with_placeholder(self, pids: Option<i64>) -> Self {
        match (self, pids) {
            (JoinTime::AtClone, Some(..=1)) if pids != Some(-1) => JoinTime::Early,
            _ => self,
        }
    }
}

/// The memory limit, in bytes, below which the container init joins late. Setting up charges some 100 KB.
const SMALL: i64 = 4 << 20;
