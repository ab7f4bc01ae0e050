//! Entries of `mounts` that create a filesystem, or remount one.

use alloc::ffi::CString;
use core::ffi::CStr;

use linux_raw_sys::general as sys;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, fstat, mkdirat, symlinkat};
use rustix::io::Errno;
use rustix::mount::{FsPickFlags, fsconfig_reconfigure, fspick};

use super::label::{is_parameter, set_attribute};
use super::op::Op;
use super::path::{Make, Root};
use super::source::Source;
use super::{classic, copyup, explain, tree};
use crate::error::{At, Error, On, Result, Show};
use crate::sys::mount::SetAttr;

impl Op<'_> {
    /// Creates a filesystem and attaches it at the destination.
    pub(super) fn create(&self, root: &mut Root, kind: &CStr, source: &CStr) -> Result<OwnedFd> {
        let (target, new) = self.target(root, kind)?;
        let mut mode = [0u8; 8];
        let given = self.options.parameters.iter().map(|(name, value)| (&**name, value.as_deref()));
        // The default mode of a tmpfs is that of the directory it covers, if that existed before; otherwise 1777.
        let inherits = kind == c"tmpfs" && !new && !given.clone().any(|(name, _)| name == c"mode");
        let inherited = match inherits {
            true => {
                Some((c"mode", Some(octal(fstat(&target).on(format_args!("fstat"))?.st_mode, &mut mode))))
            }
            false => None,
        };
        let late = if kind == c"tmpfs" { u64::from(sys::MOUNT_ATTR_RDONLY) } else { 0 };
        let parameters = inherited.into_iter().chain(given.clone()).filter(is_parameter);
        let attributes = self.options.top.set & !late;
        let hosts = root.visible.take(kind);
        if let Some(hosts) = &hosts {
            tree::attach(hosts, target.as_fd())?;
        }
        let made = match classic::is_needed(source, parameters.clone()) {
            true => classic::create(root, kind, source, parameters, attributes),
            false => root.create_filesystem(kind, source, parameters, attributes),
        };
        hosts.as_ref().map_or(Ok(()), tree::detach)?;
        let (tree, first) = match made {
            Err(error) if kind == c"sysfs" && error.is(Errno::PERM) => self.hosts_sysfs(error)?,
            made => (made?, SetAttr::default()),
        };
        set_attribute(&tree, given);
        if self.options.copy_up {
            copyup::copy(&target, &tree)?;
        }
        let changes = [first, self.options.all, SetAttr { set: 0, clear: 0, ..self.options.top }];
        let attach = || tree::attach(&tree, target.as_fd());
        tree::change_and_attach(&tree, &changes, root.is_hidden(), attach)?;
        root.release(target);
        Ok(tree)
    }

    /// Copies the host's /sys with all mounts below it, which cannot be left out (mount_namespaces(7), locked mounts),
    /// and returns the change that makes all of them read-only. For use after a new sysfs was denied, because the user
    /// namespace does not own the network namespace.
    ///
    /// Errors: `refused`, the error of the new sysfs, if the mount is not to be read-only.
    #[cold]
    #[inline(never)]
    fn hosts_sysfs(&self, refused: Error) -> Result<(OwnedFd, SetAttr)> {
        if !self.options.is_read_only() {
            return Err(refused);
        }
        let tree = tree::copy_path(c"/sys", true, false).on(format_args!("open_tree /sys"))?;
        // Flags of access times are locked on mounts from another user namespace.
        let set = self.options.top.set & !u64::from(sys::MOUNT_ATTR__ATIME);
        let change =
            SetAttr { set, propagation: sys::MS_PRIVATE.into(), recursive: true, ..SetAttr::default() };
        Ok((tree, change))
    }

    /// Opens or creates the mount point, and returns whether it was created. procfs and sysfs are not mounted through
    /// symbolic links: a link in the image could put them where their files are not masked, while processes read
    /// another file at the expected path (CVE-2019-16884, CVE-2019-19921, CVE-2023-27561).
    fn target(&self, root: &mut Root, kind: &CStr) -> Result<(OwnedFd, bool)> {
        match kind.to_bytes() {
            b"proc" | b"sysfs" => {
                root.make_without_links(self.destination, Make::Directory).map(|fd| (fd, false))
            }
            _ => self.place(root, Make::Directory),
        }
    }

    /// Mounts a tmpfs with one directory for each hierarchy, and links for controllers that share a hierarchy
    /// (`cpu -> cpu,cpuacct`).
    pub(super) fn cgroups(&self, root: &mut Root, trees: &[(CString, Source<'_>)]) -> Result<()> {
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
        // One call for all mounts. Until then, copies of shared mounts are in the host's peer group.
        tree::change(directory.as_fd(), self.options.all)?;
        let change = SetAttr { propagation: sys::MS_PRIVATE.into(), recursive: true, ..self.options.top };
        tree::change(directory.as_fd(), change)?;
        self.made(root, directory);
        Ok(())
    }

    /// Changes flags of the mount at the destination, and parameters of its filesystem.
    pub(super) fn remount(&self, root: &Root) -> Result<()> {
        let target = root.open(self.destination).on(format_args!("openat2"))?;
        tree::change(target.as_fd(), self.options.all)?;
        tree::change(target.as_fd(), self.options.top)?;
        if self.options.parameters.is_empty() {
            return Ok(());
        }
        let context =
            fspick(target.as_fd(), c"", FsPickFlags::FSPICK_CLOEXEC | FsPickFlags::FSPICK_EMPTY_PATH)
                .on(format_args!("fspick"))?;
        for (name, value) in &self.options.parameters {
            tree::configure(&context, name, value.as_deref())?;
        }
        fsconfig_reconfigure(context.as_fd()).map_err(|errno| {
            let what = format_args!("fsconfig FSCONFIG_CMD_RECONFIGURE");
            explain::context(&context, errno, what, |what| Error::system(errno, what))
        })
    }
}

/// The permission bits of a mode as octal text, for the `mode` parameter of tmpfs.
fn octal(mode: u32, space: &mut [u8; 8]) -> &CStr {
    for (place, byte) in space.iter_mut().enumerate().take(4) {
        *byte = b'0' + (mode >> (3 * (3 - place)) & 7) as u8;
    }
    CStr::from_bytes_until_nul(space).unwrap_or_default()
}
