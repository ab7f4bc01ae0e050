//! Transfer of mount trees from the parent to the child in portions, because a configuration may have more of them than
//! a process may have file descriptors (getrlimit(2), RLIMIT_NOFILE).
//!
//! The parent opens trees before the clone as far as the limit permits, which is usually all of them. The child
//! requests the rest when it needs them, and receives a portion at a time over the channel.
//!
//! It also requests a tree again that cannot be attached because a mount namespace is pinned below the source (as in
//! `/run/snapd/ns`, and therefore below `/`): the kernel permits that in older mount namespaces only. The parent then
//! opens it in a copy of its mount namespace, which is created without the pinned ones.

use alloc::vec::Vec;

use linux_raw_sys::general::CLONE_NEWNS;
use rustix::fd::{AsFd, OwnedFd, RawFd};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::device;
use super::fd_budget::FdBudget;
use super::idmap::FindUserNamespace;
use super::op::Op;
use super::source::{Request, Source};
use crate::error::{At, Error, On, Result, Show};
use crate::os::scm_rights::{receive, send};
use crate::sys::clone::{exit, spawn};
use crate::sys::fd::close_in_child;
use crate::sys::pidfd::reap;

/// The trees in one message: those of one entry, or of several entries up to `BATCH` trees. An entry has at most one
/// for each cgroup hierarchy.
pub type TreeBatch = [Option<OwnedFd>; 64];

/// The number of trees after which no further entry is added to a message.
const BATCH: usize = 16;

/// Sends a request to the parent and receives the trees.
pub type RequestTrees<'m> = dyn FnMut(Request, &mut TreeBatch) -> Result<()> + 'm;

/// The entries with sources on the host, in the order in which they are made: `mounts`, then devices.
#[derive(Clone, Copy)]
pub struct Sources<'p, 'a> {
    pub mounts: &'p [Op<'a>],
    pub devices: Option<&'p device::Plan<'a>>,
}

impl<'a> Sources<'_, 'a> {
    /// Calls `visit` with the sources of all entries from `from` on, until it returns `false`.
    pub fn each(&self, from: usize, visit: &mut dyn FnMut(usize, &Source<'a>) -> Result<bool>) -> Result<()> {
        for (entry, mount) in self.mounts.iter().enumerate().skip(from) {
            for source in mount.sources() {
                let more = visit(entry, source);
                if !more.at(format_args!("mounts[{entry}] {}", Show(mount.destination())))? {
                    return Ok(());
                }
            }
        }
        let Some(devices) = self.devices else { return Ok(()) };
        for (index, source) in devices.sources(from.saturating_sub(self.mounts.len())) {
            let more = visit(self.mounts.len() + index, source);
            let why = "(mknod is denied, and only the host's can be used)";
            if !more.at(format_args!("linux.devices: {} {why}", Show(source.path())))? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Opens the sources of the entries from `from` on that are not open yet, until `keep` returns `false` (no further
    /// entry).
    pub fn open(
        &self,
        from: usize,
        mut find: Option<&mut FindUserNamespace<'_>>,
        keep: &mut dyn FnMut(&Source<'a>, OwnedFd) -> bool,
    ) -> Result<()> {
        let (mut last, mut room) = (from, true);
        self.each(from, &mut |entry, source| {
            if !room && entry > last {
                return Ok(false);
            }
            last = entry;
            if source.is_wanted() {
                let tree = source.open(find.as_deref_mut())?;
                room &= keep(source, tree);
            }
            Ok(true)
        })
    }

    /// Opens as many as the limit of file descriptors permits; see [`Sources::open`].
    pub fn open_first(&self, find: Option<&mut FindUserNamespace<'_>>) -> Result<()> {
        let room = FdBudget::new(2, RawFd::MAX);
        self.open(0, find, &mut |source, tree| {
            let more = room.has(&tree);
            source.set(tree);
            more
        })
    }

    /// Opens, in the parent, the trees that the child requests.
    #[cold]
    #[inline(never)]
    pub fn answer(&self, request: Request, find: &mut FindUserNamespace<'_>) -> Result<Vec<OwnedFd>> {
        let mut trees = Vec::new();
        match request {
            Request::From(entry) => {
                let is_device = entry >= self.mounts.len();
                self.devices.filter(|_| is_device).into_iter().for_each(device::Plan::set_denied);
                let opened = self.open(entry, Some(find), &mut |_, tree| {
                    trees.push(tree);
                    trees.len() < BATCH
                });
                // The child may need no other device; if it does, it requests that again.
                if !is_device || trees.is_empty() {
                    opened?;
                }
            }
            Request::Again(entry) => {
                let source = self.mounts.get(entry).and_then(|mount| mount.sources().next());
                let tree = source.map(open_in_copy).transpose();
                let destination = self.mounts.get(entry).map_or(c"", |mount| mount.destination());
                trees.extend(tree.at(format_args!("mounts[{entry}] {}", Show(destination)))?);
            }
        }
        Ok(trees)
    }

    /// Requests, in the child, the trees of an entry.
    #[cold]
    #[inline(never)]
    pub fn fill(&self, request: Request, more: &mut RequestTrees<'_>) -> Result<()> {
        let mut portion = [const { None }; _];
        more(request, &mut portion)?;
        let mut trees = portion.into_iter().flatten();
        self.each(request.entry(), &mut |_, source| {
            if !source.is_wanted() {
                return Ok(true);
            }
            let tree = trees.next();
            Ok(tree.map(|tree| source.set(tree)).is_some())
        })
    }

    /// Opens the trees of an entry in the child itself, if the parent had no rights to.
    #[cold]
    #[inline(never)]
    pub fn open_own(&self, entry: usize) -> Result<()> {
        self.open(entry, None, &mut |source, tree| {
            source.set(tree);
            false
        })
    }
}

/// Opens a source in a copy of this process's mount namespace, which a short-lived process creates. An idmapped one
/// cannot be opened so (EPERM).
#[cold]
#[inline(never)]
fn open_in_copy(source: &Source<'_>) -> Result<OwnedFd> {
    let (kind, flags) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
    let (ours, theirs) = socketpair(AddressFamily::UNIX, kind, flags, None).on(format_args!("socketpair"))?;
    let (_, pidfd) = spawn(CLONE_NEWNS.into(), None, || {
        close_in_child(ours.as_fd());
        // Without a reply the parent reads end of file.
        let _ = source.open(None).and_then(|tree| send(theirs.as_fd(), b"T", tree.as_fd()));
        exit(0)
    })
    .on(format_args!("clone3 CLONE_NEWNS"))?;
    drop(theirs);
    let tree = receive(ours.as_fd());
    reap(&pidfd);
    tree.map_err(|_| Error::invalid(format_args!("{} cannot be opened again", Show(source.path()))))
}
