//! The ways into a cgroup: opened by the parent, since permission is judged by who opened a file; gone by the child.

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

/// What the child needs to join: files to write a zero to, which stands for the writer.
#[derive(Default)]
pub struct CgroupFds {
    files: Vec<(OwnedFd, String)>,
    /// The v2 directory to be born in.
    pub birth: Option<OwnedFd>,
    /// Further down, after the cgroup namespace is made.
    pub sub_cgroup: Option<SubCgroupFds>,
}

impl CgroupFds {
    /// Opens a file to join by.
    fn push(&mut self, hierarchies: &Hierarchies, path: String) -> Result<()> {
        self.files.push((hierarchies.open_to_write(&path)?, path));
        Ok(())
    }

    /// The child's part: goes in.
    pub fn enter(&self) -> Result<()> {
        for (file, path) in &self.files {
            io::write(file, b"0").on(format_args!("write 0 to {}", FullPath(path)))?;
        }
        Ok(())
    }

    /// Everything open in it.
    pub fn into_files(self) -> impl Iterator<Item = OwnedFd> {
        self.birth.into_iter().chain(self.files.into_iter().map(|(file, _)| file))
    }

    /// The numbers of what the child needs.
    pub fn numbers(&self) -> impl Iterator<Item = RawFd> {
        self.files.iter().map(|(file, _)| file.as_raw_fd())
    }

    /// The directory for CLONE_INTO_CGROUP.
    pub fn birth(&self) -> Option<BorrowedFd<'_>> {
        self.birth.as_ref().map(AsFd::as_fd)
    }
}

impl Hierarchies {
    /// Opens what a process needs to join (see [`crate::cgroup::Cgroup::open_fds`]) at a path in each hierarchy.
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
        // `tasks`, not `cgroup.procs`: for a process that moves only itself, and has one thread, the kernel
        // then takes no lock that all forks and exits of the machine wait for (linux 5.4).
        for hierarchy in &self.v1 {
            fds.push(self, format!("{hierarchy}{}/tasks", path(hierarchy)))?;
        }
        Ok(fds)
    }
}
