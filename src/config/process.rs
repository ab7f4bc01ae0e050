//! `process` (config.md, "Process"): the program, its identity and its attributes.

use alloc::vec::Vec;
use core::cell::Cell;
use core::ffi::CStr;

use super::values::{id, non_empty, word};
use crate::error::Result;
use crate::json::Decoder;
use crate::members;

/// The container's process.
#[derive(Debug, Default)]
pub struct Process<'a> {
    /// Whether the standard file descriptors are a new pseudoterminal (pty(7)).
    pub terminal: bool,
    /// `consoleSize`; `None` also if a side is zero.
    pub console_size: Option<ConsoleSize>,
    /// The IDs, groups and umask.
    pub user: User,
    /// The program and its arguments (execve(2)), at least one.
    pub args: Vec<&'a CStr>,
    /// The environment: `NAME=VALUE`.
    pub env: Vec<&'a CStr>,
    /// The working directory, an absolute path in the container.
    pub cwd: &'a CStr,
    /// The capability sets (capabilities(7)); `None` if the field is missing.
    pub capabilities: Option<Capabilities<'a>>,
    /// The resource limits, each resource at most once; others are inherited.
    pub rlimits: Vec<Rlimit>,
    /// `noNewPrivileges` (PR_SET_NO_NEW_PRIVS of prctl(2)).
    pub no_new_privileges: bool,
    /// `oomScoreAdj`, -1000 to 1000 (proc_pid_oom_score_adj(5)); `None` keeps the inherited one.
    pub oom_score_adj: Option<i32>,
    /// `apparmorProfile`: the name of the AppArmor profile, set at execve.
    pub apparmor_profile: Option<&'a CStr>,
    /// `selinuxLabel`: the SELinux context, set at execve.
    pub selinux_label: Option<&'a CStr>,
    /// The scheduling policy; `None` keeps the inherited one.
    pub scheduler: Option<Scheduler<'a>>,
    /// `ioPriority`; `None` keeps the inherited one.
    pub io_priority: Option<IoPriority>,
    /// `execCPUAffinity`, which affects exec processes only.
    pub exec_cpu_affinity: Option<CpuAffinity<'a>>,
}

/// `consoleSize`: the size of the terminal in characters.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConsoleSize {
    /// Rows.
    pub height: u16,
    /// Columns.
    pub width: u16,
}

/// `user`: IDs as in the container's user namespace.
#[derive(Clone, Debug, Default)]
pub struct User {
    /// The user ID.
    pub uid: u32,
    /// The group ID.
    pub gid: u32,
    /// The file mode creation mask (umask(2)), at most 0777; `None` is 022.
    pub umask: Option<u32>,
    /// `additionalGids`: the supplementary groups (setgroups(2)).
    pub additional_gids: Vec<u32>,
}

/// `capabilities`: the names in the five sets; `process/caps.rs` checks which of them exist.
#[derive(Debug, Default)]
pub struct Capabilities<'a> {
    /// The bounding set.
    pub bounding: Vec<&'a str>,
    /// The effective set.
    pub effective: Vec<&'a str>,
    /// The inheritable set.
    pub inheritable: Vec<&'a str>,
    /// The permitted set.
    pub permitted: Vec<&'a str>,
    /// The ambient set.
    pub ambient: Vec<&'a str>,
}

/// An entry of `rlimits`: the number of the resource (getrlimit(2)) and its limits; `u64::MAX` is RLIM_INFINITY.
#[derive(Clone, Copy, Debug)]
pub struct Rlimit {
    /// `type`: an index in [`RLIMITS`].
    pub resource: u32,
    /// The soft limit, in the unit of the resource; not above the hard one.
    pub soft: u64,
    /// The hard limit, in the unit of the resource.
    pub hard: u64,
}

/// `scheduler`: the parameters of sched_setattr(2); times in nanoseconds.
#[derive(Debug, Default)]
pub struct Scheduler<'a> {
    /// One of [`POLICIES`].
    pub policy: &'a str,
    /// For SCHED_OTHER and SCHED_BATCH: -20 (high priority) to 19; checked by the kernel.
    pub nice: i32,
    /// For SCHED_FIFO and SCHED_RR: 1 to 99; checked by the kernel.
    pub priority: i32,
    /// Each one of [`SCHEDULER_FLAGS`].
    pub flags: Vec<&'a str>,
    /// For SCHED_DEADLINE: the CPU time in each period.
    pub runtime: Option<u64>,
    /// For SCHED_DEADLINE: the time, from the start of a period, by which it gets the CPU time.
    pub deadline: Option<u64>,
    /// For SCHED_DEADLINE; `None` and 0 are the deadline.
    pub period: Option<u64>,
}

