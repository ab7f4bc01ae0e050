//! Where a bind mount comes from: a place on the host.
//!
//! The parent opens it before the clone when it may (OPEN_TREE_CLONE takes CAP_SYS_ADMIN), so that the
//! child looks nothing up on the host, and needs no rights there in its user namespace. An ordinary user
//! has that capability only in the child's namespaces: then the child opens it, before anything else. What lies in the
//! container's own root is opened by the child when its turn comes (`order.rs`).

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::ffi::CString;
use core::cell::Cell;
use core::ffi::CStr;
use core::fmt;
use core::mem::MaybeUninit;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, readlinkat_raw};
use rustix::io::Errno;

use super::idmap::{FindUserNamespace, Idmap, UserNamespace};
use super::mount_options::BindOptions;
use super::option_table::{FOLLOWED, Links};
use super::order::HostRoot;
use super::path::{Root, is_directory};
use super::path_text::PATH_MAX;
use super::{explain, tree};
use crate::config::Mount;
use crate::error::{Error, On, Result, Show, invalid};

/// A path of the host, and the detached copy of the tree that is there once it is opened.
pub struct Source<'a> {
    path: Cow<'a, CStr>,
    recursive: bool,
    rare: Option<Box<Rare>>,
    tree: Cell<Option<OwnedFd>>,
}

/// What few mounts have.
#[derive(Default)]
struct Rare {
    links: Links,
    /// What the link that is to be copied says.
    link: Option<CString>,
    idmap: Option<Idmap>,
    /// Where it is in the container's own root, in which it is to be looked up.
    inside: Option<CString>,
}

impl<'a> Source<'a> {
    /// A place not opened yet.
    pub fn new(path: impl Into<Cow<'a, CStr>>, recursive: bool) -> Self {
        Source { path: path.into(), recursive, rare: None, tree: Cell::new(None) }
    }

    /// Links are not followed, or owners are mapped.
    #[cold]
    #[inline(never)]
    pub fn change(
        &mut self,
        mount: &Mount<'_>,
        ends: &BindOptions<'_>,
        user: Option<UserNamespace<'_>>,
    ) -> Result<()> {
        let links = ends.links;
        if links.copied && (links.source || links.destination) {
            return invalid(format_args!(
                "options: \"copy-symlink\" cannot be together with \"src-nofollow\" or \"dest-nofollow\""
            ));
        }
        let idmap = match ends.idmap.is_some() || !mount.uid_mappings.is_empty() {
            true => Some(Idmap::new(mount, ends.idmap, user)?),
            false => None,
        };
        self.rare = Some(Box::new(Rare { links, idmap, ..Rare::default() }));
        Ok(())
    }

    /// Before it is opened, and after other mounts: it may lie in the container's own root.
    pub fn look_inside(&mut self, root: &HostRoot) -> Result<()> {
        let links = self.rare.as_ref().map_or(FOLLOWED, |rare| rare.links);
        let Some(inside) = root.within(&self.path, !links.source && !links.copied) else { return Ok(()) };
        let rare = self.rare.get_or_insert_default();
        if rare.idmap.is_some() {
            // Who may map it is in no mount namespace that has it.
            return Err(Error::unsupported(format_args!(
                "source: {} is in the container's own root, where owners cannot be mapped after other mounts",
                Show(&self.path)
            )));
        }
        rare.inside = Some(inside);
        Ok(())
    }

    /// The place.
    pub fn path(&self) -> &CStr {
        &self.path
    }

