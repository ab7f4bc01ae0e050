//! Rootless podman: an ordinary user of this test alone, whose ranges of IDs are in files that are mounted over those of
//! /etc. podman calls the runtime in a user namespace, whose root it is; its own processes are in there too.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;

use super::{image, needs_podman, works};
use crate::cgroups::unified_top;
use crate::check::{Outcome, contains, fail, holds, same};
use crate::cleanup;
use crate::command::{self, Output};
use crate::id_helper::{known_as, mount_over, needs_helpers};
use crate::rig::{Layout, Rig};
use crate::rootless::{USER, as_ordinary_user};
use crate::{sys, tests};

tests![
    "clients",
    alone: true,
    rootless_podman_run,
    rootless_podman_keeps_the_id_of_the_user,
    rootless_podman_maps_ids,
    rootless_podman_exec,
    rootless_podman_create_start_stop,
    rootless_podman_pod_with_a_user_namespace,
    rootless_podman_kube_play,
    rootless_podman_build,
    rootless_podman_pause_in_a_delegated_cgroup,
];

/// The first of the user's additional IDs.
const FIRST: u32 = 100_000;

/// Creates containers without a network, and without settings that this machine may not permit.
const RUN: &[&str] = &["run", "--rm", "--network", "none"];

pub(super) struct Podman<'a, 'b> {
    pub rig: &'a Rig<'b>,
    pub user: u32,
    /// The systemd instance of the user, by its runtime directory.
    manager: Option<PathBuf>,
    /// The cgroup in which podman is called, if it is not that of the test.
    cgroup: Option<PathBuf>,
}

impl<'a, 'b> Podman<'a, 'b> {
    /// Imports an image `box`. `manager`: the user is one with a systemd instance, which creates the cgroups.
    pub fn new(rig: &'a mut Rig<'b>, manager: Option<(u32, PathBuf)>) -> Outcome<Self> {
        needs_podman()?;
        needs_helpers()?;
        let archive = image(rig, |_| Ok(()))?;
        as_ordinary_user(rig)?;
        let (user, manager) = manager.map_or((USER, None), |(user, directory)| (user, Some(directory)));
        rig.user = Some(user);
        let files = known_as(rig, user, &[(FIRST, 65536)], &[(FIRST, 65536)])?;
        mount_over(rig, files)?;
        let runtime = rig.dir.join("run");
        fs::create_dir(&runtime)?;
        fs::set_permissions(&runtime, fs::Permissions::from_mode(0o700))?;
        let podman = Podman { rig, user, manager, cgroup: None };
        if let Some(manager) = &podman.manager {
            for name in ["bus", "systemd"] {
                symlink(manager.join(name), runtime.join(name))?;
            }
        }
        let cgroups = if podman.manager.is_some() { "systemd" } else { "cgroupfs" };
        let settings = format!(
            "[containers]\nlog_driver = \"k8s-file\"\n\
             [engine]\ncgroup_manager = \"{cgroups}\"\nevents_logger = \"none\"\nlock_type = \"file\"\n"
        );
        fs::write(podman.rig.dir.join("containers.conf"), settings)?;
        for path in [&podman.rig.dir, &runtime] {
            sys::chown(path, user, user)?;
        }
        podman.succeeds(&["import", &archive, "box"])?;
        Ok(podman)
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let dir = &self.rig.dir;
        let mut command = Command::new("podman");
        command.arg("--root").arg(dir.join("storage")).arg("--runroot").arg(dir.join("runroot"));
        command.args(["--storage-driver", "vfs"]).arg("--runtime").arg(&self.rig.suite.runtime).args(words);
        if let Some(cgroup) = self.cgroup.clone() {
            sys::before_exec(&mut command, move || fs::write(cgroup.join("cgroup.procs"), "0"));
        }
        self.rig.prepare(&mut command);
        // As a home directory: root of a container with other IDs may not search it.
        command.current_dir(dir.join("run"));
        command.env("CONTAINERS_CONF", dir.join("containers.conf")).env("MOTE_LIVE", &self.rig.marker);
        command
            .env("HOME", dir)
            .env("XDG_RUNTIME_DIR", dir.join("run"))
            .env("USER", "runner")
            .env_remove("XDG_CONFIG_HOME");
        command.env_remove("DBUS_SESSION_BUS_ADDRESS");
        command
    }

