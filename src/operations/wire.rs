//! The form in which operations and their results cross the socket between a program that links the library and the program
//! that carries them out. Both are of one build, so the form has no versions: the fields of a structure follow each other,
//! numbers as 8 bytes in native order, bytes after their length, an option after a number that is 1 if it is given. File
//! descriptors are numbers of a list, which is passed by SCM_RIGHTS.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use rustix::fd::OwnedFd;

use crate::error::{Error, Result};
use crate::os::descriptor::Descriptor;

/// A type that can be sent.
pub trait Wire: Sized {
    /// Appends the value.
    fn put(&self, to: &mut Encoder);
    /// Reads a value.
    fn take(from: &mut Decoder<'_>) -> Result<Self>;
}

/// A message that is being written.
#[derive(Default)]
pub struct Encoder {
    pub(crate) bytes: Vec<u8>,
    /// The file descriptors that a container inherits, from 3 on in this order.
    pub(crate) passed: Vec<Descriptor>,
    /// Other file descriptors.
    pub(crate) fds: Vec<Descriptor>,
    /// The first argument that cannot be sent, and whether the error names it.
    error: Option<(Error, bool)>,
}

impl Encoder {
    /// Reports that an argument is not valid.
    #[cold]
    pub(crate) fn fail(&mut self, why: fmt::Arguments<'_>) {
        self.error.get_or_insert_with(|| (Error::invalid(why), false));
    }

    /// Adds the name of the member that was put last, if it is not valid.
    pub(crate) fn name(&mut self, name: &str) {
        if let Some((error, named @ false)) = &mut self.error {
            *named = true;
            *error =
                core::mem::replace(error, Error::invalid(format_args!(""))).within(format_args!("{name}"));
        }
    }

    /// Fails if an argument is not valid.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.error.take().map_or(Ok(()), |(error, _)| Err(error))
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.bytes.extend_from_slice(&number.to_ne_bytes());
    }

    pub(crate) fn list(&mut self, values: &[impl Wire]) {
        self.number(values.len() as u64);
        values.iter().for_each(|value| value.put(self));
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }
}

/// A message that is being read.
pub struct Decoder<'a> {
    rest: &'a [u8],
    /// The number of file descriptors that a container inherits, which have their numbers already.
    passed: u32,
    fds: Vec<Option<OwnedFd>>,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(bytes: &'a [u8], passed: u32, fds: Vec<Option<OwnedFd>>) -> Self {
        Decoder { rest: bytes, passed, fds }
    }

    /// The number of file descriptors that a container inherits.
    pub(crate) fn passed(&self) -> u32 {
        self.passed
    }

    pub(crate) fn number(&mut self) -> Result<u64> {
        let (number, rest) = self.rest.split_first_chunk().ok_or_else(malformed)?;
        self.rest = rest;
        Ok(u64::from_ne_bytes(*number))
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = usize::try_from(self.number()?).map_err(|_| malformed())?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or_else(malformed)?;
        self.rest = rest;
        Ok(bytes)
    }
}

#[cold]
fn malformed() -> Error {
    Error::invalid(format_args!("malformed message between the library and its program"))
}

impl Wire for Descriptor {
    fn put(&self, to: &mut Encoder) {
        to.number(to.fds.len() as u64);
        to.fds.push(self.clone());
    }

    fn take(from: &mut Decoder<'_>) -> Result<Self> {
        let index = usize::try_from(from.number()?).map_err(|_| malformed())?;
        let fd = from.fds.get_mut(index).and_then(Option::take).ok_or_else(malformed)?;
        Ok(fd.into())
    }
}

/// The file descriptors from 3 on that a process in the container inherits.
#[derive(Clone, Debug)]
pub enum Passed {
    /// These; the first becomes 3.
    Given(Vec<Descriptor>),
    /// So many of those that this process has inherited itself.
    #[doc(hidden)]
    Inherited(u32),
}

impl Default for Passed {
    fn default() -> Self {
        Passed::Given(Vec::new())
    }
}

impl Passed {
    /// Their number.
    pub(crate) fn count(&self) -> u32 {
        match self {
            Passed::Given(fds) => u32::try_from(fds.len()).unwrap_or(u32::MAX),
            Passed::Inherited(count) => *count,
        }
    }
}

impl Wire for Passed {
    fn put(&self, to: &mut Encoder) {
        if let Passed::Given(fds) = self {
            to.passed.clone_from(fds);
        }
    }

    fn take(from: &mut Decoder<'_>) -> Result<Self> {
        Ok(Passed::Inherited(from.passed))
    }
}

