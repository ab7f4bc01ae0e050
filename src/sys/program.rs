//! The segments in memory of the program that this process runs (elf(5)).
//!
//! They are found through the auxiliary vector (getauxval(3)), which describes the file that the kernel has executed.
//! The symbols of the linker (`__ehdr_start`, `etext`) belong to the object into which this code is linked, and in a
//! program that embeds the library that may be a shared library.

use core::ffi::c_ulong;
use core::ptr::with_exposed_provenance;

use rustix::io::{Errno, Result};

use super::{getauxval, page_size};

/// From include/uapi/linux/auxvec.h.
const AT_PHDR: c_ulong = 3;
const AT_PHNUM: c_ulong = 5;
const AT_SYSINFO_EHDR: c_ulong = 33;

/// From elf(5).
pub const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;
const PT_PHDR: u32 = 6;
pub const PF_X: u32 = 1;
pub const PF_W: u32 = 2;
pub const PF_R: u32 = 4;

/// `Elf64_Phdr` or `Elf32_Phdr` of include/uapi/linux/elf.h.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Segment {
    pub kind: u32,
    #[cfg(target_pointer_width = "64")]
    pub flags: u32,
    pub offset: usize,
    pub vaddr: usize,
    pub paddr: usize,
    pub filesz: usize,
    pub memsz: usize,
    #[cfg(target_pointer_width = "32")]
    pub flags: u32,
    pub align: usize,
}

/// A range of whole pages of the file, as the kernel has mapped it; in bytes.
#[derive(Clone, Copy, Default)]
pub struct Pages {
    pub start: usize,
    pub length: usize,
    /// The offset in the file.
    pub offset: usize,
    /// `PF_R`, `PF_W`, `PF_X`
    pub flags: u32,
}

/// The loaded segments of the program, in ascending order of addresses.
pub struct LoadedProgram {
    pages: [Pages; MOST],
    count: usize,
    /// Whether the program has no interpreter, so that only the kernel has loaded it. An interpreter may relocate
    /// segments that are not writable, and is itself the executed file if the program is its argument (ld.so(8)).
    pub is_static: bool,
}

/// The maximum number of segments; linkers produce two to six.
const MOST: usize = 16;

impl LoadedProgram {
    /// Reads the program headers of this process.
    ///
    /// Errors: ENOEXEC if there are more segments than linkers produce.
    #[inline(never)]
    pub fn current() -> Result<Self> {
        let (address, count) = (getauxval(AT_PHDR) as usize, getauxval(AT_PHNUM) as usize);
        let page_of = |address: usize| address & !(page_size() - 1);
        let mut program = LoadedProgram { pages: [Pages::default(); MOST], count: 0, is_static: true };
        // The load bias, which is added to the addresses in the headers: not 0 for a position-independent program.
        let mut slide = None;
        for index in 0..count {
            let header = (address as *const Segment).wrapping_add(index);
            // SAFETY: the kernel has loaded `count` headers there.
            let Segment { kind, flags, offset, vaddr, filesz, .. } = unsafe { header.read() };
            match kind {
                PT_INTERP => program.is_static = false,
                // It precedes all PT_LOAD headers, but not every linker writes it into a static program.
                PT_PHDR => slide = Some(address.wrapping_sub(vaddr)),
                PT_LOAD if filesz > 0 => {
                    // Without PT_PHDR: the headers are on the first page of the first segment.
                    let slide = *slide.get_or_insert(page_of(address).wrapping_sub(page_of(vaddr)));
                    let start = page_of(slide.wrapping_add(vaddr));
                    let length = page_of(slide.wrapping_add(vaddr) + filesz + page_size() - 1) - start;
                    let place = program.pages.get_mut(program.count).ok_or(Errno::NOEXEC)?;
                    *place = Pages { start, length, offset: page_of(offset), flags };
                    program.count += 1;
                }
                _ => {}
            }
        }
        Ok(program)
    }

    /// The ranges of the file that are mapped. On the last page of a range, the bytes after the file's are zero or
    /// data of the program.
    pub fn mapped(&self) -> &[Pages] {
        self.pages.get(..self.count).unwrap_or_default()
    }
}

/// The end of the vDSO, an ELF file in memory with one segment (vdso(7)); 0 without one.
pub fn end_of_vdso() -> usize {
    // The offset of `e_phoff` (elf(5)).
    const PHOFF: usize = 24 + size_of::<usize>();
    let start = getauxval(AT_SYSINFO_EHDR) as usize;
    if start == 0 {
        return 0;
    }
    // SAFETY: the kernel has mapped the file there, aligned to a page.
    let headers = unsafe { with_exposed_provenance::<usize>(start + PHOFF).read() };
    // SAFETY: as above.
    let segment = unsafe { with_exposed_provenance::<Segment>(start + headers).read() };
    (start + segment.memsz).next_multiple_of(page_size())
}