    /// It goes to the destination itself, should that be a link.
    pub fn over_links(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.links.destination)
    }

    /// What the link says that is to be copied.
    pub fn link(&self) -> Option<&CStr> {
        self.rare.as_ref()?.link.as_deref()
    }

    /// Whether it is to be looked up in the container's own root.
    pub fn is_inside(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.inside.is_some())
    }

    /// The link that is to be copied is looked up in the container's own root: gives the path there.
    pub fn link_inside(&self) -> Option<&CStr> {
        self.rare.as_ref().filter(|rare| rare.links.copied)?.inside.as_deref()
    }

    /// Reads a link that is to be copied. What is none is mounted as ever.
    pub fn read_link(&mut self) -> Result<()> {
        if let Some(rare) = &mut self.rare
            && rare.inside.is_none()
            && core::mem::take(&mut rare.links.copied)
        {
            rare.link = what_link_says(&self.path).on(format_args!("readlinkat {}", Show(&self.path)))?;
        }
        Ok(())
    }

    /// Whether it is not opened yet, and will not be in the container's own root.
    pub fn is_wanted(&self) -> bool {
        match self.rare.as_deref() {
            Some(Rare { link: Some(_), .. } | Rare { inside: Some(_), .. }) => false,
            _ => !self.is_open(),
        }
    }

    /// Opens it on the host. Only the parent, with `find`, can map its owners.
    pub fn open(&self, find: Option<&mut FindUserNamespace<'_>>) -> Result<OwnedFd> {
        let link = self.rare.as_ref().is_some_and(|rare| rare.links.source);
        let copy = |recursive| tree::copy_path(&self.path, recursive, link);
        let tree = copy(self.recursive)
            .map_err(|errno| explain::copy(errno, format_args!("{}", Show(&self.path)), &|| copy(true)))?;
        match (self.rare.as_ref().and_then(|rare| rare.idmap.as_ref()), find) {
            (Some(idmap), Some(find)) => idmap.apply(&tree, find)?,
            // Who may not open it in the parent may map nothing of the host's.
            (Some(_), None) => return Err(Error::system(Errno::PERM, format_args!("mount_setattr idmap"))),
            (None, _) => {}
        }
        Ok(tree)
    }

    /// It was opened.
    pub fn set(&self, tree: OwnedFd) {
        self.tree.set(Some(tree));
    }

    /// Whether it was.
    pub fn is_open(&self) -> bool {
        let tree = self.tree.take();
        let open = tree.is_some();
        self.tree.set(tree);
        open
    }

    /// Whether it is a directory; so is, for all one knows, what is not opened yet.
    pub fn is_directory(&mut self) -> Result<bool> {
        match self.tree.get_mut() {
            Some(tree) => is_directory(tree).on(format_args!("fstat {}", Show(&self.path))),
            None => Ok(true),
        }
    }

    /// The tree, to be attached: once. One in the container's own `root` is opened now.
    pub fn tree(&self, root: &Root) -> Result<OwnedFd> {
        match self.rare.as_ref().and_then(|rare| rare.inside.as_deref()) {
            Some(inside) => self.open_inside(root, inside),
            None => self.take(),
        }
    }

    /// Links lead to where they do in the container, and never out of it.
    #[cold]
    #[inline(never)]
    fn open_inside(&self, root: &Root, inside: &CStr) -> Result<OwnedFd> {
        let nofollow = self.rare.as_ref().is_some_and(|rare| rare.links.source);
        let found = if nofollow { root.open_itself(inside) } else { root.open(inside) };
        let found = found.on(format_args!("source {}: openat2", Show(&self.path)))?;
        let tree = tree::copy(found.as_fd(), self.recursive)?;
        root.release(found);
        Ok(tree)
    }

    /// The tree that was opened before.
    pub fn take(&self) -> Result<OwnedFd> {
        self.tree.take().ok_or_else(|| Error::invalid(format_args!("{} was not opened", Show(&self.path))))
    }
}

/// A path of config.json on the host: absolute, or relative to the bundle.
pub fn absolute(bundle: &CStr, path: &CStr) -> CString {
    if path.to_bytes().starts_with(b"/") {
        return path.into();
    }
    // Neither part has a NUL inside.
    CString::new([bundle.to_bytes(), b"/", path.to_bytes()].concat()).unwrap_or_default()
}

/// What a link says; `None` where it is none.
#[cold]
#[inline(never)]
pub fn read_link<'s>(link: &OwnedFd, space: &'s mut [u8; PATH_MAX]) -> rustix::io::Result<Option<&'s CStr>> {
    // The last byte stays NUL: a link's text is shorter than that.
    match readlinkat_raw(link, c"", space.get_mut(..PATH_MAX - 1).unwrap_or_default()) {
        // By its descriptor, what is none is not there.
        Err(Errno::INVAL | Errno::NOENT) => Ok(None),
        read => read.map(|_| Some(super::path_text::text(space))),
    }
}

#[cold]
#[inline(never)]
fn what_link_says(path: &CStr) -> rustix::io::Result<Option<CString>> {
    let mut space = [MaybeUninit::<u8>::uninit(); PATH_MAX];
    match readlinkat_raw(CWD, path, &mut space[..]) {
        // It is none.
        Err(Errno::INVAL) => Ok(None),
        // The kernel has no links with a NUL inside.
        read => read.map(|(link, _)| CString::new(&*link).ok()),
    }
}

impl fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below = if self.recursive { " and below" } else { "" };
        write!(f, "{:?}{below}", self.path)?;
        let Some(Rare { links, idmap, .. }) = self.rare.as_deref() else { return Ok(()) };
        for (given, word) in [
            (links.copied, "copied if it is a link"),
            (links.source, "even if it is a link"),
            (links.destination, "over a link"),
        ] {
            if given {
                write!(f, ", {word}")?;
            }
        }
        match idmap {
            Some(idmap) => write!(f, ", {idmap:?}"),
            None => Ok(()),
        }
    }
}
