//! An interpreter for the instructions of the kernel's BPF that the programs use, which checks every access.

/// `struct bpf_cgroup_dev_ctx`.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// 1 is a block device, 2 a character device.
    pub kind: u32,
    /// 1 is mknod, 2 read, 4 write.
    pub access: u32,
    pub major: u32,
    pub minor: u32,
}

/// Opcode, destination register, source register, offset, constant.
type Instruction = (u8, u8, u8, i16, i32);

fn split(instruction: u64) -> Instruction {
    let [opcode, registers, o0, o1, v0, v1, v2, v3] = instruction.to_ne_bytes();
    let (low, high) = (registers & 15, registers >> 4);
    let (to, from) = if cfg!(target_endian = "big") { (high, low) } else { (low, high) };
    (opcode, to, from, i16::from_ne_bytes([o0, o1]), i32::from_ne_bytes([v0, v1, v2, v3]))
}

/// Runs a program and returns its result.
pub fn run(program: &[u64], request: &Request) -> u64 {
    let words = [request.access << 16 | request.kind, request.major, request.minor];
    let mut registers: [Option<u64>; 11] = [None; 11];
    let mut at = 0;
    loop {
        let (opcode, to, from, offset, value) = split(program[at]);
        let to = usize::from(to);
        let constant = i64::from(value).cast_unsigned();
        at += 1;
        let register = || registers[to].unwrap_or_else(|| panic!("r{to} is read before it is written"));
        let jump = match opcode {
            0x95 => return registers[0].expect("an exit without a result"),
            0x05 => true,
            0x15 => register() == constant,
            0x55 => register() != constant,
            0x45 => register() & constant != 0,
            _ => false,
        };
        match opcode {
            0x05 | 0x15 | 0x55 | 0x45 => {
                assert!(offset >= 0, "a jump backward");
                at += if jump { offset as usize } else { 0 };
            }
            0xb7 => registers[to] = Some(constant),
            0x57 => registers[to] = Some(register() & constant),
            0x77 => registers[to] = Some(register() >> constant),
            0x61 => {
                assert!(from == 1 && offset % 4 == 0, "a load from r{from}");
                registers[to] = Some(u64::from(words[offset as usize / 4]));
            }
            _ => panic!("an instruction {opcode:#x}"),
        }
    }
}

/// Checks what the verifier demands of every program: its size, its end, and that every instruction can be reached.
pub fn check(program: &[u64]) {
    assert!((2..=4096).contains(&program.len()), "{} instructions", program.len());
    let mut reached = vec![false; program.len() + 1];
    reached[0] = true;
    for (at, instruction) in program.iter().enumerate() {
        assert!(reached[at], "instruction {at} cannot be reached");
        let (opcode, _, _, offset, _) = split(*instruction);
        let target = at + 1 + usize::try_from(offset).unwrap();
        match opcode {
            0x95 => {}
            0x05 => reached[target] = true,
            0x15 | 0x55 | 0x45 => (reached[at + 1], reached[target]) = (true, true),
            _ => reached[at + 1] = true,
        }
    }
    assert!(!reached[program.len()], "the program does not end with an exit");
}
