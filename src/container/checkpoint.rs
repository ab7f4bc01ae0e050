//! `checkpoint`: CRIU dumps the processes of a container to image files, from which `restore` continues them.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ffi::CStr;

use linux_raw_sys::general::CLONE_NEWNET;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode, OFlags, openat, readlinkat, statat, symlinkat};
use rustix::io::{Errno, write};

use super::criu::{CriuOptions, path_of};
use super::delete;
use super::store::directory::{Directory, Store};
use super::store::identity::check_alive;
use super::store::lock::locked;
use super::store::snapshot::{self, Snapshot};
use super::store::status::{State, Status};
use crate::bundle::CONFIG;
use crate::cgroup::Cgroup;
use crate::cgroup::fs::tasks::KILL_TIMEOUT;
use crate::config::Config;
use crate::config::linux::NamespaceKind;
use crate::criu::connection::Connection;
use crate::criu::images::{DESCRIPTORS, Directories};
use crate::criu::message::{self, Kind, Opt, Options};
use crate::criu::program::Program;
use crate::criu::service::Service;
use crate::error::{At, Error, On, Result, Show};
use crate::host::{CGROUP_ROOT, Cgroups};
use crate::os::descriptor::Descriptor;
use crate::os::procfs;
use crate::rootfs::external;
use crate::rootfs::path::Root;
use crate::rootfs::tree;
use crate::sys::pidfd;

/// The arguments of `checkpoint`.
pub struct Request<'a> {
    /// The container ID.
    pub id: &'a CStr,
    /// The options of CRIU.
    pub criu: CriuOptions<'a>,
    /// Only the memory is dumped, and the container continues; a later dump then has only what has changed since.
    pub pre_dump: bool,
    /// The directory of a preceding pre-dump, relative to that of the images.
    pub parent: Option<&'a CStr>,
    /// The address and port of a page server, which gets the memory instead of the image files; with `LazyPages`, those at
    /// which CRIU itself serves it.
    pub page_server: Option<(&'a [u8], u16)>,
    /// Receives a NUL byte when pages can be requested, and is then closed.
    pub status: Cell<Option<Descriptor>>,
}

/// The log of CRIU.
const LOG: &CStr = c"dump.log";

/// Dumps a container, and removes it unless it is to continue (`LeaveRunning`, pre-dump). On an error it continues as before.
///
/// Errors: [`State`](crate::error::Kind::State) if the container is not running or paused;
/// [`Unsupported`](crate::error::Kind::Unsupported) if CRIU is not installed, too old, or lacks an option.
pub fn checkpoint(store: &Store, request: &Request<'_>, warnings: &mut Vec<Error>) -> Result<()> {
    let directory = locked(store, request.id)?;
    let known = snapshot::of(&directory)?;
    let init = match known.state {
        State::Running | State::Paused => known.status.process.open()?,
        _ => None,
    };
    let init = init.ok_or_else(|| known.not_running(&directory))?;
    dump(&directory, &known, &init, request)?;
    if request.pre_dump || request.criu.has(Opt::LeaveRunning) {
        return Ok(());
    }
    // CRIU has killed the processes, whose parent may not have reaped them yet.
    pidfd::wait_for(&init, Some(KILL_TIMEOUT)).on(format_args!("poll"))?;
    delete::remove(&directory, warnings)
}

/// The container, and what CRIU has to know about it.
struct Container<'c> {
    status: &'c Status,
    config: &'c Config<'c>,
    /// The directory of the container init in procfs.
    process: OwnedFd,
}

fn dump(directory: &Directory, known: &Snapshot, init: &OwnedFd, request: &Request<'_>) -> Result<()> {
    let criu = &request.criu;
    let program = Program::find(criu.search_path).at(format_args!("checkpoint"))?;
    let directories = Directories::create(criu.images, criu.work)?;
    request.parent.map_or(Ok(()), |parent| directories.check_parent(parent))?;
    let mut text = directory.read(CONFIG)?.unwrap_or_default();
    let config = Config::decode("config.json", &mut text)?;
    let container =
        Container { status: &known.status, config: &config, process: process_directory(&known.status)? };
    let (mut options, _file) = criu.encode(&known.status, &directories, LOG)?;
    container.encode(&mut options, request)?;
    if !request.pre_dump {
        let mountinfo = container.open(c"mountinfo", OFlags::RDONLY)?;
        let links = container.encode_standard(&mountinfo, &mut options)?;
        directories.write(DESCRIPTORS, links.as_bytes())?;
        container.encode_mounts(&mountinfo, &mut options)?;
    }
    let yard = cgroup_yard()?;
    yard.iter().for_each(|yard| options.text(Opt::CgroupYard, path_of(yard).as_bytes()));
    check_alive(init, known.status.process.pid)?;
    directories.remove_logs(LOG);
    let frozen = Frozen::of(known)?;
    frozen.iter().filter_map(|frozen| frozen.0.freezer_path()).for_each(|path| {
        options.text(Opt::FreezeCgroup, path.as_bytes());
    });
    let mut service = Service::start(&program)?;
    let dumped = call(service.connection(), request, &options);
    let dumped = service.end(dumped).map_err(|error| directories.explain(error, LOG));
    if dumped.is_err() || request.pre_dump || criu.has(Opt::LeaveRunning) {
        frozen.map_or(Ok(()), Frozen::restore)?;
    }
    dumped
}

