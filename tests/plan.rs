//! Golden plans: config.json in, every decision out (or the exact error).
//!
//! - `plan/real/`: what engines write. Every file is planned for cgroup v2 and for the hybrid layout, and
//!   compared with `plan/golden/NAME.txt` (`plan/golden.rs` says how to read it).
//! - `plan/broken.txt`: rejected configurations, each with the exact error (`plan/broken.rs`).
//! - `plan/absent.rs`: a member that is absent, or is zero, means the same as its default.
//! - `plan/full.json`: every member of the specification; each is removed, given a wrong type, made null, and
//!   every object gets unknown members (`plan/full.rs`).
//!
//! `BLESS=1` writes the expected files again: read their difference before you commit it. How a plan is printed is in
//! `plan/print.rs`, the names of numbers in `plan/names.rs`, what BPF programs do in
//! `plan/device.rs` and `plan/filter.rs`.

// A test may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "plan/absent.rs"]
mod absent;
#[path = "plan/broken.rs"]
mod broken;
#[path = "plan/device.rs"]
mod device;
#[path = "plan/filter.rs"]
mod filter;
#[path = "plan/full.rs"]
mod full;
#[path = "plan/golden.rs"]
mod golden;
#[path = "plan/growth.rs"]
mod growth;
#[path = "plan/host.rs"]
mod host;
#[path = "devices/machine.rs"]
mod machine;
#[path = "plan/names.rs"]
mod names;
#[path = "plan/print.rs"]
mod print;
#[path = "seccomp/rows.rs"]
mod rows;
#[path = "plan/text.rs"]
mod text;
#[path = "plan/tree.rs"]
mod tree;
#[path = "plan/value.rs"]
mod value;
