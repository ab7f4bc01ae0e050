//! Compiles seccomp profiles to filters, which are classic BPF programs (seccomp(2); config-linux.md, "Seccomp").
//!
//! The stages are those of a compiler: `compile.rs` checks the profile; `profile.rs` maps the names in rules to the
//! syscall numbers of each architecture; `args.rs` converts conditions to tests; `tree.rs` builds search trees over
//! runs of numbers; `bpf.rs` generates the program. Only `load.rs` makes system calls.
//!
//! The semantics are those of libseccomp, for which profiles are written, with the additions of runc:
//!
//! - The filter always includes the native architecture. A call of an architecture that is not included kills the thread.
//! - A rule with the default action is ignored. A rule without conditions takes precedence over all other rules for the
//!   call, and an earlier one over a later one; `args.rs` defines the order of rules with conditions. A rule that
//!   compares one argument twice is split into one rule for each condition (as runc does, and crun intends to).
//! - Unless the default action permits calls (SCMP_ACT_ALLOW, _LOG, _TRACE) or notifies (_NOTIFY), a call that is newer
//!   than all names in the profile fails with ENOSYS, so that a C library falls back to older calls (as in runc;
//!   otherwise new calls look denied, and programs give up).
//! - A rule for a call that is also available through socketcall(2) or ipc(2) applies there as well.
//!
//! For docker's profile, the program has a quarter of the instructions of libseccomp's, and executes ten of them per
//! call on average (tests/seccomp/size.rs). That also determines the cost of loading it, because the kernel then
//! runs the filter once for every syscall number. Compiling takes less time than loading, so no compiled filters are
//! cached.
//!
//! The listener fd of SCMP_ACT_NOTIFY is sent to the seccomp agent by `launch/listener.rs`.

pub mod ahead;
mod arch;
mod args;
mod bpf;
mod compile;
pub(crate) mod denial;
mod filter;
mod load;
mod names;
mod pack;
pub(crate) mod plan;
mod profile;
mod raw;
mod row;
mod table;
mod tree;

pub use arch::{ALL as ARCHS, Arch};
pub use compile::compile;
pub use filter::{ALLOW, Context, ERRNO, Filter, KILL_PROCESS, KILL_THREAD, LOG, NOTIFY, TRACE, TRAP};
pub use load::{FLAGS, is_action_available, is_flag_supported};
