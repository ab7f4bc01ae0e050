//! Network interfaces and their addresses by rtnetlink(7): finding them, moving them to another network namespace,
//! setting them up.
//!
//! A socket refers to the network namespace in which it was opened, even if its process joins another one, and keeps
//! that namespace alive.

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

/// The type of a request, and its name for errors.
type Kind = (u16, &'static str);

const NEW_LINK: Kind = (sys::RTM_NEWLINK as u16, "RTM_NEWLINK");
const GET_LINK: Kind = (sys::RTM_GETLINK as u16, "RTM_GETLINK");
const NEW_ADDRESS: Kind = (sys::RTM_NEWADDR as u16, "RTM_NEWADDR");
const GET_ADDRESS: Kind = (sys::RTM_GETADDR as u16, "RTM_GETADDR");

/// The flag `IFF_UP` (include/uapi/linux/if.h).
const UP: u32 = 1;

/// `IFNAMSIZ` (include/uapi/linux/if.h): the size of the longest name, with its NUL.
const NAME: usize = 16;

/// The size of the receive buffer: the kernel sends no larger datagrams (`NLMSG_GOODSIZE`), unless it has seen a larger
/// buffer.
const BUFFER: usize = 8192;

/// The number of attempts to read a list that changes while it is read (NLM_F_DUMP_INTR).
const ATTEMPTS: usize = 16;

/// A network namespace, as an attribute of RTM_NEWLINK.
#[derive(Clone, Copy, Debug)]
pub enum Namespace<'a> {
    /// The namespace to which this fd refers.
    Fd(BorrowedFd<'a>),
    /// The namespace of this process.
    Of(Pid),
}

/// A network interface.
#[derive(Debug)]
pub struct Link {
    pub index: u32,
    pub name: CString,
    pub up: bool,
}

/// An address of an interface, as the kernel sends it: `struct ifaddrmsg`, attributes.
#[derive(Debug)]
pub struct Address(Vec<u8>);

/// An rtnetlink socket.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: Cell<u32>,
}

impl Socket {
    /// Opens a socket in the network namespace of this process.
    pub fn open() -> Result<Self> {
        let (kind, flags) = (SocketType::RAW, SocketFlags::CLOEXEC);
        let fd = socket_with(AddressFamily::NETLINK, kind, flags, None).on(format_args!("socket netlink"))?;
        // Connected to the kernel, so that datagrams of other processes in the namespace are not received.
        connect(&fd, &SocketAddrNetlink::new(0, 0)).on(format_args!("connect netlink"))?;
        // Older kernels lack these: then errors have less detail, and dumps are not filtered.
        let _ = set_netlink_option(&fd, sys::NETLINK_EXT_ACK);
        let _ = set_netlink_option(&fd, sys::NETLINK_GET_STRICT_CHK);
        Ok(Socket { fd, sequence: Cell::new(0) })
    }

    /// Gets the interface of this name.
    pub fn link(&self, name: &CStr) -> Result<Link> {
        let mut request = about_link(GET_LINK, 0, 0);
        request.attribute(sys::IFLA_IFNAME as u16, name.to_bytes_with_nul());
        let mut link = None;
        self.request(request, &mut |reply| link = Link::read(reply))?;
        link.ok_or_else(|| malformed(GET_LINK.1))
    }

    /// Gets all addresses of an interface.
    pub fn addresses(&self, index: u32) -> Result<Vec<Address>> {
        for _ in 0..ATTEMPTS {
            let fixed = [[0; 4], index.to_ne_bytes()];
            let request = Request::new(GET_ADDRESS, flags(sys::NLM_F_DUMP), fixed.as_flattened());
            let mut addresses = Vec::new();
            let result = self.request(request, &mut |reply| {
                if word(reply, 4) == Some(index) {
                    addresses.push(Address(reply.to_vec()));
                }
            });
            match result {
                Err(error) if error.is(Errno::INTR) => {}
                result => return result.map(|()| addresses),
            }
        }
        Err(Error::invalid(format_args!("{}: the list changed during {ATTEMPTS} attempts", GET_ADDRESS.1)))
    }

    /// Moves an interface to another network namespace and renames it to `name`.
    pub fn send_away(&self, index: u32, to: Namespace<'_>, name: &CStr) -> Result<()> {
        let mut request = about_link(NEW_LINK, index, 0);
        let (kind, number) = match to {
            Namespace::Fd(fd) => (sys::IFLA_NET_NS_FD, fd.as_raw_fd()),
            Namespace::Of(pid) => (sys::IFLA_NET_NS_PID, pid.as_raw_nonzero().get()),
        };
        request.attribute(kind as u16, &number.to_ne_bytes());
        request.attribute(sys::IFLA_IFNAME as u16, name.to_bytes_with_nul());
        self.request(request, &mut |_| {})
    }

