//! `create`, and the part of it that `run` shares: from a bundle to a process at the start gate.

use alloc::format;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::mem::MaybeUninit;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, unlinkat};
use rustix::io::{IoSlice, write};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType, connect, sendmsg, socket_with,
};

use super::process::Identity;
use super::status::Status;
use super::store::{Directory, Store};
use super::time;
use crate::bundle::{Bundle, CONFIG};
use crate::cgroup::Cgroup;
use crate::error::{At, Error, On, Result, Show};
use crate::host::Host;
use crate::launch::gate::Gate;
use crate::launch::parent::{Launched, launch};
use crate::plan::{Options, Plan};
use crate::spec::Config;

/// What `create` and `run` are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub id: &'a CStr,
    /// As given: relative paths count from the working directory.
    pub bundle: &'a CStr,
    /// Another file than the bundle's config.json.
    pub config: Option<&'a CStr>,
    pub pid_file: Option<&'a CStr>,
    /// A socket that is sent the pidfd of the container's process.
    pub pidfd_socket: Option<&'a CStr>,
    pub preserve_fds: u32,
    pub pivot: bool,
    pub new_keyring: bool,
    pub no_cgroup: bool,
}

/// A container that was brought up to its gate.
pub struct Up {
    pub directory: Directory,
    pub cgroup: Option<Cgroup>,
    pub launched: Launched,
}

/// Creates a container and leaves it at its gate for `start`.
pub fn create(store: &Store, request: &Request<'_>, warnings: &mut Vec<Error>) -> Result<()> {
    bring_up(store, request, true, warnings).map(drop)
}

/// Brings a container up: with `gate` to wait for `start`, without to run at once. When it
/// fails nothing is left.
pub fn bring_up(store: &Store, request: &Request<'_>, gate: bool, warnings: &mut Vec<Error>) -> Result<Up> {
    let directory = store.create(request.id)?;
    match build(&directory, request, gate, warnings) {
        Ok((cgroup, launched)) => Ok(Up { directory, cgroup, launched }),
        Err(error) => {
            let _ = directory.remove();
            Err(error)
        }
    }
}

fn build(
    directory: &Directory,
    request: &Request<'_>,
    gate: bool,
    warnings: &mut Vec<Error>,
) -> Result<(Option<Cgroup>, Launched)> {
    let mut bundle = Bundle::read(request.bundle, request.config)?;
    // As it is now: later changes to the bundle's file are not this container's (runtime.md, "Create").
    directory.write(CONFIG, &bundle.config)?;
    let config = Config::decode("config.json", &mut bundle.config)?;
    let host = Host::read()?;
    let options = Options {
        id: request.id,
        bundle: &bundle.path,
        pivot: request.pivot,
        new_keyring: request.new_keyring,
        no_cgroup: request.no_cgroup,
        preserve_fds: request.preserve_fds,
    };
    let mut plan = Plan::new(&config, &host, &options, warnings)?;
    let mut status = Status {
        process: Identity::default(),
        bundle: Status::text(&bundle.path),
        rootfs: Status::text(&plan.rootfs.path()),
        created: time::now(),
        owner: host.uid,
        cgroup: plan.cgroup.as_ref().map(|cgroup| cgroup.path.clone()),
    };
    // Before anything is made: what is in it is what `delete --force` will look for.
    status.write(directory)?;
    let cgroup = match &plan.cgroup {
        Some(planned) => planned.create()?,
        None => None,
    };
    let launched = process(directory, request, gate, &mut plan, cgroup.as_ref(), &mut status);
    match (launched, cgroup) {
        (Ok(launched), cgroup) => Ok((cgroup, launched)),
        (Err(error), cgroup) => {
            let _ = cgroup.map(|cgroup| cgroup.remove());
            Err(error)
        }
    }
}

fn process(
    directory: &Directory,
    request: &Request<'_>,
    gate: bool,
    plan: &mut Plan<'_>,
    cgroup: Option<&Cgroup>,
    status: &mut Status,
) -> Result<Launched> {
    let door = match gate {
        true => Gate::socket(directory.fd(), directory.path())?,
        false => Gate::Parent,
    };
    let launched = launch(plan, directory.fd(), cgroup, &door)?;
    match accompany(directory, request, gate, &launched, status) {
        Ok(()) => Ok(launched),
        Err(error) => {
            launched.kill();
            let _ = request.pid_file.map(|path| unlinkat(CWD, path, AtFlags::empty()));
            Err(error)
        }
    }
}

/// While the child sets up: its status, and those who want to know its pid. Then it is waited for.
fn accompany(
    directory: &Directory,
    request: &Request<'_>,
    gate: bool,
    launched: &Launched,
    status: &mut Status,
) -> Result<()> {
    status.process = Identity::of(launched.pid, &launched.pidfd)?;
    status.write(directory)?;
    if let Some(path) = request.pid_file {
        write_pid(path, status.process.pid)?;
    }
    if let Some(path) = request.pidfd_socket {
        send_pidfd(path, &launched.pidfd).at(format_args!("--pidfd-socket {}", Show(path)))?;
    }
    match gate {
        true => launched.ready(),
        false => launched.go(),
    }
}

/// The pid and nothing else, as conmon and containerd read it.
fn write_pid(path: &CStr, pid: i32) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let file =
        openat(CWD, path, flags, Mode::from_raw_mode(0o644)).on(format_args!("--pid-file {}", Show(path)))?;
    write(&file, format!("{pid}").as_bytes()).map(drop).on(format_args!("--pid-file: write {}", Show(path)))
}

/// One byte with the descriptor beside it (unix(7), SCM_RIGHTS).
fn send_pidfd(path: &CStr, pidfd: &OwnedFd) -> Result<()> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .on(format_args!("socket"))?;
    let address = SocketAddrUnix::new(path).on(format_args!("address"))?;
    connect(&socket, &address).on(format_args!("connect"))?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [pidfd.as_fd()];
    control.push(SendAncillaryMessage::ScmRights(&fds));
    sendmsg(&socket, &[IoSlice::new(b"\0")], &mut control, SendFlags::NOSIGNAL)
        .map(drop)
        .on(format_args!("sendmsg"))
}
