//! Programs of a few instructions, as ELF files (elf(5)), for this CPU and for others.

/// The headers, and one segment, which is the whole file: the smallest that the kernel executes.
pub struct Program {
    /// The ELF class: 1 with 32 bits, 2 with 64.
    pub class: u8,
    pub is_big_endian: bool,
    /// `e_machine` and `e_flags`.
    pub machine: u16,
    pub flags: u32,
    pub code: &'static [u8],
}

/// `exit(7)` in the instructions of this CPU.
pub static EXIT_7: Program = Program {
    class: if cfg!(target_pointer_width = "64") { 2 } else { 1 },
    is_big_endian: cfg!(target_endian = "big"),
    machine: OWN.0,
    flags: OWN.1,
    code: OWN.2,
};

/// The machine, its flags, and the instructions.
const OWN: (u16, u32, &[u8]) = match () {
    // mov $7, %edi; mov $60, %eax; syscall
    () if cfg!(target_arch = "x86_64") => (62, 0, &[0xbf, 7, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05]),
    // mov $7, %ebx; mov $1, %eax; int $0x80
    () if cfg!(target_arch = "x86") => (3, 0, &[0xbb, 7, 0, 0, 0, 0xb8, 1, 0, 0, 0, 0xcd, 0x80]),
    // mov x0, #7; mov x8, #93; svc 0
    () if cfg!(target_arch = "aarch64") => {
        (183, 0, &[0xe0, 0, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 1, 0, 0, 0xd4])
    }
    // li a0, 7; li a7, 93; ecall
    () if cfg!(target_arch = "riscv64") => {
        (243, 0, &[0x13, 0x05, 0x70, 0, 0x93, 0x08, 0xd0, 0x05, 0x73, 0, 0, 0])
    }
    // mov r0, #7; mov r7, #1; svc 0
    () if cfg!(target_arch = "arm") => {
        (40, 0x0500_0200, &[7, 0, 0xa0, 0xe3, 1, 0x70, 0xa0, 0xe3, 0, 0, 0, 0xef])
    }
    // li 3, 7; li 0, 1; sc
    () if cfg!(target_arch = "powerpc64") => (21, 2, &[7, 0, 0x60, 0x38, 1, 0, 0, 0x38, 2, 0, 0, 0x44]),
    // lghi %r2, 7; svc 1
    () if cfg!(target_arch = "s390x") => (22, 0, &[0xa7, 0x29, 0, 7, 0x0a, 1]),
    () => panic!("no instructions for this CPU"),
};

impl Program {
    pub fn file(&self) -> Vec<u8> {
        const ADDRESS: u64 = 0x10_0000;
        let is_wide = self.class == 2;
        let (header, segment): (u16, u16) = if is_wide { (64, 56) } else { (52, 32) };
        let size = u64::from(header + segment) + self.code.len() as u64;
        let order = if self.is_big_endian { 2 } else { 1 };
        let mut file = vec![0x7f, b'E', b'L', b'F', self.class, order, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        self.integers(&mut file, 2, &[2, u64::from(self.machine)]);
        self.integers(&mut file, 4, &[1]);
        let word = if is_wide { 8 } else { 4 };
        self.integers(&mut file, word, &[ADDRESS + u64::from(header + segment), u64::from(header), 0]);
        self.integers(&mut file, 4, &[u64::from(self.flags)]);
        self.integers(&mut file, 2, &[header, segment, 1, 0, 0, 0].map(u64::from));
        // PT_LOAD, readable and executable. The flags stand in another place with 32 bits.
        self.integers(&mut file, 4, if is_wide { &[1, 5] } else { &[1] });
        self.integers(&mut file, word, &[0, ADDRESS, ADDRESS, size, size]);
        self.integers(&mut file, 4, if is_wide { &[] } else { &[5] });
        self.integers(&mut file, word, &[0x10_000]);
        file.extend(self.code);
        file
    }

    /// Appends integers of `size` bytes, which are the lowest of each value.
    fn integers(&self, file: &mut Vec<u8>, size: usize, values: &[u64]) {
        for value in values {
            match self.is_big_endian {
                true => file.extend(value.to_be_bytes().into_iter().skip(8 - size)),
                false => file.extend(value.to_le_bytes().into_iter().take(size)),
            }
        }
    }
}
