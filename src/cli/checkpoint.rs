//! `mote checkpoint`: dumps a container to image files by CRIU. The options of CRIU, some of which `restore` has too.

use alloc::ffi::CString;
use alloc::string::String;
use alloc::vec;
use core::ffi::CStr;

use mote::internal::criu::message::{
    CGROUPS_FULL, CGROUPS_IGNORE, CGROUPS_SOFT, CGROUPS_STRICT, Opt as CriuOpt,
};
use mote::internal::error::{Error, Kind, Result, Show};
use mote::internal::operations::{Checkpoint, Criu};
use mote::internal::os::descriptor::Descriptor;
use mote::internal::sys::fd::take_inherited;

use super::context::{Context, variable};
use super::create::given;
use super::options::{Command, Matches, Opt, flag, value};

/// `checkpoint`
pub static COMMAND: Command = Command {
    name: "checkpoint",
    operands: "ID",
    count: (1, 1),
    rest: None,
    about: "dump a container to image files, by CRIU",
    options: &OPTIONS,
    run,
};

static OPTIONS: [Opt; 19] = [
    IMAGES,
    WORK,
    flag("leave-running", None, "let the container continue after the dump"),
    flag("pre-dump", None, "dump only the memory, and let the container continue"),
    value("parent-path", None, "DIR", "images of a preceding pre-dump, relative to --image-path"),
    TCP_ESTABLISHED,
    flag("tcp-skip-in-flight", None, "skip TCP connections that are being established"),
    UNIX_SOCKETS,
    SHELL_JOB,
    FILE_LOCKS,
    flag("link-remap", None, "link files back that have been unlinked, and dump them"),
    CGROUPS,
    NETWORK_LOCK,
    EMPTY,
    DEDUP,
    LAZY,
    value("page-server", None, "ADDRESS:PORT", "send the memory to a page server"),
    value("status-fd", None, "FD", "write a NUL byte to this file descriptor when pages can be requested"),
    value("ghost-limit", None, "BYTES", "largest unlinked file that is dumped (default: 1048576)"),
];

// Options shared with `restore`.
pub const IMAGES: Opt =
    value("image-path", None, "DIR", "directory of the image files (default: checkpoint)");
pub const WORK: Opt = value("work-path", None, "DIR", "directory of the log (default: that of the images)");
pub const TCP_ESTABLISHED: Opt = flag("tcp-established", None, "allow established TCP connections");
pub const UNIX_SOCKETS: Opt =
    flag("ext-unix-sk", None, "allow connections to AF_UNIX sockets outside of the container");
pub const SHELL_JOB: Opt =
    flag("shell-job", None, "allow processes of the session of a shell outside of the container");
pub const FILE_LOCKS: Opt = flag("file-locks", None, "allow file locks");
pub const CGROUPS: Opt = value(
    "manage-cgroups-mode",
    None,
    "soft|full|strict|ignore",
    "how cgroups are dumped and restored (default: soft)",
);
pub const NETWORK_LOCK: Opt = value(
    "network-lock",
    None,
    "iptables|nftables|skip",
    "how packets are held back meanwhile (default: that of CRIU)",
);
pub const EMPTY: Opt = value(
    "empty-ns",
    None,
    "network",
    "leave the network namespace empty, as is always done; accepted for compatibility with runc",
);
pub const DEDUP: Opt =
    flag("auto-dedup", None, "free image files of pages that newer images or the memory have");
pub const LAZY: Opt = flag("lazy-pages", None, "transfer memory pages when they are used (userfaultfd(2))");

/// Options that are passed on as they are.
const FLAGS: [(&str, CriuOpt); 10] = [
    ("leave-running", CriuOpt::LeaveRunning),
    ("tcp-established", CriuOpt::TcpEstablished),
    ("tcp-close", CriuOpt::TcpClose),
    ("tcp-skip-in-flight", CriuOpt::TcpSkipInFlight),
    ("ext-unix-sk", CriuOpt::ExtUnixSk),
    ("shell-job", CriuOpt::ShellJob),
    ("file-locks", CriuOpt::FileLocks),
    ("link-remap", CriuOpt::LinkRemap),
    ("auto-dedup", CriuOpt::AutoDedup),
    ("lazy-pages", CriuOpt::LazyPages),
];

