//! `mote restore`: restores a container from the image files of `mote checkpoint`, by CRIU.

use mote::internal::error::Result;
use mote::internal::operations::{Create, Restore};

use super::checkpoint as criu;
use super::context::Context;
use super::create;
use super::options::{Command, Matches, Opt, flag, value};
use super::run::foreground;

/// `restore`
pub static COMMAND: Command = Command {
    name: "restore",
    operands: "ID",
    count: (1, 1),
    rest: None,
    about: "create a container from the image files of `checkpoint`, by CRIU",
    options: &OPTIONS,
    run,
};

static OPTIONS: [Opt; 25] = [
    create::BUNDLE,
    create::CONFIG,
    create::PID_FILE,
    create::PIDFD_SOCKET,
    create::CONSOLE,
    flag("detach", Some('d'), "do not wait for the container to exit"),
    flag("keep", None, "do not delete the container when it exits"),
    create::NO_SUBREAPER,
    flag("no-pivot", None, "accepted for compatibility with runc, and ignored"),
    criu::IMAGES,
    criu::WORK,
    criu::TCP_ESTABLISHED,
    flag("tcp-close", None, "close established TCP connections"),
    criu::UNIX_SOCKETS,
    criu::SHELL_JOB,
    criu::FILE_LOCKS,
    criu::CGROUPS,
    criu::NETWORK_LOCK,
    criu::EMPTY,
    criu::DEDUP,
    criu::LAZY,
    value(
        "lsm-profile",
        None,
        "TYPE:NAME",
        "profile of AppArmor or label of SELinux, instead of the dumped one",
    ),
    value("lsm-mount-context", None, "LABEL", "SELinux label of mounts, instead of the dumped one"),
    value(
        "parent-path",
        None,
        "DIR",
        "accepted for compatibility with runc, and ignored: the images refer to it",
    ),
    flag("link-remap", None, "accepted for compatibility with runc, and ignored"),
];

fn run(context: &Context, matches: &Matches) -> Result<i32> {
    let Create { id, bundle, options, .. } = create::operation(context, matches)?;
    let (criu, foreground) = (criu::criu_options(matches)?, foreground(matches));
    context.start(&Restore { id, bundle, options, criu, foreground, awaited: false })
}
