//! The state directory: one directory for each container below a root, itself the lock.
//!
//! ```text
//! ROOT/ID/            flock(2) is held on it by whoever changes the container
//!         status      what mote knows of it (`status.rs`), replaced by rename
//!         root        that it is set up, with which root: a symbolic link, since one call makes it whole
//!         config.json the configuration it was created with
//!         start       the start socket, until it is started
//!         notify/     its socket to systemd (`notify.rs`)
//! ROOT/.systemd-unknown  properties that systemd does not support (`scope.rs`)
//! ```
//!
//! The status is written before anything is made, so that whatever happens to mote, `delete --force` finds
//! what there is to remove. Its hooks and its bundle are acted on, so nobody else may be able to write it: see [`own`].

use alloc::ffi::CString;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::Cell;
use core::ffi::CStr;
use core::mem::MaybeUninit;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, RawDir, flock, fstat, mkdirat, openat, readlinkat,
    renameat, statat, symlinkat, unlinkat,
};
use rustix::io::{Errno, write};
use rustix::process::geteuid;

use super::id;
use crate::bundle::CONFIG;
use crate::error::{Error, Kind, On, Result, Show};
use crate::launch::start_socket;
use crate::os::file;
use crate::rootfs::id::RootId;

/// The root of all state directories.
pub struct Store {
    path: String,
}

/// One container's state directory.
pub struct Directory {
    fd: OwnedFd,
    /// By this process.
    locked: Cell<bool>,
    id: String,
    path: String,
}

/// The path may be a link of its owner's.
const DIRECTORY_OF_ALL: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Store {
    /// The store below a path, which need not be there yet.
    pub fn new(path: String) -> Self {
        Store { path }
    }

    /// Where it is.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// A directory for a new container, locked.
    pub fn create(&self, id: &CStr) -> Result<Directory> {
        let id = id::check(id)?;
        let root = match self.open_root()? {
            Some(root) => root,
            None => {
                self.create_root()?;
                self.open_root()?.ok_or_else(|| Error::system(Errno::NOENT, format_args!("{}", self.path)))?
            }
        };
        match mkdirat(&root, id, Mode::from_raw_mode(0o700)) {
            Err(Errno::EXIST) => {
                return Err(Error::new(Kind::Exists, format_args!("container \"{id}\" already exists")));
            }
            made => made.on(format_args!("mkdirat {}/{id}", self.path))?,
        }
        let locked = self.open_in(&root, id).and_then(|new| new.lock().map(|still| still.then_some(new)));
        match locked {
            Ok(Some(directory)) => Ok(directory),
            // Out of descriptors, before anything is in it.
            Err(error) => {
                let _ = unlinkat(&root, id, AtFlags::REMOVEDIR);
                Err(error)
            }
            // A `delete --force` came between the two.
            Ok(None) => Err(Error::new(
                Kind::State,
                format_args!("container \"{id}\" was deleted while it was created"),
            )),
        }
    }

    #[cold]
    #[inline(never)]
    fn create_root(&self) -> Result<()> {
        for (end, _) in self.path.match_indices('/').skip(1).chain([(self.path.len(), "")]) {
            let part = self.path.get(..end).unwrap_or_default();
            // What is above is usually /run, which is everybody's to read.
            let mode = if end == self.path.len() { 0o700 } else { 0o755 };
            match mkdirat(CWD, part, Mode::from_raw_mode(mode)) {
                Ok(()) | Err(Errno::EXIST) => {}
                made => made.on(format_args!("mkdirat {part}"))?,
            }
        }
        Ok(())
    }

    /// The directory of a container, not locked.
    pub fn open(&self, id: &CStr) -> Result<Directory> {
        let id = id::check(id)?;
        match self.open_root()? {
            Some(root) => self.open_in(&root, id),
            None => Err(missing(id)),
        }
    }

    fn open_in(&self, root: &OwnedFd, id: &str) -> Result<Directory> {
        let path = format!("{}/{id}", self.path);
        match openat(root, id, DIRECTORY, Mode::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR) => Err(missing(id)),
            fd => {
                let fd = own(fd, &path)?;
                Ok(Directory { fd, locked: Cell::new(false), id: id.to_string(), path })
            }
        }
    }

    /// The directory of all; `None` when it is not there yet.
    fn open_root(&self) -> Result<Option<OwnedFd>> {
        match openat(CWD, self.path.as_str(), DIRECTORY_OF_ALL, Mode::empty()) {
            Err(Errno::NOENT) => Ok(None),
            root => own(root, &self.path).map(Some),
        }
    }

    /// The ids of all containers, sorted.
    pub fn list(&self) -> Result<Vec<CString>> {
        let Some(root) = self.open_root()? else { return Ok(Vec::new()) };
        let mut list = Vec::new();
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut entries = RawDir::new(root, &mut space);
        while let Some(entry) = entries.next() {
            let entry = entry.on(format_args!("getdents64 {}", self.path))?;
            if entry.file_type() == FileType::Directory && id::check(entry.file_name()).is_ok() {
                list.push(CString::from(entry.file_name()));
            }
        }
        list.sort_unstable();
        Ok(list)
    }
}