/// `ioPriority`: class and level of ioprio_set(2).
#[derive(Clone, Copy, Debug, Default)]
pub struct IoPriority {
    /// IOPRIO_CLASS_RT (1), IOPRIO_CLASS_BE (2) or IOPRIO_CLASS_IDLE (3).
    pub class: u8,
    /// 0 (high) to 7.
    pub priority: u8,
}

/// `execCPUAffinity`: CPU lists for exec processes, not for the container init.
#[derive(Debug, Default)]
pub struct CpuAffinity<'a> {
    /// The CPUs until the process is in its cgroup; `None` keeps the inherited ones.
    pub initial: Option<&'a str>,
    /// `final`: the CPUs from then on; `None` keeps those before.
    pub last: Option<&'a str>,
}

/// Names of resources. The index is the kernel's number, on all architectures but alpha, mips and sparc.
pub static RLIMITS: [&str; 16] = [
    "RLIMIT_CPU",
    "RLIMIT_FSIZE",
    "RLIMIT_DATA",
    "RLIMIT_STACK",
    "RLIMIT_CORE",
    "RLIMIT_RSS",
    "RLIMIT_NPROC",
    "RLIMIT_NOFILE",
    "RLIMIT_MEMLOCK",
    "RLIMIT_AS",
    "RLIMIT_LOCKS",
    "RLIMIT_SIGPENDING",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
];

impl<'a> Process<'a> {
    /// Decodes a document that consists of a `process` object only, as for `exec`; `name` is the document's name in
    /// errors, which are those of [`Config::decode`](super::Config::decode).
    pub fn decode(name: &'a str, text: &'a mut [u8]) -> Result<Self> {
        let mut decoder = Decoder::new(name, text);
        let mut process = Process::default();
        process.read(&mut decoder);
        decoder.finish().map(|()| process)
    }

    #[inline(never)]
    pub(crate) fn read(&mut self, d: &mut Decoder<'a>) {
        members!(d, {
            "terminal" => self.terminal = d.boolean(),
            "consoleSize" => self.console_size = ConsoleSize::read(d),
            "user" => self.user.read(d),
            "args" => self.args = d.list(Decoder::cstr),
            "env" => self.env = d.list(Decoder::cstr),
            "cwd" => self.cwd = d.cstr(),
            "capabilities" => self.capabilities.insert(Capabilities::default()).read(d),
            "rlimits" => self.rlimits = rlimits(d),
            "noNewPrivileges" => self.no_new_privileges = d.boolean(),
            "oomScoreAdj" => self.oom_score_adj = Some(d.within(-1000, 1000) as i32),
            "apparmorProfile" => self.apparmor_profile = non_empty(d),
            "selinuxLabel" => self.selinux_label = non_empty(d),
            "scheduler" => self.scheduler = Some(Scheduler::read(d)),
            "ioPriority" => self.io_priority = Some(IoPriority::read(d)),
            "execCPUAffinity" => self.exec_cpu_affinity = Some(CpuAffinity::read(d)),
        });
        d.check(!self.args.is_empty(), "args is missing or empty");
        d.check(self.cwd.to_bytes().starts_with(b"/"), "cwd must be an absolute path");
    }
}

fn rlimits(d: &mut Decoder<'_>) -> Vec<Rlimit> {
    let given = Cell::new(0u32);
    d.list(|d| {
        let limit = Rlimit::read(d);
        let bit = 1 << limit.resource;
        if given.get() & bit != 0 {
            let name = RLIMITS.get(limit.resource as usize).copied().unwrap_or_default();
            d.fail(format_args!("{name} is given twice"));
        }
        given.set(given.get() | bit);
        limit
    })
}

