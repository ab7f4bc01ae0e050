//! Masked and read-only paths (config-linux.md, "Masked Paths", "Readonly Paths").

use alloc::vec::Vec;
use core::ffi::CStr;

use linux_raw_sys::general as sys;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, fstat, makedev};
use rustix::io::Errno;

use super::label::Label;
use super::path::{Root, is_directory};
use super::tree;
use crate::error::{At, Error, On, Result, Show};
use crate::sys::mount::SetAttr;

/// The paths to mask or make read-only. Those that do not exist are ignored.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    masked: Vec<&'a CStr>,
    readonly: Vec<&'a CStr>,
    /// The label of the tmpfs over masked directories.
    label: Option<Label<'a>>,
}

/// The flags of a tmpfs that masks a directory, `MOUNT_ATTR_*`.
pub(super) const HIDDEN: u32 =
    sys::MOUNT_ATTR_RDONLY | sys::MOUNT_ATTR_NOSUID | sys::MOUNT_ATTR_NODEV | sys::MOUNT_ATTR_NOEXEC;

impl<'a> Plan<'a> {
    /// Plans the paths.
    pub fn new(masked: &[&'a CStr], readonly: &[&'a CStr], label: Option<Label<'a>>) -> Self {
        Plan { masked: masked.to_vec(), readonly: readonly.to_vec(), label }
    }

    /// Read-only paths come first: the recursive copy of a directory would otherwise include masks below it.
    pub fn apply(&self, root: &Root) -> Result<()> {
        for path in &self.readonly {
            read_only(root, path).at(format_args!("linux.readonlyPaths {}", Show(path)))?;
        }
        let mut cover = Cover::default();
        for path in &self.masked {
            cover.mask(root, path, self.label).at(format_args!("linux.maskedPaths {}", Show(path)))?;
        }
        cover.null.into_iter().chain(cover.empty).for_each(|fd| root.release(fd));
        Ok(())
    }
}

fn find(root: &Root, path: &CStr) -> Result<Option<OwnedFd>> {
    match root.open(path) {
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        found => found.map(Some).on(format_args!("openat2")),
    }
}

fn read_only(root: &Root, path: &CStr) -> Result<()> {
    let Some(target) = find(root, path)? else { return Ok(()) };
    let copy = tree::copy(target.as_fd(), true)?;
    let change = SetAttr { set: sys::MOUNT_ATTR_RDONLY.into(), recursive: true, ..SetAttr::default() };
    root.change_and_attach(copy, change, target)
}

/// The mounts that cover masked paths, created for the first path and copied for others.
#[derive(Default)]
struct Cover {
    null: Option<OwnedFd>,
    empty: Option<OwnedFd>,
}

impl Cover {
    fn mask(&mut self, root: &Root, path: &CStr, label: Option<Label<'_>>) -> Result<()> {
        let Some(target) = find(root, path)? else { return Ok(()) };
        let directory = is_directory(&target).on(format_args!("fstat"))?;
        let cover = match directory {
            true => &mut self.empty,
            false => &mut self.null,
        };
        if let Some(cover) = cover {
            return root.attach(tree::copy(cover.as_fd(), false)?, target);
        }
        if directory {
            // The first is attached itself: detached mounts can be copied only since linux 6.15.
            tree::attach(cover.insert(empty(root, label)?), target.as_fd())?;
            root.release(target);
            return Ok(());
        }
        root.attach(tree::copy(cover.insert(null(root)?).as_fd(), false)?, target)
    }
}

/// An empty tmpfs in which no file can be created.
fn empty(root: &Root, label: Option<Label<'_>>) -> Result<OwnedFd> {
    let parameters = [(c"nr_blocks", Some(c"1")), (c"nr_inodes", Some(c"1"))].into_iter();
    let label = label.map(|(option, label)| (option, Some(label)));
    root.create_filesystem(c"tmpfs", c"tmpfs", parameters.chain(label), HIDDEN.into())
}

/// The container's /dev/null. Its device number is checked: otherwise another file, from the image or a racing process,
/// would be mounted over masked paths such as /proc/kcore (CVE-2025-31133).
fn null(root: &Root) -> Result<OwnedFd> {
    let fd = root.open(c"/dev/null").on(format_args!("openat2 /dev/null"))?;
    let stat = fstat(&fd).on(format_args!("fstat /dev/null"))?;
    match FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == makedev(1, 3)
    {
        true => Ok(fd),
        false => Err(Error::invalid(format_args!("/dev/null is not the device 1:3"))),
    }
}
