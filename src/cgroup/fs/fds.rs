//! The fds with which a process joins a cgroup: opened by the parent, since the kernel checks the credentials of the
//! process that opened a file; written to by the child.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::fs::{Mode, openat};
use rustix::io;

use super::delegation::SubCgroupFds;
use super::hierarchies::{DIRECTORY, Hierarchies};
use super::path::FullPath;
use crate::error::{On, Result};

/// The files with which the child joins, by writing 0, which stands for the writing process.
#[derive(Default)]
pub struct CgroupFds {
    files: Vec<(OwnedFd, String)>,
    /// The v2 directory for CLONE_INTO_CGROUP.
    pub birth: Option<OwnedFd>,
    /// The delegated sub-cgroup, joined after the cgroup namespace is created.
    pub sub_cgroup: Option<SubCgroupFds>,
}

impl CgroupFds {
    /// Opens a `cgroup.procs` or `tasks` file and adds it.
    fn push(&mut self, hierarchies: &Hierarchies, path: String) -> Result<()> {
        self.files.push((hierarchies.open_to_write(&path)?, path));
        Ok(())
    }

    /// Joins the cgroup. Called by the child.
    pub fn enter(&self) -> Result<()> {
        for (file, path) in &self.files {
            io::write(file, b"0").on(format_args!("write 0 to {}", FullPath(path)))?;
        }
        Ok(())
    }

    /// The fds of the files and of the v2 directory.
    pub fn into_files(self) -> impl Iterator<Item = OwnedFd> {
        self.birth.into_iter().chain(self.files.into_iter().map(|(file, _)| file))
    }

    /// The fd numbers of the files.
    pub fn numbers(&self) -> impl Iterator<Item = RawFd> {
        self.files.iter().map(|(file, _)| file.as_raw_fd())
    }

    /// The directory for CLONE_INTO_CGROUP.
    pub fn birth(&self) -> Option<BorrowedFd<'_>> {
        self.birth.as_ref().map(AsFd::as_fd)
    }
}

impl Hierarchies {
    /// Opens the files with which a process joins the cgroup at `path` in each hierarchy (see
    /// [`crate::cgroup::Cgroup::open_fds`]); `birth` is whether v2 is joined by CLONE_INTO_CGROUP.
    pub fn open_fds<'p>(&self, path: &dyn Fn(&str) -> &'p str, birth: bool) -> Result<CgroupFds> {
        let mut fds = CgroupFds::default();
        if let Some(v2) = self.v2 {
            let directory = Self::path(v2, path(v2));
            match birth {
                true => {
                    let fd = openat(&self.root, directory.as_str(), DIRECTORY, Mode::empty());
                    fds.birth = Some(fd.on(format_args!("openat {}", FullPath(&directory)))?);
                }
                false => fds.push(self, format!("{directory}/cgroup.procs"))?,
            }
        }
        // `tasks`, not `cgroup.procs`: for a process that moves only itself, and has one thread, the kernel then does
        // not take the global lock for which all forks and exits wait (linux 5.4).
        for hierarchy in &self.v1 {
            fds.push(self, format!("{hierarchy}{}/tasks", path(hierarchy)))?;
        }
        Ok(fds)
    }
}
