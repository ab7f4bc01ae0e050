//! A pull decoder for JSON (RFC 8259), made for config.json.
//!
//! It owns the file's buffer and gives out strings that live in it: a string is unescaped where it stands,
//! and the quote that ends it becomes the NUL that a system call wants. Members nobody asks for are checked
//! and skipped without allocation. Stricter than the RFC asks where two readers of one file could see two
//! things: a member given twice, a lone surrogate, a number that is not a plain integer where one is
//! wanted, bytes after the document. `null` is an absent member, as in Go's encoding/json.
//!
//! Every error is one line: `NAME:LINE:COLUMN: process.rlimits[2].type: unknown limit "RLIMIT_FOO"`.
//! Lines and columns count from 1, columns in bytes.

use core::ffi::CStr;
use core::fmt;
use core::mem;

use alloc::vec::Vec;

use crate::error::{Error, Result};

/// Deepest nesting of arrays and objects.
pub const MAX_DEPTH: usize = 128;

/// Largest document, in bytes.
pub const MAX_SIZE: usize = 16 << 20;

/// One step of a field path.
#[derive(Clone, Copy)]
enum Step<'a> {
    Member(&'a str),
    Element(u32),
}

/// The place of a token: line, and column in bytes, from 1.
#[derive(Clone, Copy)]
struct Place {
    line: usize,
    column: usize,
}

/// Decodes one document; see the module's text.
pub struct Decoder<'a> {
    name: &'a str,
    rest: &'a mut [u8],
    offset: usize,
    line: usize,
    line_start: usize,
    /// Where the value last begun stands: what an error points at.
    token: Place,
    path: Vec<Step<'a>>,
}

/// The members of one object as they are read: which came already.
#[derive(Default)]
pub struct Members {
    seen: u64,
    begun: bool,
}

/// The elements of one array as they are read.
#[derive(Default)]
pub struct Elements {
    count: u32,
}

/// Reads an object: each listed member by its expression, the others skipped.
///
/// `members!(d, { "path" => path = d.string()?, ... })`; at most 64 names.
#[macro_export]
#[doc(hidden)]
macro_rules! members {
    ($d:ident, { $($name:literal => $body:expr),* $(,)? }) => {{
        const NAMES: &[&str] = &[$($name),*];
        let mut members = $d.object()?;
        while let Some(index) = $d.member(&mut members, NAMES)? {
            let mut turn = 0usize;
            $(
                if index == turn { $body; }
                turn += 1;
            )*
            let _ = turn;
            $d.leave();
        }
    }};
}

/// Reads an array into a Vec, each element by the expression.
#[macro_export]
#[doc(hidden)]
macro_rules! elements {
    ($d:ident, $body:expr) => {{
        let mut list = alloc::vec::Vec::new();
        let mut elements = $d.array()?;
        while $d.element(&mut elements)? {
            list.push($body);
            $d.leave();
        }
        list
    }};
}

