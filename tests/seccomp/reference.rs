//! A direct evaluation of profiles: every rule is checked for every call as the specification describes it, without
//! programs or trees.

use std::collections::HashMap;
use std::sync::OnceLock;

use mote::internal::seccomp::Arch;

use crate::interpreter::Call;
use crate::profile::{Condition, Profile, verdict};
use crate::rows::{column, rows};

const NO_SUCH_CALL: u32 = 0x0005_0000 | 38;
const X32: u32 = 0x4000_0000;
const X86_64: u32 = 0xc000_003e;

const SOCKET: [&str; 20] = [
    "socket",
    "bind",
    "connect",
    "listen",
    "accept",
    "getsockname",
    "getpeername",
    "socketpair",
    "send",
    "recv",
    "sendto",
    "recvfrom",
    "shutdown",
    "setsockopt",
    "getsockopt",
    "sendmsg",
    "recvmsg",
    "accept4",
    "recvmmsg",
    "sendmmsg",
];
const IPC: [(u64, [&str; 4]); 3] = [
    (1, ["semop", "semget", "semctl", "semtimedop"]),
    (11, ["msgsnd", "msgrcv", "msgget", "msgctl"]),
    (21, ["shmat", "shmdt", "shmget", "shmctl"]),
];

/// The syscall number of a name.
pub fn number(arch: &str, name: &str) -> Option<u32> {
    static ROWS: OnceLock<HashMap<&str, [Option<u32>; 18]>> = OnceLock::new();
    ROWS.get_or_init(|| rows().into_iter().collect()).get(name)?[column(arch)]
}

/// The multiplexing call (socketcall(2), ipc(2)) for a call, and its first argument.
pub fn carrier(arch: &str, name: &str) -> Option<(u32, u64)> {
    if let Some(index) = SOCKET.iter().position(|call| *call == name) {
        return Some((number(arch, "socketcall")?, index as u64 + 1));
    }
    let (first, index) =
        IPC.iter().find_map(|(first, names)| Some((first, names.iter().position(|call| *call == name)?)))?;
    Some((number(arch, "ipc")?, first + index as u64))
}

/// The results that a call may have.
#[derive(Debug)]
pub struct Allowed {
    /// The results of all matching rules; several if they disagree.
    pub matched: Vec<u32>,
    /// The result if no rule matches.
    pub otherwise: u32,
}

impl Allowed {
    pub fn has(&self, verdict: u32) -> bool {
        if self.matched.is_empty() { verdict == self.otherwise } else { self.matched.contains(&verdict) }
    }

    fn only(verdict: u32) -> Self {
        Allowed { matched: Vec::new(), otherwise: verdict }
    }
}

/// A profile for one architecture.
struct ArchRules {
    arch: &'static Arch,
    /// The rules for each number, in order, and the required first argument if the call is part of a multiplexing call.
    lines: HashMap<u32, Vec<(usize, Option<u64>)>>,
    /// The highest number of all names, including those of rules without effect.
    newest: u32,
    /// The same as runc determines it: without calls that are part of a multiplexing call.
    newest_own: u32,
}

/// A profile that can be evaluated for any call.
pub struct Reference<'a> {
    profile: &'a Profile,
    default: u32,
    newer_fail: bool,
    archs: Vec<ArchRules>,
}

impl<'a> Reference<'a> {
    pub fn new(profile: &'a Profile) -> Self {
        let default = verdict(profile.default, profile.errno);
        let newer_fail = !matches!(
            profile.default,
            "SCMP_ACT_ALLOW" | "SCMP_ACT_LOG" | "SCMP_ACT_NOTIFY" | "SCMP_ACT_TRACE"
        );
        let archs =
            profile.archs.iter().map(|arch| ArchRules::new(profile, Arch::find(arch).unwrap())).collect();
        Reference { profile, default, newer_fail, archs }
    }

    fn rules_for(&self, call: &Call) -> Option<&ArchRules> {
        let of_both = |rules_for: &&ArchRules| rules_for.arch.audit == call.audit;
        let of_this = |rules_for: &&ArchRules| {
            call.audit != X86_64 || (rules_for.arch.name == "X32") == (call.number >= X32)
        };
        self.archs.iter().filter(of_both).find(of_this)
    }

