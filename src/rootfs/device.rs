//! Device nodes and the links beside them (mknod(2), null(4), pts(4); config-linux.md, "Devices",
//! "Default Devices").

use alloc::ffi::CString;
use alloc::format;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::iter;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Gid, Mode, Uid};
use rustix::io::Errno;
use rustix::process::umask;

use super::own_mounts::OwnMounts;
use super::path::{Make, Root};
use super::{node, source::Source, tree};
use crate::config::device::{Device, DeviceKind};
use crate::config::linux::{IdMapping, Mappings};
use crate::error::{Error, Result, Show};

/// What is put into the container's /dev and elsewhere.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    nodes: Vec<Node<'a>>,
    /// So many of them, the first, every container has, and the configuration does not name.
    defaults: usize,
    stage: Stage,
}

#[derive(Debug)]
struct Node<'a> {
    device: Device<'a>,
    /// In a user namespace, where mknod(2) is not allowed.
    bind: Option<Bind<'a>>,
}

impl Node<'_> {
    /// Whether what the host has for it is not open yet.
    fn is_wanting(&self) -> bool {
        matches!(&self.bind, Some(Bind::Host(source)) if source.is_wanted())
    }
}

/// What the parent makes nodes on.
#[derive(Debug, Default)]
enum Stage {
    #[default]
    No,
    Wanted,
    Made(OwnedFd),
}

/// What is mounted in the place of a node.
#[derive(Debug)]
enum Bind<'a> {
    /// The host's node of the same path.
    Host(Source<'a>),
    /// One that the parent makes, if it may.
    Made(Made),
}

/// A node's name on the stage, and its owner there, as far as the container's ids are mapped.
#[derive(Debug)]
struct Made {
    name: CString,
    owner: (Option<Uid>, Option<Gid>),
}

/// The devices that every container has, all of mode 0666.
static DEFAULT: [(&CStr, u32, u32); 6] = [
    (c"/dev/null", 1, 3),
    (c"/dev/zero", 1, 5),
    (c"/dev/full", 1, 7),
    (c"/dev/random", 1, 8),
    (c"/dev/urandom", 1, 9),
    (c"/dev/tty", 5, 0),
];

/// Links in /dev: (target, name).
static LINKS: [(&CStr, &CStr); 6] = [
    (c"/proc/self/fd", c"fd"),
    (c"/proc/self/fd/0", c"stdin"),
    (c"/proc/self/fd/1", c"stdout"),
    (c"/proc/self/fd/2", c"stderr"),
    (c"/proc/kcore", c"core"),
    (c"pts/ptmx", c"ptmx"),
];

