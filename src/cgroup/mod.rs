//! Control groups (cgroups(7); config-linux.md, "Control groups").
//!
//! A container has one cgroup, with the same path in every mounted hierarchy. Limits are written before any process
//! joins it, since lowering a limit below the current usage fails or causes OOM kills. The plan determines when the
//! container init joins (`JoinTime`); the parent opens the files for that, the child writes to them.

pub(crate) mod controllers;
pub mod devices;
pub(crate) mod fs;
mod handle;
pub mod manager;
pub mod placement;
mod plan;
pub(crate) mod stat;
pub mod systemd;
pub(crate) mod update;

pub(crate) use fs::fds::CgroupFds;
pub(crate) use fs::join::JoinTime;
pub(crate) use fs::path::FORCE_V1;
pub(crate) use handle::Cgroup;
pub(crate) use plan::Plan;
