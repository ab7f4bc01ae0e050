//! The functions of a program, from the map that ld writes (ld(1), `-Map`), as the program itself has no symbols.

use std::fs;

/// An input section with code: one Rust function, or an object of libc.
pub struct Function {
    pub start: u64,
    pub size: u64,
    /// The output section.
    pub section: String,
    /// The mangled name, or that of the object.
    pub symbol: String,
}

/// The functions of a program in ascending order of their addresses, and the names of its sections of read-only data.
pub struct Program {
    pub functions: Vec<Function>,
    pub data: Vec<String>,
}

impl Program {
    pub fn read(path: &str) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let (_, text) = text.split_once("Linker script and memory map").unwrap_or_default();
        let (mut functions, mut data, mut section, mut name) = (Vec::new(), Vec::new(), "", "");
        for line in text.lines() {
            let mut words = line.split_whitespace();
            // A long name is on a line of its own.
            if line.starts_with(" .") || line.starts_with('.') {
                name = words.next().unwrap_or_default();
                if name.starts_with(".rodata.") {
                    data.push(name.into());
                }
                if line.starts_with('.') {
                    section = name;
                    continue;
                }
            } else if !line.starts_with("  ") {
                continue;
            }
            let number = |word: Option<&str>| u64::from_str_radix(word?.strip_prefix("0x")?, 16).ok();
            let (Some(start), Some(size)) = (number(words.next()), number(words.next())) else { continue };
            let Some(object) = words.next().filter(|_| size > 0 && name.starts_with(".text")) else {
                continue;
            };
            let symbol =
                name.trim_start_matches(".text").trim_start_matches(".unlikely").trim_start_matches('.');
            let symbol =
                if symbol.is_empty() { object.rsplit('/').next().unwrap_or_default() } else { symbol };
            functions.push(Function { start, size, section: section.into(), symbol: symbol.into() });
            name = "";
        }
        assert!(!functions.is_empty(), "{path} has no functions");
        functions.sort_by_key(|function| function.start);
        Program { functions, data }
    }

    /// The function at an address.
    pub fn at(&self, address: u64) -> Option<&Function> {
        let next = self.functions.partition_point(|function| function.start <= address);
        self.functions.get(next.checked_sub(1)?).filter(|function| address < function.start + function.size)
    }
}
