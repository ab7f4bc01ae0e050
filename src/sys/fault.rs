//! A missing page of memory, which a process accesses to wait without a system call until another process resolves the
//! page fault (userfaultfd(2)).

use core::mem::size_of;

use linux_raw_sys::general::{
    __NR_ioctl, __NR_userfaultfd, MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, UFFD_API, UFFD_USER_MODE_ONLY,
    UFFDIO_REGISTER_MODE_MISSING, uffd_msg, uffdio_api, uffdio_copy, uffdio_range, uffdio_register,
};
use linux_raw_sys::ioctl::{UFFDIO_API, UFFDIO_COPY, UFFDIO_REGISTER};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use rustix::fs::OFlags;
use rustix::io::{Errno, Result, read};

/// The largest page size of all architectures that mote supports, in bytes; a multiple of all others.
const PAGE: usize = 64 << 10;

/// The first byte of the page if [`Faults::give`] has resolved the fault. If all copies of the userfaultfd are
/// closed, the kernel maps a page of zeros instead.
const GIVEN: u8 = 1;

/// The missing page, in the process that waits.
pub struct Page(*const u8);

/// The userfaultfd, which reports accesses to the page and resolves them.
pub struct Faults(OwnedFd);

/// Creates a missing page and its userfaultfd, which is for another process; that needs no privilege over this one.
/// This process must close its own copy before it waits, else it waits forever if the other process dies.
///
/// Errors: those of userfaultfd(2); ENOSYS without CONFIG_USERFAULTFD.
pub fn page() -> Result<(Page, Faults)> {
    let faults = Faults(userfaultfd()?);
    let mut api = uffdio_api { api: UFFD_API.into(), features: 0, ioctls: 0 };
    faults.control(UFFDIO_API, (&raw mut api).cast())?;
    // SAFETY: takes no pointer; the kernel chooses an unused address.
    let place = unsafe { super::raw::mmap(0, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, usize::MAX, 0) };
    let start = super::check(place)?;
    let range = uffdio_range { start: start as u64, len: PAGE as u64 };
    let mut register = uffdio_register { range, mode: UFFDIO_REGISTER_MODE_MISSING.into(), ioctls: 0 };
    faults.control(UFFDIO_REGISTER, (&raw mut register).cast())?;
    Ok((Page(start as *const u8), faults))
}

/// Creates a userfaultfd for faults in user mode only, which needs no privilege (UFFD_USER_MODE_ONLY, linux 5.11).
fn userfaultfd() -> Result<OwnedFd> {
    let flags = (OFlags::CLOEXEC | OFlags::NONBLOCK).bits() as usize;
    // SAFETY: takes no pointer.
    let create = |flags| super::check(unsafe { super::raw::syscall1(__NR_userfaultfd as usize, flags) });
    let number = match create(flags | UFFD_USER_MODE_ONLY as usize) {
        // Older kernels have no such flag, and by default require no privilege without it.
        Err(Errno::INVAL) => create(flags),
        created => created,
    }?;
    // SAFETY: the kernel has created a new file descriptor, which has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(number as RawFd) })
}

impl Page {
    /// Waits, without a system call, until the page fault is resolved. If all copies of the userfaultfd are closed, the
    /// process is killed.
    pub fn wait(self) {
        // SAFETY: the mapping was created for this, is readable and is never unmapped; volatile, since another process
        // provides the content.
        if unsafe { self.0.read_volatile() } != GIVEN {
            // SAFETY: the page is read-only, so the kernel kills the process with SIGSEGV, which for a fault can be
            // neither blocked nor ignored, and which no seccomp filter prevents.
            unsafe { self.0.cast_mut().write_volatile(GIVEN) };
        }
    }
}

impl Faults {
    /// Wraps a userfaultfd received from the process that has the page.
    pub fn over(fd: OwnedFd) -> Self {
        Faults(fd)
    }

    /// The file descriptor.
    pub fn fd(&self) -> &OwnedFd {
        &self.0
    }

    /// Waits until a process accesses the page, and returns the address in that process. `None` if `channel` became
    /// readable first, by a message or end of file.
    pub fn next(&self, channel: impl AsFd) -> Result<Option<u64>> {
        let mut fds = [PollFd::new(&self.0, PollFlags::IN), PollFd::new(&channel, PollFlags::IN)];
        while let Err(errno) = poll(&mut fds, None) {
            if errno != Errno::INTR {
                return Err(errno);
            }
        }
        let [fault, _] = fds.map(|fd| fd.revents());
        if fault.is_empty() {
            return Ok(None);
        }
        // `struct uffd_msg`: the event, which is a page fault; flags, the address, the thread ID.
        let mut message = [0u8; size_of::<uffd_msg>()];
        read(&self.0, &mut message)?;
        let [_, _, address, ..] = message.as_chunks::<8>().0 else { return Err(Errno::IO) };
        Ok(Some(u64::from_ne_bytes(*address)))
    }

    /// Resolves the page fault at `address`, so that the waiting process continues.
    pub fn give(&self, address: u64) -> Result<()> {
        let page = super::page_size();
        let content = alloc::vec![GIVEN; page];
        let dst = address & !(page as u64 - 1);
        let mut copy = uffdio_copy { dst, src: content.as_ptr() as u64, len: page as u64, mode: 0, copy: 0 };
        self.control(UFFDIO_COPY, (&raw mut copy).cast())
    }

    fn control(&self, request: u32, argument: *mut u8) -> Result<()> {
        let (number, request) = (self.0.as_raw_fd() as usize, request as usize);
        // SAFETY: the argument is the structure of the request, which the caller owns during the call; addresses in it
        // are of a page that the caller owns and the kernel reads, or of another process.
        super::check(unsafe { super::raw::syscall3(__NR_ioctl as usize, number, request, argument as usize) })
            .map(drop)
    }
}
