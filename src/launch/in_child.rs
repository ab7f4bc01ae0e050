//! Runs a function in a child process, which reports its result by the channel.

use alloc::vec::Vec;
use core::convert::Infallible;

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use super::message::{Channel, Message};
use crate::error::{self, Error, On, Result};
use crate::rootfs::source::Request;
use crate::sys::clone::{exit, spawn};
use crate::sys::end::How;
use crate::sys::fd::close_in_child;
use crate::sys::pidfd::reap;

/// Opens the mount trees that a child requests.
pub type Answer<'a> = &'a mut dyn FnMut(Request) -> Result<Vec<OwnedFd>>;

/// Calls `act` in a child, which enters namespaces of a container, and returns its result. `unused` are the descriptors
/// that the child does not use.
pub fn in_child(
    unused: &[BorrowedFd<'_>],
    answer: Answer<'_>,
    act: impl FnOnce(&Channel) -> Result<()>,
) -> Result<()> {
    // Processes of the container may see the child, with the host's memory and fds (CVE-2016-9962).
    set_dumpable_behavior(DumpableBehavior::NotDumpable).on(format_args!("prctl PR_SET_DUMPABLE"))?;
    error::reserve();
    let (channel, child_channel) = Channel::pair()?;
    let child = || -> Infallible {
        unused.iter().copied().chain([channel.fd()]).for_each(close_in_child);
        child_channel.send(&match act(&child_channel) {
            Ok(()) => Message::Done,
            Err(error) => Message::Failed(error),
        });
        exit(0)
    };
    let (_, pidfd) = spawn(0, None, child).on(format_args!("clone3"))?;
    // Only the child has this end open now: if it dies without a message, this process reads end of file.
    drop(child_channel);
    let result = supply(&channel, answer);
    // A child that still waits for trees reads end of file.
    drop(channel);
    let end = reap(&pidfd);
    match result? {
        Message::Done => Ok(()),
        Message::Failed(error) => Err(error),
        _ => Err(Error::invalid(format_args!("the process in the container died: {}", How(end)))),
    }
}

/// Supplies mount trees until the child sends another message.
pub fn supply(channel: &Channel, answer: Answer<'_>) -> Result<Message> {
    loop {
        match channel.receive()? {
            Message::RequestTrees(request) => channel.send_trees(&answer(request)?)?,
            other => return Ok(other),
        }
    }
}
