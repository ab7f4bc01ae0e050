//! Predicts the result of a filter before it is loaded: an interpreter runs the program, as the kernel would, for calls
//! of which some arguments are unknown.
//!
//! It supports all instructions that the kernel accepts in a filter (`seccomp_check_filter` of kernel/seccomp.c), since
//! a filter can also come from an annotation. If a test depends on an unknown value, both branches are followed.

use alloc::vec::Vec;

use super::arch::Arch;
use super::filter::{ALLOW, ERRNO, Filter, KILL_THREAD, LOG, NOTIFY, TRACE};
use crate::sys::seccomp::Call;

/// The value of a register or a word of memory; `None` if it is unknown.
type Word = Option<u32>;

/// `struct seccomp_data`, in words.
type Data = [Word; 16];

/// The state of a running program (bpf(4)).
#[derive(Clone, Copy, Default)]
struct Machine {
    /// The next instruction.
    at: usize,
    /// The accumulator, the index register, and 16 words of memory.
    words: [Word; 18],
}

// Indices in `Machine::words`.
const ACCUMULATOR: usize = 0;
const INDEX: usize = 1;
const MEMORY: usize = 2;

/// The effect of an instruction on control flow.
enum Step {
    Next,
    /// A test: the next instruction if it succeeds, the one if it fails, and the outcome if it is known.
    Branch(usize, usize, Option<bool>),
    Return(Word),
}

/// The maximum number of steps. A single path is shorter, since programs have no loops, but there may be many paths.
const MOST_STEPS: usize = 2 * super::bpf::MOST;

/// The size of `struct seccomp_data` in bytes.
const DATA_LENGTH: u32 = 64;

const ENOSYS: u32 = 38;

/// `SECCOMP_RET_ACTION_FULL`
const ACTION: u32 = 0xffff_0000;

/// Whether a result prevents a call. Not if a listener or a tracer decides, which may permit it.
pub fn refuses(answer: u32) -> bool {
    kills(answer) || answer & ACTION == ERRNO
}

/// Whether a result kills a single-threaded process that has no handler for SIGSYS. Unknown actions do so as well.
pub fn kills(answer: u32) -> bool {
    !matches!(answer & ACTION, ALLOW | LOG | TRACE | NOTIFY | ERRNO)
}

/// The `struct seccomp_data` of a call on the native architecture; `None` if it does not have the call.
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
    /// The result (`SECCOMP_RET_*` with its data) for a call on the native architecture, if it is certain to be a `bad`
    /// one; if several are possible, one of them. `None` if another result is possible, or after `MOST_STEPS`.
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

    /// Whether the process survives all of these calls, whatever their arguments are.
    pub fn kills_for_none(&self, names: &[&'static str]) -> bool {
        let survives = |name| self.foresee(Call { name, arguments: &[] }, |result| !kills(result));
        names.iter().all(|name| survives(name).is_some())
    }

    /// The effective result: SCMP_ACT_NOTIFY without a listener is ENOSYS (`seccomp_do_user_notification`).
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
            // On a division by zero the kernel's interpreter returns 0.
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

/// The result of an arithmetic instruction (BPF_OP). `None` also if the kernel does not define it, such as shifts by
/// more than 31.
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
