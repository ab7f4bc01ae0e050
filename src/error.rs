//! The error type of the library: a kind, on which callers act, and one line of text.
//!
//! An error is one pointer, so that results stay small. Its memory can be reserved in advance ([`reserve`]): errors
//! also occur in the child, which must not allocate, and are sent to the parent in one packet. Context is added from
//! the inside out: the system call with its arguments ([`On::on`]), the field or object ([`At::at`]), and the command.

mod field;

use alloc::boxed::Box;
use core::ascii::escape_default;
use core::fmt::{self, Write};
use rustix::io::Errno;

use crate::errno;
use crate::sys::slot::Slot;

/// The kind of an error, as far as callers distinguish them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A value in config.json, a file or an argument is not valid.
    Invalid,
    /// A valid setting that mote does not support.
    Unsupported,
    /// There is no container with this ID.
    NotFound,
    /// The container ID is in use.
    Exists,
    /// The operation is not possible in the container's state.
    State,
    /// The command line is invalid (exit code 64, `EX_USAGE` of sysexits.h).
    Usage,
    /// A system call failed with [`Error::errno`].
    System,
    /// The program does not exist.
    NoProgram,
    /// The program cannot be executed.
    Program,
    /// A hook failed, which ends the container (runtime.md, "Lifecycle").
    Hook,
    /// Not an error, only reported in the log (`--log-level warning`).
    Remark,
}

/// The maximal length of a text in bytes. Longer texts are cut; the text of the errno is not part of it.
const TEXT: usize = 440;

/// An error: kind, errno (0 without one), and a text.
pub struct Error(Box<Data>);

struct Data {
    kind: Kind,
    errno: u16,
    len: u16,
    text: [u8; TEXT],
}

/// The memory of the next error.
static SPARE: Slot<Data> = Slot::empty();

/// Allocates memory for the next error, so that creating it does not allocate. One suffices: context is added in place.
pub fn reserve() {
    SPARE.put(Box::new(Data { kind: Kind::System, errno: 0, len: 0, text: [0; TEXT] }));
}

/// The result type of the library.
pub type Result<T, E = Error> = core::result::Result<T, E>;

/// An error of [`Kind::Invalid`] as a result.
#[cold]
pub fn invalid<T>(why: fmt::Arguments<'_>) -> Result<T> {
    Err(Error::invalid(why))
}

impl Error {
    /// An error of this kind, with this text.
    #[cold]
    pub fn new(kind: Kind, text: fmt::Arguments<'_>) -> Self {
        let mut data =
            SPARE.take().unwrap_or_else(|| Box::new(Data { kind, errno: 0, len: 0, text: [0; TEXT] }));
        (data.kind, data.errno, data.len) = (kind, 0, 0);
        // Writing never fails: text that does not fit is cut.
        let _ = data.write_fmt(text);
        Error(data)
    }

    /// An error of [`Kind::Invalid`].
    #[cold]
    pub fn invalid(text: fmt::Arguments<'_>) -> Self {
        Self::new(Kind::Invalid, text)
    }

    /// An error of [`Kind::Unsupported`].
    #[cold]
    pub fn unsupported(text: fmt::Arguments<'_>) -> Self {
        Self::new(Kind::Unsupported, text)
    }

    /// A failed system call; `what` is the call with its arguments.
    #[cold]
    pub fn system(errno: Errno, what: fmt::Arguments<'_>) -> Self {
        let mut error = Self::new(Kind::System, what);
        error.0.errno = errno.raw_os_error() as u16;
        error
    }

