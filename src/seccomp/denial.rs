//! Detects filters that deny system calls which mote makes after loading them. This is done when planning, and the
//! error contains the rule of the profile.

use alloc::vec::Vec;

use super::ahead::{kills, refuses};
use super::arch::Arch;
use super::compile::rule;
use super::filter::{ALLOW, Context, Filter};
use super::plan::FINISHED;
use crate::config::Config;
use crate::config::seccomp::Seccomp;
use crate::error::{Error, Kind, Result};
use crate::sys::seccomp::{Call, Need};

// What mote needs the denied calls for, at the end of the error text.
const LATE: &str = "which mote calls after loading the filter";
const EARLY: &str =
    "which mote calls after loading the filter; with process.noNewPrivileges it would call only execve";
const ERROR_REPORT: &str = "which mote needs to report why a program is not executed";

/// The system calls of mote that are certain to be denied.
pub struct Denials<'p> {
    program: &'p Filter<'p>,
    /// Whether the filter is loaded right before execve.
    late: bool,
    /// The profile from which the filter was compiled.
    section: Option<&'p Seccomp<'p>>,
    /// Denied calls without which the start fails ([`Need::Success`], [`Need::Survival`]).
    fatal: Option<Denial>,
    /// Denied calls that only report the error of a failed start ([`Need::ErrorReport`]).
    error_report: Option<Denial>,
}

/// Calls that are denied by the same rule.
struct Denial {
    /// The index in `syscalls`; `None` is the default action, or that there is no profile.
    rule: Option<usize>,
    /// The result of the filter.
    answer: u32,
    names: Vec<&'static str>,
}

impl<'p> Denials<'p> {
    /// Without denied calls; `late` is whether the filter is loaded right before execve.
    pub fn new(program: &'p Filter<'p>, config: &'p Config<'p>, late: bool) -> Self {
        let section = config.linux.seccomp.as_ref().filter(|_| config.annotation(FINISHED).is_none());
        Denials { program, late, section, fatal: None, error_report: None }
    }

    /// Runs the filter for a call that mote makes after loading it.
    pub fn check(&mut self, need: Need, call: Call<'_>) {
        let bad = if need == Need::Survival { kills } else { refuses };
        if let Some(answer) = self.program.foresee(call, bad) {
            self.add(need, call, answer);
        }
    }

    /// Records a denied call if it is denied by the same rule as the first one. Others are reported once that is
    /// corrected.
    #[cold]
    #[inline(never)]
    fn add(&mut self, need: Need, call: Call<'_>, answer: u32) {
        let rule = self.section.and_then(|section| rule_for(section, call, answer));
        let denial = if need == Need::ErrorReport { &mut self.error_report } else { &mut self.fatal };
        let first = denial.get_or_insert_with(|| Denial { rule, answer, names: Vec::new() });
        if (first.rule, first.answer) == (rule, answer) && !first.names.contains(&call.name) {
            first.names.push(call.name);
        }
    }

    /// Fails if a start with this filter fails. Adds a warning if only the error message of a failed start would be
    /// lost.
    pub fn report(self, warnings: &mut Vec<Error>) -> Result<()> {
        if let Some(fatal) = &self.fatal {
            return Err(fatal.error(self.section, if self.late { LATE } else { EARLY }));
        }
        if let Some(denial) = &self.error_report {
            warnings.push(denial.error(self.section, ERROR_REPORT).of(Kind::Remark));
        }
        Ok(())
    }
}

impl Denial {
    /// The error: the setting that denies the calls, the calls, and `need`.
    #[cold]
    #[inline(never)]
    fn error(&self, section: Option<&Seccomp<'_>>, need: &str) -> Error {
        let rule = self.rule.and_then(|index| Some((index, section?.syscalls.get(index)?)));
        let mut error = match (section, rule) {
            (None, _) => {
                Error::invalid(format_args!("annotations.run.oci.seccomp_bpf_data: the filter denies"))
            }
            (_, Some((index, rule))) => {
                Error::invalid(format_args!("linux.seccomp: syscalls[{index}]: {} denies", rule.action))
            }
            (Some(section), None) => Error::invalid(format_args!(
                "linux.seccomp: defaultAction: {} denies",
                section.default_action
            )),
        };
        for (index, name) in self.names.iter().enumerate() {
            let before = match index {
                0 => " ",
                _ if index + 1 == self.names.len() => " and ",
                _ => ", ",
            };
            error.append(format_args!("{before}{name}"));
        }
        error.append(format_args!(", {need}"));
        error
    }
}

/// The index of the first rule that can match the call and has this result.
fn rule_for(section: &Seccomp<'_>, call: Call<'_>, answer: u32) -> Option<usize> {
    let native = Arch::native();
    let context = Context { native, has_receiver: true, ordinary: false };
    section.syscalls.iter().position(|written| {
        let named = written.names.contains(&call.name.as_bytes());
        let rule = rule(written, ALLOW, context).ok().filter(|rule| named && rule.action == answer);
        rule.is_some_and(|rule| rule.may_match(native, call.arguments))
    })
}
