//! The top of config.json (config.md): version, root, mounts, hostname, annotations and the sections.

use alloc::vec::Vec;
use core::ffi::CStr;

use super::hooks::Hooks;
use super::linux::{self, IdMapping, Linux};
use super::process::Process;
use super::version;
use crate::error::Result;
use crate::json::Decoder;
use crate::{elements, entries, members};

/// A whole config.json.
#[derive(Debug, Default)]
pub struct Config<'a> {
    pub oci_version: &'a str,
    pub root: Root<'a>,
    pub mounts: Vec<Mount<'a>>,
    pub process: Option<Process<'a>>,
    pub hostname: Option<&'a CStr>,
    pub domainname: Option<&'a CStr>,
    pub hooks: Hooks<'a>,
    /// Sorted by key.
    pub annotations: Vec<(&'a CStr, &'a CStr)>,
    pub linux: Linux<'a>,
}

/// `root`: the container's root filesystem.
#[derive(Debug, Default)]
pub struct Root<'a> {
    /// Absolute, or relative to the bundle.
    pub path: &'a CStr,
    pub readonly: bool,
}

/// One of `mounts`.
#[derive(Debug, Default)]
pub struct Mount<'a> {
    pub destination: &'a CStr,
    pub source: Option<&'a CStr>,
    pub kind: Option<&'a CStr>,
    pub options: Vec<&'a CStr>,
    pub uid_mappings: Vec<IdMapping>,
    pub gid_mappings: Vec<IdMapping>,
}

impl<'a> Config<'a> {
    /// Decodes a config.json; `name` is what errors call it. The buffer is written to (see [`crate::json`]).
    pub fn decode(name: &'a str, text: &'a mut [u8]) -> Result<Self> {
        let mut decoder = Decoder::new(name, text)?;
        let config = Self::read(&mut decoder)?;
        decoder.finish()?;
        Ok(config)
    }

    fn read(d: &mut Decoder<'a>) -> Result<Self> {
        let mut config = Config::default();
        let mut root = None;
        members!(d, {
            "ociVersion" => config.oci_version = oci_version(d)?,
            "root" => root = Some(Root::read(d)?),
            "mounts" => config.mounts = elements!(d, Mount::read(d)?),
            "process" => config.process = Some(Process::read(d)?),
            "hostname" => config.hostname = Some(d.cstr()?),
            "domainname" => config.domainname = Some(d.cstr()?),
            "hooks" => config.hooks = Hooks::read(d)?,
            "annotations" => config.annotations = annotations(d)?,
            "linux" => config.linux = Linux::read(d)?,
        });
        if config.oci_version.is_empty() {
            return Err(d.fail(format_args!("ociVersion is missing")));
        }
        config.root = root.ok_or_else(|| d.fail(format_args!("root is missing")))?;
        Ok(config)
    }
}

fn oci_version<'a>(d: &mut Decoder<'a>) -> Result<&'a str> {
    let text = d.string()?;
    match version::is_supported(text) {
        true => Ok(text),
        false => Err(d.fail(format_args!("\"{text}\" is not a version 1.x.y of the specification"))),
    }
}

fn annotations<'a>(d: &mut Decoder<'a>) -> Result<Vec<(&'a CStr, &'a CStr)>> {
    Ok(entries!(d, key, {
        if key.is_empty() {
            return Err(d.fail(format_args!("an annotation without a name")));
        }
        d.cstr()?
    }))
}

impl<'a> Root<'a> {
    fn read(d: &mut Decoder<'a>) -> Result<Self> {
        let mut root = Root::default();
        members!(d, {
            "path" => root.path = d.cstr()?,
            "readonly" => root.readonly = d.boolean()?,
        });
        match root.path.is_empty() {
            true => Err(d.fail(format_args!("path is missing or empty"))),
            false => Ok(root),
        }
    }
}

impl<'a> Mount<'a> {
    fn read(d: &mut Decoder<'a>) -> Result<Self> {
        let mut mount = Mount::default();
        members!(d, {
            "destination" => mount.destination = d.cstr()?,
            "source" => mount.source = Some(d.cstr()?),
            "type" => mount.kind = Some(d.cstr()?),
            "options" => mount.options = elements!(d, d.cstr()?),
            "uidMappings" => mount.uid_mappings = linux::id_mappings(d)?,
            "gidMappings" => mount.gid_mappings = linux::id_mappings(d)?,
        });
        if mount.destination.is_empty() {
            return Err(d.fail(format_args!("destination is missing or empty")));
        }
        if mount.uid_mappings.is_empty() != mount.gid_mappings.is_empty() {
            return Err(d.fail(format_args!("uidMappings and gidMappings must be given together")));
        }
        Ok(mount)
    }
}
