//! The rows of the syscall table, parsed from its source text.

/// The columns of the table, and what is added to their numbers.
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
            // Calls of arm only begin at 0x0f0000.
            *number = number.map(|n| if n >= 0xf000 { 0x0f_0000 + n % 16 } else { n + base });
        }
        Some((name, numbers))
    };
    text.lines().filter_map(row).collect()
}

/// The column of an architecture; some architectures share one.
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