const CGROUP_MODES: [(&str, u32); 4] =
    [("ignore", CGROUPS_IGNORE), ("soft", CGROUPS_SOFT), ("full", CGROUPS_FULL), ("strict", CGROUPS_STRICT)];

/// `criu_network_lock_method` of CRIU's rpc.proto.
const NETWORK_LOCKS: [(&str, u32); 3] = [("iptables", 1), ("nftables", 2), ("skip", 3)];

fn run(context: &Context, matches: &Matches) -> Result<i32> {
    let operation = Checkpoint {
        id: matches.id().into(),
        criu: criu_options(matches)?,
        pre_dump: matches.has("pre-dump"),
        parent: matches.path("parent-path").map(Into::into),
        page_server: matches.path("page-server").map(page_server).transpose()?,
        status: status_fd(matches)?,
    };
    context.perform(&operation).map(|()| 0)
}

/// The directories in which `criu` is looked up: the value of PATH.
pub fn search_path() -> CString {
    variable("PATH").unwrap_or_default()
}

/// The options of CRIU.
pub fn criu_options(matches: &Matches) -> Result<Criu> {
    if let Some(namespace) = matches.all("empty-ns").iter().find(|namespace| **namespace != c"network") {
        let why = format_args!("--empty-ns {}: only network is supported", Show(namespace));
        return Err(Error::new(Kind::Usage, why));
    }
    // By default as in runc and crun.
    let mode = word(matches, "manage-cgroups-mode", &CGROUP_MODES)?.unwrap_or(CGROUPS_SOFT);
    let mut numbers = vec![(CriuOpt::ManageCgroupsMode, mode)];
    numbers.extend(word(matches, "network-lock", &NETWORK_LOCKS)?.map(|lock| (CriuOpt::NetworkLock, lock)));
    numbers.extend(matches.number("ghost-limit")?.map(|limit| (CriuOpt::GhostLimit, limit)));
    let texts = [("lsm-profile", CriuOpt::LsmProfile), ("lsm-mount-context", CriuOpt::LsmMountContext)];
    let text = |(name, option)| Some((option, matches.path(name)?.into()));
    Ok(Criu {
        images: matches.path("image-path").unwrap_or(c"checkpoint").into(),
        work: given(matches, "work-path"),
        flags: FLAGS.iter().filter(|(name, _)| matches.has(name)).map(|(_, option)| *option).collect(),
        numbers,
        texts: texts.into_iter().filter_map(text).collect(),
    })
}

/// The number of a word, if the option is given.
fn word(matches: &Matches, name: &str, words: &[(&str, u32)]) -> Result<Option<u32>> {
    let Some(given) = matches.text(name)? else { return Ok(None) };
    let found = words.iter().find(|(word, _)| *word == given);
    let unknown = || Error::new(Kind::Usage, format_args!("--{name}: unknown value \"{given}\""));
    found.map(|(_, number)| Some(*number)).ok_or_else(unknown)
}

/// Parses `ADDRESS:PORT`, in which an IPv6 address may be in brackets.
fn page_server(given: &CStr) -> Result<(String, u16)> {
    let text = given.to_str().ok().and_then(|text| text.rsplit_once(':'));
    let parsed = text.and_then(|(address, port)| Some((address, port.parse().ok()?)));
    match parsed {
        Some((address, port)) if !address.is_empty() => {
            let inner = address.strip_prefix('[').and_then(|address| address.strip_suffix(']'));
            Ok((inner.unwrap_or(address).into(), port))
        }
        _ => {
            let why = format_args!("--page-server {}: not in the form ADDRESS:PORT", Show(given));
            Err(Error::new(Kind::Usage, why))
        }
    }
}

/// The file descriptor of `--status-fd`, which mote has inherited.
fn status_fd(matches: &Matches) -> Result<Option<Descriptor>> {
    let Some(number) = matches.number("status-fd")? else { return Ok(None) };
    let closed = || Error::invalid(format_args!("--status-fd {number}: the file descriptor is not open"));
    take_inherited(number).map(|fd| Some(fd.into())).ok_or_else(closed)
}
