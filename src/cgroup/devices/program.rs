//! Who may use which device on cgroup v2: a program in the kernel's virtual machine that is asked whenever a device
//! node is opened or made (`BPF_PROG_TYPE_CGROUP_DEVICE`, linux 4.15; security/device_cgroup.c;
//! Documentation/bpf/standardization/instruction-set.rst; config-linux.md, "Allowed Device list").
//!
//! It sees a `struct bpf_cgroup_dev_ctx`: the kind of device, both numbers, and what is asked, which may be several
//! things at once: who opens for reading and writing asks for both. Each of them is decided by the last rule about
//! it, and all must be allowed. So rules are tried from the last to the first on what is still open of the request:
//! one that allows takes its part away, and when nothing is left that is a yes; one that denies a part that is left
//! is a no, and so is the end of the list.

use alloc::vec::Vec;
use core::fmt;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{self, Errno};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::rules::{ALL, default_rules, kinds_meet, meet};
use crate::config::device::{ACCESS_MKNOD, ACCESS_READ, ACCESS_WRITE, DeviceRule};
use crate::error::{Error, On, Result};
use crate::host;
use crate::sys::bpf;

/// BPF_MAXINSNS, the most that every kernel takes.
const MOST: usize = 4096;

/// A program for a cgroup.
pub struct DeviceProgram {
    instructions: Vec<u64>,
    /// The configuration has rules: it is not just about what no container may do.
    has_rules: bool,
}

impl fmt::Debug for DeviceProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = if self.has_rules { "configured" } else { "default" };
        write!(f, "{origin}: {:x?}", self.instructions)
    }
}

impl DeviceProgram {
    /// By the rules of the configuration.
    pub fn new(rules: &[DeviceRule]) -> Result<Self> {
        Ok(DeviceProgram { instructions: assemble(rules)?, has_rules: !rules.is_empty() })
    }

    /// Puts it in force for all who are in a cgroup or below it. `directory` is open, not a mere path.
    pub fn attach(&self, directory: BorrowedFd<'_>) -> Result<()> {
        self.put(directory, |_| Ok(None))
    }

    /// Puts it in the place of the one that is in force there, without a moment between them.
    pub fn replace(&self, directory: BorrowedFd<'_>) -> Result<()> {
        self.put(directory, own)
    }