/// Numbers are sent as `u64`, by sign extension.
macro_rules! numbers {
    ($($type:ty),*) => { $(
        impl Wire for $type {
            fn put(&self, to: &mut Encoder) {
                to.number(*self as u64);
            }

            fn take(from: &mut Decoder<'_>) -> Result<Self> {
                Ok(from.number()? as $type)
            }
        }
    )* };
}

numbers!(u8, u16, u32, u64, i32, i64);

impl Wire for bool {
    fn put(&self, to: &mut Encoder) {
        to.number(u64::from(*self));
    }

    fn take(from: &mut Decoder<'_>) -> Result<Self> {
        Ok(from.number()? != 0)
    }
}

impl Wire for () {
    fn put(&self, _: &mut Encoder) {}

    fn take(_: &mut Decoder<'_>) -> Result<Self> {
        Ok(())
    }
}

impl Wire for String {
    fn put(&self, to: &mut Encoder) {
        to.bytes(self.as_bytes());
    }

    fn take(from: &mut Decoder<'_>) -> Result<Self> {
        Ok(String::from_utf8_lossy(from.bytes()?).into_owned())
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, to: &mut Encoder) {
        self.is_some().put(to);
        self.iter().for_each(|value| value.put(to));
    }

    fn take(from: &mut Decoder<'_>) -> Result<Self> {
        bool::take(from)?.then(|| T::take(from)).transpose()
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, to: &mut Encoder) {
        to.list(self);
    }

    fn take(from: &mut Decoder<'_>) -> Result<Self> {
        (0..from.number()?).map(|_| T::take(from)).collect()
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn put(&self, to: &mut Encoder) {
        self.0.put(to);
        self.1.put(to);
    }

    fn take(from: &mut Decoder<'_>) -> Result<Self> {
        Ok((A::take(from)?, B::take(from)?))
    }
}

impl Wire for Error {
    fn put(&self, to: &mut Encoder) {
        let (kind, errno, text) = self.to_parts();
        kind.put(to);
        errno.put(to);
        to.bytes(text);
    }

    fn take(from: &mut Decoder<'_>) -> Result<Self> {
        let (kind, errno) = (u8::take(from)?, u16::take(from)?);
        Ok(Error::from_parts(kind, errno, from.bytes()?))
    }
}

/// Defines a structure that can be sent, field by field.
macro_rules! record {
    ($(#[$about:meta])* $sight:vis struct $name:ident { $($(#[$note:meta])* $seen:vis $field:ident: $type:ty),* $(,)? }) => {
        $(#[$about])*
        $sight struct $name { $($(#[$note])* $seen $field: $type),* }

        impl $crate::operations::wire::Wire for $name {
            fn put(&self, _to: &mut $crate::operations::wire::Encoder) {
                $(
                    self.$field.put(_to);
                    _to.name(stringify!($field));
                )*
            }

            fn take(_from: &mut $crate::operations::wire::Decoder<'_>) -> $crate::error::Result<Self> {
                Ok($name { $($field: $crate::operations::wire::Wire::take(_from)?),* })
            }
        }
    };
}
pub(crate) use record;

#[cfg(test)]
mod tests {
    use super::*;

    fn round<T: Wire>(value: &T) -> T {
        let mut encoder = Encoder::default();
        value.put(&mut encoder);
        T::take(&mut Decoder::new(&encoder.bytes, 0, Vec::new())).unwrap()
    }

    #[test]
    fn values_arrive() {
        assert_eq!(round(&(-3i32, String::from("ä"))), (-3, "ä".into()));
        assert_eq!(round(&Some(alloc::vec![1u64, u64::MAX])), Some(alloc::vec![1, u64::MAX]));
        assert_eq!(round(&None::<bool>), None);
        let error = Error::system(rustix::io::Errno::NOENT, format_args!("openat a"));
        assert_eq!(alloc::format!("{:?}", round(&error)), alloc::format!("{error:?}"));
    }

    #[test]
    fn a_short_message_is_an_error() {
        let mut encoder = Encoder::default();
        String::from("text").put(&mut encoder);
        for length in 0..encoder.bytes.len() {
            let cut = &encoder.bytes[..length];
            assert!(String::take(&mut Decoder::new(cut, 0, Vec::new())).is_err(), "{length}");
        }
        // More elements than there are bytes.
        assert!(Vec::<u8>::take(&mut Decoder::new(&[0xff; 8], 0, Vec::new())).is_err());
    }
}
