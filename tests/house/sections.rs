//! The sections of a 64-bit ELF file (elf(5)).

use std::fs;
use std::io::Result;
use std::path::Path;

/// Names and sizes of the sections; empty for another file.
pub fn sections(program: &Path) -> Result<Vec<(String, u64)>> {
    let bytes = fs::read(program)?;
    let number = |at: u64, length: u64| {
        let all =
            (0..length).rev().map(|index| bytes.get((at + index) as usize).copied().unwrap_or_default());
        all.fold(0, |number, byte| number << 8 | u64::from(byte))
    };
    // e_shoff, e_shentsize, e_shnum, e_shstrndx
    let (table, size, count, names) = (number(0x28, 8), number(0x3a, 2), number(0x3c, 2), number(0x3e, 2));
    let header = |index: u64| table + index * size;
    // sh_offset
    let names = number(header(names) + 0x18, 8);
    let name = |at: u64| {
        let rest = bytes.get((names + at) as usize..).unwrap_or_default();
        String::from_utf8_lossy(rest.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
    };
    // sh_name, sh_size
    Ok((0..count).map(header).map(|at| (name(number(at, 4)), number(at + 0x20, 8))).collect())
}
