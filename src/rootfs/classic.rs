//! Filesystems with options that fsconfig(2) does not have (`iversion`), or that are too long for it: its strings have at
//! most 255 bytes, and `lowerdir` of an overlay is often longer. Layers of an overlay are passed one by one if the kernel supports it (linux 6.8,
//! `lowerdir+`); otherwise mount(2) is called, with one page of options.

use core::ffi::CStr;
use core::fmt::Write;

use linux_raw_sys::general as sys;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::mount_namespace::Beneath;
use super::option_table::INODE_VERSIONS;
use super::path::Root;
use super::path_text::text;
use super::tree::{self, LONGEST, Parameter};
use crate::error::{Error, On, Result, Show};
use crate::sys::mount::SetAttr;

/// The limit of mount(2) for options, with the NUL: a page. This is the smallest page size of linux.
const PAGE: usize = 4096;

/// Whether fsconfig(2) does not have an option, or the source or an option is too long for it.
pub fn is_needed<'a>(source: &CStr, mut parameters: impl Iterator<Item = Parameter<'a>>) -> bool {
    let long = |text: &CStr| text.count_bytes() > LONGEST;
    long(source)
        || parameters.any(|(name, value)| name == INODE_VERSIONS || long(name) || value.is_some_and(long))
}

/// Creates a filesystem as a detached mount, like [`Root::create_filesystem`].
#[cold]
#[inline(never)]
pub fn create<'a>(
    root: &Root,
    kind: &CStr,
    source: &CStr,
    parameters: impl Iterator<Item = Parameter<'a>> + Clone,
    attributes: u64,
) -> Result<OwnedFd> {
    let others = parameters.clone().filter(|parameter| !is_layers(parameter));
    if kind == c"overlay" && !is_needed(source, others) {
        let set = |context: &OwnedFd| parameters.clone().try_for_each(|parameter| give(context, parameter));
        match tree::filesystem_with(kind, source, set, attributes) {
            // The kernel is older, or the path of one layer is too long. Errors that remain are those of mount(2).
            Err(error) if error.is(Errno::INVAL) => {}
            Err(error) => return Err(error),
            Ok((context, tree)) => {
                root.release(context);
                return Ok(tree);
            }
        }
    }
    by_mount(root, kind, source, parameters, attributes)
}

fn is_layers(parameter: &Parameter<'_>) -> bool {
    matches!(parameter, (name, Some(_)) if **name == *c"lowerdir")
}

/// Sets a parameter of an overlay; of `lowerdir`, each layer by itself.
fn give(context: &OwnedFd, parameter: Parameter<'_>) -> Result<()> {
    let (name, Some(value)) = parameter else { return tree::configure(context, parameter.0, None) };
    if !is_layers(&parameter) {
        return tree::configure(context, name, Some(value));
    }
    // As in the kernel's overlayfs documentation: layers after "::" are data-only, and a backslash escapes a colon.
    let mut key = c"lowerdir+";
    let mut rest = value.to_bytes();
    loop {
        let mut layer = [0u8; LONGEST + 1];
        rest = next_layer(rest, &mut layer).ok_or(Errno::INVAL).on(format_args!("fsconfig {}", Show(key)))?;
        match layer {
            [0, ..] => key = c"datadir+",
            _ => tree::configure(context, key, Some(text(&layer)))?,
        }
        match rest.split_first() {
            Some((_, behind)) => rest = behind,
            None => return Ok(()),
        }
    }
}

/// Copies the path of the first layer, unescaped; returns the rest of the text, from the colon on. `None` if the path
/// is too long.
fn next_layer<'t>(text: &'t [u8], layer: &mut [u8; LONGEST + 1]) -> Option<&'t [u8]> {
    let (mut bytes, mut length) = (text.iter().enumerate(), 0);
    while let Some((at, byte)) = bytes.next() {
        let byte = match byte {
            b':' => return text.get(at..),
            b'\\' => bytes.next().map_or(byte, |(_, escaped)| escaped),
            byte => byte,
        };
        // The last byte remains NUL.
        *layer.get_mut(..LONGEST)?.get_mut(length)? = *byte;
        length += 1;
    }
    Some(&[])
}

