//! Device nodes, and symbolic links in /dev (mknod(2), null(4), pts(4); config-linux.md, "Devices", "Default Devices").

use alloc::ffi::CString;
use alloc::format;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ffi::CStr;
use core::{fmt, iter};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Gid, Mode, Uid};
use rustix::io::Errno;
use rustix::process::umask;

use super::idmap::{FindUserNamespace, UserNamespace};
use super::own_mounts::OwnMounts;
use super::path::{Make, Root};
use super::{node, source::Source, tree};
use crate::config::device::{Device, DeviceKind};
use crate::config::linux::{IdMapping, Mappings};
use crate::error::{Error, Result, Show};
use crate::sys::mount::mount_idmap;

/// The plan of device nodes in the container's /dev and elsewhere.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    nodes: Vec<Node<'a>>,
    /// The number of default devices that config.json does not list; they come first.
    defaults: usize,
    stage: Stage,
    /// Whether mknod(2) was denied in the child. Then the parent opens the host's nodes: the child's mount namespace may
    /// be without the host's mounts.
    is_denied: Cell<bool>,
}

#[derive(Debug)]
struct Node<'a> {
    device: Device<'a>,
    bind: Bind<'a>,
}

impl Node<'_> {
    /// Whether the host's node is needed and not opened yet.
    fn is_wanting(&self) -> bool {
        matches!(&self.bind, Bind::Host(source) if source.is_wanted())
    }
}

/// The detached tmpfs on which the parent creates nodes for a container with a user namespace.
#[derive(Debug, Default)]
enum Stage {
    /// Not needed, or mknod(2) is denied in the parent too.
    #[default]
    No,
    /// `joined`: for a user namespace given by path, whose mappings only the kernel knows.
    Wanted {
        joined: bool,
    },
    Made(OwnedFd),
}

