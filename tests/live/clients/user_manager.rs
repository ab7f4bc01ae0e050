//! Rootless podman of a user with a systemd instance, which creates the cgroups and runs services.

use std::fs;
use std::process::Command;

use super::rootless::{Podman, words};
use super::works;
use crate::cgroups::scope::user;
use crate::cgroups::systemd::with_systemd;
use crate::check::{Outcome, contains, fail, same};
use crate::command::{self, Output};
use crate::rig::Rig;
use crate::{cleanup, tests};

tests![
    "clients",
    alone: true,
    rootless_podman_limits_of_a_user_manager,
    rootless_podman_service_of_a_user_manager,
];

/// podman with a systemd instance, in which it creates a scope for each container.
fn with_manager<'a, 'b>(rig: &'a mut Rig<'b>) -> Outcome<Podman<'a, 'b>> {
    with_systemd(rig)?;
    rig.globals.clear();
    let manager = user()?;
    Podman::new(rig, Some(manager))
}

impl Podman<'_, '_> {
    /// A command of systemd for the user's instance.
    fn systemd(&self, program: &str, words: &[&str]) -> Outcome<Output> {
        let mut command = Command::new(program);
        command.arg("--user").args(words);
        self.rig.prepare(&mut command);
        command.env("XDG_RUNTIME_DIR", self.rig.dir.join("run")).env_remove("DBUS_SESSION_BUS_ADDRESS");
        command::run(&mut command, "")
    }
}

fn rootless_podman_limits_of_a_user_manager(rig: &mut Rig) -> Outcome {
    let podman = with_manager(rig)?;
    let start = ["run", "--detach", "--network", "none", "--name", "one", "--pids-limit", "50"];
    podman.succeeds(&[&start[..], &["--memory", "64m", "--cpus", "0.5", "box", "sleep", "1000"]].concat())?;
    let read = ["exec", "one", "cat"];
    let files = ["memory.max", "pids.max", "cpu.max"].map(|name| format!("/sys/fs/cgroup/{name}"));
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let limits = || podman.succeeds(&[&read[..], &files[..]].concat()).map(|text| words(&text));
    same("limits", limits()?.as_str(), "67108864 50 50000 100000")?;
    let pid = podman.succeeds(&["inspect", "--format", "{{.State.Pid}} {{.Id}}", "one"])?;
    let Some((pid, id)) = pid.trim().split_once(' ') else { return fail(pid) };
    let table = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let scope = format!("/user@{}.service/user.slice/libpod-{id}.scope", podman.user);
    contains("the cgroup", &table, &scope)?;
    podman.succeeds(&["update", "--memory", "96m", "--cpus", "0.25", "one"])?;
    same("limits", limits()?.as_str(), "100663296 50 25000 100000")?;
    podman.pauses()?;
    podman.succeeds(&["rm", "--force", "--time", "0", "one"])?;
    same("cgroups left", cleanup::cgroups(&format!("libpod-{id}")).len(), 0)?;
    podman.finish()
}

/// A service as quadlet writes it: `READY=1` comes from podman or from the program in the container.
fn rootless_podman_service_of_a_user_manager(rig: &mut Rig) -> Outcome {
    let podman = with_manager(rig)?;
    let (dir, payload) =
        (podman.rig.dir.display().to_string(), podman.rig.suite.payload.display().to_string());
    let volume = format!("{payload}:/payload:ro");
    for (kind, program) in
        [("conmon", &["sleep", "1000"][..]), ("container", &["/payload", "notify", "READY=1", "wait", "1"])]
    {
        let unit = format!("{}-{kind}", podman.rig.id);
        let own = podman.command(&[]);
        let own: Vec<String> = own.get_args().map(|word| word.display().to_string()).collect();
        let environment = [
            format!("HOME={dir}"),
            format!("XDG_RUNTIME_DIR={dir}/run"),
            format!("CONTAINERS_CONF={dir}/containers.conf"),
            format!("MOTE_LIVE={}", podman.rig.marker),
        ];
        let mut line = vec!["--quiet", "--collect", "--unit", &unit, "--property", "Type=notify"];
        line.extend(["--property", "NotifyAccess=all", "--property", "Delegate=yes"]);
        environment.iter().for_each(|setting| line.extend(["--setenv", setting]));
        line.push("podman");
        line.extend(own.iter().map(String::as_str));
        line.extend(["run", "--detach", "--rm", "--network", "none", "--cgroups", "split", "--name", "one"]);
        line.extend(["--sdnotify", kind, "--volume", &volume, "box"]);
        line.extend(program);
        // Returns when the service has sent READY=1, or has failed.
        podman.systemd("systemd-run", &line)?.success()?;
        let state = podman.systemd("systemctl", &["show", "--property", "ActiveState", &unit])?.success()?;
        same("the service", state.stdout.as_str(), "ActiveState=active\n")?;
        works(&podman.call(&["exec", "one", "echo", "it", "works"])?)?;
        podman.succeeds(&["rm", "--force", "--time", "0", "one"])?;
        // Waits until the unit is removed, and fails if it is already.
        podman.systemd("systemctl", &["stop", &unit])?;
    }
    podman.finish()
}
