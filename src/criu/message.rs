//! The messages of CRIU's RPC (criu.org/RPC; images/rpc.proto): requests, and what mote uses of the replies.

use super::wire::{Value, Writer, fields};

/// `criu_req_type`.
#[allow(missing_docs, reason = "the names are those of rpc.proto")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    #[default]
    Empty = 0,
    Dump = 1,
    Restore = 2,
    PreDump = 4,
    Notify = 6,
    FeatureCheck = 9,
    Version = 10,
}

/// The fields of `criu_opts` that mote sets, with the numbers that they have on the wire.
#[allow(missing_docs, reason = "the names are those of rpc.proto, and of the options in criu(8)")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Opt {
    ImagesDirFd = 1,
    Pid = 2,
    LeaveRunning = 3,
    ExtUnixSk = 4,
    TcpEstablished = 5,
    EvasiveDevices = 6,
    ShellJob = 7,
    FileLocks = 8,
    LogLevel = 9,
    LogFile = 10,
    PageServer = 11,
    NotifyScripts = 12,
    Root = 13,
    ParentImg = 14,
    TrackMem = 15,
    AutoDedup = 16,
    WorkDirFd = 17,
    LinkRemap = 18,
    CgRoot = 25,
    RstSibling = 26,
    InheritFd = 27,
    ManageCgroups = 24,
    ManageCgroupsMode = 34,
    GhostLimit = 35,
    External = 37,
    EmptyNs = 38,
    JoinNs = 39,
    FreezeCgroup = 44,
    TcpSkipInFlight = 46,
    LazyPages = 48,
    OrphanPtsMaster = 50,
    ConfigFile = 51,
    TcpClose = 52,
    LsmProfile = 53,
    CgroupYard = 60,
    LsmMountContext = 63,
    NetworkLock = 64,
}

/// `criu_cg_mode`, the values of [`Opt::ManageCgroupsMode`].
#[allow(missing_docs, reason = "as in criu(8)")]
pub const CGROUPS_IGNORE: u32 = 0;
#[allow(missing_docs, reason = "as in criu(8)")]
pub const CGROUPS_SOFT: u32 = 3;
#[allow(missing_docs, reason = "as in criu(8)")]
pub const CGROUPS_FULL: u32 = 4;
#[allow(missing_docs, reason = "as in criu(8)")]
pub const CGROUPS_STRICT: u32 = 5;

/// The options of a request, encoded.
#[derive(Clone, Debug, Default)]
pub struct Options(Writer);

impl Options {
    /// Sets a number, such as a file descriptor.
    pub fn number(&mut self, option: Opt, value: u32) {
        self.0.number(option as u32, value.into());
    }

    /// Sets a boolean, which is false by default.
    pub fn flag(&mut self, option: Opt, value: bool) {
        if value {
            self.0.number(option as u32, 1);
        }
    }

    /// Sets a text, or adds it to a list of texts.
    pub fn text(&mut self, option: Opt, value: &[u8]) {
        self.0.bytes(option as u32, value);
    }

    /// The cgroup that is the root of restored cgroups, in all hierarchies.
    pub fn cgroup_root(&mut self, path: &[u8]) {
        self.0.message(Opt::CgRoot as u32, |root| root.bytes(2, path));
    }

    /// The address of a page server.
    pub fn page_server(&mut self, address: &[u8], port: u16) {
        self.0.message(Opt::PageServer as u32, |server| {
            server.bytes(1, address);
            server.number(2, port.into());
        });
    }

    /// Adds a message of two fields: `inherit_fd`, `cgroup_root`, `join_namespace` and others.
    pub fn pair(&mut self, option: Opt, first: &[u8], second: Value<'_>) {
        self.0.message(option as u32, |pair| {
            pair.bytes(1, first);
            match second {
                Value::Number(number) => pair.number(2, number),
                Value::Bytes(bytes) => pair.bytes(2, bytes),
            }
        });
    }
}

/// A `criu_req` with options.
pub fn request(kind: Kind, Options(options): &Options) -> Writer {
    let mut request = Writer::default();
    request.number(1, kind as u64);
    request.bytes(2, options.as_bytes());
    request
}

/// A `criu_req` for CRIU's version, after which another one follows (`keep_open`).
pub fn version() -> Writer {
    preliminary(Kind::Version)
}

/// A `criu_req` that checks for memory tracking (`pre-dump`) and lazy pages, after which another one follows.
pub fn feature_check() -> Writer {
    let mut request = preliminary(Kind::FeatureCheck);
    request.message(5, |features| {
        features.number(1, 1);
        features.number(2, 1);
    });
    request
}

