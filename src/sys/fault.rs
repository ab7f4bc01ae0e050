//! A page that a process waits for without a system call, until another process gives it (userfaultfd(2)).

use core::mem::size_of;

use linux_raw_sys::general::{
    __NR_ioctl, __NR_mmap, __NR_userfaultfd, MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, UFFD_API,
    UFFD_USER_MODE_ONLY, UFFDIO_REGISTER_MODE_MISSING, uffd_msg, uffdio_api, uffdio_copy, uffdio_range,
    uffdio_register,
};
use linux_raw_sys::ioctl::{UFFDIO_API, UFFDIO_COPY, UFFDIO_REGISTER};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use rustix::fs::OFlags;
use rustix::io::{Errno, Result, read};

/// The largest page of any architecture that mote runs on; a multiple of all others.
const PAGE: usize = 64 << 10;

/// What the page holds when it is given; a page that nobody gives is all zeros.
const GIVEN: u8 = 1;

/// A page of this process that is not there.
pub struct Page(*const u8);

/// What tells of whoever waits for the page, and gives it.
pub struct Faults(OwnedFd);

/// A page that is not there, and its other end: for another process, which needs no right over this one.
/// Until it has that end alone, waiting may last for ever.
///
/// Errors: those of userfaultfd(2); ENOSYS without CONFIG_USERFAULTFD.
pub fn page() -> Result<(Page, Faults)> {
    let faults = Faults(userfaultfd()?);
    let mut api = uffdio_api { api: UFFD_API.into(), features: 0, ioctls: 0 };
    faults.control(UFFDIO_API, (&raw mut api).cast())?;
    let (protection, how) = (PROT_READ as usize, (MAP_PRIVATE | MAP_ANONYMOUS) as usize);
    // SAFETY: takes no pointer; the kernel chooses a place where nothing is.
    let place = unsafe { sc::syscall6(__NR_mmap as usize, 0, PAGE, protection, how, usize::MAX, 0) };
    let start = super::check(place)?;
    let range = uffdio_range { start: start as u64, len: PAGE as u64 };
    let mut register = uffdio_register { range, mode: UFFDIO_REGISTER_MODE_MISSING.into(), ioctls: 0 };
    faults.control(UFFDIO_REGISTER, (&raw mut register).cast())?;
    Ok((Page(start as *const u8), faults))
}

/// Only for faults of programs themselves, which needs no privilege (linux 5.11).
fn userfaultfd() -> Result<OwnedFd> {
    let flags = (OFlags::CLOEXEC | OFlags::NONBLOCK).bits() | UFFD_USER_MODE_ONLY;
    // SAFETY: takes no pointer.
    let number = super::check(unsafe { sc::syscall1(__NR_userfaultfd as usize, flags as usize) })?;
    // SAFETY: the kernel made a new descriptor, which nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(number as RawFd) })
}

impl Page {
    /// Waits until the page is given. When nobody is left to give it, the process ends. Not one system call.
    pub fn wait(self) {
        // SAFETY: the mapping was made for this, can be read and is never taken away; volatile, since what is
        // there is another process's doing.
        if unsafe { self.0.read_volatile() } != GIVEN {
            // SAFETY: it cannot be written to, which the kernel answers with SIGSEGV, from a fault neither blocked
            // nor ignored: the one end that no filter stops.
            unsafe { self.0.cast_mut().write_volatile(GIVEN) };
        }
    }
}

impl Faults {
    /// The other end, received from the process that has the page.
    pub fn over(fd: OwnedFd) -> Self {
        Faults(fd)
    }

    /// Its descriptor.
    pub fn fd(&self) -> &OwnedFd {
        &self.0
    }

    /// Waits until somebody waits for the page: where it is. `None`: first there was something on `line`, a
    /// message or its end.
    pub fn next(&self, line: impl AsFd) -> Result<Option<u64>> {
        let mut fds = [PollFd::new(&self.0, PollFlags::IN), PollFd::new(&line, PollFlags::IN)];
        while let Err(errno) = poll(&mut fds, None) {
            if errno != Errno::INTR {
                return Err(errno);
            }
        }
        let [fault, _] = fds.map(|fd| fd.revents());
        if fault.is_empty() {
            return Ok(None);
        }
        // `struct uffd_msg`: the event, which is a page fault; flags, the address, a thread.
        let mut message = [0u8; size_of::<uffd_msg>()];
        read(&self.0, &mut message)?;
        let [_, _, address, ..] = message.as_chunks::<8>().0 else { return Err(Errno::IO) };
        Ok(Some(u64::from_ne_bytes(*address)))
    }

    /// Gives the page at this place: whoever waits for it goes on.
    pub fn give(&self, place: u64) -> Result<()> {
        let page = super::page_size();
        let content = alloc::vec![GIVEN; page];
        let dst = place & !(page as u64 - 1);
        let mut copy = uffdio_copy { dst, src: content.as_ptr() as u64, len: page as u64, mode: 0, copy: 0 };
        self.control(UFFDIO_COPY, (&raw mut copy).cast())
    }

    fn control(&self, request: u32, argument: *mut u8) -> Result<()> {
        let (number, request) = (self.0.as_raw_fd() as usize, request as usize);
        // SAFETY: the argument is the structure of the request, which its caller owns across the call; what it
        // points to in turn is the kernel's to read, a page that the caller owns, or addresses of another process.
        super::check(unsafe { sc::syscall3(__NR_ioctl as usize, number, request, argument as usize) })
            .map(drop)
    }
}
