//! Filters of system calls (seccomp(2); config-linux.md, "Seccomp"): a profile becomes a classic BPF program.
//!
//! Stages, like a compiler's: `compile.rs` checks the words of the profile; `profile.rs` turns rules by name into
//! numbers of each architecture, `args.rs` conditions into tests, `tree.rs` runs of numbers into a tree,
//! and `bpf.rs` all of it into a program. Only `load.rs` talks to the kernel.
//!
//! The meaning is libseccomp's, since profiles are written against it, with what runc adds:
//!
//! - The machine's own architecture is always in the filter. A call of one that is not kills the thread.
//! - A rule whose action is the default one is none. A rule without conditions stands above all others of the
//!   call, the first such above the later ones; `args.rs` has the order of those with conditions. A rule that
//!   compares one argument twice is several rules (runc; crun would, too).
//! - When the default action is not to let calls pass (SCMP_ACT_ALLOW, _LOG, _TRACE) or to ask (_NOTIFY), a call
//!   newer than all that the profile names fails with ENOSYS, so that a C library falls back to what it used before
//!   (runc; without it new calls look forbidden, and programs give up).
//! - Calls behind socketcall(2) and ipc(2) are meant, too, when they are named.
//!
//! The program of docker's profile has a quarter of libseccomp's instructions, and a call meets ten of them on
//! average (tests/seccomp/shape.rs). The kernel runs it once for every call when it is loaded, so that this is what
//! loading costs; and it is made in less time than that: nothing needs to be kept from one container to the next.
//!
//! What SCMP_ACT_NOTIFY asks, whoever has the filter's listener answers: how they get it is `launch/listener.rs`.

pub mod ahead;
mod arch;
mod args;
mod bpf;
mod compile;
pub mod denial;
mod filter;
mod load;
mod names;
mod pack;
pub mod plan;
mod profile;
mod raw;
mod row;
mod table;
mod tree;

pub use arch::{ALL as ARCHS, Arch};
pub use compile::compile;
pub use filter::{ALLOW, Context, ERRNO, Filter, KILL_PROCESS, KILL_THREAD, LOG, NOTIFY, TRACE, TRAP};
pub use load::{FLAGS, is_action_available, is_flag_supported};
