//! The plan of the root filesystem, and its steps in the parent and the child.

use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::CStr;

use linux_raw_sys::general as sys;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;

use super::context::Context;
use super::idmap::FindUserNamespace;
use super::mount_namespace::{self, Beneath, has_mount_setattr};
use super::op::Op;
use super::order::HostRoot;
use super::own_mounts::OwnMounts;
use super::path::{Make, Root};
use super::pivot::PivotOptions;
use super::source::{Request, Source, absolute};
use super::supply::{RequestTrees, Sources};
use super::visible::Visible;
use super::{device, mask, op, pivot, read_only, shared, tree};
use crate::config::{Config, Mount};
use crate::error::{At, Result, Show, invalid};
use crate::sys::mount::SetAttr;

/// The plan of the root filesystem: mounts, devices, masked and read-only paths.
#[derive(Debug)]
pub struct Plan<'a> {
    root: Source<'a>,
    /// Propagation of the root mount, `MS_*`.
    propagation: u32,
    mounts: Vec<Op<'a>>,
    devices: device::Plan<'a>,
    cover: mask::Plan<'a>,
    readonly: bool,
    cwd: &'a CStr,
    pivot: bool,
    /// Whether the root is attached at its path in the bundle, where hooks find it.
    in_place: bool,
    /// Where the root is attached instead, if it is not entered.
    attached_at: Option<CString>,
    /// Whether the mounts of the host are needed in the container's mount namespace.
    needs_host: bool,
    /// Where mounts are made.
    place: shared::Mounts,
    /// Whether the network namespace is new.
    own_network: bool,
    /// With a user namespace, but without the host's mounts: the host's procfs and sysfs.
    visible: Visible,
}

impl<'a> Plan<'a> {
    /// Plans the root filesystem. Errors: invalid or unsupported mounts.
    pub fn new(config: &Config<'a>, context: &Context<'a, '_>) -> Result<Self> {
        let linux = &config.linux;
        let host_dev = config.mounts.iter().any(binds_dev);
        let mounts = ops(&config.mounts, context)?;
        Ok(Plan {
            needs_host: context.in_place || mounts.iter().any(Op::needs_host),
            place: shared::Mounts::new(config, context)?,
            own_network: context.own_network,
            visible: Visible::default(),
            root: Source::new(absolute(context.bundle, config.root.path), true),
            propagation: propagation(linux.rootfs_propagation),
            mounts,
            devices: device::Plan::new(&linux.devices, context.user, host_dev),
            cover: mask::Plan::new(&linux.masked_paths, &linux.readonly_paths, context.label),
            readonly: config.root.readonly,
            cwd: config.process.as_ref().map_or(c"/", |process| process.cwd),
            pivot: context.pivot,
            in_place: context.in_place,
            attached_at: None,
        })
    }

    /// Attaches the root at this path in the child's mount namespace, for a tree that is not entered.
    pub fn attach_at(&mut self, path: CString) {
        self.attached_at = Some(path);
    }

    /// Another copy of the root's mount tree, without the mounts of the configuration.
    pub fn copy_root(&self) -> Result<OwnedFd> {
        self.root.open(None).at(format_args!("root.path"))
    }

    /// Whether the root is read-only.
    pub fn is_read_only(&self) -> bool {
        self.readonly
    }

    /// Makes the root mount read-only, if it is to be.
    pub fn make_read_only(&self, root: BorrowedFd<'_>) -> Result<()> {
        let change = SetAttr { set: sys::MOUNT_ATTR_RDONLY.into(), ..SetAttr::default() };
        match self.readonly {
            true => tree::change(root, change).at(format_args!("root.readonly")),
            false => Ok(()),
        }
    }

    /// The absolute path of the root on the host.
    pub fn path(&self) -> CString {
        self.root.path().into()
    }

