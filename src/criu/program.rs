//! The program `criu`: where it is, its version and features, and its execution as a service.

use alloc::ffi::CString;
use alloc::format;
use core::ffi::CStr;

use rustix::fd::{AsRawFd, OwnedFd, RawFd};
use rustix::io::{FdFlags, fcntl_setfd};

use super::message::Opt;
use crate::caller::{restore, restore_signals};
use crate::error::{Error, On, Result, Show};
use crate::executable::{self, explain};
use crate::sys::exec::{Strings, execve};
use crate::sys::fd::close_all_from;

/// A version of CRIU: major, minor and sub-level number.
pub type Version = (u32, u32, u32);

/// The oldest version that is used: external pid namespaces, and the notification that pages can be requested.
const OLDEST: Version = (3, 15, 0);

/// Options, with the version from which on CRIU has them.
const NEWER: [(Opt, &str, Version); 3] = [
    (Opt::LsmProfile, "--lsm-profile", (3, 16, 0)),
    (Opt::LsmMountContext, "--lsm-mount-context", (3, 16, 0)),
    (Opt::NetworkLock, "--network-lock", (3, 17, 0)),
];

/// Fails if CRIU is too old, at all or for one of these options.
pub fn check_version(version: Version, options: &[Opt]) -> Result<()> {
    let newer = NEWER.iter().filter(|(option, _, _)| options.contains(option));
    let newer = newer.map(|(_, name, oldest)| (*name, *oldest));
    match [("criu", OLDEST)].into_iter().chain(newer).find(|(_, oldest)| version < *oldest) {
        None => Ok(()),
        Some((name, (major, minor, _))) => {
            let why = format_args!("{name}: needs CRIU {major}.{minor}, this is {}.{}", version.0, version.1);
            Err(Error::unsupported(why))
        }
    }
}

/// The program, and what it is executed with.
pub struct Program {
    path: CString,
    /// `PATH=...`: CRIU itself executes iptables, nft, ip and tar.
    environment: CString,
}

impl Program {
    /// Finds `criu` in the directories of `search_path`, the value of PATH.
    pub fn find(search_path: &CStr) -> Result<Self> {
        let directories = search_path.to_bytes().split(|byte| *byte == b':');
        let absolute = directories.filter(|directory| directory.starts_with(b"/"));
        let paths = absolute.filter_map(|directory| CString::new([directory, b"/criu"].concat()).ok());
        let path = paths.into_iter().find(|path| executable::check(path).is_ok());
        let environment = CString::new([b"PATH=", search_path.to_bytes()].concat()).unwrap_or_default();
        path.map(|path| Program { path, environment }).ok_or_else(|| {
            let (major, minor, _) = OLDEST;
            Error::unsupported(format_args!(
                "criu: not found (install CRIU {major}.{minor} or newer, or set PATH)"
            ))
        })
    }

    /// The command line and the environment of a service at one end of a socket pair.
    pub fn command(&self, socket: &OwnedFd) -> Command {
        let number = CString::new(format!("{}", socket.as_raw_fd())).unwrap_or_default();
        Command { path: self.path.clone(), number, environment: self.environment.clone() }
    }
}

/// `criu swrk FD`, to be executed by a child.
pub struct Command {
    path: CString,
    number: CString,
    environment: CString,
}

impl Command {
    /// The arguments and the environment, made before the clone: the child must not allocate memory.
    pub fn strings(&self) -> (Strings<'_>, Strings<'_>) {
        (Strings::new(&[&self.path, c"swrk", &self.number]), Strings::new(&[&self.environment]))
    }

    /// Executes the service in a child, which passes on the standard file descriptors and those in `passed`: the socket,
    /// and at most one for each kind of namespace. All others are closed, `report` by execve. Returns the error.
    pub fn execute(
        &self,
        (arguments, environment): &(Strings<'_>, Strings<'_>),
        passed: &[&OwnedFd],
        report: RawFd,
    ) -> Error {
        match pass(passed, report) {
            Err(error) => error,
            Ok(()) => {
                let errno = execve(&self.path, arguments, environment, None);
                explain(Error::system(errno, format_args!("execve {}", Show(&self.path))), &self.path)
            }
        }
    }
}

fn pass(passed: &[&OwnedFd], report: RawFd) -> Result<()> {
    let mut kept = [report; 16];
    kept.iter_mut().skip(1).zip(passed).for_each(|(place, fd)| *place = fd.as_raw_fd());
    close_all_from(3, &mut kept).on(format_args!("close_range"))?;
    for fd in passed {
        fcntl_setfd(fd, FdFlags::empty()).on(format_args!("fcntl F_SETFD"))?;
    }
    restore().on(format_args!("setrlimit"))?;
    restore_signals(u64::MAX).on(format_args!("rt_sigprocmask"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn versions() {
        let error =
            |version, options: &[Opt]| check_version(version, options).err().map(|error| error.to_string());
        assert_eq!(error((3, 15, 0), &[Opt::TcpEstablished]), None);
        assert_eq!(error((4, 0, 0), &[Opt::LsmProfile, Opt::NetworkLock]), None);
        assert_eq!(error((3, 14, 9), &[]).as_deref(), Some("criu: needs CRIU 3.15, this is 3.14"));
        let needs = |option, version| error(version, &[Opt::FileLocks, option]);
        assert_eq!(
            needs(Opt::LsmProfile, (3, 15, 1)).as_deref(),
            Some("--lsm-profile: needs CRIU 3.16, this is 3.15")
        );
        assert_eq!(
            needs(Opt::LsmMountContext, (3, 15, 1)).as_deref(),
            Some("--lsm-mount-context: needs CRIU 3.16, this is 3.15")
        );
        assert_eq!(
            needs(Opt::NetworkLock, (3, 16, 2)).as_deref(),
            Some("--network-lock: needs CRIU 3.17, this is 3.16")
        );
    }

    #[test]
    fn a_missing_program() {
        let error = Program::find(c"/nonexistent:relative::").err().unwrap().to_string();
        assert_eq!(error, "criu: not found (install CRIU 3.15 or newer, or set PATH)");
    }
}
