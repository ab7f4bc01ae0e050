//! The decoder of a document: its state, objects and arrays, and the first error.

use core::ffi::CStr;
use core::fmt;
use core::mem;

use alloc::vec::Vec;

use super::text::without_nul;
use crate::error::{Error, Result};

/// The maximum depth of nested arrays and objects.
pub const MAX_DEPTH: usize = 128;

/// The maximum size of a document, in bytes.
pub const MAX_SIZE: usize = crate::os::file::MAX_SIZE;

/// The maximum length of the location and field path in an error text, in bytes. The reason follows.
const MAX_WHERE: usize = 320;

/// One step of a field path.
#[derive(Clone, Copy)]
enum Step<'a> {
    Member(&'a [u8]),
    Element(u32),
}

/// The location of a token: line, and column in bytes, both from 1.
#[derive(Clone, Copy)]
struct Location {
    line: usize,
    column: usize,
}

/// The decoder of one document; see the module documentation. Errors are sticky: after the first one all values are
/// empty, and [`Decoder::finish`] returns it.
pub struct Decoder<'a> {
    name: &'a str,
    pub(super) rest: &'a mut [u8],
    pub(super) offset: usize,
    line: usize,
    line_start: usize,
    /// The location that errors report: that of the value begun or ended last.
    token: Location,
    /// The locations of open brackets.
    open: Vec<Location>,
    /// The field path of the current value.
    path: Vec<Step<'a>>,
    /// The first error. After it `rest` is empty.
    error: Option<Error>,
}

/// The state of reading an object: a bit set of the members that were found.
#[derive(Default)]
pub struct Members {
    seen: u64,
    begun: bool,
}

/// The state of reading an array.
#[derive(Default)]
pub struct Elements {
    count: u32,
}

