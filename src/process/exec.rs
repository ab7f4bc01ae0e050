//! Which program is run (execve(2); config.md, "args": "the same semantics as execvp's file").

use core::ffi::CStr;

use rustix::io::Errno;

use crate::error::{Error, Kind, Result, Show};
use crate::executable::{check, explain};
use crate::sys::exec::{Strings, execve};

/// The arguments, and where the program may be.
#[derive(Debug)]
pub struct Plan<'a> {
    name: &'a CStr,
    arguments: Strings<'a>,
    /// Where a name without a slash is looked for; empty when it has one.
    path: &'a CStr,
}

/// Where a program is looked for when the container has no PATH, as in execvp(3) of the C libraries.
const DEFAULT_PATH: &CStr = c"/bin:/usr/bin";

/// Of include/uapi/linux/limits.h; the second counts the NUL.
const NAME_MAX: usize = 255;
const PATH_MAX: usize = 4096;

/// `MAX_ARG_STRLEN` of include/uapi/linux/binfmts.h, with the NUL.
const MAX_STRING: usize = 32 * 4096;

/// That none of the strings is longer than execve(2) takes.
pub(super) fn check_lengths(field: &str, strings: &[&CStr]) -> Result<()> {
    match strings.iter().position(|string| string.count_bytes() >= MAX_STRING) {
        Some(index) => Err(Error::invalid(format_args!(
            "process.{field}[{index}]: longer than {} bytes, which execve(2) does not take",
            MAX_STRING - 1
        ))),
        None => Ok(()),
    }
}

impl<'a> Plan<'a> {
    /// `env` is the container's: its PATH counts, not the runtime's.
    pub fn new(args: &[&'a CStr], env: &[&'a CStr]) -> Result<Self> {
        let Some(name) = args.first().copied().filter(|name| !name.is_empty()) else {
            return Err(not_in_path(c""));
        };
        if name.to_bytes().split(|byte| *byte == b'/').any(|part| part.len() > NAME_MAX) {
            return Err(Error::system(Errno::NAMETOOLONG, format_args!("process.args[0]: exec")));
        }
        let value = |variable: &&'a CStr| variable.to_bytes_with_nul().strip_prefix(b"PATH=");
        let path = match name.to_bytes().contains(&b'/') {
            true => Some(c""),
            // The last of a name counts (`env.rs`).
            false => env.iter().rev().find_map(value).and_then(|path| CStr::from_bytes_with_nul(path).ok()),
        };
        check_lengths("args", args)?;
        Ok(Plan { name, arguments: Strings::new(args), path: path.unwrap_or(DEFAULT_PATH) })
    }

    /// The directories of PATH.
    fn directories(&self) -> impl Iterator<Item = &[u8]> {
        self.path.to_bytes().split(|byte| *byte == b':')
    }

    /// The program's path in one of them, in `space`: a plan with all of them would be as large as PATH times
    /// the name. A name with a slash is the path.
    fn within<'s>(&'s self, directory: &[u8], space: &'s mut [u8; PATH_MAX]) -> Result<&'s CStr, Errno> {
        if self.name.to_bytes().contains(&b'/') {
            return Ok(self.name);
        }
        // An empty entry is the working directory.
        let directory = if directory.is_empty() { b"." } else { directory };
        let parts = [directory, b"/", self.name.to_bytes_with_nul()];
        let mut end = 0;
        for part in parts {
            let place = space.get_mut(end..end + part.len()).ok_or(Errno::NAMETOOLONG)?;
            place.copy_from_slice(part);
            end += part.len();
        }
        CStr::from_bytes_until_nul(space).map_err(|_| Errno::NAMETOOLONG)
    }

    /// In which directory of PATH the program is, as its user sees them. Found before the process waits for `start`, so that
    /// `create` fails, not `start`.
    pub fn find(&self) -> Result<usize> {
        let mut space = [0; PATH_MAX];
        let mut refused = None;
        for (place, directory) in self.directories().enumerate() {
            match self.within(directory, &mut space).and_then(check) {
                Ok(()) => return Ok(place),
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(errno) => refused = refused.or(Some((place, errno))),
            }
        }
        Err(match refused {
            Some((place, errno)) => self.refused(place, errno),
            None if self.name.to_bytes().contains(&b'/') => self.refused(0, Errno::NOENT),
            None => not_in_path(self.name),
        })
    }

    /// Becomes the program found; returns only with the reason why not.
    pub fn run(&self, place: usize, env: &Strings<'_>, home: Option<&CStr>) -> Error {
        let mut space = [0; PATH_MAX];
        let directory = self.directories().nth(place).unwrap_or_default();
        let path = self.within(directory, &mut space);
        let refused = path.map(|path| execve(path, &self.arguments, env, home));
        self.refused(place, refused.unwrap_or_else(|errno| errno))
    }

    #[cold]
    #[inline(never)]
    fn refused(&self, place: usize, errno: Errno) -> Error {
        let error = Error::program(errno, format_args!("process.args[0]: exec \"{}\"", Show(self.name)));
        let mut space = [0; PATH_MAX];
        let directory = self.directories().nth(place).unwrap_or_default();
        match self.within(directory, &mut space) {
            Ok(path) => explain(error, path),
            Err(_) => error,
        }
    }
}

/// Engines tell 127 from 126 by these words.
#[cold]
fn not_in_path(name: &CStr) -> Error {
    let text = format_args!("process.args[0]: exec \"{}\": executable file not found in $PATH", Show(name));
    Error::new(Kind::NoProgram, text)
}

/// The system calls by which a program is found, as rustix makes them.
pub(super) static FINDING: [&str; 2] =
    ["faccessat", if cfg!(target_arch = "arm") { "statx" } else { "newfstatat" }];
