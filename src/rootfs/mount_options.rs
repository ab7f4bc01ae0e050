//! The options of a mount, parsed.

use alloc::borrow::Cow;
use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::CStr;

use linux_raw_sys::general as sys;

use super::label::{Label, label_of, unquoted};
use super::option_table::{FOLLOWED, Links, MountOption, lookup};
use crate::config::Mount;
use crate::error::{Error, Result, Show, invalid};
use crate::sys::mount::SetAttr;

/// The options of a mount.
#[derive(Debug, Default)]
pub struct MountOptions<'a> {
    pub bind: Option<bool>,
    pub remount: bool,
    pub copy_up: bool,
    /// `rw` was the last word on it: it counts where something is remounted.
    pub writable: bool,
    /// Of the mount itself.
    pub top: SetAttr,
    /// Of the whole tree, first.
    pub all: SetAttr,
    pub parameters: Vec<(Cow<'a, CStr>, Option<Cow<'a, CStr>>)>,
}

/// The options of a bind mount about its source and its destination.
#[derive(Default)]
pub struct BindOptions<'a> {
    pub links: Links,
    /// The whole of that option.
    pub idmap: Option<&'a CStr>,
}

impl BindOptions<'_> {
    /// Nothing out of the ordinary.
    pub fn are_default(&self) -> bool {
        self.idmap.is_none() && self.links == FOLLOWED
    }

    /// What is no bind mount has none.
    #[cold]
    #[inline(never)]
    pub fn refuse<T>(&self) -> Result<T> {
        let word = match self.links {
            Links { copied: true, .. } => "copy-symlink",
            Links { source: true, .. } => "src-nofollow",
            Links { destination: true, .. } => "dest-nofollow",
            _ => "idmap",
        };
        invalid(format_args!("options: \"{word}\" is for a bind mount alone"))
    }
}

impl<'a> MountOptions<'a> {
    /// Parses the options of a mount.
    pub fn read(mount: &Mount<'a>) -> Result<(Self, BindOptions<'a>)> {
        let (mut words, mut ends) = (MountOptions::default(), BindOptions::default());
        words.all.recursive = true;
        for (index, text) in mount.options.iter().copied().enumerate() {
            let known = text.to_str().ok().and_then(lookup);
            match known {
                Some(MountOption::Unsupported) => {
                    return Err(Error::unsupported(format_args!(
                        "options[{index}]: \"{}\" is not supported yet",
                        Show(text)
                    )));
                }
                Some(MountOption::Idmap) => ends.idmap = Some(text),
                Some(MountOption::Link(links)) => ends.links.add(links),
                Some(known) => words.take(known),
                None if text.is_empty() => {}
                None => words.parameter(text),
            }
        }
        Ok((words, ends))
    }

    fn take(&mut self, option: MountOption) {
        let readonly = u64::from(sys::MOUNT_ATTR_RDONLY);
        match option {
            MountOption::Set(bit) => self.top.add(bit),
            MountOption::Clear(bit) => self.top.remove(bit),
            MountOption::SetAll(bit) => self.all.add(bit),
            MountOption::ClearAll(bit) => self.all.remove(bit),
            MountOption::Atime(rule, false) => self.top.atime(rule),
            MountOption::Atime(rule, true) => self.all.atime(rule),
            MountOption::ReadOnly => (self.top.set, self.writable) = (self.top.set | readonly, false),
            // Undoes an `ro` before it; what is read-only on the host is not opened up.
            MountOption::ReadWrite => (self.top.set, self.writable) = (self.top.set & !readonly, true),
            MountOption::Super(name) => self.parameters.push((name.into(), None)),
            MountOption::Propagation(kind, false) => self.top.propagation = kind.into(),
            MountOption::Propagation(kind, true) => self.all.propagation = kind.into(),
            MountOption::Bind(recursive) => self.bind = Some(self.bind.unwrap_or(false) || recursive),
            MountOption::Remount => self.remount = true,
            MountOption::CopyUp => self.copy_up = true,
            MountOption::Nothing | MountOption::Unsupported | MountOption::Idmap | MountOption::Link(_) => {}
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

    /// The container's label, of a filesystem of some kind that is made for it.
    pub fn label(&mut self, label: Option<(&CStr, Label<'a>)>) {
        let option = label.and_then(|(kind, label)| label_of(kind, label));
        self.parameters.extend(option.map(|(option, label)| (option.into(), Some(label.into()))));
    }

    /// A bind mount without a word on propagation shares nothing with the host's mount it is a copy of.
    pub fn private_by_default(&mut self, recursive: bool) {
        if self.all.propagation == 0 && self.top.propagation == 0 {
            let of = if recursive { &mut self.all } else { &mut self.top };
            of.propagation = sys::MS_PRIVATE.into();
        }
    }

    /// A bind mount has no filesystem of its own. runc refuses such words, too, crun passes them over.
    pub fn check_bind(&self, mount: &Mount<'_>) -> Result<()> {
        match self.parameters.first() {
            Some((name, _)) => refuse_word(mount, name, "a bind mount, whose filesystem is its source's"),
            None => Ok(()),
        }
    }

    /// A bind mount of cgroup v2. Words for the whole hierarchy are not a container's to say (cgroups(7): they are
    /// ignored); there are no others.
    pub fn check_cgroup2(&mut self, mount: &Mount<'_>) -> Result<()> {
        const KNOWN: [&CStr; 5] = [
            c"nsdelegate",
            c"favordynmods",
            c"memory_localevents",
            c"memory_recursiveprot",
            c"memory_hugetlb_accounting",
        ];
        match self.parameters.iter().find(|(name, _)| !KNOWN.iter().any(|known| **known == **name)) {
            Some((name, _)) => refuse_word(mount, name, "cgroup2, which is mounted already"),
            None => {
                self.parameters.clear();
                self.private_by_default(false);
                Ok(())
            }
        }
    }

    /// A new filesystem of a device is read-only as a whole.
    pub fn add_super_read_only(&mut self, kind: &CStr) {
        if self.is_read_only() && !is_kernels_own(kind) {
            self.parameters.push((c"ro".into(), None));
        }
    }

    /// Whether the mount itself is made read-only, by `ro` or with all below it.
    pub fn makes_read_only(&self) -> bool {
        (self.top.set | self.all.set & !self.top.clear) & u64::from(sys::MOUNT_ATTR_RDONLY) != 0
    }

    pub fn is_read_only(&self) -> bool {
        self.top.set & u64::from(sys::MOUNT_ATTR_RDONLY) != 0
    }
}

/// Refuses a word that is a filesystem's own, as it was written.
#[cold]
#[inline(never)]
fn refuse_word<T>(mount: &Mount<'_>, name: &CStr, what: &str) -> Result<T> {
    let is_it = |text: &CStr| {
        let rest = text.to_bytes().strip_prefix(name.to_bytes());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"="))
    };
    let index = mount.options.iter().position(|text| is_it(text)).unwrap_or_default();
    let word = Show(mount.options.get(index).copied().unwrap_or(name));
    invalid(format_args!("options[{index}]: \"{word}\" is no option of {what}: leave it out"))
}

/// Filesystems without a device behind them: `ro` is of the mount, since others share the filesystem.
fn is_kernels_own(kind: &CStr) -> bool {
    const OWN: [&[u8]; 10] = [
        b"proc", b"sysfs", b"tmpfs", b"devpts", b"mqueue", b"cgroup", b"cgroup2", b"bpf", b"debugfs",
        b"tracefs",
    ];
    OWN.contains(&kind.to_bytes())
}
