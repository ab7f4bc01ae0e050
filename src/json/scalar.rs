//! Decoding of booleans, numbers and strings.

use core::ffi::CStr;
use core::mem;

use super::decoder::Decoder;
use super::integer::Integer;
use super::text::without_nul;

impl<'a> Decoder<'a> {
    /// Reads a boolean.
    pub fn boolean(&mut self) -> bool {
        let first = self.begin();
        match first {
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            other => self.expected("a boolean", other),
        }
        first == b't'
    }

    /// Consumes `true`, `false` or `null`.
    pub(super) fn literal(&mut self, word: &str) {
        match self.rest.starts_with(word.as_bytes()) {
            true => self.advance(word.len()),
            false => self.broken("not a JSON value"),
        }
    }

    /// Reads the text of a number and checks its grammar.
    pub(super) fn number(&mut self) -> &'a [u8] {
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
            self.broken("not a JSON number");
            return b"";
        }
        let (text, rest) = mem::take(&mut self.rest).split_at_mut_checked(end).unwrap_or_default();
        self.rest = rest;
        self.offset += end;
        text
    }

    /// Reads an integer. A number out of the type's range, or with fraction or exponent, is an error.
    #[inline(always)]
    pub fn integer<T: Integer>(&mut self) -> T {
        let (least, most) = T::RANGE;
        T::cut(self.integer_within(least, most))
    }

    /// Reads an integer within a range, as two's complement.
    #[inline(never)]
    fn integer_within(&mut self, least: i64, most: u64) -> u64 {
        match self.begin() {
            b'-' | b'0'..=b'9' => {}
            other => self.expected("an integer", other),
        }
        if !self.is_good() {
            return 0;
        }
        let text = core::str::from_utf8(self.number()).unwrap_or_default();
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let most = if negative { least.unsigned_abs() } else { most };
        match digits.parse::<u64>() {
            Ok(value) if value <= most && negative => value.wrapping_neg(),
            Ok(value) if value <= most => value,
            _ => {
                let is_integer = !text.bytes().any(|byte| b".eE".contains(&byte));
                self.fail(format_args!(
                    "{text} is {}",
                    if is_integer { "out of range" } else { "not an integer" }
                ));
                0
            }
        }
    }

    /// Reads an integer from `least` to `most`.
    #[inline(never)]
    pub fn within(&mut self, least: i64, most: i64) -> i64 {
        let value = self.integer();
        if value < least || value > most {
            self.fail(format_args!("{value} is not within {least} and {most}"));
        }
        value
    }

    /// Reads a string in place, with a NUL after it. The bytes are UTF-8. After an error the slice is empty.
    #[inline(never)]
    pub(super) fn raw_string(&mut self) -> &'a mut [u8] {
        match self.begin() {
            b'"' => {}
            other => self.expected("a string", other),
        }
        let text = self.rest.get_mut(1..).unwrap_or_default();
        let plain = plain(text);
        let (read, write) = match unescape(text, plain) {
            Ok(ends) => ends,
            Err((at, why)) => {
                self.advance(1 + at);
                self.broken(why);
                return Default::default();
            }
        };
        let (text, rest) = mem::take(&mut self.rest).split_at_mut_checked(1 + read).unwrap_or_default();
        self.rest = rest;
        self.offset += 1 + read;
        let text = text.get_mut(1..write + 2).unwrap_or_default();
        // If the closing quote is the first byte that is not plain, as in most strings, the string is ASCII.
        if read > plain + 1 && core::str::from_utf8(text).is_err() {
            self.wrong("a string that is not UTF-8");
            return Default::default();
        }
        text
    }

    /// Reads a string.
    pub fn string(&mut self) -> &'a str {
        core::str::from_utf8(self.bytes()).unwrap_or_default()
    }

    /// Reads a string as bytes, which are UTF-8.
    pub fn bytes(&mut self) -> &'a [u8] {
        without_nul(self.raw_string())
    }

    /// Reads a string for system calls, terminated by a NUL. A NUL in the string is an error.
    #[inline(never)]
    pub fn cstr(&mut self) -> &'a CStr {
        let text = self.raw_string();
        self.without_inner_nul(text)
    }

    /// [`Decoder::cstr`] without the trailing bytes for which `is_trimmed` is true.
    pub fn cstr_without_end(&mut self, is_trimmed: fn(&u8) -> bool) -> &'a CStr {
        let bytes = self.raw_string();
        let mut end = bytes.len();
        while let Some([.., last, _]) = bytes.get_mut(..end)
            && is_trimmed(last)
        {
            *last = 0;
            end -= 1;
        }
        self.without_inner_nul(bytes.get(..end).unwrap_or_default())
    }

    /// Converts a string that ends in a NUL. Another NUL in it is an error.
    pub(super) fn without_inner_nul(&mut self, text: &'a [u8]) -> &'a CStr {
        CStr::from_bytes_with_nul(text).unwrap_or_else(|_| {
            self.wrong("contains a NUL byte");
            c""
        })
    }

    /// Reads a string that must be one of `names` and returns its index; `what` names their kind in the error.
    #[inline(never)]
    pub fn one_of<'w>(&mut self, what: &str, mut names: impl Iterator<Item = &'w str>) -> Option<usize> {
        let word = self.string();
        let place = names.position(|known| known == word);
        if place.is_none() {
            self.fail(format_args!("unknown {what} \"{word}\""));
        }
        place
    }

    /// Reads a string that must be in a table and returns its value; `what` names the kind in the error.
    pub fn keyword<T: Copy>(&mut self, what: &str, table: &[(&str, T)]) -> Option<T> {
        let place = self.one_of(what, table.iter().map(|(word, _)| *word))?;
        table.get(place).map(|(_, value)| *value)
    }
}