    pub fn call(&self, words: &[&str]) -> Outcome<Output> {
        command::run(&mut self.command(words), "")
    }

    pub fn succeeds(&self, words: &[&str]) -> Outcome<String> {
        let output = self.call(words)?;
        if output.code() != 0 {
            return fail(format_args!("podman {words:?}: exit code {}: {}", output.code(), output.stderr));
        }
        Ok(output.stdout)
    }

    /// The output of a shell script in a container.
    fn script(&self, options: &[&str], script: &str) -> Outcome<String> {
        self.succeeds(&[RUN, options, &["box", "sh", "-c", script]].concat())
    }

    /// A directory that belongs to the user, as a volume.
    fn directory(&self, name: &str) -> Outcome<PathBuf> {
        let path = self.rig.dir.join(name);
        fs::create_dir(&path)?;
        sys::chown(&path, self.user, self.user)?;
        Ok(path)
    }

    /// Pauses the container `one`, and continues it.
    pub fn pauses(&self) -> Outcome {
        let status = ["inspect", "--format", "{{.State.Status}}", "one"];
        self.succeeds(&["pause", "one"])?;
        same("status", self.succeeds(&status)?.as_str(), "paused\n")?;
        let output = self.call(&["exec", "one", "true"])?;
        holds("exec is rejected while the container is paused", output.code() != 0)?;
        self.succeeds(&["unpause", "one"])?;
        same("status", self.succeeds(&status)?.as_str(), "running\n")?;
        works(&self.call(&["exec", "one", "echo", "it", "works"])?)
    }

    /// Checks that no container is left, and ends the process that holds podman's user namespace.
    pub fn finish(self) -> Outcome {
        same("containers left", self.succeeds(&["ps", "--all", "--quiet"])?.as_str(), "")?;
        let pause = fs::read_to_string(self.rig.dir.join("run/libpod/tmp/pause.pid")).unwrap_or_default();
        for pid in cleanup::processes("MOTE_LIVE", &self.rig.marker) {
            let pidfd = sys::pidfd(pid);
            if pid.to_string() == pause.trim() {
                sys::kill(pid, libc::SIGKILL)?;
            }
            let ended = pidfd.and_then(|pidfd| sys::readable(&pidfd, command::LIMIT));
            holds("podman's processes exit", ended.unwrap_or(true))?;
        }
        cleanup::remove_cgroups(&self.rig.cgroup);
        Ok(())
    }
}

fn with_podman(rig: &mut Rig, test: fn(&Podman) -> Outcome) -> Outcome {
    let podman = Podman::new(rig, None)?;
    test(&podman)?;
    podman.finish()
}

/// The words of a text.
pub(super) fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn rootless_podman_run(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        for network in ["none", "host"] {
            let options = ["run", "--rm", "--network", network, "box"];
            let map = podman.succeeds(&[&options[..], &["cat", "/proc/self/uid_map"]].concat())?;
            same("uid_map", words(&map), format!("0 {} 1 1 {FIRST} 65536", podman.user))?;
            works(&podman.call(&[&options[..], &["echo", "it", "works"]].concat())?)?;
        }
        // Devices of the host, since the user namespace has none of its own.
        let script = "echo it works >/dev/full || echo full; : >/dev/null && echo null";
        same("devices", podman.script(&["--device", "/dev/full"], script)?.as_str(), "full\nnull\n")?;
        for (program, code) in [("moonshot", 127), ("/bin/text", 126)] {
            same("exit code", podman.call(&[RUN, &["box", program]].concat())?.code(), code)?;
        }
        let output = podman.call(&[RUN, &["box", "sh", "-c", "exit 42"]].concat())?;
        same("exit code", output.code(), 42)
    })
}

