//! Replaces /proc/self/exe of a process that enters a container by a memfd copy (prctl(2), PR_SET_MM_MAP).
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
//! This is so for the program's own file, however it is linked, and in a program with threads, of which the child has
//! none. A dynamically linked program, which is not what is installed, has its libraries' pages besides until execve.
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
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags, fcntl_add_seals, memfd_create, sendfile};
use rustix::io::{Errno, Result, pwrite};

use super::fd::close_in_child;
use super::program::{LoadedProgram, PF_R, PF_W, PF_X, PT_LOAD, Pages, Segment};
use super::program_text;

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

/// Opens /proc/self/exe, for [`replace`]; the caller must still see the host's /proc. `None` for a program that may be executed
/// but not read.
pub fn open() -> Option<OwnedFd> {
    rustix::fs::open(c"/proc/self/exe", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// Puts the process on a file in memory with the program's segments, which as an executable is the stub. `own` is closed.
///
/// In the file the pages of one segment follow those of the other: two segments may share a page of the program's file,
/// which the kernel has mapped twice, with other bytes in each place by now. All are written before the first is mapped,
/// from where they are in memory. But what a static program has not written to is copied out of `own`, as far as it has
/// the same places there, so as not to be resident for that.
///
/// Errors: those of the calls; ENOEXEC for a program whose file does not begin with its first segment; EBUSY when its
/// file is mapped once more, or is not the one executed (ld.so(8) with the program as an argument).
pub fn replace(exe: Option<&OwnedFd>) -> Result<()> {
    let file = memory()?;
    let program = LoadedProgram::current()?;
    let first = program.mapped().first().filter(|first| first.offset == 0).ok_or(Errno::NOEXEC)?;
    let copied = exe.map_or(0, |exe| {
        let copied = sendfile(&file, exe, None, alike(&program)).unwrap_or(0);
        close_in_child(exe.as_fd());
        copied
    });
    let mut at = 0;
    for pages in program.mapped() {
        if pages.flags & PF_W != 0 || copied < at + pages.length {
            write(pages, &file, at)?;
        }
        at += pages.length;
    }
    program_text::drop_text_pages();
    at = 0;
    for pages in program.mapped() {
        map(pages, &file, at)?;
        at += pages.length;
    }
    // Over the headers, which have been read for the last time.
    pwrite(&file, &stub(), 0)?;
    fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    set_executable(&file, first.start)?;
    // Closed with all others before the program runs.
    core::mem::forget(file);
    Ok(())
}

/// How much of the program's file is as it will be in the copy: what is not written to, at the same places.
fn alike(program: &LoadedProgram) -> usize {
    let mut length = 0;
    for pages in program.mapped() {
        if !program.is_static || pages.offset != length || pages.flags & PF_W != 0 {
            break;
        }
        length += pages.length;
    }
    length
}

/// Copies pages of the program into the file.
fn write(pages: &Pages, file: &OwnedFd, at: usize) -> Result<()> {
    let number = file.as_raw_fd() as usize;
    // SAFETY: the kernel reads the pages, which are the program's and mapped. Nothing writes to them before they are
    // replaced: there is one thread, and `replace` has its variables on the stack.
    let written = unsafe { sc::syscall4(__NR_pwrite64 as usize, number, pages.start, pages.length, at) };
    match super::check(written)? == pages.length {
        true => Ok(()),
        false => Err(Errno::NOSPC),
    }
}

/// Maps their copies in the place of pages of the program.
fn map(pages: &Pages, file: &OwnedFd, at: usize) -> Result<()> {
    let number = file.as_raw_fd() as usize;
    let bits = [(PF_X, PROT_EXEC), (PF_W, PROT_WRITE), (PF_R, PROT_READ)];
    let protection = bits.iter().filter(|(bit, _)| pages.flags & bit != 0).fold(0, |all, (_, one)| all | one);
    let (protection, how) = (protection as usize, (MAP_PRIVATE | MAP_FIXED) as usize);
    // SAFETY: in one step the pages are replaced by ones with the same bytes and the rights of the segment, so
    // code that is running, and data that is referred to, is there before and after.
    let mapped =
        unsafe { sc::syscall6(__NR_mmap as usize, pages.start, pages.length, protection, how, number, at) };
    super::check(mapped).map(drop)
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
