//! The container's root filesystem (mount_namespaces(7), pivot_root(2); config.md, "Root", "Mounts";
//! config-linux.md, "Devices", "Rootfs Mount Propagation", "Masked Paths", "Readonly Paths").
//!
//! The root is a detached copy (OPEN_TREE_CLONE) of the mount tree at `root.path`. It is attached, and all other mounts
//! are attached to file descriptors of mount points that were resolved inside it (`path.rs`). pivot_root(2) then
//! replaces the root of the host.

mod bind_remount;
pub(crate) mod cgroup;
mod classic;
mod context;
pub(crate) mod copyup;
pub(crate) mod device;
mod explain;
pub(crate) mod external;
pub(crate) mod extra;
mod fd_budget;
mod filesystem;
pub(crate) mod id;
pub(crate) mod idmap;
pub(crate) mod label;
pub(crate) mod mask;
pub(crate) mod mount_namespace;
mod mount_options;
mod mountinfo;
mod node;
pub(crate) mod op;
pub mod option_table;
pub(crate) mod order;
pub(crate) mod own_mounts;
pub(crate) mod path;
mod path_text;
pub(crate) mod pivot;
mod plan;
mod read_only;
mod shared;
pub(crate) mod source;
pub(crate) mod supply;
pub(crate) mod tree;
mod unmount;
mod visible;
mod walk;

pub(crate) use context::Context;
pub(crate) use plan::Plan;
