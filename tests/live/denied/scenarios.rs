//! What the runtime is used for while a system call is denied.

use std::fs;

use super::steps::Steps;
use crate::bundle::Bundle;
use crate::check::{Outcome, holds};
use crate::command::{self, LIMIT, start};
use crate::filter::{Agent, answer_all};
use crate::hooks::Hooked;
use crate::json;
use crate::json::Json;
use crate::rig::Rig;
use crate::rootless;
use crate::sys::{self, seccomp::Answer};
use crate::terminal::screen::Screen;

/// One use of the runtime, which is the same with and without denied calls.
pub struct Scenario {
    /// As the table of the documentation names it.
    pub name: &'static str,
    pub act: fn(&mut Steps<'_, '_>) -> Outcome,
}

pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "`run`", act: run },
    Scenario { name: "user namespace", act: user_namespace },
    Scenario { name: "other commands", act: commands },
    Scenario { name: "hooks", act: hooks },
    Scenario { name: "terminal", act: terminal },
    Scenario { name: "unprivileged user", act: unprivileged },
    Scenario { name: "seccomp listener", act: listener },
    Scenario { name: "idmapped mount", act: idmapped },
    Scenario { name: "time namespace", act: time_namespace },
];

const VERBS: &str = "mounts read /image/kept create /image/new read /data/file create /data/new create /data/below/x \
    read /etc/hosts read /etc/secret list /etc/hidden create /etc/hidden/x list /etc/other create /etc/still/x \
    open_rw /dev/device write /dev/null create /dev/shm/x create /x fds cgroup caps nnp cwd uts";

/// A bundle with all kinds of mounts, masked and read-only paths, a device and limits.
fn rich(rig: &Rig) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    let volume = bundle.dir.join("volume");
    fs::create_dir_all(volume.join("below"))?;
    fs::write(volume.join("file"), "of the host")?;
    for file in
        ["image/kept", "etc/secret", "etc/hidden/x", "etc/other/x", "etc/still/y", "etc/hosts", "data/x"]
    {
        bundle.file(file, file)?;
    }
    let options = ["tmpcopyup", "mode=755", "size=64k", "nosuid"];
    bundle.mount(
        json!({"destination": "/image", "type": "tmpfs", "source": "tmpfs", "options": (options.to_vec())}),
    );
    bundle.bind(&volume, "/data", &["rbind", "ro", "nosuid", "noatime"]);
    bundle.mount(
        json!({"destination": "/data/below", "type": "tmpfs", "source": "tmpfs", "options": ["mode=700"]}),
    );
    bundle.bind(&volume.join("file"), "/etc/hosts", &["bind", "ro", "nodev"]);
    let options = ["ro", "nosuid", "noexec", "nodev"];
    bundle.mount(json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "options": (options.to_vec())}));
    bundle.mount(json!({"destination": "/dev/shm", "type": "none", "options": ["remount", "ro", "noexec"]}));
    bundle.namespace("cgroup", None);
    bundle.set("linux.devices[+]", json!({"path": "/dev/device", "type": "c", "major": 1i64, "minor": 5i64}));
    bundle.set("linux.maskedPaths", json!(["/etc/secret", "/etc/hidden", "/etc/other", "/proc/kcore"]));
    bundle.set("linux.readonlyPaths", json!(["/etc/still", "/proc/sys"]));
    bundle.set("linux.resources", json!({"pids": {"limit": 50i64}, "memory": {"limit": 67108864i64}}));
    bundle.set("root.readonly", true);
    bundle.verbs(&VERBS.split_whitespace().collect::<Vec<_>>());
    Ok(bundle)
}

fn run(steps: &mut Steps<'_, '_>) -> Outcome {
    let bundle = rich(steps.rig)?;
    for (name, options) in [("run", &[][..]), ("run --no-pivot", &["--no-pivot"])] {
        let output = steps.rig.run(&bundle, options)?;
        steps.add(name, &output)?;
    }
    Ok(())
}

fn user_namespace(steps: &mut Steps<'_, '_>) -> Outcome {
    let mut bundle = rich(steps.rig)?;
    bundle.user_namespace(100_000);
    // If the parent cannot create it, it is the host's.
    bundle.set("linux.devices[0].path", "/dev/zero");
    // `tmpcopyup` keeps the owners of files, which the user namespace must map.
    for file in ["image", "image/kept"] {
        sys::chown(&bundle.host_path(file), 100_000, 100_000)?;
    }
    let output = steps.rig.run(&bundle, &[])?;
    steps.add("run", &output).map(drop)
}

/// Creates and starts a container that waits; `None` if that failed.
fn started(steps: &mut Steps<'_, '_>, bundle: &mut Bundle) -> Outcome<Option<command::Running>> {
    bundle.verbs(&["wait", "1"]);
    let Some(mut created) = steps.create(bundle)? else { return Ok(None) };
    state(steps)?;
    if !steps.command(&["start", "ID"])? {
        steps.command(&["delete", "--force", "ID"])?;
        return Ok(None);
    }
    created.lines.until("waiting=1")?;
    Ok(Some(created))
}

/// Records the status, which `state` prints.
fn state(steps: &mut Steps<'_, '_>) -> Outcome {
    let output = steps.rig.mote(&["state", &steps.rig.id])?;
    match output.code() {
        0 => steps.note("state", Json::parse(&output.stdout)?.at("status").text()),
        _ => drop(steps.add("state", &output)?),
    }
    Ok(())
}