/// A directory that nobody but the owner of this process may write in, and root, who need not. What another could have
/// put there would be done with this process's rights: hooks run, processes killed, cgroups removed.
fn own(opened: rustix::io::Result<OwnedFd>, path: &str) -> Result<OwnedFd> {
    let fd = opened.on(format_args!("openat {path}"))?;
    let stat = fstat(&fd).on(format_args!("fstat {path}"))?;
    let (owner, user) = (stat.st_uid, geteuid().as_raw());
    if owner != user {
        let why = format_args!("state directory {path}: it belongs to user {owner}, not to user {user}");
        return Err(Error::new(Kind::State, why));
    }
    if stat.st_mode & 0o022 != 0 {
        let mode = stat.st_mode & 0o7777;
        let why =
            format_args!("state directory {path}: others may write in it (mode {mode:04o}; chmod go-w)");
        return Err(Error::new(Kind::State, why));
    }
    Ok(fd)
}

/// The words that engines look for.
pub fn missing(id: &str) -> Error {
    Error::new(Kind::NotFound, format_args!("container \"{id}\" does not exist"))
}

impl Directory {
    /// The container's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it is.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Locks it; `false` when it was removed meanwhile.
    pub fn lock(&self) -> Result<bool> {
        flock(&self.fd, FlockOperation::LockExclusive).on(format_args!("flock {}", self.path))?;
        self.locked.set(true);
        Ok(self.is_there())
    }

    /// Locks it, unless another command holds the lock: `false`.
    pub fn try_lock(&self) -> Result<bool> {
        match flock(&self.fd, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => Ok(false),
            locked => {
                locked.on(format_args!("flock {}", self.path))?;
                self.locked.set(true);
                Ok(true)
            }
        }
    }

    /// Whether it is still the container's, and not removed.
    pub fn is_there(&self) -> bool {
        fstat(&self.fd).is_ok_and(|stat| stat.st_nlink > 0)
    }

    /// Lets other commands at it; it is still this container's.
    pub fn unlock(&self) -> Result<()> {
        self.locked.set(false);
        flock(&self.fd, FlockOperation::Unlock).on(format_args!("flock LOCK_UN {}", self.path))
    }

