//! The commands of docs/checkpoint.md.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::check::{Outcome, holds, same, skip};
use crate::checkpoint::{criu_restores, needs_criu};
use crate::command::{Output, run};
use crate::exec::only_mote;
use crate::rig::Rig;
use crate::tests;

tests!["checkpoint_page", first_commands_of_the_page];

/// The first block of commands, in a directory with busybox. The counter goes on where it was dumped.
fn first_commands_of_the_page(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    needs_criu(rig)?;
    criu_restores()?;
    let page = include_str!("../../docs/checkpoint.md");
    let block = page.lines().skip_while(|line| !line.starts_with("    "));
    let block: Vec<&str> = block.map_while(|line| line.strip_prefix("    ")).collect();
    let dir = rig.dir.join("web");
    fill_root(&dir.join("rootfs"))?;
    let mut counters = Vec::new();
    for line in &block {
        let done = shell(rig, &dir, line)?;
        same(line, (done.code(), done.stderr.as_str()), (0, ""))?;
        if line.starts_with("cat log") {
            counters.push(done.stdout);
        }
    }
    let [before, after] = &counters[..] else { return holds("the page prints the log twice", false) };
    let (first, all) = (before.lines().count(), after.lines().count());
    let numbers: Vec<String> = (1..=all).map(|number| number.to_string()).collect();
    same("the counter", after.lines().collect::<Vec<_>>(), numbers)?;
    holds(&format!("{first} numbers, then {all}"), first > 0 && all > first)?;
    rig.nothing_left()
}

/// A root filesystem with `sh` and `sleep`.
fn fill_root(root: &Path) -> Outcome {
    let busybox = ["/bin/busybox", "/usr/bin/busybox", "/bin/busybox.static"];
    let Some(busybox) = busybox.into_iter().find(|path| Path::new(path).exists()) else {
        return skip("no static busybox");
    };
    fs::create_dir_all(root.join("bin"))?;
    fs::copy(busybox, root.join("bin/busybox"))?;
    ["sh", "sleep"].iter().try_for_each(|name| symlink("busybox", root.join("bin").join(name)))?;
    Ok(())
}

/// Runs a line of the page, with the state of this test below XDG_RUNTIME_DIR.
fn shell(rig: &Rig, dir: &Path, line: &str) -> Outcome<Output> {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("cd {} && {line}", dir.display())]);
    rig.prepare(&mut command);
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", rig.suite.dir.display());
    command.env("PATH", path).env("XDG_RUNTIME_DIR", &rig.dir).env("MOTE_LIVE", &rig.marker);
    run(&mut command, "")
}