impl<'a> Plan<'a> {
    /// `mapped` is given where mknod is out of reach; `host_dev` is whether /dev is a bind mount of the host's.
    pub fn new(devices: &[Device<'a>], mapped: Option<Mappings<'_>>, host_dev: bool) -> Self {
        let given = |path: &CStr| devices.iter().any(|device| device.path == path);
        let default = DEFAULT.iter().filter(|(path, ..)| !host_dev && !given(path));
        let default = default.map(|(path, major, minor)| {
            let (path, kind, file_mode) = (*path, DeviceKind::Char, Some(node::MODE));
            let device = Device { path, kind, major: *major, minor: *minor, file_mode, uid: None, gid: None };
            let bind = mapped.map(|_| Bind::Host(Source::new(device.path, false)));
            Node { device, bind }
        });
        let mut nodes: Vec<Node<'a>> = default.collect();
        let defaults = nodes.len();
        let stage = match devices {
            [] => Stage::No,
            devices => add(&mut nodes, devices, mapped),
        };
        Plan { nodes, defaults, stage }
    }

    /// The nodes of the host's to be bound, from one on, each with its place in the list.
    pub fn sources(&self, from: usize) -> impl Iterator<Item = (usize, &Source<'a>)> {
        self.nodes.iter().enumerate().skip(from).filter_map(|(index, node)| match &node.bind {
            Some(Bind::Host(source)) => Some((index, source)),
            _ => None,
        })
    }

    /// The parent's part: makes nodes where the container's process may not. Whoever may not either, in a user
    /// namespace of his own or without CAP_MKNOD, has only the host's to give.
    pub fn make_on_host(&mut self) -> Result<()> {
        match self.stage {
            Stage::Wanted => self.make_or_bind(),
            _ => Ok(()),
        }
    }

    #[cold]
    #[inline(never)]
    fn make_or_bind(&mut self) -> Result<()> {
        self.stage = self.make_all()?;
        if let Stage::No = self.stage {
            for node in &mut self.nodes {
                if let Some(Bind::Made(_)) = node.bind {
                    node.bind = Some(Bind::Host(Source::new(node.device.path, false)));
                }
            }
        }
        Ok(())
    }

    /// A tmpfs that is mounted nowhere, with the nodes on it, if this process may make them.
    fn make_all(&self) -> Result<Stage> {
        let stage = match tree::filesystem(c"tmpfs", c"tmpfs", iter::empty(), 0) {
            Err(error) if error.is(Errno::PERM) => return Ok(Stage::No),
            made => made?.1,
        };
        // Modes are exact.
        let mask = umask(Mode::empty());
        let mut made = self.nodes.iter().map(|node| match &node.bind {
            Some(Bind::Made(made)) => node::make(&stage, &made.name, &node.device, made.owner),
            _ => Ok(true),
        });
        let denied = made.find(|made| !matches!(made, Ok(true)));
        umask(mask);
        Ok(if denied.transpose()?.is_some() { Stage::No } else { Stage::Made(stage) })
    }

    /// The parent's copy of the stage.
    pub fn take_stage(&mut self) -> Option<OwnedFd> {
        match core::mem::take(&mut self.stage) {
            Stage::Made(stage) => Some(stage),
            _ => None,
        }
    }

    /// Makes them. The umask is 0, so modes are exact. `fill` opens what the host has for one of them.
    pub fn apply(&self, own: OwnMounts<'_, '_>, fill: &mut dyn FnMut(usize) -> Result<()>) -> Result<()> {
        // Nearly all of them lie in /dev: it is looked up once.
        let root = own.root;
        let dev = root.make(c"/dev", Make::Directory)?;
        let own_dev = own.contain(&dev)?;
        if let Stage::Made(stage) = &self.stage {
            // Where it is in nobody's way: before linux 6.15 only what is mounted can be copied.
            tree::attach_at_path(stage.as_fd(), c"/")?;
        }
        for (index, node) in self.nodes.iter().enumerate() {
            // Of those, too, that are not placed: the parent serves until it has opened the last.
            if node.is_wanting() {
                fill(index)?;
            }
            let is_default = index < self.defaults;
            match in_dev(node.device.path) {
                Some(name) if own_dev => self.place(node, root, &dev, name, is_default)?,
                // A directory of the host's has its own.
                Some(_) if is_default => {}
                Some(_) => node::is_there(root, &node.device)?,
                None => self.elsewhere(node, own)?,
            }
        }
        if let Stage::Made(stage) = &self.stage {
            tree::detach(stage)?;
        }
        if own_dev {
            for (target, name) in &LINKS {
                node::link(&dev, target, name)?;
            }
        }
        root.release(dev);
        Ok(())
    }

    /// Puts one into a directory that is the container's own.
    fn place(
        &self,
        node: &Node<'_>,
        root: &Root,
        directory: &OwnedFd,
        name: &CStr,
        is_default: bool,
    ) -> Result<()> {
        let device = &node.device;
        if node.bind.is_none() {
            match node::make(directory, name, device, node::owner(device)) {
                Ok(true) => return Ok(()),
                // Mote itself is in a user namespace, as under rootless podman.
                Ok(false) => {}
                // What the configuration mounts in the place of one that it does not name is what it wants there.
                Err(_) if is_default && node::is_mount_point(directory, name) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        let Some(target) = node::mount_point(directory, name, device, is_default)? else {
            return Ok(());
        };
        let tree = match &node.bind {
            None => node::of_host(device.path)?,
            Some(Bind::Host(source)) => source.take()?,
            Some(Bind::Made(made)) => self.copy(made)?,
        };
        node::bind(tree, root, target, device)
    }

    /// One that is not directly in /dev.
    #[cold]
    #[inline(never)]
    fn elsewhere(&self, node: &Node<'_>, own: OwnMounts<'_, '_>) -> Result<()> {
        let (root, path) = (own.root, node.device.path);
        if own.would_contain(path)? {
            let (above, name) = root.parent(path)?;
            // Again, of the directory in which it is made: links on the way may have been exchanged meanwhile.
            if own.contain(&above)? {
                self.place(node, root, &above, name, false)?;
                root.release(above);
                return Ok(());
            }
        }
        node::is_there(root, &node.device)
    }

    #[cold]
    #[inline(never)]
    fn copy(&self, made: &Made) -> Result<OwnedFd> {
        match &self.stage {
            Stage::Made(stage) => tree::copy_at(stage.as_fd(), &made.name),
            _ => Err(Error::invalid(format_args!("{} was not made", Show(&made.name)))),
        }
    }
}

impl Made {
    fn new(index: usize, device: &Device<'_>, (uids, gids): Mappings<'_>) -> Self {
        let uid = IdMapping::to_host(uids, device.uid.unwrap_or(0)).map(Uid::from_raw);
        let gid = IdMapping::to_host(gids, device.gid.unwrap_or(0)).map(Gid::from_raw);
        Made { name: CString::new(format!("{index}")).unwrap_or_default(), owner: (uid, gid) }
    }
}

/// Those of the configuration.
#[cold]
#[inline(never)]
fn add<'a>(nodes: &mut Vec<Node<'a>>, devices: &[Device<'a>], mapped: Option<Mappings<'_>>) -> Stage {
    let mut stage = Stage::No;
    for (index, device) in devices.iter().enumerate() {
        let mapped = mapped.filter(|_| device.kind != DeviceKind::Fifo);
        let bind = mapped.map(|mapped| Bind::Made(Made::new(index, device, mapped)));
        if bind.is_some() {
            stage = Stage::Wanted;
        }
        nodes.push(Node { device: *device, bind });
    }
    stage
}

/// The name of a path directly in /dev.
fn in_dev(path: &CStr) -> Option<&CStr> {
    let name = path.to_bytes_with_nul().strip_prefix(b"/dev/")?;
    let name = CStr::from_bytes_with_nul(name).ok()?;
    (!matches!(name.to_bytes(), b"" | b"." | b"..") && !name.to_bytes().contains(&b'/')).then_some(name)
}
