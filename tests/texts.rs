//! Texts of mote: shell completions and manual pages, both generated from the option tables that `--help` prints; and
//! `scripts/install`, which installs them.
//!
//! - `build_script.rs`: build.rs, of which cargo learns the target and the commit.
//! - `completion.rs`: the shells complete command lines (`texts/shell.rs`).
//! - `man.rs`: the pages of `scripts/man`.
//! - `install.rs`: the files that are installed and uninstalled.
//! - `scripts.rs`: how `.ci/run` and `scripts/test` report tests that did not run, and the environment in which they
//!   run tests.
//! - `security.rs`: the table of docs/security.md.
//! - `cpus.rs`: the table of docs/cpus.md.
//! - `podman.rs`: the lists of runtimes in containers.conf(5).
//! - `limits.rs`: the table and the commands of docs/limits.md.

// Tests may panic, and print what they skip.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "texts/build_script.rs"]
mod build_script;
#[path = "texts/completion.rs"]
mod completion;
#[path = "texts/cpus.rs"]
mod cpus;
#[path = "texts/help.rs"]
mod help;
#[path = "texts/install.rs"]
mod install;
#[path = "texts/limits.rs"]
mod limits;
#[path = "texts/man.rs"]
mod man;
#[path = "texts/podman.rs"]
mod podman;
#[path = "texts/scratch.rs"]
mod scratch;
#[path = "texts/scripts.rs"]
mod scripts;
#[path = "texts/security.rs"]
mod security;
#[path = "texts/shell.rs"]
mod shell;
