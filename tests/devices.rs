//! Rules of devices for cgroup v2: the programs that are made of them, run in an interpreter (`devices/machine.rs`)
//! beside the rules themselves, read by the book (`devices/book.rs`), and given to the kernel.
//!
//! - `meaning.rs`: rules at random, those of engines, and how large their programs are.
//! - `kernel.rs`: programs loaded, attached, replaced and taken away again.

// A test may panic, and say what it skips and what it measured.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "devices/book.rs"]
mod book;
#[path = "devices/kernel.rs"]
mod kernel;
#[path = "devices/machine.rs"]
mod machine;
#[path = "devices/meaning.rs"]
mod meaning;
