//! Control groups (cgroups(7); config-linux.md, "Control groups").
//!
//! A container has one cgroup of the same path in every hierarchy that is mounted. Limits are written before any process
//! joins it, since lowering a limit below what is in use fails or kills. The plan decides when the container's process
//! joins ([`JoinTime`]); the parent opens the files for that, the child writes to them.

mod block;
mod cpu;
pub mod current;
pub mod delegation;
mod fds;
pub mod freezer;
mod handle;
pub mod hierarchies;
mod hugetlb;
mod join;
pub mod manager;
mod memory;
mod network;
pub mod oom;
pub mod path;
pub mod placement;
mod plan;
pub mod program;
mod rdma;
pub mod rules;
pub mod stat;
mod subtree_control;
pub mod systemd;
pub mod tasks;
pub mod tree;
mod unified;
pub mod update;
pub mod write;

pub use fds::CgroupFds;
pub use handle::Cgroup;
pub use join::JoinTime;
pub use path::FORCE_V1;
pub use plan::Plan;
