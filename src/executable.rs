//! File formats of execve(2), and explanations of its errors: ENOENT, EACCES, ENOEXEC and ELIBBAD may be about the file
//! or about its interpreter, and the kernel does not report which.

use core::ffi::CStr;
use core::fmt;

use rustix::fd::OwnedFd;
use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags, accessat, fstat, openat, statat};
use rustix::io::{Errno, pread};

use crate::error::{Error, Show};
use crate::sys::self_exe::MACHINE;

/// PATH_MAX of include/uapi/linux/limits.h.
const PATH_MAX: usize = 4096;

/// The size of the beginning of a file that the kernel examines (`BINPRM_BUF_SIZE` of include/uapi/linux/binfmts.h).
const HEAD: usize = 256;

/// The maximal number of files in a chain of interpreters (fs/exec.c, `exec_binprm`).
const MOST: usize = 6;

/// Checks whether this process may execute a file: a regular file with execute permission.
pub fn check(path: &CStr) -> Result<(), Errno> {
    match accessat(CWD, path, Access::EXEC_OK, AtFlags::empty()) {
        Err(Errno::ACCESS) => check_effective(path)?,
        other => other?,
    }
    match file_type(path)? {
        FileType::RegularFile => Ok(()),
        _ => Err(Errno::ACCESS),
    }
}

/// Repeats the check with the effective IDs, which execve(2) uses. access(2) uses the real IDs, and ignores
/// capabilities unless the real UID is 0. Without faccessat2 (linux 5.8) the result is EACCES, as before.
#[cold]
#[inline(never)]
fn check_effective(path: &CStr) -> Result<(), Errno> {
    accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS).map_err(|_| Errno::ACCESS)
}

fn file_type(path: &CStr) -> Result<FileType, Errno> {
    statat(CWD, path, AtFlags::empty()).map(|stat| FileType::from_raw_mode(stat.st_mode))
}

/// Adds an explanation to the error of execve(2), or [`check`], of `path`. For the process that failed, with its
/// permissions. Does not allocate.
#[cold]
#[inline(never)]
pub fn explain(error: Error, path: &CStr) -> Error {
    if file_type(path) == Ok(FileType::Directory) {
        return add(error, None, format_args!("is a directory"));
    }
    if check(path).is_err() {
        return error;
    }
    let is_format = error.is(Errno::NOEXEC) || error.is(Errno::LIBBAD);
    // The missing file may be an emulator for that machine (binfmt_misc).
    let is_missing = error.is(Errno::NOENT);
    let (mut space, mut last) = ([0; PATH_MAX], [0; PATH_MAX]);
    let mut interpreter = None;
    for _ in 0..MOST {
        let Ok(content) = Content::of(interpreter.unwrap_or(path), &mut space) else { return error };
        let (kind, next) = match content {
            Content::Elf(machine, _)
                if machine != MACHINE && (is_format || is_missing && !has_compatibility(machine)) =>
            {
                return add(
                    error,
                    interpreter,
                    format_args!("for {}, not for {}", Name(machine), Name(MACHINE)),
                );
            }
            Content::Other(why) if is_format => return add(error, interpreter, format_args!("{why}")),
            Content::Elf(_, None) | Content::Other(_) => return error,
            Content::Elf(_, Some(next)) => ("ELF", next),
            Content::Script(next) => ("#!", next),
        };
        if check(next).is_err() {
            let carriage_return = match next.to_bytes() {
                [.., b'\r'] => " (the line ends in a carriage return)",
                _ => "",
            };
            let what = format_args!("{kind} interpreter \"{}\"{carriage_return}", Show(next));
            return add(error, interpreter, what);
        }
        last.iter_mut().zip(next.to_bytes_with_nul()).for_each(|(to, from)| *to = *from);
        interpreter = CStr::from_bytes_until_nul(&last).ok();
    }
    error
}

