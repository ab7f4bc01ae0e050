//! Where a bind mount comes from: a place on the host.
//!
//! The parent opens it before the clone when it may (OPEN_TREE_CLONE takes CAP_SYS_ADMIN), so that the
//! child looks nothing up on the host, and needs no rights there in its user namespace. An ordinary user
//! has that capability only in the child's namespaces: then the child opens it, before anything else.

use alloc::borrow::Cow;
use core::cell::Cell;
use core::ffi::CStr;
use core::fmt;

use rustix::fd::OwnedFd;
use rustix::io::Errno;

use super::path::is_directory;
use super::tree;
use crate::error::{Error, On, Result, Show};

/// A path of the host, and the detached copy of the tree that is there once it is opened.
pub struct Source<'a> {
    path: Cow<'a, CStr>,
    recursive: bool,
    tree: Cell<Option<OwnedFd>>,
}

impl<'a> Source<'a> {
    /// A place not opened yet.
    pub fn new(path: impl Into<Cow<'a, CStr>>, recursive: bool) -> Self {
        Source { path: path.into(), recursive, tree: Cell::new(None) }
    }

    /// The place.
    pub fn path(&self) -> &CStr {
        &self.path
    }

    /// Opens it, unless that is done.
    pub fn open(&mut self) -> Result<()> {
        if self.tree.get_mut().is_none() {
            let tree = tree::copy_path(&self.path, self.recursive);
            self.tree = Cell::new(Some(tree.on(format_args!("open_tree {}", Show(&self.path)))?));
        }
        Ok(())
    }

    /// Opens it if this process may; `false` when only the child can.
    pub fn open_if_allowed(&mut self) -> Result<bool> {
        match self.open() {
            Err(error) if error.is(Errno::PERM) => Ok(false),
            other => other.map(|()| true),
        }
    }

    /// Whether it is a directory; so is, for all one knows, what is not opened yet.
    pub fn is_directory(&mut self) -> Result<bool> {
        match self.tree.get_mut() {
            Some(tree) => is_directory(tree).on(format_args!("fstat {}", Show(&self.path))),
            None => Ok(true),
        }
    }

    /// The tree, to be attached: once.
    pub fn take(&self) -> Result<OwnedFd> {
        self.tree.take().ok_or_else(|| Error::invalid(format_args!("{} was not opened", Show(&self.path))))
    }
}

impl fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}{}", self.path, if self.recursive { " and below" } else { "" })
    }
}
