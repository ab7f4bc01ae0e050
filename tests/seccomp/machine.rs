//! A machine for classic BPF as seccomp(2) uses it, which counts what it does and trusts nothing.

use mote::seccomp::Arch;

/// `struct sock_filter`: code, jump if true, jump if false, value.
pub type Instruction = (u16, u8, u8, u32);

/// `struct seccomp_data` as words, in the order that the architecture has them in memory.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub number: u32,
    pub audit: u32,
    pub little: bool,
    pub args: [u64; 6],
}

impl Call {
    pub fn new(arch: &Arch, number: u32, args: [u64; 6]) -> Self {
        Call { number, audit: arch.audit, little: arch.is_little(), args }
    }

    fn word(&self, offset: u32) -> u32 {
        assert!(offset.is_multiple_of(4) && offset < 64, "a load from {offset}");
        match offset {
            0 => self.number,
            4 => self.audit,
            8 | 12 => panic!("the instruction pointer is nobody's business"),
            _ => {
                let (arg, second) = (self.args[(offset as usize - 16) / 8], offset % 8 == 4);
                if second == self.little { (arg >> 32) as u32 } else { arg as u32 }
            }
        }
    }
}

/// The program's own form, on this machine.
pub fn native(program: &[u64]) -> Vec<Instruction> {
    let split = |instruction: &u64| {
        let [c0, c1, yes, no, v0, v1, v2, v3] = instruction.to_ne_bytes();
        (u16::from_ne_bytes([c0, c1]), yes, no, u32::from_ne_bytes([v0, v1, v2, v3]))
    };
    program.iter().map(split).collect()
}

/// How a program ran.
pub struct Run {
    pub verdict: u32,
    /// Instructions.
    pub steps: usize,
    /// It has looked at the call's number.
    pub saw_number: bool,
}

/// Runs a program.
pub fn run(program: &[Instruction], call: &Call) -> Run {
    let (mut at, mut steps, mut accumulator, mut saw_number) = (0, 0, None, false);
    loop {
        let &(code, yes, no, value) = program.get(at).expect("a jump out of the program");
        steps += 1;
        at += 1;
        let held = || accumulator.expect("a test before the first load");
        let mut branch = |met: bool| at += usize::from(if met { yes } else { no });
        match code {
            0x06 => return Run { verdict: value, steps, saw_number },
            0x20 => {
                accumulator = Some(call.word(value));
                saw_number |= value == 0;
            }
            0x54 => accumulator = Some(held() & value),
            0x05 => at += value as usize,
            0x15 => branch(held() == value),
            0x25 => branch(held() > value),
            0x35 => branch(held() >= value),
            0x45 => branch(held() & value != 0),
            _ => panic!("an instruction {code:#x}"),
        }
    }
}

/// What the kernel wants of every program, whatever it is run with: jumps stay inside, and its end is a verdict.
pub fn check(program: &[Instruction]) {
    assert!((1..=4096).contains(&program.len()), "{} instructions", program.len());
    for (at, &(code, yes, no, value)) in program.iter().enumerate() {
        let farthest = match code {
            0x05 => value as usize,
            0x15 | 0x25 | 0x35 | 0x45 => usize::from(yes.max(no)),
            _ => 0,
        };
        assert!(at + 1 + farthest < program.len() || code == 0x06, "instruction {at} leaves the program");
    }
    assert_eq!(program.last().unwrap().0, 0x06, "the last instruction is no verdict");
}
