//! The image's /etc/passwd, which is searched for a home directory: no file type makes the runtime wait.

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
    passwd_is_a_large_sparse_file,
    passwd_is_a_fifo_without_a_writer,
    passwd_is_a_directory,
    passwd_is_a_symlink_loop,
    passwd_has_one_endless_line,
];

/// Far more than it takes, and far less than the rig's time limit.
const SOON: Duration = Duration::from_secs(3);

/// `create` and `run` return within the limit, and HOME is the default.
fn harmless(rig: &Rig, make: impl FnOnce(&Path) -> Outcome) -> Outcome {
    let mut bundle = rig.bundle()?;
    make(&bundle.host_path("etc/passwd"))?;
    bundle.verbs(&["env"]);
    let begin = Instant::now();
    run(&mut rig.launch("create", &bundle, &[])?, "")?.success()?;
    rig.delete()?;
    let output = rig.run(&bundle, &[])?.success()?;
    holds("both return within the time limit", begin.elapsed() < SOON)?;
    same("HOME", output.report().get("env:HOME"), "/")
}

fn passwd_is_an_endless_device(rig: &mut Rig) -> Outcome {
    harmless(rig, |passwd| Ok(symlink("/dev/zero", passwd)?))
}

/// Longer than the 3 GB that take some seconds to read; no block of it is allocated.
fn passwd_is_a_large_sparse_file(rig: &mut Rig) -> Outcome {
    harmless(rig, |passwd| Ok(fs::File::create(passwd)?.set_len(200 << 30)?))
}

fn passwd_is_a_fifo_without_a_writer(rig: &mut Rig) -> Outcome {
    harmless(rig, |passwd| Ok(sys::mknod(passwd, libc::S_IFIFO | 0o644, 0, 0)?))
}

fn passwd_is_a_directory(rig: &mut Rig) -> Outcome {
    harmless(rig, |passwd| Ok(fs::create_dir(passwd)?))
}

fn passwd_is_a_symlink_loop(rig: &mut Rig) -> Outcome {
    harmless(rig, |passwd| Ok(symlink("passwd", passwd)?))
}

fn passwd_has_one_endless_line(rig: &mut Rig) -> Outcome {
    harmless(rig, |passwd| Ok(fs::write(passwd, "x".repeat(1 << 21) + ":x:0:0::/stolen:/bin/sh\n")?))
}
