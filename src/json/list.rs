//! Decoding of whole arrays and maps.

use alloc::vec::Vec;
use core::ffi::CStr;

use super::decoder::Decoder;
use crate::error::Show;

impl<'a> Decoder<'a> {
    /// Reads an array; `read` decodes an element.
    #[inline(never)]
    pub fn list<T>(&mut self, read: impl Fn(&mut Self) -> T) -> Vec<T> {
        let mut list = Vec::new();
        let mut elements = self.array();
        while self.element(&mut elements) {
            list.push(read(self));
            self.leave();
        }
        list
    }

    /// Reads an object whose names are data; `read` decodes a value. The result is sorted by name; a name given twice
    /// is an error.
    #[inline(never)]
    pub fn map<T>(&mut self, read: impl Fn(&mut Self, &'a CStr) -> T) -> Vec<(&'a CStr, T)> {
        let mut list = Vec::new();
        let mut members = self.object();
        while let Some(name) = self.entry(&mut members) {
            list.push((name, read(self, name)));
            self.leave();
        }
        list.sort_unstable_by_key(|(name, _)| *name);
        if let Some([(twice, _), _]) = list.windows(2).find(|two| matches!(two, [(a, _), (b, _)] if a == b)) {
            self.fail(format_args!("\"{}\" is given twice", Show(twice)));
        }
        list
    }
}
