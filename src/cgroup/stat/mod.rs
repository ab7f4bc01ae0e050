//! Statistics of a cgroup, in the v1, v2 and hybrid layouts (the kernel's admin-guide/cgroup-v2.rst and
//! admin-guide/cgroup-v1).
//!
//! Files have different names on v1 and v2, so the layout need not be known: a file is looked up in the v1 hierarchy of
//! its controller, then in the v2 one. Missing values are 0 or omitted: a controller may be absent, not enabled, or
//! older than the file.

mod block;
mod cpu;
pub(crate) mod files;
mod memory;
pub mod oom;

pub(crate) use files::Files;
pub(crate) use memory::Amount;
