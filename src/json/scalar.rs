//! The values without parts: booleans, numbers, strings.

use core::ffi::CStr;
use core::mem;

use super::decoder::Decoder;
use super::integer::Integer;
use super::text::without_nul;

impl<'a> Decoder<'a> {
    /// A boolean.
    pub fn boolean(&mut self) -> bool {
        let first = self.begin();
        match first {
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            other => self.expected("a boolean", other),
        }
        first == b't'
    }

    pub(super) fn literal(&mut self, word: &str) {
        match self.rest.starts_with(word.as_bytes()) {
            true => self.advance(word.len()),
            false => self.broken("not a JSON value"),
        }
    }

    /// The text of a number, checked against the grammar and taken.
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

    /// An integer of any width; out of range or not whole is an error.
    #[inline(always)]
    pub fn integer<T: Integer>(&mut self) -> T {
        let (least, most) = T::RANGE;
        T::cut(self.whole(least, most))
    }

    /// The bits of an integer within a range.
    #[inline(never)]
    fn whole(&mut self, least: i64, most: u64) -> u64 {
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
                let whole = !text.bytes().any(|byte| b".eE".contains(&byte));
                self.fail(format_args!(
                    "{text} is {}",
                    if whole { "out of range" } else { "not an integer" }
                ));
                0
            }
        }
    }

    /// An integer between two bounds.
    #[inline(never)]
    pub fn within(&mut self, least: i64, most: i64) -> i64 {
        let value = self.integer();
        if value < least || value > most {
            self.fail(format_args!("{value} is not within {least} and {most}"));
        }
        value
    }

    /// A string with its NUL behind it, in the document's own bytes, which are UTF-8. Nothing when there is none, of
    /// which is told here.
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
        // It is ASCII when the quote is the first byte that is not plain, as nearly always.
        if read > plain + 1 && core::str::from_utf8(text).is_err() {
            self.wrong("a string that is not UTF-8");
            return Default::default();
        }
        text
    }

    /// A string.
    pub fn string(&mut self) -> &'a str {
        core::str::from_utf8(self.bytes()).unwrap_or_default()
    }

    /// A string's bytes, which are UTF-8.
    pub fn bytes(&mut self) -> &'a [u8] {
        without_nul(self.raw_string())
    }

    /// A string as the kernel takes it: without a NUL inside, with one behind it.
    #[inline(never)]
    pub fn cstr(&mut self) -> &'a CStr {
        let text = self.raw_string();
        self.without_inner_nul(text)
    }

    /// The same, without those bytes at its end that say nothing.
    pub fn cstr_without_end(&mut self, says_nothing: fn(&u8) -> bool) -> &'a CStr {
        let bytes = self.raw_string();
        let mut end = bytes.len();
        while let Some([.., last, _]) = bytes.get_mut(..end)
            && says_nothing(last)
        {
            *last = 0;
            end -= 1;
        }
        self.without_inner_nul(bytes.get(..end).unwrap_or_default())
    }

    pub(super) fn without_inner_nul(&mut self, text: &'a [u8]) -> &'a CStr {
        CStr::from_bytes_with_nul(text).unwrap_or_else(|_| {
            self.wrong("contains a NUL byte");
            c""
        })
    }

    /// A string out of a list of words: its place; `what` names the vocabulary in the error.
    #[inline(never)]
    pub fn one_of<'w>(&mut self, what: &str, mut words: impl Iterator<Item = &'w str>) -> Option<usize> {
        let word = self.string();
        let place = words.position(|known| known == word);
        if place.is_none() {
            self.fail(format_args!("unknown {what} \"{word}\""));
        }
        place
    }

    /// A string out of a table of words, as what it stands for.
    pub fn keyword<T: Copy>(&mut self, what: &str, table: &[(&str, T)]) -> Option<T> {
        let place = self.one_of(what, table.iter().map(|(word, _)| *word))?;
        table.get(place).map(|(_, value)| *value)
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

/// How many bytes at a text's beginning stand for themselves: printable ASCII but quotes and backslashes. Where the text
/// ends soon, not all of them.
fn plain(text: &[u8]) -> usize {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    let mut count = 0;
    while let Some(eight) = text.get(count..).and_then(|text| text.first_chunk()) {
        let eight = u64::from_le_bytes(*eight);
        let is_below = |bytes: u64, limit: u8| bytes.wrapping_sub(EACH * u64::from(limit));
        let is = |byte: u8| is_below(eight ^ (EACH * u64::from(byte)), 1);
        // Told by the highest bit of each byte, up to the first one that has it.
        let special = eight | is_below(eight, b' ') | is(b'"') | is(b'\\');
        let first = (special & (EACH * 0x80)).trailing_zeros() as usize / 8;
        if first < 8 {
            return count + first;
        }
        count += 8;
    }
    count
}

/// Unescapes what stands before the quote that ends it, of which the first `plain` bytes are as they are, and puts a
/// NUL behind it: how much was read and written; or what is wrong where.
fn unescape(text: &mut [u8], plain: usize) -> Result<(usize, usize), (usize, &'static str)> {
    let (mut read, mut write) = (plain, plain);
    loop {
        let byte = *text.get(read).ok_or((read, "a string does not end"))?;
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