/// The bind source of a node, where the kernel denies mknod(2).
enum Bind<'a> {
    /// The host's node at the same path. The container has a user namespace.
    Host(Source<'a>),
    /// The same, only if mknod(2) is denied to mote: in a user namespace, as under rootless podman, or without CAP_MKNOD.
    HostIfDenied(Source<'a>),
    /// A node that the parent creates, if it is permitted to.
    Made(Made),
}

/// A node's name on the tmpfs of the parent, and its owner in host IDs, if the container's IDs are mapped.
#[derive(Debug)]
struct Made {
    name: CString,
    owner: (Option<Uid>, Option<Gid>),
}

/// The default devices: (path, major, minor), all with mode 0666.
static DEFAULT: [(&CStr, u32, u32); 6] = [
    (c"/dev/null", 1, 3),
    (c"/dev/zero", 1, 5),
    (c"/dev/full", 1, 7),
    (c"/dev/random", 1, 8),
    (c"/dev/urandom", 1, 9),
    (c"/dev/tty", 5, 0),
];

/// Symbolic links in /dev: (target, name).
static LINKS: [(&CStr, &CStr); 6] = [
    (c"/proc/self/fd", c"fd"),
    (c"/proc/self/fd/0", c"stdin"),
    (c"/proc/self/fd/1", c"stdout"),
    (c"/proc/self/fd/2", c"stderr"),
    (c"/proc/kcore", c"core"),
    (c"pts/ptmx", c"ptmx"),
];

impl<'a> Plan<'a> {
    /// Plans the devices. `user`: the container's user namespace, in which mknod(2) is denied; `host_dev`: /dev is a bind
    /// mount of the host's, so default devices are not created.
    pub fn new(devices: &[Device<'a>], user: Option<UserNamespace<'_>>, host_dev: bool) -> Self {
        let given = |path: &CStr| devices.iter().any(|device| device.path == path);
        let default = DEFAULT.iter().filter(|(path, ..)| !host_dev && !given(path));
        let default = default.map(|(path, major, minor)| {
            let (path, kind, file_mode) = (*path, DeviceKind::Char, Some(node::MODE));
            let device = Device { path, kind, major: *major, minor: *minor, file_mode, uid: None, gid: None };
            let source = Source::new(device.path, false);
            let bind = if user.is_some() { Bind::Host(source) } else { Bind::HostIfDenied(source) };
            Node { device, bind }
        });
        let mut nodes: Vec<Node<'a>> = default.collect();
        let defaults = nodes.len();
        let stage = match devices {
            [] => Stage::No,
            devices => add(&mut nodes, devices, user),
        };
        Plan { nodes, defaults, stage, is_denied: Cell::new(false) }
    }

    /// The nodes of the host to be bind-mounted, with their indices, beginning at index `from`.
    pub fn sources(&self, from: usize) -> impl Iterator<Item = (usize, &Source<'a>)> {
        self.nodes.iter().enumerate().skip(from).filter_map(|(index, node)| match &node.bind {
            Bind::Host(source) => Some((index, source)),
            Bind::HostIfDenied(source) if self.is_denied.get() => Some((index, source)),
            _ => None,
        })
    }

    /// Adds the nodes of the host for devices that mknod(2) was denied for to [`Plan::sources`], in the parent, which
    /// the child has requested one from.
    pub fn set_denied(&self) {
        self.is_denied.set(true);
    }

    /// Creates nodes in the parent, if the container init cannot. If it is denied there too (in a user namespace, or
    /// without CAP_MKNOD), the host's nodes at the same paths are used instead. `find` finds the user namespace that the
    /// container joins.
    pub fn make_on_host(&mut self, find: &mut FindUserNamespace<'_>) -> Result<()> {
        match self.stage {
            Stage::Wanted { joined } => self.make_or_bind(joined.then_some(find)),
            _ => Ok(()),
        }
    }

    #[cold]
    #[inline(never)]
    fn make_or_bind(&mut self, joined: Option<&mut FindUserNamespace<'_>>) -> Result<()> {
        let mapped = joined.map(|find| self.make_mapped(find)).transpose()?.flatten();
        self.stage = mapped.map_or_else(|| self.make_all(false), Ok)?;
        if let Stage::No = self.stage {
            for node in &mut self.nodes {
                if let Bind::Made(_) = node.bind {
                    node.bind = Bind::Host(Source::new(node.device.path, false));
                }
            }
        }
        Ok(())
    }

    /// Creates the nodes with owners in IDs of the container, on a tmpfs whose owners the kernel maps by the user
    /// namespace; `None` if it cannot (before linux 6.3).
    fn make_mapped(&self, find: &mut FindUserNamespace<'_>) -> Result<Option<Stage>> {
        let stage = self.make_all(true)?;
        let is_mapped = match &stage {
            Stage::Made(tree) => mount_idmap(tree.as_fd(), find(None)?.as_fd(), false).is_ok(),
            _ => true,
        };
        Ok(is_mapped.then_some(stage))
    }

    /// Creates a detached tmpfs with the nodes; `Stage::No` if this is denied. `inside`: with owners in IDs of the
    /// container.
    fn make_all(&self, inside: bool) -> Result<Stage> {
        let stage = match tree::filesystem(c"tmpfs", c"tmpfs", iter::empty(), 0) {
            Err(error) if error.is(Errno::PERM) => return Ok(Stage::No),
            made => made?.1,
        };
        // The modes of nodes are exact.
        let mask = umask(Mode::empty());
        let mut made = self.nodes.iter().map(|node| match &node.bind {
            Bind::Made(made) => {
                let owner = if inside { owner_inside(&node.device) } else { made.owner };
                node::make(&stage, &made.name, &node.device, owner)
            }
            _ => Ok(true),
        });
        let denied = made.find(|made| !matches!(made, Ok(true)));
        umask(mask);
        Ok(if denied.transpose()?.is_some() { Stage::No } else { Stage::Made(stage) })
    }

    /// Takes the file descriptor of the parent's tmpfs.
    pub fn take_stage(&mut self) -> Option<OwnedFd> {
        match core::mem::take(&mut self.stage) {
            Stage::Made(stage) => Some(stage),
            _ => None,
        }
    }

    /// Creates nodes and links in the child. The umask is 0, so modes are exact. `fill` opens the host's node of the
    /// device with the given index.
    pub fn apply(&self, own: OwnMounts<'_, '_>, fill: &mut dyn FnMut(usize) -> Result<()>) -> Result<()> {
        // Most nodes are in /dev, which is looked up once.
        let root = own.root;
        let dev = root.make(c"/dev", Make::Directory)?;
        let own_dev = own.contain(&dev)?;
        if let Stage::Made(stage) = &self.stage {
            // Attached temporarily, over the host's root: before linux 6.15 a detached mount cannot be copied.
            tree::attach_at_path(stage.as_fd(), c"/")?;
        }
        for (index, node) in self.nodes.iter().enumerate() {
            // Also for nodes that are not created: the parent waits for requests until the last source is opened.
            if node.is_wanting() {
                fill(index)?;
            }
            let is_default = index < self.defaults;
            match in_dev(node.device.path) {
                Some(name) if own_dev => {
                    self.place(node, root, (&dev, name), is_default, &mut || fill(index))?
                }
                // A /dev of the host has its own.
                Some(_) if is_default => {}
                Some(_) => node::is_there(root, &node.device)?,
                None => self.elsewhere(node, own, &mut || fill(index))?,
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

    /// Creates or bind-mounts a node in a directory of the container's own. `fill` opens the host's node.
    fn place(
        &self,
        node: &Node<'_>,
        root: &Root,
        (directory, name): (&OwnedFd, &CStr),
        is_default: bool,
        fill: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        let device = &node.device;
        if let Bind::HostIfDenied(_) = node.bind {
            match node::make(directory, name, device, node::owner(device)) {
                Ok(true) => return Ok(()),
                Ok(false) => self.is_denied.set(true),
                // An entry of `mounts` at the path of a default device has precedence.
                Err(_) if is_default && node::is_mount_point(directory, name) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        let Some(target) = node::mount_point(directory, name, device, is_default)? else {
            return Ok(());
        };
        let tree = match &node.bind {
            Bind::Host(source) => source.take()?,
            Bind::HostIfDenied(source) => denied(source, fill)?,
            Bind::Made(made) => self.copy(made)?,
        };
        node::bind(tree, root, target, device)
    }

    /// Creates a node that is not directly in /dev.
    #[cold]
    #[inline(never)]
    fn elsewhere(
        &self,
        node: &Node<'_>,
        own: OwnMounts<'_, '_>,
        fill: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        let (root, path) = (own.root, node.device.path);
        if own.would_contain(path)? {
            let (above, name) = root.parent(path)?;
            // Checked again for the directory that was opened: links in the path may have been replaced in between.
            if own.contain(&above)? {
                self.place(node, root, (&above, name), false, fill)?;
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

/// The owner of a device in IDs of the container: root by default.
fn owner_inside(device: &Device<'_>) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(device.uid.unwrap_or(0))), Some(Gid::from_raw(device.gid.unwrap_or(0))))
}

impl fmt::Debug for Bind<'_> {
    /// Prints what is planned: whether mknod(2) is denied is found out later.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bind::Host(source) => f.debug_tuple("Host").field(source).finish(),
            Bind::HostIfDenied(_) => f.write_str("None"),
            Bind::Made(made) => f.debug_tuple("Made").field(made).finish(),
        }
    }
}

/// The host's node for a device that mknod(2) was denied for.
#[cold]
#[inline(never)]
fn denied(source: &Source<'_>, fill: &mut dyn FnMut() -> Result<()>) -> Result<OwnedFd> {
    if source.is_wanted() {
        fill()?;
    }
    source.take()
}

impl Made {
    fn new(index: usize, device: &Device<'_>, (uids, gids): Mappings<'_>) -> Self {
        let uid = IdMapping::to_host(uids, device.uid.unwrap_or(0)).map(Uid::from_raw);
        let gid = IdMapping::to_host(gids, device.gid.unwrap_or(0)).map(Gid::from_raw);
        Made { name: CString::new(format!("{index}")).unwrap_or_default(), owner: (uid, gid) }
    }
}

/// Adds the devices of config.json; returns whether the parent has to create nodes.
#[cold]
#[inline(never)]
fn add<'a>(nodes: &mut Vec<Node<'a>>, devices: &[Device<'a>], user: Option<UserNamespace<'_>>) -> Stage {
    let mut stage = Stage::No;
    for (index, device) in devices.iter().enumerate() {
        let user = user.filter(|_| device.kind != DeviceKind::Fifo);
        let bind = match user {
            Some(UserNamespace { mappings, joined }) => {
                stage = Stage::Wanted { joined };
                Bind::Made(Made::new(index, device, mappings))
            }
            None => Bind::HostIfDenied(Source::new(device.path, false)),
        };
        nodes.push(Node { device: *device, bind });
    }
    stage
}

/// The name in /dev, if a path is directly in /dev.
fn in_dev(path: &CStr) -> Option<&CStr> {
    let name = path.to_bytes_with_nul().strip_prefix(b"/dev/")?;
    let name = CStr::from_bytes_with_nul(name).ok()?;
    (!matches!(name.to_bytes(), b"" | b"." | b"..") && !name.to_bytes().contains(&b'/')).then_some(name)
}
