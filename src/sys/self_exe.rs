//! Replaces /proc/self/exe of a process that enters a container by a memfd copy (prctl(2), PR_SET_MM_MAP).
//!
//! If a process executes `/proc/self/exe`, as program, interpreter or loader, that is the file of the process before
//! execve: the runtime on the host. A container could open it, and write to it once no process runs it any more
//! (CVE-2019-5736); and as long as pages of the file are mapped, a kernel bug that lets a process write to the page
//! cache modifies the runtime on the host (CVE-2026-31431). So the child switches to a memfd: every segment of the
//! program is copied to it and mapped in place of the old one, until no mapping of the host's file is left; only then
//! the kernel accepts the memfd as the executable of the process. Executing it does not run mote: its first page is a
//! program that only exits with code 126. The memfd is sealed. Only the used pages of its mappings are resident,
//! unlike those of a copy in anonymous memory. The first page also has the code with which a process waits that gives
//! all its other pages back (`call_list.rs`).
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
    __NR_close, __NR_fcntl, __NR_ftruncate, __NR_prctl, F_ADD_SEALS, MAP_FIXED, MAP_PRIVATE, PROT_EXEC,
    PROT_READ, PROT_WRITE,
};
use linux_raw_sys::prctl::{PR_SET_MM, PR_SET_MM_MAP};
use rustix::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use rustix::fs::{
    MemfdFlags, Mode, OFlags, SealFlags, SeekFrom, fcntl_add_seals, memfd_create, seek, sendfile,
};
use rustix::io::{Errno, Result, pwrite};

use super::call_list::{self, CallList, First, ListedCall};
use super::fd::close_in_child;
use super::page_size;
use super::program::{LoadedProgram, PF_R, PF_W, PF_X, PT_LOAD, Pages, Segment};
use super::program_text;

