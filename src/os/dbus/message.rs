//! Encoding of messages (D-Bus Specification, "Message Protocol", "Marshaling"): values are aligned to their size,
//! relative to the beginning of the message, and are in native byte order, which is the first byte of each message.

use alloc::string::String;
use alloc::vec::Vec;

/// A value with its type.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Bool(bool),
    I32(i32),
    U32(u32),
    I64(i64),
    U64(u64),
    Text(String),
    Bytes(Vec<u8>),
    Numbers(Vec<u32>),
    Texts(Vec<String>),
    /// `a(ss)`
    Pairs(Vec<(String, String)>),
    /// `a(st)`
    Rates(Vec<(String, u64)>),
}

impl Value {
    /// The signature of its type (D-Bus Specification, "Type System").
    pub fn signature(&self) -> &'static str {
        match self {
            Value::Bool(_) => "b",
            Value::I32(_) => "i",
            Value::U32(_) => "u",
            Value::I64(_) => "x",
            Value::U64(_) => "t",
            Value::Text(_) => "s",
            Value::Bytes(_) => "ay",
            Value::Numbers(_) => "au",
            Value::Texts(_) => "as",
            Value::Pairs(_) => "a(ss)",
            Value::Rates(_) => "a(st)",
        }
    }
}

/// A method call: its name and its arguments.
#[derive(Debug)]
pub struct Call {
    pub destination: &'static str,
    pub path: String,
    pub interface: &'static str,
    pub member: &'static str,
    pub signature: &'static str,
    pub body: Writer,
    /// Whether no reply is expected (NO_REPLY_EXPECTED).
    pub silent: bool,
}

/// Message types: `METHOD_CALL`, `METHOD_RETURN`, `ERROR`, `SIGNAL`.
pub const CALL: u8 = 1;
pub const RETURN: u8 = 2;
pub const ERROR: u8 = 3;
pub const SIGNAL: u8 = 4;

/// Codes of header fields.
pub const PATH: u8 = 1;
pub const INTERFACE: u8 = 2;
pub const MEMBER: u8 = 3;
pub const ERROR_NAME: u8 = 4;
pub const REPLY_SERIAL: u8 = 5;
pub const DESTINATION: u8 = 6;
pub const SENDER: u8 = 7;
pub const SIGNATURE: u8 = 8;

const NO_REPLY_EXPECTED: u8 = 1;

impl Call {
    /// Encodes the message with this serial number.
    pub fn encode(&self, serial: u32) -> Vec<u8> {
        let mut out = Writer::default();
        let order = if cfg!(target_endian = "big") { b'B' } else { b'l' };
        out.bytes.extend([order, CALL, if self.silent { NO_REPLY_EXPECTED } else { 0 }, 1]);
        out.u32(self.body.bytes.len() as u32);
        out.u32(serial);
        out.array(8, &mut |out| {
            for (code, kind, text) in [
                (PATH, "o", self.path.as_str()),
                (DESTINATION, "s", self.destination),
                (INTERFACE, "s", self.interface),
                (MEMBER, "s", self.member),
            ] {
                out.field(code, kind);
                out.text(text);
            }
            if !self.signature.is_empty() {
                out.field(SIGNATURE, "g");
                out.signature(self.signature);
            }
        });
        out.align(8);
        out.bytes.extend_from_slice(&self.body.bytes);
        out.bytes
    }
}

