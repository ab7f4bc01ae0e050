//! D-Bus server addresses (D-Bus Specification, "Server Addresses"), with the transport AF_UNIX sockets.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use rustix::io::{Errno, Result};
use rustix::net::SocketAddrUnix;

/// The address of an AF_UNIX socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A path, or a name in the abstract namespace.
    name: Vec<u8>,
    is_abstract: bool,
    /// Whether a message bus listens there, which needs Hello and the destination of calls; else the service itself.
    pub bus: bool,
    /// The environment variable that it comes from, for errors; empty for a fixed or recorded one.
    pub origin: &'static str,
}

impl Address {
    /// The address of a socket at a path; `bus` is whether a bus listens there, not the service itself.
    pub(crate) fn path(path: &[u8], bus: bool) -> Self {
        Address { name: path.into(), is_abstract: false, bus, origin: "" }
    }

    /// The address with the environment variable that it comes from.
    #[must_use]
    pub(crate) fn of(self, origin: &'static str) -> Self {
        Address { origin, ..self }
    }

    /// Whether both are the same socket.
    pub(crate) fn is_same(&self, other: &Address) -> bool {
        (&self.name, self.is_abstract) == (&other.name, other.is_abstract)
    }

    /// Parses what `Display` prints. Only systemd's private socket is not a bus, which its name shows.
    pub(crate) fn read(shown: &str) -> Self {
        match shown.strip_prefix('@') {
            Some(name) => Address { name: name.into(), is_abstract: true, bus: true, origin: "" },
            None => Self::path(shown.as_bytes(), !shown.ends_with("/systemd/private")),
        }
    }

    /// The address for connect(2).
    pub(crate) fn socket(&self) -> Result<SocketAddrUnix> {
        match self.is_abstract {
            true => SocketAddrUnix::new_abstract_name(&self.name),
            false if self.name.contains(&0) => Err(Errno::INVAL),
            false => SocketAddrUnix::new(self.name.as_slice()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_abstract { "@" } else { "" })?;
        f.write_str(&String::from_utf8_lossy(&self.name))
    }
}

/// Displays an address for errors, with its origin: `D-Bus at /run/user/1000/bus (XDG_RUNTIME_DIR)`.
pub(crate) struct Server<'a>(pub(crate) &'a Address);

impl fmt::Display for Server<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Server(address) = self;
        match address.origin {
            "" => write!(f, "D-Bus at {address}"),
            origin => write!(f, "D-Bus at {address} ({origin})"),
        }
    }
}

/// Parses a list of bus addresses, as in DBUS_SESSION_BUS_ADDRESS; those with other transports are omitted.
pub(crate) fn parse(list: &[u8]) -> Vec<Address> {
    list.split(|byte| *byte == b';').filter_map(one).collect()
}

fn one(text: &[u8]) -> Option<Address> {
    let keys = text.strip_prefix(b"unix:")?;
    let value = |name: &[u8]| {
        let values = keys.split(|byte| *byte == b',').filter_map(|key| key.strip_prefix(name));
        values.filter_map(unescape).find(|value| !value.is_empty())
    };
    let (name, is_abstract) = match value(b"path=") {
        Some(path) => (path, false),
        None => (value(b"abstract=")?, true),
    };
    Some(Address { name, is_abstract, bus: true, origin: "" })
}

/// Decodes escaped bytes such as `%2f`; `None` if an escape is invalid.
fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => out.push((digit(bytes.next())? * 16 + digit(bytes.next())?) as u8),
            other => out.push(*other),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn lists() {
        let shown =
            |list: &str| -> Vec<String> { parse(list.as_bytes()).iter().map(Address::to_string).collect() };
        assert_eq!(shown("unix:path=/run/user/1000/bus"), ["/run/user/1000/bus"]);
        assert_eq!(
            shown("unix:guid=12,path=/a%20b;tcp:host=x;unix:abstract=/tmp/d,guid=1"),
            ["/a b", "@/tmp/d"]
        );
        for none in
            ["", "unix:", "unix:path=", "unix:path=/a%2", "unix:path=%zz", "path=/a", "unix:tmpdir=/t"]
        {
            assert!(shown(none).is_empty(), "{none}");
        }
    }

    #[test]
    fn not_a_path() {
        for (name, good) in [(&b"/a"[..], true), (b"/a\0b", false), (&[b'a'; 200], false)] {
            assert_eq!(Address::path(name, false).socket().is_ok(), good, "{name:?}");
        }
    }
}
