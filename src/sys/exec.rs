//! execve(2), and the arrays of pointers it wants.

use alloc::vec::Vec;
use core::cell::Cell;
use core::ffi::{CStr, c_char};
use core::fmt;
use core::marker::PhantomData;
use core::ptr::null;

use linux_raw_sys::general::__NR_execve;
use rustix::io::Errno;

unsafe extern "C" {
    /// The environment that the process was started with.
    static environ: *const *const c_char;
}

/// Strings as `argv` or `envp`: pointers with a null behind them, and place for one more, which can so be given in a
/// process that must not allocate.
pub struct Strings<'a> {
    pointers: Vec<Cell<*const c_char>>,
    strings: PhantomData<&'a CStr>,
}

impl<'a> Strings<'a> {
    /// The array for these strings.
    pub fn new(strings: &[&'a CStr]) -> Self {
        let mut pointers = Vec::with_capacity(strings.len() + 2);
        pointers.extend(strings.iter().map(|string| Cell::new(string.as_ptr())));
        pointers.extend([Cell::new(null()), Cell::new(null())]);
        Strings { pointers, strings: PhantomData }
    }

    /// The array's address, after `last` is put behind the strings when there is one.
    fn address(&self, last: Option<&CStr>) -> usize {
        if let (Some(last), [.., place, _]) = (last, self.pointers.as_slice()) {
            place.set(last.as_ptr());
        }
        self.pointers.as_ptr() as usize
    }

    fn iter(&self) -> impl Iterator<Item = &CStr> {
        let given = self.pointers.split_last_chunk::<2>().map_or(&[][..], |(given, _)| given);
        // SAFETY: each of these pointers came from a `&'a CStr`, and 'a outlives self.
        given.iter().map(|pointer| unsafe { CStr::from_ptr(pointer.get()) })
    }
}

impl fmt::Debug for Strings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Becomes another program; `last` is one more variable of the environment. Returns only when
/// the kernel refuses.
pub fn execve(path: &CStr, argv: &Strings<'_>, envp: &Strings<'_>, last: Option<&CStr>) -> Errno {
    execve_raw(path, argv, envp.address(last))
}

/// The same with the environment that this process has itself.
pub fn execve_with_own_environment(path: &CStr, argv: &Strings<'_>) -> Errno {
    // SAFETY: the C library sets the variable at start, and nothing here changes it or the environment.
    execve_raw(path, argv, unsafe { environ } as usize)
}

fn execve_raw(path: &CStr, argv: &Strings<'_>, envp: usize) -> Errno {
    let argv = argv.address(None);
    // SAFETY: path and every string end with a NUL, both arrays with a null pointer, and all of them are
    // borrowed for the whole call of the two functions above, or as old as the process.
    let returned = unsafe { sc::syscall3(__NR_execve as usize, path.as_ptr() as usize, argv, envp) };
    super::check(returned).err().unwrap_or(Errno::INVAL)
}
