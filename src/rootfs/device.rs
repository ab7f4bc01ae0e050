//! Device nodes and the links beside them (mknod(2), null(4), pts(4); config-linux.md, "Devices",
//! "Default Devices").

use alloc::vec::Vec;
use core::ffi::CStr;

use linux_raw_sys::general as sys;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, Stat, Uid, chownat, fstat, makedev, mknodat, readlinkat_raw, statat,
    symlinkat,
};
use rustix::io::Errno;

use super::path::{Make, Root};
use super::{source::Source, tree};
use crate::error::{Error, On, Result, Show};
use crate::spec::device::{Device, DeviceKind};
use crate::sys::mount::SetAttr;

/// What is put into the container's /dev and elsewhere.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    /// By mknod, or in a user namespace, where mknod(2) is not allowed, by a bind mount of the host's.
    nodes: Vec<Node<'a>>,
    /// Not when /dev is one of the host's directories: it has its own.
    links: bool,
}

#[derive(Debug)]
struct Node<'a> {
    device: Device<'a>,
    /// The host's node of the same path.
    bind: Option<Source<'a>>,
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
    /// `bind` is whether mknod is out of reach, `host_dev` whether /dev is a bind mount of the host's.
    pub fn new(devices: &[Device<'a>], bind: bool, host_dev: bool) -> Self {
        let given = |path: &CStr| devices.iter().any(|device| device.path == path);
        let default =
            DEFAULT.iter().filter(|(path, ..)| !host_dev && !given(path)).map(|(path, major, minor)| {
                let (kind, file_mode) = (DeviceKind::Char, Some(MODE));
                Device { path, kind, major: *major, minor: *minor, file_mode, uid: None, gid: None }
            });
        let mut all: Vec<Device<'a>> = default.collect();
        all.extend_from_slice(devices);
        let node = |device: Device<'a>| {
            let bind = bind && device.kind != DeviceKind::Fifo;
            Node { device, bind: bind.then(|| Source::new(device.path, false)) }
        };
        Plan { nodes: all.into_iter().map(node).collect(), links: !host_dev }
    }

    /// The nodes to be bound, for the parent to open.
    pub fn sources(&mut self) -> impl Iterator<Item = &mut Source<'a>> {
        self.nodes.iter_mut().filter_map(|node| node.bind.as_mut())
    }

    /// Makes them. The umask is 0, so modes are exact.
    pub fn apply(&self, root: &Root) -> Result<()> {
        // Nearly all of them lie in /dev: it is looked up once.
        let dev = root.make(c"/dev", Make::Directory)?;
        for node in &self.nodes {
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
                Some(source) => bind(source, root, &node.device)?,
                None => make(directory, name, &node.device)?,
            }
        }
        if self.links {
            for (target, name) in &LINKS {
                link(&dev, target, name)?;
            }
        }
        root.release(dev);
        Ok(())
    }
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

fn make(directory: &OwnedFd, name: &CStr, device: &Device<'_>) -> Result<()> {
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
        made => made.on(format_args!("device {}: mknodat", Show(path)))?,
    }
    if device.uid.is_none() && device.gid.is_none() {
        return Ok(());
    }
    let (uid, gid) = (device.uid.map(Uid::from_raw), device.gid.map(Gid::from_raw));
    chownat(directory, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
        .on(format_args!("device {}: fchownat", Show(path)))
}

/// The host's node in the place of one that cannot be made. It must be that device: by its path alone a
/// configuration could ask for any file.
fn bind(source: &Source<'_>, root: &Root, device: &Device<'_>) -> Result<()> {
    let tree = source.take()?;
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

/// A link; one that is there already must say the same.
fn link(dev: &OwnedFd, target: &CStr, name: &CStr) -> Result<()> {
    match symlinkat(target, dev, name) {
        Err(Errno::EXIST) => {}
        made => return made.on(format_args!("symlinkat /dev/{}", Show(name))),
    }
    let mut space = [core::mem::MaybeUninit::<u8>::uninit(); 32];
    match readlinkat_raw(dev, name, &mut space[..]) {
        Ok((found, _)) if &*found == target.to_bytes() => Ok(()),
        // A link of the image to another place, or a file: the name is wanted for ours.
        _ => {
            rustix::fs::unlinkat(dev, name, AtFlags::empty())
                .on(format_args!("unlinkat /dev/{}", Show(name)))?;
            symlinkat(target, dev, name).on(format_args!("symlinkat /dev/{}", Show(name)))
        }
    }
}
