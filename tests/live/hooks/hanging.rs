//! Hooks that do not end, and hooks that ask mote about their own container: whoever ends the container waits for nobody,
//! and a creation that was killed leaves something that can only be ended.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use crate::bundle::Bundle;
use crate::check::{Outcome, contains, holds, same, skip_allowed};
use crate::command::{LIMIT, Running, start};
use crate::json;
use crate::rig::{Runtime, Rig};
use crate::{sys, tests};

tests![
    "hooks",
    create_killed_in_a_hook,
    create_killed_in_a_hook_of_the_container,
    kill_while_a_hook_hangs,
    delete_while_a_hook_hangs,
    kill_and_delete_while_start_hangs,
    delete_while_poststart_of_run_hangs,
    delete_while_create_has_no_process_yet,
    hooks_that_ask_mote,
    hooks_that_change_their_own_container,
];

/// A hook that says when it has begun, and does not end before it is let go on.
struct Hanging {
    bundle: Bundle,
    begun: File,
    end: PathBuf,
}

impl Hanging {
    fn new(rig: &Rig, point: &str) -> Outcome<Hanging> {
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
        Ok(Hanging { bundle, begun, end })
    }

    /// A command whose container has this hook, when that has begun.
    fn begin(&self, command: &mut std::process::Command) -> Outcome<Running> {
        let running = start(command, false)?;
        holds("the hook begins", sys::readable(&self.begun, LIMIT)?)?;
        Ok(running)
    }
}

/// A hook that was not killed comes to its end.
impl Drop for Hanging {
    fn drop(&mut self) {
        let _ = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&self.end);
    }
}

/// Nobody gets in, or changes it.
fn only_its_end(rig: &Rig) -> Outcome {
    let status = rig.state()?.at("status").text().to_string();
    holds(&format!("status {status}"), ["creating", "stopped"].contains(&status.as_str()))?;
    let list = rig.dir.join("mounts.json");
    std::fs::write(&list, r#"[{"destination": "/added", "type": "tmpfs", "source": "tmpfs"}]"#)?;
    let (id, list) = (rig.id.as_str(), list.display().to_string());
    let exec = rig.mote(&["exec", id, "/payload", "say", "inside"])?;
    same("what exec says", (exec.code(), exec.stdout.as_str()), (255, ""))?;
    let others: [&[&str]; 5] = [
        &["start", id],
        &["pause", id],
        &["resume", id],
        &["update", "--pids-limit", "20", id],
        &["mounts", "add", id, &list],
    ];
    others.iter().try_for_each(|words| rig.mote(words)?.failure(&[id]))
}

fn killed_in(rig: &mut Rig, points: &[&str]) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun go on with what is half made");
    }
    // Called by nohup(1) or a shell's background job the runtime ignores some, as the test does.
    let (ignored, _) = sys::signals();
    for point in points {
        let signals = [libc::SIGTERM, libc::SIGINT, libc::SIGKILL];
        for signal in signals.into_iter().filter(|signal| !ignored.contains(signal)) {
            let hanging = Hanging::new(rig, point)?;
            let mut creating = hanging.begin(&mut rig.launch("create", &hanging.bundle, &[])?)?;
            creating.signal(signal)?;
            creating.status()?;
            only_its_end(rig)?;
            rig.mote(&["delete", &rig.id])?.success()?;
            drop(hanging);
            rig.nothing_left()?;
            for name in ["begun", "end"] {
                std::fs::remove_file(rig.dir.join(format!("{point}-{name}")))?;
            }
        }
    }
    Ok(())
}

fn create_killed_in_a_hook(rig: &mut Rig) -> Outcome {
    killed_in(rig, &["prestart", "createRuntime"])
}

fn create_killed_in_a_hook_of_the_container(rig: &mut Rig) -> Outcome {
    killed_in(rig, &["createContainer"])
}

/// The creation that waits for the hook fails, says why, and takes everything away.
fn kill_while_a_hook_hangs(rig: &mut Rig) -> Outcome {
    for point in ["prestart", "createRuntime", "createContainer"] {
        let hanging = Hanging::new(rig, point)?;
        let mut creating = hanging.begin(&mut rig.launch("create", &hanging.bundle, &[])?)?;
        rig.mote(&["kill", &rig.id, "KILL"])?.success()?;
        let (status, errors) = creating.status()?;
        same("exit code of create", status.code(), Some(1))?;
        let why = if point == "createContainer" { "died" } else { "the container's process has ended" };
        contains("the error", &errors, why)?;
        drop(hanging);
        rig.nothing_left()?;
    }
    Ok(())
}

