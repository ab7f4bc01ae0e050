//! The file of the runtime on the host: no process of a container can open, map or execute it, also not before execve.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use crate::attack::only_mote;
use crate::check::{Outcome, different, fail, holds, lacks, same, skip_allowed};
use crate::command::start;
use crate::exec::state::{freezer, joined};
use crate::exec::{command, container};
use crate::rig::{Rig, Runtime};
use crate::socket::{Socket, pid_of};
use crate::{json, tests};

tests![
    "cve",
    cve_2019_5736_executable_of_a_created_container,
    cve_2019_5736_executable_of_an_exec_process,
    cve_2019_5736_runtime_as_the_program,
    cve_2019_5736_runtime_as_the_program_of_exec,
    cve_2022_0847_pages_of_the_runtime,
];

/// CVE-2019-5736 (runc, also LXC and others; CVE-2020-14298 is the same in an older docker of Red Hat):
/// /proc/PID/exe of a process that the runtime starts in a container was the file of the runtime on the host. A
/// process of the container opened it, and overwrote it when the runtime had exited. Debian's runc 1.1.5 and crun
/// 1.8.1 show their own file, on a read-only mount. All tests of this id succeed against mote without
/// `self_exe::replace`.
fn cve_2019_5736_executable_of_a_created_container(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun show their own file, on a read-only mount");
    }
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "1"]);
    let _created = rig.create(&bundle, &[])?;
    let shown = fs::metadata(format!("/proc/{}/exe", rig.pid()?))?;
    let runtime = fs::metadata(&rig.suite.runtime)?;
    different("the executable", (shown.dev(), shown.ino()), (runtime.dev(), runtime.ino()))?;
    rig.delete()
}

/// The attack that needs no process in the container: the program of an image is /proc/self/exe, so the runtime
/// runs in the container, with libraries of the image if it is dynamically linked.
fn cve_2019_5736_runtime_as_the_program(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.args", json!(["/proc/self/exe", "--version"]));
    let output = rig.run(&bundle, &[])?;
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun run a copy of themselves");
    }
    same("the standard output", output.stdout.as_str(), "")?;
    different("exit code", output.code(), 0)
}

/// The same with `exec`, also through a symlink of the image.
fn cve_2019_5736_runtime_as_the_program_of_exec(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let mut bundle = rig.bundle()?;
    symlink("/proc/self/exe", bundle.host_path("program"))?;
    let _running = rig.waiting(&mut bundle)?;
    for program in ["/proc/self/exe", "/program"] {
        let output = rig.mote(&["exec", &rig.id, program, "--version"])?;
        same("the standard output", output.stdout.as_str(), "")?;
        different("exit code", output.code(), 0)?;
    }
    rig.delete()
}

/// Before execve, the exec process is visible in the container, while it joins the cgroup.
fn cve_2019_5736_executable_of_an_exec_process(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    container(rig)?;
    let Ok((file, frozen @ "FROZEN", thawed)) = freezer(rig) else {
        return skip_allowed("only on v1 is the cgroup joined after clone(2)");
    };
    let socket = Socket::new(rig, "pidfd")?;
    fs::write(&file, frozen)?;
    let options = ["--ignore-paused", "--pidfd-socket", &socket.path];
    let running = start(&mut command(rig, &options, &["say", "ran"]), false)?;
    let pid = pid_of(&socket.receive()?.0)?;
    joined(rig, pid)?;
    let shown = fs::metadata(format!("/proc/{pid}/exe"))?;
    let runtime = fs::metadata(&rig.suite.runtime)?;
    different("the executable", (shown.dev(), shown.ino()), (runtime.dev(), runtime.ino()))?;
    // Nor is the file mapped.
    let own = rig.suite.runtime.display().to_string();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    lacks("the memory map", &maps, &own)?;
    fs::write(&file, thawed)?;
    running.finish()?.success()?;
    rig.delete()
}

/// Whether a process has the file of the runtime open, mapped, or as its executable.
fn holds_the_runtime(rig: &Rig, pid: i32) -> Outcome<Option<String>> {
    let runtime = fs::metadata(&rig.suite.runtime)?;
    let is_runtime = |path: &std::path::Path| {
        fs::metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == (runtime.dev(), runtime.ino()))
    };
    for directory in ["fd", "map_files"] {
        for entry in fs::read_dir(format!("/proc/{pid}/{directory}"))? {
            let path = entry?.path();
            if is_runtime(&path) {
                return Ok(Some(path.display().to_string()));
            }
        }
    }
    let executable = format!("/proc/{pid}/exe");
    Ok(is_runtime(executable.as_ref()).then_some(executable))
}

/// CVE-2022-0847 (kernel, "Dirty Pipe"), CVE-2026-31431 (kernel, "Copy Fail"), CVE-2016-5195 (kernel, "Dirty COW"): a
/// process that can read a file, or has it mapped, writes to its pages in the page cache, also if it has no permission
/// to write. Through /proc/PID/exe or a mapping of the container init this is the runtime on the host, which root runs
/// next. The kernel under test has no such error, so the test looks for the pages: with startContainer hooks, the
/// process keeps all its memory, and the hook is in the container. Succeeds against runc 1.1.5 and crun 1.8.1, which
/// map their own file on a read-only mount.
fn cve_2022_0847_pages_of_the_runtime(rig: &mut Rig) -> Outcome {
    for hook in [false, true] {
        let mut bundle = rig.bundle()?;
        bundle.verbs(&["say", "ran"]);
        if hook {
            let args = vec!["payload", "into", "/log", "read", "/proc/1/maps", "stat", "/proc/1/exe"];
            bundle.set("hooks.startContainer", json!([{"path": "/payload", "args": args}]));
        }
        let mut created = rig.create(&bundle, &[])?;
        if let Some(found) = holds_the_runtime(rig, rig.pid()?)? {
            return fail(format_args!("{found} is the runtime"));
        }
        rig.mote(&["start", &rig.id])?.success()?;
        created.lines.until("say=ran")?;
        if hook {
            let seen = fs::read_to_string(bundle.host_path("log"))?;
            holds("the hook ran", seen.contains("/proc/1/exe="))?;
            lacks("the memory map", &seen, &rig.suite.runtime.display().to_string())?;
        }
        rig.delete()?;
    }
    Ok(())
}