    /// Whether another command holds the lock.
    pub fn is_busy(&self) -> bool {
        // Asking with a lock of one's own would change it.
        !self.locked.get() && flock(&self.fd, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
    }

    /// Writes a file that is not there yet.
    pub fn write(&self, name: &CStr, text: &[u8]) -> Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.fd, name, flags, Mode::from_raw_mode(0o600)).on(format_args!(
            "openat {}/{}",
            self.path,
            Show(name)
        ))?;
        let mut rest = text;
        while !rest.is_empty() {
            let count = write(&file, rest).on(format_args!("write {}/{}", self.path, Show(name)))?;
            rest = rest.get(count..).unwrap_or_default();
        }
        Ok(())
    }

    /// Replaces a file: whoever reads it sees the old one or the new one, never half of one.
    pub fn replace(&self, name: &CStr, text: &[u8]) -> Result<()> {
        self.write(NEW, text)?;
        renameat(&self.fd, NEW, &self.fd, name).on(format_args!("renameat {}/{}", self.path, Show(name)))
    }

    /// A file's content; `None` when it is not there.
    pub fn read(&self, name: &CStr) -> Result<Option<Vec<u8>>> {
        match openat(&self.fd, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::NOENT) => Ok(None),
            file => {
                let file = file.on(format_args!("openat {}/{}", self.path, Show(name)))?;
                file::read_all(&file, name).map(Some)
            }
        }
    }

    /// Writes down that the container is set up, with this root.
    pub fn record_root(&self, root: &RootId) -> Result<()> {
        symlinkat(format!("{root}"), &self.fd, ROOT).on(format_args!(
            "symlinkat {}/{}",
            self.path,
            Show(ROOT)
        ))
    }

    /// The root with which the container was set up; `None` as long as it is not.
    pub fn root(&self) -> Result<Option<RootId>> {
        match readlinkat(&self.fd, ROOT, [0; 64]) {
            Err(Errno::NOENT) => Ok(None),
            text => {
                let text = text.on(format_args!("readlinkat {}/{}", self.path, Show(ROOT)))?;
                Ok(text.to_str().ok().and_then(RootId::parse))
            }
        }
    }

    /// Whether the start socket exists.
    pub fn has_start_socket(&self) -> bool {
        statat(&self.fd, start_socket::NAME, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Removes the start socket: the container is started.
    pub fn remove_start_socket(&self) -> Result<()> {
        unlinkat(&self.fd, start_socket::NAME, AtFlags::empty()).on(format_args!(
            "unlinkat {}/{}",
            self.path,
            start_socket::NAME
        ))
    }

    /// Whether the configuration's copy is there.
    pub fn has_config(&self) -> bool {
        statat(&self.fd, CONFIG, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Removes the configuration's copy alone.
    pub fn remove_config(&self) -> Result<()> {
        self.remove_one(CONFIG, AtFlags::empty())
    }

    /// Removes all of it.
    pub fn remove(&self) -> Result<()> {
        // The status last: it is what another `delete` would go by.
        self.remove_files(&[CONFIG, ROOT, c"status"])?;
        match unlinkat(CWD, self.path.as_str(), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTEMPTY) => {}
            removed => removed.on(format_args!("unlinkat {}", self.path))?,
        }
        let [directory, socket] = NOTIFY;
        self.remove_files(&[c"start", NEW, socket])?;
        self.remove_one(directory, AtFlags::REMOVEDIR)?;
        unlinkat(CWD, self.path.as_str(), AtFlags::REMOVEDIR).on(format_args!("unlinkat {}", self.path))
    }

    fn remove_files(&self, names: &[&CStr]) -> Result<()> {
        names.iter().try_for_each(|name| self.remove_one(name, AtFlags::empty()))
    }

    fn remove_one(&self, name: &CStr, flags: AtFlags) -> Result<()> {
        match unlinkat(&self.fd, name, flags) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            removed => removed.on(format_args!("unlinkat {}/{}", self.path, Show(name))),
        }
    }
}

/// The directory of the notify socket and the socket (`notify.rs`).
const NOTIFY: [&CStr; 2] = [c"notify", c"notify/notify.sock"];

/// The file that is being written.
const NEW: &CStr = c"status.new";

/// See [`Directory::record_root`].
const ROOT: &CStr = c"root";