/// Kills the container init with `kill`, and removes the container.
fn end(steps: &mut Steps<'_, '_>) -> Outcome {
    let denied = std::mem::take(&mut steps.rig.denied);
    let pidfd = sys::pidfd(steps.rig.pid()?)?;
    steps.rig.denied = denied;
    if !steps.command(&["kill", "ID", "KILL"])? {
        return steps.command(&["delete", "--force", "ID"]).map(drop);
    }
    holds("the init exits", sys::readable(&pidfd, LIMIT)?)?;
    state(steps)?;
    steps.command(&["delete", "ID"]).map(drop)
}

fn commands(steps: &mut Steps<'_, '_>) -> Outcome {
    let mut bundle = rich(steps.rig)?;
    let Some(_running) = started(steps, &mut bundle)? else { return Ok(()) };
    steps.command(&["exec", "ID", "/payload", "caps", "fds", "cgroup", "cwd"])?;
    // A table with one line for each process.
    let table = steps.rig.mote(&["ps", &steps.rig.id])?;
    steps.add("ps", &table)?;
    steps.command(&["pause", "ID"])?;
    state(steps)?;
    steps.command(&["resume", "ID"])?;
    steps.command(&["update", "--pids-limit", "44", "ID"])?;
    let events = steps.rig.mote(&["events", "--stats", &steps.rig.id])?;
    match events.code() {
        0 => {
            let pids = Json::parse(&events.stdout)?;
            let pids = pids.at("data").at("pids");
            steps.note("events", &format!("{} of {}", pids.at("current").int(), pids.at("limit").int()));
        }
        _ => drop(steps.add("events", &events)?),
    }
    let file = steps.rig.dir.join("mounts.json");
    let volume = bundle.dir.join("volume").display().to_string();
    let list = json!([
        {"destination": "/image/a", "type": "bind", "source": (volume.as_str()), "options": ["rbind", "ro"]},
        {"destination": "/image/b", "type": "tmpfs", "source": "tmpfs", "options": ["size=64k", "noexec"]}
    ]);
    fs::write(&file, list.to_string())?;
    for (name, verb) in [("mounts add", "add"), ("mounts remove", "remove")] {
        let output = steps.rig.mote(&["mounts", verb, &steps.rig.id, &file.display().to_string()])?;
        if !steps.add(name, &output)? {
            break;
        }
        steps.command(&["exec", "ID", "/payload", "mounts", "create", "/image/a/x"])?;
    }
    end(steps)
}

fn hooks(steps: &mut Steps<'_, '_>) -> Outcome {
    let mut hooked = Hooked::new(steps.rig)?;
    hooked.add_all();
    if let Some(running) = started(steps, &mut hooked.bundle)? {
        end(steps)?;
        drop(running);
    }
    let log = hooked.text()?;
    steps.note("log of the hooks", &log);
    Ok(())
}

fn terminal(steps: &mut Steps<'_, '_>) -> Outcome {
    let mut bundle = steps.rig.bundle()?;
    bundle.set("process.terminal", true);
    bundle.verbs(&["tty", "size", "open", "/dev/console", "fds"]);
    let mut screen = Screen::new()?;
    let running = screen.start(&mut steps.rig.launch("run", &bundle, &[])?)?;
    let output = screen.finish(running)?;
    steps.add("run", &output).map(drop)
}

fn unprivileged(steps: &mut Steps<'_, '_>) -> Outcome {
    rootless::as_ordinary_user(steps.rig)?;
    let mut bundle = rootless::user_namespace_bundle(steps.rig)?;
    bundle.verbs(&[
        "id",
        "mounts",
        "write",
        "/dev/null",
        "write",
        "/dev/full",
        "create",
        "/dev/shm/x",
        "read",
        "/proc/kcore",
    ]);
    let output = steps.rig.run(&bundle, &[])?;
    if steps.add("run", &output)?
        && let Some(_running) = started(steps, &mut bundle)?
    {
        steps.command(&["exec", "ID", "/payload", "id", "fds"])?;
        end(steps)?;
    }
    Ok(())
}

fn listener(steps: &mut Steps<'_, '_>) -> Outcome {
    let agent = Agent::new(steps.rig)?;
    let mut bundle = steps.rig.bundle()?;
    bundle.set("linux.seccomp", agent.profile(&["munlockall"]));
    bundle.verbs(&["syscall", "munlockall"]);
    let running = start(&mut steps.rig.launch("run", &bundle, &[])?, false)?;
    // Without a connection the command has failed; with one that has no file descriptor it is about to fail.
    if sys::first_readable(&agent.socket, &running, LIMIT)?
        && let Ok((listener, _)) = agent.take()
    {
        answer_all(&listener, |_| Answer::Value(4711))?;
    }
    let output = running.finish()?;
    fs::remove_file(&agent.path)?;
    steps.add("run", &output).map(drop)
}

fn idmapped(steps: &mut Steps<'_, '_>) -> Outcome {
    let mut bundle = rich(steps.rig)?;
    let volume = bundle.dir.join("volume");
    bundle.bind(&volume, "/image/mapped", &["bind", "idmap=uids=0-4000-10;gids=0-4000-10"]);
    bundle.verbs(&["stat", "/image/mapped/file"]);
    let output = steps.rig.run(&bundle, &[])?;
    steps.add("run", &output).map(drop)
}

fn time_namespace(steps: &mut Steps<'_, '_>) -> Outcome {
    let mut bundle = steps.rig.bundle()?;
    bundle.namespace("time", None);
    bundle.verbs(&["clock"]);
    let mut output = steps.rig.run(&bundle, &[])?;
    // The clocks go on.
    output.stdout.retain(|letter| !letter.is_ascii_digit());
    steps.add("run", &output).map(drop)
}
