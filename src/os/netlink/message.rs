//! Encoding and decoding of netlink messages (netlink(7), rtnetlink(7)): a header, a fixed part, attributes. Messages
//! and attributes begin with their length and are aligned to four bytes; numbers are in native byte order.

use alloc::vec::Vec;
use core::ffi::CStr;

use linux_raw_sys::netlink as sys;

/// The size of `struct nlmsghdr`: length, type, flags, sequence, port.
const HEADER: usize = 16;

/// The size of `struct rtattr`: length, type.
const ATTRIBUTE: usize = 4;

/// A request under construction.
pub struct Request {
    /// The name of its type, for errors.
    pub name: &'static str,
    bytes: Vec<u8>,
    /// Whether an attribute was too long.
    overflow: bool,
}

impl Request {
    /// A request with its fixed part.
    pub fn new((kind, name): (u16, &'static str), flags: u16, fixed: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend([0; 4]);
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(fixed);
        Request { name, bytes, overflow: false }
    }

    /// Adds an attribute. Its length has 16 bits: with only the lower bits of a larger one, the rest of the value would
    /// be further attributes (CVE-2021-43784).
    pub fn attribute(&mut self, kind: u16, value: &[u8]) {
        let Ok(length) = u16::try_from(ATTRIBUTE + value.len()) else {
            self.overflow = true;
            return;
        };
        let bytes = &mut self.bytes;
        bytes.extend(length.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }

    /// The encoded request with this sequence number. `None` if an attribute is too long.
    pub fn finish(mut self, sequence: u32) -> Option<Vec<u8>> {
        let length = self.bytes.len() as u32;
        for (at, number) in [(0, length), (8, sequence)] {
            if let Some(place) = self.bytes.get_mut(at..at + 4) {
                place.copy_from_slice(&number.to_ne_bytes());
            }
        }
        (!self.overflow).then_some(self.bytes)
    }
}

/// A message of a reply.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    pub kind: u16,
    pub flags: u16,
    pub sequence: u32,
    /// The bytes after the header.
    pub payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// Decodes the first message and removes it from `bytes`. `None` if it is incomplete or malformed.
    pub fn take(bytes: &mut &'a [u8]) -> Option<Self> {
        let (length, kind, flags) = (word(bytes, 0)?, half(bytes, 4)?, half(bytes, 6)?);
        let sequence = word(bytes, 8)?;
        let payload = take(bytes, length as usize, HEADER)?;
        Some(Message { kind, flags, sequence, payload })
    }

    /// The error number in the last message of a reply (NLMSG_ERROR, NLMSG_DONE); 0 for success. `None` if malformed.
    pub fn errno(&self) -> Option<i32> {
        match word(self.payload, 0)? as i32 {
            // Values above 0 mean success too.
            0.. => Some(0),
            code @ -4095..0 => Some(-code),
            _ => None,
        }
    }

    /// The text of an extended acknowledgement (NETLINK_EXT_ACK); empty if there is none.
    pub fn reason(&self) -> &'a str {
        // After the error number there is the request, or only its header (NLM_F_CAPPED).
        let echo = match (u32::from(self.kind), u32::from(self.flags)) {
            (_, flags) if flags & sys::NLM_F_ACK_TLVS == 0 => return "",
            (sys::NLMSG_ERROR, flags) if flags & sys::NLM_F_CAPPED == 0 => word(self.payload, 4).unwrap_or(0),
            (sys::NLMSG_ERROR, _) => HEADER as u32,
            _ => 0,
        };
        let behind = 4usize.saturating_add(echo as usize).checked_next_multiple_of(4).unwrap_or(usize::MAX);
        let mut attributes = attributes(self.payload.get(behind..).unwrap_or_default());
        let text = attributes.find(|(kind, _)| *kind == sys::nlmsgerr_attrs::NLMSGERR_ATTR_MSG as u16);
        let text = text.and_then(|(_, text)| CStr::from_bytes_until_nul(text).ok());
        text.and_then(|text| text.to_str().ok()).unwrap_or("")
    }
}

/// The attributes as (type, value), up to the first incomplete one.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    core::iter::from_fn(move || {
        let (length, kind) = (half(bytes, 0)?, half(bytes, 2)?);
        // The two highest bits are flags about the content.
        Some((kind & sys::NLA_TYPE_MASK as u16, take(&mut bytes, length.into(), ATTRIBUTE)?))
    })
}

/// Removes an item of this length, including a header of `header` bytes, and returns it without the header.
fn take<'a>(bytes: &mut &'a [u8], length: usize, header: usize) -> Option<&'a [u8]> {
    let taken = bytes.get(header..length)?;
    *bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some(taken)
}

