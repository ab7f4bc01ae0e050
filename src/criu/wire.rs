//! Protocol Buffers (protobuf.dev, "Encoding"), as far as CRIU's messages need them: fields that are varints or bytes.

use alloc::vec::Vec;

/// Encodes the fields of a message one after another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writer {
    bytes: Vec<u8>,
}

/// The types of fields on the wire.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

impl Writer {
    /// Appends a number.
    pub fn number(&mut self, field: u32, value: u64) {
        self.varint(u64::from(field) << 3 | VARINT);
        self.varint(value);
    }

    /// Appends a string, bytes or an encoded message.
    pub fn bytes(&mut self, field: u32, value: &[u8]) {
        self.varint(u64::from(field) << 3 | BYTES);
        self.varint(value.len() as u64);
        self.bytes.extend_from_slice(value);
    }

    /// Appends a message.
    pub fn message(&mut self, field: u32, write: impl FnOnce(&mut Writer)) {
        let mut inner = Writer::default();
        write(&mut inner);
        self.bytes(field, &inner.bytes);
    }

    /// The encoded message.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

/// The value of a received field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number, or a boolean.
    Number(u64),
    /// A string, bytes or a message.
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The number; 0 for bytes.
    pub fn number(self) -> u64 {
        if let Value::Number(number) = self { number } else { 0 }
    }

    /// The bytes; none for a number.
    pub fn bytes(self) -> &'a [u8] {
        if let Value::Bytes(bytes) = self { bytes } else { &[] }
    }
}

/// Calls a function for each field of a message. Fields of other types are skipped. `None` if it is malformed; the function
/// may have been called for fields before.
pub fn fields<'a>(mut bytes: &'a [u8], visit: &mut dyn FnMut(u32, Value<'a>)) -> Option<()> {
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let field = u32::try_from(key >> 3).ok().filter(|field| *field > 0)?;
        match key & 7 {
            VARINT => visit(field, Value::Number(varint(&mut bytes)?)),
            BYTES => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                visit(field, Value::Bytes(take(&mut bytes, length)?));
            }
            FIXED64 => drop(take(&mut bytes, 8)?),
            FIXED32 => drop(take(&mut bytes, 4)?),
            _ => return None,
        }
    }
    Some(())
}

/// Takes a varint of at most ten bytes; bits beyond 64 are an error.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let [byte] = take(bytes, 1)? else { return None };
        let bits = u64::from(byte & 0x7f);
        value |= bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> Option<Vec<(u32, Value<'_>)>> {
        let mut list = Vec::new();
        fields(bytes, &mut |field, value| list.push((field, value)))?;
        Some(list)
    }

    #[test]
    fn round_trip() {
        let mut writer = Writer::default();
        writer.number(1, 150);
        writer.bytes(68, b"text");
        writer.message(3, |inner| inner.number(2, u64::MAX));
        assert_eq!(&writer.as_bytes()[..3], [0x08, 0x96, 0x01]);
        let list = decoded(writer.as_bytes()).unwrap();
        assert_eq!(list[..2], [(1, Value::Number(150)), (68, Value::Bytes(b"text"))]);
        assert_eq!(decoded(list[2].1.bytes()).unwrap(), [(2, Value::Number(u64::MAX))]);
    }

    #[test]
    fn unknown_and_malformed() {
        assert_eq!(decoded(&[0x0d, 1, 2, 3, 4, 0x10, 5]), Some(alloc::vec![(2, Value::Number(5))]));
        assert_eq!(decoded(&[0x09, 1, 2, 3, 4, 5, 6, 7, 8]), Some(Vec::new()));
        for bad in [
            &[0x08][..],
            &[0x00, 1],
            &[0x0b, 1],
            &[0x0a, 2, 1],
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
            &[0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1],
        ] {
            assert_eq!(decoded(bad), None, "{bad:x?}");
        }
    }
}