fn rootless_podman_keeps_the_id_of_the_user(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        let volume = format!("{}:/data", podman.directory("volume")?.display());
        let options = ["--userns", "keep-id", "--volume", &volume];
        let script = "touch /data/new && stat -c %u:%g /data/new && id -u";
        let user = podman.user;
        let inside = podman.script(&options, script)?;
        same("the owner inside, and the user", inside, format!("{user}:{user}\n{user}\n"))?;
        let new = fs::metadata(podman.rig.dir.join("volume/new"))?;
        same("the owner outside", (new.uid(), new.gid()), (user, user))?;
        let inside = podman.script(&["--userns", "keep-id:uid=7,gid=8"], "id -u; id -g")?;
        same("the IDs", inside.as_str(), "7\n8\n")
    })
}

/// IDs of podman's user namespace, where 1 is the first additional one of the user.
fn rootless_podman_maps_ids(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        let volume = format!("{}:/data:U", podman.directory("volume")?.display());
        let maps = ["--uidmap", "0:1:1000", "--gidmap", "0:11:1000", "--user", "33:44", "--volume", &volume];
        let script = "cat /proc/self/uid_map; id -u; id -g; stat -c %u:%g /data; touch /data/new";
        let inside = podman.script(&maps, script)?;
        same("uid_map, IDs, owner", words(&inside).as_str(), "0 1 1000 33 44 33:44")?;
        let new = fs::metadata(podman.rig.dir.join("volume/new"))?;
        same("the owner outside", (new.uid(), new.gid()), (FIRST + 33, FIRST + 10 + 44))?;
        for (kind, map) in [("auto:size=500", "0 1 500"), ("nomap", "0 1 65536")] {
            let inside = podman.script(&["--userns", kind], "cat /proc/self/uid_map")?;
            same("uid_map", words(&inside).as_str(), map)?;
        }
        Ok(())
    })
}

fn rootless_podman_exec(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        let maps = ["--uidmap", "0:1:1000", "--gidmap", "0:1:1000"];
        for options in [&[][..], &["--userns", "keep-id", "--user", "0"], &maps] {
            let start = ["run", "--detach", "--network", "none", "--name", "one"];
            podman.succeeds(&[&start, options, &["box", "sleep", "1000"]].concat())?;
            works(&podman.call(&["exec", "one", "echo", "it", "works"])?)?;
            let exec = ["exec", "--user", "33:44", "--workdir", "/tmp", "one", "sh", "-c"];
            let inside = podman.succeeds(&[&exec[..], &["id -u; id -g; pwd; touch new"]].concat())?;
            same("IDs and directory", inside.as_str(), "33\n44\n/tmp\n")?;
            same("exit code", podman.call(&["exec", "one", "sh", "-c", "exit 7"])?.code(), 7)?;
            same("exit code", podman.call(&["exec", "one", "nowhere"])?.code(), 127)?;
            podman.succeeds(&["rm", "--force", "--time", "0", "one"])?;
        }
        Ok(())
    })
}

fn rootless_podman_create_start_stop(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        let script = "trap 'echo it works; exit 3' TERM; while :; do sleep 1 & wait; done";
        let create = ["create", "--network", "none", "--name", "one", "box", "sh", "-c", script];
        podman.succeeds(&create)?;
        podman.succeeds(&["start", "one"])?;
        let state = ["inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", "one"];
        same("state", podman.succeeds(&state)?.as_str(), "running 0\n")?;
        podman.succeeds(&["stop", "--time", "20", "one"])?;
        same("state", podman.succeeds(&state)?.as_str(), "exited 3\n")?;
        works(&podman.call(&["logs", "one"])?)?;
        podman.succeeds(&["rm", "one"]).map(drop)
    })
}

