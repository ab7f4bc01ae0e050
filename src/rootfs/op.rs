//! One entry of `mounts`: its plan, and the system calls that make the mount.

use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::CStr;

use linux_raw_sys::general as sys;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Stat, fstatfs};
use rustix::io::Errno;

use super::cgroup::Trees;
use super::context::Context;
use super::id::TmpfsId;
use super::mount_options::{BindOptions, MountOptions, Parameters, is_kernels_own};
use super::path::{Make, Root, is_directory, make_link};
use super::path_text::{PATH_MAX, is_root};
use super::read_only::LateReadOnly;
use super::source::{Request, Source, absolute, read_link};
use super::tree;
use crate::config::Mount;
use crate::error::{At, On, Result, Show, invalid};

/// The plan of one mount.
#[derive(Debug)]
pub struct Op<'a> {
    index: usize,
    pub(super) destination: &'a CStr,
    kind: Kind<'a>,
    pub(super) options: MountOptions<'a>,
    late: LateReadOnly,
    /// The tmpfs that this entry has created.
    tmpfs: TmpfsId,
}

/// What is mounted.
#[derive(Debug)]
enum Kind<'a> {
    Bind(Source<'a>),
    /// A bind mount of the container's own cgroup (v2).
    Cgroup(Source<'a>),
    /// A new filesystem with mapped owners.
    Idmapped(Source<'a>),
    /// A new filesystem of type `kind`.
    New {
        kind: &'a CStr,
        source: &'a CStr,
    },
    /// A tmpfs with a bind mount for each hierarchy: (directory, source).
    Cgroups(Vec<(CString, Source<'a>)>),
    /// Changes of the mount that is at the destination.
    Remount,
}

impl<'a> Kind<'a> {
    fn new(
        mount: &Mount<'a>,
        options: &mut MountOptions<'a>,
        bind_options: &BindOptions<'_>,
        context: &Context<'a, '_>,
    ) -> Result<Self> {
        let kind = mount.kind.unwrap_or(c"none");
        let source = mount.source.filter(|source| !source.is_empty());
        let rare = !bind_options.are_default() || !mount.uid_mappings.is_empty();
        if !options.remount && (options.bind.is_some() || kind == c"bind") {
            let recursive = options.bind.unwrap_or(false);
            options.private_by_default(recursive);
            options.check_bind(mount)?;
            let Some(source) = source else { return invalid(format_args!("source is missing")) };
            let mut source = Source::new(absolute(context.bundle, source), recursive);
            if rare {
                source.change(mount, bind_options, context.user)?;
            }
            return Ok(Kind::Bind(source));
        }
        if rare {
            let new = !options.remount && !matches!(kind.to_bytes(), b"" | b"none" | b"cgroup" | b"cgroup2");
            bind_options.check_other(new)?;
            let mut source = Source::new(source.unwrap_or(kind), false);
            source.change(mount, bind_options, context.user)?;
            source.make_filesystem(kind, Parameters::new());
            return Ok(Kind::Idmapped(source));
        }
        Ok(match kind.to_bytes() {
            _ if options.remount => {
                // mount(8): remounting a bind mount changes only flags of the mount. The filesystem is the host's too.
                if options.bind.is_some() {
                    options.check_bind(mount)?;
                }
                options.top.clear |= if options.writable { u64::from(sys::MOUNT_ATTR_RDONLY) } else { 0 };
                Kind::Remount
            }
            b"cgroup" | b"cgroup2" => match context.cgroup.trees(mount.destination) {
                Trees::Hierarchy(source) => {
                    options.check_cgroup2(mount)?;
                    Kind::Bind(source)
                }
                Trees::Own(source) => {
                    options.check_cgroup2(mount)?;
                    Kind::Cgroup(source)
                }
                Trees::Many(trees) => {
                    options.parameters = alloc::vec![
                        (c"mode".into(), Some(c"755".into())),
                        (c"size".into(), Some(c"64k".into())),
                    ];
                    Kind::Cgroups(trees)
                }
                Trees::New => Kind::New { kind: c"cgroup2", source: c"cgroup2" },
            },
            b"" | b"none" => return invalid(format_args!("type is missing, and it is not a bind mount")),
            _ => Kind::New { kind, source: source.unwrap_or(kind) },
        })
    }
}

impl<'a> Op<'a> {
    /// Plans `mounts[index]`. Errors: invalid or unsupported options.
    pub fn new(index: usize, mount: &Mount<'a>, context: &Context<'a, '_>) -> Result<Self> {
        let (mut options, bind_options) = MountOptions::read(mount)?;
        let mut plan = Kind::new(mount, &mut options, &bind_options, context)?;
        let tmpfs = matches!(&plan, Kind::New { kind, .. } if **kind == *c"tmpfs");
        if options.copy_up && (!tmpfs || is_root(mount.destination)) {
            return invalid(format_args!(
                "options: \"tmpcopyup\" is valid only for tmpfs mounts, and not at the root"
            ));
        }
        let kind = match &plan {
            Kind::New { kind, .. } => {
                options.add_super_read_only(kind);
                Some(*kind)
            }
            Kind::Idmapped(source) => source.kind().inspect(|kind| options.add_super_read_only(kind)),
            Kind::Cgroups(_) => Some(c"tmpfs"),
            Kind::Bind(_) | Kind::Cgroup(_) | Kind::Remount => None,
        };
        options.label(kind.zip(context.label));
        if let (Kind::Idmapped(source), Some(kind)) = (&mut plan, kind) {
            source.make_filesystem(kind, core::mem::take(&mut options.parameters));
        }
        let (destination, late) = (mount.destination, LateReadOnly::default());
        Ok(Op { index, destination, kind: plan, options, late, tmpfs: TmpfsId::default() })
    }

    /// Whether the preceding entry was mounted at the same destination.
    fn follows(&self, before: &Op<'_>) -> bool {
        self.destination == before.destination && !before.goes_over_links()
    }

    /// Whether a symbolic link at the destination is mounted over instead of followed (`dest-nofollow`).
    fn goes_over_links(&self) -> bool {
        matches!(&self.kind, Kind::Bind(source) if source.over_links())
    }

    /// The destination, as in config.json.
    pub fn destination(&self) -> &'a CStr {
        self.destination
    }

    /// Whether the entry may use paths of the host in the container's mount namespace, or is stacked over the root.
    pub fn needs_host(&self) -> bool {
        let is_new = matches!(&self.kind, Kind::New { kind, .. } if !is_kernels_own(kind));
        is_new || is_root(self.destination)
    }

    /// Whether the entry creates a filesystem of this type.
    pub fn creates(&self, wanted: &CStr) -> bool {
        matches!(&self.kind, Kind::New { kind, .. } if *kind == wanted)
    }

    /// Whether a file is on the tmpfs that this entry created.
    pub fn holds(&self, file: &Stat) -> bool {
        self.tmpfs.contains(file)
    }

    /// Whether this is a read-only bind mount below which mount points can be created. Cgroup mounts are excluded:
    /// mkdir there would create a cgroup.
    pub fn is_read_only_bind(&self) -> bool {
        matches!(self.kind, Kind::Bind(_) | Kind::Idmapped(_)) && self.options.makes_read_only()
    }

    /// Marks the mount to be made read-only only after later mounts, because one of them is below it.
    pub fn delay_read_only(&mut self) {
        self.late.set_delayed();
    }

    /// The mount trees that are copied from the host.
    pub fn sources(&self) -> impl Iterator<Item = &Source<'a>> {
        let (one, many) = match &self.kind {
            Kind::Bind(source) | Kind::Cgroup(source) | Kind::Idmapped(source) => (Some(source), None),
            Kind::Cgroups(trees) => (None, Some(trees)),
            _ => (None, None),
        };
        let many = many.into_iter().flatten().map(|(_, source)| source);
        one.into_iter().chain(many)
    }

    /// Whether a source has not been opened yet.
    pub fn is_wanting(&self) -> bool {
        self.sources().any(Source::is_wanted)
    }

    /// Whether the entry copies or changes a mount that an earlier entry may have made.
    fn is_of_earlier(&self) -> bool {
        match &self.kind {
            Kind::Bind(source) => source.is_inside(),
            Kind::Remount => true,
            _ => false,
        }
    }

    /// The source of a bind mount that config.json lists.
    pub fn bound(&mut self) -> Option<&mut Source<'a>> {
        match &mut self.kind {
            Kind::Bind(source) => Some(source),
            _ => None,
        }
    }

    /// Plans the mount anew for a container without a cgroup of its own. It runs in the caller's cgroup, which is then
    /// the root of its cgroup namespace.
    pub fn without_cgroup(&mut self) {
        match &mut self.kind {
            Kind::Cgroup(_) => self.kind = Kind::New { kind: c"cgroup2", source: c"cgroup2" },
            Kind::Cgroups(trees) => trees.clear(),
            _ => {}
        }
    }

    /// Makes the mount; errors have the entry's index and destination.
    fn apply(&self, root: &mut Root) -> Result<()> {
        self.mount(root).at(format_args!("mounts[{}] {}", self.index, Show(self.destination)))
    }

    /// [`Op::finish`] for bind mounts only.
    fn finish_bind(&self) -> Result<()> {
        if let Kind::Bind(_) = self.kind { self.finish() } else { Ok(()) }
    }

    /// Makes the mount read-only if that was delayed until all mounts are in place.
    pub fn finish(&self) -> Result<()> {
        self.late.finish().at(format_args!("mounts[{}] {}", self.index, Show(self.destination)))
    }

    fn mount(&self, root: &mut Root) -> Result<()> {
        match &self.kind {
            Kind::Bind(source) => match (source.link(), source.link_inside()) {
                (Some(link), _) => self.copy_link(root, link),
                (None, Some(inside)) => self.copy_link_inside(root, source, inside),
                (None, None) => self.bind(root, source),
            },
            Kind::Cgroup(source) | Kind::Idmapped(source) => self.bind(root, source),
            Kind::New { kind, source } => {
                let tree = self.create(root, kind, source)?;
                if *kind == c"tmpfs" {
                    self.tmpfs.record(&tree)?;
                }
                if *kind == c"tmpfs" && self.options.is_read_only() {
                    self.late.read_only(root, &tree)?;
                }
                self.made(root, tree);
                Ok(())
            }
            Kind::Cgroups(trees) => self.cgroups(root, trees),
            Kind::Remount => self.remount(root),
        }
    }

    /// Attaches the source's mount tree at the destination, creating the mount point if it is missing.
    fn bind(&self, root: &mut Root, source: &Source<'_>) -> Result<()> {
        let tree = source.tree(root)?;
        let directory = is_directory(&tree).on(format_args!("fstat"))?;
        let make = if directory { Make::Directory } else { Make::File };
        let target = match source.over_links() {
            true => self.itself(root, make)?,
            false => self.place(root, make)?.0,
        };
        self.attach(root, &tree, &target)?;
        if source.kind().is_some_and(|kind| kind == c"tmpfs") {
            self.tmpfs.record(&tree)?;
        }
        root.release(target);
        self.made(root, tree);
        Ok(())
    }

    /// Sets the flags of a detached mount tree and attaches it. The read-only flag is delayed if mount points of later
    /// entries may have to be created below.
    fn attach(&self, root: &Root, tree: &OwnedFd, target: &OwnedFd) -> Result<()> {
        let mut top = self.options.top;
        if self.late.is_delayed() {
            top = self.late.delay(root, tree, top)?;
        }
        let changes = [self.options.all, top];
        tree::change_and_attach(tree, &changes, root.is_hidden(), || tree::attach(tree, target.as_fd()))
    }

    /// Records an attached tree. One that is mounted over the root becomes the root for all later paths.
    pub(super) fn made(&self, root: &mut Root, tree: OwnedFd) {
        match is_root(self.destination) {
            true => root.cover(tree),
            false => root.attached(tree),
        }
    }

    /// Opens or creates the mount point, and returns whether it was created. If the preceding entry has the same
    /// destination, this is the root of its tree: a lookup by path would walk through all mounts stacked there, which
    /// is quadratic in their number.
    pub(super) fn place(&self, root: &mut Root, make: Make) -> Result<(OwnedFd, bool)> {
        match root.take_last() {
            Some(tree) => Ok((tree, false)),
            None => root.find_or_make(self.destination, make),
        }
    }

    /// Opens or creates the mount point without following a link at its last name (`dest-nofollow`). Links in procfs,
    /// sysfs and devpts belong to the kernel; mounts over them are rejected.
    #[cold]
    #[inline(never)]
    fn itself(&self, root: &Root, make: Make) -> Result<OwnedFd> {
        const MAGIC: [u32; 3] = [sys::PROC_SUPER_MAGIC, sys::SYSFS_MAGIC, sys::DEVPTS_SUPER_MAGIC];
        let target = root.make_itself(self.destination, make)?;
        let magic = fstatfs(&target).on(format_args!("fstatfs"))?.f_type as u64;
        match MAGIC.iter().any(|one| u64::from(*one) == magic) {
            true => {
                invalid(format_args!("options: \"dest-nofollow\" is not valid on procfs, sysfs or devpts"))
            }
            false => Ok(target),
        }
    }

    /// Creates a symbolic link with the target of the source's link (`copy-symlink`).
    #[cold]
    #[inline(never)]
    fn copy_link(&self, root: &Root, link: &CStr) -> Result<()> {
        let (above, name) = root.parent(self.destination)?;
        let made = make_link(&above, name, link).on(format_args!("symlinkat"))?;
        root.release(above);
        match made {
            true => Ok(()),
            false => invalid(format_args!("the existing file is not a symbolic link to {}", Show(link))),
        }
    }

    /// `copy-symlink` for a source inside the container's root. A source that is not a link is bind-mounted.
    #[cold]
    #[inline(never)]
    fn copy_link_inside(&self, root: &mut Root, source: &Source<'_>, inside: &CStr) -> Result<()> {
        let found = root.open_itself(inside).on(format_args!("source {}: openat2", Show(source.path())))?;
        let mut space = [0u8; PATH_MAX];
        match read_link(&found, &mut space).on(format_args!("readlinkat"))? {
            Some(link) => self.copy_link(root, link),
            None => self.bind(root, source),
        }
    }
}

/// Makes mounts in their order. `fill` opens the sources that are not open yet, or one of them again;
/// `made` counts the mounts that are in place, also if there is an error.
pub fn apply_all(
    mounts: &[Op<'_>],
    root: &mut Root,
    fill: &mut dyn FnMut(Request) -> Result<()>,
    made: &mut usize,
) -> Result<()> {
    // The number of entries whose delayed read-only flags have been set.
    let mut finished = 0;
    let (mut before, mut left) = (None, mounts);
    while let [mount, later @ ..] = left {
        if mount.is_wanting() {
            fill(Request::From(*made))?;
        }
        if mount.is_of_earlier() {
            // The mount that is copied or changed must have its final flags by then.
            mounts.iter().take(*made).skip(finished).try_for_each(Op::finish_bind)?;
            finished = *made;
        }
        if !before.is_some_and(|before| mount.follows(before)) {
            root.release_last();
        }
        match mount.apply(root) {
            // A mount namespace is pinned below the source (`supply.rs`).
            Err(error) if error.is(Errno::LOOP) && mount.is_wanting() => {
                fill(Request::Again(*made)).and_then(|()| mount.apply(root)).map_err(|_| error)?;
            }
            applied => applied?,
        }
        *made += 1;
        (before, left) = (Some(mount), later);
    }
    root.release_last();
    mounts.iter().skip(finished).try_for_each(Op::finish_bind)
}
