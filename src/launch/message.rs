//! The channel between parent and child, a SOCK_SEQPACKET socket pair (unix(7)), and its messages, one packet each. End
//! of file is significant too.

use alloc::vec::Vec;
use core::cell::Cell;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};

use crate::error::{Error, On, Result};
use crate::os::scm_rights::{receive_many, send_many};
use crate::rootfs::id::RootId;
use crate::rootfs::source::Request;
use crate::rootfs::supply::TreeBatch;

/// A message.
#[derive(Debug)]
pub enum Message {
    /// Intermediate process to parent: the pid of the container init.
    Born(i32),
    /// Child to parent: requests mount trees for `mounts`. The reply is a packet with them (`rootfs/supply.rs`).
    RequestTrees(Request),
    /// Child to parent: everything is mounted, the hooks before pivot_root can run. The reply is `Go`.
    Mounted,
    /// Child to parent: the container is set up, with this root, and waits to be started.
    Ready(RootId),
    /// Child to parent: the function has returned (`in_child.rs`).
    Done,
    /// From the child: it is about to load a seccomp filter, whose listener fd has this number (`listener.rs`).
    FilterListener(i32),
    /// To the child: continue, or execute the program.
    Go,
    /// From the child: the error that occurred.
    Failed(Error),
    /// End of file: the peer has exited, or after `Go` has executed the program.
    End,
    /// The peer has exited without reading the last message to it (ECONNRESET).
    PeerReset,
}

/// One end of the channel between parent and child.
pub struct Channel {
    socket: OwnedFd,
    /// Whether a receive has failed with ECONNRESET.
    peer_reset: Cell<bool>,
}

const MOUNTED: u8 = b'H';
const READY: u8 = b'R';
const DONE: u8 = b'D';
const BORN: u8 = b'B';
const FILTER: u8 = b'F';
const WANTED: u8 = b'W';
const AGAIN: u8 = b'A';
const GO: u8 = b'G';
const FAILED: u8 = b'E';

/// The length of tag, error kind and errno, which precede the text.
const HEADER: usize = 4;

/// The offset of the errno in a packet: two bytes, in the order of the CPU.
pub(super) const ERRNO_AT: usize = 2;

/// The maximal length of a packet.
const MOST: usize = 512;

/// Calls `copy` with the packet of [`Message::Failed`].
pub(super) fn failure_packet<T>(error: &Error, copy: impl FnOnce(&[u8]) -> T) -> T {
    let (kind, errno, text) = error.to_parts();
    copy(write(&mut [0; MOST], [FAILED, kind], errno, text))
}

fn write<'p>(packet: &'p mut [u8; MOST], head: [u8; 2], errno: u16, text: &[u8]) -> &'p [u8] {
    let bytes = head.into_iter().chain(errno.to_ne_bytes()).chain(text.iter().copied());
    let mut length = 0;
    for (place, byte) in packet.iter_mut().zip(bytes) {
        *place = byte;
        length += 1;
    }
    packet.get(..length).unwrap_or_default()
}

impl Channel {
    /// Creates a channel: the parent's end and the child's.
    pub fn pair() -> Result<(Channel, Channel)> {
        let (kind, flags) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
        let (a, b) = socketpair(AddressFamily::UNIX, kind, flags, None).on(format_args!("socketpair"))?;
        Ok((Channel::from_socket(a), Channel::from_socket(b)))
    }

    /// A channel over a connected socket.
    pub fn from_socket(socket: OwnedFd) -> Self {
        Channel { socket, peer_reset: Cell::new(false) }
    }

    /// The fd number of the socket.
    pub fn raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// The socket, for messages with file descriptors.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Sends a message; returns whether that succeeded. If the peer has exited, the next receive reports it.
    pub fn send(&self, message: &Message) -> bool {
        let mut packet = [0u8; MOST];
        let (number, root);
        let (tag, (kind, errno, text)) = match message {
            Message::Born(pid) => {
                number = pid.to_ne_bytes();
                (BORN, (0, 0, &number[..]))
            }
            Message::FilterListener(fd) => {
                number = fd.to_ne_bytes();
                (FILTER, (0, 0, &number[..]))
            }
            Message::RequestTrees(request) => {
                let (tag, entry) = match *request {
                    Request::From(entry) => (WANTED, entry),
                    Request::Again(entry) => (AGAIN, entry),
                };
                number = i32::try_from(entry).unwrap_or(i32::MAX).to_ne_bytes();
                (tag, (0, 0, &number[..]))
            }
            Message::Mounted => (MOUNTED, Default::default()),
            Message::Ready(id) => {
                root = root_bytes(id);
                (READY, (0, 0, &root[..]))
            }
            Message::Done => (DONE, Default::default()),
            Message::Go => (GO, Default::default()),
            Message::Failed(error) => (FAILED, error.to_parts()),
            Message::End | Message::PeerReset => return false,
        };
        let packet = write(&mut packet, [tag, kind], errno, text);
        // NOSIGNAL: the peer may have exited. The length is compared since a seccomp filter may make the call return 0.
        send(&self.socket, packet, SendFlags::NOSIGNAL) == Ok(packet.len())
    }

