//! One entry of `mounts`: planned from its words, and carried out.

use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::CStr;

use linux_raw_sys::general as sys;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Stat, fstat, fstatfs};
use rustix::io::Errno;

use super::cgroup::Trees;
use super::context::Context;
use super::mount_options::{BindOptions, MountOptions};
use super::path::{Make, Root, is_directory, make_link};
use super::path_text::{PATH_MAX, is_root};
use super::read_only::LateReadOnly;
use super::source::{Source, absolute, read_link};
use super::tree;
use crate::config::Mount;
use crate::error::{At, Error, On, Result, Show, invalid};

/// A mount, ready to be made.
#[derive(Debug)]
pub struct Op<'a> {
    index: usize,
    pub(super) destination: &'a CStr,
    kind: Kind<'a>,
    pub(super) options: MountOptions<'a>,
    late: LateReadOnly,
}

/// Where the tree comes from.
#[derive(Debug)]
enum Kind<'a> {
    Bind(Source<'a>),
    /// The container's own cgroup.
    Cgroup(Source<'a>),
    New {
        kind: &'a CStr,
        source: &'a CStr,
    },
    Cgroups(Vec<(CString, Source<'a>)>),
    Remount,
}

impl<'a> Kind<'a> {
    fn new(
        mount: &Mount<'a>,
        words: &mut MountOptions<'a>,
        ends: &BindOptions<'_>,
        context: &Context<'a, '_>,
    ) -> Result<Self> {
        let kind = mount.kind.unwrap_or(c"none");
        let source = mount.source.filter(|source| !source.is_empty());
        let rare = !ends.are_default() || !mount.uid_mappings.is_empty();
        if !words.remount && (words.bind.is_some() || kind == c"bind") {
            let recursive = words.bind.unwrap_or(false);
            words.private_by_default(recursive);
            words.check_bind(mount)?;
            let Some(source) = source else { return invalid(format_args!("source is missing")) };
            let mut source = Source::new(absolute(context.bundle, source), recursive);
            if rare {
                source.change(mount, ends, context.user)?;
            }
            return Ok(Kind::Bind(source));
        }
        if rare {
            return ends.refuse();
        }
        Ok(match kind.to_bytes() {
            _ if words.remount => {
                // mount(8): of a bind mount only what is the mount's own; the filesystem is the host's too.
                if words.bind.is_some() {
                    words.check_bind(mount)?;
                }
                words.top.clear |= if words.writable { u64::from(sys::MOUNT_ATTR_RDONLY) } else { 0 };
                Kind::Remount
            }
            b"cgroup" | b"cgroup2" => match context.cgroup.trees(mount.destination) {
                Trees::Whole(source) => {
                    words.check_cgroup2(mount)?;
                    Kind::Bind(source)
                }
                Trees::Own(source) => {
                    words.check_cgroup2(mount)?;
                    Kind::Cgroup(source)
                }
                Trees::Many(trees) => {
                    words.parameters = alloc::vec![
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
    /// Plans `mounts[index]`.
    pub fn new(index: usize, mount: &Mount<'a>, context: &Context<'a, '_>) -> Result<Self> {
        let (mut words, ends) = MountOptions::read(mount)?;
        let what = Kind::new(mount, &mut words, &ends, context)?;
        let tmpfs = matches!(&what, Kind::New { kind, .. } if **kind == *c"tmpfs");
        if words.copy_up && (!tmpfs || is_root(mount.destination)) {
            return invalid(format_args!(
                "options: \"tmpcopyup\" is for a tmpfs alone, and not for the root"
            ));
        }
        let kind = match &what {
            Kind::New { kind, .. } => {
                words.add_super_read_only(kind);
                Some(*kind)
            }
            Kind::Cgroups(_) => Some(c"tmpfs"),
            Kind::Bind(_) | Kind::Cgroup(_) | Kind::Remount => None,
        };
        words.label(kind.zip(context.label));
        Ok(Op {
            index,
            destination: mount.destination,
            kind: what,
            options: words,
            late: LateReadOnly::default(),
        })
    }

    /// Whether the entry before it was mounted at the same place.
    fn follows(&self, before: &Op<'_>) -> bool {
        self.destination == before.destination && !before.goes_over_links()
    }

    /// It is mounted on the destination itself, should that be a link.
    fn goes_over_links(&self) -> bool {
        matches!(&self.kind, Kind::Bind(source) if source.over_links())
    }

    /// Where it is mounted.
    pub fn destination(&self) -> &'a CStr {
        self.destination
    }

    /// Whether a file lies on the tmpfs that it has made.
    pub fn holds(&self, file: &Stat) -> bool {
        self.late.holds(file)
    }

    /// Whether it is read-only, and its tree one in which mount points can be made: in a cgroup that would make cgroups.
    pub fn is_read_only_bind(&self) -> bool {
        matches!(self.kind, Kind::Bind(_)) && self.options.makes_read_only()
    }

    /// A later mount lies below it.
    pub fn delay_read_only(&mut self) {
        self.late.set_delayed();
    }

    /// What is taken from the host.
    pub fn sources(&self) -> impl Iterator<Item = &Source<'a>> {
        let (one, many) = match &self.kind {
            Kind::Bind(source) | Kind::Cgroup(source) => (Some(source), None),
            Kind::Cgroups(trees) => (None, Some(trees)),
            _ => (None, None),
        };
        let many = many.into_iter().flatten().map(|(_, source)| source);
        one.into_iter().chain(many)
    }

    /// Whether one of them is not open yet.
    pub fn is_wanting(&self) -> bool {
        self.sources().any(Source::is_wanted)
    }

    /// Whether it copies or changes what an earlier one may have mounted.
    fn is_of_earlier(&self) -> bool {
        match &self.kind {
            Kind::Bind(source) => source.is_inside(),
            Kind::Remount => true,
            _ => false,
        }
    }

    /// What the configuration names as its source.
    pub fn bound(&mut self) -> Option<&mut Source<'a>> {
        match &mut self.kind {
            Kind::Bind(source) => Some(source),
            _ => None,
        }
    }

    /// It has no cgroup of its own, but that of whoever starts it: its cgroup namespace begins there.
    pub fn without_cgroup(&mut self) {
        match &mut self.kind {
            Kind::Cgroup(_) => self.kind = Kind::New { kind: c"cgroup2", source: c"cgroup2" },
            Kind::Cgroups(trees) => trees.clear(),
            _ => {}
        }
    }

    /// Makes it.
    fn apply(&self, root: &mut Root) -> Result<()> {
        self.mount(root).at(format_args!("mounts[{}] {}", self.index, Show(self.destination)))
    }

    /// The last change of a bind mount.
    fn finish_bind(&self) -> Result<()> {
        if let Kind::Bind(_) = self.kind { self.finish() } else { Ok(()) }
    }

    /// After every mount is in place: the last change of others.
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
            Kind::Cgroup(source) => self.bind(root, source),
            Kind::New { kind, source } => {
                let tree = self.create(root, kind, source)?;
                if *kind == c"tmpfs" {
                    self.late.is_tmpfs_of(&fstat(&tree).on(format_args!("fstat"))?);
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

    /// What the host has at the destination.
    fn bind(&self, root: &mut Root, source: &Source<'_>) -> Result<()> {
        let mut tree = source.tree(root)?;
        let directory = is_directory(&tree).on(format_args!("fstat"))?;
        let make = if directory { Make::Directory } else { Make::File };
        let target = match source.over_links() {
            true => self.itself(root, make)?,
            false => self.place(root, make)?.0,
        };
        if let Err(error) = self.attach(root, &tree, &target) {
            tree = self.attach_own(root, source, &target, error)?;
        }
        root.release(target);
        self.made(root, tree);
        Ok(())
    }

    /// With its own flags; read-only at last where mount points of later ones may have to be made below it.
    fn attach(&self, root: &Root, tree: &OwnedFd, target: &OwnedFd) -> Result<()> {
        let mut top = self.options.top;
        if self.late.is_delayed() {
            top = self.late.delay(root, tree, top)?;
        }
        tree::change(tree.as_fd(), self.options.all)?;
        tree::change(tree.as_fd(), top)?;
        tree::attach(tree, target.as_fd())
    }

    /// A mount namespace that is pinned on the host (`/run/snapd/ns` has some, and `/` has them below it) cannot come
    /// into one that is younger. This process's own copy of the host's tree was made without them, so the same place is
    /// taken from there; where it may be looked up.
    #[cold]
    #[inline(never)]
    fn attach_own(
        &self,
        root: &Root,
        source: &Source<'_>,
        target: &OwnedFd,
        error: Error,
    ) -> Result<OwnedFd> {
        if !error.is(Errno::LOOP) || !root.is_below_host() {
            return Err(error);
        }
        match source.open(None) {
            Ok(tree) => self.attach(root, &tree, target).map(|()| tree),
            Err(_) => Err(error),
        }
    }

    /// It is in place: what is mounted over the root is the root from here on.
    pub(super) fn made(&self, root: &mut Root, tree: OwnedFd) {
        match is_root(self.destination) {
            true => root.cover(tree),
            false => root.attached(tree),
        }
    }

    /// The destination, and whether it was made. Where the entry before it is mounted, that is the root of its tree:
    /// the kernel would find it by going through all that are mounted there, one by one, and so for each the longer
    /// the more there are.
    pub(super) fn place(&self, root: &mut Root, make: Make) -> Result<(OwnedFd, bool)> {
        match root.take_last() {
            Some(tree) => Ok((tree, false)),
            None => root.find_or_make(self.destination, make),
        }
    }

    /// The destination, should it be a link too (`dest-nofollow`). Those that the kernel shows are not a
    /// container's to replace.
    #[cold]
    #[inline(never)]
    fn itself(&self, root: &Root, make: Make) -> Result<OwnedFd> {
        const KERNELS: [u32; 3] = [sys::PROC_SUPER_MAGIC, sys::SYSFS_MAGIC, sys::DEVPTS_SUPER_MAGIC];
        let target = root.make_itself(self.destination, make)?;
        let magic = fstatfs(&target).on(format_args!("fstatfs"))?.f_type as u64;
        match KERNELS.iter().any(|kernels| u64::from(*kernels) == magic) {
            true => invalid(format_args!("options: \"dest-nofollow\" is not for procfs, sysfs or devpts")),
            false => Ok(target),
        }
    }

    /// The source's link (`copy-symlink`).
    #[cold]
    #[inline(never)]
    fn copy_link(&self, root: &Root, link: &CStr) -> Result<()> {
        let (above, name) = root.parent(self.destination)?;
        let made = make_link(&above, name, link).on(format_args!("symlinkat"))?;
        root.release(above);
        match made {
            true => Ok(()),
            false => invalid(format_args!("what is there already is not a link to {}", Show(link))),
        }
    }

    /// The same, of a source in the container's own root. What is no link is mounted as ever.
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

/// Makes all of them, in order. `fill` opens what one takes from the host, if it is not open yet; `made` counts those
/// that are in place.
pub fn apply_all(
    mounts: &[Op<'_>],
    root: &mut Root,
    fill: &mut dyn FnMut(usize) -> Result<()>,
    made: &mut usize,
) -> Result<()> {
    // Up to which one the last changes of bind mounts are done.
    let mut finished = 0;
    let (mut before, mut left) = (None, mounts);
    while let [mount, later @ ..] = left {
        if mount.is_wanting() {
            fill(*made)?;
        }
        if mount.is_of_earlier() {
            // Which is read-only by then, where its own words say so.
            mounts.iter().take(*made).skip(finished).try_for_each(Op::finish_bind)?;
            finished = *made;
        }
        if !before.is_some_and(|before| mount.follows(before)) {
            root.release_last();
        }
        mount.apply(root)?;
        *made += 1;
        (before, left) = (Some(mount), later);
    }
    root.release_last();
    mounts.iter().skip(finished).try_for_each(Op::finish_bind)
}
