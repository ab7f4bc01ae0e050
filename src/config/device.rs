//! Devices: `linux.devices`, the device nodes to create, and `linux.resources.devices`, the rules for access to devices
//! (config-linux.md, "Devices", "Allowed Device list").

use core::ffi::CStr;

use super::values::absolute_file;
use super::values::id;
use crate::json::Decoder;
use crate::members;

/// An entry of `linux.devices`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Device<'a> {
    /// The absolute path of the device node in the container.
    pub path: &'a CStr,
    /// `type`.
    pub kind: DeviceKind,
    /// The major number, of 12 bits; 0 for a FIFO.
    pub major: u32,
    /// The minor number, of 20 bits; 0 for a FIFO.
    pub minor: u32,
    /// `fileMode`: the permission bits; `None` is 0666.
    pub file_mode: Option<u32>,
    /// The owner in the user namespace of the container; `None` is 0.
    pub uid: Option<u32>,
    /// The group in the user namespace of the container; `None` is 0.
    pub gid: Option<u32>,
}

/// The type of a device. `c` and `u` are the same on Linux.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceKind {
    /// A character device: `c` or `u`.
    #[default]
    Char,
    /// A block device: `b`.
    Block,
    /// A FIFO (fifo(7)): `p`.
    Fifo,
}

/// An entry of `linux.resources.devices`, the allowed device list, which is applied in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRule {
    /// Whether the access is allowed or denied.
    pub allow: bool,
    /// `a`, `b` or `c`.
    pub kind: u8,
    /// The major number; `None`, which is -1 in the file, matches all.
    pub major: Option<u32>,
    /// The minor number; `None`, which is -1 in the file, matches all.
    pub minor: Option<u32>,
    /// Bits of [`ACCESS_READ`], [`ACCESS_WRITE`] and [`ACCESS_MKNOD`].
    pub access: u8,
}

/// `r` in `access`.
pub const ACCESS_READ: u8 = 1;
/// `w` in `access`.
pub const ACCESS_WRITE: u8 = 2;
/// `m` in `access`.
pub const ACCESS_MKNOD: u8 = 4;

impl<'a> Device<'a> {
    pub(crate) fn read(d: &mut Decoder<'a>) -> Self {
        const KINDS: [(&str, DeviceKind); 4] = [
            ("c", DeviceKind::Char),
            ("u", DeviceKind::Char),
            ("b", DeviceKind::Block),
            ("p", DeviceKind::Fifo),
        ];
        let mut device = Device::default();
        let (mut kind, mut major, mut minor) = (None, None, None);
        members!(d, {
            "path" => device.path = absolute_file(d),
            "type" => kind = d.keyword("device type", &KINDS),
            "major" => major = Some(device_number(d, MAX_MAJOR)),
            "minor" => minor = Some(device_number(d, MAX_MINOR)),
            "fileMode" => device.file_mode = Some(file_mode(d)),
            "uid" => device.uid = Some(id(d)),
            "gid" => device.gid = Some(id(d)),
        });
        device.kind = d.need(kind, "type is missing");
        d.check(!device.path.is_empty(), "path is missing");
        if device.kind != DeviceKind::Fifo {
            (device.major, device.minor) = numbers(d, major, minor);
        }
        device
    }
}

/// The permission bits of a file mode. Engines write all of st_mode; its type bits are ignored in favour of `type`.
fn file_mode(d: &mut Decoder<'_>) -> u32 {
    let mode: u32 = d.integer();
    if mode > 0o177777 {
        d.fail(format_args!("{mode} is not a file mode"));
    }
    mode & 0o7777
}

impl DeviceRule {
    pub(crate) fn read(d: &mut Decoder<'_>) -> Self {
        const KINDS: [(&str, u8); 4] = [("a", b'a'), ("b", b'b'), ("c", b'c'), ("", b'a')];
        let mut rule = DeviceRule { allow: false, kind: b'a', major: None, minor: None, access: 0 };
        members!(d, {
            "allow" => rule.allow = d.boolean(),
            "type" => rule.kind = d.keyword("device type", &KINDS).unwrap_or(b'a'),
            "major" => rule.major = number_or_all(d, MAX_MAJOR),
            "minor" => rule.minor = number_or_all(d, MAX_MINOR),
            "access" => rule.access = access(d),
        });
        if rule.access == 0 {
            rule.access = ACCESS_READ | ACCESS_WRITE | ACCESS_MKNOD;
        }
        rule
    }
}

fn access(d: &mut Decoder<'_>) -> u8 {
    let mut bits = 0;
    for letter in d.string().chars() {
        bits |= match letter {
            'r' => ACCESS_READ,
            'w' => ACCESS_WRITE,
            'm' => ACCESS_MKNOD,
            other => {
                d.fail(format_args!("unknown access \"{other}\""));
                0
            }
        };
    }
    bits
}

/// The highest major number: 12 bits (include/linux/kdev_t.h).
pub(crate) const MAX_MAJOR: u32 = 0xfff;
/// The highest minor number: 20 bits.
pub(crate) const MAX_MINOR: u32 = 0xf_ffff;

/// A device number, or `None` for -1, which engines write for all numbers. Numbers above `most` are rejected: the
/// cgroup would read 4294967295 as all, and mknod(2) would drop higher bits.
fn number_or_all(d: &mut Decoder<'_>, most: u32) -> Option<u32> {
    match d.integer::<i64>() {
        -1 => None,
        value => {
            let number = u32::try_from(value).ok().filter(|number| *number <= most);
            if number.is_none() {
                d.fail(format_args!("{value} is not a device number"));
            }
            number
        }
    }
}

/// A major or minor number, of type int64 in the specification; at most `most`.
pub(crate) fn device_number(d: &mut Decoder<'_>, most: u32) -> u32 {
    let number = number_or_all(d, most);
    d.need(number, "-1 is not a device number")
}

/// The major and minor number of a device; one of them may be missing, and is 0 then.
pub(crate) fn numbers(d: &mut Decoder<'_>, major: Option<u32>, minor: Option<u32>) -> (u32, u32) {
    d.check(major.is_some() || minor.is_some(), "major and minor are missing");
    (major.unwrap_or(0), minor.unwrap_or(0))
}