impl Rlimit {
    fn read(d: &mut Decoder<'_>) -> Self {
        let (mut resource, mut soft, mut hard) = (None, 0, 0);
        members!(d, {
            "type" => resource = d.one_of("limit", RLIMITS.iter().copied()),
            "soft" => soft = d.integer(),
            "hard" => hard = d.integer(),
        });
        let resource = d.need(resource, "type is missing");
        if soft > hard {
            d.fail(format_args!("soft {soft} is above hard {hard}"));
        }
        Rlimit { resource: resource as u32, soft, hard }
    }
}

impl ConsoleSize {
    fn read(d: &mut Decoder<'_>) -> Option<Self> {
        let mut size = ConsoleSize::default();
        members!(d, {
            "height" => size.height = d.integer(),
            "width" => size.width = d.integer(),
        });
        // Engines write zeros if the size is unknown.
        Some(size).filter(|size| size.height != 0 && size.width != 0)
    }
}

impl User {
    fn read(&mut self, d: &mut Decoder<'_>) {
        members!(d, {
            "uid" => self.uid = id(d),
            "gid" => self.gid = id(d),
            "umask" => self.umask = Some(umask(d)),
            "additionalGids" => self.additional_gids = d.list(id),
        });
    }
}

fn umask(d: &mut Decoder<'_>) -> u32 {
    let value = d.integer();
    if value > 0o777 {
        d.fail(format_args!("{value} is above 511 (octal 0777)"));
    }
    value
}

impl<'a> Capabilities<'a> {
    fn read(&mut self, d: &mut Decoder<'a>) {
        members!(d, {
            "bounding" => self.bounding = d.list(Decoder::string),
            "effective" => self.effective = d.list(Decoder::string),
            "inheritable" => self.inheritable = d.list(Decoder::string),
            "permitted" => self.permitted = d.list(Decoder::string),
            "ambient" => self.ambient = d.list(Decoder::string),
        });
    }
}

impl<'a> Scheduler<'a> {
    fn read(d: &mut Decoder<'a>) -> Self {
        let mut scheduler = Scheduler::default();
        members!(d, {
            "policy" => scheduler.policy = word(d, "policy", &POLICIES),
            "nice" => scheduler.nice = d.integer(),
            "priority" => scheduler.priority = d.integer(),
            "flags" => scheduler.flags = d.list(|d| word(d, "flag", &SCHEDULER_FLAGS)),
            "runtime" => scheduler.runtime = Some(d.integer()),
            "deadline" => scheduler.deadline = Some(d.integer()),
            "period" => scheduler.period = Some(d.integer()),
        });
        d.check(!scheduler.policy.is_empty(), "policy is missing");
        scheduler
    }
}

/// Names of scheduling policies; the index is the kernel's number.
pub static POLICIES: [&str; 7] =
    ["SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_ISO", "SCHED_IDLE", "SCHED_DEADLINE"];

/// Names of scheduling flags; the index is the number of the bit.
pub static SCHEDULER_FLAGS: [&str; 7] = [
    "SCHED_FLAG_RESET_ON_FORK",
    "SCHED_FLAG_RECLAIM",
    "SCHED_FLAG_DL_OVERRUN",
    "SCHED_FLAG_KEEP_POLICY",
    "SCHED_FLAG_KEEP_PARAMS",
    "SCHED_FLAG_UTIL_CLAMP_MIN",
    "SCHED_FLAG_UTIL_CLAMP_MAX",
];

impl IoPriority {
    fn read(d: &mut Decoder<'_>) -> Self {
        const CLASSES: [(&str, u8); 3] =
            [("IOPRIO_CLASS_RT", 1), ("IOPRIO_CLASS_BE", 2), ("IOPRIO_CLASS_IDLE", 3)];
        let (mut class, mut priority) = (None, 0);
        members!(d, {
            "class" => class = d.keyword("class", &CLASSES),
            "priority" => priority = d.within(0, 7) as u8,
        });
        IoPriority { class: d.need(class, "class is missing"), priority }
    }
}

impl<'a> CpuAffinity<'a> {
    fn read(d: &mut Decoder<'a>) -> Self {
        let mut affinity = CpuAffinity::default();
        members!(d, {
            "initial" => affinity.initial = Some(d.string()),
            "final" => affinity.last = Some(d.string()),
        });
        affinity
    }
}