    /// Sets an interface up.
    pub fn set_up(&self, index: u32) -> Result<()> {
        self.request(about_link(NEW_LINK, index, UP), &mut |_| {})
    }

    /// Adds an address to an interface. Its label is changed as the kernel does when an interface is renamed from `old`
    /// to `new`.
    pub fn add(&self, index: u32, address: &Address, old: &CStr, new: &CStr) -> Result<()> {
        let request = address.request(index, old.to_bytes(), new.to_bytes());
        self.request(request, &mut |_| {})
    }

    /// Sends a request, and calls `each` with the payload of each message of the reply, until its end.
    ///
    /// Errors: the error number of the reply; EINTR if a list changed while it was read.
    // Not inlined: the buffer would enlarge the stack frames of the callers.
    #[inline(never)]
    fn request(&self, request: Request, each: &mut dyn FnMut(&[u8])) -> Result<()> {
        let name = request.name;
        let sequence = self.sequence.get().wrapping_add(1);
        self.sequence.set(sequence);
        let request = request.finish(sequence).ok_or(Errno::MSGSIZE);
        let sent = request.and_then(|request| send(&self.fd, &request, SendFlags::empty()));
        sent.on(format_args!("sendto {name}"))?;
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
                // The rest of an earlier reply that was not read to its end.
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

/// The result in the last message of a reply; `changed` is whether the list changed while it was read.
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
    Error::invalid(format_args!("{name}: malformed netlink reply"))
}

/// The flags of all requests, and `more`.
fn flags(more: u32) -> u16 {
    (sys::NLM_F_REQUEST | sys::NLM_F_ACK | more) as u16
}

/// A request with a `struct ifinfomsg`, which sets the interface flags `set`.
fn about_link(kind: Kind, index: u32, set: u32) -> Request {
    let fixed = [0, index, set, set].map(u32::to_ne_bytes);
    Request::new(kind, flags(0), fixed.as_flattened())
}

impl Link {
    fn read(reply: &[u8]) -> Option<Self> {
        let (index, flags) = (word(reply, 4)?, word(reply, 8)?);
        let (_, name) = attributes(reply.get(16..)?).find(|(kind, _)| *kind == sys::IFLA_IFNAME as u16)?;
        let name = CStr::from_bytes_until_nul(name).ok()?.into();
        Some(Link { index, name, up: flags & UP != 0 })
    }
}

impl Address {
    /// Whether the address has an unlimited lifetime and global scope (RFC 3549, 2.3.3.2).
    pub fn is_permanent_and_global(&self) -> bool {
        let universe = sys::rt_scope_t::RT_SCOPE_UNIVERSE as u8;
        matches!(self.0.as_slice(), [_, _, flags, scope, ..]
            if u32::from(*flags) & sys::IFA_F_PERMANENT != 0 && *scope == universe)
    }

    /// Whether its family is `AF_INET6`.
    pub fn is_ipv6(&self) -> bool {
        self.0.first() == Some(&(AddressFamily::INET6.as_raw() as u8))
    }