/// The user namespace is that of the pod's first container, and so are the others.
fn rootless_podman_pod_with_a_user_namespace(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        let maps = ["--uidmap", "0:1:1000", "--gidmap", "0:1:1000"];
        for (options, map) in [(&maps[..], "0 1 1000"), (&["--userns", "auto:size=500"], "0 1 500")] {
            let create =
                ["pod", "create", "--name", "pod", "--network", "none", "--share", "pid,ipc,uts,net"];
            podman.succeeds(&[&create[..], options].concat())?;
            let start = ["run", "--detach", "--pod", "pod", "--name", "one", "box", "sleep", "1000"];
            podman.succeeds(&start)?;
            let script = "cat /proc/self/uid_map; for kind in user pid ipc uts net; do \
                          readlink /proc/self/ns/$kind; done";
            let run = ["run", "--rm", "--pod", "pod", "box", "sh", "-c", script];
            let inside = podman.succeeds(&run)?;
            contains("uid_map", &words(&inside), map)?;
            let of_first = podman.succeeds(&["exec", "one", "sh", "-c", script])?;
            same("the map and the namespaces", inside, of_first)?;
            podman.succeeds(&["pod", "stop", "--time", "0", "pod"])?;
            podman.succeeds(&["pod", "rm", "--force", "pod"])?;
        }
        Ok(())
    })
}

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: pod}\nspec:\n  \
    securityContext: {runAsUser: 33}\n  containers:\n  \
    - {name: one, image: localhost/box, command: [sleep, '1000']}\n  \
    - name: two\n    image: localhost/box\n    command: [sleep, '1000']\n    \
      securityContext: {runAsUser: 0, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}\n";

fn rootless_podman_kube_play(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        let file = podman.rig.dir.join("pod.yaml");
        fs::write(&file, POD)?;
        let file = file.display().to_string();
        for userns in [&[][..], &["--userns", "auto:size=500"]] {
            let play = [&["kube", "play", "--network", "none"], userns, &[&file]].concat();
            podman.succeeds(&play)?;
            same("the user", podman.succeeds(&["exec", "pod-one", "id", "-u"])?.as_str(), "33\n")?;
            let script = "id -u; while read name set; do [ $name = CapEff: ] && echo $set; done \
                          </proc/self/status; touch /new 2>/dev/null || echo read-only";
            let inside = podman.succeeds(&["exec", "pod-two", "sh", "-c", script])?;
            same("user and capabilities", words(&inside).as_str(), "0 0000000000000000 read-only")?;
            podman.succeeds(&["kube", "down", &file])?;
        }
        Ok(())
    })
}

/// RUN as root and as another user.
fn rootless_podman_build(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        let context = podman.directory("context")?;
        let text = "FROM localhost/box\nRUN id -u >/one\nUSER 33:44\nWORKDIR /tmp\n\
                    RUN id -u >two; id -g >>two; pwd >>two\n";
        fs::write(context.join("Containerfile"), text)?;
        let context = context.display().to_string();
        let build =
            ["build", "--quiet", "--network", "none", "--isolation", "oci", "--tag", "made", &context];
        podman.succeeds(&build)?;
        let inside = podman.succeeds(&[RUN, &["made", "cat", "/one", "/tmp/two"]].concat())?;
        same("what RUN wrote", words(&inside).as_str(), "0 33 44 /tmp")
    })
}

/// As without systemd: the runtime creates the container's cgroup beside that of podman.
fn rootless_podman_pause_in_a_delegated_cgroup(rig: &mut Rig) -> Outcome {
    rig.set_layout(Layout::V2)?;
    let given = unified_top().join(&rig.cgroup);
    let own = given.join("own");
    fs::create_dir_all(&own)?;
    for name in ["", "cgroup.procs", "cgroup.subtree_control", "own", "own/cgroup.procs"] {
        sys::chown(&given.join(name), USER, USER)?;
    }
    let mut podman = Podman::new(rig, None)?;
    podman.cgroup = Some(own);
    podman.succeeds(&["run", "--detach", "--network", "none", "--name", "one", "box", "sleep", "1000"])?;
    podman.pauses()?;
    podman.succeeds(&["rm", "--force", "--time", "0", "one"])?;
    let names = fs::read_dir(&given)?.flatten().filter(|entry| entry.path().is_dir());
    let names: Vec<_> = names.map(|entry| entry.file_name().display().to_string()).collect();
    same("cgroups left", names.join(" ").as_str(), "own")?;
    podman.finish()
}