/// The character of an escape sequence and its length in bytes, given the text after the backslash. `None` if invalid.
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
            // A high surrogate must be followed by an escaped low one (RFC 8259, section 7).
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

/// The number of bytes at a text's beginning that need no decoding: printable ASCII except quotes and backslashes. It
/// may be too low if fewer than eight bytes of the text are left.
fn plain(text: &[u8]) -> usize {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    let mut count = 0;
    while let Some(eight) = text.get(count..).and_then(|text| text.first_chunk()) {
        let eight = u64::from_le_bytes(*eight);
        let is_below = |bytes: u64, limit: u8| bytes.wrapping_sub(EACH * u64::from(limit));
        let is = |byte: u8| is_below(eight ^ (EACH * u64::from(byte)), 1);
        // The highest bit of a byte is set if it is special. This is exact up to the first such byte.
        let special = eight | is_below(eight, b' ') | is(b'"') | is(b'\\');
        let first = (special & (EACH * 0x80)).trailing_zeros() as usize / 8;
        if first < 8 {
            return count + first;
        }
        count += 8;
    }
    count
}

/// Unescapes a string in place up to its closing quote and appends a NUL. The first `plain` bytes need no decoding.
/// Returns the number of bytes read and written. Errors: the position, and the reason.
fn unescape(text: &mut [u8], plain: usize) -> Result<(usize, usize), (usize, &'static str)> {
    let (mut read, mut write) = (plain, plain);
    loop {
        let byte = *text.get(read).ok_or((read, "unterminated string"))?;
        read += 1;
        let mut bytes = [byte, 0, 0, 0];
        let mut count = 1;
        match byte {
            b'"' => break,
            0..=0x1f => return Err((read - 1, "a control character in a string")),
            b'\\' => {
                let found = escape(text.get(read..).unwrap_or_default());
                let (character, taken) = found.ok_or((read - 1, "not a JSON escape"))?;
                read += taken;
                count = character.encode_utf8(&mut bytes).len();
            }
            _ => {}
        }
        for byte in bytes.into_iter().take(count) {
            if let Some(place) = text.get_mut(write) {
                *place = byte;
            }
            write += 1;
        }
    }
    if let Some(end) = text.get_mut(write) {
        *end = 0;
    }
    Ok((read, write))
}