/// `Elf64_Ehdr` or `Elf32_Ehdr` of include/uapi/linux/elf.h.
#[repr(C)]
#[derive(Clone, Copy)]
struct Header {
    ident: [u8; 16],
    kind: u16,
    machine: u16,
    version: u32,
    entry: usize,
    phoff: usize,
    shoff: usize,
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

/// What stays of the program in a process that releases its memory while it waits.
pub struct FirstPage {
    /// The memfd.
    file: OwnedFd,
    /// The address of the page.
    address: usize,
    /// Whether the kernel has the structure of 64-bit processes alone.
    is_wide: bool,
}

/// Replaces the mappings of the program by those of a memfd with the same content, and makes the memfd, which as an
/// executable is the stub, the executable of the process. `exe` is closed. If the process will wait (`waits`) and can
/// release its memory then, returns the means for that.
///
/// In the memfd the pages of the segments follow each other, behind the page of the stub: two segments may share a page
/// of the program's file, which the kernel has mapped twice, and whose two copies may differ by now. All are written,
/// from memory, before the first is mapped. But segments that a static program has not written to are copied from
/// `exe`, as far as they follow each other there too, so that their pages do not become resident.
///
/// Errors: those of the calls; EBUSY of prctl(2) if the program's file is mapped a second time, or is not the executed one
/// (ld.so(8) with the program as an argument).
pub fn replace(exe: Option<&OwnedFd>, waits: bool) -> core::result::Result<Option<FirstPage>, FailedCall> {
    let file = memory().or_call("memfd_create")?;
    let program = LoadedProgram::current().or_call("getauxval AT_PHDR")?;
    let first = program.mapped().first().ok_or(Errno::NOEXEC).or_call("getauxval AT_PHDR")?;
    pwrite(&file, &first_page(), 0).or_call("pwrite memfd")?;
    seek(&file, SeekFrom::Start(page_size() as u64)).or_call("lseek memfd")?;
    let copied = exe.map_or(0, |exe| {
        let copied = sendfile(&file, exe, None, alike(&program)).unwrap_or(0);
        close_in_child(exe.as_fd());
        copied
    });
    let mut at = 0;
    for pages in program.mapped() {
        if pages.flags & PF_W != 0 || copied < at + pages.length {
            write(pages, &file, page_size() + at).or_call("pwrite memfd")?;
        }
        at += pages.length;
    }
    program_text::drop_text_pages();
    at = page_size();
    for pages in program.mapped() {
        map(Some(pages.start), pages, &file, at).or_call("mmap memfd")?;
        at += pages.length;
    }
    let page = match waits && program.is_static && CAN_RELEASE {
        true => {
            let page = Pages { length: page_size(), flags: PF_R | PF_X, ..Pages::default() };
            Some(map(None, &page, &file, 0).or_call("mmap memfd")?)
        }
        false => None,
    };
    // Without F_SEAL_SHRINK it can still be truncated, which releases its pages.
    fcntl_add_seals(&file, if page.is_some() { FIRST_SEALS } else { FIRST_SEALS | LAST_SEALS })
        .or_call("fcntl F_ADD_SEALS")?;
    let is_wide = set_executable(first.start, &file).or_call("prctl PR_SET_MM_MAP")?;
    match page {
        Some(address) => Ok(Some(FirstPage { file, address, is_wide })),
        None => {
            // Closed with all other file descriptors before the program runs.
            core::mem::forget(file);
            Ok(None)
        }
    }
}

/// Whether a process can wait without its memory: see `call_list.rs`.
const CAN_RELEASE: bool = cfg!(target_env = "musl");

/// Not F_SEAL_WRITE: the kernel then searches all pages for references that could be used to write, waits for 150 ms, and
/// returns EBUSY if there are any, even those of a pipe or of the migration of memory (mm/memfd.c,
/// `memfd_wait_for_pins`). They could only come from a shared writable mapping, of which there was none.
const FIRST_SEALS: SealFlags = SealFlags::GROW.union(SealFlags::FUTURE_WRITE);
const LAST_SEALS: SealFlags = SealFlags::SEAL.union(SealFlags::SHRINK);

/// An error, and the system call that returned it.
pub struct FailedCall {
    pub errno: Errno,
    pub call: &'static str,
}

/// Adds the system call to an error.
trait OrCall<T> {
    fn or_call(self, call: &'static str) -> core::result::Result<T, FailedCall>;
}

impl<T> OrCall<T> for Result<T> {
    fn or_call(self, call: &'static str) -> core::result::Result<T, FailedCall> {
        self.map_err(|errno| FailedCall { errno, call })
    }
}

impl FirstPage {
    /// The fd number of the memfd, which must stay open until [`FirstPage::release_others`].
    pub fn raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Adds the calls to a list that release all other memory of this process and of the memfd, and close the memfd.
    pub fn release_others(&self, list: &mut CallList) {
        list.unmap_others(self.address);
        let title = list.bytes(&TITLE).number();
        let title = Some((title, title + TITLE.len()));
        let arguments = if self.is_wide {
            let map = MemoryMap::<u64>::new(self.address, title, None);
            map.arguments(list.object(map).number())
        } else {
            let map = MemoryMap::<usize>::new(self.address, title, None);
            map.arguments(list.object(map).number())
        };
        list.add(ListedCall::new(__NR_prctl, First::Is(PR_SET_MM as usize), arguments));
        let file = First::Is(self.file.as_raw_fd() as usize);
        list.add(ListedCall::new(__NR_ftruncate, file, [page_size(), 0, 0, 0]));
        list.add(ListedCall::new(__NR_fcntl, file, [F_ADD_SEALS as usize, LAST_SEALS.bits() as usize, 0, 0]));
        list.add(ListedCall::new(__NR_close, file, [0; 4]));
    }

