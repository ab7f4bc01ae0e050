//! execve(2), and the arrays of pointers that it takes.

use alloc::vec::Vec;
use core::cell::Cell;
use core::ffi::{CStr, c_char};
use core::fmt;
use core::marker::PhantomData;
use core::ptr::null;

use linux_raw_sys::general::__NR_execve;
use rustix::io::Errno;

use super::call_list::{Address, CallList, First, ListedCall};

unsafe extern "C" {
    /// The environment that the process was started with.
    static mut environ: *const *const c_char;
}

/// A null-terminated array of pointers to strings, for `argv` or `envp`. It has room for one more string, which can be
/// added in a process that must not allocate memory.
pub struct Strings<'a> {
    pointers: Vec<Cell<*const c_char>>,
    strings: PhantomData<&'a CStr>,
}

impl<'a> Strings<'a> {
    /// Creates the array for `strings`.
    pub fn new(strings: &[&'a CStr]) -> Self {
        let mut pointers = Vec::with_capacity(strings.len() + 2);
        pointers.extend(strings.iter().map(|string| Cell::new(string.as_ptr())));
        pointers.extend([Cell::new(null()), Cell::new(null())]);
        Strings { pointers, strings: PhantomData }
    }

    /// The address of the array, after `last`, if any, has been appended to the strings.
    fn address(&self, last: Option<&CStr>) -> usize {
        if let (Some(last), [.., place, _]) = (last, self.pointers.as_slice()) {
            place.set(last.as_ptr());
        }
        self.pointers.as_ptr() as usize
    }

    /// The size in bytes of a copy in a list of calls.
    pub fn size(&self) -> usize {
        self.iter().map(|string| string.count_bytes() + 3 * size_of::<usize>()).sum()
    }

    /// Copies the strings, then `last`, if any, and the array to the memory of a list of calls.
    fn copy_to(&self, list: &mut CallList, last: Option<&CStr>) -> Address {
        let array = list.array(self.pointers.len());
        for (index, string) in self.iter().chain(last).enumerate() {
            let copy = list.bytes(string.to_bytes_with_nul());
            list.set(array, index, copy);
        }
        array
    }

    fn iter(&self) -> impl Iterator<Item = &CStr> {
        let strings = self.pointers.split_last_chunk::<2>().map_or(&[][..], |(strings, _)| strings);
        // SAFETY: each of these pointers came from a `&'a CStr`, and 'a outlives self.
        strings.iter().map(|pointer| unsafe { CStr::from_ptr(pointer.get()) })
    }
}

impl fmt::Debug for Strings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Executes another program; `last` is one more environment variable. Returns only if execve(2) fails, with its error.
pub fn execve(path: &CStr, argv: &Strings<'_>, envp: &Strings<'_>, last: Option<&CStr>) -> Errno {
    execve_raw(path, argv, envp.address(last))
}

/// Executes another program with the environment of this process. Returns only if execve(2) fails, with its error.
pub fn execve_with_own_environment(path: &CStr, argv: &Strings<'_>) -> Errno {
    // SAFETY: the C library, or src/start.rs, sets the variable at start, and nothing here changes it or the environment.
    execve_raw(path, argv, unsafe { environ } as usize)
}

/// The call of [`execve`], for a list.
pub fn execve_call(
    list: &mut CallList,
    path: &CStr,
    argv: &Strings<'_>,
    envp: &Strings<'_>,
    last: Option<&CStr>,
) -> ListedCall {
    let path = list.bytes(path.to_bytes_with_nul());
    let (argv, envp) = (argv.copy_to(list, None), envp.copy_to(list, last));
    ListedCall::new(__NR_execve, First::Is(path.number()), [argv.number(), envp.number(), 0, 0])
}

fn execve_raw(path: &CStr, argv: &Strings<'_>, envp: usize) -> Errno {
    let argv = argv.address(None);
    // SAFETY: path and every string end with a NUL, both arrays with a null pointer. All of them are borrowed until
    // the two functions above return, or live as long as the process.
    let returned = unsafe { super::raw::syscall3(__NR_execve as usize, path.as_ptr() as usize, argv, envp) };
    super::check(returned).err().unwrap_or(Errno::INVAL)
}
