//! Sources of bind mounts: paths on the host.
//!
//! The parent opens them before the clone if it can (OPEN_TREE_CLONE requires CAP_SYS_ADMIN). Then the child resolves
//! no path of the host, and needs no rights there from its user namespace. An unprivileged user has the capability only
//! in the child's namespaces; then the child opens them, before anything else. Sources inside the container's own root
//! are opened by the child right before their mount is made (`order.rs`).

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
use super::label::is_parameter;
use super::mount_options::{BindOptions, Parameters};
use super::option_table::{FOLLOWED, Links};
use super::order::HostRoot;
use super::path::{Root, is_directory};
use super::path_text::PATH_MAX;
use super::{explain, tree};
use crate::config::Mount;
use crate::error::{Error, On, Result, Show, invalid};

/// A path of the host, and the detached copy of the mount tree there, after it was opened.
pub struct Source<'a> {
    path: Cow<'a, CStr>,
    recursive: bool,
    rare: Option<Box<Rare<'a>>>,
    tree: Cell<Option<OwnedFd>>,
}

/// A request for trees.
#[derive(Clone, Copy, Debug)]
pub enum Request {
    /// Those that are not open yet, beginning with those of this entry.
    From(usize),
    /// The one of this bind mount again, without the mount namespaces that are pinned below its source.
    Again(usize),
}

impl Request {
    /// The first entry.
    pub(super) fn entry(self) -> usize {
        let (Request::From(entry) | Request::Again(entry)) = self;
        entry
    }
}

/// Settings that few mounts have.
#[derive(Default)]
struct Rare<'a> {
    links: Links,
    /// The target of the link that is to be copied (`copy-symlink`).
    link: Option<CString>,
    idmap: Option<Idmap>,
    /// The path relative to the container's root, if the source is inside.
    inside: Option<CString>,
    /// The filesystem that is created, instead of copying a mount at the path.
    filesystem: Option<Filesystem<'a>>,
}

/// A filesystem that the parent creates, because only it may map its owners.
struct Filesystem<'a> {
    kind: &'a CStr,
    parameters: Parameters<'a>,
}

impl Filesystem<'_> {
    fn create(&self, source: &CStr) -> Result<OwnedFd> {
        let parameters = self.parameters.iter().map(|(name, value)| (&**name, value.as_deref()));
        tree::filesystem(self.kind, source, parameters.filter(is_parameter), 0).map(|(_, tree)| tree)
    }
}

impl<'a> Source<'a> {
    /// A source that is not opened yet.
    pub fn new(path: impl Into<Cow<'a, CStr>>, recursive: bool) -> Self {
        Source { path: path.into(), recursive, rare: None, tree: Cell::new(None) }
    }

