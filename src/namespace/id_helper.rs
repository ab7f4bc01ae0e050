//! newuidmap(1) and newgidmap(1): programs, setuid or with file capabilities, that write ID maps for an unprivileged
//! user, within the ranges that subuid(5) and subgid(5) give to the user.

use alloc::ffi::CString;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;

use rustix::fd::OwnedFd;
use rustix::fs::{Access, MemfdFlags, StatVfsMountFlags, access, getxattr, memfd_create, stat, statvfs};
use rustix::io::{Errno, pread};
use rustix::process::Pid;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::thread::no_new_privs;

use crate::config::linux::IdMapping;
use crate::error::{Error, On, OneLine, Result, Show};
use crate::sys::clone::{exit, spawn};
use crate::sys::end::{End, How};
use crate::sys::exec::{Strings, execve};
use crate::sys::fd::close_all_from;
use crate::sys::pidfd::reap;
use crate::sys::signal::{Set, block};

/// Where the programs are looked up, in this order. PATH is not used. On NixOS setuid programs are in the first.
const DIRECTORIES: [&str; 4] = ["/run/wrappers/bin", "/usr/bin", "/bin", "/usr/local/bin"];

/// One of the two programs.
pub struct IdHelper {
    name: &'static str,
    /// The file with the ranges of users.
    pub(super) file: &'static CStr,
}

pub const NEWUIDMAP: IdHelper = IdHelper { name: "newuidmap", file: c"/etc/subuid" };
pub const NEWGIDMAP: IdHelper = IdHelper { name: "newgidmap", file: c"/etc/subgid" };

/// The maximal length of the program's output in an error, in bytes.
const MAX_OUTPUT: usize = 200;

impl IdHelper {
    /// Writes the ID map of process `pid`, a child of this process. `own` is the caller's ID. Errors: the program is
    /// not installed, or refuses.
    #[cold]
    #[inline(never)]
    pub fn write(&self, pid: Pid, mappings: &[IdMapping], own: u32) -> Result<()> {
        let path = self.find()?;
        let mut words =
            alloc::vec![CString::from(path.as_c_str()), number(pid.as_raw_nonzero().get() as u32)];
        for IdMapping { container_id, host_id, size } in mappings {
            words.extend([*container_id, *host_id, *size].map(number));
        }
        let words: Vec<&CStr> = words.iter().map(CString::as_c_str).collect();
        let (arguments, environment) = (Strings::new(&words), Strings::new(&[]));
        let output = memfd_create(c"output", MemfdFlags::CLOEXEC).on(format_args!("memfd_create"))?;
        let (_, pidfd) = spawn(0, None, || {
            let errno = become_program(&path, &arguments, &environment, &output);
            exit(if errno == Errno::NOENT { 127 } else { 126 })
        })
        .on(format_args!("clone3"))?;
        match reap(&pidfd) {
            Some(End::Exited(0)) => Ok(()),
            end => Err(self.refused(&path, end, &output, mappings, own)),
        }
    }

    /// Whether the program is installed, and the kernel gives it privileges.
    pub fn gets_privileges(&self) -> bool {
        self.find().is_ok_and(|path| obstacle(&path).is_none())
    }

    fn find(&self) -> Result<CString> {
        let paths = DIRECTORIES.iter().map(|directory| format!("{directory}/{}", self.name));
        let mut paths = paths.filter_map(|path| CString::new(path).ok());
        paths.find(|path| access(path.as_c_str(), Access::EXEC_OK).is_ok()).ok_or_else(|| {
            let name = self.name;
            Error::invalid(format_args!(
                "needs {name}, which is not in {}: install the package uidmap (shadow-utils, shadow-uidmap)",
                DIRECTORIES.join(", ")
            ))
        })
    }

    /// The error with the output of the program, and the lines that the file needs.
    fn refused(
        &self,
        path: &CStr,
        end: Option<End>,
        output: &OwnedFd,
        mappings: &[IdMapping],
        own: u32,
    ) -> Error {
        let mut space = [0u8; MAX_OUTPUT];
        let length = pread(output, &mut space, 0).unwrap_or_default();
        let text = space.get(..length).unwrap_or_default();
        let ranges = mappings.iter().filter(|map| !(map.host_id == own && map.size == 1));
        let ranges: Vec<String> =
            ranges.map(|map| format!("\"{own}:{}:{}\"", map.host_id, map.size)).collect();
        let why = obstacle(path)
            .map_or_else(|| format!("{} needs {}", Show(self.file), ranges.join(", ")), String::from);
        Error::system(
            Errno::PERM,
            format_args!("{}: {}: {} ({why})", path.to_string_lossy(), How(end), OneLine(text)),
        )
    }
}

/// Why execve(2) does not give the program more privileges than mote has.
fn obstacle(path: &CStr) -> Option<&'static str> {
    if no_new_privs().unwrap_or_default() {
        return Some("no_new_privs is set for mote, so that it gets no privileges");
    }
    if statvfs(path).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::NOSUID)) {
        return Some("it is on a nosuid mount, and so gets no privileges");
    }
    let is_setuid = stat(path).is_ok_and(|found| found.st_mode & 0o4000 != 0);
    let has_capabilities = || getxattr(path, c"security.capability", &mut [0u8; 64]).is_ok();
    let why = "it is neither setuid nor has file capabilities: install the package uidmap again";
    (!is_setuid && !has_capabilities()).then_some(why)
}

fn number(number: u32) -> CString {
    CString::new(format!("{number}")).unwrap_or_default()
}

/// Executes the program in the new process, without the file descriptors of mote and its caller.
fn become_program(
    path: &CStr,
    arguments: &Strings<'_>,
    environment: &Strings<'_>,
    output: &OwnedFd,
) -> Errno {
    let ready = dup2_stdin(output)
        .and_then(|()| dup2_stdout(output))
        .and_then(|()| dup2_stderr(output))
        .and_then(|()| close_all_from(3, &mut []))
        .and_then(|()| block(Set::NONE).map(drop));
    match ready {
        Ok(()) => execve(path, arguments, environment, None),
        Err(errno) => errno,
    }
}
