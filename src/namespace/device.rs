//! Network interfaces that are moved into the container's network namespace (network_namespaces(7), rtnetlink(7);
//! config-linux.md, "Network Devices").
//!
//! - The parent moves them after the clone, which creates the namespace, while the container init waits: before sysctls
//!   with their names are written, and before all hooks.
//! - The kernel sets a moved interface down and removes its addresses. mote restores both in the container.
//! - When the kernel removes a namespace, it removes the interfaces in it, except physical ones. Therefore, if creating
//!   the container fails, they are moved back while mote still has a reference to the namespace. They are not moved
//!   back later: once the container runs they are its own, and the specification forbids it.

use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::format;
use alloc::vec::Vec;
use core::ffi::CStr;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::process::{Pid, getpid};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

use super::{Plan as Namespaces, enter, own, restore};
use crate::config::linux::NamespaceKind as Kind;
use crate::error::{At, Error, On, Result, Show};
use crate::os::netlink::{Address, Namespace, Socket};

/// The maximum length of a name (`IFNAMSIZ` of include/uapi/linux/if.h, without NUL).
const LONGEST: usize = 15;

/// The number of names that are tried for one that ends in `%d`, as in the kernel.
const NUMBERS: u32 = 32768;

/// The plan of interfaces: (name on the host, name in the container), in the order in which they are moved.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    devices: Vec<(&'a CStr, Option<&'a CStr>)>,
}

impl<'a> Plan<'a> {
    /// Plans the interfaces. Errors: invalid or duplicate names, or no network namespace of the container's own.
    pub fn new(devices: &[(&'a CStr, Option<&'a CStr>)], namespaces: &mut Namespaces<'_>) -> Result<Self> {
        if devices.is_empty() {
            return Ok(Plan::default());
        }
        if !namespaces.has(Kind::Network) {
            return Err(Error::invalid(format_args!(
                "linux.netDevices: needs a network namespace in linux.namespaces"
            )));
        }
        namespaces.will_change(Kind::Network);
        let (mut named, mut numbered) = (Vec::new(), Vec::new());
        for (index, &(name, inside)) in devices.iter().enumerate() {
            let check = |valid: bool, field: &str, why: &str| match valid {
                true => Ok(()),
                false => Err(Error::invalid(format_args!("linux.netDevices.{}{field}: {why}", Show(name)))),
            };
            let stem = inside.and_then(stem);
            let valid = stem.or(inside.map(CStr::to_bytes)).is_none_or(is_name);
            check(is_name(name.to_bytes()), "", "not the name of a network interface")?;
            check(valid, ".name", "not the name of a network interface")?;
            let is_same =
                |other: &(&CStr, Option<&CStr>)| other.1.unwrap_or(other.0) == inside.unwrap_or(name);
            let twice = devices.iter().take(index).any(is_same);
            check(stem.is_some() || !twice, "", "duplicate name in the container")?;
            // Names with `%d` come last: they get numbers that the others do not use.
            let list = if stem.is_some() { &mut numbered } else { &mut named };
            list.push((name, inside));
        }
        named.append(&mut numbered);
        Ok(Plan { devices: named })
    }