    /// Changes the kind.
    #[cold]
    #[must_use]
    pub fn of(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// A failed execution of the program; `what` is the call with its arguments.
    #[cold]
    pub fn program(errno: Errno, what: fmt::Arguments<'_>) -> Self {
        Self::system(errno, what).of(if errno == Errno::NOENT { Kind::NoProgram } else { Kind::Program })
    }

    /// Adds context, such as a field or an object, before the text: `context: text`.
    #[cold]
    #[must_use]
    pub fn within(mut self, context: fmt::Arguments<'_>) -> Self {
        let data = &mut self.0;
        let old = usize::from(data.len);
        if old < TEXT - "...: ".len() {
            let _ = data.write_fmt(context);
            data.shorten(TEXT - ": ".len());
            let _ = data.write_str(": ");
        }
        // Appended to the old text, then rotated to the front.
        data.text.get_mut(..usize::from(data.len)).unwrap_or_default().rotate_left(old);
        self
    }

    /// Appends to the text.
    pub(crate) fn append(&mut self, text: fmt::Arguments<'_>) {
        let _ = self.0.write_fmt(text);
    }

    /// Cuts a text that is longer than `most` bytes, so that it ends in "...": leaves room to append.
    pub(crate) fn shorten(&mut self, most: usize) {
        self.0.shorten(most);
    }

    /// Keeps the memory of the error for the next one, as [`reserve`].
    pub fn recycle(self) {
        SPARE.put(self.0);
    }

    /// The kind of the error.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The error number of the system call; 0 without one.
    pub fn errno(&self) -> u16 {
        self.0.errno
    }

    /// Whether the error number is this one.
    pub fn is(&self, errno: Errno) -> bool {
        i32::from(self.errno()) == errno.raw_os_error()
    }

    /// The text, without that of the errno.
    pub fn text(&self) -> &str {
        // The text may be cut inside a character.
        match core::str::from_utf8(self.bytes()) {
            Ok(text) => text,
            Err(cut) => {
                core::str::from_utf8(self.bytes().get(..cut.valid_up_to()).unwrap_or_default()).unwrap_or("")
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        self.0.text.get(..usize::from(self.0.len)).unwrap_or_default()
    }

    /// Kind, error number and text, for a message between two processes of mote.
    pub(crate) fn to_parts(&self) -> (u8, u16, &[u8]) {
        (self.kind() as u8, self.errno(), self.bytes())
    }

    /// The inverse of [`Error::to_parts`]. An unknown kind becomes `System`.
    pub(crate) fn from_parts(kind: u8, errno: u16, text: &[u8]) -> Self {
        const KINDS: [Kind; 9] = [
            Kind::Invalid,
            Kind::Unsupported,
            Kind::NotFound,
            Kind::Exists,
            Kind::State,
            Kind::Usage,
            Kind::NoProgram,
            Kind::Program,
            Kind::Hook,
        ];
        let kind = KINDS.into_iter().find(|k| *k as u8 == kind).unwrap_or(Kind::System);
        let mut error = Error::new(kind, format_args!("{}", core::str::from_utf8(text).unwrap_or("?")));
        error.0.errno = errno;
        error
    }
}

impl Data {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.text.get_mut(usize::from(self.len)) {
            *place = byte;
            self.len += 1;
        }
    }

    fn shorten(&mut self, most: usize) {
        if usize::from(self.len) <= most {
            return;
        }
        let mut end = most - "...".len();
        // Not inside a character.
        while self.text.get(end).is_some_and(|byte| (0x80..0xc0).contains(byte)) {
            end -= 1;
        }
        self.len = end as u16;
        let _ = self.write_str("...");
    }
}

impl Write for Data {
    /// Writes control characters escaped, as `\n` or `\x1b`: texts contain names from containers and images, and an
    /// error is one line.
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for byte in s.bytes() {
            match byte < b' ' || byte == 0x7f {
                true => escape_default(byte).for_each(|byte| self.push(byte)),
                false => self.push(byte),
            }
        }
        Ok(())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())?;
        match self.errno() {
            0 => Ok(()),
            number => {
                f.write_str(if self.text().is_empty() { "" } else { ": " })?;
                errno::describe(number, f)
            }
        }
    }
}

impl core::error::Error for Error {}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind())
    }
}

