//! The messages between parent and child: one datagram each, over a pair of sockets (unix(7), SOCK_SEQPACKET).
//! End of file has a meaning too.

use alloc::vec::Vec;
use core::cell::Cell;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};

use crate::error::{Error, On, Result};
use crate::os::scm_rights::{receive_many, send_many};
use crate::rootfs::id::RootId;
use crate::rootfs::supply::TreeBatch;

/// A message.
#[derive(Debug)]
pub enum Message {
    /// Intermediate process to parent: the pid of the container init.
    Born(i32),
    /// Child to parent: the trees of `mounts` from this entry on are wanted. The answer is a portion of them
    /// (`rootfs/supply.rs`).
    RequestTrees(i32),
    /// Child to parent: all is mounted, hooks may be run. The reply is `Go`.
    Mounted,
    /// Child to parent: set up, with this root, and waiting to be started.
    Ready(RootId),
    /// Child to parent: the function has returned (`in_mount_namespace.rs`).
    Done,
    /// From the child: a seccomp filter will be loaded whose listener is this descriptor (`listener.rs`).
    FilterListener(i32),
    /// To the child: go on; or run the program.
    Go,
    /// From the child: why there is no container.
    Failed(Error),
    /// End of file: the peer has exited, or after `Go` has executed the program.
    End,
    /// The peer has exited without reading the last message to it (ECONNRESET).
    PeerReset,
}

/// One end of the channel between parent and child.
pub struct Channel {
    socket: OwnedFd,
    /// A receive has failed with ECONNRESET.
    peer_reset: Cell<bool>,
}

const MOUNTED: u8 = b'H';
const READY: u8 = b'R';
const DONE: u8 = b'D';
const BORN: u8 = b'B';
const FILTER: u8 = b'F';
const WANTED: u8 = b'W';
const GO: u8 = b'G';
const FAILED: u8 = b'E';

/// Tag, kind and errno in front of the text.
const HEADER: usize = 4;

impl Channel {
    /// Two ends, the parent's and the child's.
    pub fn pair() -> Result<(Channel, Channel)> {
        let (kind, flags) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
        let (a, b) = socketpair(AddressFamily::UNIX, kind, flags, None).on(format_args!("socketpair"))?;
        Ok((Channel::from_socket(a), Channel::from_socket(b)))
    }

    /// A channel over a connected socket.
    pub fn from_socket(socket: OwnedFd) -> Self {
        Channel { socket, peer_reset: Cell::new(false) }
    }

    /// Its descriptor's number.
    pub fn raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// The socket, for what goes with a descriptor.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Sends a message; gives whether that succeeded. That the peer has exited is no error: the next receive shows it.
    pub fn send(&self, message: &Message) -> bool {
        let mut packet = [0u8; 512];
        let (number, root);
        let (tag, (kind, errno, text)) = match message {
            Message::Born(pid) => {
                number = pid.to_le_bytes();
                (BORN, (0, 0, &number[..]))
            }
            Message::FilterListener(fd) => {
                number = fd.to_le_bytes();
                (FILTER, (0, 0, &number[..]))
            }
            Message::RequestTrees(entry) => {
                number = entry.to_le_bytes();
                (WANTED, (0, 0, &number[..]))
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
        let errno: [u8; 2] = u16::to_le_bytes(errno);
        let bytes = [tag, kind].into_iter().chain(errno).chain(text.iter().copied());
        let mut length = 0;
        for (place, byte) in packet.iter_mut().zip(bytes) {
            *place = byte;
            length += 1;
        }
        // NOSIGNAL: the peer may have exited. And a seccomp filter may have made the call send nothing.
        send(&self.socket, packet.get(..length).unwrap_or_default(), SendFlags::NOSIGNAL) == Ok(length)
    }

    /// Whether the peer has closed its end, and no message is left.
    pub fn is_closed(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        matches!(recv(&self.socket, &mut [0u8; 1], flags), Ok((_, 0)) | Err(Errno::CONNRESET))
    }

    /// Requests trees from the parent, from this entry of `mounts` on.
    #[cold]
    #[inline(never)]
    pub fn request_trees(&self, entry: usize, trees: &mut TreeBatch) -> Result<()> {
        self.send(&Message::RequestTrees(i32::try_from(entry).unwrap_or(i32::MAX)));
        receive_many(self.fd(), trees)?;
        match trees.first() {
            Some(Some(_)) => Ok(()),
            // It has ended, or is about to.
            _ => Err(Error::invalid(format_args!("the parent process sent no trees"))),
        }
    }

    /// Sends the requested trees.
    pub fn send_trees(&self, trees: &[OwnedFd]) -> Result<()> {
        let trees: Vec<BorrowedFd<'_>> = trees.iter().map(AsFd::as_fd).collect();
        send_many(self.fd(), &trees)
    }

    /// Waits for the next message. No signal interrupts it, for no handler is installed (signal(7)): EINTR is the answer of
    /// a filter, which would give it for ever.
    pub fn receive(&self) -> Result<Message> {
        let mut packet = [0u8; 512];
        let length = loop {
            match recv(&self.socket, &mut packet, RecvFlags::empty()) {
                Ok((_, length)) => break length,
                // Reported once, before the peer's last message. The next call gives that message, or end of file.
                Err(Errno::CONNRESET) => self.peer_reset.set(true),
                Err(errno) => return Err(Error::system(errno, format_args!("recvfrom"))),
            }
        };
        Ok(match packet.get(..length.min(packet.len())) {
            Some([MOUNTED, ..]) => Message::Mounted,
            Some([READY, _, _, _, root @ ..]) => Message::Ready(root_of(root)),
            Some([DONE, ..]) => Message::Done,
            Some([GO, ..]) => Message::Go,
            Some([BORN, _, _, _, a, b, c, d]) => Message::Born(i32::from_le_bytes([*a, *b, *c, *d])),
            Some([FILTER, _, _, _, a, b, c, d]) => {
                Message::FilterListener(i32::from_le_bytes([*a, *b, *c, *d]))
            }
            Some([WANTED, _, _, _, a, b, c, d]) => {
                Message::RequestTrees(i32::from_le_bytes([*a, *b, *c, *d]))
            }
            Some(all @ [FAILED, kind, low, high, ..]) => {
                let text = all.get(HEADER..).unwrap_or_default();
                Message::Failed(Error::from_parts(*kind, u16::from_le_bytes([*low, *high]), text))
            }
            _ if self.peer_reset.get() => Message::PeerReset,
            _ => Message::End,
        })
    }
}

/// Three numbers of eight bytes.
fn root_bytes(root: &RootId) -> [u8; 24] {
    let mut bytes = [0; 24];
    let (places, _) = bytes.as_chunks_mut();
    for (place, number) in places.iter_mut().zip([root.mount, root.device, root.inode]) {
        *place = u64::to_le_bytes(number);
    }
    bytes
}

fn root_of(bytes: &[u8]) -> RootId {
    let (numbers, _) = bytes.as_chunks();
    let mut numbers = numbers.iter().map(|bytes| u64::from_le_bytes(*bytes));
    let mut next = || numbers.next().unwrap_or_default();
    RootId { mount: next(), device: next(), inode: next() }
}
