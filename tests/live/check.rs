//! The result of a test: passed, failed with a reason, or skipped with a reason.

use std::fmt::{Debug, Display};

/// The reason for which a test stopped early.
pub enum Stop {
    Fail(String),
    /// A test machine should have what is missing: a failure with `MUST=1`.
    Skip(String),
    /// A complete test machine may lack what is missing.
    SkipAllowed(String),
}

pub type Outcome<T = ()> = Result<T, Stop>;

impl<E: Display> From<E> for Stop {
    fn from(reason: E) -> Self {
        Stop::Fail(reason.to_string())
    }
}

pub fn fail<T>(reason: impl Display) -> Outcome<T> {
    Err(Stop::Fail(reason.to_string()))
}

pub fn skip<T>(reason: impl Display) -> Outcome<T> {
    Err(Stop::Skip(reason.to_string()))
}

pub fn skip_allowed<T>(reason: impl Display) -> Outcome<T> {
    Err(Stop::SkipAllowed(reason.to_string()))
}

pub fn same<A: PartialEq<B> + Debug, B: Debug>(what: &str, got: A, want: B) -> Outcome {
    if got == want { Ok(()) } else { fail(format_args!("{what} is {got:?}, not {want:?}")) }
}

pub fn different<A: PartialEq<B> + Debug, B: Debug>(what: &str, got: A, other: B) -> Outcome {
    if got == other { fail(format_args!("{what} is {got:?} as well")) } else { Ok(()) }
}

pub fn holds(what: &str, condition: bool) -> Outcome {
    if condition { Ok(()) } else { fail(format_args!("not true: {what}")) }
}

pub fn contains(what: &str, text: &str, piece: &str) -> Outcome {
    if text.contains(piece) {
        Ok(())
    } else {
        fail(format_args!("{what} does not contain {piece:?}: {text:?}"))
    }
}

pub fn lacks(what: &str, text: &str, piece: &str) -> Outcome {
    if text.contains(piece) { fail(format_args!("{what} contains {piece:?}: {text:?}")) } else { Ok(()) }
}
