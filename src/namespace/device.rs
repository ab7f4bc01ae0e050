//! Network interfaces that are moved into the container's network namespace (network_namespaces(7),
//! rtnetlink(7); config-linux.md, "Network Devices").
//!
//! - mote moves them from the host's side when the container's process is there, and with it the namespace,
//!   and while that waits: before the parameters that are named after them are set, and before all hooks.
//! - The kernel sets an interface down when it moves, and takes its addresses away: both are made again inside.
//! - What is in a new namespace goes with it, but for physical interfaces. So when there will be no container,
//!   they are moved back while something of mote still holds the namespace. Not later: once it runs, they are
//!   its own, and the specification forbids it.

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

/// The longest name (`IFNAMSIZ` of include/uapi/linux/if.h, less its NUL).
const LONGEST: usize = 15;

/// How many names are tried for one that ends in `%d`; the kernel itself tries no more.
const NUMBERS: u32 = 32768;

/// (name on the host, name inside) in the order of moving.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    devices: Vec<(&'a CStr, Option<&'a CStr>)>,
}

impl<'a> Plan<'a> {
    /// They need a network namespace that is not the runtime's own.
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
            check(stem.is_some() || !twice, "", "another one has the same name inside")?;
            // Last, so that they take what the others leave.
            let list = if stem.is_some() { &mut numbered } else { &mut named };
            list.push((name, inside));
        }
        named.append(&mut numbered);
        Ok(Plan { devices: named })
    }

    /// Whether there is anything to do.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    /// The parent's part: moves them to the namespace that is `joined`, or else to that of the process. When
    /// this fails they are back.
    // Not into its caller, nor beside it: most containers have none.
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

/// What stands before `%d`: the name is to be made unique with a number.
fn stem(name: &CStr) -> Option<&[u8]> {
    name.to_bytes().strip_suffix(b"%d")
}

/// What the kernel takes for a name (`dev_valid_name` of net/core/dev.c), or for the beginning of one.
fn is_name(name: &[u8]) -> bool {
    let good = |byte: &u8| !matches!(byte, b'/' | b':' | b'%' | b' ' | b'\t'..=b'\r');
    (1..=LONGEST).contains(&name.len()) && name != b"." && name != b".." && name.iter().all(good)
}

/// What was moved, and the way back.
#[derive(Debug)]
pub struct Moved {
    outside: Socket,
    inside: Socket,
    devices: Vec<Device>,
}

#[derive(Debug)]
struct Device {
    /// Its names.
    outside: CString,
    inside: CString,
    /// As it was.
    addresses: Vec<Address>,
    up: bool,
}

impl Moved {
    fn bring(&mut self, name: &CStr, new: Option<&CStr>, to: Namespace<'_>) -> Result<()> {
        let link = self.outside.link(name)?;
        // Its own name, where the configuration has another (`altname`); that one stays with it.
        let inside = self.free_name(new.unwrap_or(&link.name))?;
        let mut addresses = self.outside.addresses(link.index)?;
        addresses.retain(Address::is_permanent_and_global);
        let sent = self.outside.send_away(link.index, to, &inside);
        // The kernel moves it first and renames it then: what failed in between is there by its old name.
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

    /// The name that it gets inside, which nothing has there yet.
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

    /// Moves all back to where they were, as far as the kernel allows.
    #[cold]
    pub fn give_back(&self) {
        for device in &self.devices {
            let back = || {
                let index = self.inside.link(&device.inside)?.index;
                self.inside.send_away(index, Namespace::Of(getpid()), &device.outside)?;
                device.settle(&self.outside, &device.outside, device.up)
            };
            // There is an error to tell already.
            let _: Result<()> = back();
        }
    }
}

impl Device {
    /// What it loses when it is moved, made again. Addresses first: it has them when it comes up.
    fn settle(&self, socket: &Socket, name: &CStr, up: bool) -> Result<()> {
        let index = socket.link(name)?.index;
        // The kernel tells them in order, and puts a new one last; but of IPv6 before those that are its equals.
        let last = self.addresses.iter().filter(|address| !address.is_ipv6());
        let first = self.addresses.iter().rev().filter(|address| address.is_ipv6());
        for address in last.chain(first) {
            socket.add(index, address, &self.outside, name)?;
        }
        if up { socket.set_up(index) } else { Ok(()) }
    }
}
