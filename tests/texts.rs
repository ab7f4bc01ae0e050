//! What mote says of itself: completions for shells and manual pages, both made of the tables that `--help` prints;
//! and what puts them into their places, `scripts/install`.
//!
//! - `completion.rs`: the shells complete command lines, each with its own means (`texts/shell.rs`).
//! - `man.rs`: the pages of `scripts/man`.
//! - `install.rs`: what is installed, and taken away again.
//! - `scripts.rs`: what `.ci/run` and `scripts/test` say of tests that did not run, and need of their caller.

// A test may panic, and say what it skips.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "texts/completion.rs"]
mod completion;
#[path = "texts/help.rs"]
mod help;
#[path = "texts/install.rs"]
mod install;
#[path = "texts/man.rs"]
mod man;
#[path = "texts/scratch.rs"]
mod scratch;
#[path = "texts/scripts.rs"]
mod scripts;
#[path = "texts/shell.rs"]
mod shell;
