//! Device nodes and the links beside them (mknod(2), null(4), pts(4); config-linux.md, "Devices",
//! "Default Devices").

use alloc::ffi::CString;
use alloc::format;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::iter;

use linux_raw_sys::general as sys;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, Stat, Uid, chownat, fstat, makedev, mknodat, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::umask;

use super::path::{Make, Root, make_link};
use super::{source::Source, tree};
use crate::error::{Error, On, Result, Show};
use crate::spec::device::{Device, DeviceKind};
use crate::spec::linux::{IdMapping, Mappings};
use crate::sys::mount::SetAttr;

/// What is put into the container's /dev and elsewhere.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    nodes: Vec<Node<'a>>,
    /// Not when /dev is one of the host's directories: it has its own.
    links: bool,
    stage: Stage,
}

#[derive(Debug)]
struct Node<'a> {
    device: Device<'a>,
    /// In a user namespace, where mknod(2) is not allowed.
    bind: Option<Bind<'a>>,
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

const MODE: u32 = 0o666;

impl<'a> Plan<'a> {
    /// `mapped` is given where mknod is out of reach; `host_dev` is whether /dev is a bind mount of the host's.
    pub fn new(devices: &[Device<'a>], mapped: Option<Mappings<'_>>, host_dev: bool) -> Self {
        let given = |path: &CStr| devices.iter().any(|device| device.path == path);
        let default = DEFAULT.iter().filter(|(path, ..)| !host_dev && !given(path));
        let default = default.map(|(path, major, minor)| {
            let (path, kind, file_mode) = (*path, DeviceKind::Char, Some(MODE));
            let device = Device { path, kind, major: *major, minor: *minor, file_mode, uid: None, gid: None };
            let bind = mapped.map(|_| Bind::Host(Source::new(device.path, false)));
            Node { device, bind }
        });
        let mut nodes: Vec<Node<'a>> = default.collect();
        let stage = match devices {
            [] => Stage::No,
            devices => add(&mut nodes, devices, mapped),
        };
        Plan { nodes, links: !host_dev, stage }
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
            Some(Bind::Made(made)) => make(&stage, &made.name, &node.device, made.owner),
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
    pub fn apply(&self, root: &Root, fill: &mut dyn FnMut(usize) -> Result<()>) -> Result<()> {
        // Nearly all of them lie in /dev: it is looked up once.
        let dev = root.make(c"/dev", Make::Directory)?;
        if let Stage::Made(stage) = &self.stage {
            // Where it is in nobody's way: before linux 6.15 only what is mounted can be copied.
            tree::attach_at_path(stage.as_fd(), c"/")?;
        }
        for (index, node) in self.nodes.iter().enumerate() {
            let path = node.device.path;
            let within = in_dev(path);
            let other;
            let (directory, name) = match within {
                Some(name) => (&dev, name),
                None => {
                    let (above, name) = root.parent(path)?;
                    other = above;
                    (&other, name)
                }
            };
            match &node.bind {
                Some(Bind::Host(source)) => {
                    if source.is_wanted() {
                        fill(index)?;
                    }
                    bind(source.take()?, root, &node.device)?;
                }
                Some(Bind::Made(made)) => bind(self.copy(made)?, root, &node.device)?,
                None => match make(directory, name, &node.device, owner(&node.device))? {
                    true => {}
                    // Mote itself is in a user namespace, as under rootless podman.
                    false => bind(of_host(path)?, root, &node.device)?,
                },
            }
        }
        if let Stage::Made(stage) = &self.stage {
            tree::detach(stage)?;
        }
        if self.links {
            for (target, name) in &LINKS {
                link(&dev, target, name)?;
            }
        }
        root.release(dev);
        Ok(())
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

/// Its file type and number.
fn node(device: &Device<'_>) -> (FileType, u64) {
    match device.kind {
        DeviceKind::Char => (FileType::CharacterDevice, makedev(device.major, device.minor)),
        DeviceKind::Block => (FileType::BlockDevice, makedev(device.major, device.minor)),
        DeviceKind::Fifo => (FileType::Fifo, 0),
    }
}

/// Whether a file is that device.
fn is(stat: &Stat, device: &Device<'_>) -> bool {
    let (kind, number) = node(device);
    FileType::from_raw_mode(stat.st_mode) == kind && (kind == FileType::Fifo || stat.st_rdev == number)
}

fn differs(device: &Device<'_>, what: &str) -> Error {
    let letter = match device.kind {
        DeviceKind::Char => 'c',
        DeviceKind::Block => 'b',
        DeviceKind::Fifo => 'p',
    };
    let Device { path, major, minor, .. } = device;
    Error::invalid(format_args!("device {}: {what} is not {letter} {major}:{minor}", Show(path)))
}

fn owner(device: &Device<'_>) -> (Option<Uid>, Option<Gid>) {
    (device.uid.map(Uid::from_raw), device.gid.map(Gid::from_raw))
}

/// Makes a node; `false` where this process may not.
fn make(
    directory: &OwnedFd,
    name: &CStr,
    device: &Device<'_>,
    owner: (Option<Uid>, Option<Gid>),
) -> Result<bool> {
    let (kind, number) = node(device);
    let path = device.path;
    let mode = Mode::from_raw_mode(device.file_mode.unwrap_or(MODE));
    match mknodat(directory, name, kind, mode, number) {
        // What the image has there must be that very device: "does not match ... MUST generate an error".
        Err(Errno::EXIST) => {
            let stat = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
                .on(format_args!("newfstatat {}", Show(path)))?;
            if !is(&stat, device) {
                return Err(differs(device, "what is there already"));
            }
        }
        Err(Errno::PERM) => return Ok(false),
        made => made.on(format_args!("device {}: mknodat", Show(path)))?,
    }
    let (uid, gid) = owner;
    if uid.is_some() || gid.is_some() {
        chownat(directory, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
            .on(format_args!("device {}: fchownat", Show(path)))?;
    }
    Ok(true)
}

/// What the host has at a path; before the pivot.
#[cold]
#[inline(never)]
fn of_host(path: &CStr) -> Result<OwnedFd> {
    Source::new(path, false).open(None)
}

/// A node in the place of one that cannot be made here. The host's must be that device: by its path alone a
/// configuration could ask for any file.
#[cold]
#[inline(never)]
fn bind(tree: OwnedFd, root: &Root, device: &Device<'_>) -> Result<()> {
    let stat = fstat(&tree).on(format_args!("device {}: fstat", Show(device.path)))?;
    if !is(&stat, device) {
        return Err(differs(device, "the host's"));
    }
    // Nothing but the device is wanted of it.
    let set = (sys::MOUNT_ATTR_NOSUID | sys::MOUNT_ATTR_NOEXEC).into();
    tree::change(tree.as_fd(), SetAttr { set, ..SetAttr::default() })?;
    let target = root.make(device.path, Make::File)?;
    root.attach(tree, target)
}

/// A link; what the image has of that name, a link to another place or a file, makes way for ours.
fn link(dev: &OwnedFd, target: &CStr, name: &CStr) -> Result<()> {
    if make_link(dev, name, target).on(format_args!("symlinkat /dev/{}", Show(name)))? {
        return Ok(());
    }
    unlinkat(dev, name, AtFlags::empty()).on(format_args!("unlinkat /dev/{}", Show(name)))?;
    symlinkat(target, dev, name).on(format_args!("symlinkat /dev/{}", Show(name)))
}