/// Reads an object. The expression of a listed member reads its value; other members are skipped.
///
/// `members!(d, { "path" => path = d.string(), ... })`; at most 64 names.
#[macro_export]
#[doc(hidden)]
macro_rules! members {
    ($d:ident, { $($name:literal => $body:expr),* $(,)? }) => {{
        const NAMES: &[&str] = &[$($name),*];
        let mut members = $d.object();
        while let Some(index) = $d.member(&mut members, NAMES) {
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

impl<'a> Decoder<'a> {
    /// A decoder of the document `text`; `name` precedes line and column in errors.
    pub fn new(name: &'a str, text: &'a mut [u8]) -> Self {
        let too_large = text.len() > MAX_SIZE;
        let mut decoder = Decoder {
            name,
            rest: text,
            offset: 0,
            line: 1,
            line_start: 0,
            token: Location { line: 1, column: 1 },
            open: Vec::with_capacity(16),
            path: Vec::with_capacity(16),
            error: None,
        };
        if too_large {
            decoder.give_up(Error::invalid(format_args!("{name}: larger than {} MiB", MAX_SIZE >> 20)));
        }
        decoder
    }

    /// Stores the first error and ends reading.
    fn give_up(&mut self, error: Error) {
        self.error.get_or_insert(error);
        self.rest = &mut [];
    }

    /// Whether there was no error until now.
    pub fn is_good(&self) -> bool {
        self.error.is_none()
    }

    /// Reports an error about the value that was read last, or is about to be read, with its location and field path.
    #[cold]
    #[inline(never)]
    pub fn fail(&mut self, why: fmt::Arguments<'_>) {
        if self.error.is_some() {
            return;
        }
        let Location { line, column } = self.token;
        let mut error = Error::invalid(format_args!("{}:{line}:{column}: ", self.name));
        for (i, step) in self.path.iter().enumerate() {
            match step {
                Step::Member(name) => {
                    let dot = if i == 0 { "" } else { "." };
                    error.append(format_args!("{dot}{}", core::str::from_utf8(name).unwrap_or_default()));
                }
                Step::Element(index) => error.append(format_args!("[{index}]")),
            }
        }
        error.shorten(MAX_WHERE);
        error.append(format_args!("{}{why}", if self.path.is_empty() { "" } else { ": " }));
        self.give_up(error);
    }

    /// [`Decoder::fail`] with a constant text.
    #[cold]
    #[inline(never)]
    pub fn wrong(&mut self, why: &str) {
        self.fail(format_args!("{why}"));
    }

    /// [`Decoder::fail`] unless `holds`.
    pub fn check(&mut self, holds: bool, why: &str) {
        if !holds {
            self.wrong(why);
        }
    }

    /// Unwraps a required value; `None` is an error.
    pub fn need<T: Default>(&mut self, value: Option<T>, why: &str) -> T {
        self.check(value.is_some(), why);
        value.unwrap_or_default()
    }

    /// Reports a syntax error at the current byte.
    #[cold]
    pub(super) fn broken(&mut self, why: &str) {
        self.token = self.place();
        self.wrong(why);
    }

    fn place(&self) -> Location {
        Location { line: self.line, column: self.offset - self.line_start + 1 }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(super) fn advance(&mut self, count: usize) {
        let rest = mem::take(&mut self.rest);
        self.rest = rest.get_mut(count..).unwrap_or_default();
        self.offset += count;
    }

    /// Skips white space and returns the next byte, if there is one, without consuming it.
    fn after_space(&mut self) -> Option<u8> {
        let mut count = 0;
        let next = loop {
            match self.rest.get(count).copied() {
                Some(b' ' | b'\t' | b'\r') => count += 1,
                Some(b'\n') => {
                    count += 1;
                    self.line += 1;
                    self.line_start = self.offset + count;
                }
                next => break next,
            }
        };
        if count > 0 {
            self.advance(count);
        }
        next
    }

    /// The next byte after white space, not consumed; an error and 0 if there is none.
    fn next(&mut self) -> u8 {
        match self.peek() {
            // Programs usually write JSON without white space.
            Some(byte @ b'!'..) => byte,
            _ => self.after_space().unwrap_or_else(|| {
                self.broken("unexpected end of the document");
                0
            }),
        }
    }

    /// The first byte of a value, not consumed. Errors report this location from now on.
    pub(super) fn begin(&mut self) -> u8 {
        let byte = self.next();
        self.token = self.place();
        byte
    }

    /// Reports a value of the wrong type, given its first byte.
    #[cold]
    pub(super) fn expected(&mut self, what: &str, found: u8) {
        let found = match found {
            b'"' => "a string",
            b'{' => "an object",
            b'[' => "an array",
            b't' | b'f' => "a boolean",
            b'n' => "null",
            b'-' | b'0'..=b'9' => "a number",
            _ => return self.broken("not a JSON value"),
        };
        self.fail(format_args!("expected {what}, found {found}"));
    }

    /// Consumes an opening bracket.
    fn open(&mut self, bracket: u8, what: &str) {
        let found = self.begin();
        if found != bracket {
            return self.expected(what, found);
        }
        if self.open.len() >= MAX_DEPTH {
            return self.fail(format_args!("nested deeper than {MAX_DEPTH}"));
        }
        self.open.push(self.token);
        self.advance(1);
    }

    /// Consumes the closing bracket. Errors report the location of the opening one from now on.
    fn close(&mut self) {
        self.advance(1);
        self.token = self.open.pop().unwrap_or(self.token);
    }

    /// Leaves the member or element that was entered last.
    pub fn leave(&mut self) {
        self.path.pop();
    }

    /// Begins an object.
    pub fn object(&mut self) -> Members {
        self.open(b'{', "an object");
        Members::default()
    }

    /// Reads the name of the next member, with a NUL after it, and the colon; `None` at the object's end.
    fn name(&mut self, members: &mut Members) -> Option<&'a [u8]> {
        match self.next() {
            b'}' => {
                self.close();
                return None;
            }
            b',' if members.begun => {
                self.advance(1);
                self.next();
            }
            _ if members.begun => self.broken("expected ',' or '}'"),
            _ => {}
        }
        members.begun = true;
        if self.peek() != Some(b'"') {
            self.broken("expected a member's name in quotes");
            return None;
        }
        let name = self.raw_string();
        if self.next() != b':' {
            self.broken("expected ':'");
        }
        self.advance(1);
        self.is_good().then_some(name)
    }

    /// Enters the next member that is in `names` and returns its index; `None` at the object's end. Other members, and
    /// those that are null, are skipped. A listed member given twice is an error.
    #[inline(never)]
    pub fn member(&mut self, members: &mut Members, names: &'static [&'static str]) -> Option<usize> {
        while let Some(name) = self.name(members) {
            let name = without_nul(name);
            self.path.push(Step::Member(name));
            let index = names.iter().position(|listed| listed.as_bytes() == name);
            let bit = index.map_or(0, |index| 1 << index);
            if members.seen & bit != 0 {
                self.wrong("given twice");
                return None;
            }
            members.seen |= bit;
            if index.is_some() && self.begin() != b'n' {
                return index.filter(|_| self.is_good());
            }
            self.skip();
            self.leave();
        }
        None
    }

    /// Enters the next member of an object whose names are data (annotations, sysctl).
    pub fn entry(&mut self, members: &mut Members) -> Option<&'a CStr> {
        let name = self.name(members)?;
        let text = self.without_inner_nul(name);
        self.path.push(Step::Member(without_nul(name)));
        self.begin();
        self.is_good().then_some(text)
    }

    /// Begins an array.
    pub fn array(&mut self) -> Elements {
        self.open(b'[', "an array");
        Elements::default()
    }

    /// Enters the next element; `false` at the array's end.
    #[inline(never)]
    pub fn element(&mut self, elements: &mut Elements) -> bool {
        match self.next() {
            b']' => {
                self.close();
                return false;
            }
            b',' if elements.count > 0 => self.advance(1),
            _ if elements.count > 0 => self.broken("expected ',' or ']'"),
            _ => {}
        }
        self.path.push(Step::Element(elements.count));
        elements.count += 1;
        self.is_good()
    }

    /// Checks and skips one value of any type. The recursion is limited by [`MAX_DEPTH`].
    pub fn skip(&mut self) {
        match self.begin() {
            b'{' => {
                let mut members = self.object();
                self.member(&mut members, &[]);
            }
            b'[' => {
                let mut elements = self.array();
                while self.element(&mut elements) {
                    self.skip();
                    self.leave();
                }
            }
            b'"' => drop(self.raw_string()),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            b'-' | b'0'..=b'9' => drop(self.number()),
            _ => self.broken("not a JSON value"),
        }
    }

    /// Ends the document; only white space may follow. Errors: the first one of the document.
    pub fn finish(mut self) -> Result<()> {
        if self.is_good() && self.after_space().is_some() {
            self.broken("data after the end of the document");
        }
        self.error.map_or(Ok(()), Err)
    }
}
