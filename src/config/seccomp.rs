//! `linux.seccomp` (config-linux.md, "Seccomp"): the seccomp profile.

use alloc::vec::Vec;
use core::ffi::CStr;

use super::values::{non_empty, word};
use crate::json::Decoder;
use crate::members;

/// A seccomp profile.
#[derive(Debug, Default)]
pub struct Seccomp<'a> {
    /// `defaultAction`: one of [`ACTIONS`], for calls that no rule matches.
    pub default_action: &'a str,
    /// `defaultErrnoRet`: as [`Rule::errno_ret`], for the default action.
    pub default_errno_ret: Option<u32>,
    /// Each one of [`ARCHITECTURES`]; the native architecture is always included.
    pub architectures: Vec<&'a str>,
    /// Each one of [`FLAGS`].
    pub flags: Vec<&'a str>,
    /// `listenerPath`: the AF_UNIX socket to which the listener fd is sent.
    pub listener_path: Option<&'a CStr>,
    /// `listenerMetadata`: a text that is sent with it.
    pub listener_metadata: Option<&'a CStr>,
    /// The rules.
    pub syscalls: Vec<Rule<'a>>,
}

/// A rule: an entry of `syscalls`.
#[derive(Debug, Default)]
pub struct Rule<'a> {
    /// In UTF-8.
    pub names: Vec<&'a [u8]>,
    /// One of [`ACTIONS`].
    pub action: &'a str,
    /// `errnoRet`: the error number, or for SCMP_ACT_TRACE the message to the tracer; `None` is EPERM.
    pub errno_ret: Option<u32>,
    /// The comparisons, all of which must hold.
    pub args: Vec<Arg<'a>>,
}

/// An entry of `args`: a comparison with an argument of the system call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arg<'a> {
    /// 0 to 5.
    pub index: u8,
    /// The value to compare with; for SCMP_CMP_MASKED_EQ the mask.
    pub value: u64,
    /// `valueTwo`: for SCMP_CMP_MASKED_EQ the value to compare with; otherwise unused.
    pub value_two: u64,
    /// One of [`OPERATORS`].
    pub op: &'a str,
}

/// Names of actions.
pub static ACTIONS: [&str; 9] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
];

/// Names of operators.
pub static OPERATORS: [&str; 7] = [
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_LE",
    "SCMP_CMP_LT",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_CMP_NE",
];

/// Names of architectures, as of libseccomp 2.6.
pub static ARCHITECTURES: [&str; 23] = [
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_ARM",
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_SH",
    "SCMP_ARCH_SHEB",
    "SCMP_ARCH_X32",
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X86_64",
];

/// Names of flags (seccomp(2)).
pub static FLAGS: [&str; 4] = [
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
];

/// The highest error number that a filter can return (SECCOMP_RET_DATA has 16 bits, but MAX_ERRNO is 4095).
const MAX_ERRNO: u32 = 4095;

impl<'a> Seccomp<'a> {
    /// Whether SCMP_ACT_NOTIFY is the action of a rule or the default.
    pub fn notifies(&self) -> bool {
        let mut actions = self.syscalls.iter().map(|rule| rule.action).chain([self.default_action]);
        actions.any(|action| action == "SCMP_ACT_NOTIFY")
    }

    /// Whether the profile is empty, which means no filter, as in runc.
    pub(crate) fn is_empty(&self) -> bool {
        self.default_action.is_empty()
            && self.architectures.is_empty()
            && self.flags.is_empty()
            && self.syscalls.is_empty()
            && self.listener_path.is_none()
    }

    pub(crate) fn read(&mut self, d: &mut Decoder<'a>) {
        members!(d, {
            "defaultAction" => self.default_action = action(d),
            "defaultErrnoRet" => self.default_errno_ret = Some(errno_ret(d)),
            "architectures" => self.architectures = d.list(|d| word(d, "architecture", &ARCHITECTURES)),
            "flags" => self.flags = d.list(|d| word(d, "flag", &FLAGS)),
            "listenerPath" => self.listener_path = non_empty(d),
            "listenerMetadata" => self.listener_metadata = non_empty(d),
            "syscalls" => self.syscalls = d.list(Rule::read),
        });
        d.check(!self.default_action.is_empty() || self.is_empty(), "defaultAction is missing");
        let has_path = self.listener_metadata.is_none() || self.listener_path.is_some();
        d.check(has_path, "listenerMetadata requires listenerPath");
    }
}

fn action<'a>(d: &mut Decoder<'a>) -> &'a str {
    let action = d.string();
    if !action.is_empty() && !ACTIONS.contains(&action) {
        d.fail(format_args!("unknown action \"{action}\""));
    }
    action
}

fn errno_ret(d: &mut Decoder<'_>) -> u32 {
    let value = d.integer();
    if value > MAX_ERRNO {
        d.fail(format_args!("{value} is above {MAX_ERRNO}"));
    }
    value
}

impl<'a> Rule<'a> {
    fn read(d: &mut Decoder<'a>) -> Self {
        let mut rule = Rule::default();
        members!(d, {
            "names" => rule.names = d.list(Decoder::bytes),
            "action" => rule.action = action(d),
            "errnoRet" => rule.errno_ret = Some(errno_ret(d)),
            "args" => rule.args = d.list(Arg::read),
        });
        d.check(!rule.names.is_empty(), "names is missing or empty");
        d.check(!rule.action.is_empty(), "action is missing");
        rule
    }
}

impl<'a> Arg<'a> {
    fn read(d: &mut Decoder<'a>) -> Self {
        let mut arg = Arg::default();
        members!(d, {
            "index" => arg.index = d.within(0, 5) as u8,
            "value" => arg.value = d.integer(),
            "valueTwo" => arg.value_two = d.integer(),
            "op" => arg.op = word(d, "operator", &OPERATORS),
        });
        d.check(!arg.op.is_empty(), "op is missing");
        arg
    }
}