/// Creates a filesystem with mount(2), which always attaches it: temporarily over the root of this mount namespace,
/// from where it is copied. Relative paths in the options are resolved in the working directory, as by fsconfig(2).
fn by_mount<'a>(
    root: &Root,
    kind: &CStr,
    source: &CStr,
    parameters: impl Iterator<Item = Parameter<'a>>,
    attributes: u64,
) -> Result<OwnedFd> {
    if root.beneath() == Some(Beneath::Nothing) {
        let why = format_args!(
            "options: {}: needs mount(2), and a mount namespace in linux.namespaces",
            Show(kind)
        );
        return Err(Error::invalid(why));
    }
    let mut data = Data { bytes: [0; PAGE], length: 0 };
    let mut flags = MountFlags::empty();
    for (name, value) in parameters {
        match (flag(name), value) {
            (Some(flag), None) => flags |= flag,
            _ if data.add(name, value).is_err() => {
                let most = PAGE - 1;
                return Err(Error::invalid(format_args!(
                    "options: longer than {most} bytes in total, the limit of mount(2)"
                )));
            }
            _ => {}
        }
    }
    mount(source, c"/", kind, flags, text(&data.bytes)).on(format_args!("mount {}", Show(kind)))?;
    let tree = open(TOP, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .on(format_args!("openat {}", Show(TOP)))
        .and_then(|top| {
            let clear = sys::MOUNT_ATTR__ATIME.into();
            let change = SetAttr { set: attributes, clear, ..SetAttr::default() };
            // Changed first, because a detached copy can be changed only since linux 5.12.
            let tree = tree::change(top.as_fd(), change).and_then(|()| tree::copy(top.as_fd(), false));
            root.release(top);
            tree
        });
    unmount(TOP, UnmountFlags::DETACH).on(format_args!("umount2 {}", Show(TOP)))?;
    tree
}

/// The topmost mount over the root: `/` itself refers to the root beneath, but `..` of it to the topmost mount
/// (path_resolution(7)).
const TOP: &CStr = c"/..";

/// The flag of mount(2), `MS_*`, for a flag parameter of fsconfig(2).
fn flag(name: &CStr) -> Option<MountFlags> {
    Some(match name.to_bytes() {
        b"ro" => MountFlags::RDONLY,
        b"sync" => MountFlags::SYNCHRONOUS,
        b"dirsync" => MountFlags::DIRSYNC,
        b"lazytime" => MountFlags::LAZYTIME,
        b"iversion" => MountFlags::from_bits_retain(sys::MS_I_VERSION),
        b"mand" => MountFlags::PERMIT_MANDATORY_FILE_LOCKING,
        b"async" | b"nolazytime" | b"nomand" => MountFlags::empty(),
        _ => return None,
    })
}

/// Options in the format of mount(2): separated by commas.
struct Data {
    bytes: [u8; PAGE],
    length: usize,
}

impl Data {
    fn add(&mut self, name: &CStr, value: Option<&CStr>) -> core::fmt::Result {
        if self.length > 0 {
            self.write_char(',')?;
        }
        self.put(name.to_bytes())?;
        let Some(value) = value.map(CStr::to_bytes) else { return Ok(()) };
        // An SELinux label may contain commas.
        let quote = if name.to_bytes().ends_with(b"context") && value.contains(&b',') { "\"" } else { "" };
        self.write_str("=")?;
        self.write_str(quote)?;
        self.put(value)?;
        self.write_str(quote)
    }

    /// Appends text; at least one NUL remains after it.
    fn put(&mut self, text: &[u8]) -> core::fmt::Result {
        let end = self.length + text.len();
        let place = self.bytes.get_mut(..PAGE - 1).and_then(|bytes| bytes.get_mut(self.length..end));
        place.ok_or(core::fmt::Error)?.copy_from_slice(text);
        self.length = end;
        Ok(())
    }
}

impl Write for Data {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.put(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn layers_of_an_overlay() {
        let layers = |list: &str| {
            let (mut rest, mut found) = (list.as_bytes().to_vec(), Vec::new());
            loop {
                let mut layer = [0; LONGEST + 1];
                let behind = next_layer(&rest, &mut layer)?.to_vec();
                found.push(std::string::String::from(text(&layer).to_str().unwrap()));
                match behind.split_first() {
                    Some((_, next)) => rest = next.to_vec(),
                    None => return Some(found.join(" ")),
                }
            }
        };
        assert_eq!(layers("/a:/b").as_deref(), Some("/a /b"));
        assert_eq!(layers(r"/a\:b:/c\\d::/e").as_deref(), Some(r"/a:b /c\d  /e"));
        assert_eq!(layers(&"x".repeat(LONGEST)).as_deref(), Some(&*"x".repeat(LONGEST)));
        assert_eq!(layers(&"x".repeat(LONGEST + 1)), None);
    }

    #[test]
    fn options_fill_a_page() {
        let mut data = Data { bytes: [0; PAGE], length: 0 };
        data.add(c"a", None).unwrap();
        data.add(c"context", Some(c"x:s0:c1,c2")).unwrap();
        data.add(c"b", Some(c"1")).unwrap();
        assert_eq!(CStr::from_bytes_until_nul(&data.bytes), Ok(c"a,context=\"x:s0:c1,c2\",b=1"));
        let rest = "y".repeat(PAGE - 1 - data.length - ",c=".len());
        data.add(c"c", Some(&std::ffi::CString::new(rest).unwrap())).unwrap();
        assert_eq!(CStr::from_bytes_until_nul(&data.bytes).unwrap().count_bytes(), PAGE - 1);
        assert!(data.add(c"", None).is_err());
    }
}
