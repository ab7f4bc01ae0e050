//! Network interfaces and their addresses by rtnetlink(7): found, moved to another network namespace, set up.
//!
//! A socket speaks of the network namespace in which it was opened, wherever its process goes afterwards, and
//! keeps that in being.

mod message;

use alloc::ffi::CString;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ffi::CStr;

use linux_raw_sys::netlink as sys;
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with,
};
use rustix::process::Pid;

use crate::error::{Error, On, Result};
use crate::sys::net::set_netlink_option;
use message::{Message, Request, attributes, word};

/// A request's type with its name.
type Kind = (u16, &'static str);

const NEW_LINK: Kind = (sys::RTM_NEWLINK as u16, "RTM_NEWLINK");
const GET_LINK: Kind = (sys::RTM_GETLINK as u16, "RTM_GETLINK");
const NEW_ADDRESS: Kind = (sys::RTM_NEWADDR as u16, "RTM_NEWADDR");
const GET_ADDRESS: Kind = (sys::RTM_GETADDR as u16, "RTM_GETADDR");

/// `IFF_UP` of include/uapi/linux/if.h.
const UP: u32 = 1;

/// `IFNAMSIZ` of include/uapi/linux/if.h: the longest name, with its NUL.
const NAME: usize = 16;

/// The kernel fills no more than this at a time (`NLMSG_GOODSIZE`), unless it has seen a larger buffer.
const BUFFER: usize = 8192;

/// How often a list is asked for that changes while it is read.
const ATTEMPTS: usize = 16;

/// A network namespace, as an attribute of RTM_NEWLINK.
#[derive(Clone, Copy, Debug)]
pub enum Namespace<'a> {
    /// The one that this descriptor is of.
    Fd(BorrowedFd<'a>),
    /// The one that this process is in.
    Of(Pid),
}

/// An interface.
#[derive(Debug)]
pub struct Link {
    pub index: u32,
    pub name: CString,
    pub up: bool,
}

/// An address of an interface as the kernel tells it: `struct ifaddrmsg`, attributes.
#[derive(Debug)]
pub struct Address(Vec<u8>);

/// A line to the kernel.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: Cell<u32>,
}

impl Socket {
    /// A line to the network namespace that this process is in.
    pub fn open() -> Result<Self> {
        let (kind, flags) = (SocketType::RAW, SocketFlags::CLOEXEC);
        let fd = socket_with(AddressFamily::NETLINK, kind, flags, None).on(format_args!("socket netlink"))?;
        // To the kernel: nobody else, who might be in that namespace too, can say anything here.
        connect(&fd, &SocketAddrNetlink::new(0, 0)).on(format_args!("connect netlink"))?;
        // Where these are not known, errors say less, and lists are of more than was asked for.
        let _ = set_netlink_option(&fd, sys::NETLINK_EXT_ACK);
        let _ = set_netlink_option(&fd, sys::NETLINK_GET_STRICT_CHK);
        Ok(Socket { fd, sequence: Cell::new(0) })
    }

    /// The interface of this name.
    pub fn link(&self, name: &CStr) -> Result<Link> {
        let mut request = about_link(GET_LINK, 0, 0);
        request.attribute(sys::IFLA_IFNAME as u16, name.to_bytes_with_nul());
        let mut link = None;
        self.ask(request, &mut |answer| link = Link::read(answer))?;
        link.ok_or_else(|| malformed(GET_LINK.1))
    }

    /// All addresses of an interface.
    pub fn addresses(&self, index: u32) -> Result<Vec<Address>> {
        for _ in 0..ATTEMPTS {
            let fixed = [[0; 4], index.to_ne_bytes()];
            let request = Request::new(GET_ADDRESS, flags(sys::NLM_F_DUMP), fixed.as_flattened());
            let mut addresses = Vec::new();
            let asked = self.ask(request, &mut |answer| {
                if word(answer, 4) == Some(index) {
                    addresses.push(Address(answer.to_vec()));
                }
            });
            match asked {
                Err(error) if error.is(Errno::INTR) => {}
                asked => return asked.map(|()| addresses),
            }
        }
        Err(Error::invalid(format_args!("{}: the list changes all the time", GET_ADDRESS.1)))
    }