/// Appends a reason to the error, preceded by the interpreter, if it is about one.
fn add(mut error: Error, interpreter: Option<&CStr>, reason: fmt::Arguments<'_>) -> Error {
    if let Some(interpreter) = interpreter {
        error.append(format_args!(": interpreter \"{}\"", Show(interpreter)));
    }
    error.append(format_args!(": {reason}"));
    error
}

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content<'s> {
    /// A script: `#!` and this interpreter.
    Script(&'s CStr),
    /// An ELF file: its machine (`e_machine`), and its interpreter, the dynamic loader, if any (elf(5), PT_INTERP).
    Elf(u16, Option<&'s CStr>),
    /// Neither; the text for the error.
    Other(&'static str),
}

impl<'s> Content<'s> {
    /// Reads the format of the file at `path`, which may have been replaced: opening it must not block.
    fn of(path: &CStr, space: &'s mut [u8; PATH_MAX]) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = openat(CWD, path, flags, Mode::empty())?;
        match FileType::from_raw_mode(fstat(&file)?.st_mode) {
            FileType::RegularFile => Content::read(&file, space),
            _ => Err(Errno::ACCESS),
        }
    }

    fn read(file: &OwnedFd, space: &'s mut [u8; PATH_MAX]) -> Result<Self, Errno> {
        let mut head = [0; HEAD];
        let count = pread(file, &mut head, 0)?;
        if count == 0 {
            return Ok(Content::Other("an empty file"));
        }
        if head.starts_with(b"#!") {
            let interpreter = script_interpreter(&head).and_then(|name| keep(name, space));
            return Ok(
                interpreter.map_or(Content::Other("a #! line without an interpreter"), Content::Script)
            );
        }
        let Some(elf) = Elf::of(&head) else {
            return Ok(Content::Other("neither an ELF file nor a script with a #! line"));
        };
        // The buffer holds more program headers than programs have; the kernel reads up to 64 KiB.
        let count = pread(file, space.as_mut_slice(), elf.headers)?;
        let headers = space.get(..count.min(elf.size * elf.count)).unwrap_or_default();
        let Some((place, length)) =
            headers.chunks_exact(elf.size.max(1)).find_map(|header| elf.loader(header))
        else {
            return Ok(Content::Elf(elf.machine, None));
        };
        let length = length.min(PATH_MAX);
        let count = pread(file, space.get_mut(..length).unwrap_or_default(), place)?;
        let loader = space.get(..count).and_then(|name| CStr::from_bytes_until_nul(name).ok());
        Ok(Content::Elf(elf.machine, loader))
    }
}

/// Copies a name into `space` and appends a NUL.
fn keep<'s>(name: &[u8], space: &'s mut [u8; PATH_MAX]) -> Option<&'s CStr> {
    let text = name.iter().chain(b"\0");
    space.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
    CStr::from_bytes_until_nul(space).ok()
}

/// The interpreter in a `#!` line: the first word, up to a blank or the end of the line (fs/binfmt_script.c).
fn script_interpreter(head: &[u8; HEAD]) -> Option<&[u8]> {
    let line = head.get(2..)?.split(|byte| matches!(byte, b'\n' | 0)).next()?;
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    line.split(blank).find(|word| !word.is_empty())
}

/// The header of an ELF file (elf(5)).
struct Elf {
    machine: u16,
    wide: bool,
    little: bool,
    /// Offset of the program headers (`e_phoff`), their size (`e_phentsize`) and number (`e_phnum`).
    headers: u64,
    size: usize,
    count: usize,
}

impl Elf {
    fn of(head: &[u8; HEAD]) -> Option<Self> {
        let (wide, little) = match head.strip_prefix(b"\x7fELF")? {
            [class @ 1..=2, data @ 1..=2, ..] => (*class == 2, *data == 1),
            _ => return None,
        };
        let mut elf = Elf { machine: 0, wide, little, headers: 0, size: 0, count: 0 };
        elf.machine = elf.number(head, 18, 2)? as u16;
        let (place, width, sizes) = if wide { (32, 8, 54) } else { (28, 4, 42) };
        elf.headers = elf.number(head, place, width)?;
        elf.size = elf.number(head, sizes, 2)? as usize;
        elf.count = elf.number(head, sizes + 2, 2)? as usize;
        Some(elf)
    }

    /// Offset and length of the interpreter's path, if the program header is PT_INTERP.
    fn loader(&self, header: &[u8]) -> Option<(u64, usize)> {
        const PT_INTERP: u64 = 3;
        let (place, length, width) = if self.wide { (8, 32, 8) } else { (4, 16, 4) };
        match self.number(header, 0, 4)? {
            PT_INTERP => {
                Some((self.number(header, place, width)?, self.number(header, length, width)? as usize))
            }
            _ => None,
        }
    }

    fn number(&self, bytes: &[u8], place: usize, width: usize) -> Option<u64> {
        let bytes = bytes.get(place..place + width)?;
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(match self.little {
            true => bytes.iter().rev().fold(0, add),
            false => bytes.iter().fold(0, add),
        })
    }
}

/// Machines by number (`EM_*` of include/uapi/linux/elf-em.h), with their names in uname(1).
static MACHINES: [(u16, &str); 11] = [
    (3, "i386"),
    (8, "mips"),
    (20, "ppc"),
    (21, "ppc64"),
    (22, "s390"),
    (40, "arm"),
    (43, "sparc64"),
    (62, "x86_64"),
    (183, "aarch64"),
    (243, "riscv"),
    (258, "loongarch"),
];

