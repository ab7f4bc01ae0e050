//! An interpreter for classic BPF as in seccomp(2), which counts instructions and checks every access.

use mote::internal::seccomp::Arch;

/// `struct sock_filter`: code, jump if true, jump if false, value.
pub type Instruction = (u16, u8, u8, u32);

/// `struct seccomp_data` as words, in the memory order of the architecture.
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
            8 | 12 => panic!("a load of the instruction pointer"),
            _ => {
                let (arg, second) = (self.args[(offset as usize - 16) / 8], offset % 8 == 4);
                if second == self.little { (arg >> 32) as u32 } else { arg as u32 }
            }
        }
    }
}

/// The instructions of a program for this machine.
pub fn native(program: &[u64]) -> Vec<Instruction> {
    let split = |instruction: &u64| {
        let [c0, c1, yes, no, v0, v1, v2, v3] = instruction.to_ne_bytes();
        (u16::from_ne_bytes([c0, c1]), yes, no, u32::from_ne_bytes([v0, v1, v2, v3]))
    };
    program.iter().map(split).collect()
}

/// The result of running a program.
pub struct Run {
    pub verdict: u32,
    /// Instructions.
    pub steps: usize,
    /// Whether it has loaded the number of the call.
    pub saw_number: bool,
}

/// Runs a program.
pub fn run(program: &[Instruction], call: &Call) -> Run {
    let (mut at, mut steps, mut accumulator, mut saw_number) = (0, 0, None, false);
    loop {
        let &(code, yes, no, value) = program.get(at).expect("a jump out of the program");
        steps += 1;
        at += 1;
        let loaded = || accumulator.expect("a test before the first load");
        let mut branch = |met: bool| at += usize::from(if met { yes } else { no });
        match code {
            0x06 => return Run { verdict: value, steps, saw_number },
            0x20 => {
                accumulator = Some(call.word(value));
                saw_number |= value == 0;
            }
            0x54 => accumulator = Some(loaded() & value),
            0x05 => at += value as usize,
            0x15 => branch(loaded() == value),
            0x25 => branch(loaded() > value),
            0x35 => branch(loaded() >= value),
            0x45 => branch(loaded() & value != 0),
            _ => panic!("an instruction {code:#x}"),
        }
    }
}

/// Checks what the kernel demands of every program: jumps stay inside, and it ends with a return.
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
    assert_eq!(program.last().unwrap().0, 0x06, "the last instruction is no return");
}
