//! Paths inside the container's root, by descriptor (openat2(2), path_resolution(7)).
//!
//! An image is whatever its maker wanted it to be, and another container may change it meanwhile: a
//! symbolic link anywhere in a path, `..`, a link of procfs. So every path is resolved by the kernel with
//! the root as its root (RESOLVE_IN_ROOT), once, and what is done afterwards is done to the descriptor
//! (CVE-2019-16884, CVE-2019-19921, CVE-2021-30465, CVE-2023-27561).

use core::cell::Cell;
use core::ffi::CStr;
use core::mem::MaybeUninit;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat, openat2, readlinkat_raw, symlinkat,
};
use rustix::io::{Errno, Result as Raw};

use super::fd_budget::FdBudget;
use super::path_text::{Found, MAX_LINKS, PATH_MAX, first_name, join, skip_slashes, text, through_link};
use super::tree::{self, Parameter};
use super::walk::walk;
use crate::error::{Error, On, Result, Show};

/// The root of the container's tree.
pub struct Root {
    fd: OwnedFd,
    /// How many roots lie beneath it.
    covered: u32,
    /// Which descriptors are left open.
    room: FdBudget,
    /// openat2 is not to be had here.
    refused: Cell<bool>,
    /// Absolute paths are the host's.
    below_host: bool,
    /// The tree that was attached last, while the next one may be attached to it.
    last: Option<OwnedFd>,
}

/// What is made when a path is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    Directory,
    File,
}

impl Root {
    /// The tree below a descriptor of its root.
    pub fn new(fd: OwnedFd) -> Self {
        let (room, refused) = (FdBudget::new(4, 512), Cell::new(false));
        Root { fd, covered: 0, room, refused, below_host: false, last: None }
    }

    /// The same, of a process that has the host's root.
    pub fn below_host(fd: OwnedFd) -> Self {
        Root { below_host: true, ..Root::new(fd) }
    }

    /// Whether this process has the host's root.
    pub fn is_below_host(&self) -> bool {
        self.below_host
    }

    /// Ends the use of a descriptor. They are all closed at once before the program runs, so the first
    /// hundreds are left to that: closing one by one would be a fifth of all system calls.
    pub fn release(&self, fd: OwnedFd) {
        if self.has_room(&fd) {
            core::mem::forget(fd);
        }
    }

    /// Whether a descriptor may be left open.
    pub fn has_room(&self, fd: &OwnedFd) -> bool {
        self.room.has(fd)
    }

    /// Attaches a tree at a descriptor that was found here, and ends the use of both.
    pub fn attach(&self, tree: OwnedFd, target: OwnedFd) -> Result<()> {
        tree::attach(&tree, target.as_fd())?;
        self.release(tree);
        self.release(target);
        Ok(())
    }

    /// Makes a new filesystem, mounted nowhere yet; `attributes` are `MOUNT_ATTR_*`.
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

    /// A tree is attached.
    pub fn attached(&mut self, tree: OwnedFd) {
        self.release_last();
        self.last = Some(tree);
    }

    /// The tree that was attached last.
    pub fn take_last(&mut self) -> Option<OwnedFd> {
        self.last.take()
    }

    /// The next one goes elsewhere.
    pub fn release_last(&mut self) {
        if let Some(tree) = self.last.take() {
            self.release(tree);
        }
    }

    /// What was mounted over the root is the root now.
    #[cold]
    #[inline(never)]
    pub fn cover(&mut self, tree: OwnedFd) {
        self.covered += 1;
        let beneath = core::mem::replace(&mut self.fd, tree);
        self.release(beneath);
    }

    /// How many roots lie beneath this one.
    pub fn covered(&self) -> u32 {
        self.covered
    }

    /// The root's own descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// What is at `path`, following links within the root.
    pub fn open(&self, path: &CStr) -> Raw<OwnedFd> {
        self.resolve(path, ResolveFlags::empty())
    }

