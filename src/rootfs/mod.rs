//! The container's root filesystem (mount_namespaces(7), pivot_root(2); config.md, "Root", "Mounts";
//! config-linux.md, "Devices", "Rootfs Mount Propagation", "Masked Paths", "Readonly Paths").
//!
//! The root is a detached copy (OPEN_TREE_CLONE) of the mount tree at `root.path`. It is attached, and all other mounts
//! are attached to file descriptors of mount points that were resolved inside it (`path.rs`). pivot_root(2) then
//! replaces the root of the host.

pub mod cgroup;
mod classic;
mod context;
pub mod copyup;
pub mod device;
mod explain;
pub mod extra;
mod fd_budget;
mod filesystem;
pub mod id;
pub mod idmap;
pub mod label;
pub mod mask;
mod mount_options;
mod node;
pub mod op;
pub mod option_table;
pub mod order;
pub mod own_mounts;
pub mod path;
mod path_text;
pub mod pivot;
mod plan;
mod read_only;
pub mod source;
pub mod supply;
pub mod tree;
mod unmount;
mod walk;

pub use context::Context;
pub use plan::Plan;
