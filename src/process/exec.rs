//! The program to execute, and its lookup in PATH (execve(2); config.md, "args": "the same semantics as execvp's
//! file").

use core::ffi::CStr;

use rustix::io::Errno;

use super::call_names::STAT;
use super::calls::OnFailure;
use crate::error::{Error, Kind, Result, Show};
use crate::executable::{check, explain};
use crate::sys::call_list::{CallList, Failure, ListedCall, Next};
use crate::sys::exec::{Strings, execve, execve_call};

/// The arguments, and the directories in which the program is looked up.
#[derive(Debug)]
pub struct Plan<'a> {
    name: &'a CStr,
    arguments: Strings<'a>,
    /// The value of PATH for a name without a slash; empty if it has one.
    path: &'a CStr,
}

/// The search path if the container has no PATH, as in execvp(3) of the C libraries.
const DEFAULT_PATH: &CStr = c"/bin:/usr/bin";

/// From include/uapi/linux/limits.h; PATH_MAX includes the NUL.
const NAME_MAX: usize = 255;
const PATH_MAX: usize = 4096;

/// `MAX_ARG_STRLEN` of include/uapi/linux/binfmts.h, including the NUL.
const MAX_STRING: usize = 32 * 4096;

/// Checks that no string exceeds the limit of execve(2).
pub(super) fn check_lengths(field: &str, strings: &[&CStr]) -> Result<()> {
    match strings.iter().position(|string| string.count_bytes() >= MAX_STRING) {
        Some(index) => Err(Error::invalid(format_args!(
            "process.{field}[{index}]: longer than {} bytes, the limit of execve(2)",
            MAX_STRING - 1
        ))),
        None => Ok(()),
    }
}

impl<'a> Plan<'a> {
    /// The plan for `args`. `env` is the container's environment, whose PATH is searched.
    ///
    /// Errors: if `args` is empty, or exceeds a limit of execve(2).
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
            // The last variable of a name is used (`env.rs`).
            false => env.iter().rev().find_map(value).and_then(|path| CStr::from_bytes_with_nul(path).ok()),
        };
        check_lengths("args", args)?;
        Ok(Plan { name, arguments: Strings::new(args), path: path.unwrap_or(DEFAULT_PATH) })
    }

    /// The directories of PATH.
    fn directories(&self) -> impl Iterator<Item = &[u8]> {
        self.path.to_bytes().split(|byte| *byte == b':')
    }

    /// The path of the program in `directory`, or the name itself if it has a slash. It is built in `space` when
    /// needed: all paths together would need the size of the name for each directory of PATH.
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

    /// The index of the directory of PATH with the program, looked up with the user's permissions. This is done
    /// before the process waits for `start`, so that a missing program makes `create` fail, not `start`.
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

    /// Executes the program in the directory with index `place`. Returns only if that fails, with the error.
    pub fn run(&self, place: usize, env: &Strings<'_>, home: Option<&CStr>) -> Error {
        let mut space = [0; PATH_MAX];
        let directory = self.directories().nth(place).unwrap_or_default();
        let path = self.within(directory, &mut space);
        let refused = path.map(|path| execve(path, &self.arguments, env, home));
        self.refused(place, refused.unwrap_or_else(|errno| errno))
    }

    /// Adds the call of [`Plan::run`] to a list. What explains an error of it is looked up now.
    pub fn add_to(
        &self,
        place: usize,
        env: &Strings<'_>,
        home: Option<&CStr>,
        list: &mut CallList,
        fail: &mut OnFailure<'_>,
    ) {
        let mut space = [0; PATH_MAX];
        let directory = self.directories().nth(place).unwrap_or_default();
        // It was found: it does not exceed PATH_MAX.
        let path = self.within(directory, &mut space).unwrap_or(self.name);
        // EINVAL stands for errors that do not depend on the file's format, and for a filter that makes the call return 0.
        let [other, format, missing] =
            [Errno::INVAL, Errno::NOEXEC, Errno::NOENT].map(|errno| fail(list, self.refused(place, errno)));
        let bad = list.aside_for(Errno::LIBBAD, format.entry, other);
        let no_program = list.aside_for(Errno::NOEXEC, format.entry, Failure { entry: bad, ..other });
        let entry = list.aside_for(Errno::NOENT, missing.entry, Failure { entry: no_program, ..format });
        let call = execve_call(list, path, &self.arguments, env, home).or(Failure { entry, ..other });
        list.add(ListedCall { zero: Next::Entry(other.entry), ..call });
    }

    /// The size in bytes of the arguments in a list.
    pub fn size(&self) -> usize {
        PATH_MAX + self.arguments.size()
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

/// The error if the program is not found. Engines match this text to choose exit code 127 instead of 126.
#[cold]
fn not_in_path(name: &CStr) -> Error {
    let text = format_args!("process.args[0]: exec \"{}\": executable file not found in $PATH", Show(name));
    Error::new(Kind::NoProgram, text)
}

/// The system calls that rustix makes to look up a program.
pub(super) static FINDING: [&str; 2] = ["faccessat", STAT];
