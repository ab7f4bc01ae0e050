//! Runs a function in a container's mount namespace, in a child process.

use alloc::vec::Vec;
use core::convert::Infallible;

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use super::message::{Channel, Message};
use crate::error::{self, Error, On, Result};
use crate::namespace::entry::ContainerNamespaces;
use crate::process::user::become_root;
use crate::rootfs::id::Expected;
use crate::rootfs::path::Root;
use crate::rootfs::source::Request;
use crate::rootfs::supply::RequestTrees;
use crate::sys::clone::{exit, spawn};
use crate::sys::end::How;
use crate::sys::fd::close_in_child;
use crate::sys::pidfd::reap;

/// Runs `act` in the mount namespace of the container init `init`, with the IDs of [`become_root`] if there is a user
/// namespace; fails if the root there is not `expected`.
/// `directory` is the state directory, locked. `answer` opens the mount trees that `act` requests.
pub fn run(
    (namespaces, user): (ContainerNamespaces, (u32, u32)),
    init: &OwnedFd,
    expected: Expected,
    directory: BorrowedFd<'_>,
    answer: &mut dyn FnMut(Request) -> Result<Vec<OwnedFd>>,
    act: impl FnOnce(&mut Root, &mut RequestTrees<'_>) -> Result<()>,
) -> Result<()> {
    // Processes of the container may see the child, with the host's memory and fds (CVE-2016-9962).
    set_dumpable_behavior(DumpableBehavior::NotDumpable).on(format_args!("prctl PR_SET_DUMPABLE"))?;
    error::reserve();
    let (channel, child_channel) = Channel::pair()?;
    let child = || -> Infallible {
        [directory, channel.fd()].into_iter().for_each(close_in_child);
        let result = join_container(namespaces, user, init, expected).and_then(|mut root| {
            act(&mut root, &mut |request, trees| child_channel.request_trees(request, trees))
        });
        child_channel.send(&match result {
            Ok(()) => Message::Done,
            Err(error) => Message::Failed(error),
        });
        exit(0)
    };
    let (_, pidfd) = spawn(0, None, child).on(format_args!("clone3"))?;
    // Only the child has this end open now: if it dies without a message, this process reads end of file.
    drop(child_channel);
    let result = listen(&channel, answer);
    // A child that still waits for trees reads end of file.
    drop(channel);
    let end = reap(&pidfd);
    match result? {
        Message::Done => Ok(()),
        Message::Failed(error) => Err(error),
        _ => Err(Error::invalid(format_args!("the process in the container died: {}", How(end)))),
    }
}

/// Supplies mount trees until the child reports its result.
fn listen(channel: &Channel, answer: &mut dyn FnMut(Request) -> Result<Vec<OwnedFd>>) -> Result<Message> {
    loop {
        match channel.receive()? {
            Message::RequestTrees(request) => channel.send_trees(&answer(request)?)?,
            other => return Ok(other),
        }
    }
}

fn join_container(
    namespaces: ContainerNamespaces,
    user: (u32, u32),
    init: &OwnedFd,
    expected: Expected,
) -> Result<Root> {
    namespaces.join_mount(init)?;
    expected.check()?;
    if namespaces.has_user() {
        become_root(user)?;
    }
    // "/" is the container's root now.
    let root = open(c"/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    Ok(Root::new(root.on(format_args!("openat /"))?))
}
