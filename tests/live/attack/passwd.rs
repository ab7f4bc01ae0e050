//! The image's /etc/passwd, in which a home is looked for: whatever it is, nobody waits for it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::check::{Outcome, holds, same};
use crate::command::run;
use crate::rig::Rig;
use crate::{sys, tests};

tests![
    "attack",
    passwd_is_an_endless_device,
    passwd_is_a_long_file_of_nothing,
    passwd_is_a_pipe_that_nobody_writes_to,
    passwd_is_a_directory,
    passwd_is_a_loop_of_links,
    passwd_has_one_endless_line,
];

/// Far above what any of it takes here, and far below the rig's own limit.
const SOON: Duration = Duration::from_secs(3);

/// `create` and `run` come back soon, and the home is that of nobody.
fn harmless(rig: &Rig, make: impl FnOnce(&Path) -> Outcome) -> Outcome {
    let mut bundle = rig.bundle()?;
    make(&bundle.host_path("etc/passwd"))?;
    bundle.verbs(&["env"]);
    let begin = Instant::now();
    run(&mut rig.launch("create", &bundle, &[])?, "")?.success()?;
    rig.delete()?;
    let output = rig.run(&bundle, &[])?.success()?;
    holds("both come back soon", begin.elapsed() < SOON)?;
    same("HOME", output.report().get("env:HOME"), "/")
}

fn passwd_is_an_endless_device(rig: &mut Rig) -> Outcome {
    harmless(rig, |passwd| Ok(symlink("/dev/zero", passwd)?))
}

/// Longer than the 3 GB that take some seconds to read, and no block of it is on the disk.
fn passwd_is_a_long_file_of_nothing(rig: &mut Rig) -> Outcome {
    harmless(rig, |passwd| Ok(fs::File::create(passwd)?.set_len(200 << 30)?))
}

fn passwd_is_a_pipe_that_nobody_writes_to(rig: &mut Rig) -> Outcome {
    harmless(rig, |passwd| Ok(sys::mknod(passwd, libc::S_IFIFO | 0o644, 0, 0)?))
}

fn passwd_is_a_directory(rig: &mut Rig) -> Outcome {
    harmless(rig, |passwd| Ok(fs::create_dir(passwd)?))
}

fn passwd_is_a_loop_of_links(rig: &mut Rig) -> Outcome {
    harmless(rig, |passwd| Ok(symlink("passwd", passwd)?))
}

fn passwd_has_one_endless_line(rig: &mut Rig) -> Outcome {
    harmless(rig, |passwd| Ok(fs::write(passwd, "x".repeat(1 << 21) + ":x:0:0::/stolen:/bin/sh\n")?))
}