    /// Opens sources in the parent, before the clone, as far as the limit of file descriptors permits; the child
    /// requests the rest later. `find` is for idmapped mounts. If the parent has no rights (open_tree: EPERM), the child
    /// opens all of them itself.
    pub fn open_sources(&mut self, find: &mut FindUserNamespace<'_>) -> Result<()> {
        if self.place == shared::Mounts::Nowhere {
            self.root.set(shared::open(self.root.path()).at(format_args!("root.path"))?);
            return Ok(());
        }
        self.devices.make_on_host(find).at(format_args!("linux.devices"))?;
        self.look_inside()?;
        read_links(&mut self.mounts)?;
        match self.root.open(None) {
            Err(error) if error.is(Errno::PERM) => return Ok(()),
            opened => self.root.set(opened.at(format_args!("root.path"))?),
        }
        self.sources().open_first(Some(find))?;
        self.check_root()
    }

    /// Whether the container can be created without the host's mounts in its mount namespace: the parent has opened all
    /// mount trees. `user`: it is in a user namespace.
    pub fn can_be_without_host(&mut self, user: bool) -> bool {
        if self.needs_host || !self.root.is_open() || !has_mount_setattr() {
            return false;
        }
        if !user {
            return true;
        }
        let creates = |kind: &CStr| self.mounts.iter().any(|mount| mount.creates(kind));
        // Without a network namespace of its own a new sysfs may be denied, and the host's is copied instead.
        let visible = (self.own_network || !creates(c"sysfs")).then(|| Visible::open(creates)).flatten();
        let can = visible.is_some();
        self.visible = visible.unwrap_or_default();
        can
    }

    /// All sources except the root.
    fn sources(&self) -> Sources<'_, 'a> {
        Sources { mounts: &self.mounts, devices: Some(&self.devices) }
    }

    /// Opens, in the parent, the trees that the child requests while it makes the mounts.
    pub fn answer(&self, request: Request, find: &mut FindUserNamespace<'_>) -> Result<Vec<OwnedFd>> {
        self.sources().answer(request, find)
    }

    /// Finds the sources inside the container's own root, which are opened right before their mount is made. For the
    /// first entry this is the same as opening it on the host.
    fn look_inside(&mut self) -> Result<()> {
        let mut root = None;
        for (index, mount) in self.mounts.iter_mut().enumerate().skip(1) {
            let destination = mount.destination();
            let Some(source) = mount.bound() else { continue };
            if let Some(root) = root.get_or_insert_with(|| HostRoot::new(self.root.path())) {
                source.look_inside(root).at(format_args!("mounts[{index}] {}", Show(destination)))?;
            }
        }
        Ok(())
    }

    /// Plans cgroup mounts anew, because the container's cgroup could not be created.
    #[cold]
    #[inline(never)]
    pub fn without_cgroup(&mut self) {
        self.mounts.iter_mut().for_each(Op::without_cgroup);
    }

    /// Opens the sources in the child, if the parent had no rights for it. Those beyond the limit of file descriptors
    /// are opened right before their mount is made.
    #[cold]
    #[inline(never)]
    fn open_own(&mut self) -> Result<()> {
        self.root.set(self.root.open(None).at(format_args!("root.path"))?);
        self.sources().open_first(None)?;
        self.check_root()
    }

    /// Checks that the root is a directory: a file could not be attached over `/`.
    fn check_root(&mut self) -> Result<()> {
        match self.root.is_directory()? {
            true => Ok(()),
            false => invalid(format_args!("root.path: {} is not a directory", Show(self.root.path()))),
        }
    }

    /// Takes the parent's file descriptors of the trees, to close them: while they are open, mounts in the container
    /// cannot be unmounted (EBUSY).
    pub fn take_trees(&mut self) -> impl Iterator<Item = OwnedFd> {
        let mut trees = Vec::new();
        trees.extend(self.devices.take_stage());
        trees.extend(self.root.take().ok());
        trees.extend([c"proc", c"sysfs"].into_iter().filter_map(|kind| self.visible.take(kind)));
        let _ = self.sources().each(0, &mut |_, source| {
            trees.extend(source.take().ok());
            Ok(true)
        });
        trees.into_iter()
    }

