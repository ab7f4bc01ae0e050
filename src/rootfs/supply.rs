//! Transfer of mount trees from the parent to the child in portions, because a configuration may have more of them than
//! a process may have file descriptors (getrlimit(2), RLIMIT_NOFILE).
//!
//! The parent opens trees before the clone as far as the limit permits, which is usually all of them. The child
//! requests the rest when it needs them, and receives a portion at a time over the channel.

use alloc::vec::Vec;

use rustix::fd::{OwnedFd, RawFd};

use super::device;
use super::fd_budget::FdBudget;
use super::idmap::FindUserNamespace;
use super::op::Op;
use super::source::Source;
use crate::error::{At, Result, Show};

/// The trees in one message: those of one entry, or of several entries up to `BATCH` trees. An entry has at most one
/// for each cgroup hierarchy.
pub type TreeBatch = [Option<OwnedFd>; 64];

/// The number of trees after which no further entry is added to a message.
const BATCH: usize = 16;

/// Requests trees from the parent, beginning with those of the given entry.
pub type RequestTrees<'m> = dyn FnMut(usize, &mut TreeBatch) -> Result<()> + 'm;

/// The entries with sources on the host, in the order in which they are made: `mounts`, then devices.
#[derive(Clone, Copy)]
pub struct Sources<'p, 'a> {
    pub mounts: &'p [Op<'a>],
    pub devices: Option<&'p device::Plan<'a>>,
}

/// The next entry after all were opened.
pub const NONE_LEFT: usize = usize::MAX;

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
            if !visit(self.mounts.len() + index, source).at(format_args!("linux.devices"))? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Opens the sources of the entries from `from` on that are not open yet, until `keep` returns `false` (no further
    /// entry). Returns the next entry, or [`NONE_LEFT`].
    pub fn open(
        &self,
        from: usize,
        mut find: Option<&mut FindUserNamespace<'_>>,
        keep: &mut dyn FnMut(&Source<'a>, OwnedFd) -> bool,
    ) -> Result<usize> {
        let (mut next, mut last, mut room) = (NONE_LEFT, from, true);
        self.each(from, &mut |entry, source| {
            if !room && entry > last {
                next = entry;
                return Ok(false);
            }
            last = entry;
            if source.is_wanted() {
                let tree = source.open(find.as_deref_mut())?;
                room &= keep(source, tree);
            }
            Ok(true)
        })?;
        Ok(next)
    }

    /// Opens as many as the limit of file descriptors permits; see [`Sources::open`].
    pub fn open_first(&self, find: Option<&mut FindUserNamespace<'_>>) -> Result<usize> {
        let room = FdBudget::new(2, RawFd::MAX);
        self.open(0, find, &mut |source, tree| {
            let more = room.has(&tree);
            source.set(tree);
            more
        })
    }

    /// Opens, in the parent, a portion for the child; also returns the next entry.
    #[cold]
    #[inline(never)]
    pub fn portion(&self, from: usize, find: &mut FindUserNamespace<'_>) -> Result<(Vec<OwnedFd>, usize)> {
        let mut trees = Vec::new();
        let next = self.open(from, Some(find), &mut |_, tree| {
            trees.push(tree);
            trees.len() < BATCH
        })?;
        Ok((trees, next))
    }

    /// Requests, in the child, the trees of an entry that are not open yet.
    #[cold]
    #[inline(never)]
    pub fn fill(&self, entry: usize, more: &mut RequestTrees<'_>) -> Result<()> {
        let mut portion = [const { None }; _];
        more(entry, &mut portion)?;
        let mut trees = portion.into_iter().flatten();
        self.each(entry, &mut |_, source| {
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
        .map(drop)
    }
}
