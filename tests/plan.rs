//! Golden plans: the complete plan for a config.json, or the exact error.
//!
//! - `plan/real/`: configurations of engines. Each file is planned for cgroup v2 and for the hybrid layout, and
//!   compared with `plan/golden/NAME.txt` (format: see `plan/golden.rs`).
//! - `plan/broken.txt`: invalid and unsupported configurations, each with the exact error (`plan/broken.rs`).
//! - `plan/absent.rs`: a member that is absent or zero has the same meaning as its default.
//! - `plan/full.json`: every member of the specification; each is removed, set to a wrong type and to null, and every
//!   object gets unknown members (`plan/full.rs`).
//!
//! `BLESS=1` overwrites the expected results: review the difference before you commit. Plans are printed by
//! `plan/print.rs`, with the names of `plan/names.rs` for numbers; BPF programs are printed by their results, in
//! `plan/device.rs` and `plan/filter.rs`.

// Tests may panic.
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
#[path = "devices/interpreter.rs"]
mod interpreter;
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