fn call(criu: &mut Connection, request: &Request<'_>, options: &Options) -> Result<()> {
    let tracks_memory = request.pre_dump || request.parent.is_some();
    request.criu.check(criu, tracks_memory)?;
    let kind = if request.pre_dump { Kind::PreDump } else { Kind::Dump };
    let reply = criu.call(&message::request(kind, options), &mut |reply, _| match reply.script {
        b"status-ready" => report_ready(request.status.take()),
        _ => Ok(()),
    })?;
    reply.check("dump")
}

impl Container<'_> {
    fn encode(&self, options: &mut Options, request: &Request<'_>) -> Result<()> {
        options.number(Opt::Pid, self.status.process.pid as u32);
        options.flag(Opt::OrphanPtsMaster, true);
        if let Some(parent) = request.parent {
            options.text(Opt::ParentImg, parent.to_bytes());
        }
        options.flag(Opt::TrackMem, request.pre_dump || request.parent.is_some());
        if let Some((address, port)) = request.page_server {
            options.page_server(address, port);
        }
        let namespaces = &self.config.linux.namespaces;
        for (kind, name, key) in JOINED {
            match namespaces.iter().find(|namespace| namespace.kind == kind).map(|found| found.path) {
                Some(Some(_)) => {
                    let namespace = statat(&self.process, format!("ns/{name}"), AtFlags::empty());
                    let inode = namespace.on(format_args!("newfstatat /proc/PID/ns/{name}"))?.st_ino;
                    options.text(Opt::External, format!("{name}[{inode}]:{key}").as_bytes());
                }
                Some(None) if kind == NamespaceKind::Network => options.number(Opt::EmptyNs, CLONE_NEWNET),
                _ => {}
            }
        }
        Ok(())
    }

    /// The standard file descriptors of the container init. Returns where they lead, as an array in JSON: files of the host
    /// by the names under which CRIU has dumped them.
    fn encode_standard(&self, mountinfo: &OwnedFd, options: &mut Options) -> Result<String> {
        let mut links = Vec::new();
        for number in 0..3 {
            let link = match readlinkat(&self.process, format!("fd/{number}"), []) {
                Err(Errno::NOENT) => String::new(),
                link => link.on(format_args!("readlinkat /proc/PID/fd/{number}"))?.to_string_lossy().into(),
            };
            let outside = match link.starts_with('/') {
                true => external::file(&self.process, number, mountinfo)?,
                false => None,
            };
            outside.iter().for_each(|name| options.text(Opt::External, name.as_bytes()));
            links.push(outside.unwrap_or(link));
        }
        Ok(miniserde::json::to_string(&links))
    }

    fn encode_mounts(&self, mountinfo: &OwnedFd, options: &mut Options) -> Result<()> {
        let root = Root::new(self.open(c"root", OFlags::PATH | OFlags::DIRECTORY)?);
        for path in external::find(&root, mountinfo, &self.config.mounts)? {
            let path = path.to_bytes();
            options.text(Opt::External, &[b"mnt[", path, b"]:", path].concat());
        }
        Ok(())
    }

    fn open(&self, name: &CStr, flags: OFlags) -> Result<OwnedFd> {
        openat(&self.process, name, flags | OFlags::CLOEXEC, Mode::empty())
            .on(format_args!("openat /proc/PID/{}", Show(name)))
    }
}

/// The kinds of namespaces that a container may join which CRIU does not dump then: their names in procfs, and the keys by
/// which `restore` passes those to join (as in runc and crun).
pub(super) const JOINED: [(NamespaceKind, &str, &str); 2] =
    [(NamespaceKind::Network, "net", "extRootNetNS"), (NamespaceKind::Pid, "pid", "extRootPidNS")];

/// The directory in procfs of the container init.
fn process_directory(status: &Status) -> Result<OwnedFd> {
    let pid = status.process.pid;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(procfs::open_own(false)?, format!("{pid}"), flags, Mode::empty())
        .on(format_args!("openat /proc/{pid}"))
}

/// A directory, attached nowhere, with a link to the v2 hierarchy for CRIU. It would mount the hierarchy itself, by which
/// it changes the options of the host's (nsdelegate, memory_recursiveprot). With v1 it mounts what it needs.
fn cgroup_yard() -> Result<Option<OwnedFd>> {
    if !matches!(Cgroups::read()?, Cgroups::Unified) {
        return Ok(None);
    }
    let (_, yard) = tree::filesystem(c"tmpfs", c"tmpfs", core::iter::empty(), 0)?;
    symlinkat(CGROUP_ROOT, &yard, c"unified").on(format_args!("symlinkat unified"))?;
    Ok(Some(yard))
}

/// The cgroup of a paused container, which CRIU thaws to dump it.
struct Frozen(Cgroup);

impl Frozen {
    fn of(known: &Snapshot) -> Result<Option<Self>> {
        match &known.status.cgroup {
            Some(path) if known.state == State::Paused => {
                Ok(Some(Frozen(Cgroup::open(path, &Cgroups::read()?)?)))
            }
            _ => Ok(None),
        }
    }

    /// Freezes it again, if the container continues: CRIU may have been killed.
    fn restore(self) -> Result<()> {
        self.0.set_frozen(true)
    }
}

/// Reports to the caller's file descriptor that pages can be requested, and closes it.
fn report_ready(status: Option<Descriptor>) -> Result<()> {
    let sent = status.map_or(Ok(1), |status| write(status, b"\0"));
    sent.map(drop).on(format_args!("--status-fd: write"))
}
