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

mod scalar;

use core::ffi::CStr;
use core::fmt;
use core::mem;

use alloc::vec::Vec;

use crate::error::{Error, Result};
pub use scalar::Integer;

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
            let entry: (&core::ffi::CStr, _) = ($key, $body);
            list.push(entry);
            $d.leave();
        }
        list.sort_unstable_by_key(|(name, _)| *name);
        if let Some([(twice, _), _]) = list.windows(2).find(|two| matches!(two, [(a, _), (b, _)] if a == b)) {
            return Err($d.fail(format_args!("\"{}\" is given twice", $crate::error::Show(twice))));
        }
        list
    }};
}

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

    /// Skips white space and gives the next byte, if there is one, without taking it.
    fn after_space(&mut self) -> Option<u8> {
        loop {
            match self.peek()? {
                b' ' | b'\t' | b'\r' => self.advance(1),
                b'\n' => {
                    self.advance(1);
                    self.line += 1;
                    self.line_start = self.offset;
                }
                byte => return Some(byte),
            }
        }
    }

    /// The same, where there must be one.
    fn next(&mut self) -> Result<u8> {
        self.after_space().ok_or_else(|| self.broken("the document ends too early"))
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
        match self.after_space() {
            Some(_) => Err(self.broken("something follows the document")),
            None => Ok(()),
        }
    }
}