/// Whether a kernel for [`MACHINE`] may run programs for this machine: then the missing file may be the dynamic loader.
fn has_compatibility(machine: u16) -> bool {
    matches!((MACHINE, machine), (62, 3) | (3, 62) | (183, 40) | (40, 183))
}

/// Displays a machine's name, or its number if the name is unknown.
struct Name(u16);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match MACHINES.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "machine {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use rustix::fs::{MemfdFlags, memfd_create};
    use rustix::io::write;

    fn read<'s>(content: &[u8], space: &'s mut [u8; PATH_MAX]) -> Content<'s> {
        let file = memfd_create(c"executable", MemfdFlags::CLOEXEC).unwrap();
        assert_eq!(write(&file, content), Ok(content.len()));
        Content::read(&file, space).unwrap()
    }

    fn check(file: &[u8], expected: Content<'_>) {
        assert_eq!(read(file, &mut [0; PATH_MAX]), expected);
    }

    #[test]
    fn scripts() {
        for (file, interpreter) in [
            (&b"#!/bin/sh\n"[..], c"/bin/sh"),
            (b"#! \t/bin/sh -e\n/x", c"/bin/sh"),
            (b"#!/bin/sh\t-e", c"/bin/sh"),
            (b"#!/bin/sh\r\necho\r\n", c"/bin/sh\r"),
            (b"#!/usr/bin/env sh\r\n", c"/usr/bin/env"),
            (b"#!x", c"x"),
        ] {
            check(file, Content::Script(interpreter));
        }
        for file in [&b"#!"[..], b"#!\n/bin/sh", b"#! \t\n"] {
            check(file, Content::Other("a #! line without an interpreter"));
        }
        let long = [b"#!/", &[b'a'; 1000][..]].concat();
        let mut space = [0; PATH_MAX];
        assert!(matches!(read(&long, &mut space), Content::Script(name) if name.count_bytes() == HEAD - 2));
    }

    /// An ELF file of this class and byte order, with a program header before PT_INTERP.
    fn elf(machine: u16, wide: bool, little: bool, loader: &[u8]) -> Vec<u8> {
        let number = |value: u64, width: usize| match little {
            true => value.to_le_bytes().get(..width).unwrap().to_vec(),
            false => value.to_be_bytes().get(8 - width..).unwrap().to_vec(),
        };
        let (size, length) = if wide { (56, 64) } else { (32, 52) };
        let mut file = vec![0; length + 2 * size];
        let mut put = |place: usize, bytes: &[u8]| {
            file.get_mut(place..place + bytes.len()).unwrap().copy_from_slice(bytes)
        };
        put(0, b"\x7fELF");
        put(4, &[1 + u8::from(wide), 2 - u8::from(little)]);
        put(18, &number(machine.into(), 2));
        let (headers, width, sizes) = if wide { (32, 8, 54) } else { (28, 4, 42) };
        put(headers, &number(length as u64, width));
        put(sizes, &number(size as u64, 2));
        put(sizes + 2, &number(2, 2));
        put(length, &number(1, 4));
        put(length + size, &number(3, 4));
        let (place, count, width) = if wide { (8, 32, 8) } else { (4, 16, 4) };
        put(length + size + place, &number((length + 2 * size) as u64, width));
        put(length + size + count, &number(loader.len() as u64, width));
        [file, loader.to_vec()].concat()
    }

    #[test]
    fn elf_files() {
        for (machine, wide, little) in
            [(62, true, true), (3, false, true), (22, true, false), (20, false, false)]
        {
            let whole = elf(machine, wide, little, b"/lib/ld.so\0");
            check(&whole, Content::Elf(machine, Some(c"/lib/ld.so")));
            check(&elf(machine, wide, little, b"/lib/ld.so"), Content::Elf(machine, None));
            // A truncated file is treated as one without a loader.
            for length in 64..whole.len() {
                check(whole.get(..length).unwrap(), Content::Elf(machine, None));
            }
        }
        let mut strange = elf(62, true, true, b"/lib/ld.so\0");
        for (place, bytes) in [(54, [0, 0]), (54, [0xff, 0xff]), (56, [0xff, 0xff]), (32, [0xff, 0xff])] {
            strange.get_mut(place..place + 2).unwrap().copy_from_slice(&bytes);
            assert!(matches!(read(&strange, &mut [0; PATH_MAX]), Content::Elf(62, _)));
        }
    }

    #[test]
    fn others() {
        check(b"", Content::Other("an empty file"));
        for file in [&b"text"[..], b"#", b"\x7fEL", b"\x7fELF", b"\x7fELF\x03\x01", b"\x7fELF\x02\x00"] {
            check(file, Content::Other("neither an ELF file nor a script with a #! line"));
        }
    }
}