    /// What is at `path` itself, be it a link.
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
        while !self.refused.get() {
            match openat2(&self.fd, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve) {
                // openat2(2): a rename somewhere on the host raced with a ".." in the path. It asks for
                // another try itself, and each one is a walk of its own. Somebody who never stops may not keep
                // this going.
                Err(Errno::AGAIN) if races < 1000 => races += 1,
                Err(Errno::INTR) => {}
                // ENOSYS: linux before 5.6, or a sandbox, older ones with EPERM. With O_PATH the kernel has
                // no EPERM of its own here, only EACCES; a filesystem or a security module that has one says
                // it to the walk again, which is as strict: a wrong guess costs nothing but calls.
                Err(Errno::NOSYS | Errno::PERM) => self.refused.set(true),
                other => return other,
            }
        }
        let links = if more.contains(ResolveFlags::NO_SYMLINKS) { 0 } else { MAX_LINKS };
        walk(self.fd(), path, links)
    }

    /// What is at `path`; where nothing is, a directory or an empty file is made, and every directory above it.
    pub fn make(&self, path: &CStr, make: Make) -> Result<OwnedFd> {
        self.find_or_make(path, make).map(|(fd, _)| fd)
    }

    /// The same, and whether it was made.
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

    /// What is reached without any link, or made.
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

    /// The deepest directory on the way to `path` that is there: what is missing of the path would be made in it.
    pub fn nearest(&self, path: &CStr) -> Result<OwnedFd> {
        self.longest(path.to_bytes()).map(|(fd, _)| fd).on(format_args!("openat2 above {}", Show(path)))
    }

    /// The directory that `path` lies in, made when missing, and the path's last name.
    pub fn parent<'p>(&self, path: &'p CStr) -> Result<(OwnedFd, &'p CStr)> {
        let mut space = [0u8; PATH_MAX];
        let (above, name) = split(path, &mut space)?;
        Ok((self.make(above, Make::Directory)?, name))
    }

    /// What is at `path` itself, be it a link; or made.
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

    /// The same, of a path whose directory is reached without any link.
    pub fn parent_without_links<'p>(&self, path: &'p CStr) -> Result<(OwnedFd, &'p CStr)> {
        let mut space = [0u8; PATH_MAX];
        let (above, name) = split(path, &mut space)?;
        let above = self.resolve(above, ResolveFlags::NO_SYMLINKS);
        Ok((above.on(format_args!("openat2 RESOLVE_NO_SYMLINKS"))?, name))
    }

    /// Makes what is missing of a path: finds how far it goes, and makes the next name there, until all
    /// of it is. A dangling link is followed: what it points to is made.
    fn create(&self, path: &CStr, make: Make) -> Raw<OwnedFd> {
        match self.create_to_link(path.to_bytes(), make)? {
            (Found::Here(fd), _) => Ok(fd),
            (Found::Link(link), at) => self.create_through(link, path.to_bytes(), at, make),
        }
    }

    /// The same up to the first such link, and where its name begins.
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

    // On a stack of its own: three pages that are rarely needed.
    #[cold]
    #[inline(never)]
    fn create_through(&self, mut link: OwnedFd, path: &[u8], mut at: usize, make: Make) -> Raw<OwnedFd> {
        let mut space = [[0u8; PATH_MAX]; 2];
        let [current, next] = &mut space;
        join(current, &[path])?;
        // So many tries in all, of which one is over.
        for _ in 1..MAX_LINKS {
            let mut target = [MaybeUninit::<u8>::uninit(); PATH_MAX];
            let (target, _) = readlinkat_raw(&link, c"", &mut target[..])?;
            through_link(text(current).to_bytes(), at, target, next)?;
            core::mem::swap(current, next);
            // The link may lead to something that is there.
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

    /// The deepest directory on a path that is there, and where in the path the names below it begin.
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

/// The path of the directory that a path lies in, and its last name.
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
        // Below a missing name there is nothing to go up from.
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
        // Even then somebody else may have put another thing there: it is looked at.
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

/// Makes a link; `false` when there is another thing of that name. The same link is as good.
pub fn make_link(directory: &OwnedFd, name: &CStr, target: &CStr) -> Raw<bool> {
    match symlinkat(target, directory, name) {
        Err(Errno::EXIST) => Ok(says(directory, name, target)),
        made => made.map(|()| true),
    }
}

#[cold]
#[inline(never)]
fn says(directory: &OwnedFd, name: &CStr, target: &CStr) -> bool {
    let mut space = [MaybeUninit::<u8>::uninit(); PATH_MAX];
    readlinkat_raw(directory, name, &mut space[..]).is_ok_and(|(found, _)| &*found == target.to_bytes())
}

/// Whether a descriptor is a directory.
#[inline]
pub fn is_directory(fd: &OwnedFd) -> Raw<bool> {
    Ok(FileType::from_raw_mode(fstat(fd)?.st_mode) == FileType::Directory)
}