    /// Makes all mounts and devices, in the child and its mount namespace, whose root is `beneath`. `more` requests trees
    /// from the parent; `terminal` opens the container's terminal, if it has one, in its devpts.
    pub fn apply(
        &mut self,
        beneath: Beneath,
        more: &mut RequestTrees<'_>,
        terminal: impl FnOnce(&Root) -> Result<Option<OwnedFd>>,
    ) -> Result<(Root, Option<OwnedFd>)> {
        if self.place == shared::Mounts::Nowhere {
            let root = Root::over(self.root.take()?, Beneath::Nothing, None, Visible::default());
            let terminal = terminal(&root)?;
            return Ok((root, terminal));
        }
        let place = self.place;
        let opens = !self.root.is_open();
        if opens {
            self.open_own()?;
        }
        let visible =
            if beneath == Beneath::Nullfs { core::mem::take(&mut self.visible) } else { Visible::default() };
        let sources = self.sources();
        let mut fill = |request| match request {
            Request::From(entry) if opens => sources.open_own(entry),
            request => sources.fill(request, more),
        };
        let host = (beneath == Beneath::Host).then(mount_namespace::open_root).transpose()?;
        let mut root = self.attach_root(beneath, host, visible).at(format_args!("root.path"))?;
        op::apply_all(&self.mounts, &mut root, &mut fill, &mut 0).map_err(|error| place.explain(error))?;
        let own = OwnMounts { root: &root, mounts: &self.mounts };
        self.devices.apply(own, &mut |index| fill(Request::From(self.mounts.len() + index)))?;
        let terminal = terminal(&root)?;
        if let Some(terminal) = &terminal {
            cover_console(own, terminal).at(format_args!("/dev/console"))?;
        }
        Ok((root, terminal))
    }

    /// Applies restrictions: masked and read-only paths, each `ro` tmpfs, a read-only root. Hooks that add files to the
    /// container (libraries and device nodes of CDI) have been run before, as in runc.
    pub fn restrict(&self, root: &Root) -> Result<()> {
        self.cover.apply(root).map_err(|error| self.place.explain(error))?;
        for mount in &self.mounts {
            mount.finish()?;
        }
        if self.readonly {
            // Creates a missing working directory, which is not possible later.
            let cwd = root.make(self.cwd, Make::Directory);
            root.release(cwd.at(format_args!("process.cwd"))?);
        }
        self.make_read_only(root.fd())
    }

    /// Changes the root to the container's. Its propagation is set after that, if it is shared or unbindable:
    /// pivot_root(2) rejects shared mounts. Mounts below it have their own propagation options.
    pub fn enter(&self, root: &mut Root) -> Result<()> {
        pivot::enter(root, PivotOptions { pivot: self.pivot, in_place: self.in_place })?;
        match self.propagation {
            sys::MS_PRIVATE | sys::MS_SLAVE => Ok(()),
            kind => {
                let change = SetAttr { propagation: kind.into(), ..SetAttr::default() };
                tree::change(root.fd(), change).at(format_args!("linux.rootfsPropagation"))
            }
        }
    }

    /// Attaches the root's detached copy over the host's `/`: this needs no path lookup, and so no rights on the host.
    /// Absolute paths still begin at the host's root beneath it. With hooks it is attached at its path in the bundle
    /// instead, because hooks look for mounts there and add others. The copy is in the host's peer groups until it is
    /// made private, or a slave, which still receives their mount events.
    fn attach_root(&self, beneath: Beneath, host: Option<OwnedFd>, visible: Visible) -> Result<Root> {
        let root = Root::over(self.root.take()?, beneath, host, visible);
        let kind = if self.propagation == sys::MS_SLAVE { sys::MS_SLAVE } else { sys::MS_PRIVATE };
        let change = SetAttr { propagation: kind.into(), recursive: true, ..SetAttr::default() };
        match beneath {
            Beneath::Nothing => tree::change(root.fd(), change)?,
            _ => {
                let in_place = self.in_place.then(|| self.root.path());
                root.change_and_attach_root(change, self.attached_at.as_deref().or(in_place))?;
            }
        }
        Ok(root)
    }
}

