//! Network interfaces by ioctl (netdevice(7)), and options of netlink sockets.

use linux_raw_sys::general::{__NR_ioctl, __NR_setsockopt};
use linux_raw_sys::ioctl::SIOCSIFFLAGS;
use linux_raw_sys::net::SOL_NETLINK;
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::io::Result;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// `struct ifreq` of include/uapi/linux/if.h with the members that SIOCSIFFLAGS reads.
#[repr(C)]
struct FlagsRequest {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

/// `IFF_UP | IFF_RUNNING`: the flags of a loopback interface after `ip link set lo up`.
const UP_RUNNING: u16 = 0x41;

/// Brings up the loopback interface of the current network namespace. Needs CAP_NET_ADMIN in its user namespace.
pub fn loopback_up() -> Result<()> {
    let socket: OwnedFd = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let mut request = FlagsRequest { name: [0; 16], flags: UP_RUNNING, rest: [0; 22] };
    if let Some(name) = request.name.get_mut(..2) {
        name.copy_from_slice(b"lo");
    }
    let (fd, code) = (socket.as_raw_fd() as usize, SIOCSIFFLAGS as usize);
    // SAFETY: the structure has the size of struct ifreq (40 bytes) and outlives the call.
    let set = super::check(unsafe {
        super::raw::syscall3(__NR_ioctl as usize, fd, code, &raw mut request as usize)
    });
    // Closed with all other file descriptors before the program runs.
    core::mem::forget(socket);
    set.map(drop)
}

/// Enables an option of a netlink socket (netlink(7)).
pub fn set_netlink_option(socket: &OwnedFd, option: u32) -> Result<()> {
    let (fd, on) = (socket.as_raw_fd() as usize, 1i32);
    // SAFETY: the value has the size passed, and outlives the call.
    let set = unsafe {
        super::raw::syscall5(
            __NR_setsockopt as usize,
            fd,
            SOL_NETLINK as usize,
            option as usize,
            &raw const on as usize,
            size_of_val(&on),
        )
    };
    super::check(set).map(drop)
}
