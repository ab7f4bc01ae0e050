//! The plan of the root filesystem, and its steps in order.

use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::CStr;

use linux_raw_sys::general as sys;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};

use super::context::Context;
use super::idmap::FindUserNamespace;
use super::op::Op;
use super::order::HostRoot;
use super::own_mounts::OwnMounts;
use super::path::{Make, Root};
use super::pivot::PivotOptions;
use super::source::{Source, absolute};
use super::supply::{NONE_LEFT, RequestTrees, Sources};
use super::{device, mask, op, pivot, read_only, tree};
use crate::config::{Config, Mount};
use crate::error::{At, On, Result, Show, invalid};
use crate::sys::mount::SetAttr;

/// Everything that is mounted, made or covered, in order.
#[derive(Debug)]
pub struct Plan<'a> {
    root: Source<'a>,
    /// `MS_*` of the root's mount.
    propagation: u32,
    mounts: Vec<Op<'a>>,
    devices: device::Plan<'a>,
    cover: mask::Plan<'a>,
    readonly: bool,
    cwd: &'a CStr,
    pivot: bool,
    /// It is attached where the bundle has it, for hooks to find it there.
    in_place: bool,
}

impl<'a> Plan<'a> {
    /// Decides all of it from the configuration.
    pub fn new(config: &Config<'a>, context: &Context<'a, '_>) -> Result<Self> {
        let linux = &config.linux;
        let host_dev = config.mounts.iter().any(binds_dev);
        // In a user namespace mknod(2) is not allowed.
        let mapped = context.user.map(|user| user.mappings);
        Ok(Plan {
            root: Source::new(absolute(context.bundle, config.root.path), true),
            propagation: propagation(linux.rootfs_propagation),
            mounts: ops(&config.mounts, context)?,
            devices: device::Plan::new(&linux.devices, mapped, host_dev),
            cover: mask::Plan::new(&linux.masked_paths, &linux.readonly_paths, context.label),
            readonly: config.root.readonly,
            cwd: config.process.as_ref().map_or(c"/", |process| process.cwd),
            pivot: context.pivot,
            in_place: context.in_place,
        })
    }

    /// Where the root is on the host: absolute.
    pub fn path(&self) -> CString {
        self.root.path().into()
    }

    /// The parent's part: opens what comes from the host, as far as it may and has room; `find` is for idmapped mounts.
    /// Gives whether that was all; for what is left the child will ask, unless it is the only one who may.
    pub fn open_sources(&mut self, find: &mut FindUserNamespace<'_>) -> Result<bool> {
        self.devices.make_on_host().at(format_args!("linux.devices"))?;
        self.look_inside()?;
        read_links(&mut self.mounts)?;
        match self.root.open(None) {
            Err(error) if error.is(Errno::PERM) => return Ok(true),
            opened => self.root.set(opened.at(format_args!("root.path"))?),
        }
        let next = self.sources().open_first(Some(find))?;
        self.check_root().map(|()| next == NONE_LEFT)
    }

    /// What takes trees from the host, but for the root.
    fn sources(&self) -> Sources<'_, 'a> {
        Sources { mounts: &self.mounts, devices: Some(&self.devices) }
    }

    /// The parent's part while the child makes the mounts: the trees that it asks for, and whether they are the last.
    pub fn portion(&self, entry: usize, find: &mut FindUserNamespace<'_>) -> Result<(Vec<OwnedFd>, bool)> {
        let (trees, next) = self.sources().portion(entry, find)?;
        Ok((trees, next == NONE_LEFT))
    }

    /// Finds the sources that lie in the container's own root: what is there when their turn comes is what is meant.
    /// Before the first mount that is what the host has.
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

    /// The container's cgroup could not be made.
    #[cold]
    #[inline(never)]
    pub fn without_cgroup(&mut self) {
        self.mounts.iter_mut().for_each(Op::without_cgroup);
    }

    /// The child's part where it is the one who may: the same as the parent's. What there is no room for is opened
    /// when its turn comes.
    #[cold]
    #[inline(never)]
    fn open_own(&mut self) -> Result<()> {
        self.root.set(self.root.open(None).at(format_args!("root.path"))?);
        self.sources().open_first(None)?;
        self.check_root()
    }

    /// The one source that must be a directory; a file could be attached nowhere.
    fn check_root(&mut self) -> Result<()> {
        match self.root.is_directory()? {
            true => Ok(()),
            false => invalid(format_args!("root.path: {} is not a directory", Show(self.root.path()))),
        }
    }

    /// The parent's copies of what the child has, to be closed: a mount that a process holds open cannot
    /// be unmounted inside.
    pub fn take_trees(&mut self) -> impl Iterator<Item = OwnedFd> {
        let mut trees = Vec::new();
        trees.extend(self.devices.take_stage());
        trees.extend(self.root.take().ok());
        let _ = self.sources().each(0, &mut |_, source| {
            trees.extend(source.take().ok());
            Ok(true)
        });
        trees.into_iter()
    }

