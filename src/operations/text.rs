//! Texts and paths, as arguments of the library.

use alloc::ffi::CString;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;

use super::wire::{Decoder, Encoder, Wire};
use crate::error::Result;
use crate::os::file::Source;

/// A text that the kernel gets, of any bytes but NUL. It is made of strings and paths by `into()`; with a NUL byte, the
/// operation that it is passed to fails with [`Kind::Invalid`](crate::error::Kind::Invalid).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    text: CString,
    has_nul: bool,
}

/// An absolute path. It is made of strings and paths by `into()`; if it is relative, or has a NUL byte, the operation that
/// it is passed to fails with [`Kind::Invalid`](crate::error::Kind::Invalid).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AbsolutePath(Text);

impl Text {
    /// The text, up to a NUL byte.
    pub(crate) fn get(&self) -> &CStr {
        &self.text
    }
}

impl AbsolutePath {
    /// The path, up to a NUL byte.
    pub(crate) fn get(&self) -> &CStr {
        self.0.get()
    }

    /// Fails unless it is absolute and has no NUL byte; `name` is that of the argument.
    pub(crate) fn check(&self, name: &str) -> Result<()> {
        let mut encoder = Encoder::default();
        self.put(&mut encoder);
        encoder.name(name);
        encoder.check()
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        let end = bytes.iter().position(|byte| *byte == 0);
        let text = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
        Text { text: CString::new(text).unwrap_or_default(), has_nul: end.is_some() }
    }
}

impl From<CString> for Text {
    fn from(text: CString) -> Self {
        Text { text, has_nul: false }
    }
}

impl From<&CStr> for Text {
    fn from(text: &CStr) -> Self {
        CString::from(text).into()
    }
}

/// Conversions by way of the bytes.
macro_rules! from_bytes {
    ($($type:ty: $bytes:expr),* $(,)?) => { $(
        impl From<$type> for Text {
            fn from(given: $type) -> Self {
                let bytes: for<'g> fn(&'g $type) -> &'g [u8] = $bytes;
                bytes(&given).into()
            }
        }

        impl From<$type> for AbsolutePath {
            fn from(given: $type) -> Self {
                AbsolutePath(given.into())
            }
        }
    )* };
}

from_bytes! {
    &str: |given| given.as_bytes(),
    &String: |given| given.as_bytes(),
    String: |given| given.as_bytes(),
}

#[cfg(feature = "std")]
from_bytes! {
    &std::path::Path: |given| given.as_os_str().as_encoded_bytes(),
    &std::path::PathBuf: |given| given.as_os_str().as_encoded_bytes(),
    std::path::PathBuf: |given| given.as_os_str().as_encoded_bytes(),
    &std::ffi::OsStr: |given| given.as_encoded_bytes(),
    std::ffi::OsString: |given| given.as_encoded_bytes(),
}

impl From<&[u8]> for AbsolutePath {
    fn from(given: &[u8]) -> Self {
        AbsolutePath(given.into())
    }
}

impl From<&CStr> for AbsolutePath {
    fn from(given: &CStr) -> Self {
        AbsolutePath(given.into())
    }
}

impl From<CString> for AbsolutePath {
    fn from(given: CString) -> Self {
        AbsolutePath(given.into())
    }
}

impl Wire for Text {
    fn put(&self, to: &mut Encoder) {
        if self.has_nul {
            to.fail(format_args!("\"{}\" is followed by a NUL byte", self.text.to_string_lossy()));
        }
        to.bytes(self.text.to_bytes());
    }

    fn take(from: &mut Decoder<'_>) -> Result<Self> {
        from.bytes().map(Text::from)
    }
}

impl Wire for AbsolutePath {
    fn put(&self, to: &mut Encoder) {
        if !self.get().to_bytes().starts_with(b"/") {
            to.fail(format_args!("\"{}\" is not an absolute path", self.get().to_string_lossy()));
        }
        self.0.put(to);
    }

    fn take(from: &mut Decoder<'_>) -> Result<Self> {
        Text::take(from).map(AbsolutePath)
    }
}

/// A document in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// A file.
    File(AbsolutePath),
    /// Its text.
    Bytes(Vec<u8>),
    /// What can be read from the standard input of this process.
    #[doc(hidden)]
    StandardInput,
}

impl Document {
    pub(crate) fn source(&self) -> Source<'_> {
        match self {
            Document::File(path) => Source::Path(path.get()),
            Document::Bytes(bytes) => Source::Bytes(bytes),
            Document::StandardInput => Source::StandardInput,
        }
    }
}

impl Wire for Document {
    fn put(&self, to: &mut Encoder) {
        match self {
            Document::File(path) => {
                to.number(0);
                path.put(to);
            }
            Document::Bytes(bytes) => {
                to.number(1);
                to.bytes(bytes);
            }
            Document::StandardInput => to.number(2),
        }
    }

    fn take(from: &mut Decoder<'_>) -> Result<Self> {
        match from.number()? {
            0 => AbsolutePath::take(from).map(Document::File),
            1 => from.bytes().map(|bytes| Document::Bytes(bytes.into())),
            _ => Ok(Document::StandardInput),
        }
    }
}