    /// Whether the peer has closed its end and no message is left to read.
    pub fn is_closed(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        matches!(recv(&self.socket, &mut [0u8; 1], flags), Ok((_, 0)) | Err(Errno::CONNRESET))
    }

    /// Requests mount trees from the parent.
    #[cold]
    #[inline(never)]
    pub fn request_trees(&self, request: Request, trees: &mut TreeBatch) -> Result<()> {
        self.send(&Message::RequestTrees(request));
        receive_many(self.fd(), trees)?;
        match trees.first() {
            Some(Some(_)) => Ok(()),
            // The parent has exited, or is about to.
            _ => Err(Error::invalid(format_args!("the parent process sent no trees"))),
        }
    }

    /// Sends the requested mount trees.
    pub fn send_trees(&self, trees: &[OwnedFd]) -> Result<()> {
        let trees: Vec<BorrowedFd<'_>> = trees.iter().map(AsFd::as_fd).collect();
        send_many(self.fd(), &trees)
    }

    /// Waits for the next message. EINTR is an error: no signal handler is installed (signal(7)), so that it can only
    /// come from a seccomp filter, and repeating the call would never end.
    pub fn receive(&self) -> Result<Message> {
        let mut packet = [0u8; MOST];
        let length = loop {
            match recv(&self.socket, &mut packet, RecvFlags::empty()) {
                Ok((_, length)) => break length,
                // Reported once, before the peer's last message. The next call returns that message, or end of file.
                Err(Errno::CONNRESET) => self.peer_reset.set(true),
                Err(errno) => return Err(Error::system(errno, format_args!("recvfrom"))),
            }
        };
        Ok(match packet.get(..length.min(packet.len())) {
            Some([MOUNTED, ..]) => Message::Mounted,
            Some([READY, _, _, _, root @ ..]) => Message::Ready(root_of(root)),
            Some([DONE, ..]) => Message::Done,
            Some([GO, ..]) => Message::Go,
            Some([BORN, _, _, _, a, b, c, d]) => Message::Born(i32::from_ne_bytes([*a, *b, *c, *d])),
            Some([FILTER, _, _, _, a, b, c, d]) => {
                Message::FilterListener(i32::from_ne_bytes([*a, *b, *c, *d]))
            }
            Some([tag @ (WANTED | AGAIN), _, _, _, a, b, c, d]) => {
                let entry = usize::try_from(i32::from_ne_bytes([*a, *b, *c, *d])).unwrap_or_default();
                let again = *tag == AGAIN;
                Message::RequestTrees(if again { Request::Again(entry) } else { Request::From(entry) })
            }
            Some(all @ [FAILED, kind, low, high, ..]) => {
                let text = all.get(HEADER..).unwrap_or_default();
                Message::Failed(Error::from_parts(*kind, u16::from_ne_bytes([*low, *high]), text))
            }
            _ if self.peer_reset.get() => Message::PeerReset,
            _ => Message::End,
        })
    }
}

/// A root ID as three little-endian numbers of eight bytes.
fn root_bytes(root: &RootId) -> [u8; 24] {
    let mut bytes = [0; 24];
    let (places, _) = bytes.as_chunks_mut();
    for (place, number) in places.iter_mut().zip([root.mount, root.device, root.inode]) {
        *place = u64::to_ne_bytes(number);
    }
    bytes
}

fn root_of(bytes: &[u8]) -> RootId {
    let (numbers, _) = bytes.as_chunks();
    let mut numbers = numbers.iter().map(|bytes| u64::from_ne_bytes(*bytes));
    let mut next = || numbers.next().unwrap_or_default();
    RootId { mount: next(), device: next(), inode: next() }
}
