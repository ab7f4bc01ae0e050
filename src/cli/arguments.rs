//! The arguments of the command line, one option or operand at a time: `--name=value`, `--name value`, `-n value`, `-nvalue`,
//! `-n=value`, letters in one argument, and `--`, after which all are operands (Utility Syntax Guidelines of POSIX, and
//! getopt_long(3)).

use core::ffi::CStr;
use core::slice::Iter;

/// An option without its value, or an operand.
pub enum Argument {
    Short(char),
    Long(&'static [u8]),
    Operand(&'static CStr),
}

/// The arguments that have not been returned yet.
pub struct Arguments<'a> {
    words: Iter<'a, &'static CStr>,
    begun: Begun,
    only_operands: bool,
}

/// What is left of the argument that the last option was in.
#[derive(Clone, Copy)]
enum Begun {
    Nothing,
    /// What follows `--name=`.
    Value(&'static CStr),
    /// What follows `-n`: other letters, or a value.
    Letters(&'static CStr),
}

impl<'a> Arguments<'a> {
    /// All but the first, which is the name of the program.
    pub fn new(all: &'a [&'static CStr]) -> Self {
        let words = all.get(1..).unwrap_or_default().iter();
        Arguments { words, begun: Begun::Nothing, only_operands: false }
    }

    /// The next option or operand.
    pub fn next(&mut self) -> Option<Argument> {
        if let Begun::Letters(letters) = self.begun {
            return Some(self.letter(letters));
        }
        let word = *self.words.next()?;
        self.begun = Begun::Nothing;
        match word.to_bytes() {
            _ if self.only_operands => Some(Argument::Operand(word)),
            b"--" => {
                self.only_operands = true;
                self.next()
            }
            [b'-', b'-', name @ ..] => {
                let end = name.iter().position(|byte| *byte == b'=');
                if let Some(end) = end {
                    self.begun = Begun::Value(after(word, 3 + end));
                }
                Some(Argument::Long(end.and_then(|end| name.get(..end)).unwrap_or(name)))
            }
            [b'-', _, ..] => Some(self.letter(after(word, 1))),
            _ => Some(Argument::Operand(word)),
        }
    }

    /// The first of one or more letters.
    fn letter(&mut self, letters: &'static CStr) -> Argument {
        let bytes = letters.to_bytes();
        let valid = bytes.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
        let letter = valid.unwrap_or(char::REPLACEMENT_CHARACTER);
        let length = valid.map_or(1, char::len_utf8);
        self.begun = match bytes.len() > length {
            true => Begun::Letters(after(letters, length)),
            false => Begun::Nothing,
        };
        Argument::Short(letter)
    }

    /// The value of the last option: what is left of its argument, or the next argument.
    pub fn value(&mut self) -> Option<&'static CStr> {
        if let Begun::Letters(letters) = self.begun
            && !letters.to_bytes().starts_with(b"=")
        {
            self.begun = Begun::Nothing;
            return Some(letters);
        }
        self.attached_value().or_else(|| self.words.next().copied())
    }

    /// The value of the last option if it has one after `=`.
    pub fn attached_value(&mut self) -> Option<&'static CStr> {
        let value = match self.begun {
            Begun::Value(value) => value,
            Begun::Letters(letters) if letters.to_bytes().starts_with(b"=") => after(letters, 1),
            _ => return None,
        };
        self.begun = Begun::Nothing;
        Some(value)
    }

    /// The next argument as a whole, if the last one is finished and it may be an option. [`Self::skip`] removes it.
    pub fn peek(&self) -> Option<&'static CStr> {
        match self.begun {
            Begun::Nothing if !self.only_operands => self.words.as_slice().first().copied(),
            _ => None,
        }
    }

    /// Removes the argument that [`Self::peek`] returned.
    pub fn skip(&mut self) {
        self.words.next();
    }

    /// All arguments after the last operand, whatever they look like.
    pub fn rest(&mut self) -> &'a [&'static CStr] {
        core::mem::take(&mut self.words).as_slice()
    }
}

/// A string without its first bytes.
fn after(string: &'static CStr, length: usize) -> &'static CStr {
    let bytes = string.to_bytes_with_nul().get(length..).unwrap_or_default();
    CStr::from_bytes_with_nul(bytes).unwrap_or_default()
}