    /// Whether there are no interfaces to move.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    /// Moves the interfaces, in the parent, to the namespace `joined` or else to that of the container init. If one
    /// fails, those before it are moved back.
    // Not inlined: most containers have none.
    #[cold]
    #[inline(never)]
    pub fn apply(&self, joined: Option<&OwnedFd>, pid: Pid, pidfd: &OwnedFd) -> Result<Box<Moved>> {
        let own = own(Kind::Network);
        let back = open(own, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .on(format_args!("openat {}", Show(own)))?;
        let outside = Socket::open()?;
        let (to, entered) = match joined {
            Some(fd) => (Namespace::Fd(fd.as_fd()), enter(Kind::Network, fd)),
            None => {
                let kind = ThreadNameSpaceType::NETWORK;
                (Namespace::Of(pid), move_into_thread_name_spaces(pidfd.as_fd(), kind))
            }
        };
        entered.on(format_args!("linux.netDevices: setns"))?;
        let inside = Socket::open();
        restore(&[(Kind::Network, back)])?;
        let mut moved = Box::new(Moved { outside, inside: inside?, devices: Vec::new() });
        for (name, new) in &self.devices {
            if let Err(error) = moved.bring(name, *new, to) {
                moved.give_back();
                return Err(error).at(format_args!("linux.netDevices.{}", Show(name)));
            }
        }
        Ok(moved)
    }
}

/// The part of a name before `%d`, which is replaced by a number that makes the name unique.
fn stem(name: &CStr) -> Option<&[u8]> {
    name.to_bytes().strip_suffix(b"%d")
}

/// Whether the kernel accepts a name, or the part before `%d` (`dev_valid_name` of net/core/dev.c).
fn is_name(name: &[u8]) -> bool {
    let good = |byte: &u8| !matches!(byte, b'/' | b':' | b'%' | b' ' | b'\t'..=b'\r');
    (1..=LONGEST).contains(&name.len()) && name != b"." && name != b".." && name.iter().all(good)
}

/// The interfaces that were moved, and the netlink sockets in both namespaces, to move them back.
#[derive(Debug)]
pub struct Moved {
    outside: Socket,
    inside: Socket,
    devices: Vec<Device>,
}

#[derive(Debug)]
struct Device {
    /// The name on the host.
    outside: CString,
    /// The name in the container.
    inside: CString,
    /// The state before it was moved.
    addresses: Vec<Address>,
    up: bool,
}

impl Moved {
    /// Moves one interface into the container and restores its addresses there.
    fn bring(&mut self, name: &CStr, new: Option<&CStr>, to: Namespace<'_>) -> Result<()> {
        let link = self.outside.link(name)?;
        // config.json may have an alternative name (`altname`), which the interface keeps. Its own name is the default.
        let inside = self.free_name(new.unwrap_or(&link.name))?;
        let mut addresses = self.outside.addresses(link.index)?;
        addresses.retain(Address::is_permanent_and_global);
        let sent = self.outside.send_away(link.index, to, &inside);
        // The kernel moves an interface before it renames it: if renaming fails, it is moved with its old name.
        let is_gone = || self.outside.link(&link.name).is_err_and(|error| error.is(Errno::NODEV));
        let inside = match &sent {
            Ok(()) => inside,
            Err(_) if is_gone() => link.name.clone(),
            Err(_) => return sent,
        };
        let device = Device { outside: link.name, inside, addresses, up: link.up };
        let settled = sent.and_then(|()| device.settle(&self.inside, &device.inside, true));
        self.devices.push(device);
        settled
    }

    /// A name that is unused in the container's namespace; `%d` is replaced. Errors: EEXIST.
    fn free_name(&self, name: &CStr) -> Result<CString> {
        let is_taken = |name: &CStr| match self.inside.link(name) {
            Ok(_) => Ok(true),
            Err(error) if error.is(Errno::NODEV) => Ok(false),
            Err(error) => Err(error),
        };
        let taken = || {
            Error::system(
                Errno::EXIST,
                format_args!("\"{}\" in the container's network namespace", Show(name)),
            )
        };
        let Some(stem) = stem(name) else {
            return if is_taken(name)? { Err(taken()) } else { Ok(name.into()) };
        };
        for number in 0..NUMBERS {
            let text = [stem, format!("{number}").as_bytes()].concat();
            let numbered = CString::new(text).unwrap_or_default();
            if numbered.count_bytes() > LONGEST {
                break;
            }
            if !is_taken(&numbered)? {
                return Ok(numbered);
            }
        }
        Err(taken())
    }

    /// Moves all interfaces back to the host. Errors are ignored.
    #[cold]
    pub fn give_back(&self) {
        for device in &self.devices {
            let back = || {
                let index = self.inside.link(&device.inside)?.index;
                self.inside.send_away(index, Namespace::Of(getpid()), &device.outside)?;
                device.settle(&self.outside, &device.outside, device.up)
            };
            // The error that led here is reported instead.
            let _: Result<()> = back();
        }
    }
}

impl Device {
    /// Restores what an interface loses when it is moved. Addresses come first, so that it has them when it is set up.
    fn settle(&self, socket: &Socket, name: &CStr, up: bool) -> Result<()> {
        let index = socket.link(name)?.index;
        // The kernel lists addresses in order and appends a new one, but inserts an IPv6 address before others
        // of the same scope.
        let last = self.addresses.iter().filter(|address| !address.is_ipv6());
        let first = self.addresses.iter().rev().filter(|address| address.is_ipv6());
        for address in last.chain(first) {
            socket.add(index, address, &self.outside, name)?;
        }
        if up { socket.set_up(index) } else { Ok(()) }
    }
}
