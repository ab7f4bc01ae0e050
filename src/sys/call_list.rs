//! A list of system calls that a process makes when nothing else is left in its memory.
//!
//! A container init may wait for `start` for as long as its container is in the state `created`. All that it has to do
//! after that is known before: accept a connection, reset signals, set limits, load a filter, execute the program, or
//! send one of a few error messages. So it writes these calls, with all that they refer to, into memory of its own, and
//! continues in [`code::code`], a loop in machine code that needs no stack, no data and no other function. The first
//! calls of the list unmap everything else.
//!
//! Only for a static program with musl: glibc registers a part of each thread's memory with the kernel (rseq(2)), which kills
//! a process that has unmapped it.

mod code;
#[cfg(test)]
mod tests;

use core::mem::offset_of;
use core::ptr::{copy_nonoverlapping, with_exposed_provenance, with_exposed_provenance_mut};

use linux_raw_sys::general::{
    __NR_exit, __NR_exit_group, __NR_munmap, MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE,
};
use rustix::io::{Errno, Result};

use super::program::end_of_vdso;
use super::raw::mmap;
use super::{getauxval, page_size};
pub use code::code;

/// Where the list continues after a call.
#[derive(Clone, Copy)]
pub enum Next {
    /// At the call that is added next.
    Following,
    /// At this entry.
    Entry(Address),
    /// At the call itself: it is repeated.
    Same,
}

/// An address in the memory of the list.
#[derive(Clone, Copy)]
pub struct Address(usize);

impl Address {
    /// The address as an argument of a call.
    pub fn number(self) -> usize {
        self.0
    }

    /// The address so many bytes behind.
    pub fn behind(self, bytes: usize) -> Self {
        Address(self.0 + bytes)
    }
}

/// The first argument of a call.
#[derive(Clone, Copy)]
pub enum First {
    Is(usize),
    /// The number that an earlier call has stored there.
    At(Address),
}

/// A system call, and what follows its result.
#[derive(Clone, Copy)]
pub struct ListedCall {
    pub number: u32,
    pub first: First,
    /// The second to the fifth argument; the sixth is 0.
    pub more: [usize; 4],
    /// Where a positive result is stored.
    pub result: Option<Address>,
    pub positive: Next,
    pub zero: Next,
    /// What follows this error.
    pub on_error: Option<(Errno, Next)>,
    /// What follows the other errors.
    pub failed: Next,
    /// Where the number of another error is stored, in two bytes.
    pub errno: Option<Address>,
}

impl ListedCall {
    /// A call after which the list continues in any case.
    pub fn new(number: u32, first: First, more: [usize; 4]) -> Self {
        ListedCall {
            number,
            first,
            more,
            result: None,
            positive: Next::Following,
            zero: Next::Following,
            on_error: None,
            failed: Next::Following,
            errno: None,
        }
    }

    /// A call whose result is positive or zero; errors continue at `failure`.
    pub fn or(self, failure: Failure) -> Self {
        ListedCall { failed: Next::Entry(failure.entry), errno: Some(failure.errno), ..self }
    }

    /// A call after which the list continues at `next` in any case.
    pub fn to(self, next: Next) -> Self {
        ListedCall { positive: next, zero: next, failed: next, ..self }
    }
}

/// What follows an error that ends the process.
#[derive(Clone, Copy)]
pub struct Failure {
    pub entry: Address,
    /// Where the number of the error is stored, in two bytes.
    pub errno: Address,
}

/// A call as the code reads it. The address of a next entry is 0 where the process has to end by an invalid instruction, as
/// in `clone::exit`.
#[repr(C)]
struct Entry {
    /// Negative: no call is made, and the error of the last one counts again.
    number: isize,
    /// The address of the first argument, which may be that of `value`.
    first: usize,
    value: usize,
    more: [usize; 4],
    result: usize,
    positive: usize,
    zero: usize,
    error: usize,
    on_error: usize,
    errno: usize,
    failed: usize,
}

// The offsets in `code.rs`.
const _: () = assert!(offset_of!(Entry, result) == 7 * WORD && offset_of!(Entry, failed) == 13 * WORD);
const WORD: usize = size_of::<usize>();

