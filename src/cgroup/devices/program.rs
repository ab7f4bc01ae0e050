//! Device rules on cgroup v2: a BPF program that the kernel runs whenever a device node is opened or created
//! (`BPF_PROG_TYPE_CGROUP_DEVICE`, linux 4.15; security/device_cgroup.c;
//! Documentation/bpf/standardization/instruction-set.rst; config-linux.md, "Allowed Device list").
//!
//! Its argument is a `struct bpf_cgroup_dev_ctx`: the device type, both numbers, and the requested access, which may
//! have several bits: opening for reading and writing requests both. Each bit is decided by the last rule that matches
//! it, and all bits must be allowed. So the program tries the rules from the last to the first on the bits that are
//! undecided: a rule that allows removes its bits, and when none is left, access is allowed; a rule that denies an
//! undecided bit denies access, and so does the end of the list.

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

/// BPF_MAXINSNS, the largest number of instructions that every kernel accepts.
const MOST: usize = 4096;

/// The device program of a cgroup.
pub(crate) struct DeviceProgram {
    instructions: Vec<u64>,
    /// Whether the configuration has rules; else there are only the default ones.
    has_rules: bool,
}

impl fmt::Debug for DeviceProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = if self.has_rules { "configured" } else { "default" };
        write!(f, "{origin}: {:x?}", self.instructions)
    }
}

impl DeviceProgram {
    /// Compiles the rules of the configuration. Errors: the program would be too large.
    pub(crate) fn new(rules: &[DeviceRule]) -> Result<Self> {
        Ok(DeviceProgram { instructions: assemble(rules)?, has_rules: !rules.is_empty() })
    }

    /// Attaches the program to a cgroup; it applies to the processes in it and below. `directory` must not be an O_PATH
    /// fd. A denied call is not an error if the program is dispensable.
    pub(crate) fn attach(&self, directory: BorrowedFd<'_>) -> Result<()> {
        self.put(directory, |_| Ok(None))
    }

    /// Attaches the program like [`DeviceProgram::attach`], atomically replacing mote's earlier one (BPF_F_REPLACE).
    pub(crate) fn replace(&self, directory: BorrowedFd<'_>) -> Result<()> {
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

    /// Whether the container can run without the program after this error.
    fn is_dispensable(&self, error: &Error) -> bool {
        // Containers of unprivileged users are in a user namespace, whose root cannot create device nodes (mknod(2)
        // requires CAP_MKNOD in the initial one), and bind-mounted nodes keep the host's permissions.
        if [Errno::PERM, Errno::ACCESS, Errno::NOSYS].iter().any(|errno| error.is(*errno)) {
            return !self.has_rules || !host::is_administrator();
        }
        // A kernel without CONFIG_CGROUP_BPF.
        error.is(Errno::INVAL) && !self.has_rules
    }
}

/// The program of mote that is attached to this cgroup itself; programs of others may be attached too.
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

/// Loads a program. Before linux 5.11 programs are charged to RLIMIT_MEMLOCK, and EPERM may mean that it is too low:
/// it is raised for the call only, since the container would inherit it.
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

/// The error of BPF_PROG_LOAD, with the last line of the verifier's log, except its statistics, if there is one.
#[cold]
fn refusal(errno: Errno, instructions: &[u64]) -> Error {
    let mut log = Vec::new();
    if matches!(errno, Errno::INVAL | Errno::ACCESS) {
        log.resize(1 << 16, 0);
        let _ = bpf::load(instructions, &mut log);
    }
    let lines = log.split(|byte| matches!(byte, b'\n' | 0));
    let mut messages = lines.rev().filter(|line| !line.is_empty() && !line.starts_with(b"processed "));
    let message = messages.next().and_then(|line| core::str::from_utf8(line).ok()).unwrap_or_default();
    let colon = if message.is_empty() { "" } else { ": " };
    Error::system(errno, format_args!("linux.resources.devices: bpf BPF_PROG_LOAD{colon}{message}"))
}

/// Compiles rules, in the configuration's order, to `struct bpf_insn`s: initially everything is denied, later rules
/// override earlier ones, and the default rules come last.
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
            code.jump(JSET, REQUESTED, TYPE_BLOCK, block);
        }
        code.load(REQUESTED, 0);
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
    let text =
        format_args!("linux.resources.devices: too many rules for a BPF program of {MOST} instructions");
    Error::invalid(text)
}

