//! Parsing of `mounts[].options`.

use alloc::borrow::Cow;
use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::CStr;

use linux_raw_sys::general as sys;

use super::label::{Label, label_of, unquoted};
use super::option_table::{FOLLOWED, Links, MountOption, lookup};
use crate::config::Mount;
use crate::error::{Result, Show, invalid};
use crate::sys::mount::SetAttr;

/// The parsed options of a mount.
#[derive(Debug, Default)]
pub struct MountOptions<'a> {
    pub bind: Option<bool>,
    pub remount: bool,
    pub copy_up: bool,
    /// Whether `rw` is given, after any `ro`; a remount then clears the read-only flag.
    pub writable: bool,
    /// Flags of the mount itself.
    pub top: SetAttr,
    /// Flags of the whole tree, set before `top`.
    pub all: SetAttr,
    /// Parameters of the filesystem.
    pub parameters: Parameters<'a>,
}

/// Parameters of a filesystem: (name, value).
pub type Parameters<'a> = Vec<(Cow<'a, CStr>, Option<Cow<'a, CStr>>)>;

/// The options of a bind mount that concern links and ID mappings.
#[derive(Default)]
pub struct BindOptions<'a> {
    pub links: Links,
    /// The option `idmap` or `ridmap`, with its value.
    pub idmap: Option<&'a CStr>,
}

impl BindOptions<'_> {
    /// Whether none of these options is given.
    pub fn are_default(&self) -> bool {
        self.idmap.is_none() && self.links == FOLLOWED
    }

    /// Rejects them for a mount that is not a bind mount, except for ID mappings if it is `new` a filesystem.
    #[cold]
    #[inline(never)]
    pub fn check_other(&self, new: bool) -> Result<()> {
        let (word, and) = match self.links {
            Links { copied: true, .. } => ("copy-symlink", ""),
            Links { source: true, .. } => ("src-nofollow", ""),
            Links { destination: true, .. } => ("dest-nofollow", ""),
            _ if new => return Ok(()),
            _ => ("idmap", " and new filesystems"),
        };
        invalid(format_args!("options: \"{word}\" is valid only for bind mounts{and}"))
    }
}

impl<'a> MountOptions<'a> {
    /// Parses the options of a mount. Errors: an option is unsupported.
    pub fn read(mount: &Mount<'a>) -> Result<(Self, BindOptions<'a>)> {
        let (mut options, mut bind) = (MountOptions::default(), BindOptions::default());
        options.all.recursive = true;
        for text in mount.options.iter().copied() {
            let parsed = text.to_str().ok().and_then(lookup);
            match parsed {
                Some(MountOption::Idmap) => bind.idmap = Some(text),
                Some(MountOption::Link(links)) => bind.links.add(links),
                Some(parsed) => options.take(parsed),
                None if text.is_empty() => {}
                None => options.parameter(text),
            }
        }
        Ok((options, bind))
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
            // Reverts an earlier `ro`. A bind source that is read-only on the host is not made writable.
            MountOption::ReadWrite => (self.top.set, self.writable) = (self.top.set & !readonly, true),
            MountOption::Super(name) => self.parameters.push((name.into(), None)),
            MountOption::Propagation(kind, false) => self.top.propagation = kind.into(),
            MountOption::Propagation(kind, true) => self.all.propagation = kind.into(),
            MountOption::Bind(recursive) => self.bind = Some(self.bind.unwrap_or(false) || recursive),
            MountOption::Remount => self.remount = true,
            MountOption::CopyUp => self.copy_up = true,
            MountOption::Nothing | MountOption::Idmap | MountOption::Link(_) => {}
        }
    }

    /// Adds a parameter of the filesystem: `size=64k`, `newinstance`.
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

    /// Adds the SELinux label, for a new filesystem of the given type.
    pub fn label(&mut self, label: Option<(&CStr, Label<'a>)>) {
        let option = label.and_then(|(kind, label)| label_of(kind, label));
        self.parameters.extend(option.map(|(option, label)| (option.into(), Some(label.into()))));
    }

    /// Makes a bind mount without a propagation option private; otherwise it would be in the peer group of its source.
    pub fn private_by_default(&mut self, recursive: bool) {
        if self.all.propagation == 0 && self.top.propagation == 0 {
            let of = if recursive { &mut self.all } else { &mut self.top };
            of.propagation = sys::MS_PRIVATE.into();
        }
    }

    /// Rejects parameters of the filesystem for a bind mount, as runc does; crun ignores them.
    pub fn check_bind(&self, mount: &Mount<'_>) -> Result<()> {
        match self.parameters.first() {
            Some((name, _)) => refuse_word(mount, name, "bind mounts"),
            None => Ok(()),
        }
    }

    /// Checks the options of a cgroup v2 mount, which is made as a bind mount. All valid parameters concern the whole
    /// hierarchy and are ignored, as the kernel does outside of the initial namespaces (cgroups(7)). Others are
    /// rejected.
    pub fn check_cgroup2(&mut self, mount: &Mount<'_>) -> Result<()> {
        const KNOWN: [&CStr; 5] = [
            c"nsdelegate",
            c"favordynmods",
            c"memory_localevents",
            c"memory_recursiveprot",
            c"memory_hugetlb_accounting",
        ];
        match self.parameters.iter().find(|(name, _)| !KNOWN.iter().any(|known| **known == **name)) {
            Some((name, _)) => refuse_word(mount, name, "cgroup v2 mounts"),
            None => {
                self.parameters.clear();
                self.private_by_default(false);
                Ok(())
            }
        }
    }

    /// Makes the filesystem itself read-only for `ro`, if it is one of a device.
    pub fn add_super_read_only(&mut self, kind: &CStr) {
        if self.is_read_only() && !is_kernels_own(kind) {
            self.parameters.push((c"ro".into(), None));
        }
    }

    /// Whether the top mount is made read-only, by `ro` or `rro`.
    pub fn makes_read_only(&self) -> bool {
        (self.top.set | self.all.set & !self.top.clear) & u64::from(sys::MOUNT_ATTR_RDONLY) != 0
    }

    /// Whether `ro` is given.
    pub fn is_read_only(&self) -> bool {
        self.top.set & u64::from(sys::MOUNT_ATTR_RDONLY) != 0
    }
}

/// The error for a filesystem parameter, with the option as it is written in config.json.
#[cold]
#[inline(never)]
fn refuse_word<T>(mount: &Mount<'_>, name: &CStr, what: &str) -> Result<T> {
    let is_it = |text: &CStr| {
        let rest = text.to_bytes().strip_prefix(name.to_bytes());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"="))
    };
    let index = mount.options.iter().position(|text| is_it(text)).unwrap_or_default();
    let word = Show(mount.options.get(index).copied().unwrap_or(name));
    invalid(format_args!("options[{index}]: \"{word}\" is not valid for {what}: remove it"))
}

/// Whether a filesystem has no block device. `ro` then applies to the mount only, because other mounts may share the
/// filesystem.
pub fn is_kernels_own(kind: &CStr) -> bool {
    const OWN: [&[u8]; 10] = [
        b"proc", b"sysfs", b"tmpfs", b"devpts", b"mqueue", b"cgroup", b"cgroup2", b"bpf", b"debugfs",
        b"tracefs",
    ];
    OWN.contains(&kind.to_bytes())
}
