//! The first stage: checks the fields of `linux.seccomp`, and calls the other stages.

use alloc::vec::Vec;

use super::arch::Arch;
use super::args::{Compare, Condition};
use super::filter::{ALLOW, Context, ERRNO, Filter, KILL_PROCESS, KILL_THREAD, LOG, NOTIFY, TRACE, TRAP};
use super::names::Name;
use super::profile::Profile;
use super::{bpf, load, profile};
use crate::config::seccomp::{Arg, Rule, Seccomp};
use crate::error::{At, Error, Result};

/// The default error number of SCMP_ACT_ERRNO and SCMP_ACT_TRACE.
const EPERM: u32 = 1;
const MAX_ERRNO: u32 = 4095;

/// Compiles `linux.seccomp` (config-linux.md, "Seccomp"; seccomp(2)).
///
/// Errors: an action that cannot have its error number, an architecture that cannot have a filter with the native one,
/// or a filter of more than 4096 instructions.
// Not inlined, so that its code is not between the planner's in memory if there is no profile.
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

/// The architectures of the filter, the native one first.
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

/// Decodes a rule. `default` is the default action.
pub(super) fn rule(written: &Rule<'_>, default: u32, context: Context) -> Result<profile::Rule> {
    let action = action(written.action, written.errno_ret).at(format_args!("action"))?;
    context.check(action).at(format_args!("action"))?;
    let mut conditions = Vec::with_capacity(written.args.len());
    let (mut compared, mut any) = (0u64, false);
    for (index, arg) in written.args.iter().enumerate() {
        conditions.push(condition(arg).at(format_args!("args[{index}]"))?);
        any |= compared & 1 << arg.index != 0;
        compared |= 1 << arg.index;
    }
    Ok(profile::Rule { action, idle: action == default, conditions, any })
}

/// Converts an action, with the error number of SCMP_ACT_ERRNO and SCMP_ACT_TRACE. An error number for other actions is
/// an error: "When the action doesn't support an errno, the runtime MUST print and error and fail."
fn action(word: &str, errno: Option<u32>) -> Result<u32> {
    let number = errno.unwrap_or(EPERM);
    if number > MAX_ERRNO {
        return Err(Error::invalid(format_args!("error number {number} is above {MAX_ERRNO}")));
    }
    if errno.is_some() && !matches!(word, "SCMP_ACT_ERRNO" | "SCMP_ACT_TRACE") {
        return Err(Error::invalid(format_args!("{word} does not support an error number")));
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
    let all_bits = |compare| Ok(Condition { index: arg.index, compare, mask: u64::MAX, value: arg.value });
    match arg.op {
        "SCMP_CMP_EQ" => all_bits(Compare::Equal),
        "SCMP_CMP_GE" => all_bits(Compare::GreaterOrEqual),
        "SCMP_CMP_GT" => all_bits(Compare::Greater),
        "SCMP_CMP_LE" => all_bits(Compare::LessOrEqual),
        "SCMP_CMP_LT" => all_bits(Compare::Less),
        // `value` is the mask.
        "SCMP_CMP_MASKED_EQ" => {
            let value = arg.value_two & arg.value;
            Ok(Condition { index: arg.index, compare: Compare::Equal, mask: arg.value, value })
        }
        "SCMP_CMP_NE" => all_bits(Compare::NotEqual),
        other => Err(Error::invalid(format_args!("op: unknown operator \"{other}\""))),
    }
}
