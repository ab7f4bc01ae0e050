//! Filters of system calls (seccomp(2); config-linux.md, "Seccomp"): a profile becomes a classic BPF program.
//!
//! Stages, like a compiler's: here the words of the profile are understood; `filter.rs` turns rules by name into
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
pub mod denial;
mod filter;
mod load;
mod names;
mod pack;
pub mod plan;
mod raw;
mod table;
mod tree;

use alloc::vec::Vec;
use core::fmt;

use crate::config::seccomp::{Arg, Rule, Seccomp};
use crate::error::{At, Error, Result};
use args::{Compare, Condition};
use filter::Profile;
use names::Name;

pub use arch::{ALL as ARCHS, Arch};
pub use load::{FLAGS, is_action_available, is_flag_supported};

/// What a filter answers (`SECCOMP_RET_*` of include/uapi/linux/seccomp.h).
pub const ALLOW: u32 = 0x7fff_0000;
pub const ERRNO: u32 = 0x0005_0000;
pub const KILL_PROCESS: u32 = 0x8000_0000;
pub const KILL_THREAD: u32 = 0;
pub const LOG: u32 = 0x7ffc_0000;
pub const NOTIFY: u32 = 0x7fc0_0000;
pub const TRACE: u32 = 0x7ff0_0000;
pub const TRAP: u32 = 0x0003_0000;

/// The error number of SCMP_ACT_ERRNO without one.
const EPERM: u32 = 1;
const MAX_ERRNO: u32 = 4095;

/// A finished program and how it is loaded (`load.rs`).
#[derive(Default)]
pub struct Filter<'a> {
    /// `struct sock_filter`, 1 to 4096 of them.
    pub instructions: Vec<u64>,
    /// `SECCOMP_FILTER_FLAG_*`.
    pub flags: u32,
    /// Names that no architecture has as a system call: rules for them were left out.
    pub unknown: Vec<&'a [u8]>,
    /// Whoever takes the listener's descriptor out of the process has no right over it but that of its user.
    pub ordinary: bool,
}

impl fmt::Debug for Filter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unknown) = (self.instructions.len(), self.unknown.len());
        write!(f, "{count} instructions, flags {:#x}, {unknown} unknown names", self.flags)
    }
}

/// What there is around the profile.
#[derive(Clone, Copy)]
pub struct Context {
    /// The architecture of the machine.
    pub native: &'static Arch,
    /// Whether somebody takes the filter's listener: `listenerPath`, or an annotation. There is one then, whether
    /// SCMP_ACT_NOTIFY is used or not, as in crun.
    pub has_receiver: bool,
    /// mote has no CAP_SYS_PTRACE, and so no right over the process but that of its user.
    pub ordinary: bool,
}

/// Compiles `linux.seccomp`.
// Where there is none, nothing of it shall lie between the planner's pages.
#[inline(never)]
pub fn compile<'a>(section: &Seccomp<'a>, context: Context) -> Result<Filter<'a>> {
    compile_section(section, context).at(format_args!("linux.seccomp"))
}

fn compile_section<'a>(section: &Seccomp<'a>, context: Context) -> Result<Filter<'a>> {
    let default =
        action(section.default_action, section.default_errno_ret).at(format_args!("defaultAction"))?;
    context.check(default).at(format_args!("defaultAction"))?;
    let mut profile = Profile {
        default,
        newer_fail: !matches!(default & 0xffff_0000, ALLOW | LOG | NOTIFY | TRACE),
        rules: Vec::with_capacity(section.syscalls.len()),
        names: Vec::new(),
        archs: archs(section, context.native)?,
    };
    let mut unknown = Vec::new();
    for (index, written) in section.syscalls.iter().enumerate() {
        let rule = rule(written, default, context).at(format_args!("syscalls[{index}]"))?;
        profile.rules.push(rule);
        for name in &written.names {
            match Name::find(name) {
                Some(found) => profile.names.push((found, index as u32)),
                None => unknown.push(*name),
            }
        }
    }
    let mut graph = bpf::Graph::new();
    let root = profile.graph(&mut graph);
    let flags = load::flags(&section.flags, context.has_receiver)?;
    let instructions = graph.program(root)?;
    Ok(Filter { instructions, flags, unknown, ordinary: context.ordinary })
}

