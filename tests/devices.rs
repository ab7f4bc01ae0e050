//! Device rules for cgroup v2: the generated BPF programs, run in an interpreter (`devices/interpreter.rs`) and
//! compared with a direct evaluation of the rules (`devices/reference.rs`), and loaded into the kernel.
//!
//! - `compare.rs`: random rules and those of engines, and the sizes of their programs.
//! - `kernel.rs`: programs that are loaded, attached, replaced and detached.

// Tests may panic, and print what they skip or measure.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "devices/compare.rs"]
mod compare;
#[path = "devices/interpreter.rs"]
mod interpreter;
#[path = "devices/kernel.rs"]
mod kernel;
#[path = "devices/reference.rs"]
mod reference;
