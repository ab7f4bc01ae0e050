//! What a filter denies its own loader: found out before anything is done, and told by the line of the profile.

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

/// What the calls are to mote.
const LATE: &str = "which mote itself still calls behind the filter";
const EARLY: &str =
    "which mote itself calls behind the filter; with process.noNewPrivileges it would call execve alone";
const MUTE: &str = "with which mote would tell why a program is not run";

/// What is certain to be denied.
pub struct Denials<'p> {
    program: &'p Filter<'p>,
    /// The program is loaded last.
    late: bool,
    /// The profile that the program was made of.
    section: Option<&'p Seccomp<'p>>,
    fatal: Option<Denial>,
    mute: Option<Denial>,
}

/// Calls that one place of the profile gives one answer.
struct Denial {
    /// `None`: it is the default action, or there is no profile.
    rule: Option<usize>,
    answer: u32,
    names: Vec<&'static str>,
}

impl<'p> Denials<'p> {
    /// Nothing yet; `late` is whether the program is loaded right before execve.
    pub fn new(program: &'p Filter<'p>, config: &'p Config<'p>, late: bool) -> Self {
        let section = config.linux.seccomp.as_ref().filter(|_| config.annotation(FINISHED).is_none());
        Denials { program, late, section, fatal: None, mute: None }
    }

    /// Runs the program for a call that its loader makes behind it.
    pub fn ask(&mut self, need: Need, call: Call<'_>) {
        let bad = if need == Need::Life { kills } else { refuses };
        if let Some(answer) = self.program.foresee(call, bad) {
            self.add(need, call, answer);
        }
    }

    /// Only what has the origin of the first: the rest is told when that is mended.
    #[cold]
    #[inline(never)]
    fn add(&mut self, need: Need, call: Call<'_>, answer: u32) {
        let rule = self.section.and_then(|section| rule_for(section, call, answer));
        let denial = if need == Need::Words { &mut self.mute } else { &mut self.fatal };
        let first = denial.get_or_insert_with(|| Denial { rule, answer, names: Vec::new() });
        if (first.rule, first.answer) == (rule, answer) && !first.names.contains(&call.name) {
            first.names.push(call.name);
        }
    }

    /// An error when the loader cannot come to its program; a remark when it could not say why.
    pub fn judge(self, warnings: &mut Vec<Error>) -> Result<()> {
        if let Some(fatal) = &self.fatal {
            return Err(fatal.tell(self.section, if self.late { LATE } else { EARLY }));
        }
        if let Some(mute) = &self.mute {
            warnings.push(mute.tell(self.section, MUTE).of(Kind::Remark));
        }
        Ok(())
    }
}

impl Denial {
    #[cold]
    #[inline(never)]
    fn tell(&self, section: Option<&Seccomp<'_>>, need: &str) -> Error {
        let rule = self.rule.and_then(|index| Some((index, section?.syscalls.get(index)?)));
        let mut error = match (section, rule) {
            (None, _) => Error::invalid(format_args!("annotations.run.oci.seccomp_bpf_data: it denies")),
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

/// Which of the rules gives this answer, by all that is known of the call.
fn rule_for(section: &Seccomp<'_>, call: Call<'_>, answer: u32) -> Option<usize> {
    let native = Arch::native();
    let context = Context { native, has_receiver: true, ordinary: false };
    section.syscalls.iter().position(|written| {
        let named = written.names.contains(&call.name.as_bytes());
        let rule = rule(written, ALLOW, context).ok().filter(|rule| named && rule.action == answer);
        rule.is_some_and(|rule| rule.may_match(native, call.arguments))
    })
}
