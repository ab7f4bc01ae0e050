//! Decoding of received messages: the header fields that are needed, and the body on request. Senders are not trusted;
//! the result for malformed messages is `None`.

use super::message::{ERROR_NAME, MEMBER, REPLY_SERIAL, SENDER, SIGNATURE};

/// The size of the fixed part of the header, which determines the length of the message, in bytes.
pub const HEAD: usize = 16;

/// "The maximum length of a message" (D-Bus Specification, "Message Format"): 128 MiB.
const LONGEST: u64 = 1 << 27;

/// A received message.
#[derive(Debug, Default)]
pub struct Message<'a> {
    /// The message type: 1 method call, 2 reply, 3 error, 4 signal.
    pub kind: u8,
    /// The serial number of the call to which it replies.
    pub reply_to: u32,
    /// The name of a signal.
    pub member: &'a str,
    /// The name of an error.
    pub error: &'a str,
    /// The sender's unique name on the bus; empty without a bus.
    pub sender: &'a str,
    signature: &'a str,
    body: Reader<'a>,
}

/// The length of a message in bytes, from its first [`HEAD`] bytes.
pub fn length(head: &[u8]) -> Option<usize> {
    let mut reader = Reader::new(head)?;
    reader.at = 4;
    let body = reader.u32()?;
    reader.at = 12;
    let fields = reader.u32()?;
    let length = (HEAD as u64 + u64::from(fields)).next_multiple_of(8) + u64::from(body);
    usize::try_from(length).ok().filter(|_| length <= LONGEST)
}

impl<'a> Message<'a> {
    /// Decodes a complete message.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        if length(bytes)? != bytes.len() {
            return None;
        }
        let mut reader = Reader::new(bytes)?;
        let mut message = Message { kind: *bytes.get(1)?, ..Message::default() };
        reader.at = 12;
        let fields = reader.u32()? as usize;
        let end = HEAD + fields;
        while reader.at < end {
            reader.align(8)?;
            let code = reader.byte()?;
            let kind = reader.signature()?;
            match (code, kind) {
                (MEMBER, "s") => message.member = reader.text()?,
                (ERROR_NAME, "s") => message.error = reader.text()?,
                (SENDER, "s") => message.sender = reader.text()?,
                (REPLY_SERIAL, "u") => message.reply_to = reader.u32()?,
                (SIGNATURE, "g") => message.signature = reader.signature()?,
                _ => reader.skip(kind)?,
            }
        }
        if reader.at != end {
            return None;
        }
        reader.align(8)?;
        // The body begins at a multiple of eight, so alignment can be relative to it.
        message.body = Reader { bytes: bytes.get(reader.at..)?, at: 0, big: reader.big };
        Some(message)
    }

    /// The body, if its signature begins with these types.
    pub fn body(&self, signature: &str) -> Option<Reader<'a>> {
        self.signature.starts_with(signature).then(|| self.body.clone())
    }
}

/// Decodes values one after another.
#[derive(Clone, Debug, Default)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    big: bool,
}

impl<'a> Reader<'a> {
    /// A reader of a message, whose first byte is the byte order, and whose fourth is the protocol version, 1.
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let big = match bytes.first()? {
            b'l' => false,
            b'B' => true,
            _ => return None,
        };
        (bytes.get(3) == Some(&1)).then_some(Reader { bytes, at: 0, big })
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn align(&mut self, to: usize) -> Option<()> {
        self.take(self.at.next_multiple_of(to) - self.at).map(drop)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// Reads a `u`, or another type of four bytes.
    pub fn u32(&mut self) -> Option<u32> {
        self.align(4)?;
        let bytes = self.take(4)?.try_into().ok()?;
        Some(if self.big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    /// Reads an `s` or `o`.
    pub fn text(&mut self) -> Option<&'a str> {
        let length = self.u32()? as usize;
        self.ended(length)
    }

    /// Reads a `g`.
    pub fn signature(&mut self) -> Option<&'a str> {
        let length = self.byte()?.into();
        self.ended(length)
    }

    /// Reads a text of this length and the NUL after it.
    fn ended(&mut self, length: usize) -> Option<&'a str> {
        let text = core::str::from_utf8(self.take(length)?).ok()?;
        (self.byte()? == 0).then_some(text)
    }

    /// Reads a `v` that contains a string or an object path.
    pub fn text_variant(&mut self) -> Option<&'a str> {
        match self.signature()? {
            "s" | "o" => self.text(),
            _ => None,
        }
    }

    /// Skips a value of one of the types that header fields have.
    fn skip(&mut self, kind: &str) -> Option<()> {
        match kind {
            "s" | "o" => self.text().map(drop),
            "g" => self.signature().map(drop),
            "u" => self.u32().map(drop),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reply of systemd to StartTransientUnit.
    const ANSWER: &[u8] = b"l\x02\x01\x01\x2a\0\0\0\x05\0\0\0\x28\0\0\0\
        \x05\x01u\0\x02\0\0\0\x08\x01g\0\x01o\0\0\x07\x01s\0\x04\0\0\0:1.3\0\0\0\0\x09\x01u\0\0\0\0\0\
        \x25\0\0\0/org/freedesktop/systemd1/job/1234567\0";

    #[test]
    fn an_answer() {
        let bytes = ANSWER.to_vec();
        assert_eq!(length(&bytes), Some(bytes.len()));
        let message = Message::decode(&bytes).unwrap();
        assert_eq!((message.kind, message.reply_to, message.sender), (2, 2, ":1.3"));
        assert_eq!(message.body("o").unwrap().text(), Some("/org/freedesktop/systemd1/job/1234567"));
        assert!(message.body("s").is_none());
    }

    #[test]
    fn no_part_of_it_is_one() {
        let bytes = ANSWER.to_vec();
        for end in 0..bytes.len() {
            assert!(Message::decode(&bytes[..end]).is_none(), "{end}");
        }
        for at in 0..bytes.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff, b'a', b'(', b'v'] {
                let mut broken = bytes.clone();
                broken[at] = byte;
                // The result does not matter, but decoding must not panic.
                let _ = Message::decode(&broken).and_then(|message| message.body("o")?.text().map(drop));
            }
        }
    }

    #[test]
    fn lengths() {
        let head =
            |body: [u8; 4], fields: [u8; 4]| [&b"l\x02\0\x01"[..], &body, &[1, 0, 0, 0], &fields].concat();
        assert_eq!(length(&head([0; 4], [0; 4])), Some(16));
        assert_eq!(length(&head([3, 0, 0, 0], [1, 0, 0, 0])), Some(27));
        assert_eq!(length(&head([0xff; 4], [0xff; 4])), None);
        assert_eq!(length(&head([0, 0, 0, 8], [1, 0, 0, 0])), None);
        assert_eq!(length(b"l\x02\0\x02\0\0\0\0\0\0\0\0\0\0\0\0"), None);
        assert_eq!(length(b"x"), None);
    }
}
