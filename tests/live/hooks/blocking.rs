//! Hooks that do not end, and hooks that call mote for their own container: kill and delete do not wait for the hook,
//! and a container whose creation was killed can only be deleted.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use crate::bundle::Bundle;
use crate::check::{Outcome, contains, holds, same, skip_allowed};
use crate::command::{LIMIT, Running, start};
use crate::json;
use crate::rig::{Rig, Runtime};
use crate::{sys, tests};

tests![
    "hooks",
    create_killed_in_a_hook,
    create_killed_in_a_hook_in_the_container,
    kill_during_a_hook,
    delete_during_a_hook,
    kill_and_delete_during_start_container,
    delete_during_poststart,
    delete_before_the_process_is_created,
    hooks_may_call_mote,
    hooks_cannot_change_a_container_being_created,
];

/// A container with a hook that reports when it has begun, and then waits.
struct BlockingHook {
    bundle: Bundle,
    begun: File,
    end: PathBuf,
}

impl BlockingHook {
    fn new(rig: &Rig, point: &str) -> Outcome<BlockingHook> {
        let mut bundle = rig.bundle()?;
        let inside = point == "startContainer";
        let dir = if inside { bundle.host_path("/") } else { rig.dir.clone() };
        let pipes = ["begun", "end"].map(|name| dir.join(format!("{point}-{name}")));
        for pipe in &pipes {
            sys::mknod(pipe, libc::S_IFIFO | 0o600, 0, 0)?;
        }
        let [begun, end] = pipes.clone();
        let [first, second] = pipes.map(|pipe| match pipe.file_name().filter(|_| inside) {
            Some(name) => format!("/{}", name.display()),
            None => pipe.display().to_string(),
        });
        let program = rig.suite.payload.display().to_string();
        let program = if inside { "/payload" } else { program.as_str() };
        let words = vec!["payload", "into", &first, "say", "begun", "read", &second];
        bundle.set(&format!("hooks.{point}[+]"), json!({"path": program, "args": words}));
        bundle.verbs(&["wait", "1"]);
        let begun = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(begun)?;
        Ok(BlockingHook { bundle, begun, end })
    }

    /// Starts a command and waits until the hook has begun.
    fn begin(&self, command: &mut std::process::Command) -> Outcome<Running> {
        let running = start(command, false)?;
        holds("the hook begins", sys::readable(&self.begun, LIMIT)?)?;
        Ok(running)
    }
}

/// Lets a hook that was not killed exit.
impl Drop for BlockingHook {
    fn drop(&mut self) {
        let _ = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&self.end);
    }
}

/// Checks that other commands than kill and delete are rejected.
fn only_deletion_is_possible(rig: &Rig) -> Outcome {
    let status = rig.state()?.at("status").text().to_string();
    holds(&format!("status {status}"), ["creating", "stopped"].contains(&status.as_str()))?;
    let list = rig.dir.join("mounts.json");
    std::fs::write(&list, r#"[{"destination": "/added", "type": "tmpfs", "source": "tmpfs"}]"#)?;
    let (id, list) = (rig.id.as_str(), list.display().to_string());
    let exec = rig.mote(&["exec", id, "/payload", "say", "inside"])?;
    same("exit code and output of exec", (exec.code(), exec.stdout.as_str()), (255, ""))?;
    let others: [&[&str]; 5] = [
        &["start", id],
        &["pause", id],
        &["resume", id],
        &["update", "--pids-limit", "20", id],
        &["mounts", "add", id, &list],
    ];
    others.iter().try_for_each(|words| rig.mote(words)?.failure(&[id]))
}

fn create_killed_in(rig: &mut Rig, points: &[&str]) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun start a container whose creation was not completed");
    }
    // The runtime leaves signals ignored that its caller ignores, as nohup(1) or a background job of a shell does.
    let (ignored, _) = sys::signals();
    for point in points {
        let signals = [libc::SIGTERM, libc::SIGINT, libc::SIGKILL];
        for signal in signals.into_iter().filter(|signal| !ignored.contains(signal)) {
            let hook = BlockingHook::new(rig, point)?;
            let mut creating = hook.begin(&mut rig.launch("create", &hook.bundle, &[])?)?;
            creating.signal(signal)?;
            creating.status()?;
            only_deletion_is_possible(rig)?;
            rig.mote(&["delete", &rig.id])?.success()?;
            drop(hook);
            rig.nothing_left()?;
            for name in ["begun", "end"] {
                std::fs::remove_file(rig.dir.join(format!("{point}-{name}")))?;
            }
        }
    }
    Ok(())
}

fn create_killed_in_a_hook(rig: &mut Rig) -> Outcome {
    create_killed_in(rig, &["prestart", "createRuntime"])
}

fn create_killed_in_a_hook_in_the_container(rig: &mut Rig) -> Outcome {
    create_killed_in(rig, &["createContainer"])
}

