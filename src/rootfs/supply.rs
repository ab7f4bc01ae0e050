//! The trees that are taken from the host, in portions: a configuration may have more of them than a process has
//! descriptors (getrlimit(2), RLIMIT_NOFILE).
//!
//! The parent opens them before the clone as far as there is room, which nearly always is all of them. For what is
//! left the child asks when it comes to it, and is sent a portion over the channel.

use alloc::vec::Vec;

use rustix::fd::{OwnedFd, RawFd};

use super::device;
use super::fd_budget::FdBudget;
use super::idmap::FindUserNamespace;
use super::op::Op;
use super::source::Source;
use crate::error::{At, Result, Show};

/// What is sent at a time: one entry's trees, or those of several up to [`BATCH`]. An entry has at most one for each
/// hierarchy of cgroups.
pub type TreeBatch = [Option<OwnedFd>; 64];

/// No further entry behind so many trees.
const BATCH: usize = 16;

/// Requests the trees from this entry on from the parent.
pub type RequestTrees<'m> = dyn FnMut(usize, &mut TreeBatch) -> Result<()> + 'm;

/// Everything that takes trees from the host, in the order in which it is made: entries of `mounts`, then devices.
#[derive(Clone, Copy)]
pub struct Sources<'p, 'a> {
    pub mounts: &'p [Op<'a>],
    pub devices: Option<&'p device::Plan<'a>>,
}

/// All entries were opened.
pub const NONE_LEFT: usize = usize::MAX;

impl<'a> Sources<'_, 'a> {
    /// Looks at the sources of the entries from `from` on, as long as `visit` says.
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

    /// Opens those of the entries from `from` on that are not open yet, until `keep` has no room for another entry's.
    /// Gives the entry that comes next, or [`NONE_LEFT`].
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

    /// Opens as many as there is room for; see [`Sources::open`].
    pub fn open_first(&self, find: Option<&mut FindUserNamespace<'_>>) -> Result<usize> {
        let room = FdBudget::new(2, RawFd::MAX);
        self.open(0, find, &mut |source, tree| {
            let more = room.has(&tree);
            source.set(tree);
            more
        })
    }

    /// The parent's part: a portion for the child, and the entry that comes next.
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

    /// The child's part, when it has come to an entry that lacks a tree.
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

    /// The same where the child opens them itself.
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