    /// The possible results of a call.
    pub fn read(&self, call: &Call) -> Allowed {
        let Some(rules_for) = self.rules_for(call) else {
            let listed = self.profile.archs.contains(&"X86_64");
            let skipped = call.audit == X86_64 && call.number == u32::MAX && listed;
            return Allowed::only(if skipped { self.default } else { 0 });
        };
        if rules_for.newest > 0
            && self.newer_fail
            && rules_for.arch.name.starts_with("S390")
            && call.number == 0
        {
            return Allowed::only(NO_SUCH_CALL);
        }
        let newer = rules_for.newest > 0 && call.number > rules_for.newest && self.newer_fail;
        let otherwise = if newer { NO_SUCH_CALL } else { self.default };
        let mut allowed = Allowed { matched: Vec::new(), otherwise };
        for &(line, part) in rules_for.lines.get(&call.number).into_iter().flatten() {
            let line = &self.profile.lines[line];
            let verdict = verdict(line.action, line.errno);
            match matches(rules_for.arch, part, &line.conditions, call) {
                _ if verdict == self.default => {}
                // A rule without conditions takes precedence.
                Some(false) => return Allowed::only(verdict),
                Some(true) => allowed.matched.push(verdict),
                None => {}
            }
        }
        allowed
    }

    /// Whether runc considers the call newer than the profile.
    pub fn looks_newer(&self, call: &Call) -> bool {
        let Some(rules_for) =
            self.rules_for(call).filter(|rules_for| self.newer_fail && rules_for.newest_own > 0)
        else {
            return false;
        };
        let skipped = rules_for.arch.name.starts_with("S390") && call.number == 0;
        call.number > rules_for.newest_own || skipped
    }

    /// Whether all names of the profile, on the call's architecture, are parts of multiplexing calls.
    pub fn names_only_parts(&self, call: &Call) -> bool {
        self.rules_for(call).is_some_and(|rules_for| rules_for.newest > 0 && rules_for.newest_own == 0)
    }
}

impl ArchRules {
    fn new(profile: &Profile, arch: &'static Arch) -> Self {
        let mut rules_for = ArchRules { arch, lines: HashMap::new(), newest: 0, newest_own: 0 };
        for (index, line) in profile.lines.iter().enumerate() {
            for name in line.words() {
                let (own, carried) = (number(arch.name, name), carrier(arch.name, name));
                if carried.is_none() {
                    rules_for.newest_own = rules_for.newest_own.max(own.unwrap_or(0));
                }
                let both =
                    [own.map(|number| (number, None)), carried.map(|(whole, part)| (whole, Some(part)))];
                for (number, part) in both.into_iter().flatten() {
                    rules_for.newest = rules_for.newest.max(number);
                    rules_for.lines.entry(number).or_default().push((index, part));
                }
            }
        }
        rules_for
    }
}

/// Whether a rule matches a call, and whether that depends on arguments.
fn matches(arch: &Arch, part: Option<u64>, conditions: &[Condition], call: &Call) -> Option<bool> {
    let twice = (0..6).any(|index| conditions.iter().filter(|c| c.0 == index).count() > 1);
    // The condition of a multiplexed call replaces one for the first argument.
    let own = |c: &&Condition| (part.is_none() || c.0 != 0) && !trivial(arch, c);
    let first = if wide(arch) { call.args[0] } else { call.args[0] & 0xffff_ffff };
    if part.is_some_and(|part| part != first) {
        return None;
    }
    let met = match twice {
        // Each condition is a rule of its own, so one that is always true makes the rule always match.
        true if conditions.iter().any(|c| !own(&c)) => true,
        true => conditions.iter().any(|c| holds(arch, c, call)),
        false => conditions.iter().filter(own).all(|c| holds(arch, c, call)),
    };
    let depends = match twice {
        true => conditions.iter().all(|c| own(&c)),
        false => conditions.iter().any(|c| own(&c)),
    };
    met.then_some(depends || part.is_some())
}

fn trivial(arch: &Arch, &(_, op, mask, _): &Condition) -> bool {
    op == 7 && (if wide(arch) { mask } else { mask & 0xffff_ffff }) == 0
}

fn wide(arch: &Arch) -> bool {
    arch.audit & 0x8000_0000 != 0 && !matches!(arch.name, "X32" | "MIPS64N32" | "MIPSEL64N32")
}

fn holds(arch: &Arch, &(index, op, value, second): &Condition, call: &Call) -> bool {
    let half = if wide(arch) { u64::MAX } else { 0xffff_ffff };
    let (arg, value, second) = (call.args[index as usize] & half, value & half, second & half);
    match op {
        1 => arg != value,
        2 => arg < value,
        3 => arg <= value,
        4 => arg == value,
        5 => arg >= value,
        6 => arg > value,
        _ => arg & value == second & value,
    }
}
