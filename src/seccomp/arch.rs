//! Architectures: their identifiers in seccomp filters (`AUDIT_ARCH_*` of include/uapi/linux/audit.h), and their
//! columns of syscall numbers.

use super::names::{self, Name};

/// An architecture of seccomp, `SCMP_ARCH_*`.
#[derive(Debug, PartialEq, Eq)]
pub struct Arch {
    /// The name without `SCMP_ARCH_`.
    pub name: &'static str,
    /// `seccomp_data.arch`.
    pub audit: u32,
    /// The column of `table.rs`.
    pub(super) column: u8,
    /// The base that is added to the numbers of the column.
    pub(super) base: u32,
}

/// The bit that is set in the syscall numbers of x32, whose `AUDIT_ARCH_*` is that of x86_64.
pub(super) const X32: u32 = 0x4000_0000;

const fn arch(name: &'static str, audit: u32, column: u8, base: u32) -> Arch {
    Arch { name, audit, column, base }
}

/// All architectures that a profile can name, the same as in `config::seccomp::ARCHITECTURES`.
pub static ALL: [Arch; 23] = [
    arch("X86_64", 0xc000_003e, 0, 0),
    arch("X86", 0x4000_0003, 1, 0),
    arch("X32", 0xc000_003e, 2, X32),
    arch("ARM", 0x4000_0028, 3, 0),
    arch("AARCH64", 0xc000_00b7, 4, 0),
    arch("LOONGARCH64", 0xc000_0102, 5, 0),
    arch("RISCV64", 0xc000_00f3, 6, 0),
    arch("M68K", 0x0000_0004, 7, 0),
    arch("MIPS", 0x0000_0008, 8, 4000),
    arch("MIPSEL", 0x4000_0008, 8, 4000),
    arch("MIPS64", 0x8000_0008, 9, 5000),
    arch("MIPSEL64", 0xc000_0008, 9, 5000),
    arch("MIPS64N32", 0xa000_0008, 10, 6000),
    arch("MIPSEL64N32", 0xe000_0008, 10, 6000),
    arch("PARISC", 0x0000_000f, 11, 0),
    arch("PARISC64", 0x8000_000f, 12, 0),
    arch("PPC", 0x0000_0014, 13, 0),
    arch("PPC64", 0x8000_0015, 14, 0),
    arch("PPC64LE", 0xc000_0015, 14, 0),
    arch("S390", 0x0000_0016, 15, 0),
    arch("S390X", 0x8000_0016, 16, 0),
    arch("SH", 0x4000_002a, 17, 0),
    arch("SHEB", 0x0000_002a, 17, 0),
];

/// The name of the architecture that mote is compiled for.
const NATIVE: &str = {
    let little = cfg!(target_endian = "little");
    if cfg!(target_arch = "x86_64") {
        "X86_64"
    } else if cfg!(target_arch = "aarch64") {
        "AARCH64"
    } else if cfg!(target_arch = "riscv64") {
        "RISCV64"
    } else if cfg!(target_arch = "arm") {
        "ARM"
    } else if cfg!(target_arch = "x86") {
        "X86"
    } else if cfg!(target_arch = "s390x") {
        "S390X"
    } else if cfg!(target_arch = "loongarch64") {
        "LOONGARCH64"
    } else if cfg!(target_arch = "powerpc64") {
        if little { "PPC64LE" } else { "PPC64" }
    } else if cfg!(target_arch = "powerpc") {
        "PPC"
    } else if cfg!(target_arch = "mips64") {
        if little { "MIPSEL64" } else { "MIPS64" }
    } else if cfg!(target_arch = "mips") {
        if little { "MIPSEL" } else { "MIPS" }
    } else {
        panic!("no table of system calls for this architecture")
    }
};

impl Arch {
    /// The architecture with this name, with or without `SCMP_ARCH_`.
    pub fn find(name: &str) -> Option<&'static Arch> {
        let name = name.strip_prefix("SCMP_ARCH_").unwrap_or(name);
        ALL.iter().find(|arch| arch.name == name)
    }

    /// The architecture that mote is compiled for.
    pub fn native() -> &'static Arch {
        Self::find(NATIVE).unwrap_or(&ALL[0])
    }

    /// Whether all 64 bits of arguments are compared. Not for n32 and x32, which libseccomp treats as 32-bit.
    pub(super) fn is_wide(&self) -> bool {
        self.audit & 0x8000_0000 != 0 && self.base != X32 && self.base != 6000
    }

    /// Whether it is little-endian (`__AUDIT_ARCH_LE`).
    pub fn is_little(&self) -> bool {
        self.audit & 0x4000_0000 != 0
    }

    /// Whether it is x86_64 or x32.
    pub(super) fn has_x32(&self) -> bool {
        self.audit == ALL[0].audit
    }

    /// The offsets of the low and the high half of an argument in `struct seccomp_data`.
    pub(super) fn halves(&self, index: u8) -> (u8, u8) {
        let at = 16 + 8 * index;
        if self.is_little() { (at, at + 4) } else { (at + 4, at) }
    }

    /// Whether it is s390 or s390x, where the kernel replaces the number of an unknown call by 0.
    pub(super) fn is_s390(&self) -> bool {
        self.audit & 0xffff == 22
    }

    /// The number of a system call, including the base; `None` if the architecture does not have it.
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        self.slot(name).map(|slot| names::number(slot) + self.base)
    }

    /// The slot of a system call ([`Name::slot`]); `None` if the architecture does not have it.
    pub(super) fn slot(&self, name: &str) -> Option<usize> {
        Name::find(name.as_bytes())?.slot(self.column)
    }
}
