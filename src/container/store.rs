//! The state directory: one directory for each container below a root, itself the lock.
//!
//! ```text
//! ROOT/ID/            flock(2) is held on it by whoever changes the container
//!         status      what mote knows of it (`status.rs`), replaced by rename
//!         config.json the configuration it was created with
//!         start       its start gate, a socket, while it is created and not started
//!         notify/     its socket to systemd (`notify.rs`)
//! ROOT/.systemd-unknown  what an older systemd does not know (`keeper.rs`)
//! ```
//!
//! The status is written before anything is made, so that whatever happens to mote, `delete --force` finds
//! what there is to remove.

use alloc::ffi::CString;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::Cell;
use core::ffi::CStr;
use core::mem::MaybeUninit;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, RawDir, flock, fstat, mkdirat, openat, renameat,
    statat, unlinkat,
};
use rustix::io::{Errno, write};

use super::{id, notify};
use crate::bundle::read_all;
use crate::error::{Error, Kind, On, Result, Show};
use crate::launch::gate;

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
        let path = format!("{}/{id}", self.path);
        let mode = Mode::from_raw_mode(0o700);
        let made = match mkdirat(CWD, path.as_str(), mode) {
            Err(Errno::NOENT) => {
                self.create_root()?;
                mkdirat(CWD, path.as_str(), mode)
            }
            made => made,
        };
        match made {
            Err(Errno::EXIST) => {
                return Err(Error::new(Kind::Exists, format_args!("container \"{id}\" already exists")));
            }
            made => made.on(format_args!("mkdirat {path}"))?,
        }
        let fd = openat(CWD, path.as_str(), DIRECTORY, Mode::empty()).on(format_args!("openat {path}"))?;
        let directory = Directory { fd, locked: Cell::new(false), id: id.to_string(), path };
        match directory.lock()? {
            true => Ok(directory),
            // A `delete --force` came between the two.
            false => Err(Error::new(
                Kind::State,
                format_args!("container \"{id}\" was deleted while it was created"),
            )),
        }
    }

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
        let path = format!("{}/{id}", self.path);
        match openat(CWD, path.as_str(), DIRECTORY, Mode::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR) => Err(missing(id)),
            fd => {
                let fd = fd.on(format_args!("openat {path}"))?;
                Ok(Directory { fd, locked: Cell::new(false), id: id.to_string(), path })
            }
        }
    }

    /// The same, locked: no other command changes it meanwhile. Waits for one that does.
    pub fn open_locked(&self, id: &CStr) -> Result<Directory> {
        let directory = self.open(id)?;
        match directory.lock()? {
            true => Ok(directory),
            false => Err(missing(&directory.id)),
        }
    }

    /// The ids of all containers, sorted.
    pub fn list(&self) -> Result<Vec<CString>> {
        let root = match openat(CWD, self.path.as_str(), DIRECTORY, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(Vec::new()),
            root => root.on(format_args!("openat {}", self.path))?,
        };
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

/// The words that engines look for.
fn missing(id: &str) -> Error {
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
        let stat = fstat(&self.fd).on(format_args!("fstat {}", self.path))?;
        Ok(stat.st_nlink > 0)
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
                read_all(&file, name).map(Some)
            }
        }
    }

    /// Whether there is a start gate.
    pub fn has_gate(&self) -> bool {
        statat(&self.fd, gate::NAME, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Takes the start gate away: the container is started.
    pub fn remove_gate(&self) -> Result<()> {
        unlinkat(&self.fd, gate::NAME, AtFlags::empty()).on(format_args!(
            "unlinkat {}/{}",
            self.path,
            gate::NAME
        ))
    }

    /// Removes all of it.
    pub fn remove(&self) -> Result<()> {
        // The status last: it is what another `delete` would go by.
        self.remove_files(&[c"config.json", c"status"])?;
        match unlinkat(CWD, self.path.as_str(), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTEMPTY) => {}
            removed => removed.on(format_args!("unlinkat {}", self.path))?,
        }
        let [directory, socket] = notify::NAMES;
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

/// What is being written.
const NEW: &CStr = c"status.new";
