//! Profiles for the tests, which can be passed to mote, to libseccomp and to the direct evaluation.

use mote::internal::config::seccomp::{Arg, Rule, Seccomp};
use mote::internal::seccomp::{Arch, Context, Filter, compile};

/// `SCMP_CMP_*` by libseccomp's numbers.
pub const OPERATORS: [&str; 8] = [
    "",
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
];

/// A condition: index, operator, and two values.
pub type Condition = (u8, u8, u64, u64);

#[derive(Clone, Debug)]
pub struct Line {
    pub action: &'static str,
    pub errno: Option<u32>,
    pub names: Vec<String>,
    pub conditions: Vec<Condition>,
}

impl Line {
    /// The names as most functions need them.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }
}

#[derive(Clone, Debug)]
pub struct Profile {
    /// The native architecture first.
    pub archs: Vec<&'static str>,
    pub default: &'static str,
    pub errno: Option<u32>,
    pub lines: Vec<Line>,
}

impl Profile {
    pub fn native(&self) -> &'static Arch {
        Arch::find(self.archs[0]).unwrap()
    }

    pub fn section(&self) -> Seccomp<'_> {
        let arg = |&(index, op, value, value_two): &Condition| Arg {
            index,
            value,
            value_two,
            op: OPERATORS[op as usize],
        };
        Seccomp {
            default_action: self.default,
            default_errno_ret: self.errno,
            architectures: self.archs[1..].to_vec(),
            syscalls: self
                .lines
                .iter()
                .map(|line| Rule {
                    names: line.names.iter().map(String::as_bytes).collect(),
                    action: line.action,
                    errno_ret: line.errno,
                    args: line.conditions.iter().map(arg).collect(),
                })
                .collect(),
            ..Seccomp::default()
        }
    }

    /// mote's filter for the profile.
    pub fn compile(&self) -> Result<Filter<'_>, String> {
        let section = self.section();
        let context = Context { native: self.native(), has_receiver: section.notifies(), ordinary: false };
        compile(&section, context).map_err(|error| error.to_string())
    }
}

/// `SECCOMP_RET_*` of an action, with its error number.
pub fn verdict(action: &str, errno: Option<u32>) -> u32 {
    let number = errno.unwrap_or(1);
    match action {
        "SCMP_ACT_ALLOW" => 0x7fff_0000,
        "SCMP_ACT_ERRNO" => 0x0005_0000 | number,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => 0,
        "SCMP_ACT_KILL_PROCESS" => 0x8000_0000,
        "SCMP_ACT_LOG" => 0x7ffc_0000,
        "SCMP_ACT_NOTIFY" => 0x7fc0_0000,
        "SCMP_ACT_TRACE" => 0x7ff0_0000 | number,
        "SCMP_ACT_TRAP" => 0x0003_0000,
        _ => panic!("{action}"),
    }
}
