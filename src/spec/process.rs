//! `process` (config.md, "Process"): the program, its identity and its attributes.

use alloc::vec::Vec;
use core::ffi::CStr;

use super::linux::MAX_ID;
use crate::error::Result;
use crate::json::Decoder;
use crate::{elements, members};

/// The container's process.
#[derive(Debug, Default)]
pub struct Process<'a> {
    pub terminal: bool,
    pub console_size: Option<ConsoleSize>,
    pub user: User,
    pub args: Vec<&'a CStr>,
    pub env: Vec<&'a CStr>,
    pub cwd: &'a CStr,
    pub capabilities: Option<Capabilities<'a>>,
    pub rlimits: Vec<Rlimit>,
    pub no_new_privileges: bool,
    pub oom_score_adj: Option<i32>,
    pub apparmor_profile: Option<&'a CStr>,
    pub selinux_label: Option<&'a CStr>,
    pub scheduler: Option<Scheduler<'a>>,
    pub io_priority: Option<IoPriority>,
    pub exec_cpu_affinity: Option<CpuAffinity<'a>>,
}

/// `consoleSize`, in characters.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConsoleSize {
    pub height: u16,
    pub width: u16,
}

/// `user`: ids inside the container.
#[derive(Clone, Debug, Default)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    pub umask: Option<u32>,
    pub additional_gids: Vec<u32>,
}

/// The five sets by their names; which the kernel knows is decided by the capability room.
#[derive(Debug, Default)]
pub struct Capabilities<'a> {
    pub bounding: Vec<&'a str>,
    pub effective: Vec<&'a str>,
    pub inheritable: Vec<&'a str>,
    pub permitted: Vec<&'a str>,
    pub ambient: Vec<&'a str>,
}

/// One of `rlimits`: the resource's number (getrlimit(2)) and its limits, `u64::MAX` for none.
#[derive(Clone, Copy, Debug)]
pub struct Rlimit {
    pub resource: u32,
    pub soft: u64,
    pub hard: u64,
}

/// `scheduler`: sched_setattr(2).
#[derive(Debug, Default)]
pub struct Scheduler<'a> {
    pub policy: &'a str,
    pub nice: i32,
    pub priority: i32,
    pub flags: Vec<&'a str>,
    pub runtime: u64,
    pub deadline: u64,
    pub period: u64,
}

/// `ioPriority`: class and level of ioprio_set(2).
#[derive(Clone, Copy, Debug, Default)]
pub struct IoPriority {
    pub class: u8,
    pub priority: u8,
}

/// `execCPUAffinity`: CPU lists for `exec`, not for the container's first process.
#[derive(Debug, Default)]
pub struct CpuAffinity<'a> {
    pub initial: Option<&'a str>,
    pub last: Option<&'a str>,
}

/// Resource names in the kernel's order: the index is the resource's number on every port but
/// alpha, mips and sparc.
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
    pub(crate) fn read(d: &mut Decoder<'a>) -> Result<Self> {
        let mut process = Process::default();
        members!(d, {
            "terminal" => process.terminal = d.boolean()?,
            "consoleSize" => process.console_size = Some(ConsoleSize::read(d)?),
            "user" => process.user = User::read(d)?,
            "args" => process.args = elements!(d, d.cstr()?),
            "env" => process.env = elements!(d, d.cstr()?),
            "cwd" => process.cwd = d.cstr()?,
            "capabilities" => process.capabilities = Some(Capabilities::read(d)?),
            "rlimits" => process.rlimits = rlimits(d)?,
            "noNewPrivileges" => process.no_new_privileges = d.boolean()?,
            "oomScoreAdj" => process.oom_score_adj = Some(oom_score_adj(d)?),
            "apparmorProfile" => process.apparmor_profile = non_empty(d)?,
            "selinuxLabel" => process.selinux_label = non_empty(d)?,
            "scheduler" => process.scheduler = Some(Scheduler::read(d)?),
            "ioPriority" => process.io_priority = Some(IoPriority::read(d)?),
            "execCPUAffinity" => process.exec_cpu_affinity = Some(CpuAffinity::read(d)?),
        });
        if process.args.is_empty() {
            return Err(d.fail(format_args!("args is missing or empty")));
        }
        if !process.cwd.to_bytes().starts_with(b"/") {
            return Err(d.fail(format_args!("cwd must be an absolute path")));
        }
        Ok(process)
    }
}

/// Labels and profiles: engines write `""` for none.
pub(super) fn non_empty<'a>(d: &mut Decoder<'a>) -> Result<Option<&'a CStr>> {
    Ok(Some(d.cstr()?).filter(|text| !text.is_empty()))
}

fn oom_score_adj(d: &mut Decoder<'_>) -> Result<i32> {
    match d.integer()? {
        value @ -1000..=1000 => Ok(value),
        value => Err(d.fail(format_args!("{value} is not within -1000 and 1000"))),
    }
}

fn rlimits(d: &mut Decoder<'_>) -> Result<Vec<Rlimit>> {
    let mut given = 0u32;
    Ok(elements!(d, {
        let limit = Rlimit::read(d)?;
        if given & (1 << limit.resource) != 0 {
            let name = RLIMITS.get(limit.resource as usize).copied().unwrap_or_default();
            return Err(d.fail(format_args!("{name} is given twice")));
        }
        given |= 1 << limit.resource;
        limit
    }))
}

