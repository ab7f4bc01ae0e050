//! The program that this process runs, by its segments in memory (elf(5)).
//!
//! They are found by the auxiliary vector (getauxval(3)), which tells of the file that the kernel has executed. A
//! linker's symbols (`__ehdr_start`, `etext`) are of the object that this code is linked into, which in somebody
//! else's program may be a shared library.

use core::ffi::c_ulong;

use rustix::io::{Errno, Result};

use super::{getauxval, page_size};

/// Of include/uapi/linux/auxvec.h.
const AT_PHDR: c_ulong = 3;
const AT_PHNUM: c_ulong = 5;

/// Of elf(5).
pub const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;
const PT_PHDR: u32 = 6;
pub const PF_X: u32 = 1;
pub const PF_W: u32 = 2;
pub const PF_R: u32 = 4;

/// `Elf64_Phdr` of include/uapi/linux/elf.h.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Segment {
    pub kind: u32,
    pub flags: u32,
    pub offset: u64,
    pub vaddr: u64,
    pub paddr: u64,
    pub filesz: u64,
    pub memsz: u64,
    pub align: u64,
}

/// Whole pages of the file, where the kernel has mapped them.
#[derive(Clone, Copy, Default)]
pub struct Pages {
    pub start: usize,
    pub length: usize,
    /// Where they are in the file.
    pub offset: usize,
    /// `PF_R`, `PF_W`, `PF_X`
    pub flags: u32,
}

/// The segments of the program, in ascending order.
pub struct LoadedProgram {
    pages: [Pages; MOST],
    count: usize,
    /// Nobody but the kernel has loaded it: there is no interpreter, which may relocate what is not writable, and which is
    /// the executed file when it is given the program as an argument (ld.so(8)).
    pub is_static: bool,
}

/// Linkers make two to six.
const MOST: usize = 16;

impl LoadedProgram {
    /// Errors: ENOEXEC where there are more segments than any linker makes.
    #[inline(never)]
    pub fn current() -> Result<Self> {
        let (address, count) = (getauxval(AT_PHDR) as usize, getauxval(AT_PHNUM) as usize);
        let page_of = |address: usize| address & !(page_size() - 1);
        let mut program = LoadedProgram { pages: [Pages::default(); MOST], count: 0, is_static: true };
        // What is added to the headers' addresses: not 0 in a position-independent program.
        let mut slide = None;
        for index in 0..count {
            let header = (address as *const Segment).wrapping_add(index);
            // SAFETY: the kernel has loaded so many headers there.
            let Segment { kind, flags, offset, vaddr, filesz, .. } = unsafe { header.read() };
            match kind {
                PT_INTERP => program.is_static = false,
                // It comes before all that are loaded, but not every linker writes it into a static program.
                PT_PHDR => slide = Some(address.wrapping_sub(vaddr as usize)),
                PT_LOAD if filesz > 0 => {
                    let vaddr = vaddr as usize;
                    // Without it the headers are on the first page.
                    let slide = *slide.get_or_insert(page_of(address).wrapping_sub(page_of(vaddr)));
                    let start = page_of(slide.wrapping_add(vaddr));
                    let length =
                        page_of(slide.wrapping_add(vaddr) + filesz as usize + page_size() - 1) - start;
                    let place = program.pages.get_mut(program.count).ok_or(Errno::NOEXEC)?;
                    *place = Pages { start, length, offset: page_of(offset as usize), flags };
                    program.count += 1;
                }
                _ => {}
            }
        }
        Ok(program)
    }

    /// What of the file is mapped; bytes behind it, on the last page, are zero or data of the program.
    pub fn mapped(&self) -> &[Pages] {
        self.pages.get(..self.count).unwrap_or_default()
    }
}