    /// Sets the options for links and ID mappings. Errors: they are invalid, or cannot be combined.
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
                "options: \"copy-symlink\" cannot be combined with \"src-nofollow\" or \"dest-nofollow\""
            ));
        }
        let idmap = match ends.idmap.is_some() || !mount.uid_mappings.is_empty() {
            true => Some(Idmap::new(mount, ends.idmap, user)?),
            false => None,
        };
        self.rare = Some(Box::new(Rare { links, idmap, ..Rare::default() }));
        Ok(())
    }

    /// Makes it a new filesystem of this type, whose source is the path.
    #[cold]
    #[inline(never)]
    pub fn make_filesystem(&mut self, kind: &'a CStr, parameters: Parameters<'a>) {
        self.rare.get_or_insert_default().filesystem = Some(Filesystem { kind, parameters });
    }

    /// The type of the filesystem that it creates.
    pub fn kind(&self) -> Option<&'a CStr> {
        Some(self.rare.as_ref()?.filesystem.as_ref()?.kind)
    }

    /// Finds out, before the source is opened, whether it is inside the container's own root. Errors: it is, and owners
    /// are to be mapped.
    pub fn look_inside(&mut self, root: &HostRoot) -> Result<()> {
        let links = self.rare.as_ref().map_or(FOLLOWED, |rare| rare.links);
        let Some(inside) = root.within(&self.path, !links.source && !links.copied) else { return Ok(()) };
        let rare = self.rare.get_or_insert_default();
        if rare.idmap.is_some() {
            // Only the parent has the rights to map owners, and it is not in the mount namespace of the source.
            return Err(Error::unsupported(format_args!(
                "source: {} is inside the container's root, for which idmap is not supported",
                Show(&self.path)
            )));
        }
        rare.inside = Some(inside);
        Ok(())
    }

    /// The path on the host.
    pub fn path(&self) -> &CStr {
        &self.path
    }

    /// Whether a link at the destination is mounted over (`dest-nofollow`).
    pub fn over_links(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.links.destination)
    }

    /// The target of the link that is to be copied, if it was read.
    pub fn link(&self) -> Option<&CStr> {
        self.rare.as_ref()?.link.as_deref()
    }

    /// Whether it is inside the container's own root.
    pub fn is_inside(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.inside.is_some())
    }

    /// The path relative to the container's root of a link that is to be copied.
    pub fn link_inside(&self) -> Option<&CStr> {
        self.rare.as_ref().filter(|rare| rare.links.copied)?.inside.as_deref()
    }

    /// Reads the link that is to be copied (`copy-symlink`). A source that is not a link is bind-mounted.
    pub fn read_link(&mut self) -> Result<()> {
        if let Some(rare) = &mut self.rare
            && rare.inside.is_none()
            && core::mem::take(&mut rare.links.copied)
        {
            rare.link = link_target(&self.path).on(format_args!("readlinkat {}", Show(&self.path)))?;
        }
        Ok(())
    }

    /// Whether it has to be opened on the host and is not open yet.
    pub fn is_wanted(&self) -> bool {
        match self.rare.as_deref() {
            Some(Rare { link: Some(_), .. } | Rare { inside: Some(_), .. }) => false,
            _ => !self.is_open(),
        }
    }

    /// Opens the source on the host as a detached mount tree. An idmapped one can be opened only with `find`, in the
    /// parent.
    pub fn open(&self, find: Option<&mut FindUserNamespace<'_>>) -> Result<OwnedFd> {
        let link = self.rare.as_ref().is_some_and(|rare| rare.links.source);
        let copy = |recursive| tree::copy_path(&self.path, recursive, link);
        let tree = match self.rare.as_ref().and_then(|rare| rare.filesystem.as_ref()) {
            Some(filesystem) => filesystem.create(&self.path)?,
            None => copy(self.recursive).map_err(|errno| {
                explain::copy(errno, format_args!("{}", Show(&self.path)), &|| copy(true))
            })?,
        };
        match (self.rare.as_ref().and_then(|rare| rare.idmap.as_ref()), find) {
            (Some(idmap), Some(find)) => idmap.apply(&tree, find)?,
            // The child opens sources only if the parent had no rights to; it cannot map owners of the host's
            // filesystems.
            (Some(_), None) => return Err(Error::system(Errno::PERM, format_args!("mount_setattr idmap"))),
            (None, _) => {}
        }
        Ok(tree)
    }

    /// Stores the opened tree.
    pub fn set(&self, tree: OwnedFd) {
        self.tree.set(Some(tree));
    }

    /// Whether the tree is open.
    pub fn is_open(&self) -> bool {
        let tree = self.tree.take();
        let open = tree.is_some();
        self.tree.set(tree);
        open
    }

    /// Whether it is a directory; `true` if it is not opened yet.
    pub fn is_directory(&mut self) -> Result<bool> {
        match self.tree.get_mut() {
            Some(tree) => is_directory(tree).on(format_args!("fstat {}", Show(&self.path))),
            None => Ok(true),
        }
    }

    /// Takes the tree, to attach it. A source inside the container's own `root` is opened now.
    pub fn tree(&self, root: &Root) -> Result<OwnedFd> {
        match self.rare.as_ref().and_then(|rare| rare.inside.as_deref()) {
            Some(inside) => self.open_inside(root, inside),
            None => self.take(),
        }
    }

    /// Opens a source inside the container's own root. Links are resolved within it.
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

    /// Takes the tree that was opened before. Errors: there is none.
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

/// The target of a link, given its O_PATH file descriptor; `None` if the file is not a link.
#[cold]
#[inline(never)]
pub fn read_link<'s>(link: &OwnedFd, space: &'s mut [u8; PATH_MAX]) -> rustix::io::Result<Option<&'s CStr>> {
    // The last byte remains NUL: targets of links are shorter.
    match readlinkat_raw(link, c"", space.get_mut(..PATH_MAX - 1).unwrap_or_default()) {
        // readlinkat(2) with an empty path fails with ENOENT for other files.
        Err(Errno::INVAL | Errno::NOENT) => Ok(None),
        read => read.map(|_| Some(super::path_text::text(space))),
    }
}

#[cold]
#[inline(never)]
fn link_target(path: &CStr) -> rustix::io::Result<Option<CString>> {
    let mut space = [MaybeUninit::<u8>::uninit(); PATH_MAX];
    match readlinkat_raw(CWD, path, &mut space[..]) {
        // The file is not a link.
        Err(Errno::INVAL) => Ok(None),
        // Targets of links contain no NUL.
        read => read.map(|(link, _)| CString::new(&*link).ok()),
    }
}

impl fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below = if self.recursive { " and below" } else { "" };
        match self.kind() {
            Some(kind) => write!(f, "{kind:?} of {:?}", self.path)?,
            None => write!(f, "{:?}{below}", self.path)?,
        }
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