/// Reads an object with free names into a Vec of (name, value), sorted by name; a name twice is an error.
#[macro_export]
#[doc(hidden)]
macro_rules! entries {
    ($d:ident, $key:ident, $body:expr) => {{
        let mut list = alloc::vec::Vec::new();
        let mut members = $d.object()?;
        while let Some($key) = $d.entry(&mut members)? {
            match list.binary_search_by(|(name, _): &(&core::ffi::CStr, _)| (*name).cmp($key)) {
                Ok(_) => return Err($d.fail(format_args!("given twice"))),
                Err(place) => list.insert(place, ($key, $body)),
            }
            $d.leave();
        }
        list
    }};
}

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
    /// A decoder over a document; `name` stands before line and column in errors.
    pub fn new(name: &'a str, text: &'a mut [u8]) -> Result<Self> {
        if text.len() > MAX_SIZE {
            return Err(Error::invalid(format_args!("{name}: larger than {} MiB", MAX_SIZE >> 20)));
        }
        let token = Place { line: 1, column: 1 };
        Ok(Decoder {
            name,
            rest: text,
            offset: 0,
            line: 1,
            line_start: 0,
            token,
            path: Vec::with_capacity(16),
        })
    }

    /// An error about the value last read (or about to be read), with its place and field path.
    #[cold]
    pub fn fail(&self, why: fmt::Arguments<'_>) -> Error {
        let Place { line, column } = self.token;
        let mut error = Error::invalid(format_args!("{}:{line}:{column}: ", self.name));
        for (i, step) in self.path.iter().enumerate() {
            match step {
                Step::Member(name) if i == 0 => error.append(format_args!("{name}")),
                Step::Member(name) => error.append(format_args!(".{name}")),
                Step::Element(index) => error.append(format_args!("[{index}]")),
            }
        }
        error.append(format_args!("{}{why}", if self.path.is_empty() { "" } else { ": " }));
        error
    }

    /// An error in the text itself, at the very byte.
    #[cold]
    fn broken(&mut self, why: &str) -> Error {
        self.token = self.place();
        self.fail(format_args!("{why}"))
    }

    fn place(&self) -> Place {
        Place { line: self.line, column: self.offset - self.line_start + 1 }
    }

    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn advance(&mut self, count: usize) {
        let rest = mem::take(&mut self.rest);
        self.rest = rest.get_mut(count..).unwrap_or_default();
        self.offset += count;
    }

    /// Skips white space and gives the next byte without taking it.
    fn next(&mut self) -> Result<u8> {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' => self.advance(1),
                b'\n' => {
                    self.advance(1);
                    self.line += 1;
                    self.line_start = self.offset;
                }
                byte => return Ok(byte),
            }
        }
        Err(self.broken("the document ends too early"))
    }

    /// The same, where a value begins: errors will point here.
    fn begin(&mut self) -> Result<u8> {
        let byte = self.next()?;
        self.token = self.place();
        Ok(byte)
    }

    #[cold]
    fn expected(&mut self, what: &str, found: u8) -> Error {
        let found = match found {
            b'"' => "a string",
            b'{' => "an object",
            b'[' => "an array",
            b't' | b'f' => "a boolean",
            b'n' => "null",
            b'-' | b'0'..=b'9' => "a number",
            _ => return self.broken("not a JSON value"),
        };
        self.fail(format_args!("expected {what}, found {found}"))
    }

    fn step(&mut self, step: Step<'a>) -> Result<()> {
        if self.path.len() >= MAX_DEPTH {
            return Err(self.fail(format_args!("nested deeper than {MAX_DEPTH}")));
        }
        self.path.push(step);
        Ok(())
    }

    /// Ends the member or element last entered.
    pub fn leave(&mut self) {
        self.path.pop();
    }

    /// Begins an object.
    pub fn object(&mut self) -> Result<Members> {
        match self.begin()? {
            b'{' => self.advance(1),
            other => return Err(self.expected("an object", other)),
        }
        Ok(Members::default())
    }

    /// The name of the next member, its colon taken; `None` at the object's end.
    fn name(&mut self, members: &mut Members) -> Result<Option<&'a CStr>> {
        match self.next()? {
            b'}' => {
                self.advance(1);
                return Ok(None);
            }
            b',' if members.begun => {
                self.advance(1);
                self.next()?;
            }
            _ if members.begun => return Err(self.broken("expected ',' or '}'")),
            _ => {}
        }
        members.begun = true;
        if self.peek() != Some(b'"') {
            return Err(self.broken("expected a member's name in quotes"));
        }
        let name = self.cstr()?;
        if self.next()? != b':' {
            return Err(self.broken("expected ':'"));
        }
        self.advance(1);
        Ok(Some(name))
    }

    /// Enters the next member that `names` lists and gives its index. Skips the others, and those that are
    /// null. A listed member given twice is an error.
    pub fn member(&mut self, members: &mut Members, names: &'static [&'static str]) -> Result<Option<usize>> {
        while let Some(name) = self.name(members)? {
            let known = names.iter().position(|n| n.as_bytes() == name.to_bytes());
            let Some((index, listed)) = known.and_then(|i| Some((i, *names.get(i)?))) else {
                self.skip()?;
                continue;
            };
            self.step(Step::Member(listed))?;
            if members.seen & (1 << index) != 0 {
                return Err(self.fail(format_args!("given twice")));
            }
            members.seen |= 1 << index;
            if self.begin()? == b'n' {
                self.skip()?;
                self.leave();
                continue;
            }
            return Ok(Some(index));
        }
        Ok(None)
    }

    /// Enters the next member of an object whose names are data (annotations, sysctl).
    pub fn entry(&mut self, members: &mut Members) -> Result<Option<&'a CStr>> {
        let Some(name) = self.name(members)? else { return Ok(None) };
        let Ok(shown) = name.to_str() else { return Err(self.broken("not UTF-8")) };
        self.step(Step::Member(shown))?;
        self.begin()?;
        Ok(Some(name))
    }

    /// Begins an array.
    pub fn array(&mut self) -> Result<Elements> {
        match self.begin()? {
            b'[' => self.advance(1),
            other => return Err(self.expected("an array", other)),
        }
        Ok(Elements::default())
    }

    /// Enters the next element, or ends the array.
    pub fn element(&mut self, elements: &mut Elements) -> Result<bool> {
        match self.next()? {
            b']' => {
                self.advance(1);
                return Ok(false);
            }
            b',' if elements.count > 0 => self.advance(1),
            _ if elements.count > 0 => return Err(self.broken("expected ',' or ']'")),
            _ => {}
        }
        self.step(Step::Element(elements.count))?;
        elements.count += 1;
        self.begin()?;
        Ok(true)
    }

    /// A boolean.
    pub fn boolean(&mut self) -> Result<bool> {
        match self.begin()? {
            b't' => self.literal("true").map(|()| true),
            b'f' => self.literal("false").map(|()| false),
            other => Err(self.expected("a boolean", other)),
        }
    }

    fn literal(&mut self, word: &str) -> Result<()> {
        if !self.rest.starts_with(word.as_bytes()) {
            return Err(self.broken("not a JSON value"));
        }
        self.advance(word.len());
        Ok(())
    }

    /// The text of a number, checked against the grammar and taken.
    fn number(&mut self) -> Result<&'a [u8]> {
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
    fn raw_string(&mut self) -> Result<&'a [u8]> {
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

    /// Checks and drops one value, whatever it is. Recursion ends at [`MAX_DEPTH`].
    pub fn skip(&mut self) -> Result<()> {
        match self.begin()? {
            b'{' => {
                let mut members = self.object()?;
                while self.entry(&mut members)?.is_some() {
                    self.skip()?;
                    self.leave();
                }
                Ok(())
            }
            b'[' => {
                let mut elements = self.array()?;
                while self.element(&mut elements)? {
                    self.skip()?;
                    self.leave();
                }
                Ok(())
            }
            b'"' => self.raw_string().map(drop),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            b'-' | b'0'..=b'9' => self.number().map(drop),
            _ => Err(self.broken("not a JSON value")),
        }
    }

    /// Ends the document: nothing but white space may follow.
    pub fn finish(mut self) -> Result<()> {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => self.advance(1),
                _ => return Err(self.broken("something follows the document")),
            }
        }
        Ok(())
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