/// The rules for one device type in the order in which they are tried, without those that have no effect.
#[derive(PartialEq, Eq)]
struct List {
    rules: Vec<DeviceRule>,
    /// Whether access that no rule decides is allowed.
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
            // The same kind in all lists, so that they can be compared.
            undecided.push(DeviceRule { kind: b'a', ..rule });
            // Each rule needs at least one instruction.
            if undecided.len() > MOST {
                return Err(too_large());
            }
        }
        let mut list = Vec::with_capacity(undecided.len());
        for (index, rule) in undecided.iter().enumerate() {
            // A rule that denies has an effect only if an earlier rule of the configuration allows the access.
            let mut behind = undecided.iter().skip(index);
            if rule.allow || behind.any(|earlier| earlier.allow && meet(earlier, rule)) {
                add(&mut list, *rule);
            }
        }
        let all_of = |number: Option<u32>| number.unwrap_or(u32::MAX);
        for run in list.chunk_by_mut(is_alike) {
            run.sort_unstable_by_key(|rule| (all_of(rule.major), all_of(rule.minor)));
        }
        // If rules for all devices decide every access, the last of these allows, since one that denies would have had
        // no effect. It is the last rule of its sorted run and of the list; the end of the list replaces it.
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

/// Appends a rule to those that are tried before it. Adjacent rules that all allow or all deny are a run, whose order
/// does not matter: rules of the run that the new one covers are removed.
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

/// Whether one rule matches all devices of the other, which is for the same device type.
fn covers(one: &DeviceRule, other: &DeviceRule) -> bool {
    let holds = |one: Option<u32>, other| one.is_none() || one == other;
    holds(one.major, other.major) && holds(one.minor, other.minor)
}

fn is_alike(one: &DeviceRule, other: &DeviceRule) -> bool {
    one.allow == other.allow
}

/// The access bits that may still be undecided after a run.
fn still_open(open: u8, run: &[DeviceRule]) -> u8 {
    let everywhere = run.iter().filter(|rule| rule.major.is_none() && rule.minor.is_none());
    everywhere.fold(open, |open, rule| open & !rule.access)
}

// Opcodes: 64-bit operations with an immediate value.
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
const REQUESTED: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// `BPF_DEVCG_DEV_BLOCK`, in the lower half of `access_type`. The requested access is in the upper half.
const TYPE_BLOCK: u32 = 1;

/// The `BPF_DEVCG_ACC_*` bits of an access.
fn kernel_bits(access: u8) -> u32 {
    let bits = [(ACCESS_MKNOD, 1), (ACCESS_READ, 2), (ACCESS_WRITE, 4)];
    bits.iter().filter(|(bit, _)| access & bit != 0).fold(0, |sum, (_, bit)| sum | bit)
}

/// A position in the program: the number of instructions from it to the end.
type Offset = usize;

/// The positions to which jumps that allow and deny lead: the exit, and the instruction before it that sets the
/// result to 0.
const YES: Offset = 1;
const NO: Offset = 2;

/// Assembles the program from its end, so that the targets of all jumps are known.
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

    /// Loads a 32-bit word of the context.
    fn load(&mut self, register: u8, offset: i16) {
        self.code.push(instruction(LOAD, register, CONTEXT, offset, 0));
    }

    /// Adds a jump. The distance may not fit in 16 bits only if the program is too large, which is an error later.
    fn jump(&mut self, opcode: u8, register: u8, value: u32, to: Offset) {
        let distance = (self.here() - to) as i16;
        self.code.push(instruction(opcode, register, 0, distance, value));
    }

    /// Adds the code of a list. It begins with the shift by which `REQUESTED` contains the requested access only. If
    /// that is empty, as for access(2) with X_OK, the result is never "denied": a default rule allows mknod for all
    /// devices, and after it no requested bit is left.
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
        self.push(SHIFT_RIGHT, REQUESTED, 16);
    }

    /// Adds rules with the same major number. `open` is the access that may be undecided before them.
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

    /// Adds a rule; the device's major number has been compared.
    fn rule(&mut self, rule: &DeviceRule, open: u8) {
        let after = self.here();
        let all_that_is_open = rule.access & open == open;
        match (rule.allow, rule.minor) {
            (false, _) => self.jump(JSET, REQUESTED, kernel_bits(rule.access), NO),
            (true, Some(minor)) if all_that_is_open => return self.jump(JEQ, MINOR, minor, YES),
            (true, None) if all_that_is_open => self.jump(JUMP, 0, 0, YES),
            (true, _) => {
                self.jump(JEQ, REQUESTED, 0, YES);
                self.push(AND, REQUESTED, kernel_bits(ALL & !rule.access));
            }
        }
        if let Some(minor) = rule.minor {
            self.jump(JNE, MINOR, minor, after);
        }
    }
}

/// A `struct bpf_insn`, in native byte order.
fn instruction(opcode: u8, to: u8, from: u8, offset: i16, value: u32) -> u64 {
    let registers = if cfg!(target_endian = "big") { to << 4 | from } else { from << 4 | to };
    let [o0, o1] = offset.to_ne_bytes();
    let [v0, v1, v2, v3] = value.to_ne_bytes();
    u64::from_ne_bytes([opcode, registers, o0, o1, v0, v1, v2, v3])
}
