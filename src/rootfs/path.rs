//! Resolution of paths inside the container's root (openat2(2), path_resolution(7)).
//!
//! An image is untrusted, and another container may change it at the same time: any name of a path may be a symbolic
//! link, `..` or a magic link of procfs. Therefore the kernel resolves each path once, with the container's root as
//! root (RESOLVE_IN_ROOT), and all further operations use the file descriptor (CVE-2019-16884, CVE-2019-19921,
//! CVE-2021-30465, CVE-2023-27561).

use core::cell::Cell;
use core::ffi::CStr;
use core::mem::MaybeUninit;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat, openat2, readlinkat_raw, symlinkat,
};
use rustix::io::{Errno, Result as Raw};

use super::fd_budget::FdBudget;
use super::mount_namespace::Beneath;
use super::path_text::{Found, MAX_LINKS, PATH_MAX, first_name, join, skip_slashes, text, through_link};
use super::tree::{self, Parameter};
use super::visible::Visible;
use super::walk::walk;
use crate::error::{Error, On, Result, Show};
use crate::sys::mount::SetAttr;

/// The container's root directory.
pub struct Root {
    fd: OwnedFd,
    /// The number of earlier roots over which this one is mounted.
    covered: u32,
    /// The file descriptors that may be left open.
    room: FdBudget,
    /// openat2 is missing or denied; paths are resolved by [`walk`].
    no_openat2: Cell<bool>,
    /// What it is attached over; `None` if it is already the root of this process.
    beneath: Option<Beneath>,
    /// The root of the mount namespace, if it is the host's.
    pub(super) host: Option<OwnedFd>,
    /// The host's procfs and sysfs, if new ones are denied without.
    pub(super) visible: Visible,
    /// The tree that was attached last, kept while the next one may be attached over it.
    last: Option<OwnedFd>,
}

/// What is created if a path does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    Directory,
    File,
}

impl Root {
    /// A root directory, given its file descriptor.
    pub fn new(fd: OwnedFd) -> Self {
        let (room, no_openat2) = (FdBudget::new(4, 512), Cell::new(false));
        let visible = Visible::default();
        Root { fd, covered: 0, room, no_openat2, beneath: None, host: None, visible, last: None }
    }

    /// A root directory that will be attached over another.
    pub(super) fn over(fd: OwnedFd, beneath: Beneath, host: Option<OwnedFd>, visible: Visible) -> Self {
        Root { beneath: Some(beneath), host, visible, ..Root::new(fd) }
    }

    /// What it is attached over; `None` if it is already the root of this process.
    pub fn beneath(&self) -> Option<Beneath> {
        self.beneath
    }

    /// Whether no other process can see its mounts.
    pub(super) fn is_hidden(&self) -> bool {
        self.beneath.is_some_and(|beneath| beneath != Beneath::Nothing)
    }

    /// Closes a file descriptor that is no longer needed, or leaves it open: all are closed at once before the program
    /// is executed, and closing the first hundreds one by one would be a fifth of all system calls.
    pub fn release(&self, fd: OwnedFd) {
        if self.has_room(&fd) {
            core::mem::forget(fd);
        }
    }

    /// Whether a file descriptor may be left open.
    pub fn has_room(&self, fd: &OwnedFd) -> bool {
        self.room.has(fd)
    }

    /// Attaches a tree at a mount point and releases both file descriptors.
    pub fn attach(&self, tree: OwnedFd, target: OwnedFd) -> Result<()> {
        tree::attach(&tree, target.as_fd())?;
        self.release(tree);
        self.release(target);
        Ok(())
    }

    /// Changes flags of a tree, attaches it at a mount point and releases both file descriptors.
    pub fn change_and_attach(&self, tree: OwnedFd, change: SetAttr, target: OwnedFd) -> Result<()> {
        let attach = || tree::attach(&tree, target.as_fd());
        tree::change_and_attach(&tree, &[change], self.is_hidden(), attach)?;
        self.release(tree);
        self.release(target);
        Ok(())
    }

