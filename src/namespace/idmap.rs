//! User namespaces without processes, from which idmapped mounts take their mappings (mount_setattr(2),
//! MOUNT_ATTR_IDMAP; linux 5.12). They are created before that of the container exists, with equal mappings.

use alloc::format;
use alloc::vec::Vec;

use linux_raw_sys::general::CLONE_NEWUSER;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::{Errno, fcntl_dupfd_cloexec, read};
use rustix::pipe::{PipeFlags, pipe_with};

use super::user::write_maps;
use crate::config::linux::{IdMapping, Mappings};
use crate::error::{Error, On, Result};
use crate::os::procfs;
use crate::sys::clone::{exit, spawn};
use crate::sys::pidfd::reap;

/// The user namespaces for idmapped mounts.
#[derive(Default)]
pub struct UserNamespaces<'n> {
    /// The user namespace that the container joins.
    joined: Option<&'n OwnedFd>,
    /// The last one created, with its mappings: most mounts use the same.
    made: Option<(Vec<IdMapping>, Vec<IdMapping>, OwnedFd)>,
}

impl<'n> UserNamespaces<'n> {
    /// No namespaces besides `joined`.
    pub fn new(joined: Option<&'n OwnedFd>) -> Self {
        UserNamespaces { joined, made: None }
    }

    /// A namespace with the given mappings, or for `None` the one that the container joins.
    #[cold]
    #[inline(never)]
    pub fn get(&mut self, mappings: Option<Mappings<'_>>) -> Result<OwnedFd> {
        let (uids, gids) = match (mappings, self.joined) {
            (Some(mappings), _) => mappings,
            (None, Some(joined)) => return copy(joined),
            (None, None) => return Err(Error::invalid(format_args!("no user namespace is joined"))),
        };
        match &self.made {
            Some((same_uids, same_gids, made)) if same_uids == uids && same_gids == gids => copy(made),
            _ => {
                let made = make((uids, gids))?;
                let copied = copy(&made);
                self.made = Some((uids.to_vec(), gids.to_vec(), made));
                copied
            }
        }
    }
}

fn copy(fd: &OwnedFd) -> Result<OwnedFd> {
    fcntl_dupfd_cloexec(fd, 0).on(format_args!("fcntl F_DUPFD_CLOEXEC"))
}

/// Opens the user namespace of a process.
#[cold]
#[inline(never)]
pub fn of(proc: &OwnedFd, pid: i32) -> Result<OwnedFd> {
    let path = format!("{pid}/ns/user");
    openat(proc, path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .on(format_args!("openat /proc/{path}"))
}

/// Creates a user namespace with a process that exits after its ID maps are written.
#[cold]
#[inline(never)]
fn make(mappings: Mappings<'_>) -> Result<OwnedFd> {
    let proc = procfs::open_own(false)?;
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).on(format_args!("pipe2"))?;
    let mut writer = Some(writer);
    let (pid, pidfd) = spawn(CLONE_NEWUSER.into(), None, || {
        // Only the parent has the write end now, so the read returns when the parent closes it or dies.
        writer.take();
        while let Err(Errno::INTR) = read(&reader, &mut [0u8]) {}
        exit(0)
    })
    .on(format_args!("clone3 CLONE_NEWUSER"))?;
    let namespace = write_maps(&proc, pid, mappings).and_then(|()| of(&proc, pid.as_raw_nonzero().get()));
    drop(writer);
    reap(&pidfd);
    namespace
}