    /// Makes the calls of the list, with the code in this page. Returns only if the memory of the list did not suffice.
    pub fn run(&self, list: CallList) {
        list.run(self.address + WAIT_AT);
    }
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
    let mut done = 0;
    // A short write, as at RLIMIT_FSIZE, is continued for its error.
    while done < pages.length {
        let (start, length, at) = (pages.start + done, pages.length - done, at + done);
        // SAFETY: the kernel reads pages of the program, which are mapped. They are not written to before they are
        // replaced: there is one thread, and the variables of `replace` are on the stack.
        let written = unsafe { super::raw::pwrite(number, start, length, at) };
        done += super::check(written)?;
    }
    Ok(())
}

/// Maps the copy of pages at offset `at` of the memfd: in place of those at the address `over`, or where the kernel finds
/// place. Returns the address.
fn map(over: Option<usize>, pages: &Pages, file: &OwnedFd, at: usize) -> Result<usize> {
    let number = file.as_raw_fd() as usize;
    let bits = [(PF_X, PROT_EXEC), (PF_W, PROT_WRITE), (PF_R, PROT_READ)];
    let protection = bits.iter().filter(|(bit, _)| pages.flags & bit != 0).fold(0, |all, (_, one)| all | one);
    let how = if over.is_some() { MAP_PRIVATE | MAP_FIXED } else { MAP_PRIVATE };
    let address = over.unwrap_or_default();
    // SAFETY: the pages are atomically replaced by pages with the same bytes and the protection of the segment, so the
    // code that runs and the data in use are mapped before and after.
    let mapped = unsafe { super::raw::mmap(address, pages.length, protection, how, number, at) };
    super::check(mapped)
}

/// `struct prctl_mm_map` of include/uapi/linux/prctl.h, with a pointer of this width: for a 32-bit process a 64-bit kernel has
/// no other structure than its own (kernel/sys.c, `prctl_set_mm_map`).
#[repr(C)]
#[derive(Clone, Copy)]
struct MemoryMap<W> {
    /// From `start_code` to `env_end`.
    addresses: [u64; 11],
    auxv: W,
    auxv_size: u32,
    exe_fd: u32,
}

impl<W: Default> MemoryMap<W> {
    /// Makes `file` the executable of this process, which needs the capabilities above, and the string at `title` its command line.
    /// The other addresses only have to be in ascending order, and within the address space.
    fn new(here: usize, title: Option<(usize, usize)>, file: Option<&OwnedFd>) -> Self {
        let here = here as u64;
        let (title, title_end) = title.map_or((here, here), |(title, end)| (title as u64, end as u64));
        MemoryMap {
            addresses: [here, here + 1, here, here, here, here, here, title, title_end, here, here],
            auxv: W::default(),
            auxv_size: 0,
            exe_fd: file.map_or(u32::MAX, |file| file.as_raw_fd() as u32),
        }
    }

    /// The arguments of prctl(2) behind the first, with a copy at this address.
    fn arguments(&self, copy: usize) -> [usize; 4] {
        [PR_SET_MM_MAP as usize, copy, size_of::<Self>(), 0]
    }

