//! Replaces /proc/self/exe of a process that enters a container by a memfd copy (prctl(2), PR_SET_MM_MAP).
//!
//! If a process executes `/proc/self/exe`, as program, interpreter or loader, that is the file of the process before
//! execve: the runtime on the host. A container could open it, and write to it once no process runs it any more
//! (CVE-2019-5736); and as long as pages of the file are mapped, a kernel bug that lets a process write to the page
//! cache modifies the runtime on the host (CVE-2026-31431). So the child switches to a memfd: every segment of the
//! program is copied to it and mapped in place of the old one, until no mapping of the host's file is left; only then
//! the kernel accepts the memfd as the executable of the process. Executing it does not run mote: its first page is a
//! program that only exits with code 126. The memfd is sealed. Only the used pages of its mappings are resident,
//! unlike those of a copy in anonymous memory.
//!
//! This applies to the program's own file, however it is linked, and also if the program has threads, of which the
//! child has none. In a dynamically linked program, which is not what is installed, the pages of libraries stay
//! mapped until execve.
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

/// Opens /proc/self/exe, for [`replace`]; /proc must still be the host's. `None` if the program may be executed but not
/// read.
pub fn open() -> Option<OwnedFd> {
    rustix::fs::open(c"/proc/self/exe", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// Replaces the mappings of the program by those of a memfd with the same content, and makes the memfd, which as an
/// executable is the stub, the executable of the process. `exe` is closed.
///
/// In the memfd the pages of the segments follow each other: two segments may share a page of the program's file, which
/// the kernel has mapped twice, and whose two copies may differ by now. All are written, from memory, before the first
/// is mapped. But segments that a static program has not written to are copied from `exe`, as far as they have the same
/// offsets there, so that their pages do not become resident.
///
/// Errors: those of the calls; ENOEXEC if the program's file does not begin with its first segment; EBUSY if the file
/// is mapped a second time, or is not the executed one (ld.so(8) with the program as an argument).
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
    // Overwrites the ELF headers, which are not read any more.
    pwrite(&file, &stub(), 0)?;
    fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    set_executable(&file, first.start)?;
    // Closed with all other file descriptors before the program runs.
    core::mem::forget(file);
    Ok(())
}

/// The number of leading bytes that the memfd will have in common with the program's file: segments that are not
/// writable, at the same offsets.
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

/// Writes pages of the program to the memfd at offset `at`.
fn write(pages: &Pages, file: &OwnedFd, at: usize) -> Result<()> {
    let number = file.as_raw_fd() as usize;
    // SAFETY: the kernel reads pages of the program, which are mapped. They are not written to before they are
    // replaced: there is one thread, and the variables of `replace` are on the stack.
    let written = unsafe { sc::syscall4(__NR_pwrite64 as usize, number, pages.start, pages.length, at) };
    match super::check(written)? == pages.length {
        true => Ok(()),
        false => Err(Errno::NOSPC),
    }
}

/// Maps the copy at offset `at` of the memfd in place of pages of the program.
fn map(pages: &Pages, file: &OwnedFd, at: usize) -> Result<()> {
    let number = file.as_raw_fd() as usize;
    let bits = [(PF_X, PROT_EXEC), (PF_W, PROT_WRITE), (PF_R, PROT_READ)];
    let protection = bits.iter().filter(|(bit, _)| pages.flags & bit != 0).fold(0, |all, (_, one)| all | one);
    let (protection, how) = (protection as usize, (MAP_PRIVATE | MAP_FIXED) as usize);
    // SAFETY: the pages are atomically replaced by pages with the same bytes and the protection of the segment, so the
    // code that runs and the data in use are mapped before and after.
    let mapped =
        unsafe { sc::syscall6(__NR_mmap as usize, pages.start, pages.length, protection, how, number, at) };
    super::check(mapped).map(drop)
}

/// Makes `file` the executable of this process (PR_SET_MM_MAP).
fn set_executable(file: &OwnedFd, base: usize) -> Result<()> {
    // Addresses that procfs shows, for ps(1) and others, until execve. They only have to be in ascending order, and
    // within the address space of this process.
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

/// The command line that ps(1) shows for the process before execve.
static TITLE: [u8; 10] = *b"mote init\0";

/// Creates an empty memfd that can be executed.
fn memory() -> Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match memfd_create(c"mote", flags | MemfdFlags::EXEC) {
        // Before linux 6.3 every memfd could be executed, and there was no flag.
        Err(Errno::INVAL) => memfd_create(c"mote", flags),
        file => file,
    }
}

/// The stub: a complete ELF program, no longer than the ELF and program headers of any other.
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
    // SAFETY: both structures consist of integers without padding, and end before CODE_AT.
    unsafe { copy_nonoverlapping((&raw const header).cast::<u8>(), image.as_mut_ptr(), size_of::<Header>()) };
    let after = image.as_mut_ptr().wrapping_add(size_of::<Header>());
    // SAFETY: as above.
    unsafe { copy_nonoverlapping((&raw const segment).cast::<u8>(), after, size_of::<Segment>()) };
    for (place, byte) in image.iter_mut().skip(CODE_AT).zip(CODE.iter().flat_map(|word| word.to_le_bytes())) {
        *place = byte;
    }
    image
}

/// The load address of the stub: above any usual vm.mmap_min_addr.
const ADDRESS: u64 = 0x20_0000;
const CODE_AT: usize = size_of::<Header>() + size_of::<Segment>();

// exit_group(126): "found, but cannot be executed", as in shells.
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
