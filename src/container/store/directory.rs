//! State directories: one directory for each container below a root directory, which is also the container's lock.
//!
//! ```text
//! ROOT/ID/            locked with flock(2) by a command that changes the container
//!         status      the status file (`status.rs`), replaced by rename(2)
//!         root        exists when the container is set up, and identifies its root: a symbolic link, since symlink(2)
//!                     creates it with its content atomically
//!         config.json the configuration it was created with
//!         start       the start socket, until the container is started
//!         notify/     its notification socket (`notify.rs`)
//! ROOT/.systemd-unknown  properties that systemd does not support (`scope.rs`)
//! ```
//!
//! The status file is written before anything is created, so that `delete --force` finds what it has to remove even if
//! mote is killed. Its content is acted on (hooks, processes, cgroups), so no other user may have write permission: see
//! `own`.

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

/// The root directory of all state directories (`--root`).
pub struct Store {
    path: String,
    /// How the directory is opened.
    flags: OFlags,
}

/// One container's state directory.
pub(crate) struct Directory {
    fd: OwnedFd,
    /// Whether this process holds the lock.
    locked: Cell<bool>,
    id: String,
    path: String,
}

/// Flags for the root directory, without O_NOFOLLOW: its path may be a symbolic link.
const DIRECTORY_OF_ALL: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Store {
    /// The store at a path, which need not exist yet.
    pub fn new(path: String) -> Self {
        Store { path, flags: DIRECTORY_OF_ALL }
    }

    /// The store at a path in a directory that all users can write to: its last name must not be a symbolic link.
    pub fn in_shared_directory(path: String) -> Self {
        Store { path, flags: DIRECTORY }
    }

    /// The path of the root directory.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Creates the state directory of a new container, locked.
    ///
    /// Errors: [`Kind::Exists`] if the ID is in use; [`Kind::Invalid`] if it is invalid; [`Kind::State`] if the root
    /// directory is not safe, see `own`.
    pub(crate) fn create(&self, id: &CStr) -> Result<Directory> {
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
            // Such as EMFILE. The directory is still empty.
            Err(error) => {
                let _ = unlinkat(&root, id, AtFlags::REMOVEDIR);
                Err(error)
            }
            // A concurrent `delete --force` removed it before it was locked.
            Ok(None) => Err(Error::new(
                Kind::State,
                format_args!("container \"{id}\" was deleted while it was being created"),
            )),
        }
    }

    #[cold]
    #[inline(never)]
    fn create_root(&self) -> Result<()> {
        for (end, _) in self.path.match_indices('/').skip(1).chain([(self.path.len(), "")]) {
            let part = self.path.get(..end).unwrap_or_default();
            // The directories above it, such as /run, are readable for all users.
            let mode = if end == self.path.len() { 0o700 } else { 0o755 };
            match mkdirat(CWD, part, Mode::from_raw_mode(mode)) {
                Ok(()) | Err(Errno::EXIST) => {}
                made => made.on(format_args!("mkdirat {part} (--root sets another place for the state)"))?,
            }
        }
        Ok(())
    }

    /// The state directory of a container, not locked.
    ///
    /// Errors: [`Kind::NotFound`] if there is none; [`Kind::State`] if it is not safe, see `own`.
    pub(crate) fn open(&self, id: &CStr) -> Result<Directory> {
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

    /// The root directory; `None` if it does not exist yet.
    fn open_root(&self) -> Result<Option<OwnedFd>> {
        match openat(CWD, self.path.as_str(), self.flags, Mode::empty()) {
            Err(Errno::NOENT) => Ok(None),
            root => own(root, &self.path).map(Some),
        }
    }

    /// The IDs of all containers, sorted; none if the root directory does not exist.
    ///
    /// Errors: [`Kind::State`] if the root directory is not safe, see `own`.
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

/// Checks that an opened directory belongs to the effective user and is writable for no other. Its content is acted on
/// with this process's privileges: hooks are run, processes killed, cgroups removed.
fn own(opened: rustix::io::Result<OwnedFd>, path: &str) -> Result<OwnedFd> {
    let fd = opened.on(format_args!("openat {path}"))?;
    let stat = fstat(&fd).on(format_args!("fstat {path}"))?;
    let (owner, user) = (stat.st_uid, geteuid().as_raw());
    if owner != user {
        let why = format_args!("state directory {path}: owned by user {owner}, not by user {user}");
        return Err(Error::new(Kind::State, why));
    }
    if stat.st_mode & 0o022 != 0 {
        let mode = stat.st_mode & 0o7777;
        let why =
            format_args!("state directory {path}: writable by group or others (mode {mode:04o}; chmod go-w)");
        return Err(Error::new(Kind::State, why));
    }
    Ok(fd)
}

/// The error for a container that does not exist. Engines match on "does not exist".
pub(crate) fn missing(id: &str) -> Error {
    Error::new(Kind::NotFound, format_args!("container \"{id}\" does not exist"))
}

impl Directory {
    /// The container's ID.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The directory's path.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The directory's fd.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Waits for the lock and takes it. Returns `false` if the directory was removed meanwhile.
    pub(crate) fn lock(&self) -> Result<bool> {
        flock(&self.fd, FlockOperation::LockExclusive).on(format_args!("flock {}", self.path))?;
        self.locked.set(true);
        Ok(self.is_there())
    }

    /// Takes the lock without waiting. Returns `false` if another command holds it.
    pub(crate) fn try_lock(&self) -> Result<bool> {
        match flock(&self.fd, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => Ok(false),
            locked => {
                locked.on(format_args!("flock {}", self.path))?;
                self.locked.set(true);
                Ok(true)
            }
        }
    }

    /// Whether the directory is not removed.
    pub(crate) fn is_there(&self) -> bool {
        fstat(&self.fd).is_ok_and(|stat| stat.st_nlink > 0)
    }

    /// Releases the lock.
    pub(crate) fn unlock(&self) -> Result<()> {
        self.locked.set(false);
        flock(&self.fd, FlockOperation::Unlock).on(format_args!("flock LOCK_UN {}", self.path))
    }

    /// Whether another command holds the lock.
    pub(crate) fn is_busy(&self) -> bool {
        // flock(2) by the holder itself would convert its lock.
        !self.locked.get() && flock(&self.fd, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
    }

    /// Writes a file, not atomically.
    pub(crate) fn write(&self, name: &CStr, text: &[u8]) -> Result<()> {
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

    /// Replaces a file atomically.
    pub(crate) fn replace(&self, name: &CStr, text: &[u8]) -> Result<()> {
        self.write(NEW, text)?;
        renameat(&self.fd, NEW, &self.fd, name).on(format_args!("renameat {}/{}", self.path, Show(name)))
    }

    /// The content of a file; `None` if it does not exist.
    pub(crate) fn read(&self, name: &CStr) -> Result<Option<Vec<u8>>> {
        match openat(&self.fd, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::NOENT) => Ok(None),
            file => {
                let file = file.on(format_args!("openat {}/{}", self.path, Show(name)))?;
                file::read_all(&file, name).map(Some)
            }
        }
    }

    /// Records that the container is set up, with this root.
    pub(crate) fn record_root(&self, root: &RootId) -> Result<()> {
        symlinkat(format!("{root}"), &self.fd, ROOT).on(format_args!(
            "symlinkat {}/{}",
            self.path,
            Show(ROOT)
        ))
    }

    /// The recorded root; `None` if the container is not set up.
    pub(crate) fn root(&self) -> Result<Option<RootId>> {
        match readlinkat(&self.fd, ROOT, [0; 64]) {
            Err(Errno::NOENT) => Ok(None),
            text => {
                let text = text.on(format_args!("readlinkat {}/{}", self.path, Show(ROOT)))?;
                Ok(text.to_str().ok().and_then(RootId::parse))
            }
        }
    }

    /// Whether the start socket exists.
    pub(crate) fn has_start_socket(&self) -> bool {
        statat(&self.fd, start_socket::NAME, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Removes the start socket, when the container is started.
    pub(crate) fn remove_start_socket(&self) -> Result<()> {
        unlinkat(&self.fd, start_socket::NAME, AtFlags::empty()).on(format_args!(
            "unlinkat {}/{}",
            self.path,
            start_socket::NAME
        ))
    }

    /// Whether the saved config.json exists.
    pub(crate) fn has_config(&self) -> bool {
        statat(&self.fd, CONFIG, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Removes the saved config.json only.
    pub(crate) fn remove_config(&self) -> Result<()> {
        self.remove_one(CONFIG, AtFlags::empty())
    }

    /// Removes the directory with its files.
    pub(crate) fn remove(&self) -> Result<()> {
        // The status file last: if this is interrupted, another `delete` needs it.
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

/// The directory of the notification socket, and the socket (`notify.rs`).
const NOTIFY: [&CStr; 2] = [c"notify", c"notify/notify.sock"];

/// The temporary file of [`Directory::replace`].
const NEW: &CStr = c"status.new";

/// See [`Directory::record_root`].
const ROOT: &CStr = c"root";
