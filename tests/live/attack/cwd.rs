//! CVE-2024-21626: a working directory given by one of the runtime's own file descriptors, which refer to the host, or
//! to the container below masked and read-only paths.

use std::os::unix::fs::symlink;

use super::only_mote;
use crate::bundle::Bundle;
use crate::check::{Outcome, contains, different, holds};
use crate::command::Output;
use crate::rig::{Rig, Runtime};
use crate::tests;

tests![
    "attack",
    working_directory_by_any_descriptor,
    working_directory_by_any_descriptor_through_a_symlink,
    working_directory_by_the_links_of_procfs,
    working_directory_of_a_joined_process_by_any_descriptor,
];

/// More file descriptors than a runtime has open.
const NUMBERS: std::ops::Range<u32> = 0..48;

/// Files reachable from /proc, /proc/sys, /sys and /sys/firmware. Writing the host name is harmless, as it is that of
/// the container.
const LOOK: &[&str] =
    &["cwd", "write", "kernel/hostname", "write", "sys/kernel/hostname", "list", "firmware", "list", "."];

/// mote rejects the setting with the name of the field. runc and crun may also run the program in a directory that
/// gives access to nothing.
fn harmless(rig: &Rig, output: &Output) -> Outcome {
    if rig.is(Runtime::Mote) {
        // The exit code of `exec` for errors of the runtime differs from that of `run`.
        different("exit code", output.code(), 0)?;
        holds("one line on the standard error", output.stderr.lines().count() == 1)?;
        return contains("the error", &output.stderr, "process.cwd");
    }
    let inside = output.report();
    different("a write below /proc/sys", inside.get("write:kernel/hostname"), "ok")?;
    different("a write below /proc/sys", inside.get("write:sys/kernel/hostname"), "ok")?;
    holds("/sys/firmware is masked", matches!(inside.get("list:firmware"), "" | "!ENOENT" | "(not reported)"))
}

fn each_descriptor_is_harmless(
    rig: &Rig,
    mut bundle: Bundle,
    cwd: impl Fn(&Bundle, u32) -> Outcome<String>,
) -> Outcome {
    bundle.verbs(LOOK);
    for number in NUMBERS {
        let cwd = cwd(&bundle, number)?;
        bundle.set("process.cwd", cwd);
        harmless(rig, &rig.run(&bundle, &[])?)?;
    }
    Ok(())
}

fn working_directory_by_any_descriptor(rig: &mut Rig) -> Outcome {
    each_descriptor_is_harmless(rig, rig.bundle()?, |_, number| Ok(format!("/proc/self/fd/{number}")))
}

fn working_directory_by_any_descriptor_through_a_symlink(rig: &mut Rig) -> Outcome {
    each_descriptor_is_harmless(rig, rig.bundle()?, |bundle, number| {
        let link = bundle.host_path(&format!("way{number}"));
        symlink(format!("/proc/self/fd/{number}"), link)?;
        Ok(format!("/way{number}"))
    })
}

/// Links of procfs to where a process is, not to what it has open.
fn working_directory_by_the_links_of_procfs(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(LOOK);
    for link in ["/proc/self/cwd", "/proc/self/root", "/proc/1/root/sys", "/proc/thread-self/cwd"] {
        bundle.set("process.cwd", link);
        harmless(rig, &rig.run(&bundle, &[])?)?;
    }
    Ok(())
}

fn working_directory_of_a_joined_process_by_any_descriptor(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    for number in NUMBERS {
        symlink(format!("/proc/self/fd/{number}"), bundle.host_path(&format!("way{number}")))?;
    }
    let _running = rig.waiting(&mut bundle)?;
    for number in NUMBERS {
        for cwd in [format!("/proc/self/fd/{number}"), format!("/way{number}")] {
            let words = [&["exec", "--cwd", &cwd, &rig.id, "/payload"], LOOK].concat();
            harmless(rig, &rig.mote(&words)?)?;
        }
    }
    rig.delete()
}