fn delete_while_a_hook_hangs(rig: &mut Rig) -> Outcome {
    for point in ["prestart", "createRuntime", "createContainer"] {
        let hanging = Hanging::new(rig, point)?;
        let mut creating = hanging.begin(&mut rig.launch("create", &hanging.bundle, &[])?)?;
        // Without force it is an error at once.
        rig.mote(&["delete", &rig.id])?.failure(&["is being created"])?;
        rig.mote(&["delete", "--force", &rig.id])?.success()?;
        same("exit code of create", creating.status()?.0.code(), Some(1))?;
        drop(hanging);
        rig.nothing_left()?;
    }
    Ok(())
}

fn kill_and_delete_while_start_hangs(rig: &mut Rig) -> Outcome {
    let hanging = Hanging::new(rig, "startContainer")?;
    let _created = rig.create(&hanging.bundle, &[])?;
    let mut starting = hanging.begin(&mut rig.command(&["start", &rig.id]))?;
    rig.mote(&["kill", &rig.id, "KILL"])?.success()?;
    starting.status()?;
    rig.mote(&["delete", "--force", &rig.id])?.success()?;
    drop(hanging);
    rig.nothing_left()
}

fn delete_while_poststart_of_run_hangs(rig: &mut Rig) -> Outcome {
    let hanging = Hanging::new(rig, "poststart")?;
    let mut running = hanging.begin(&mut rig.launch("run", &hanging.bundle, &["--detach"])?)?;
    rig.status_is("running")?;
    rig.mote(&["exec", &rig.id, "/payload"])?.success()?;
    rig.mote(&["delete", "--force", &rig.id])?.success()?;
    drop(hanging);
    running.status()?;
    rig.nothing_left()
}

/// It hangs on a socket that takes nobody in.
fn delete_while_create_has_no_process_yet(rig: &mut Rig) -> Outcome {
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

/// A hook that calls mote with these words, about its own container.
fn asking(rig: &Rig, point: &str, words: &[&str]) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    let state = rig.state.display().to_string();
    let args = [&["mote", "--root", state.as_str()], words].concat();
    let path = rig.suite.runtime.display().to_string();
    bundle.set(&format!("hooks.{point}[+]"), json!({"path": path, "args": args}));
    bundle.verbs(&["wait", "1"]);
    Ok(bundle)
}

fn hooks_that_ask_mote(rig: &mut Rig) -> Outcome {
    let id = rig.id.clone();
    for point in ["prestart", "createRuntime"] {
        for words in [&["state", &id][..], &["kill", &id, "0"]] {
            let bundle = asking(rig, point, words)?;
            let _created = rig.create(&bundle, &[])?;
            rig.status_is("created")?;
            rig.delete()?;
        }
    }
    // The container is there by then.
    for words in [&["exec", &id, "/payload"][..], &["update", "--pids-limit", "20", &id], &["pause", &id]] {
        let bundle = asking(rig, "poststart", words)?;
        rig.run(&bundle, &["--detach"])?.success()?;
        rig.delete()?;
    }
    rig.nothing_left()
}

/// What is not set up is not changed, and whoever asks for it is told so at once.
fn hooks_that_change_their_own_container(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun enter what is half made");
    }
    let id = rig.id.clone();
    let words: [&[&str]; 4] =
        [&["exec", &id, "/payload"], &["pause", &id], &["start", &id], &["delete", &id]];
    for words in words {
        let bundle = asking(rig, "createRuntime", words)?;
        let output = crate::command::run(&mut rig.launch("create", &bundle, &[])?, "")?;
        output.failure(&["hooks.createRuntime[0]", "is being created"])?;
        rig.nothing_left()?;
    }
    // Its own end is another thing.
    let bundle = asking(rig, "createRuntime", &["delete", "--force", &id])?;
    let output = crate::command::run(&mut rig.launch("create", &bundle, &[])?, "")?;
    same("exit code", output.code(), 1)?;
    rig.nothing_left()
}