impl Rlimit {
    fn read(d: &mut Decoder<'_>) -> Result<Self> {
        let (mut resource, mut soft, mut hard) = (None, None, None);
        members!(d, {
            "type" => resource = Some(rlimit_type(d)?),
            "soft" => soft = Some(d.integer()?),
            "hard" => hard = Some(d.integer()?),
        });
        let (Some(resource), Some(soft), Some(hard)) = (resource, soft, hard) else {
            return Err(d.fail(format_args!("needs type, soft and hard")));
        };
        match soft > hard {
            true => Err(d.fail(format_args!("soft {soft} is above hard {hard}"))),
            false => Ok(Rlimit { resource, soft, hard }),
        }
    }
}

fn rlimit_type(d: &mut Decoder<'_>) -> Result<u32> {
    let name = d.string()?;
    let place = RLIMITS.iter().position(|known| *known == name);
    place.map(|p| p as u32).ok_or_else(|| d.fail(format_args!("unknown limit \"{name}\"")))
}

impl ConsoleSize {
    fn read(d: &mut Decoder<'_>) -> Result<Self> {
        let mut size = ConsoleSize::default();
        members!(d, {
            "height" => size.height = d.integer()?,
            "width" => size.width = d.integer()?,
        });
        Ok(size)
    }
}

impl User {
    fn read(d: &mut Decoder<'_>) -> Result<Self> {
        let mut user = User::default();
        members!(d, {
            "uid" => user.uid = id(d)?,
            "gid" => user.gid = id(d)?,
            "umask" => user.umask = Some(umask(d)?),
            "additionalGids" => user.additional_gids = elements!(d, id(d)?),
        });
        Ok(user)
    }
}

fn id(d: &mut Decoder<'_>) -> Result<u32> {
    match d.integer()? {
        value if value > MAX_ID => Err(d.fail(format_args!("{value} is not an id"))),
        value => Ok(value),
    }
}

fn umask(d: &mut Decoder<'_>) -> Result<u32> {
    match d.integer()? {
        value if value > 0o777 => Err(d.fail(format_args!("{value} is above 511 (octal 0777)"))),
        value => Ok(value),
    }
}

impl<'a> Capabilities<'a> {
    fn read(d: &mut Decoder<'a>) -> Result<Self> {
        let mut sets = Capabilities::default();
        members!(d, {
            "bounding" => sets.bounding = elements!(d, d.string()?),
            "effective" => sets.effective = elements!(d, d.string()?),
            "inheritable" => sets.inheritable = elements!(d, d.string()?),
            "permitted" => sets.permitted = elements!(d, d.string()?),
            "ambient" => sets.ambient = elements!(d, d.string()?),
        });
        Ok(sets)
    }
}

impl<'a> Scheduler<'a> {
    fn read(d: &mut Decoder<'a>) -> Result<Self> {
        let mut scheduler = Scheduler::default();
        members!(d, {
            "policy" => scheduler.policy = word(d, "policy", &POLICIES)?,
            "nice" => scheduler.nice = d.integer()?,
            "priority" => scheduler.priority = d.integer()?,
            "flags" => scheduler.flags = elements!(d, word(d, "flag", &SCHEDULER_FLAGS)?),
            "runtime" => scheduler.runtime = d.integer()?,
            "deadline" => scheduler.deadline = d.integer()?,
            "period" => scheduler.period = d.integer()?,
        });
        match scheduler.policy {
            "" => Err(d.fail(format_args!("policy is missing"))),
            _ => Ok(scheduler),
        }
    }
}

/// A string that must be one of a list of words.
pub(super) fn word<'a>(d: &mut Decoder<'a>, what: &str, words: &[&str]) -> Result<&'a str> {
    let text = d.string()?;
    match words.contains(&text) {
        true => Ok(text),
        false => Err(d.fail(format_args!("unknown {what} \"{text}\""))),
    }
}

static POLICIES: [&str; 7] =
    ["SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_ISO", "SCHED_IDLE", "SCHED_DEADLINE"];

static SCHEDULER_FLAGS: [&str; 7] = [
    "SCHED_FLAG_RESET_ON_FORK",
    "SCHED_FLAG_RECLAIM",
    "SCHED_FLAG_DL_OVERRUN",
    "SCHED_FLAG_KEEP_POLICY",
    "SCHED_FLAG_KEEP_PARAMS",
    "SCHED_FLAG_UTIL_CLAMP_MIN",
    "SCHED_FLAG_UTIL_CLAMP_MAX",
];

impl IoPriority {
    fn read(d: &mut Decoder<'_>) -> Result<Self> {
        const CLASSES: [(&str, u8); 3] =
            [("IOPRIO_CLASS_RT", 1), ("IOPRIO_CLASS_BE", 2), ("IOPRIO_CLASS_IDLE", 3)];
        let mut io = IoPriority::default();
        members!(d, {
            "class" => io.class = d.keyword("class", &CLASSES)?,
            "priority" => io.priority = io_priority(d)?,
        });
        match io.class {
            0 => Err(d.fail(format_args!("class is missing"))),
            _ => Ok(io),
        }
    }
}

fn io_priority(d: &mut Decoder<'_>) -> Result<u8> {
    match d.integer()? {
        value @ 0..=7 => Ok(value),
        value => Err(d.fail(format_args!("{value} is not within 0 and 7"))),
    }
}

impl<'a> CpuAffinity<'a> {
    fn read(d: &mut Decoder<'a>) -> Result<Self> {
        let mut affinity = CpuAffinity::default();
        members!(d, {
            "initial" => affinity.initial = Some(d.string()?),
            "final" => affinity.last = Some(d.string()?),
        });
        Ok(affinity)
    }
}
