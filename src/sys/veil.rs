//! Takes this program's own file out of the process that goes into a container (prctl(2), PR_SET_MM_MAP).
//!
//! What a container's process runs as `/proc/self/exe`, by its name, as an interpreter or as a loader, is
//! the file of the process before execve: the runtime's own on the host, which can then be opened and, when
//! nobody runs it any more, written to (CVE-2019-5736); and as long as pages of the file are mapped, a hole
//! in the kernel that writes to the page cache writes to the host's runtime (CVE-2026-31431). So the child
//! moves to a file of its own in memory: every segment of the program is copied there and mapped in the
//! place of the old one, until nothing maps the host's file; then the kernel lets the new one be this
//! process's executable. Who runs that does not run mote: its first page is a program that does nothing but
//! exit 126. It is sealed. Of a mapped file only what is used is resident, unlike of a copy.
//!
//! Needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN in the current user namespace, and a kernel with
//! CONFIG_CHECKPOINT_RESTORE.

use core::mem::size_of;
use core::ptr::copy_nonoverlapping;

use linux_raw_sys::general::{
    __NR_mmap, __NR_prctl, __NR_pwrite64, MAP_FIXED, MAP_PRIVATE, PROT_EXEC, PROT_READ, PROT_WRITE,
};
use linux_raw_sys::prctl::{PR_SET_MM, PR_SET_MM_MAP, prctl_mm_map};
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags, fcntl_add_seals, memfd_create, open, sendfile};
use rustix::io::{Errno, Result, pwrite};

use super::fd::close_in_child;
use super::text;

/// `Elf64_Ehdr` of include/uapi/linux/elf.h.
#[repr(C)]
#[derive(Clone, Copy)]
struct Header {
    ident: [u8; 16],
    kind: u16,
    machine: u16,
    version: u32,
    entry: u64,
    phoff: u64,
    shoff: u64,
    flags: u32,
    ehsize: u16,
    phentsize: u16,
    phnum: u16,
    rest: [u16; 3],
}

/// `Elf64_Phdr`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Segment {
    kind: u32,
    flags: u32,
    offset: u64,
    vaddr: u64,
    paddr: u64,
    filesz: u64,
    memsz: u64,
    align: u64,
}

const PT_LOAD: u32 = 1;

/// Of elf(5).
const PF_X: u32 = 1;
const PF_W: u32 = 2;
const PF_R: u32 = 4;

unsafe extern "C" {
    /// Where the program's own header is loaded: every linker for ELF provides it.
    static __ehdr_start: Header;
}

