//! Arrays and maps as a whole.

use alloc::vec::Vec;
use core::ffi::CStr;

use super::decoder::Decoder;
use crate::error::Show;

impl<'a> Decoder<'a> {
    /// Reads an array, each element by `read`.
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

    /// Reads an object with free names, each value by `read`: sorted by name, of which none may come twice.
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