    fn put(
        &self,
        directory: BorrowedFd<'_>,
        old: fn(BorrowedFd<'_>) -> io::Result<Option<OwnedFd>>,
    ) -> Result<()> {
        let attached = match load(&self.instructions) {
            Ok(program) => old(directory)
                .and_then(|old| bpf::attach(directory, program.as_fd(), old.as_ref().map(AsFd::as_fd)))
                .on(format_args!("linux.resources.devices: bpf BPF_PROG_ATTACH")),
            Err(errno) => Err(refusal(errno, &self.instructions)),
        };
        match attached {
            Err(error) if self.is_dispensable(&error) => Ok(()),
            other => other,
        }
    }

    /// Whether the container can do without, where the kernel refuses.
    fn is_dispensable(&self, error: &Error) -> bool {
        // Who is not that has containers in a user namespace, whose root cannot make nodes (mknod(2) asks for CAP_MKNOD
        // in the first one), and nodes that are bound into it keep the host's permissions.
        if [Errno::PERM, Errno::ACCESS, Errno::NOSYS].iter().any(|errno| error.is(*errno)) {
            return !self.has_rules || !host::is_administrator();
        }
        // A kernel without CONFIG_CGROUP_BPF.
        error.is(Errno::INVAL) && !self.has_rules
    }
}

/// The program of mote's that is attached to this very cgroup; there may be others beside it.
fn own(directory: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    // BPF_CGROUP_MAX_PROGS
    let mut ids = [0; 64];
    let count = bpf::attached(directory, &mut ids)?;
    for id in ids.iter().take(count) {
        let program = bpf::by_id(*id)?;
        if bpf::is_own(program.as_fd())? {
            return Ok(Some(program));
        }
    }
    Ok(None)
}

/// Before linux 5.11 programs are charged to RLIMIT_MEMLOCK, and EPERM may mean that it is too low. The container
/// would inherit a higher one.
fn load(instructions: &[u64]) -> io::Result<OwnedFd> {
    let refused = match bpf::load(instructions, &mut []) {
        Err(Errno::PERM) => Err(Errno::PERM),
        loaded => return loaded,
    };
    let limit = getrlimit(Resource::Memlock);
    if limit.current == limit.maximum {
        return refused;
    }
    setrlimit(Resource::Memlock, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    let loaded = bpf::load(instructions, &mut []);
    setrlimit(Resource::Memlock, limit)?;
    loaded
}

/// The error, with the verifier's word if it had one: the last line of its log but the statistics.
#[cold]
fn refusal(errno: Errno, instructions: &[u64]) -> Error {
    let mut log = Vec::new();
    if matches!(errno, Errno::INVAL | Errno::ACCESS) {
        log.resize(1 << 16, 0);
        let _ = bpf::load(instructions, &mut log);
    }
    let lines = log.split(|byte| matches!(byte, b'\n' | 0));
    let mut words = lines.rev().filter(|line| !line.is_empty() && !line.starts_with(b"processed "));
    let word = words.next().and_then(|line| core::str::from_utf8(line).ok()).unwrap_or_default();
    let colon = if word.is_empty() { "" } else { ": " };
    Error::system(errno, format_args!("linux.resources.devices: bpf BPF_PROG_LOAD{colon}{word}"))
}

/// The program, `struct bpf_insn`s, for rules in the configuration's order: at first nothing is allowed, a later
/// rule wins, and what every container may use comes last.
pub fn assemble(rules: &[DeviceRule]) -> Result<Vec<u64>> {
    let blocks = List::new(rules, b'b')?;
    let chars = List::new(rules, b'c')?;
    let mut code = Assembler { code: Vec::with_capacity(64) };
    code.push(EXIT, 0, 0);
    if !(blocks.allows_all() && chars.allows_all()) {
        code.push(MOV, RESULT, 0);
        code.list(&blocks);
        if blocks != chars {
            let block = code.here();
            code.list(&chars);
            code.jump(JSET, ASKED, TYPE_BLOCK, block);
        }
        code.load(ASKED, 0);
        code.load(MAJOR, 4);
        code.load(MINOR, 8);
    }
    code.push(MOV, RESULT, 1);
    if code.code.len() > MOST {
        return Err(too_large());
    }
    code.code.reverse();
    Ok(code.code)
}

#[cold]
fn too_large() -> Error {
    let text = format_args!("linux.resources.devices: too many for a program of {MOST} instructions");
    Error::invalid(text)
}

/// The rules about one kind of device in the order in which they are tried, without those that decide nothing.
#[derive(PartialEq, Eq)]
struct List {
    rules: Vec<DeviceRule>,
    /// What goes for what is then still open.
    otherwise: bool,
}

impl List {
    fn new(rules: &[DeviceRule], kind: u8) -> Result<Self> {
        let mut undecided: Vec<DeviceRule> = Vec::with_capacity(16);
        let all = default_rules().rev().chain(rules.iter().rev().copied());
        for rule in all.filter(|rule| kinds_meet(rule.kind, kind)) {
            let decided = undecided.iter().filter(|later| covers(later, &rule));
            if rule.access & !decided.fold(0, |bits, later| bits | later.access) == 0 {
                continue;
            }
            // So that lists can be compared.
            undecided.push(DeviceRule { kind: b'a', ..rule });
            // It takes an instruction at least.
            if undecided.len() > MOST {
                return Err(too_large());
            }
        }
        let mut list = Vec::with_capacity(undecided.len());
        for (index, rule) in undecided.iter().enumerate() {
            // What nobody allows need not be denied.
            let mut behind = undecided.iter().skip(index);
            if rule.allow || behind.any(|earlier| earlier.allow && meet(earlier, rule)) {
                add(&mut list, *rule);
            }
        }
        let all_of = |number: Option<u32>| number.unwrap_or(u32::MAX);
        for run in list.chunk_by_mut(is_alike) {
            run.sort_unstable_by_key(|rule| (all_of(rule.major), all_of(rule.minor)));
        }
        // What allows the rest for all devices is the last rule of its run, and then of all.
        let otherwise = list.chunk_by(is_alike).fold(ALL, still_open) == 0;
        if otherwise {
            list.pop();
        }
        Ok(List { rules: list, otherwise })
    }

    fn allows_all(&self) -> bool {
        self.otherwise && self.rules.is_empty()
    }
}

/// Puts a rule behind those that are tried before it. Neighbours that say the same are a run, whose order does not
/// matter: what the new rule says too goes away.
fn add(list: &mut Vec<DeviceRule>, mut rule: DeviceRule) {
    let start = list.iter().rposition(|other| other.allow != rule.allow).map_or(0, |other| other + 1);
    let same = |old: &&DeviceRule| (old.major, old.minor) == (rule.major, rule.minor);
    rule.access |= list.iter().skip(start).find(same).map_or(0, |old| old.access);
    let mut at = 0;
    list.retain(|old| {
        at += 1;
        at <= start || !covers(&rule, old) || old.access & !rule.access != 0
    });
    list.push(rule);
}

/// Whether one rule is about all devices of the other, which are of the same kind.
fn covers(one: &DeviceRule, other: &DeviceRule) -> bool {
    let holds = |one: Option<u32>, other| one.is_none() || one == other;
    holds(one.major, other.major) && holds(one.minor, other.minor)
}

fn is_alike(one: &DeviceRule, other: &DeviceRule) -> bool {
    one.allow == other.allow
}

/// What may still be open behind a run.
fn still_open(open: u8, run: &[DeviceRule]) -> u8 {
    let everywhere = run.iter().filter(|rule| rule.major.is_none() && rule.minor.is_none());
    everywhere.fold(open, |open, rule| open & !rule.access)
}

// Opcodes: with a constant, on 64 bits.
const EXIT: u8 = 0x95;
const MOV: u8 = 0xb7;
const AND: u8 = 0x57;
const SHIFT_RIGHT: u8 = 0x77;
const LOAD: u8 = 0x61;
const JUMP: u8 = 0x05;
const JEQ: u8 = 0x15;
const JNE: u8 = 0x55;
const JSET: u8 = 0x45;

// Registers.
const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const ASKED: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// `BPF_DEVCG_DEV_BLOCK`, in the lower half of `access_type`. What is asked is in the upper half.
const TYPE_BLOCK: u32 = 1;

/// `BPF_DEVCG_ACC_*`
fn kernel_bits(access: u8) -> u32 {
    let bits = [(ACCESS_MKNOD, 1), (ACCESS_READ, 2), (ACCESS_WRITE, 4)];
    bits.iter().filter(|(bit, _)| access & bit != 0).fold(0, |sum, (_, bit)| sum | bit)
}

/// A place in the program: how many instructions there are from it to the end.
type Offset = usize;

/// Where a yes and a no are: the end, and a zero for the result before it.
const YES: Offset = 1;
const NO: Offset = 2;

/// The program is written from its end, so that every jump leads to what is already in place.
struct Assembler {
    code: Vec<u64>,
}

impl Assembler {
    fn here(&self) -> Offset {
        self.code.len()
    }

    fn push(&mut self, opcode: u8, register: u8, value: u32) {
        self.code.push(instruction(opcode, register, 0, 0, value));
    }

    /// Loads a word of the context.
    fn load(&mut self, register: u8, offset: i16) {
        self.code.push(instruction(LOAD, register, CONTEXT, offset, 0));
    }

    /// A program in which this does not fit is too large.
    fn jump(&mut self, opcode: u8, register: u8, value: u32, to: Offset) {
        let distance = (self.here() - to) as i16;
        self.code.push(instruction(opcode, register, 0, distance, value));
    }

    /// A list, with what it expects: nothing but the request in `ASKED`. Nothing asked (access(2) with X_OK) is never
    /// denied: every container may make nodes, and the rule that says so finds nothing left.
    fn list(&mut self, list: &List) {
        let verdict = if list.otherwise { YES } else { NO };
        if self.here() != verdict {
            self.jump(JUMP, 0, 0, verdict);
        }
        let mut open = ALL;
        let runs = list.rules.chunk_by(is_alike).map(|run| {
            let before = open;
            open = still_open(open, run);
            (before, run)
        });
        let runs: Vec<_> = runs.collect();
        for (open, run) in runs.into_iter().rev() {
            for group in run.chunk_by(|one, other| one.major == other.major).rev() {
                self.group(group, open);
            }
        }
        self.push(SHIFT_RIGHT, ASKED, 16);
    }

    /// Rules with the same major number. `open` is what may be left of a request.
    fn group(&mut self, group: &[DeviceRule], open: u8) {
        let after = self.here();
        let Some(major) = group.first().and_then(|rule| rule.major) else {
            return group.iter().rev().for_each(|rule| self.rule(rule, open));
        };
        match group {
            [rule] if rule.minor.is_none() && rule.allow && rule.access & open == open => {
                self.jump(JEQ, MAJOR, major, YES);
            }
            _ => {
                group.iter().rev().for_each(|rule| self.rule(rule, open));
                self.jump(JNE, MAJOR, major, after);
            }
        }
    }

    /// A rule, for devices that have its major number.
    fn rule(&mut self, rule: &DeviceRule, open: u8) {
        let after = self.here();
        let all_that_is_open = rule.access & open == open;
        match (rule.allow, rule.minor) {
            (false, _) => self.jump(JSET, ASKED, kernel_bits(rule.access), NO),
            (true, Some(minor)) if all_that_is_open => return self.jump(JEQ, MINOR, minor, YES),
            (true, None) if all_that_is_open => self.jump(JUMP, 0, 0, YES),
            (true, _) => {
                self.jump(JEQ, ASKED, 0, YES);
                self.push(AND, ASKED, kernel_bits(ALL & !rule.access));
            }
        }
        if let Some(minor) = rule.minor {
            self.jump(JNE, MINOR, minor, after);
        }
    }
}

/// `struct bpf_insn`, in the machine's byte order.
fn instruction(opcode: u8, to: u8, from: u8, offset: i16, value: u32) -> u64 {
    let registers = if cfg!(target_endian = "big") { to << 4 | from } else { from << 4 | to };
    let [o0, o1] = offset.to_ne_bytes();
    let [v0, v1, v2, v3] = value.to_ne_bytes();
    u64::from_ne_bytes([opcode, registers, o0, o1, v0, v1, v2, v3])
}
