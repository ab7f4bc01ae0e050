//! The terminal of the runtime's caller, if a process of the container gets it as standard input.

use crate::check::{Outcome, holds, skip_allowed};
use crate::command::Output;
use crate::rig::{Rig, Runtime};
use crate::terminal::screen::Screen;
use crate::tests;

tests!["cve", cve_2016_10124_input_of_the_callers_terminal];

/// CVE-2016-10124 (lxc-attach), CVE-2017-5226 (bubblewrap): a process that shares its caller's terminal writes to the
/// input of it (ioctl_tty(2), TIOCSTI), which the caller's shell executes on the host. The kernel permits that for the
/// controlling terminal of a process only, or with CAP_SYS_ADMIN. Succeeds against mote without setsid(2), on a kernel
/// with the sysctl dev.tty.legacy_tiocsti.
fn cve_2016_10124_input_of_the_callers_terminal(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("runc copies standard input through a pipe");
    }
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["push_input", "escaped"]);
    let mut screen = Screen::new()?;
    let running = screen.start(&mut rig.launch("run", &bundle, &[])?)?;
    let output = screen.finish(running)?;
    is_denied(&output)?;
    let _running = rig.waiting(&mut bundle)?;
    let mut screen = Screen::new()?;
    let joined = screen.start(&mut rig.command(&["exec", &rig.id, "/payload", "push_input", "escaped"]))?;
    let output = screen.finish(joined)?;
    is_denied(&output)?;
    rig.delete()
}

/// EIO: the kernel has the call disabled for all.
fn is_denied(output: &Output) -> Outcome {
    let report = output.report();
    let denied = ["!EPERM", "!EIO"].contains(&report.get("push_input"));
    holds("the input is denied", denied)
}