/// The 32-bit number at an offset.
pub fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
        Request::new((kind, ""), flags, payload).finish(sequence).unwrap()
    }

    #[test]
    fn a_request() {
        let mut request = Request::new((0x1234, "name"), 0x0705, &[9, 8, 7, 6]);
        request.attribute(3, b"eth0\0");
        request.attribute(0x1c, &7u32.to_ne_bytes());
        let number = |number: u32| number.to_ne_bytes();
        let halves = |a: u16, b: u16| [a.to_ne_bytes(), b.to_ne_bytes()].concat();
        let wanted = [
            &number(40)[..],
            &halves(0x1234, 0x0705),
            &number(99),
            &number(0),
            &[9, 8, 7, 6],
            &halves(9, 3),
            b"eth0\0\0\0\0",
            &halves(8, 0x1c),
            &number(7),
        ];
        assert_eq!(request.finish(99).unwrap(), wanted.concat());
    }

    #[test]
    fn attributes_that_are_too_long() {
        for (length, fits) in [(65_531, true), (65_532, false), (65_540, false), (131_076, false)] {
            let mut request = Request::new((16, ""), 0, &[]);
            request.attribute(3, &vec![1; length]);
            assert_eq!(request.finish(1).is_some(), fits, "{length}");
        }
    }

    #[test]
    fn messages_and_attributes() {
        let mut one = Request::new((16, ""), 2, &[1, 1, 1, 1]);
        one.attribute(0x8003, b"abcde");
        one.attribute(4, b"");
        let bytes = [one.finish(5).unwrap(), message(3, 2, 6, &[0; 4])].concat();
        let mut rest = &bytes[..];
        let first = Message::take(&mut rest).unwrap();
        assert_eq!((first.kind, first.flags, first.sequence), (16, 2, 5));
        let found: Vec<_> = attributes(&first.payload[4..]).collect();
        assert_eq!(found, [(3, &b"abcde"[..]), (4, b"")]);
        let second = Message::take(&mut rest).unwrap();
        assert_eq!((second.kind, second.sequence, second.errno(), rest.len()), (3, 6, Some(0), 0));
        assert!(Message::take(&mut rest).is_none());
    }

    /// Truncated or overwritten messages: decoding terminates, and returns only bytes of the input.
    #[test]
    fn damage() {
        let mut one = Request::new((16, ""), 2, &[1; 16]);
        one.attribute(3, b"eth0\0");
        one.attribute(1, &[2; 6]);
        let whole =
            [one.finish(1).unwrap(), message(2, 0x300, 1, &[0xff; 24]), message(3, 2, 1, &[0; 4])].concat();
        let look = |bytes: &[u8]| {
            let (mut rest, mut seen) = (bytes, 0);
            while let Some(message) = Message::take(&mut rest) {
                seen += 16 + message.payload.len();
                assert!(seen <= bytes.len());
                let inside = attributes(message.payload.get(16..).unwrap_or_default());
                assert!(inside.map(|(_, value)| 4 + value.len()).sum::<usize>() <= message.payload.len());
                let _ = (message.errno(), message.reason());
            }
        };
        for length in 0..whole.len() {
            look(&whole[..length]);
            for number in [0, 1, 3, 4, 5, 15, 16, 17, 0x7f, 0xff] {
                for width in [1, 2, 4] {
                    let mut bytes = whole.clone();
                    bytes.iter_mut().skip(length).take(width).for_each(|byte| *byte = number);
                    look(&bytes);
                }
            }
        }
    }

    #[test]
    fn lengths_that_are_none() {
        for length in [0u32, 1, 15, 17, u32::MAX - 2, u32::MAX] {
            let bytes = [&length.to_ne_bytes()[..], &[0; 12]].concat();
            let mut rest = &bytes[..];
            assert!(Message::take(&mut rest).is_none(), "{length}");
        }
        for length in [0u16, 3, 9, u16::MAX] {
            let bytes = [&length.to_ne_bytes()[..], &[1, 0, 2, 2, 2, 2]].concat();
            assert_eq!(attributes(&bytes).count(), 0, "{length}");
        }
    }

    #[test]
    fn errors_and_their_reasons() {
        let code = |code: i32| code.to_ne_bytes();
        let decoded = |kind, flags, payload: &[u8]| {
            let bytes = message(kind, flags, 1, payload);
            let message = Message::take(&mut &bytes[..]).unwrap();
            (message.errno(), alloc::string::String::from(message.reason()))
        };
        let text = |text: &str| (Some(17), text.into());
        let mut request = Request::new((16, ""), 5, &[0; 16]);
        request.attribute(3, b"eth0\0");
        let request = request.finish(1).unwrap();
        let attribute = |kind: u16, value: &[u8]| {
            [&(4 + value.len() as u16).to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat()
        };
        let (reason, offset) = (&attribute(1, b"why\0")[..], &attribute(2, &9u32.to_ne_bytes())[..]);
        let whole = [&code(-17)[..], &request, offset, reason].concat();
        let short = [&code(-17)[..], &request[..16], reason].concat();
        assert_eq!(decoded(2, 0x200, &whole), text("why"));
        assert_eq!(decoded(2, 0x300, &short), text("why"));
        assert_eq!(decoded(3, 0x202, &[&code(-17)[..], reason].concat()), text("why"));
        // Without the flag NLM_F_ACK_TLVS, or without a terminating NUL.
        assert_eq!(decoded(2, 0, &whole), text(""));
        assert_eq!(decoded(2, 0x300, &[&short[..], &[8]].concat()[..27]), text(""));
        assert_eq!(decoded(2, 0x200, &[&code(-17)[..], &[0xff; 30]].concat()), text(""));
        for (payload, errno) in [
            (&code(0)[..], Some(0)),
            (&code(7), Some(0)),
            (&code(-4095), Some(4095)),
            (&code(-4096), None),
            (&code(i32::MIN), None),
            (&[0; 3], None),
        ] {
            assert_eq!(decoded(2, 0, payload).0, errno, "{payload:?}");
        }
    }
}