    /// Changes flags of the root's tree, and attaches it at a path of the host, or else over the root of this mount
    /// namespace.
    pub fn change_and_attach_root(&self, change: SetAttr, path: Option<&CStr>) -> Result<()> {
        let attach = || match (path, &self.host) {
            (None, Some(host)) => tree::attach(&self.fd, host.as_fd()),
            (path, _) => tree::attach_at_path(self.fd(), path.unwrap_or(c"/")),
        };
        tree::change_and_attach(&self.fd, &[change], self.is_hidden(), attach)
    }

    /// Creates a filesystem as a detached mount; `attributes` are `MOUNT_ATTR_*`.
    pub fn create_filesystem<'a>(
        &self,
        kind: &CStr,
        source: &CStr,
        parameters: impl Iterator<Item = Parameter<'a>>,
        attributes: u64,
    ) -> Result<OwnedFd> {
        let (context, tree) = tree::filesystem(kind, source, parameters, attributes)?;
        self.release(context);
        Ok(tree)
    }

    /// Records the tree that was attached last.
    pub fn attached(&mut self, tree: OwnedFd) {
        self.release_last();
        self.last = Some(tree);
    }

    /// Takes the tree that was attached last.
    pub fn take_last(&mut self) -> Option<OwnedFd> {
        self.last.take()
    }

    /// Releases the tree that was attached last, because the next one has another destination.
    pub fn release_last(&mut self) {
        if let Some(tree) = self.last.take() {
            self.release(tree);
        }
    }

    /// Makes a tree that was mounted over the root the new root.
    #[cold]
    #[inline(never)]
    pub fn cover(&mut self, tree: OwnedFd) {
        self.covered += 1;
        let beneath = core::mem::replace(&mut self.fd, tree);
        self.release(beneath);
    }

    /// The number of earlier roots over which this one is mounted.
    pub fn covered(&self) -> u32 {
        self.covered
    }

    /// The file descriptor of the root.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Opens `path` with O_PATH. Links are followed within the root.
    pub fn open(&self, path: &CStr) -> Raw<OwnedFd> {
        self.resolve(path, ResolveFlags::empty())
    }

    /// Opens `path` with O_PATH and O_NOFOLLOW: a link at its last name is not followed.
    #[cold]
    #[inline(never)]
    pub fn open_itself(&self, path: &CStr) -> Raw<OwnedFd> {
        let mut space = [0u8; PATH_MAX];
        let Ok((above, name)) = split(path, &mut space) else { return self.open(path) };
        let above = self.open(above)?;
        let found = openat(&above, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
        self.release(above);
        found
    }

    fn resolve(&self, path: &CStr, more: ResolveFlags) -> Raw<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | more;
        let mut races = 0;
        while !self.no_openat2.get() {
            match openat2(&self.fd, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve) {
                // openat2(2): a rename anywhere on the host raced with a ".." in the path. The manual page
                // recommends to retry; each try is a complete resolution. The limit is for a process that renames
                // in an endless loop.
                Err(Errno::AGAIN) if races < 1000 => races += 1,
                Err(Errno::INTR) => {}
                // ENOSYS: linux before 5.6, or a seccomp filter; older filters return EPERM, or EINVAL. With O_PATH
                // the kernel itself returns EACCES here, never EPERM. If the error is from a filesystem or a
                // security module, the walk fails with it again: it is as strict, so a wrong guess costs only calls.
                Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => self.no_openat2.set(true),
                other => return other,
            }
        }
        let links = if more.contains(ResolveFlags::NO_SYMLINKS) { 0 } else { MAX_LINKS };
        walk(self.fd(), path, links)
    }

    /// Opens `path`. If it does not exist, a directory or an empty file is created, and all directories above it.
    pub fn make(&self, path: &CStr, make: Make) -> Result<OwnedFd> {
        self.find_or_make(path, make).map(|(fd, _)| fd)
    }

    /// [`Root::make`], and whether the file was created.
    pub fn find_or_make(&self, path: &CStr, make: Make) -> Result<(OwnedFd, bool)> {
        match self.open(path) {
            Err(Errno::NOENT) => {
                let call = if make == Make::Directory { "mkdirat" } else { "openat O_CREAT" };
                let made = self.create(path, make).on(format_args!("{call} {}", Show(path)))?;
                Ok((made, true))
            }
            other => Ok((other.on(format_args!("openat2 {}", Show(path)))?, false)),
        }
    }

    /// [`Root::make`], with an error (ELOOP) if the path contains a symbolic link.
    pub fn make_without_links(&self, path: &CStr, make: Make) -> Result<OwnedFd> {
        match self.resolve(path, ResolveFlags::NO_SYMLINKS) {
            Err(Errno::NOENT) => {
                self.release(self.make(path, make)?);
                self.resolve(path, ResolveFlags::NO_SYMLINKS)
            }
            found => found,
        }
        .on(format_args!("openat2 RESOLVE_NO_SYMLINKS"))
    }

    /// The deepest existing directory of `path`, in which its missing names would be created.
    pub fn nearest(&self, path: &CStr) -> Result<OwnedFd> {
        self.longest(path.to_bytes()).map(|(fd, _)| fd).on(format_args!("openat2 above {}", Show(path)))
    }

    /// The directory that contains `path`, created if it does not exist, and the path's last name.
    pub fn parent<'p>(&self, path: &'p CStr) -> Result<(OwnedFd, &'p CStr)> {
        let mut space = [0u8; PATH_MAX];
        let (above, name) = split(path, &mut space)?;
        Ok((self.make(above, Make::Directory)?, name))
    }

    /// [`Root::make`] without following a link at the last name.
    #[cold]
    #[inline(never)]
    pub fn make_itself(&self, path: &CStr, make: Make) -> Result<OwnedFd> {
        let (above, name) = self.parent(path)?;
        let found = make_one(&above, name.to_bytes(), make);
        self.release(above);
        match found.on(format_args!("openat O_NOFOLLOW {}", Show(path)))? {
            Found::Here(fd) | Found::Link(fd) => Ok(fd),
        }
    }

    /// The directory that contains `path`, and the path's last name. Errors: ELOOP if the directory's path contains a
    /// symbolic link, ENOENT if it does not exist.
    pub fn parent_without_links<'p>(&self, path: &'p CStr) -> Result<(OwnedFd, &'p CStr)> {
        let mut space = [0u8; PATH_MAX];
        let (above, name) = split(path, &mut space)?;
        let above = self.resolve(above, ResolveFlags::NO_SYMLINKS);
        Ok((above.on(format_args!("openat2 RESOLVE_NO_SYMLINKS"))?, name))
    }

    /// Creates the missing names of a path, beginning in the deepest existing directory. A dangling link is followed:
    /// its target is created.
    fn create(&self, path: &CStr, make: Make) -> Raw<OwnedFd> {
        match self.create_to_link(path.to_bytes(), make)? {
            (Found::Here(fd), _) => Ok(fd),
            (Found::Link(link), at) => self.create_through(link, path.to_bytes(), at, make),
        }
    }

    /// Creates the missing names up to the first dangling link, and returns the link and where its name begins.
    fn create_to_link(&self, path: &[u8], make: Make) -> Raw<(Found, usize)> {
        let (mut above, mut at) = self.longest(path)?;
        loop {
            let (name, after) = first_name(path, at);
            let last = after == path.len();
            match make_one(&above, name, if last { make } else { Make::Directory })? {
                Found::Here(fd) if !last => self.release(core::mem::replace(&mut above, fd)),
                found => {
                    self.release(above);
                    return Ok((found, at));
                }
            }
            at = after;
        }
    }

    // A separate function, because its three pages of stack are rarely needed.
    #[cold]
    #[inline(never)]
    fn create_through(&self, mut link: OwnedFd, path: &[u8], mut at: usize, make: Make) -> Raw<OwnedFd> {
        let mut space = [[0u8; PATH_MAX]; 2];
        let [current, next] = &mut space;
        join(current, &[path])?;
        // MAX_LINKS tries in total; the caller made the first.
        for _ in 1..MAX_LINKS {
            let mut target = [MaybeUninit::<u8>::uninit(); PATH_MAX];
            let (target, _) = readlinkat_raw(&link, c"", &mut target[..])?;
            through_link(text(current).to_bytes(), at, target, next)?;
            core::mem::swap(current, next);
            // The target may exist.
            match self.open(text(current)) {
                Err(Errno::NOENT) => {}
                other => return other,
            }
            match self.create_to_link(text(current).to_bytes(), make)? {
                (Found::Here(fd), _) => return Ok(fd),
                (Found::Link(fd), begin) => (link, at) = (fd, begin),
            }
        }
        Err(Errno::LOOP)
    }

    /// The deepest existing directory of a path, and the position of the first name below it.
    fn longest(&self, path: &[u8]) -> Raw<(OwnedFd, usize)> {
        let mut space = [0u8; PATH_MAX];
        let mut end = path.len();
        loop {
            let slash = path.iter().take(end).rposition(|byte| *byte == b'/').unwrap_or(0);
            let above = path.get(..slash).unwrap_or_default();
            match self.open(join(&mut space, &[above, b"/"])?) {
                Err(Errno::NOENT) if slash > 0 => end = slash,
                opened => return Ok((opened?, skip_slashes(path, slash))),
            }
        }
    }
}

