//! The top-level object of config.json (config.md): version, root, mounts, hostname, annotations and the other
//! sections.

use alloc::vec::Vec;
use core::ffi::CStr;

use super::hooks::Hooks;
use super::linux::{self, IdMapping, Linux};
use super::process::Process;
use super::version::{self, CURRENT};
use crate::error::Result;
use crate::json::Decoder;
use crate::members;

/// A complete config.json.
#[derive(Debug, Default)]
pub struct Config<'a> {
    /// `ociVersion` without a leading `v`: any version 1.x.y.
    pub oci_version: &'a str,
    /// The root filesystem.
    pub root: Root<'a>,
    /// The mounts, in the order in which they are made.
    pub mounts: Vec<Mount<'a>>,
    /// The program; `None` if the section is missing.
    pub process: Option<Process<'a>>,
    /// The hostname of a new UTS namespace (uts_namespaces(7)).
    pub hostname: Option<&'a CStr>,
    /// The NIS domain name of a new UTS namespace (setdomainname(2)).
    pub domainname: Option<&'a CStr>,
    /// The hooks of all hook points.
    pub hooks: Hooks<'a>,
    /// Sorted by key.
    pub annotations: Vec<(&'a CStr, &'a CStr)>,
    /// The settings of config-linux.md.
    pub linux: Linux<'a>,
}

/// `root`: the container's root filesystem.
#[derive(Debug, Default)]
pub struct Root<'a> {
    /// Absolute, or relative to the bundle.
    pub path: &'a CStr,
    /// Whether the root is mounted read-only.
    pub readonly: bool,
}

/// An entry of `mounts`.
#[derive(Debug, Default)]
pub struct Mount<'a> {
    /// The absolute path in the container; a relative one is below its root.
    pub destination: &'a CStr,
    /// A path, for bind mounts relative to the bundle, or the name of the filesystem (mount(2)).
    pub source: Option<&'a CStr>,
    /// `type`: the filesystem; without effect for a bind mount.
    pub kind: Option<&'a CStr>,
    /// Options as in [`OPTIONS`](crate::rootfs::option_table::OPTIONS), and parameters of the filesystem.
    pub options: Vec<&'a CStr>,
    /// `uidMappings` of an idmapped mount; empty if there are no `gidMappings`.
    pub uid_mappings: Vec<IdMapping>,
    /// `gidMappings` of an idmapped mount.
    pub gid_mappings: Vec<IdMapping>,
}

impl<'a> Config<'a> {
    /// Decodes a config.json; `name` is its name in errors. The buffer is written to (see [`crate::json`]).
    ///
    /// Errors: [`Kind::Invalid`](crate::error::Kind::Invalid), with line, column and field path, for the first value
    /// that is not valid.
    pub fn decode(name: &'a str, text: &'a mut [u8]) -> Result<Self> {
        let mut decoder = Decoder::new(name, text);
        let mut config = Config::default();
        config.read(&mut decoder);
        decoder.finish().map(|()| config)
    }

    /// The value of an annotation.
    pub fn annotation(&self, key: &CStr) -> Option<&'a CStr> {
        self.annotations.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }

    /// The socket that receives the listener fd of a seccomp filter with SCMP_ACT_NOTIFY: `listenerPath`, or an older
    /// annotation of crun.
    pub fn seccomp_receiver(&self) -> Option<&'a CStr> {
        let path = self.linux.seccomp.as_ref().and_then(|seccomp| seccomp.listener_path);
        path.or_else(|| self.annotation(c"run.oci.seccomp.receiver"))
    }

    /// Sets the socket that [`Config::seccomp_receiver`] returns, if the configuration contains none.
    pub fn set_seccomp_receiver(&mut self, path: Option<&'a CStr>) {
        if path.is_some()
            && self.seccomp_receiver().is_none()
            && let Some(section) = &mut self.linux.seccomp
        {
            section.listener_path = path;
        }
    }

    // Not inlined into the caller, which makes the plan in the same function.
    #[inline(never)]
    fn read(&mut self, d: &mut Decoder<'a>) {
        let mut root = false;
        members!(d, {
            "ociVersion" => self.oci_version = oci_version(d),
            "root" => { self.root.read(d); root = true },
            "mounts" => self.mounts = d.list(Mount::read),
            "process" => self.process.insert(Process::default()).read(d),
            "hostname" => self.hostname = Some(d.cstr()),
            "domainname" => self.domainname = Some(d.cstr()),
            "hooks" => self.hooks.read(d),
            "annotations" => self.annotations = d.map(annotation),
            "linux" => self.linux.read(d),
        });
        if self.oci_version.is_empty() {
            d.fail(format_args!(
                "ociVersion is missing: the version of the specification, such as \"{CURRENT}\""
            ));
        }
        d.check(root, "root is missing");
    }
}

/// Decodes a document that consists of a list of mounts only; `name` is the document's name in errors.
pub fn mounts<'a>(name: &'a str, text: &'a mut [u8]) -> Result<Vec<Mount<'a>>> {
    let mut decoder = Decoder::new(name, text);
    let mounts = decoder.list(Mount::read);
    decoder.finish().map(|()| mounts)
}

fn oci_version<'a>(d: &mut Decoder<'a>) -> &'a str {
    let text = d.string();
    version::supported(text).unwrap_or_else(|| {
        d.fail(format_args!("\"{text}\" is not a version 1.x.y of the specification, such as \"{CURRENT}\""));
        ""
    })
}

fn annotation<'a>(d: &mut Decoder<'a>, name: &CStr) -> &'a CStr {
    d.check(!name.is_empty(), "the name of an annotation is empty");
    d.cstr()
}

impl<'a> Root<'a> {
    fn read(&mut self, d: &mut Decoder<'a>) {
        members!(d, {
            "path" => self.path = d.cstr(),
            "readonly" => self.readonly = d.boolean(),
        });
        d.check(!self.path.is_empty(), "path is missing or empty");
    }
}

impl<'a> Mount<'a> {
    /// Whether this is a cgroup mount, of either version.
    pub(crate) fn is_cgroup(&self) -> bool {
        matches!(self.kind.map(CStr::to_bytes), Some(b"cgroup" | b"cgroup2"))
    }

    fn read(d: &mut Decoder<'a>) -> Self {
        let mut mount = Mount::default();
        members!(d, {
            "destination" => mount.destination = d.cstr(),
            "source" => mount.source = Some(d.cstr()),
            "type" => mount.kind = Some(d.cstr()),
            "options" => mount.options = d.list(Decoder::cstr),
            "uidMappings" => mount.uid_mappings = linux::id_mappings(d),
            "gidMappings" => mount.gid_mappings = linux::id_mappings(d),
        });
        d.check(!mount.destination.is_empty(), "destination is missing or empty");
        let both = mount.uid_mappings.is_empty() == mount.gid_mappings.is_empty();
        d.check(both, "uidMappings and gidMappings must be given together");
        mount
    }
}
