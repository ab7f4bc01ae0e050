//! Golden plans: config.json in, every decision out (or the exact error).
//!
//! - `plan/real/`: what engines write. Every file is planned for cgroup v2 and for the hybrid layout, and
//!   compared with `plan/golden/NAME.v2.txt` and `NAME.hybrid.txt` (`plan/golden.rs` says how to read them).
//! - `plan/broken.txt`: what is refused, with the exact error (`plan/broken.rs`).
//! - `plan/absent.rs`: what is left out, or is zero, means the same as in full.
//! - `plan/full.json`: every member of the specification; each is taken out, given a wrong type, made null, and
//!   every object gets members that nobody knows (`plan/full.rs`).
//!
//! `BLESS=1` writes the expectations anew: read the difference before you keep it.

// A test may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "plan/absent.rs"]
mod absent;
#[path = "plan/broken.rs"]
mod broken;
#[path = "plan/full.rs"]
mod full;
#[path = "plan/golden.rs"]
mod golden;
#[path = "plan/growth.rs"]
mod growth;
#[path = "plan/host.rs"]
mod host;
#[path = "plan/text.rs"]
mod text;
#[path = "plan/value.rs"]
mod value;
