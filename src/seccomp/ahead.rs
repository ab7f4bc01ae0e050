//! What a filter will answer, before it is loaded: its program is run here, as the kernel would run it, for calls of which
//! not everything is known.
//!
//! The instructions are all that the kernel takes for a filter (`seccomp_check_filter` of kernel/seccomp.c), also in
//! programs that others have made. A value may be unknown; where a test depends on one, both ways are gone.

use alloc::vec::Vec;

use super::arch::Arch;
use super::filter::{ALLOW, ERRNO, Filter, KILL_THREAD, LOG, NOTIFY, TRACE};
use crate::sys::seccomp::Call;

/// A register, or a word of memory; `None` where it is not known.
type Word = Option<u32>;

/// `struct seccomp_data`, in words.
type Data = [Word; 16];

/// What the kernel keeps for a running program (bpf(4)).
#[derive(Clone, Copy, Default)]
struct Machine {
    /// The next instruction.
    at: usize,
    /// The accumulator, the index register, and the memory.
    words: [Word; 18],
}

/// Places of them.
const ACCUMULATOR: usize = 0;
const INDEX: usize = 1;
const MEMORY: usize = 2;

/// What an instruction does beside changing the machine.
enum Step {
    Next,
    /// A test: where it goes when that is met, and when not; and which, where it is known.
    Branch(usize, usize, Option<bool>),
    Return(Word),
}

/// Programs have no loops: a way through one is shorter. But there may be many ways.
const MOST_STEPS: usize = 2 * super::bpf::MOST;

/// Of `struct seccomp_data`, in bytes.
const DATA_LENGTH: u32 = 64;

const ENOSYS: u32 = 38;

/// `SECCOMP_RET_ACTION_FULL`
const ACTION: u32 = 0xffff_0000;

/// Whether an answer keeps a call from being made. Where a listener or a tracer is asked, it may be.
pub fn refuses(answer: u32) -> bool {
    kills(answer) || answer & ACTION == ERRNO
}

/// Whether an answer ends a process of one thread that has no handler for SIGSYS. The kernel does that also for an
/// action that it does not know.
pub fn kills(answer: u32) -> bool {
    !matches!(answer & ACTION, ALLOW | LOG | TRACE | NOTIFY | ERRNO)
}

/// A call of this machine as a filter sees it; `None` when there is no such call.
fn data(call: Call<'_>) -> Option<Data> {
    let arch = Arch::native();
    let mut data = Data::default();
    let [number, audit, _, _, arguments @ ..] = &mut data;
    (*number, *audit) = (Some(arch.number(call.name)?), Some(arch.audit));
    for (halves, argument) in arguments.as_chunks_mut::<2>().0.iter_mut().zip(call.arguments) {
        *halves = [Some(*argument as u32), Some((*argument >> 32) as u32)];
        if !arch.is_little() {
            halves.reverse();
        }
    }
    Some(data)
}

impl Filter<'_> {
    /// The answer (`SECCOMP_RET_*` with its data) that this machine's `call` will get, when it is certain that it is one
    /// of those that are `bad`; of several such, one that may come. `None`: it may be another one, or is not found out.
    pub fn foresee(&self, call: Call<'_>, bad: fn(u32) -> bool) -> Option<u32> {
        let data = data(call)?;
        let (mut machine, mut others) = (Machine::default(), Vec::new());
        let mut found = None;
        for _ in 0..MOST_STEPS {
            match machine.step(*self.instructions.get(machine.at)?, &data) {
                Step::Next => {}
                Step::Branch(yes, no, met) => {
                    if met.is_none() {
                        others.push(Machine { at: no, ..machine });
                    }
                    machine.at = if met == Some(false) { no } else { yes };
                }
                Step::Return(answer) => {
                    let answer = answer.map(|answer| self.answer(answer)).filter(|answer| bad(*answer))?;
                    found = found.or(Some(answer));
                    match others.pop() {
                        Some(other) => machine = other,
                        None => return found,
                    }
                }
            }
        }
        None
    }

    /// Who asks where nobody can answer is told ENOSYS (`seccomp_do_user_notification`).
    fn answer(&self, answer: u32) -> u32 {
        match answer & ACTION {
            NOTIFY if !self.has_listener() => ERRNO | ENOSYS,
            _ => answer,
        }
    }
}

impl Machine {
    fn step(&mut self, instruction: u64, data: &Data) -> Step {
        let [c0, c1, yes, no, v0, v1, v2, v3] = instruction.to_ne_bytes();
        let (code, value) = (u16::from_ne_bytes([c0, c1]), u32::from_ne_bytes([v0, v1, v2, v3]));
        self.at += 1;
        let held = self.word(ACCUMULATOR);
        // BPF_SRC: the constant, or the index register.
        let operand = if code & 0x08 == 0 { Some(value) } else { self.word(INDEX) };
        let place = MEMORY.saturating_add(value as usize);
        // BPF_CLASS
        let (to, word) = match code & 0x07 {
            class @ (0x00 | 0x01) => {
                // BPF_MODE: a constant, a word of the data, a word of memory, or the length of the data.
                let word = match code & 0xe0 {
                    0x00 => Some(value),
                    0x20 => data.get(value as usize / 4).copied().flatten(),
                    0x60 => self.word(place),
                    _ => Some(DATA_LENGTH),
                };
                (usize::from(class), word)
            }
            0x02 => (place, held),
            0x03 => (place, self.word(INDEX)),
            // The kernel's machine stops with 0 at a division by zero.
            0x04 if (code, operand) == (0x3c, Some(0)) => return Step::Return(Some(KILL_THREAD)),
            0x04 => (ACCUMULATOR, calculate(code & 0xf0, held, operand)),
            0x05 if code & 0xf0 == 0 => {
                self.at = self.at.saturating_add(value as usize);
                return Step::Next;
            }
            0x05 => {
                let met = held.zip(operand).map(|(held, operand)| match code & 0xf0 {
                    0x10 => held == operand,
                    0x20 => held > operand,
                    0x30 => held >= operand,
                    _ => held & operand != 0,
                });
                return Step::Branch(self.at + usize::from(yes), self.at + usize::from(no), met);
            }
            // BPF_RVAL
            0x06 => return Step::Return(if code & 0x18 == 0x10 { held } else { Some(value) }),
            _ if code & 0xf8 == 0x80 => (ACCUMULATOR, self.word(INDEX)),
            _ => (INDEX, held),
        };
        if let Some(place) = self.words.get_mut(to) {
            *place = word;
        }
        Step::Next
    }

    fn word(&self, place: usize) -> Word {
        self.words.get(place).copied().flatten()
    }
}

/// By BPF_OP; `None` also for what the kernel does not define.
fn calculate(op: u16, held: Word, operand: Word) -> Word {
    let held = held?;
    if op == 0x80 {
        return Some(held.wrapping_neg());
    }
    let operand = operand?;
    match op {
        0x00 => Some(held.wrapping_add(operand)),
        0x10 => Some(held.wrapping_sub(operand)),
        0x20 => Some(held.wrapping_mul(operand)),
        0x30 => held.checked_div(operand),
        0x40 => Some(held | operand),
        0x50 => Some(held & operand),
        0x60 => held.checked_shl(operand),
        0x70 => held.checked_shr(operand),
        0xa0 => Some(held ^ operand),
        _ => None,
    }
}