    /// The child's part, in its new mount namespace: all that is mounted and made. `more` asks the parent for trees;
    /// `terminal` makes the container's terminal, if it is to have one, out of its devpts.
    pub fn apply(
        &mut self,
        more: &mut RequestTrees<'_>,
        terminal: impl FnOnce(&Root) -> Result<Option<OwnedFd>>,
    ) -> Result<(Root, Option<OwnedFd>)> {
        let opens = !self.root.is_open();
        if opens {
            self.open_own()?;
        }
        let sources = self.sources();
        let mut fill = |entry| if opens { sources.open_own(entry) } else { sources.fill(entry, more) };
        // Nothing mounted from here on may reach the host, and pivot_root(2) wants it so.
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change(c"/", private).on(format_args!("mount / MS_PRIVATE|MS_REC"))?;
        let mut root = self.attach_root().at(format_args!("root.path"))?;
        op::apply_all(&self.mounts, &mut root, &mut fill, &mut 0)?;
        let own = OwnMounts { root: &root, mounts: &self.mounts };
        self.devices.apply(own, &mut |index| fill(self.mounts.len() + index))?;
        let terminal = terminal(&root)?;
        if let Some(terminal) = &terminal {
            cover_console(own, terminal).at(format_args!("/dev/console"))?;
        }
        Ok((root, terminal))
    }

    /// What takes from the container: masks, read-only paths, each `ro` tmpfs, a read-only root. Hooks that add files
    /// to the container (libraries and device nodes of CDI) have been run before, as with runc.
    pub fn restrict(&self, root: &Root) -> Result<()> {
        self.cover.apply(root)?;
        for mount in &self.mounts {
            mount.finish()?;
        }
        if self.readonly {
            // The working directory is made when it is missing: later it could not be.
            let cwd = root.make(self.cwd, Make::Directory);
            root.release(cwd.at(format_args!("process.cwd"))?);
            let readonly = SetAttr { set: sys::MOUNT_ATTR_RDONLY.into(), ..SetAttr::default() };
            tree::change(root.fd(), readonly).at(format_args!("root.readonly"))?;
        }
        Ok(())
    }

    /// Leaves the host's tree. A root that is to be shared or unbindable becomes so now: pivot_root(2)
    /// takes no shared one, and what is mounted below it has its own words for that.
    pub fn enter(&self, root: &Root) -> Result<()> {
        pivot::enter(root, PivotOptions { pivot: self.pivot, in_place: self.in_place })?;
        match self.propagation {
            sys::MS_PRIVATE | sys::MS_SLAVE => Ok(()),
            kind => {
                let change = SetAttr { propagation: kind.into(), ..SetAttr::default() };
                tree::change(root.fd(), change).at(format_args!("linux.rootfsPropagation"))
            }
        }
    }

    /// Attaches the root's copy over the host's own root: a place that needs no lookup, whatever rights
    /// this process has on the host. Absolute paths still begin below it. Hooks look for what is mounted where
    /// the bundle says that the root is, and add to it there. The copy is in the host's peer groups until it is
    /// made private, or a slave that goes on to receive from them.
    fn attach_root(&self) -> Result<Root> {
        let root = Root::below_host(self.root.take()?);
        let kind = if self.propagation == sys::MS_SLAVE { sys::MS_SLAVE } else { sys::MS_PRIVATE };
        tree::change(root.fd(), SetAttr { propagation: kind.into(), recursive: true, ..SetAttr::default() })?;
        tree::attach_at_path(root.fd(), if self.in_place { self.root.path() } else { c"/" })?;
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

/// Read-only bind mounts become so at last where later mounts lie below them.
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

/// Reads links that are to be copied: the child does not allocate.
pub(super) fn read_links(mounts: &mut [Op<'_>]) -> Result<()> {
    for (index, mount) in mounts.iter_mut().enumerate() {
        let destination = mount.destination();
        if let Some(source) = mount.bound() {
            source.read_link().at(format_args!("mounts[{index}] {}", Show(destination)))?;
        }
    }
    Ok(())
}

/// Puts the container's terminal over its /dev/console (config-linux.md, "Default Devices"). A /dev of the host's that
/// has none stays without.
fn cover_console(own: OwnMounts<'_, '_>, terminal: &OwnedFd) -> Result<()> {
    const CONSOLE: &CStr = c"/dev/console";
    let root = own.root;
    if root.open(CONSOLE).is_err_and(|errno| errno == Errno::NOENT) && !own.would_contain(CONSOLE)? {
        return Ok(());
    }
    // Not through a link of the image's, to a place where something else is expected (CVE-2025-52565).
    let target = root.make_without_links(CONSOLE, Make::File)?;
    root.attach(tree::copy(terminal.as_fd(), false)?, target)
}

/// /dev is a directory of the host's, with devices and links of its own.
fn binds_dev(mount: &Mount<'_>) -> bool {
    let bind = mount.options.iter().any(|word| matches!(word.to_bytes(), b"bind" | b"rbind"));
    let names = mount.destination.to_bytes().split(|byte| *byte == b'/');
    let mut names = names.filter(|name| !matches!(*name, b"" | b"."));
    (bind || mount.kind == Some(c"bind")) && names.next() == Some(b"dev") && names.next().is_none()
}

/// `MS_*` for the root's mount. Engines also write the recursive words; of what is mounted below, the
/// mounts' own words decide.
fn propagation(word: Option<&str>) -> u32 {
    match word.map(|word| word.strip_prefix('r').unwrap_or(word)) {
        Some("shared") => sys::MS_SHARED,
        Some("slave") => sys::MS_SLAVE,
        Some("unbindable") => sys::MS_UNBINDABLE,
        _ => sys::MS_PRIVATE,
    }
}