impl Context {
    fn check(self, action: u32) -> Result<()> {
        match action {
            NOTIFY if !self.has_receiver => {
                Err(Error::invalid(format_args!("SCMP_ACT_NOTIFY needs listenerPath")))
            }
            _ => Ok(()),
        }
    }
}

/// The architectures of the filter, the machine's own first.
fn archs(section: &Seccomp<'_>, native: &'static Arch) -> Result<Vec<&'static Arch>> {
    let mut archs = Vec::with_capacity(section.architectures.len() + 1);
    archs.push(native);
    for (index, name) in section.architectures.iter().enumerate() {
        let fail = |why: &str| Err(Error::invalid(format_args!("architectures[{index}]: {name} {why}")));
        match Arch::find(name) {
            None => return fail("is not known"),
            Some(arch) if arch.is_little() != native.is_little() => {
                return fail("has another byte order than this machine");
            }
            Some(arch) if archs.contains(&arch) => {}
            Some(arch) => archs.push(arch),
        }
    }
    Ok(archs)
}

fn rule(written: &Rule<'_>, default: u32, context: Context) -> Result<filter::Rule> {
    let action = action(written.action, written.errno_ret).at(format_args!("action"))?;
    context.check(action).at(format_args!("action"))?;
    let mut conditions = Vec::with_capacity(written.args.len());
    let (mut compared, mut any) = (0u64, false);
    for (index, arg) in written.args.iter().enumerate() {
        conditions.push(condition(arg).at(format_args!("args[{index}]"))?);
        any |= compared & 1 << arg.index != 0;
        compared |= 1 << arg.index;
    }
    Ok(filter::Rule { action, idle: action == default, conditions, any })
}

/// `SCMP_ACT_*`, with the number that SCMP_ACT_ERRNO and SCMP_ACT_TRACE carry: "When the action doesn't support an
/// errno, the runtime MUST print and error and fail."
fn action(word: &str, errno: Option<u32>) -> Result<u32> {
    let number = errno.unwrap_or(EPERM);
    if number > MAX_ERRNO {
        return Err(Error::invalid(format_args!("error number {number} is above {MAX_ERRNO}")));
    }
    if errno.is_some() && !matches!(word, "SCMP_ACT_ERRNO" | "SCMP_ACT_TRACE") {
        return Err(Error::invalid(format_args!("{word} has no error number")));
    }
    Ok(match word {
        "SCMP_ACT_ALLOW" => ALLOW,
        "SCMP_ACT_ERRNO" => ERRNO | number,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => KILL_THREAD,
        "SCMP_ACT_KILL_PROCESS" => KILL_PROCESS,
        "SCMP_ACT_LOG" => LOG,
        "SCMP_ACT_NOTIFY" => NOTIFY,
        "SCMP_ACT_TRACE" => TRACE | number,
        "SCMP_ACT_TRAP" => TRAP,
        _ => return Err(Error::invalid(format_args!("unknown action \"{word}\""))),
    })
}

fn condition(arg: &Arg<'_>) -> Result<Condition> {
    if arg.index > 5 {
        return Err(Error::invalid(format_args!("index: {} is not within 0 and 5", arg.index)));
    }
    let whole = |compare| Ok(Condition { index: arg.index, compare, mask: u64::MAX, value: arg.value });
    match arg.op {
        "SCMP_CMP_EQ" => whole(Compare::Equal),
        "SCMP_CMP_GE" => whole(Compare::GreaterOrEqual),
        "SCMP_CMP_GT" => whole(Compare::Greater),
        "SCMP_CMP_LE" => whole(Compare::LessOrEqual),
        "SCMP_CMP_LT" => whole(Compare::Less),
        // `value` is the mask.
        "SCMP_CMP_MASKED_EQ" => {
            let value = arg.value_two & arg.value;
            Ok(Condition { index: arg.index, compare: Compare::Equal, mask: arg.value, value })
        }
        "SCMP_CMP_NE" => whole(Compare::NotEqual),
        other => Err(Error::invalid(format_args!("op: unknown operator \"{other}\""))),
    }
}