    /// Moves an interface to another network namespace, where it has this name.
    pub fn send_away(&self, index: u32, to: Namespace<'_>, name: &CStr) -> Result<()> {
        let mut request = about_link(NEW_LINK, index, 0);
        let (kind, number) = match to {
            Namespace::Fd(fd) => (sys::IFLA_NET_NS_FD, fd.as_raw_fd()),
            Namespace::Of(pid) => (sys::IFLA_NET_NS_PID, pid.as_raw_nonzero().get()),
        };
        request.attribute(kind as u16, &number.to_ne_bytes());
        request.attribute(sys::IFLA_IFNAME as u16, name.to_bytes_with_nul());
        self.ask(request, &mut |_| {})
    }

    /// Sets an interface up.
    pub fn set_up(&self, index: u32) -> Result<()> {
        self.ask(about_link(NEW_LINK, index, UP), &mut |_| {})
    }

    /// Gives an interface an address. Its label is changed as the kernel does it when the interface, here from
    /// `old` to `new`, is renamed.
    pub fn add(&self, index: u32, address: &Address, old: &CStr, new: &CStr) -> Result<()> {
        let request = address.request(index, old.to_bytes(), new.to_bytes());
        self.ask(request, &mut |_| {})
    }

    /// Sends a request, and hands out what each message of the answer says, to its end.
    // A large frame, which its callers' callers should not have.
    #[inline(never)]
    fn ask(&self, request: Request, each: &mut dyn FnMut(&[u8])) -> Result<()> {
        let name = request.name;
        let sequence = self.sequence.get().wrapping_add(1);
        self.sequence.set(sequence);
        send(&self.fd, &request.finish(sequence), SendFlags::empty()).on(format_args!("sendto {name}"))?;
        let mut buffer = [0; BUFFER];
        let mut changed = false;
        loop {
            let received = match recv(&self.fd, &mut buffer, RecvFlags::TRUNC) {
                Err(Errno::INTR) => continue,
                received => received.on(format_args!("recvfrom {name}"))?.1,
            };
            let mut rest = buffer.get(..received).ok_or_else(|| malformed(name))?;
            while !rest.is_empty() {
                let message = Message::take(&mut rest).ok_or_else(|| malformed(name))?;
                // The rest of an answer that was given up.
                if message.sequence != sequence {
                    continue;
                }
                changed |= u32::from(message.flags) & sys::NLM_F_DUMP_INTR != 0;
                match u32::from(message.kind) {
                    sys::NLMSG_ERROR | sys::NLMSG_DONE => return end(&message, name, changed),
                    0..sys::NLMSG_MIN_TYPE => {}
                    _ => each(message.payload),
                }
            }
        }
    }
}

/// What the last message of an answer says.
fn end(message: &Message<'_>, name: &str, changed: bool) -> Result<()> {
    let errno = match message.errno() {
        None => return Err(malformed(name)),
        Some(0) if changed => Errno::INTR,
        Some(0) => return Ok(()),
        Some(errno) => Errno::from_raw_os_error(errno),
    };
    Err(match message.reason() {
        "" => Error::system(errno, format_args!("{name}")),
        reason => Error::system(errno, format_args!("{name}: {reason}")),
    })
}

#[cold]
fn malformed(name: &str) -> Error {
    Error::invalid(format_args!("{name}: the kernel's answer makes no sense"))
}

/// What all requests have.
fn flags(more: u32) -> u16 {
    (sys::NLM_F_REQUEST | sys::NLM_F_ACK | more) as u16
}

/// A request with a `struct ifinfomsg`, which sets these flags of the interface.
fn about_link(kind: Kind, index: u32, set: u32) -> Request {
    let fixed = [0, index, set, set].map(u32::to_ne_bytes);
    Request::new(kind, flags(0), fixed.as_flattened())
}

impl Link {
    fn read(answer: &[u8]) -> Option<Self> {
        let (index, flags) = (word(answer, 4)?, word(answer, 8)?);
        let (_, name) = attributes(answer.get(16..)?).find(|(kind, _)| *kind == sys::IFLA_IFNAME as u16)?;
        let name = CStr::from_bytes_until_nul(name).ok()?.into();
        Some(Link { index, name, up: flags & UP != 0 })
    }
}

impl Address {
    /// Without an end to its life, and valid everywhere (RFC 3549, 2.3.3.2).
    pub fn is_permanent_and_global(&self) -> bool {
        let universe = sys::rt_scope_t::RT_SCOPE_UNIVERSE as u8;
        matches!(self.0.as_slice(), [_, _, flags, scope, ..]
            if u32::from(*flags) & sys::IFA_F_PERMANENT != 0 && *scope == universe)
    }

