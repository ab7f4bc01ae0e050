//! Device rules: a list for cgroup v1, an eBPF program for v2.

pub mod program;
pub mod rules;
