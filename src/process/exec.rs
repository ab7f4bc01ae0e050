//! Which program is run (execve(2); config.md, "args": "the same semantics as execvp's file").

use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::CStr;

use rustix::fs::{Access, AtFlags, CWD, FileType, accessat, statat};
use rustix::io::Errno;

use crate::error::{Error, Result, Show};
use crate::sys::exec::{Strings, execve};

/// The arguments, and where the program may be.
#[derive(Debug)]
pub struct Plan<'a> {
    name: &'a CStr,
    arguments: Strings<'a>,
    /// Paths to try, in the order of PATH; one when the name has a slash.
    candidates: Vec<CString>,
}

/// Where a program is looked for when the container has no PATH, as in execvp(3) of the C libraries.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// `NAME_MAX` of include/uapi/linux/limits.h.
const NAME_MAX: usize = 255;

impl<'a> Plan<'a> {
    /// `env` is the container's: its PATH counts, not the runtime's.
    pub fn new(args: &[&'a CStr], env: &[&'a CStr]) -> Result<Self> {
        let Some(name) = args.first().copied().filter(|name| !name.is_empty()) else {
            return Err(Error::invalid(format_args!(
                "process.args[0]: exec \"\": executable file not found in $PATH"
            )));
        };
        if name.to_bytes().split(|byte| *byte == b'/').any(|part| part.len() > NAME_MAX) {
            return Err(Error::system(Errno::NAMETOOLONG, format_args!("process.args[0]: exec")));
        }
        let mut candidates = Vec::new();
        if name.to_bytes().contains(&b'/') {
            candidates.push(name.into());
        } else {
            let path = env.iter().find_map(|variable| variable.to_bytes().strip_prefix(b"PATH="));
            for directory in path.unwrap_or(DEFAULT_PATH).split(|byte| *byte == b':') {
                // An empty entry is the working directory.
                let directory = if directory.is_empty() { b"." } else { directory };
                let path = [directory, b"/", name.to_bytes()].concat();
                candidates.extend(CString::new(path));
            }
        }
        Ok(Plan { name, arguments: Strings::new(args), candidates })
    }

    /// Which of the candidates will be run, as its user sees them. Found before the start gate, so that
    /// `create` fails, not `start`.
    pub fn find(&self) -> Result<usize> {
        let mut refused = None;
        for (place, path) in self.candidates.iter().enumerate() {
            match executable(path) {
                Ok(()) => return Ok(place),
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(errno) => refused = refused.or(Some(errno)),
            }
        }
        Err(self.error(refused.unwrap_or(Errno::NOENT)))
    }

    /// Becomes the program found; returns only with the reason why not.
    pub fn run(&self, place: usize, env: &Strings<'_>, home: Option<&CStr>) -> Error {
        let path = self.candidates.get(place).map_or(self.name, |path| path);
        self.error(execve(path, &self.arguments, env, home))
    }

    /// Engines tell 126 from 127 by these words.
    fn error(&self, errno: Errno) -> Error {
        match errno {
            Errno::NOENT if !self.name.to_bytes().contains(&b'/') => Error::invalid(format_args!(
                "process.args[0]: exec \"{}\": executable file not found in $PATH",
                Show(self.name)
            )),
            errno => Error::system(errno, format_args!("process.args[0]: exec \"{}\"", Show(self.name))),
        }
    }
}

/// A file that this process may execute.
fn executable(path: &CStr) -> rustix::io::Result<()> {
    accessat(CWD, path, Access::EXEC_OK, AtFlags::empty())?;
    let stat = statat(CWD, path, AtFlags::empty())?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(()),
        _ => Err(Errno::ACCESS),
    }
}
