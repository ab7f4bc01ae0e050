//! Profiles by the book: every rule is looked at for every call, as the specification's sentences say, without
//! programs or trees.

use std::collections::HashMap;
use std::sync::OnceLock;

use mote::seccomp::Arch;

use crate::machine::Call;
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

/// The number of a name.
pub fn number(arch: &str, name: &str) -> Option<u32> {
    static ROWS: OnceLock<HashMap<&str, [Option<u32>; 18]>> = OnceLock::new();
    ROWS.get_or_init(|| rows().into_iter().collect()).get(name)?[column(arch)]
}

/// The call that carries another one as its first argument says, and that argument.
pub fn carrier(arch: &str, name: &str) -> Option<(u32, u64)> {
    if let Some(index) = SOCKET.iter().position(|call| *call == name) {
        return Some((number(arch, "socketcall")?, index as u64 + 1));
    }
    let (first, index) =
        IPC.iter().find_map(|(first, names)| Some((first, names.iter().position(|call| *call == name)?)))?;
    Some((number(arch, "ipc")?, first + index as u64))
}

/// What a call may get.
#[derive(Debug)]
pub struct Allowed {
    /// The verdicts of all rules that match; more than one where two disagree.
    pub matched: Vec<u32>,
    /// When none does.
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

/// A profile, opened at one architecture.
struct Page {
    arch: &'static Arch,
    /// The lines about each number, in order, and what the first argument must be where the call is a part of another.
    lines: HashMap<u32, Vec<(usize, Option<u64>)>>,
    /// The highest number of all names, also of those whose lines do nothing.
    newest: u32,
    /// The same as runc finds it: without those that another call carries.
    newest_own: u32,
}

/// A profile that can be asked about any call.
pub struct Book<'a> {
    profile: &'a Profile,
    default: u32,
    newer_fail: bool,
    pages: Vec<Page>,
}

impl<'a> Book<'a> {
    pub fn new(profile: &'a Profile) -> Self {
        let default = verdict(profile.default, profile.errno);
        let newer_fail = !matches!(
            profile.default,
            "SCMP_ACT_ALLOW" | "SCMP_ACT_LOG" | "SCMP_ACT_NOTIFY" | "SCMP_ACT_TRACE"
        );
        let pages = profile.archs.iter().map(|arch| Page::new(profile, Arch::find(arch).unwrap())).collect();
        Book { profile, default, newer_fail, pages }
    }

    fn page(&self, call: &Call) -> Option<&Page> {
        let of_both = |page: &&Page| page.arch.audit == call.audit;
        let of_this =
            |page: &&Page| call.audit != X86_64 || (page.arch.name == "X32") == (call.number >= X32);
        self.pages.iter().filter(of_both).find(of_this)
    }

    /// Everything that its sentences say of one call.
    pub fn read(&self, call: &Call) -> Allowed {
        let Some(page) = self.page(call) else {
            let listed = self.profile.archs.contains(&"X86_64");
            let skipped = call.audit == X86_64 && call.number == u32::MAX && listed;
            return Allowed::only(if skipped { self.default } else { 0 });
        };
        if page.newest > 0 && self.newer_fail && page.arch.name.starts_with("S390") && call.number == 0 {
            return Allowed::only(NO_SUCH_CALL);
        }
        let newer = page.newest > 0 && call.number > page.newest && self.newer_fail;
        let otherwise = if newer { NO_SUCH_CALL } else { self.default };
        let mut allowed = Allowed { matched: Vec::new(), otherwise };
        for &(line, part) in page.lines.get(&call.number).into_iter().flatten() {
            let line = &self.profile.lines[line];
            let verdict = verdict(line.action, line.errno);
            match matches(page.arch, part, &line.conditions, call) {
                _ if verdict == self.default => {}
                // One without conditions stands above all.
                Some(false) => return Allowed::only(verdict),
                Some(true) => allowed.matched.push(verdict),
                None => {}
            }
        }
        allowed
    }

    /// Whether runc takes it for newer than the profile.
    pub fn looks_newer(&self, call: &Call) -> bool {
        let Some(page) = self.page(call).filter(|page| self.newer_fail && page.newest_own > 0) else {
            return false;
        };
        let skipped = page.arch.name.starts_with("S390") && call.number == 0;
        call.number > page.newest_own || skipped
    }

    /// Whether all that the profile names of the call's architecture are parts of other calls.
    pub fn names_only_parts(&self, call: &Call) -> bool {
        self.page(call).is_some_and(|page| page.newest > 0 && page.newest_own == 0)
    }
}

impl Page {
    fn new(profile: &Profile, arch: &'static Arch) -> Self {
        let mut page = Page { arch, lines: HashMap::new(), newest: 0, newest_own: 0 };
        for (index, line) in profile.lines.iter().enumerate() {
            for name in line.words() {
                let (own, carried) = (number(arch.name, name), carrier(arch.name, name));
                if carried.is_none() {
                    page.newest_own = page.newest_own.max(own.unwrap_or(0));
                }
                let both =
                    [own.map(|number| (number, None)), carried.map(|(whole, part)| (whole, Some(part)))];
                for (number, part) in both.into_iter().flatten() {
                    page.newest = page.newest.max(number);
                    page.lines.entry(number).or_default().push((index, part));
                }
            }
        }
        page
    }
}

/// Whether a line matches a call, and whether that depends on arguments.
fn matches(arch: &Arch, part: Option<u64>, conditions: &[Condition], call: &Call) -> Option<bool> {
    let twice = (0..6).any(|index| conditions.iter().filter(|c| c.0 == index).count() > 1);
    // The part's own condition takes the place of one for the first argument.
    let own = |c: &&Condition| (part.is_none() || c.0 != 0) && !trivial(arch, c);
    let first = if wide(arch) { call.args[0] } else { call.args[0] & 0xffff_ffff };
    if part.is_some_and(|part| part != first) {
        return None;
    }
    let met = match twice {
        // Each condition is a rule of its own, and so one that always holds makes the line match always.
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
