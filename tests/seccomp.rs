//! The seccomp compiler: its programs are run in an interpreter (`seccomp/interpreter.rs`), and compared with
//! libseccomp's programs for the same profiles and with a direct evaluation of the profiles (`seccomp/reference.rs`).
//!
//! - `differential.rs`: random profiles and those of engines, for every architecture, compared with libseccomp and
//!   runc's additions to it. The possible differences are listed in [`differential::Why`].
//! - `kernel.rs`: programs loaded in a child.
//! - `ahead.rs`: mote's own evaluation of filters before they are loaded.
//! - `rules.rs`: single rules, and the exact errors of rejected profiles.
//! - `size.rs`: the sizes and execution lengths of programs.
//! - `numbers.rs`: the syscall table, compared with libseccomp and with the kernel's headers.

// Tests may panic, and print what they skip or measure.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "seccomp/ahead.rs"]
mod ahead;
#[path = "seccomp/differential.rs"]
mod differential;
#[path = "seccomp/engines.rs"]
mod engines;
#[path = "seccomp/headers.rs"]
mod headers;
#[path = "seccomp/interpreter.rs"]
mod interpreter;
#[path = "seccomp/kernel.rs"]
mod kernel;
#[path = "seccomp/library.rs"]
mod library;
#[path = "seccomp/numbers.rs"]
mod numbers;
#[path = "seccomp/profile.rs"]
mod profile;
#[path = "seccomp/random.rs"]
mod random;
#[path = "seccomp/reference.rs"]
mod reference;
#[path = "seccomp/rows.rs"]
mod rows;
#[path = "seccomp/rules.rs"]
mod rules;
#[path = "seccomp/size.rs"]
mod size;