    fn set(&self) -> Result<()> {
        let [what, map, size, none] = self.arguments(&raw const *self as usize);
        // SAFETY: the structure outlives the call, and its size is given.
        let returned =
            unsafe { super::raw::syscall5(__NR_prctl as usize, PR_SET_MM as usize, what, map, size, none) };
        super::check(returned).map(drop)
    }
}

/// Makes a file the executable of this process. Returns whether the kernel takes only the structure of 64-bit processes: it
/// rejects that of a 32-bit one for its size, or, where both have the same, because it reads a size of an auxiliary vector
/// without an address.
fn set_executable(here: usize, file: &OwnedFd) -> Result<bool> {
    match MemoryMap::<usize>::new(here, None, Some(file)).set() {
        Err(Errno::INVAL) if cfg!(target_pointer_width = "32") => {
            MemoryMap::<u64>::new(here, None, Some(file)).set().map(|()| true)
        }
        set => set.map(|()| false),
    }
}

/// The command line that ps(1) shows while the process waits. The kernel reads it from anonymous memory only.
static TITLE: [u8; 10] = *b"mote init\0";

/// Creates an empty memfd that can be executed.
pub(crate) fn memory() -> Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match memfd_create(c"mote", flags | MemfdFlags::EXEC) {
        // Before linux 6.3 every memfd could be executed, and there was no flag.
        Err(Errno::INVAL) => memfd_create(c"mote", flags),
        file => file,
    }
}

/// The first page of the memfd: the stub, a complete ELF program, and the code of `call_list.rs`.
fn first_page() -> [u8; 512] {
    let header = Header {
        ident: [0x7f, b'E', b'L', b'F', CLASS, DATA, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        kind: 2,
        machine: MACHINE,
        version: 1,
        entry: ADDRESS + CODE_AT,
        phoff: size_of::<Header>(),
        shoff: 0,
        flags: FLAGS,
        ehsize: size_of::<Header>() as u16,
        phentsize: size_of::<Segment>() as u16,
        phnum: 1,
        rest: [0; 3],
    };
    let length = CODE_AT + size_of_val(&CODE);
    let segment = Segment {
        kind: PT_LOAD,
        flags: 5,
        offset: 0,
        vaddr: ADDRESS,
        paddr: ADDRESS,
        filesz: length,
        memsz: length,
        align: 0x1_0000,
    };
    let mut page = [0u8; 512];
    // SAFETY: both structures consist of integers without padding, and end before CODE_AT.
    unsafe { copy_nonoverlapping((&raw const header).cast::<u8>(), page.as_mut_ptr(), size_of::<Header>()) };
    let after = page.as_mut_ptr().wrapping_add(size_of::<Header>());
    // SAFETY: as above.
    unsafe { copy_nonoverlapping((&raw const segment).cast::<u8>(), after, size_of::<Segment>()) };
    let mut put = |at, bytes: &mut dyn Iterator<Item = u8>| {
        page.iter_mut().skip(at).zip(bytes).for_each(|(place, byte)| *place = byte);
    };
    put(CODE_AT, &mut CODE.iter().flat_map(|word| word.to_ne_bytes()));
    put(WAIT_AT, &mut call_list::code().iter().copied());
    page
}

/// The load address of the stub: above any usual vm.mmap_min_addr.
const ADDRESS: usize = 0x20_0000;
const CODE_AT: usize = size_of::<Header>() + size_of::<Segment>();
const WAIT_AT: usize = 0x100;

/// The class, and the order of bytes, of the ELF program.
const CLASS: u8 = if cfg!(target_pointer_width = "64") { 2 } else { 1 };
const DATA: u8 = if cfg!(target_endian = "little") { 1 } else { 2 };

/// The machine of the ELF program (`EM_*` of include/uapi/linux/elf-em.h), for which mote is compiled.
pub(crate) const MACHINE: u16 = STUB.0;
/// The processor-specific flags.
const FLAGS: u32 = STUB.1;
/// exit_group(126): "found, but cannot be executed", as in shells.
const CODE: [u32; 4] = STUB.2;

/// The three of them, for each architecture.
const STUB: (u16, u32, [u32; 4]) = match () {
    // mov edi, 126; mov eax, 231; syscall; nop
    () if cfg!(target_arch = "x86_64") => (62, 0, [0x0000_7ebf, 0x00e7_b800, 0x050f_0000, 0x9090_9090]),
    // mov x0, 126; mov x8, 94; svc 0; nop
    () if cfg!(target_arch = "aarch64") => (183, 0, [0xd280_0fc0, 0xd280_0bc8, 0xd400_0001, 0xd503_201f]),
    // li a0, 126; li a7, 94; ecall; nop
    () if cfg!(target_arch = "riscv64") => (243, 0, [0x07e0_0513, 0x05e0_0893, 0x0000_0073, 0x0000_0013]),
    // mov r0, 126; mov r7, 248; svc 0; nop. Version 5 of the EABI.
    () if cfg!(target_arch = "arm") => {
        (40, 0x0500_0000, [0xe3a0_007e, 0xe3a0_70f8, 0xef00_0000, 0xe1a0_0000])
    }
    // mov ebx, 126; mov eax, 252; int 0x80; nop
    () if cfg!(target_arch = "x86") => (3, 0, [0x0000_7ebb, 0x00fc_b800, 0x80cd_0000, 0x9090_9090]),
    // li r3, 126; li r0, 234; sc; nop. Version 2 of the ABI.
    () if cfg!(target_arch = "powerpc64") => (21, 2, [0x3860_007e, 0x3800_00ea, 0x4400_0002, 0x6000_0000]),
    // lghi %r2, 126; lghi %r1, 248; svc 0; nopr
    () if cfg!(target_arch = "s390x") => (22, 0, [0xa729_007e, 0xa719_00f8, 0x0a00_0707, 0x0707_0707]),
    // Others are not compiled: see `raw.rs`.
    () => (0, 0, [0; 4]),
};

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::write;
    use rustix::pipe::{SpliceFlags, pipe, splice};

    /// As those of a busy machine are, whose memory the kernel migrates.
    #[test]
    fn pages_in_use_do_not_prevent_sealing() {
        let file = memory().unwrap();
        assert_eq!(write(&file, &[1; 8192]), Ok(8192));
        let (_reader, writer) = pipe().unwrap();
        assert_eq!(splice(&file, Some(&mut 0), &writer, None, 4096, SpliceFlags::empty()), Ok(4096));
        assert_eq!(fcntl_add_seals(&file, FIRST_SEALS | LAST_SEALS), Ok(()));
        assert_eq!(pwrite(&file, &[2], 0), Err(Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(&file, 0), Err(Errno::PERM));
    }
}
