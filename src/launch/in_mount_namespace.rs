//! Runs a function in a container's mount namespace, in a child process.

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open};

use super::in_child::{Answer, in_child};
use crate::error::{On, Result};
use crate::namespace::entry::ContainerNamespaces;
use crate::process::user::become_root;
use crate::rootfs::id::Expected;
use crate::rootfs::path::Root;
use crate::rootfs::supply::RequestTrees;

/// Runs `act` in the mount namespace of the container init `init`, with the IDs of [`become_root`] if there is a user
/// namespace; fails if the root there is not `expected`.
/// `directory` is the state directory, locked. `answer` opens the mount trees that `act` requests.
pub fn run(
    (namespaces, user): (ContainerNamespaces, (u32, u32)),
    init: &OwnedFd,
    expected: Expected,
    directory: BorrowedFd<'_>,
    answer: Answer<'_>,
    act: impl FnOnce(&mut Root, &mut RequestTrees<'_>) -> Result<()>,
) -> Result<()> {
    in_child(&[directory], answer, |channel| {
        let mut root = join_container(namespaces, user, init, expected)?;
        act(&mut root, &mut |request, trees| channel.request_trees(request, trees))
    })
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