/// This program's file, for [`veil`]: opened where /proc is the host's. `None` where it may be run but not read.
pub fn own() -> Option<OwnedFd> {
    open(c"/proc/self/exe", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// Puts the process on a file in memory with the program's segments, which as an executable is the stub. They are
/// copied out of `own`, which is closed, without being mapped meanwhile; without it they are written from where they
/// are.
pub fn veil(own: Option<&OwnedFd>) -> Result<()> {
    let file = memory()?;
    let page = super::page_size();
    let header = &raw const __ehdr_start;
    // SAFETY: the linker puts the symbol at the header that the kernel has loaded with the first segment;
    // it is not written to before the stub is.
    let Header { phoff, phnum, .. } = unsafe { *header };
    let base = header as usize;
    let segments = (base + phoff as usize) as *const Segment;
    // The program headers lie behind the header, in the first segment, phnum of them.
    // SAFETY: as said; each is copied, since the page it is in will be replaced.
    let segment = |index: u16| unsafe { segments.wrapping_add(index.into()).read() };
    let loaded = || (0..phnum).map(segment).filter(|segment| segment.kind == PT_LOAD);
    let copied = own.map_or(0, |own| {
        // Not what comes behind: symbols, and all that is for debuggers.
        let end = loaded().map(|segment| segment.offset + segment.filesz).max();
        let copied = sendfile(&file, own, None, end.unwrap_or(0) as usize).unwrap_or(0);
        close_in_child(own.as_fd());
        copied as u64
    });
    let mut first = None;
    text::forget();
    for segment in loaded() {
        let slide = base - *first.get_or_insert(segment.vaddr as usize);
        let start = (slide + segment.vaddr as usize) & !(page - 1);
        let end = (slide + segment.vaddr as usize + segment.filesz as usize).next_multiple_of(page);
        let pages = Pages { start, length: end - start, offset: segment.offset as usize & !(page - 1) };
        if segment.flags & PF_W != 0 || copied < segment.offset + segment.filesz {
            pages.write_to(&file)?;
        }
        pages.map_from(&file, segment.flags)?;
    }
    // Over the header, which has been read for the last time.
    pwrite(&file, &stub(), 0)?;
    fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    set_executable(&file, base)?;
    // Closed with all others before the program runs.
    core::mem::forget(file);
    Ok(())
}

/// Pages of the program, and where they are in a file like it.
struct Pages {
    start: usize,
    length: usize,
    offset: usize,
}

impl Pages {
    fn write_to(&self, file: &OwnedFd) -> Result<()> {
        let number = file.as_raw_fd() as usize;
        // SAFETY: the kernel reads the pages, which are the program's, mapped and readable. Nothing writes to them
        // before they are mapped: there is one thread, and this function has its variables on the stack.
        let written =
            unsafe { sc::syscall4(__NR_pwrite64 as usize, number, self.start, self.length, self.offset) };
        match super::check(written)? == self.length {
            true => Ok(()),
            false => Err(Errno::NOSPC),
        }
    }

    fn map_from(&self, file: &OwnedFd, flags: u32) -> Result<()> {
        let number = file.as_raw_fd() as usize;
        let bits = [(PF_X, PROT_EXEC), (PF_W, PROT_WRITE), (PF_R, PROT_READ)];
        let protection = bits.iter().filter(|(bit, _)| flags & bit != 0).fold(0, |all, (_, one)| all | one);
        let (protection, how) = (protection as usize, (MAP_PRIVATE | MAP_FIXED) as usize);
        // SAFETY: in one step the pages are replaced by ones with the same bytes and the rights of the segment, so
        // code that is running, and data that is referred to, is there before and after.
        let mapped = unsafe {
            sc::syscall6(__NR_mmap as usize, self.start, self.length, protection, how, number, self.offset)
        };
        super::check(mapped).map(drop)
    }
}

/// Tells the kernel that `file` is what this process runs.
fn set_executable(file: &OwnedFd, base: usize) -> Result<()> {
    // Addresses that ps(1) and the like go by; the program that comes next has its own. They must only be
    // in order, and this process's.
    let here = base as u64;
    let mut map = prctl_mm_map {
        start_code: here,
        end_code: here + 1,
        start_data: here,
        end_data: here,
        start_brk: here,
        brk: here,
        start_stack: here,
        arg_start: TITLE.as_ptr() as u64,
        arg_end: TITLE.as_ptr() as u64 + TITLE.len() as u64,
        env_start: here,
        env_end: here,
        auxv: core::ptr::null_mut(),
        auxv_size: 0,
        exe_fd: file.as_raw_fd() as u32,
    };
    let (option, what, size) = (PR_SET_MM as usize, PR_SET_MM_MAP as usize, size_of::<prctl_mm_map>());
    // SAFETY: the structure outlives the call, and its size is given.
    super::check(unsafe { sc::syscall5(__NR_prctl as usize, option, what, &raw mut map as usize, size, 0) })
        .map(drop)
}

/// What ps(1) shows of a container that is not started yet.
static TITLE: [u8; 10] = *b"mote init\0";

/// An empty file in memory that can be executed.
fn memory() -> Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match memfd_create(c"mote", flags | MemfdFlags::EXEC) {
        // Before linux 6.3 every such file could be executed, and nobody could say so.
        Err(Errno::INVAL) => memfd_create(c"mote", flags),
        file => file,
    }
}

/// The stub: a whole program, no longer than the headers of any other.
fn stub() -> [u8; CODE_AT + size_of_val(&CODE)] {
    let header = Header {
        ident: *b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0",
        kind: 2,
        machine: MACHINE,
        version: 1,
        entry: ADDRESS + CODE_AT as u64,
        phoff: size_of::<Header>() as u64,
        shoff: 0,
        flags: 0,
        ehsize: size_of::<Header>() as u16,
        phentsize: size_of::<Segment>() as u16,
        phnum: 1,
        rest: [0; 3],
    };
    let length = (CODE_AT + size_of_val(&CODE)) as u64;
    let segment = Segment {
        kind: PT_LOAD,
        flags: 5,
        offset: 0,
        vaddr: ADDRESS,
        paddr: ADDRESS,
        filesz: length,
        memsz: length,
        align: 0x1000,
    };
    let mut image = [0u8; CODE_AT + size_of_val(&CODE)];
    // SAFETY: both structures are plain numbers without padding, and end before CODE_AT.
    unsafe { copy_nonoverlapping((&raw const header).cast::<u8>(), image.as_mut_ptr(), size_of::<Header>()) };
    let after = image.as_mut_ptr().wrapping_add(size_of::<Header>());
    // SAFETY: as above.
    unsafe { copy_nonoverlapping((&raw const segment).cast::<u8>(), after, size_of::<Segment>()) };
    for (place, byte) in image.iter_mut().skip(CODE_AT).zip(CODE.iter().flat_map(|word| word.to_le_bytes())) {
        *place = byte;
    }
    image
}

/// Above what mmap_min_addr keeps free on any host.
const ADDRESS: u64 = 0x20_0000;
const CODE_AT: usize = size_of::<Header>() + size_of::<Segment>();

// exit_group(126): "found, but cannot be executed", as shells have it.
#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;
#[cfg(target_arch = "x86_64")]
/// mov edi, 126; mov eax, 231; syscall; nop
static CODE: [u32; 4] = [0x0000_7ebf, 0x00e7_b800, 0x050f_0000, 0x9090_9090];
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;
#[cfg(target_arch = "aarch64")]
/// mov x0, 126; mov x8, 94; svc 0; nop
static CODE: [u32; 4] = [0xd280_0fc0, 0xd280_0bc8, 0xd400_0001, 0xd503_201f];
#[cfg(target_arch = "riscv64")]
const MACHINE: u16 = 243;
#[cfg(target_arch = "riscv64")]
/// li a0, 126; li a7, 94; ecall; nop
static CODE: [u32; 4] = [0x07e0_0513, 0x05e0_0893, 0x0000_0073, 0x0000_0013];
