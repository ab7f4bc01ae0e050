//! Device rules: a list of writes for cgroup v1, a BPF program for v2.

pub mod program;
pub(crate) mod rules;