/// Plans a list of mounts.
pub(super) fn ops<'a>(mounts: &[Mount<'a>], context: &Context<'a, '_>) -> Result<Vec<Op<'a>>> {
    let mut ops = Vec::with_capacity(mounts.len());
    for (index, mount) in mounts.iter().enumerate() {
        let op = Op::new(index, mount, context);
        ops.push(op.at(format_args!("mounts[{index}] {}", Show(mount.destination)))?);
    }
    delay_read_only(&mut ops);
    Ok(ops)
}

/// Delays the read-only flag of bind mounts below which there are later mounts.
fn delay_read_only(ops: &mut [Op<'_>]) {
    let indices = ops.iter().enumerate().filter(|(_, op)| op.is_read_only_bind()).map(|(index, _)| index);
    let indices: Vec<usize> = indices.collect();
    if indices.is_empty() {
        return;
    }
    let destinations: Vec<&CStr> = ops.iter().map(Op::destination).collect();
    for index in read_only::with_later_below(&destinations, &indices) {
        if let Some(op) = ops.get_mut(index) {
            op.delay_read_only();
        }
    }
}

/// Reads the symbolic links of `copy-symlink` in the parent, because the child does not allocate memory.
pub(super) fn read_links(mounts: &mut [Op<'_>]) -> Result<()> {
    for (index, mount) in mounts.iter_mut().enumerate() {
        let destination = mount.destination();
        if let Some(source) = mount.bound() {
            source.read_link().at(format_args!("mounts[{index}] {}", Show(destination)))?;
        }
    }
    Ok(())
}

/// Bind-mounts the container's terminal over its /dev/console (config-linux.md, "Default Devices"). Nothing is created
/// if /dev belongs to the host and has no console.
fn cover_console(own: OwnMounts<'_, '_>, terminal: &OwnedFd) -> Result<()> {
    const CONSOLE: &CStr = c"/dev/console";
    let root = own.root;
    if root.open(CONSOLE).is_err_and(|errno| errno == Errno::NOENT) && !own.would_contain(CONSOLE)? {
        return Ok(());
    }
    // A symbolic link in the image must not redirect the mount to another file (CVE-2025-52565).
    let target = root.make_without_links(CONSOLE, Make::File)?;
    root.attach(tree::copy(terminal.as_fd(), false)?, target)
}

/// Whether an entry bind-mounts a directory with its own devices and links at /dev.
fn binds_dev(mount: &Mount<'_>) -> bool {
    let bind = mount.options.iter().any(|word| matches!(word.to_bytes(), b"bind" | b"rbind"));
    let names = mount.destination.to_bytes().split(|byte| *byte == b'/');
    let mut names = names.filter(|name| !matches!(*name, b"" | b"."));
    (bind || mount.kind == Some(c"bind")) && names.next() == Some(b"dev") && names.next().is_none()
}

/// The propagation of the root mount, `MS_*`. Engines also write the recursive names (`rprivate`); these mean the same
/// here, because mounts below have their own options.
fn propagation(word: Option<&str>) -> u32 {
    match word.map(|word| word.strip_prefix('r').unwrap_or(word)) {
        Some("shared") => sys::MS_SHARED,
        Some("slave") => sys::MS_SLAVE,
        Some("unbindable") => sys::MS_UNBINDABLE,
        _ => sys::MS_PRIVATE,
    }
}
