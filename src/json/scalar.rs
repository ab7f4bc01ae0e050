//! The values without parts: booleans, numbers, strings.

use core::ffi::CStr;
use core::mem;

use super::Decoder;
use crate::error::Result;

/// The integers that a field can have.
pub trait Integer {
    /// The least and the greatest.
    const RANGE: (i128, i128);
    /// Out of a number within the range.
    fn cut(value: i128) -> Self;
}

macro_rules! integers {
    ($($kind:ty),*) => {$(
        impl Integer for $kind {
            const RANGE: (i128, i128) = (<$kind>::MIN as i128, <$kind>::MAX as i128);
            fn cut(value: i128) -> Self {
                value as $kind
            }
        }
    )*};
}

integers!(u8, u16, u32, u64, i32, i64);

impl<'a> Decoder<'a> {
    /// A boolean.
    pub fn boolean(&mut self) -> Result<bool> {
        match self.begin()? {
            b't' => self.literal("true").map(|()| true),
            b'f' => self.literal("false").map(|()| false),
            other => Err(self.expected("a boolean", other)),
        }
    }

    pub(super) fn literal(&mut self, word: &str) -> Result<()> {
        if !self.rest.starts_with(word.as_bytes()) {
            return Err(self.broken("not a JSON value"));
        }
        self.advance(word.len());
        Ok(())
    }

    /// The text of a number, checked against the grammar and taken.
    pub(super) fn number(&mut self) -> Result<&'a [u8]> {
        let digits = |text: &[u8], from: usize| {
            text.get(from..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit()).count()
        };
        let start = usize::from(self.peek() == Some(b'-'));
        let mut end = start + digits(self.rest, start);
        let mut good = end > start && (self.rest.get(start) != Some(&b'0') || end == start + 1);
        if self.rest.get(end) == Some(&b'.') {
            let fraction = digits(self.rest, end + 1);
            good &= fraction > 0;
            end += 1 + fraction;
        }
        if matches!(self.rest.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.rest.get(end + 1), Some(b'+' | b'-')));
            let exponent = digits(self.rest, end + 1 + sign);
            good &= exponent > 0;
            end += 1 + sign + exponent;
        }
        if !good {
            return Err(self.broken("not a JSON number"));
        }
        let (text, rest) = mem::take(&mut self.rest).split_at_mut_checked(end).unwrap_or_default();
        self.rest = rest;
        self.offset += end;
        Ok(text)
    }

    /// An integer of any width; out of range or not whole is an error.
    pub fn integer<T: Integer>(&mut self) -> Result<T> {
        self.whole(T::RANGE).map(T::cut)
    }

    fn whole(&mut self, range: (i128, i128)) -> Result<i128> {
        match self.begin()? {
            b'-' | b'0'..=b'9' => {}
            other => return Err(self.expected("an integer", other)),
        }
        let text = core::str::from_utf8(self.number()?).unwrap_or_default();
        match text.parse::<i128>() {
            Ok(value) if (range.0..=range.1).contains(&value) => Ok(value),
            Err(_) if text.bytes().any(|byte| b".eE".contains(&byte)) => {
                Err(self.fail(format_args!("{text} is not an integer")))
            }
            // Also what i128 does not hold.
            _ => Err(self.fail(format_args!("{text} is out of range"))),
        }
    }

    /// A string with its NUL behind it, in the document's own bytes.
    pub(super) fn raw_string(&mut self) -> Result<&'a [u8]> {
        match self.begin()? {
            b'"' => self.advance(1),
            other => return Err(self.expected("a string", other)),
        }
        // Nearly every string is plain: its first special byte is the quote that ends it.
        let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
        let mut read = self.rest.iter().position(special).unwrap_or(self.rest.len());
        let mut write = read;
        loop {
            let Some(&byte) = self.rest.get(read) else {
                self.advance(read);
                return Err(self.broken("a string does not end"));
            };
            read += 1;
            let mut bytes = [byte, 0, 0, 0];
            let mut count = 1;
            match byte {
                b'"' => break,
                0..=0x1f => {
                    self.advance(read - 1);
                    return Err(self.broken("a control character in a string"));
                }
                b'\\' => {
                    let Some((character, taken)) = escape(self.rest.get(read..).unwrap_or_default()) else {
                        self.advance(read - 1);
                        return Err(self.broken("not a JSON escape"));
                    };
                    read += taken;
                    count = character.encode_utf8(&mut bytes).len();
                }
                _ => {}
            }
            for byte in bytes.into_iter().take(count) {
                if let Some(place) = self.rest.get_mut(write) {
                    *place = byte;
                }
                write += 1;
            }
        }
        if let Some(end) = self.rest.get_mut(write) {
            *end = 0;
        }
        let (text, rest) = mem::take(&mut self.rest).split_at_mut_checked(read).unwrap_or_default();
        self.rest = rest;
        self.offset += read;
        let text: &'a [u8] = text;
        let text = text.get(..=write).unwrap_or_default();
        match core::str::from_utf8(text) {
            Ok(_) => Ok(text),
            Err(_) => Err(self.fail(format_args!("a string that is not UTF-8"))),
        }
    }

    /// A string.
    pub fn string(&mut self) -> Result<&'a str> {
        let text = self.raw_string()?;
        Ok(core::str::from_utf8(text.get(..text.len() - 1).unwrap_or_default()).unwrap_or_default())
    }

    /// A string as the kernel takes it: without a NUL inside, with one behind it.
    pub fn cstr(&mut self) -> Result<&'a CStr> {
        let text = self.raw_string()?;
        CStr::from_bytes_with_nul(text).map_err(|_| self.fail(format_args!("contains a NUL byte")))
    }

    /// A string out of a table of words; `what` names the vocabulary in the error.
    pub fn keyword<T: Copy>(&mut self, what: &str, table: &[(&str, T)]) -> Result<T> {
        let word = self.string()?;
        let found = table.iter().find(|(name, _)| *name == word);
        found.map(|(_, value)| *value).ok_or_else(|| self.fail(format_args!("unknown {what} \"{word}\"")))
    }
}

/// The character of an escape sequence, given what follows the backslash, and how many bytes it takes.
fn escape(text: &[u8]) -> Option<(char, usize)> {
    let plain = match text.first()? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\x08',
        b'f' => '\x0c',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let high = hex4(text.get(1..5)?)?;
            if !(0xd800..0xe000).contains(&high) {
                return Some((char::from_u32(high)?, 5));
            }
            // A high surrogate stands only before an escaped low one (RFC 8259, 7).
            let low = text.get(5..7).filter(|u| *u == b"\\u").and_then(|_| hex4(text.get(7..11)?))?;
            let pair = high < 0xdc00 && (0xdc00..0xe000).contains(&low);
            let scalar = 0x10000 + ((high & 0x3ff) << 10) + (low & 0x3ff);
            return if pair { Some((char::from_u32(scalar)?, 11)) } else { None };
        }
        _ => return None,
    };
    Some((plain, 1))
}

fn hex4(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, digit| Some(value << 4 | char::from(*digit).to_digit(16)?))
}