/// The creation, which waits for the hook, fails with an error and removes the container.
fn kill_during_a_hook(rig: &mut Rig) -> Outcome {
    for point in ["prestart", "createRuntime", "createContainer"] {
        let hook = BlockingHook::new(rig, point)?;
        let mut creating = hook.begin(&mut rig.launch("create", &hook.bundle, &[])?)?;
        rig.mote(&["kill", &rig.id, "KILL"])?.success()?;
        let (status, errors) = creating.status()?;
        same("exit code of create", status.code(), Some(1))?;
        let why = if point == "createContainer" { "died" } else { "the container's process has ended" };
        contains("the error", &errors, why)?;
        drop(hook);
        rig.nothing_left()?;
    }
    Ok(())
}

fn delete_during_a_hook(rig: &mut Rig) -> Outcome {
    for point in ["prestart", "createRuntime", "createContainer"] {
        let hook = BlockingHook::new(rig, point)?;
        let mut creating = hook.begin(&mut rig.launch("create", &hook.bundle, &[])?)?;
        // Without --force, an immediate error.
        rig.mote(&["delete", &rig.id])?.failure(&["is being created"])?;
        rig.mote(&["delete", "--force", &rig.id])?.success()?;
        same("exit code of create", creating.status()?.0.code(), Some(1))?;
        drop(hook);
        rig.nothing_left()?;
    }
    Ok(())
}

fn kill_and_delete_during_start_container(rig: &mut Rig) -> Outcome {
    let hook = BlockingHook::new(rig, "startContainer")?;
    let _created = rig.create(&hook.bundle, &[])?;
    let mut starting = hook.begin(&mut rig.command(&["start", &rig.id]))?;
    rig.mote(&["kill", &rig.id, "KILL"])?.success()?;
    starting.status()?;
    rig.mote(&["delete", "--force", &rig.id])?.success()?;
    drop(hook);
    rig.nothing_left()
}

fn delete_during_poststart(rig: &mut Rig) -> Outcome {
    let hook = BlockingHook::new(rig, "poststart")?;
    let mut running = hook.begin(&mut rig.launch("run", &hook.bundle, &["--detach"])?)?;
    rig.status_is("running")?;
    rig.mote(&["exec", &rig.id, "/payload"])?.success()?;
    rig.mote(&["delete", "--force", &rig.id])?.success()?;
    drop(hook);
    running.status()?;
    rig.nothing_left()
}

/// `create` blocks in connect(2).
fn delete_before_the_process_is_created(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.terminal", true);
    bundle.verbs(&["wait", "1"]);
    let path = rig.dir.join("full");
    let _socket = sys::full_socket(&path)?;
    let path = path.display().to_string();
    let mut creating = start(&mut rig.launch("create", &bundle, &["--console-socket", &path])?, false)?;
    while !rig.state.join(&rig.id).join("status").exists() {
        holds("create hangs", !creating.has_ended()?)?;
    }
    rig.mote(&["delete", "--force", &rig.id])?.success()?;
    holds("create has ended", !creating.status()?.0.success())?;
    rig.nothing_left()
}

/// A container with a hook that calls mote with these arguments.
fn calling_mote(rig: &Rig, point: &str, words: &[&str]) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    let state = rig.state.display().to_string();
    let args = [&["mote", "--root", state.as_str()], words].concat();
    let path = rig.suite.runtime.display().to_string();
    bundle.set(&format!("hooks.{point}[+]"), json!({"path": path, "args": args}));
    bundle.verbs(&["wait", "1"]);
    Ok(bundle)
}

fn hooks_may_call_mote(rig: &mut Rig) -> Outcome {
    let id = rig.id.clone();
    for point in ["prestart", "createRuntime"] {
        for words in [&["state", &id][..], &["kill", &id, "0"]] {
            let bundle = calling_mote(rig, point, words)?;
            let _created = rig.create(&bundle, &[])?;
            rig.status_is("created")?;
            rig.delete()?;
        }
    }
    // At poststart the container is running.
    for words in [&["exec", &id, "/payload"][..], &["update", "--pids-limit", "20", &id], &["pause", &id]] {
        let bundle = calling_mote(rig, "poststart", words)?;
        rig.run(&bundle, &["--detach"])?.success()?;
        rig.delete()?;
    }
    rig.nothing_left()
}

/// A container that is being created cannot be changed, and the command fails immediately.
fn hooks_cannot_change_a_container_being_created(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun enter a container whose creation was not completed");
    }
    let id = rig.id.clone();
    let words: [&[&str]; 4] =
        [&["exec", &id, "/payload"], &["pause", &id], &["start", &id], &["delete", &id]];
    for words in words {
        let bundle = calling_mote(rig, "createRuntime", words)?;
        let output = crate::command::run(&mut rig.launch("create", &bundle, &[])?, "")?;
        output.failure(&["hooks.createRuntime[0]", "is being created"])?;
        rig.nothing_left()?;
    }
    // A hook may delete its container.
    let bundle = calling_mote(rig, "createRuntime", &["delete", "--force", &id])?;
    let output = crate::command::run(&mut rig.launch("create", &bundle, &[])?, "")?;
    same("exit code", output.code(), 1)?;
    rig.nothing_left()
}
