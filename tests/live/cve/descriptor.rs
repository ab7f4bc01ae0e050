//! CVE-2024-21626: a working directory or a program given by a file descriptor of the runtime, or of its caller. It may
//! refer to the host, or to the container below masked and read-only paths.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::attack::only_mote;
use crate::bundle::Bundle;
use crate::check::{Outcome, contains, different, holds, lacks};
use crate::command::{Output, run};
use crate::process::descriptor::leak;
use crate::rig::{Rig, Runtime};
use crate::rootfs::attack::{untouched, victim};
use crate::{sys, tests};

tests![
    "cve",
    cve_2024_21626_directory_by_any_descriptor,
    cve_2024_21626_directory_by_any_descriptor_through_a_link,
    cve_2024_21626_directory_by_the_links_of_procfs,
    cve_2024_21626_directory_of_an_exec_process,
    cve_2024_21626_directory_by_a_descriptor_of_the_caller,
    cve_2024_21626_program_through_a_descriptor,
    cve_2024_21626_program_by_a_descriptor_of_the_caller,
    cve_2024_21626_program_of_an_exec_process,
    cve_2024_21626_program_by_a_relative_path,
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

/// CVE-2024-21626 (runc 1.0.0 to 1.1.11, "Leaky Vessels"), first attack: runc had a directory of the host open,
/// /sys/fs/cgroup, when it changed to `process.cwd` = /proc/self/fd/7. Debian's runc 1.1.5 has the fix; this test
/// of all numbers succeeds against mote if `cwd.rs` calls chdir(2).
fn cve_2024_21626_directory_by_any_descriptor(rig: &mut Rig) -> Outcome {
    each_descriptor_is_harmless(rig, rig.bundle()?, |_, number| Ok(format!("/proc/self/fd/{number}")))
}

/// The same through a symlink of the image, as a `WORKDIR` has it.
fn cve_2024_21626_directory_by_any_descriptor_through_a_link(rig: &mut Rig) -> Outcome {
    each_descriptor_is_harmless(rig, rig.bundle()?, |bundle, number| {
        let link = bundle.host_path(&format!("way{number}"));
        symlink(format!("/proc/self/fd/{number}"), link)?;
        Ok(format!("/way{number}"))
    })
}

/// Links of procfs to where a process is, not to what it has open.
fn cve_2024_21626_directory_by_the_links_of_procfs(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(LOOK);
    for link in ["/proc/self/cwd", "/proc/self/root", "/proc/1/root/sys", "/proc/thread-self/cwd"] {
        bundle.set("process.cwd", link);
        harmless(rig, &rig.run(&bundle, &[])?)?;
    }
    Ok(())
}

/// Second attack: `exec --cwd` with a symlink that a process of the container has prepared.
fn cve_2024_21626_directory_of_an_exec_process(rig: &mut Rig) -> Outcome {
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

/// The same with a directory that the caller of the runtime has left open. Succeeds against crun 1.8.1.
fn cve_2024_21626_directory_by_a_descriptor_of_the_caller(rig: &mut Rig) -> Outcome {
    let victim = victim(rig)?;
    let dir = File::open(&victim)?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["cwd", "list", ".", "list", ".."]);
    for number in 3..20 {
        bundle.set("process.cwd", format!("/proc/self/fd/{number}"));
        let mut command = rig.launch("run", &bundle, &[])?;
        let from = dir.as_raw_fd();
        sys::before_exec(&mut command, move || sys::duplicate_to(from, 9));
        let output = run(&mut command, "")?;
        lacks("the output", &output.stdout, "secret")?;
        lacks("the output", &output.stdout, "victim")?;
        // Nor may a file descriptor of the set-up that refers to the container below masked paths.
        if rig.is(Runtime::Mote) || output.code() != 0 {
            rig.failure(&output, &["process.cwd"])?;
        }
    }
    untouched(&victim)
}

/// Third attack: a program of the host with a path through a file descriptor of the runtime. The numbers that the
/// caller does not use are those of mote.
fn cve_2024_21626_program_through_a_descriptor(rig: &mut Rig) -> Outcome {
    let program = rig.suite.payload.display().to_string();
    for number in 3..12 {
        for up in ["../../..", "../../../../../..", ".."] {
            let mut bundle = rig.bundle()?;
            let path = format!("/proc/self/fd/{number}/{up}{program}");
            bundle.set("process.args", vec![path.as_str(), "say", "escaped"]);
            for (options, open) in
                [(&[][..], &[][..]), (&["--preserve-fds", "1"], &[3]), (&["--preserve-fds", "9"], &[])]
            {
                let mut command = rig.launch("run", &bundle, options)?;
                leak(&mut command, open)?;
                let output = run(&mut command, "")?;
                lacks("the output", &output.stdout, "escaped")?;
                holds("run fails", output.code() != 0)?;
            }
        }
    }
    rig.nothing_left()
}

/// A program of the host that the image does not have at this path.
const PROGRAM: &str = "outside/payload";

fn program_of_the_host(rig: &Rig) -> Outcome {
    std::fs::create_dir(rig.dir.join("outside"))?;
    Ok(std::fs::hard_link(&rig.suite.payload, rig.dir.join(PROGRAM))?)
}

/// Runs a command with a directory and a program of the host at file descriptors that it inherits, and checks that no
/// program is executed.
fn nothing_is_executed(rig: &Rig, mut command: Command) -> Outcome {
    let dir = File::open(&rig.dir)?;
    let program = File::open(rig.dir.join(PROGRAM))?;
    sys::before_exec(&mut command, move || {
        sys::duplicate_to(dir.as_raw_fd(), 41)?;
        sys::duplicate_to(program.as_raw_fd(), 42)
    });
    let output = run(&mut command, "")?;
    lacks("the output", &output.stdout, "escaped")?;
    // What the payload prints if it was executed with another name.
    lacks("the error", &output.stderr, "live:")?;
    different("exit code", output.code(), 0)?;
    match rig.is(Runtime::Mote) {
        true => contains("the error", &output.stderr, "process.args[0]"),
        false => Ok(()),
    }
}

fn programs(number: u32) -> [String; 3] {
    let link = format!("/proc/self/fd/{number}");
    [link.clone(), format!("{link}/{PROGRAM}"), format!("/proc/1/fd/{number}/{PROGRAM}")]
}

/// Third attack, with a directory and a program of the host that the caller has left open. Succeeds against crun
/// 1.8.1.
fn cve_2024_21626_program_by_a_descriptor_of_the_caller(rig: &mut Rig) -> Outcome {
    program_of_the_host(rig)?;
    let mut bundle = rig.bundle()?;
    for program in NUMBERS.flat_map(programs) {
        bundle.set("process.args", vec![program.as_str(), "say", "escaped"]);
        nothing_is_executed(rig, rig.launch("run", &bundle, &[])?)?;
    }
    Ok(())
}

/// Fourth attack: the same with `exec`. Succeeds against crun 1.8.1.
fn cve_2024_21626_program_of_an_exec_process(rig: &mut Rig) -> Outcome {
    program_of_the_host(rig)?;
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    for program in NUMBERS.flat_map(programs) {
        nothing_is_executed(rig, rig.command(&["exec", &rig.id, &program, "say", "escaped"]))?;
    }
    rig.delete()
}

/// A relative path, or a relative directory of PATH, is looked up in the container's working directory and not in
/// that of the runtime or its caller, nor through their file descriptors. Succeeds against crun 1.8.1.
fn cve_2024_21626_program_by_a_relative_path(rig: &mut Rig) -> Outcome {
    program_of_the_host(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.set("process.cwd", "/etc");
    let up = "../".repeat(12) + rig.dir.join(PROGRAM).display().to_string().trim_start_matches('/');
    let paths = ["outside", "./outside", "/proc/self/fd/41/outside:/proc/self/cwd/outside", "../../outside"];
    for program in ["payload", PROGRAM, "./outside/payload", up.as_str()] {
        for path in paths {
            bundle.set("process.args", vec![program, "say", "escaped"]);
            bundle.set("process.env", vec![format!("PATH={path}")]);
            nothing_is_executed(rig, rig.launch("run", &bundle, &[])?)?;
        }
    }
    Ok(())
}
