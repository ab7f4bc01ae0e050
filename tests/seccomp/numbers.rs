//! The table of system calls: its rows, read as text; libseccomp's numbers; and those of the kernel's headers that
//! mote is compiled with.

use mote::seccomp::ARCHS;

use crate::headers::NUMBERS;
use crate::library::Library;

/// The columns of the table and what is added to their numbers.
pub const COLUMNS: [(&str, u32); 18] = [
    ("X86_64", 0),
    ("X86", 0),
    ("X32", 0x4000_0000),
    ("ARM", 0),
    ("AARCH64", 0),
    ("LOONGARCH64", 0),
    ("RISCV64", 0),
    ("M68K", 0),
    ("MIPS", 4000),
    ("MIPS64", 5000),
    ("MIPS64N32", 6000),
    ("PARISC", 0),
    ("PARISC64", 0),
    ("PPC", 0),
    ("PPC64", 0),
    ("S390", 0),
    ("S390X", 0),
    ("SH", 0),
];

/// Every name with its number in each column.
pub fn rows() -> Vec<(&'static str, [Option<u32>; 18])> {
    let text = include_str!("../../src/seccomp/table.rs");
    let row = |line: &'static str| {
        let (kind, rest) = line.trim().split_once("(\"")?;
        let (name, cells) = rest.split_once("\", ")?;
        let cells = cells.trim_matches(['[', ']', ')', ',', ' ']);
        let mut cells = cells.split(", ").map(|cell| cell.trim().parse().ok());
        let mut numbers = [None; 18];
        match kind {
            "all" => numbers.fill(cells.next()?),
            _ => numbers.iter_mut().for_each(|number| *number = cells.next().flatten()),
        }
        for (number, (_, base)) in numbers.iter_mut().zip(COLUMNS) {
            // arm's own are from 0x0f0000 on.
            *number = number.map(|n| if n >= 0xf000 { 0x0f_0000 + n % 16 } else { n + base });
        }
        Some((name, numbers))
    };
    text.lines().filter_map(row).collect()
}

/// The column of an architecture, which another one may share with it.
pub fn column(arch: &str) -> usize {
    let shared = match arch {
        "MIPSEL" => "MIPS",
        "MIPSEL64" => "MIPS64",
        "MIPSEL64N32" => "MIPS64N32",
        "PPC64LE" => "PPC64",
        "SHEB" => "SH",
        own => own,
    };
    COLUMNS.iter().position(|(name, _)| *name == shared).unwrap()
}

#[test]
fn every_row_is_read() {
    let rows = rows();
    assert!(rows.len() > 500, "{}", rows.len());
    assert!(rows.iter().is_sorted_by_key(|(name, _)| name));
    let read = rows.iter().find(|(name, _)| *name == "read").unwrap();
    assert_eq!(
        (read.1[0], read.1[1], read.1[2], read.1[8]),
        (Some(0), Some(3), Some(0x4000_0000), Some(4003))
    );
}

/// Older ones know fewer names, and had some wrong; whatever number they have, mote has.
#[test]
fn libseccomp_has_the_same_numbers() {
    let Some(mut library) = Library::start("libseccomp_has_the_same_numbers") else { return };
    let (mut compared, mut found) = (0, Vec::new());
    for arch in ARCHS.iter().map(|arch| arch.name) {
        for (name, numbers) in rows() {
            let Some(theirs) = library.resolve(arch, name) else { continue };
            // 2.5 has it; the kernel's table has it for 32 bits only.
            if (arch, name) == ("PARISC64", "_llseek") {
                continue;
            }
            compared += 1;
            if numbers[column(arch)] != Some(theirs) {
                found.push(format!("{arch} {name}: {theirs}, not {:?}", numbers[column(arch)]));
            }
        }
    }
    println!("{compared} numbers are those of libseccomp {}", library.version);
    assert!(compared > 5000, "{compared}");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_kernels_headers_have_the_same_numbers() {
    let native = mote::seccomp::Arch::native().name;
    let rows = rows();
    for (name, number) in NUMBERS {
        let name = name.trim_start_matches("__NR_");
        let (_, numbers) = rows.iter().find(|row| row.0 == name).unwrap();
        assert_eq!(numbers[column(native)], Some(*number), "{name}");
    }
}