/// Adds the failed system call to an errno.
pub trait On<T> {
    /// Makes an [`Error`] of an errno. `what` is the call with its relevant arguments, like strace(1): `mkdirat cpu/a`.
    fn on(self, what: fmt::Arguments<'_>) -> Result<T>;
}

impl<T> On<T> for rustix::io::Result<T> {
    #[inline]
    fn on(self, what: fmt::Arguments<'_>) -> Result<T> {
        match self {
            Ok(value) => Ok(value),
            Err(errno) => Err(Error::system(errno, what)),
        }
    }
}

/// Adds context to an error.
pub trait At<T> {
    /// Adds `context`, a field path, an object or a command, before the error's text: `mounts[3] /sys`.
    fn at(self, context: fmt::Arguments<'_>) -> Result<T>;
}

impl<T> At<T> for Result<T> {
    #[inline]
    fn at(self, context: fmt::Arguments<'_>) -> Result<T> {
        match self {
            Ok(value) => Ok(value),
            Err(error) => Err(error.within(context)),
        }
    }
}

/// Displays a path or a name; bytes that are not UTF-8 become `?`.
pub struct Show<'a>(pub &'a core::ffi::CStr);

impl fmt::Display for Show<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.0.to_bytes(), f)
    }
}

/// Displays output of another program, or of the kernel, as one line: its lines are joined with `; `.
pub struct OneLine<'a>(pub &'a [u8]);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.0.split(|byte| matches!(byte, b'\n' | b'\r')).map(<[u8]>::trim_ascii);
        for (number, line) in lines.filter(|line| !line.is_empty()).enumerate() {
            f.write_str(if number > 0 { "; " } else { "" })?;
            show(line, f)?;
        }
        Ok(())
    }
}

fn show(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        f.write_str(chunk.valid())?;
        if !chunk.invalid().is_empty() {
            f.write_char('?')?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn context_goes_outward_and_the_reason_last() {
        let error =
            Error::system(Errno::PERM, format_args!("fsmount")).within(format_args!("mounts[3] /sys"));
        assert_eq!(error.to_string(), "mounts[3] /sys: fsmount: operation not permitted");
        assert_eq!((error.kind(), error.errno()), (Kind::System, 1));
    }

    #[test]
    fn one_line_whatever_the_names() {
        let error = Error::invalid(format_args!("a\nb\x1b[31m"));
        assert_eq!(error.to_string(), r"a\nb\x1b[31m");
    }

    #[test]
    fn one_line_of_the_output_of_others() {
        for (output, line) in [
            (&b"one"[..], "one"),
            (b"\n one \r\n\n\ttwo\xff\n", "one; two?"),
            (b"a\x1b[2J\nb", r"a\x1b[2J; b"),
            (b" \n", ""),
        ] {
            assert_eq!(Error::invalid(format_args!("{}", OneLine(output))).to_string(), line);
        }
    }

    #[test]
    fn a_long_text_is_cut_and_keeps_its_reason() {
        let long = "ä".repeat(TEXT);
        let error = Error::system(Errno::NOENT, format_args!("x{long}"));
        let text = error.to_string();
        assert!(text.ends_with("ä: no such file or directory"), "{text}");
        assert!(text.len() <= TEXT + 40);
    }

    #[test]
    fn a_long_context_is_cut_before_the_reason() {
        for long in ["ä".repeat(TEXT), "x".repeat(TEXT - 6), "x".repeat(TEXT - 7)] {
            let text = Error::invalid(format_args!("the reason")).within(format_args!("{long}")).to_string();
            assert!(text.ends_with("...: the reason"), "{text}");
            assert!(text.starts_with("äääää") || text.starts_with("xxxxx"), "{text}");
        }
        let long = "x".repeat(TEXT);
        let full = Error::invalid(format_args!("{long}")).within(format_args!("context"));
        assert_eq!(full.text(), long);
    }

    #[test]
    fn survives_the_socket() {
        let error = Error::system(Errno::NOSPC, format_args!("mkdirat a"));
        let (kind, errno, text) = error.to_parts();
        assert_eq!(Error::from_parts(kind, errno, text).to_string(), error.to_string());
        assert_eq!(Error::from_parts(200, 0, b"x").kind(), Kind::System);
    }
}