/// The alignment of all that is in the memory, in bytes: that of the kernel's structures.
const ALIGNMENT: usize = size_of::<u64>();

/// Stands for the address of the entry that is added next.
const FOLLOWING: usize = 1;

/// The list, and the memory that it is in.
pub struct CallList {
    start: usize,
    size: usize,
    used: usize,
    /// The first entry that was added; 0 before.
    first: usize,
    /// The entry that was added last; 0 before.
    last: usize,
    /// For results that are not used.
    unused: usize,
    /// The entry that ends the process with exit code 1.
    exit: usize,
}

impl CallList {
    /// Maps memory for the entries, and for `size` bytes that they refer to. Pages that are not used are never resident.
    ///
    /// Errors: those of mmap(2).
    pub fn new(size: usize) -> Result<Self> {
        const ENTRIES: usize = 64 << 10;
        let size = (size + ENTRIES).next_multiple_of(page_size());
        // SAFETY: new memory is mapped where the kernel finds place, so nothing that is in use is replaced.
        let mapped =
            unsafe { mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, usize::MAX, 0) };
        let start = super::check(mapped)?;
        let mut list = CallList { start, size, used: 0, first: 0, last: 0, unused: 0, exit: 0 };
        list.unused = list.bytes(&[0; 8]).0;
        let end = |number| ListedCall::new(number, First::Is(1), [0; 4]);
        // exit(2) where a filter denies exit_group(2).
        let exit = list.aside(end(__NR_exit).to(Next::Entry(Address(0))));
        list.exit = list.aside(end(__NR_exit_group).to(Next::Entry(exit))).0;
        Ok(list)
    }

    /// The entry that ends the process with exit code 1.
    pub fn exit(&self) -> Address {
        Address(self.exit)
    }

    /// Copies bytes to the list's memory, aligned to eight bytes. They stay as long as the process waits.
    pub fn bytes(&mut self, bytes: &[u8]) -> Address {
        let place = self.take(bytes.len());
        if place != 0 {
            let to = with_exposed_provenance_mut::<u8>(place);
            // SAFETY: `take` has returned as many bytes of the mapping, which nothing else refers to.
            unsafe { copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        }
        Address(place)
    }

    /// Copies words of eight bytes to the list's memory.
    pub fn words(&mut self, words: &[u64]) -> Address {
        // SAFETY: the words are initialized, and as long as they are many; bytes have no alignment.
        self.bytes(unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), size_of_val(words)) })
    }

    /// Copies a structure of the kernel to the list's memory.
    pub fn object<T: Copy>(&mut self, object: T) -> Address {
        const { assert!(align_of::<T>() <= ALIGNMENT) };
        let place = self.take(size_of::<T>());
        if place != 0 {
            // SAFETY: as many bytes of the mapping, aligned to eight.
            unsafe { with_exposed_provenance_mut::<T>(place).write(object) };
        }
        Address(place)
    }

    /// Reserves an array of so many words in the list's memory, all 0.
    pub fn array(&mut self, length: usize) -> Address {
        Address(self.take(length * size_of::<usize>()))
    }

    /// Sets a word of an array.
    pub fn set(&mut self, Address(array): Address, index: usize, Address(word): Address) {
        let place = array + index * size_of::<usize>();
        if array != 0 && place + size_of::<usize>() <= self.start + self.used {
            // SAFETY: a word of the mapping that is in use, and aligned as the array is.
            unsafe { with_exposed_provenance_mut::<usize>(place).write(word) };
        }
    }

    /// The address of so many unused bytes; 0 if the memory does not suffice.
    fn take(&mut self, length: usize) -> usize {
        let place = self.start + self.used;
        self.used += length.next_multiple_of(ALIGNMENT);
        if self.used <= self.size { place } else { 0 }
    }

    /// Adds a call.
    pub fn add(&mut self, call: ListedCall) -> Address {
        let Address(place) = self.aside(call);
        if self.first == 0 {
            self.first = place;
        }
        if let Some(last) = self.entry(self.last) {
            let next = [&mut last.positive, &mut last.zero, &mut last.on_error, &mut last.failed];
            next.into_iter().filter(|next| **next == FOLLOWING).for_each(|next| *next = place);
        }
        self.last = place;
        Address(place)
    }

    /// Creates an entry to which others refer, and which does not follow the one that was added last.
    pub fn aside(&mut self, call: ListedCall) -> Address {
        self.create(call.number as isize, call)
    }

    /// Creates an entry without a call, for the error of the call before: it continues at `next` if that is `error`,
    /// else at `other`.
    pub fn aside_for(&mut self, error: Errno, next: Address, other: Failure) -> Address {
        let on_error = Some((error, Next::Entry(next)));
        self.create(-1, ListedCall { on_error, ..ListedCall::new(0, First::Is(0), [0; 4]).or(other) })
    }

    fn create(&mut self, number: isize, call: ListedCall) -> Address {
        let place = self.take(size_of::<Entry>());
        let next = |next| match next {
            Next::Following => FOLLOWING,
            Next::Entry(Address(entry)) => entry,
            Next::Same => place,
        };
        let (first, value) = match call.first {
            First::Is(value) => (place + offset_of!(Entry, value), value),
            First::At(Address(place)) => (place, 0),
        };
        let entry = Entry {
            number,
            first,
            value,
            more: call.more,
            result: call.result.map_or(self.unused, Address::number),
            positive: next(call.positive),
            zero: next(call.zero),
            error: call.on_error.map_or(0, |(errno, _)| errno.raw_os_error() as usize),
            on_error: call.on_error.map_or(0, |(_, then)| next(then)),
            errno: call.errno.map_or(self.unused, Address::number),
            failed: next(call.failed),
        };
        if let Some(to) = self.entry(place) {
            *to = entry;
        }
        Address(place)
    }

    fn entry(&mut self, place: usize) -> Option<&mut Entry> {
        // SAFETY: an address other than 0 is that of an entry in the mapping, all of whose bytes are valid values, and
        // the only reference to it is borrowed from the list.
        (place != 0).then(|| unsafe { &mut *with_exposed_provenance_mut::<Entry>(place) })
    }

    /// Adds the calls that unmap all memory but the list and the page with the address `code`. Last comes the stack, or the
    /// vDSO, which is above the stack on IBM Z, and on x86-64 in older kernels. Where the kernel refuses a range (mseal(2),
    /// the vDSO of some kernels), it stays.
    pub fn unmap_others(&mut self, code: usize) {
        let (list, code) = ((self.start, self.size), (code, page_size()));
        let kept = if list < code { [list, code] } else { [code, list] };
        let mut from = page_size();
        for (start, length) in kept.into_iter().chain([(end_of_stack(), 0), (end_of_vdso(), 0)]) {
            if start > from {
                self.add(ListedCall::new(__NR_munmap, First::Is(from), [start - from, 0, 0, 0]));
            }
            from = from.max(start + length);
        }
    }

    /// Continues in a copy of [`code::code`] at the address `code` with the first call that was added. Returns only if the
    /// memory of the list did not suffice.
    pub fn run(self, code: usize) {
        if self.used > self.size {
            return;
        }
        let entry = with_exposed_provenance::<()>(code);
        // SAFETY: the copy is mapped there, can be executed, and never returns.
        let entry = unsafe { core::mem::transmute::<*const (), unsafe extern "C" fn(usize) -> !>(entry) };
        // SAFETY: all addresses in the entries are in the list's memory, which stays mapped. What the calls unmap is not
        // used again: this function, its callers and their variables.
        unsafe { entry(self.first) }
    }
}

/// The end of the stack: the kernel has put the path of the executed file there last (fs/binfmt_elf.c), with a word of
/// zeros behind it.
fn end_of_stack() -> usize {
    // Of include/uapi/linux/auxvec.h.
    const AT_EXECFN: core::ffi::c_ulong = 31;
    match getauxval(AT_EXECFN) as usize {
        0 => 0,
        // SAFETY: a string of the kernel, as above.
        path => (path + unsafe { core::ffi::CStr::from_ptr(with_exposed_provenance(path)) }.count_bytes())
            .next_multiple_of(page_size()),
    }
}