fn preliminary(kind: Kind) -> Writer {
    let mut request = Writer::default();
    request.number(1, kind as u64);
    request.number(4, 1);
    request
}

/// A `criu_req` that replies to a notification.
pub fn acknowledgement(success: bool) -> Writer {
    let mut request = Writer::default();
    request.number(1, Kind::Notify as u64);
    request.number(3, success.into());
    request
}

/// A `criu_resp`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reply<'a> {
    /// `type`, a number of [`Kind`].
    pub kind: u64,
    /// `success`
    pub success: bool,
    /// `restore.pid`, in CRIU's pid namespace.
    pub restored: i32,
    /// `notify.script`; empty if it is no notification.
    pub script: &'a [u8],
    /// `notify.pid`
    pub pid: i32,
    /// `cr_errno`
    pub errno: i32,
    /// `cr_errmsg`
    pub message: &'a [u8],
    /// `features.mem_track`
    pub has_memory_tracking: bool,
    /// `features.lazy_pages`
    pub has_lazy_pages: bool,
    /// Major, minor and sub-level.
    pub version: (u32, u32, u32),
}

impl<'a> Reply<'a> {
    /// Decodes a reply; unknown fields are skipped. `None` if it is malformed.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut reply = Reply::default();
        let mut inner = [(0, &[][..]); 4];
        fields(bytes, &mut |field, value| match field {
            1 => reply.kind = value.number(),
            2 => reply.success = value.number() != 0,
            4 => inner[0] = (field, value.bytes()),
            5 => inner[1] = (field, value.bytes()),
            7 => reply.errno = value.number() as i32,
            8 => inner[2] = (field, value.bytes()),
            9 => reply.message = value.bytes(),
            10 => inner[3] = (field, value.bytes()),
            _ => {}
        })?;
        for (outer, bytes) in inner {
            fields(bytes, &mut |field, value| match (outer, field) {
                (4, 1) => reply.restored = value.number() as i32,
                (5, 1) => reply.script = value.bytes(),
                (5, 2) => reply.pid = value.number() as i32,
                (8, 1) => reply.has_memory_tracking = value.number() != 0,
                (8, 2) => reply.has_lazy_pages = value.number() != 0,
                (10, 1) => reply.version.0 = value.number() as u32,
                (10, 2) => reply.version.1 = value.number() as u32,
                (10, 4) => reply.version.2 = value.number() as u32,
                _ => {}
            })?;
        }
        Some(reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let mut options = Options::default();
        options.number(Opt::ImagesDirFd, 5);
        options.flag(Opt::LeaveRunning, true);
        options.flag(Opt::ShellJob, false);
        options.pair(Opt::InheritFd, b"pipe:[7]", Value::Number(2));
        let bytes = request(Kind::Dump, &options);
        let want = b"\x08\x01\x12\x13\x08\x05\x18\x01\xda\x01\x0c\x0a\x08pipe:[7]\x10\x02";
        assert_eq!(bytes.as_bytes(), want);
        assert_eq!(acknowledgement(true).as_bytes(), b"\x08\x06\x18\x01");
        assert_eq!(acknowledgement(false).as_bytes(), b"\x08\x06\x18\x00");
        assert_eq!(version().as_bytes(), b"\x08\x0a\x20\x01");
        assert_eq!(feature_check().as_bytes(), b"\x08\x09\x20\x01\x2a\x04\x08\x01\x10\x01");
    }

    #[test]
    fn replies() {
        let notification = b"\x08\x06\x10\x01\x2a\x0d\x0a\x09post-dump\x10\x2a";
        let reply = Reply::decode(notification).unwrap();
        assert_eq!((reply.kind, reply.success, reply.script, reply.pid), (6, true, &b"post-dump"[..], 42));
        let restored = Reply::decode(b"\x08\x02\x10\x01\x22\x02\x08\x07\x98\x06\x05").unwrap();
        assert_eq!(restored.restored, 7);
        let version = Reply::decode(b"\x08\x0a\x10\x01\x52\x08\x08\x04\x10\x01\x20\x01\x28\x00").unwrap();
        assert_eq!(version.version, (4, 1, 1));
        let failed = Reply::decode(b"\x08\x01\x10\x00\x38\x16\x4a\x02no").unwrap();
        assert_eq!((failed.success, failed.errno, failed.message), (false, 22, &b"no"[..]));
        assert_eq!(Reply::decode(b"\x22\x02\x08"), None);
        assert_eq!(Reply::decode(b"\x22\x01\x08"), None);
    }
}