    /// The request that adds the address to an interface: all that the kernel sent, except for the interface's index
    /// and name.
    fn request(&self, index: u32, old: &[u8], new: &[u8]) -> Request {
        let mut fixed = [[0; 4], index.to_ne_bytes()];
        if let ([words, _], Some(sent)) = (&mut fixed, self.0.first_chunk()) {
            *words = *sent;
        }
        let more = flags(sys::NLM_F_CREATE | sys::NLM_F_REPLACE);
        let mut request = Request::new(NEW_ADDRESS, more, fixed.as_flattened());
        for (kind, value) in attributes(self.0.get(8..).unwrap_or_default()) {
            let label = value.strip_prefix(old).filter(|_| kind == sys::IFA_LABEL as u16);
            match label.filter(|rest| rest.starts_with(b":") || *rest == b"\0") {
                // A label that would be too long is omitted; the default is the interface's name.
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

    /// A socket whose peer has already sent these datagrams.
    fn socket_after(datagrams: &[Vec<u8>]) -> (Socket, OwnedFd) {
        let (ours, other) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        for datagram in datagrams {
            send(&other, datagram, SendFlags::empty()).unwrap();
        }
        (Socket { fd: ours, sequence: Cell::new(0) }, other)
    }

    fn encoded(kind: Kind, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
        Request::new(kind, flags, payload).finish(sequence).unwrap()
    }

    /// An address of an interface, identified by its second byte.
    fn address(which: u8, index: u8) -> Vec<u8> {
        [&[2, which, 0x80, 0][..], &u32::from(index).to_ne_bytes()].concat()
    }

    fn listed(datagrams: &[Vec<u8>]) -> Result<Vec<u8>> {
        let (socket, _other) = socket_after(datagrams);
        Ok(socket.addresses(7)?.iter().map(|address| address.0[1]).collect())
    }

    #[test]
    fn a_list_in_many_parts() {
        let part = |which| encoded(NEW_ADDRESS, MULTI, 1, &address(which, 7));
        let two = |a, b| [part(a), part(b)].concat();
        let other = encoded(NEW_ADDRESS, MULTI, 1, &address(9, 8));
        // Messages of an earlier request, and of type NLMSG_NOOP.
        let stale =
            [encoded(NEW_ADDRESS, MULTI, 0, &address(9, 7)), encoded(DONE, MULTI, 0, &[0; 4])].concat();
        let nothing = encoded((1, ""), 0, 1, &address(9, 7));
        let end = encoded(DONE, MULTI, 1, &[0; 4]);
        let list = listed(&[stale, two(1, 2), other, nothing, [part(3), end].concat()]);
        assert_eq!(list.unwrap(), [1, 2, 3]);
    }

    #[test]
    fn a_list_that_changes_while_it_is_read() {
        let part = |which, flags, sequence| encoded(NEW_ADDRESS, flags, sequence, &address(which, 7));
        let end = |flags, sequence| encoded(DONE, flags, sequence, &[0; 4]);
        let first = [part(1, CHANGED, 1), part(2, MULTI, 1), end(MULTI, 1)];
        let second = [part(1, MULTI, 2), end(CHANGED, 2)];
        let third = [part(3, MULTI, 3), end(MULTI, 3)];
        assert_eq!(listed(&[&first[..], &second, &third].concat()).unwrap(), [3]);
        let always: Vec<_> = (1..=ATTEMPTS as u32).map(|sequence| end(CHANGED, sequence)).collect();
        let error = listed(&always).unwrap_err();
        assert_eq!(error.to_string(), "RTM_GETADDR: the list changed during 16 attempts");
    }

    #[test]
    fn malformed_replies() {
        let good = encoded(NEW_ADDRESS, MULTI, 1, &address(1, 7));
        let large = encoded(NEW_ADDRESS, MULTI, 1, &[0; 16]).repeat(BUFFER / 32 + 1);
        let end = encoded(DONE, MULTI, 1, &[0; 4]);
        let no_length = vec![0; 32];
        for bad in
            [&good[..20], &[&good[..], &[1]].concat(), &large, &no_length, &encoded(DONE, 0, 1, &[0; 3])]
        {
            let error = listed(&[good.clone(), bad.to_vec(), end.clone()]).unwrap_err();
            assert_eq!(error.to_string(), "RTM_GETADDR: malformed netlink reply");
        }
        // Success without a message about the interface.
        let (socket, _other) = socket_after(&[encoded((sys::NLMSG_ERROR as u16, ""), 0, 1, &[0; 20])]);
        let error = socket.link(c"eth0").unwrap_err();
        assert_eq!(error.to_string(), "RTM_GETLINK: malformed netlink reply");
    }

    #[test]
    fn an_interface() {
        let mut answer = Request::new(NEW_LINK, 0, [0, 3, 0x1043, 0].map(u32::to_ne_bytes).as_flattened());
        answer.attribute(53, b"alias\0");
        answer.attribute(3, b"eth0\0");
        let end = encoded((sys::NLMSG_ERROR as u16, ""), 0, 1, &[0; 20]);
        let (socket, other) = socket_after(&[answer.finish(1).unwrap(), end]);
        let link = socket.link(c"alias").unwrap();
        assert_eq!((link.index, link.name.as_c_str(), link.up), (3, c"eth0", true));
        let mut sent = [0; 64];
        let (_, length) = recv(&other, &mut sent, RecvFlags::empty()).unwrap();
        let request = Message::take(&mut &sent[..length]).unwrap();
        assert_eq!((request.kind, request.flags, request.sequence), (18, 5, 1));
        assert_eq!(attributes(&request.payload[16..]).next(), Some((3, &b"alias\0"[..])));
    }

    #[test]
    fn an_address_is_given_as_it_was() {
        let label = |text: &[u8], new: &[u8]| {
            let mut encoded = Request::new(NEW_ADDRESS, 0, &address(24, 7));
            encoded.attribute(2, &[10, 0, 0, 1]);
            encoded.attribute(3, text);
            encoded.attribute(8, &[0x80, 2, 0, 0]);
            let encoded = encoded.finish(0).unwrap();
            let request = Address(encoded[16..].to_vec()).request(12, b"eth0", new).finish(4).unwrap();
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
        // Not permanent; scope site, link and host; then a message that is too short.
        for (flags, scope) in [(0, 0), (0x80, 200), (0x80, 253), (0x80, 254)] {
            assert!(!is(&[2, 24, flags, scope, 1, 0, 0, 0]), "{flags} {scope}");
        }
        assert!(!is(&[]));
    }
}
