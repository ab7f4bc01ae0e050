//! Configurations with hundreds and thousands of mounts.

use std::fs;
use std::process::Command;

use super::source;
use crate::bundle::Bundle;
use crate::check::{Outcome, same, skip_allowed};
use crate::command::run;
use crate::json;
use crate::rig::{Peer, Rig};
use crate::tests;

tests!["rootfs", many_at_one_destination, many_at_one_destination_are_looked_up_once,];

/// The last one is seen, and all are there.
fn many_at_one_destination(rig: &mut Rig) -> Outcome {
    let source = source(rig)?;
    let mut bundle = rig.bundle()?;
    for number in 0..30 {
        // On a directory, through a link, of both kinds; and other mounts between them.
        let place = if number < 15 { "/place" } else { "/way/place" };
        match number % 3 {
            0 => bundle.bind(&source, place, &["bind"]),
            1 => bundle.mount(json!({"destination": place, "type": "tmpfs", "options": ["mode=751"]})),
            _ => bundle.mount(json!({"destination": (format!("{place}/below")), "type": "tmpfs"})),
        }
    }
    std::os::unix::fs::symlink(".", bundle.inside("way"))?;
    bundle.bind(&source, "/place", &["bind", "ro"]);
    bundle.mount(json!({"destination": "/place", "type": "tmpfs", "options": ["remount", "bind", "rw"]}));
    bundle.bind(&source.join("file"), "/place/file", &["bind"]);
    bundle.bind(&source.join("file"), "/place/file", &["bind", "ro"]);
    let verbs = ["mounts", "read", "/place/file", "write", "/place/file", "create", "/place/new"];
    let inside = rig.facts(&mut bundle, &verbs)?;
    inside.is("read:/place/file", "from the host")?;
    inside.is("write:/place/file", "!EROFS")?;
    inside.is("create:/place/new", "ok")?;
    same("mounts there", inside.all("mount:/place").len(), 21)?;
    same("files there", inside.all("mount:/place/file").len(), 2)
}

/// How many paths the runtime looks up inside the root, with so many mounts at one place.
fn lookups(rig: &Rig, number: usize, mount: impl Fn(&mut Bundle)) -> Outcome<usize> {
    let mut bundle = rig.bundle()?;
    (0..number).for_each(|_| mount(&mut bundle));
    bundle.verbs(&[]);
    let launched = rig.launch("run", &bundle, &[])?;
    let log = rig.dir.join("log");
    let mut command = Command::new("strace");
    command.args(["-f", "-e", "trace=openat2", "-o"]).arg(&log);
    command.arg(launched.get_program()).args(launched.get_args()).env("MOTE_LIVE", &rig.marker);
    rig.prepare(&mut command);
    run(&mut command, "")?.good()?;
    Ok(fs::read_to_string(log)?.lines().filter(|line| line.contains("openat2(")).count())
}

/// Each lookup goes through all that are mounted there already.
fn many_at_one_destination_are_looked_up_once(rig: &mut Rig) -> Outcome {
    if !rig.is(Peer::Mote) || Command::new("strace").arg("-V").output().is_err() {
        return skip_allowed("is for mote alone, with strace");
    }
    let source = source(rig)?;
    let tmpfs = |bundle: &mut Bundle| {
        bundle.mount(json!({"destination": "/place", "type": "tmpfs", "source": "tmpfs"}));
    };
    same("of a tmpfs", lookups(rig, 60, tmpfs)?, lookups(rig, 10, tmpfs)?)?;
    // One for its source.
    let bind = |bundle: &mut Bundle| bundle.bind(&source, "/place", &["bind"]);
    same("of a directory", lookups(rig, 60, bind)?, lookups(rig, 10, bind)? + 50)
}