    /// `AF_INET6`.
    pub fn is_ipv6(&self) -> bool {
        self.0.first() == Some(&(AddressFamily::INET6.as_raw() as u8))
    }

    /// The request that gives it to an interface: all that the kernel told, but for what names the interface.
    fn request(&self, index: u32, old: &[u8], new: &[u8]) -> Request {
        let mut fixed = [[0; 4], index.to_ne_bytes()];
        if let ([words, _], Some(told)) = (&mut fixed, self.0.first_chunk()) {
            *words = *told;
        }
        let more = flags(sys::NLM_F_CREATE | sys::NLM_F_REPLACE);
        let mut request = Request::new(NEW_ADDRESS, more, fixed.as_flattened());
        for (kind, value) in attributes(self.0.get(8..).unwrap_or_default()) {
            let label = value.strip_prefix(old).filter(|_| kind == sys::IFA_LABEL as u16);
            match label.filter(|rest| rest.starts_with(b":") || *rest == b"\0") {
                // Where none is given it is the interface's name.
                Some(rest) if new.len() + rest.len() > NAME => {}
                Some(rest) => request.attribute(kind, &[new, rest].concat()),
                None => request.attribute(kind, value),
            }
        }
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;
    use rustix::net::socketpair;

    const DONE: Kind = (sys::NLMSG_DONE as u16, "");
    const MULTI: u16 = sys::NLM_F_MULTI as u16;
    const CHANGED: u16 = MULTI | sys::NLM_F_DUMP_INTR as u16;

    /// A line to somebody who has said all this already.
    fn line(datagrams: &[Vec<u8>]) -> (Socket, OwnedFd) {
        let (ours, other) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        for datagram in datagrams {
            send(&other, datagram, SendFlags::empty()).unwrap();
        }
        (Socket { fd: ours, sequence: Cell::new(0) }, other)
    }

    fn told(kind: Kind, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
        Request::new(kind, flags, payload).finish(sequence)
    }

    /// An address of interface 7 (or another), which is known by its second byte.
    fn address(which: u8, index: u8) -> Vec<u8> {
        [&[2, which, 0x80, 0][..], &u32::from(index).to_ne_bytes()].concat()
    }

    fn listed(datagrams: &[Vec<u8>]) -> Result<Vec<u8>> {
        let (socket, _other) = line(datagrams);
        Ok(socket.addresses(7)?.iter().map(|address| address.0[1]).collect())
    }

    #[test]
    fn a_list_in_many_parts() {
        let part = |which| told(NEW_ADDRESS, MULTI, 1, &address(which, 7));
        let two = |a, b| [part(a), part(b)].concat();
        let other = told(NEW_ADDRESS, MULTI, 1, &address(9, 8));
        // Of an earlier request, and not of anything.
        let stale = [told(NEW_ADDRESS, MULTI, 0, &address(9, 7)), told(DONE, MULTI, 0, &[0; 4])].concat();
        let nothing = told((1, ""), 0, 1, &address(9, 7));
        let end = told(DONE, MULTI, 1, &[0; 4]);
        let list = listed(&[stale, two(1, 2), other, nothing, [part(3), end].concat()]);
        assert_eq!(list.unwrap(), [1, 2, 3]);
    }

    #[test]
    fn a_list_that_changes_while_it_is_read() {
        let part = |which, flags, sequence| told(NEW_ADDRESS, flags, sequence, &address(which, 7));
        let end = |flags, sequence| told(DONE, flags, sequence, &[0; 4]);
        let first = [part(1, CHANGED, 1), part(2, MULTI, 1), end(MULTI, 1)];
        let second = [part(1, MULTI, 2), end(CHANGED, 2)];
        let third = [part(3, MULTI, 3), end(MULTI, 3)];
        assert_eq!(listed(&[&first[..], &second, &third].concat()).unwrap(), [3]);
        let always: Vec<_> = (1..=ATTEMPTS as u32).map(|sequence| end(CHANGED, sequence)).collect();
        let error = listed(&always).unwrap_err();
        assert_eq!(error.to_string(), "RTM_GETADDR: the list changes all the time");
    }

    #[test]
    fn answers_that_make_no_sense() {
        let good = told(NEW_ADDRESS, MULTI, 1, &address(1, 7));
        let large = told(NEW_ADDRESS, MULTI, 1, &[0; 16]).repeat(BUFFER / 32 + 1);
        let end = told(DONE, MULTI, 1, &[0; 4]);
        let no_length = vec![0; 32];
        for bad in [&good[..20], &[&good[..], &[1]].concat(), &large, &no_length, &told(DONE, 0, 1, &[0; 3])]
        {
            let error = listed(&[good.clone(), bad.to_vec(), end.clone()]).unwrap_err();
            assert_eq!(error.to_string(), "RTM_GETADDR: the kernel's answer makes no sense");
        }
        // An interface that is not told of.
        let (socket, _other) = line(&[told((sys::NLMSG_ERROR as u16, ""), 0, 1, &[0; 20])]);
        let error = socket.link(c"eth0").unwrap_err();
        assert_eq!(error.to_string(), "RTM_GETLINK: the kernel's answer makes no sense");
    }

    #[test]
    fn an_interface() {
        let mut answer = Request::new(NEW_LINK, 0, [0, 3, 0x1043, 0].map(u32::to_ne_bytes).as_flattened());
        answer.attribute(53, b"alias\0");
        answer.attribute(3, b"eth0\0");
        let end = told((sys::NLMSG_ERROR as u16, ""), 0, 1, &[0; 20]);
        let (socket, other) = line(&[answer.finish(1), end]);
        let link = socket.link(c"alias").unwrap();
        assert_eq!((link.index, link.name.as_c_str(), link.up), (3, c"eth0", true));
        let mut asked = [0; 64];
        let (_, length) = recv(&other, &mut asked, RecvFlags::empty()).unwrap();
        let request = Message::take(&mut &asked[..length]).unwrap();
        assert_eq!((request.kind, request.flags, request.sequence), (18, 5, 1));
        assert_eq!(attributes(&request.payload[16..]).next(), Some((3, &b"alias\0"[..])));
    }

    #[test]
    fn an_address_is_given_as_it_was() {
        let label = |text: &[u8], new: &[u8]| {
            let mut told = Request::new(NEW_ADDRESS, 0, &address(24, 7));
            told.attribute(2, &[10, 0, 0, 1]);
            told.attribute(3, text);
            told.attribute(8, &[0x80, 2, 0, 0]);
            let told = told.finish(0);
            let request = Address(told[16..].to_vec()).request(12, b"eth0", new).finish(4);
            let message = Message::take(&mut &request[..]).unwrap();
            assert_eq!((message.kind, message.flags), (20, 0x505));
            assert_eq!(message.payload[..4], [2, 24, 0x80, 0]);
            assert_eq!(word(message.payload, 4), Some(12));
            let all: Vec<_> = attributes(&message.payload[8..]).collect();
            assert_eq!((all[0], all[all.len() - 1]), ((2, &[10, 0, 0, 1][..]), (8, &[0x80, 2, 0, 0][..])));
            all.into_iter().find(|(kind, _)| *kind == 3).map(|(_, label)| label.to_vec())
        };
        assert_eq!(label(b"eth0\0", b"eth0").unwrap(), b"eth0\0");
        assert_eq!(label(b"eth0\0", b"inside").unwrap(), b"inside\0");
        assert_eq!(label(b"eth0:web\0", b"inside").unwrap(), b"inside:web\0");
        assert_eq!(label(b"eth01\0", b"inside").unwrap(), b"eth01\0");
        assert_eq!(label(b"other\0", b"inside").unwrap(), b"other\0");
        assert_eq!(label(b"eth0:web\0", b"longest-name-15").as_deref(), None);
        assert_eq!(label(b"eth0\0", b"longest-name-15").unwrap(), b"longest-name-15\0");
    }

    #[test]
    fn what_is_permanent_and_global() {
        let is = |bytes: &[u8]| Address(bytes.to_vec()).is_permanent_and_global();
        assert!(is(&[10, 64, 0x80, 0, 1, 0, 0, 0]) && is(&[2, 24, 0x81, 0, 1, 0, 0, 0]));
        // For a time, of the site, of the link, of this host; and none at all.
        for (flags, scope) in [(0, 0), (0x80, 200), (0x80, 253), (0x80, 254)] {
            assert!(!is(&[2, 24, flags, scope, 1, 0, 0, 0]), "{flags} {scope}");
        }
        assert!(!is(&[]));
    }
}
