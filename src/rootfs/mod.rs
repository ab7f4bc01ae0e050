//! The container's tree of files (mount_namespaces(7), pivot_root(2); config.md, "Root", "Mounts";
//! config-linux.md, "Devices", "Rootfs Mount Propagation", "Masked Paths", "Readonly Paths").
//!
//! The root is a detached copy of the bundle's; it is attached, and everything below it is attached to
//! descriptors found by walking inside it (`path.rs`). The host's tree is left with pivot_root.

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
