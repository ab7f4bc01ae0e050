//! One entry of `mounts`: planned from its words, and carried out.

use alloc::borrow::Cow;
use alloc::ffi::CString;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ffi::CStr;
use core::fmt;

use linux_raw_sys::general as sys;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, fstat, mkdirat, symlinkat};
use rustix::mount::{FsPickFlags, fsconfig_reconfigure, fspick};

use super::cgroup::Trees;
use super::copyup;
use super::label::{Label, is_parameter, label_of, set_attribute, unquoted};
use super::option::{Word, word};
use super::path::{Make, Root, is_directory, is_root};
use super::source::Source;
use super::{Surroundings, absolute, refuse, tree};
use crate::error::{At, Error, On, Result, Show};
use crate::spec::Mount;
use crate::sys::mount::SetAttr;

/// A mount, ready to be made.
#[derive(Debug)]
pub struct Op<'a> {
    index: usize,
    destination: &'a CStr,
    what: What<'a>,
    words: Words<'a>,
    /// A tmpfs is made read-only when everything below it is in place.
    last: Kept,
}

/// A tree kept for a last change.
#[derive(Default)]
struct Kept(Cell<Option<OwnedFd>>);

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("-")
    }
}

/// Where the tree comes from.
#[derive(Debug)]
enum What<'a> {
    Bind(Source<'a>),
    New { kind: &'a CStr, source: &'a CStr },
    Cgroups(Vec<(CString, Source<'a>)>),
    Remount,
}

/// What the options say.
#[derive(Debug, Default)]
struct Words<'a> {
    bind: Option<bool>,
    remount: bool,
    copy_up: bool,
    /// `rw` was the last word on it: it counts where something is remounted.
    writable: bool,
    /// Of the mount itself.
    top: SetAttr,
    /// Of the whole tree, first.
    all: SetAttr,
    parameters: Vec<(Cow<'a, CStr>, Option<Cow<'a, CStr>>)>,
}

impl<'a> Op<'a> {
    /// Plans `mounts[index]`.
    pub fn new(index: usize, mount: &Mount<'a>, around: &Surroundings<'a>) -> Result<Self> {
        let mut words = Words::read(mount)?;
        if !mount.uid_mappings.is_empty() {
            return Err(Error::unsupported(format_args!(
                "uidMappings: idmapped mounts are not supported yet"
            )));
        }
        // Going there later would leave the host's root above it: pivot_root(2) takes what is mounted on that along.
        if is_root(mount.destination) && !words.remount {
            return refuse(format_args!("nothing can be mounted over the root"));
        }
        let kind = mount.kind.unwrap_or(c"none");
        let what = match kind.to_bytes() {
            _ if words.remount => {
                // mount(8): of a bind mount only what is the mount's own; the filesystem is the host's too.
                if let Some((name, _)) = words.parameters.first().filter(|_| words.bind.is_some()) {
                    return refuse(format_args!("options: \"{}\" means nothing to a bind mount", Show(name)));
                }
                words.top.clear |= if words.writable { u64::from(sys::MOUNT_ATTR_RDONLY) } else { 0 };
                What::Remount
            }
            _ if words.bind.is_some() || kind == c"bind" => {
                let recursive = words.bind.unwrap_or(false);
                words.private_by_default(recursive);
                if let Some((name, _)) = words.parameters.first() {
                    return refuse(format_args!("options: \"{}\" means nothing to a bind mount", Show(name)));
                }
                let Some(source) = mount.source.filter(|source| !source.is_empty()) else {
                    return refuse(format_args!("source is missing"));
                };
                What::Bind(Source::new(absolute(around.bundle, source), recursive))
            }
            b"cgroup" | b"cgroup2" => match around.cgroup.trees() {
                Trees::One(source) => {
                    words.drop_of_cgroup2()?;
                    words.private_by_default(false);
                    What::Bind(source)
                }
                Trees::Many(trees) => {
                    words.parameters = alloc::vec![
                        (c"mode".into(), Some(c"755".into())),
                        (c"size".into(), Some(c"64k".into())),
                    ];
                    What::Cgroups(trees)
                }
                Trees::New => What::New { kind: c"cgroup2", source: c"cgroup2" },
            },
            b"" | b"none" => return refuse(format_args!("type is missing, and it is not a bind mount")),
            _ => What::New { kind, source: mount.source.filter(|source| !source.is_empty()).unwrap_or(kind) },
        };
        if words.copy_up && !matches!(&what, What::New { kind, .. } if **kind == *c"tmpfs") {
            return refuse(format_args!("options: \"tmpcopyup\" is for a tmpfs alone"));
        }
        if let What::New { kind, .. } = &what {
            words.of_new(kind);
        }
        words.label(&what, around.label);
        Ok(Op { index, destination: mount.destination, what, words, last: Kept::default() })
    }

    /// Where it is mounted.
    pub fn destination(&self) -> &CStr {
        self.destination
    }

    /// What is taken from the host.
    pub fn sources(&mut self) -> impl Iterator<Item = &mut Source<'a>> {
        let (one, many) = match &mut self.what {
            What::Bind(source) => (Some(source), None),
            What::Cgroups(trees) => (None, Some(trees)),
            _ => (None, None),
        };
        let many = many.into_iter().flatten().map(|(_, source)| source);
        one.into_iter().chain(many)
    }

    /// Makes it.
    pub fn apply(&self, root: &Root) -> Result<()> {
        self.mount(root).at(format_args!("mounts[{}] {}", self.index, Show(self.destination)))
    }

    /// After every mount is in place.
    pub fn finish(&self) -> Result<()> {
        let Some(tree) = self.last.0.take() else { return Ok(()) };
        let readonly = SetAttr { set: sys::MOUNT_ATTR_RDONLY.into(), ..SetAttr::default() };
        tree::change(tree.as_fd(), readonly).at(format_args!(
            "mounts[{}] {}",
            self.index,
            Show(self.destination)
        ))
    }

    fn mount(&self, root: &Root) -> Result<()> {
        match &self.what {
            What::Bind(source) => {
                let tree = source.take()?;
                let directory = is_directory(&tree).on(format_args!("fstat"))?;
                let target =
                    root.make(self.destination, if directory { Make::Directory } else { Make::File })?;
                tree::change(tree.as_fd(), self.words.all)?;
                tree::change(tree.as_fd(), self.words.top)?;
                root.attach(tree, target)
            }
            What::New { kind, source } => {
                let tree = self.create(root, kind, source)?;
                if *kind == c"tmpfs" && self.words.is_read_only() {
                    self.last.0.set(Some(tree));
                } else {
                    root.release(tree);
                }
                Ok(())
            }
            What::Cgroups(trees) => self.cgroups(root, trees),
            What::Remount => self.remount(root),
        }
    }

    /// A new filesystem at the destination.
    fn create(&self, root: &Root, kind: &CStr, source: &CStr) -> Result<OwnedFd> {
        let target = self.target(root, kind)?;
        let mut mode = [0u8; 8];
        let given = self.words.parameters.iter().map(|(name, value)| (&**name, value.as_deref()));
        let inherited =
            match kind == c"tmpfs" && !self.words.parameters.iter().any(|(name, _)| **name == *c"mode") {
                true => {
                    Some((c"mode", Some(octal(fstat(&target).on(format_args!("fstat"))?.st_mode, &mut mode))))
                }
                false => None,
            };
        let late = if kind == c"tmpfs" { u64::from(sys::MOUNT_ATTR_RDONLY) } else { 0 };
        let parameters = inherited.into_iter().chain(given.clone()).filter(is_parameter);
        let tree = tree::create(root, kind, source, parameters, self.words.top.set & !late)?;
        set_attribute(&tree, given);
        if self.words.copy_up {
            copyup::copy(&target, &tree)?;
        }
        tree::change(tree.as_fd(), self.words.all)?;
        tree::change(tree.as_fd(), SetAttr { set: 0, clear: 0, ..self.words.top })?;
        tree::attach(&tree, target.as_fd())?;
        root.release(target);
        Ok(tree)
    }

    /// The directory a filesystem is mounted on. procfs and sysfs must be where they are said to be: other
    /// processes take for granted what they read in them, and a link in the image would put them where
    /// nobody masks them (CVE-2019-16884, CVE-2019-19921, CVE-2023-27561).
    fn target(&self, root: &Root, kind: &CStr) -> Result<OwnedFd> {
        match kind.to_bytes() {
            b"proc" | b"sysfs" => root.make_without_links(self.destination, Make::Directory),
            _ => root.make(self.destination, Make::Directory),
        }
    }

    /// A tmpfs with one directory for each hierarchy, and links for the controllers that share one.
    fn cgroups(&self, root: &Root, trees: &[(CString, Source<'_>)]) -> Result<()> {
        let directory = self.create(root, c"tmpfs", c"cgroup")?;
        for (name, source) in trees {
            let make = || {
                mkdirat(&directory, name.as_c_str(), Mode::from_raw_mode(0o755))
                    .on(format_args!("mkdirat"))?;
                let tree = source.take()?;
                tree::attach_at(&tree, &directory, name)?;
                root.release(tree);
                for alias in name
                    .to_bytes()
                    .split(|byte| *byte == b',')
                    .filter(|alias| alias.len() < name.count_bytes())
                {
                    symlinkat(name.as_c_str(), &directory, alias).on(format_args!("symlinkat"))?;
                }
                Ok(())
            };
            make().at(format_args!("{}", Show(name)))?;
        }
        // All of them at once; copies of shared mounts are in the host's peer group until then.
        tree::change(directory.as_fd(), self.words.all)?;
        let change = SetAttr { propagation: sys::MS_PRIVATE.into(), recursive: true, ..self.words.top };
        tree::change(directory.as_fd(), change)?;
        root.release(directory);
        Ok(())
    }

    /// Changes what is mounted at the destination already.
    fn remount(&self, root: &Root) -> Result<()> {
        let target = root.open(self.destination).on(format_args!("openat2"))?;
        tree::change(target.as_fd(), self.words.all)?;
        tree::change(target.as_fd(), self.words.top)?;
        if self.words.parameters.is_empty() {
            return Ok(());
        }
        let context =
            fspick(target.as_fd(), c"", FsPickFlags::FSPICK_CLOEXEC | FsPickFlags::FSPICK_EMPTY_PATH)
                .on(format_args!("fspick"))?;
        for (name, value) in &self.words.parameters {
            tree::configure(&context, name, value.as_deref())?;
        }
        fsconfig_reconfigure(context.as_fd()).map_err(|errno| {
            tree::explain(&context, errno, format_args!("fsconfig FSCONFIG_CMD_RECONFIGURE"))
        })
    }
}

impl<'a> Words<'a> {
    fn read(mount: &Mount<'a>) -> Result<Self> {
        let mut words = Words::default();
        words.all.recursive = true;
        for (index, text) in mount.options.iter().copied().enumerate() {
            let known = text.to_str().ok().and_then(word);
            match known {
                Some(Word::Later) => {
                    return Err(Error::unsupported(format_args!(
                        "options[{index}]: \"{}\" is not supported yet",
                        Show(text)
                    )));
                }
                Some(known) => words.take(known),
                None if text.is_empty() => {}
                None => words.parameter(text),
            }
        }
        Ok(words)
    }

    fn take(&mut self, word: Word) {
        let readonly = u64::from(sys::MOUNT_ATTR_RDONLY);
        match word {
            Word::Set(bit) => self.top.add(bit),
            Word::Clear(bit) => self.top.remove(bit),
            Word::SetAll(bit) => self.all.add(bit),
            Word::ClearAll(bit) => self.all.remove(bit),
            Word::Atime(rule, false) => self.top.atime(rule),
            Word::Atime(rule, true) => self.all.atime(rule),
            Word::ReadOnly => (self.top.set, self.writable) = (self.top.set | readonly, false),
            // Undoes an `ro` before it; what is read-only on the host is not opened up.
            Word::ReadWrite => (self.top.set, self.writable) = (self.top.set & !readonly, true),
            Word::Super(name) => self.parameters.push((name.into(), None)),
            Word::Propagation(kind, false) => self.top.propagation = kind.into(),
            Word::Propagation(kind, true) => self.all.propagation = kind.into(),
            Word::Bind(recursive) => self.bind = Some(self.bind.unwrap_or(false) || recursive),
            Word::Remount => self.remount = true,
            Word::CopyUp => self.copy_up = true,
            Word::Nothing | Word::Later => {}
        }
    }

    /// A word of the filesystem's own: `size=64k`, `newinstance`.
    fn parameter(&mut self, text: &'a CStr) {
        let bytes = text.to_bytes_with_nul();
        let pair = bytes.iter().position(|byte| *byte == b'=').and_then(|at| {
            let value = CStr::from_bytes_with_nul(bytes.get(at + 1..)?).ok()?;
            let name = CString::new(bytes.get(..at)?).ok()?;
            let value = if name.to_bytes().ends_with(b"context") { unquoted(value) } else { value.into() };
            Some((name, value))
        });
        self.parameters.push(match pair {
            Some((name, value)) => (name.into(), Some(value)),
            None => (text.into(), None),
        });
    }

    /// The container's label, of a filesystem that is made for it.
    fn label(&mut self, what: &What<'_>, label: Option<Label<'a>>) {
        let kind = match what {
            What::New { kind, .. } => Some(*kind),
            What::Cgroups(_) => Some(c"tmpfs"),
            What::Bind(_) | What::Remount => None,
        };
        let said = kind.zip(label).and_then(|(kind, label)| label_of(kind, label));
        self.parameters.extend(said.map(|(option, label)| (option.into(), Some(label.into()))));
    }

    /// A bind mount without a word on propagation shares nothing with the host's mount it is a copy of.
    fn private_by_default(&mut self, recursive: bool) {
        if self.all.propagation == 0 && self.top.propagation == 0 {
            let of = if recursive { &mut self.all } else { &mut self.top };
            of.propagation = sys::MS_PRIVATE.into();
        }
    }

    /// Words for the whole hierarchy are not a container's to say (cgroups(7): they are ignored); there are no others.
    fn drop_of_cgroup2(&mut self) -> Result<()> {
        const KNOWN: [&CStr; 5] = [
            c"nsdelegate",
            c"favordynmods",
            c"memory_localevents",
            c"memory_recursiveprot",
            c"memory_hugetlb_accounting",
        ];
        match self.parameters.iter().find(|(name, _)| !KNOWN.iter().any(|known| **known == **name)) {
            Some((name, _)) => refuse(format_args!("options: \"{}\" means nothing to cgroup2", Show(name))),
            None => {
                self.parameters.clear();
                Ok(())
            }
        }
    }

    /// A new filesystem of a device is read-only as a whole.
    fn of_new(&mut self, kind: &CStr) {
        if self.is_read_only() && !is_kernels_own(kind) {
            self.parameters.push((c"ro".into(), None));
        }
    }

    fn is_read_only(&self) -> bool {
        self.top.set & u64::from(sys::MOUNT_ATTR_RDONLY) != 0
    }
}

/// Filesystems without a device behind them: `ro` is of the mount, since others share the filesystem.
fn is_kernels_own(kind: &CStr) -> bool {
    const OWN: [&[u8]; 10] = [
        b"proc", b"sysfs", b"tmpfs", b"devpts", b"mqueue", b"cgroup", b"cgroup2", b"bpf", b"debugfs",
        b"tracefs",
    ];
    OWN.contains(&kind.to_bytes())
}

/// The permission bits of a mode as text: a tmpfs takes those of the directory it covers.
fn octal(mode: u32, space: &mut [u8; 8]) -> &CStr {
    for (place, byte) in space.iter_mut().enumerate().take(4) {
        *byte = b'0' + (mode >> (3 * (3 - place)) & 7) as u8;
    }
    CStr::from_bytes_until_nul(space).unwrap_or_default()
}