/// Splits a path into the path of its directory, written to `space`, and its last name.
/// Errors: the path ends in `/`, `.` or `..`, or is too long.
fn split<'s, 'p>(path: &'p CStr, space: &'s mut [u8; PATH_MAX]) -> Result<(&'s CStr, &'p CStr)> {
    let bytes = path.to_bytes_with_nul();
    let slash = path.to_bytes().iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    let name = bytes.get(slash + 1..).and_then(|name| CStr::from_bytes_with_nul(name).ok()).unwrap_or(c"");
    if matches!(name.to_bytes(), b"" | b"." | b"..") {
        return Err(Error::invalid(format_args!("{} has no last name", Show(path))));
    }
    let above = bytes.get(..slash).unwrap_or_default();
    Ok((join(space, &[above, b"/"]).on(format_args!("{}", Show(path)))?, name))
}

fn make_one(above: &OwnedFd, name: &[u8], make: Make) -> Raw<Found> {
    if matches!(name, b"" | b"." | b"..") {
        // A missing directory has no parent.
        return Err(Errno::NOENT);
    }
    let made = match make {
        Make::Directory => mkdirat(above, name, Mode::from_raw_mode(0o755)),
        Make::File => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::WRONLY;
            openat(above, name, flags, Mode::from_raw_mode(0o644)).map(drop)
        }
    };
    let path = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match made {
        // O_NOFOLLOW and O_DIRECTORY: another process may have replaced the new directory.
        Ok(()) if make == Make::Directory => {
            openat(above, name, path | OFlags::DIRECTORY, Mode::empty()).map(Found::Here)
        }
        Ok(()) | Err(Errno::EXIST) => {
            let fd = openat(above, name, path, Mode::empty())?;
            match FileType::from_raw_mode(fstat(&fd)?.st_mode) {
                FileType::Symlink => Ok(Found::Link(fd)),
                FileType::Directory => Ok(Found::Here(fd)),
                _ if make == Make::File => Ok(Found::Here(fd)),
                _ => Err(Errno::NOTDIR),
            }
        }
        Err(errno) => Err(errno),
    }
}

/// Creates a symbolic link. `true` also if it exists with the same target; `false` if the name is another file.
pub fn make_link(directory: &OwnedFd, name: &CStr, target: &CStr) -> Raw<bool> {
    match symlinkat(target, directory, name) {
        Err(Errno::EXIST) => Ok(is_link_to(directory, name, target)),
        made => made.map(|()| true),
    }
}

/// Whether the file is a symbolic link with this target.
#[cold]
#[inline(never)]
fn is_link_to(directory: &OwnedFd, name: &CStr, target: &CStr) -> bool {
    let mut space = [MaybeUninit::<u8>::uninit(); PATH_MAX];
    readlinkat_raw(directory, name, &mut space[..]).is_ok_and(|(found, _)| &*found == target.to_bytes())
}

/// Whether a file descriptor refers to a directory.
#[inline]
pub fn is_directory(fd: &OwnedFd) -> Raw<bool> {
    Ok(FileType::from_raw_mode(fstat(fd)?.st_mode) == FileType::Directory)
}
