//! The seccomp compiler: its programs run in an interpreter (`seccomp/machine.rs`), beside the programs that
//! libseccomp makes of the same profiles, and beside the profiles themselves, read by the book.
//!
//! - `differential.rs`: profiles at random, and those of engines, on every architecture, against libseccomp with
//!   what runc adds to it. What may differ, and why, is [`differential::Why`].
//! - `kernel.rs`: programs loaded, in a child.
//! - `ahead.rs`: what the library itself foresees of a program's answers.
//! - `meaning.rs`: what cannot be compared, and what is refused, with the exact error.
//! - `shape.rs`: how large and how long the programs are.
//! - `numbers.rs`: the table of system calls against libseccomp and against the kernel's headers.

// A test may panic, and say what it skips and what it measured.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "seccomp/ahead.rs"]
mod ahead;
#[path = "seccomp/book.rs"]
mod book;
#[path = "seccomp/differential.rs"]
mod differential;
#[path = "seccomp/engines.rs"]
mod engines;
#[path = "seccomp/headers.rs"]
mod headers;
#[path = "seccomp/kernel.rs"]
mod kernel;
#[path = "seccomp/library.rs"]
mod library;
#[path = "seccomp/machine.rs"]
mod machine;
#[path = "seccomp/meaning.rs"]
mod meaning;
#[path = "seccomp/numbers.rs"]
mod numbers;
#[path = "seccomp/profile.rs"]
mod profile;
#[path = "seccomp/random.rs"]
mod random;
#[path = "seccomp/rows.rs"]
mod rows;
#[path = "seccomp/shape.rs"]
mod shape;