/// Encodes values one after another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    fn field(&mut self, code: u8, kind: &str) {
        self.align(8);
        self.bytes.push(code);
        self.signature(kind);
    }

    /// Adds a `u`.
    pub fn u32(&mut self, value: u32) {
        self.align(4);
        self.bytes.extend(value.to_ne_bytes());
    }

    /// Adds a `t`.
    pub fn u64(&mut self, value: u64) {
        self.align(8);
        self.bytes.extend(value.to_ne_bytes());
    }

    /// Adds a `b`.
    pub fn bool(&mut self, value: bool) {
        self.u32(value.into());
    }

    /// Adds an `s` or `o`. Strings cannot contain NUL: the text is cut off there.
    pub fn text(&mut self, text: &str) {
        let text = text.split('\0').next().unwrap_or_default();
        self.u32(text.len() as u32);
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
    }

    /// Adds a `g`.
    pub fn signature(&mut self, text: &str) {
        self.bytes.push(text.len() as u8);
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
    }

    /// Adds an `a...`: its length, then the elements that `fill` adds, with this alignment.
    pub fn array(&mut self, align: usize, fill: &mut dyn FnMut(&mut Self)) {
        self.u32(0);
        let place = self.bytes.len() - 4;
        self.align(align);
        let start = self.bytes.len();
        fill(self);
        let length = (self.bytes.len() - start) as u32;
        if let Some(room) = self.bytes.get_mut(place..place + 4) {
            room.copy_from_slice(&length.to_ne_bytes());
        }
    }

    /// Adds a `(sv)`: a name and a value with its type.
    pub fn named(&mut self, name: &str, value: &Value) {
        self.align(8);
        self.text(name);
        self.signature(value.signature());
        self.value(value);
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Bool(value) => self.bool(*value),
            Value::I32(value) => self.u32(*value as u32),
            Value::U32(value) => self.u32(*value),
            Value::I64(value) => self.u64(*value as u64),
            Value::U64(value) => self.u64(*value),
            Value::Text(text) => self.text(text),
            Value::Bytes(bytes) => self.array(1, &mut |out| out.bytes.extend_from_slice(bytes)),
            Value::Numbers(list) => self.array(4, &mut |out| list.iter().for_each(|one| out.u32(*one))),
            Value::Texts(list) => self.array(4, &mut |out| list.iter().for_each(|one| out.text(one))),
            Value::Pairs(list) => self.array(8, &mut |out| {
                for (first, second) in list {
                    out.align(8);
                    out.text(first);
                    out.text(second);
                }
            }),
            Value::Rates(list) => self.array(8, &mut |out| {
                for (what, number) in list {
                    out.align(8);
                    out.text(what);
                    out.u64(*number);
                }
            }),
        }
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;
    use alloc::vec;

    fn body(fill: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut out = Writer::default();
        fill(&mut out);
        out.bytes
    }

    /// The call of Hello, encoded as in the specification.
    #[test]
    fn a_call() {
        let call = Call {
            destination: "org.freedesktop.DBus",
            path: "/org/freedesktop/DBus".into(),
            interface: "org.freedesktop.DBus",
            member: "Hello",
            signature: "",
            body: Writer::default(),
            silent: false,
        };
        let expected = b"l\x01\0\x01\0\0\0\0\x01\0\0\0\x6e\0\0\0\
            \x01\x01o\0\x15\0\0\0/org/freedesktop/DBus\0\0\0\
            \x06\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0\
            \x02\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0\
            \x03\x01s\0\x05\0\0\0Hello\0\0\0";
        assert_eq!(call.encode(1), expected);
        let call = Call { signature: "u", body: Writer { bytes: vec![7, 0, 0, 0] }, silent: true, ..call };
        let bytes = call.encode(2);
        assert_eq!(bytes.get(..12), Some(&b"l\x01\x01\x01\x04\0\0\0\x02\0\0\0"[..]));
        assert!(bytes.ends_with(b"\x08\x01g\0\x01u\0\0\x07\0\0\0"), "{bytes:?}");
    }

    #[test]
    fn values() {
        let named = |value| body(|out| out.named("a", &value));
        let start = |kind: &[u8]| [b"\x01\0\0\0a\0", &[kind.len() as u8][..], kind, b"\0"].concat();
        for (value, kind, rest) in [
            (Value::Bool(true), &b"b"[..], &b"\0\0\0\x01\0\0\0"[..]),
            (Value::I32(-2), b"i", b"\0\0\0\xfe\xff\xff\xff"),
            (Value::U32(5), b"u", b"\0\0\0\x05\0\0\0"),
            (Value::I64(-1), b"x", b"\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"),
            (Value::U64(1), b"t", b"\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0"),
            (Value::Text("xy".into()), b"s", b"\0\0\0\x02\0\0\0xy\0"),
            (Value::Bytes(vec![1, 2]), b"ay", b"\0\0\x02\0\0\0\x01\x02"),
            (Value::Numbers(vec![3]), b"au", b"\0\0\x04\0\0\0\x03\0\0\0"),
            (Value::Texts(vec!["x".into(), "".into()]), b"as", b"\0\0\x0d\0\0\0\x01\0\0\0x\0\0\0\0\0\0\0\0"),
            (Value::Texts(vec![]), b"as", b"\0\0\0\0\0\0"),
            (Value::Pairs(vec![]), b"a(ss)", b"\0\0\0\0\0\0\0\0\0\0\0"),
            (
                Value::Pairs(vec![("x".into(), "y".into())]),
                b"a(ss)",
                b"\0\0\0\x0e\0\0\0\0\0\0\0\x01\0\0\0x\0\0\0\x01\0\0\0y\0",
            ),
            (
                Value::Rates(vec![("x".into(), 9)]),
                b"a(st)",
                b"\0\0\0\x10\0\0\0\0\0\0\0\x01\0\0\0x\0\0\0\x09\0\0\0\0\0\0\0",
            ),
        ] {
            assert_eq!(named(value.clone()), [&start(kind), rest].concat(), "{value:?}");
        }
        assert_eq!(body(|out| out.text("a\0b")), b"\x01\0\0\0a\0");
    }
}
