//! `podman container checkpoint` and `restore`, which call the runtime's commands and read its images and logs.

use std::path::Path;
use std::process::Command;

use super::Podman;
use crate::check::{Outcome, contains, fail, holds, same, skip_allowed};
use crate::checkpoint::{criu_restores, needs_criu, needs_memory_tracking};
use crate::command::{self, Output};
use crate::rig::{Rig, Runtime};
use crate::{sys, tests};

tests![
    "clients",
    alone: true,
    podman_checkpoint_and_restore,
    podman_checkpoint_leaves_it_running,
    podman_checkpoint_after_a_pre_checkpoint,
    podman_restore_as_another_container,
    podman_restore_with_a_terminal,
    podman_restore_with_mounts,
    podman_restore_with_limits,
    podman_checkpoint_that_fails,
];

/// A program whose memory holds a number, and which answers with the next one.
const COUNT: &str = "n=0; while read x </data/request; do n=$((n+1)); echo $n >/data/answer; done";

/// Requests it.
const REQUEST: &str = "echo >/data/request; cat /data/answer";

/// podman with the two fifos of the program in its image.
fn with_podman(rig: &mut Rig, test: fn(&Podman) -> Outcome) -> Outcome {
    needs_criu(rig)?;
    criu_restores()?;
    if !rig.is(Runtime::Mote) {
        return skip_allowed("the errors are those of mote");
    }
    let podman = Podman::with_image(rig, |tree: &Path| {
        let fifos = ["request", "answer"].map(|name| tree.join("data").join(name));
        command::run(Command::new("mkfifo").args(["-m", "0666"]).args(fifos), "")?.success().map(drop)
    })?;
    podman.loopback_up()?;
    test(&podman)?;
    podman.finish()
}

impl Podman<'_, '_> {
    /// CRIU makes a connection to 127.0.0.1 to find out what the kernel supports.
    fn loopback_up(&self) -> Outcome {
        let mut command = Command::new("ip");
        let holder = self.holder.pid();
        sys::before_exec(command.args(["link", "set", "lo", "up"]), move || sys::enter_namespaces(holder));
        command::run(&mut command, "")?.success().map(drop)
    }

    fn succeeds(&self, words: &[&str]) -> Outcome<Output> {
        let output = self.call(words)?;
        match output.code() {
            0 => Ok(output),
            code => fail(format_args!("podman {}: exit code {code}: {}", words.join(" "), output.stderr)),
        }
    }

    /// Starts a container `one` that counts.
    fn count(&self, options: &[&str]) -> Outcome {
        let options = [&["--detach", "--network", "none", "--name", "one"], options].concat();
        let output = self.launch("run", &options, &["sh", "-c", COUNT])?;
        if output.code() != 0 {
            return fail(format_args!("podman run: {}", output.stderr));
        }
        self.answers("one", 1)
    }

    /// Requests the next number of a container: it shows whether its program has been started anew.
    fn answers(&self, name: &str, number: u32) -> Outcome {
        let output = self.succeeds(&["exec", name, "sh", "-c", REQUEST])?;
        same("the answer", output.stdout.as_str(), format!("{number}\n").as_str())
    }

    fn inspect(&self, name: &str, field: &str) -> Outcome<String> {
        let output = self.succeeds(&["inspect", "--format", field, name])?;
        Ok(output.stdout.trim_end().to_string())
    }

    fn remove(&self, name: &str) -> Outcome {
        self.succeeds(&["rm", "--force", "--time", "0", name]).map(drop)
    }

    fn cycle(&self) -> Outcome {
        self.succeeds(&["container", "checkpoint", "one"])?;
        self.succeeds(&["container", "restore", "one"]).map(drop)
    }
}

fn podman_checkpoint_and_restore(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        podman.count(&[])?;
        for number in [2, 3] {
            podman.succeeds(&["container", "checkpoint", "one"])?;
            let state = podman.inspect("one", "{{.State.Status}} {{.State.Checkpointed}}")?;
            same("the state", state.as_str(), "exited true")?;
            podman.succeeds(&["container", "restore", "one"])?;
            same("the state", podman.inspect("one", "{{.State.Status}}")?.as_str(), "running")?;
            podman.answers("one", number)?;
        }
        podman.succeeds(&["stop", "--time", "0", "one"])?;
        same("the state", podman.inspect("one", "{{.State.ExitCode}}")?.as_str(), "137")?;
        podman.remove("one")
    })
}

fn podman_checkpoint_leaves_it_running(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        podman.count(&[])?;
        podman.succeeds(&["container", "checkpoint", "--leave-running", "--keep", "one"])?;
        podman.answers("one", 2)?;
        let log = podman.inspect("one", "{{.State.CheckpointLog}}")?;
        holds("the log is kept", Path::new(&log).exists())?;
        podman.remove("one")
    })
}

fn podman_checkpoint_after_a_pre_checkpoint(rig: &mut Rig) -> Outcome {
    needs_memory_tracking(rig)?;
    with_podman(rig, |podman| {
        podman.count(&[])?;
        podman.succeeds(&["container", "checkpoint", "--pre-checkpoint", "one"])?;
        podman.answers("one", 2)?;
        podman.succeeds(&["container", "checkpoint", "--with-previous", "one"])?;
        podman.succeeds(&["container", "restore", "one"])?;
        podman.answers("one", 3)?;
        podman.remove("one")
    })
}

/// The images are exported with the changes of the root, and imported on what could be another machine.
fn podman_restore_as_another_container(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        let archive = podman.rig.dir.join("checkpoint.tar").display().to_string();
        podman.count(&[])?;
        podman.succeeds(&["exec", "one", "sh", "-c", "echo it works >/tmp/file"])?;
        podman.succeeds(&["container", "checkpoint", "--compress", "none", "--export", &archive, "one"])?;
        podman.remove("one")?;
        podman.succeeds(&["container", "restore", "--import", &archive, "--name", "two"])?;
        podman.answers("two", 2)?;
        let file = podman.succeeds(&["exec", "two", "cat", "/tmp/file"])?;
        same("the file", file.stdout.as_str(), "it works\n")?;
        podman.remove("two")
    })
}

fn podman_restore_with_a_terminal(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        podman.count(&["--tty"])?;
        podman.cycle()?;
        podman.answers("one", 2)?;
        let links = podman.succeeds(&["exec", "one", "readlink", "/proc/1/fd/1"])?;
        same("the terminal", links.stdout.as_str(), "/dev/pts/0\n")?;
        podman.remove("one")
    })
}

fn podman_restore_with_mounts(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        let directory = podman.rig.dir.join("volume");
        std::fs::create_dir(&directory)?;
        std::fs::write(directory.join("file"), "it works\n")?;
        let path = directory.display().to_string();
        let [whole, file] = [format!("{path}:/mnt:ro"), format!("{path}/file:/etc/file")];
        let tmpfs = "/tmp/own:size=1m";
        podman.count(&["--read-only", "--volume", &whole, "--volume", &file, "--tmpfs", tmpfs])?;
        podman.succeeds(&["exec", "one", "sh", "-c", "echo kept >/tmp/own/file"])?;
        podman.cycle()?;
        podman.answers("one", 2)?;
        let script = "cat /mnt/file /etc/file /tmp/own/file; for d in /new /mnt/new; do touch $d 2>&1; done";
        let found = podman.call(&["exec", "one", "sh", "-c", script])?.stdout;
        contains("the files", &found, "it works\nit works\nkept\n")?;
        contains("the root", &found, "touch: /new: Read-only")?;
        contains("the volume", &found, "touch: /mnt/new: Read-only")?;
        podman.remove("one")
    })
}

fn podman_restore_with_limits(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        podman.count(&["--pids-limit", "50", "--memory", "64M", "--security-opt", "no-new-privileges"])?;
        podman.cycle()?;
        podman.answers("one", 2)?;
        let pid = podman.inspect("one", "{{.State.Pid}}")?;
        let cgroups = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        if let Some(path) = cgroups.lines().find_map(|line| line.strip_prefix("0::/")) {
            let limit = |name| std::fs::read_to_string(Path::new("/sys/fs/cgroup").join(path).join(name));
            same("pids.max", limit("pids.max")?.as_str(), "50\n")?;
            same("memory.max", limit("memory.max")?.as_str(), "67108864\n")?;
        }
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        contains("the process", &status, "NoNewPrivs:\t1")?;
        contains("the process", &status, "Seccomp:\t2")?;
        podman.remove("one")
    })
}

/// CRIU rejects its configuration file: podman prints the error, and the container continues.
fn podman_checkpoint_that_fails(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        let settings = podman.rig.dir.join("criu.conf");
        std::fs::write(&settings, "no-such-option\n")?;
        let annotation = format!("org.criu.config={}", settings.display());
        podman.count(&["--annotation", &annotation])?;
        let output = podman.call(&["container", "checkpoint", "one"])?;
        holds("it fails", output.code() != 0)?;
        contains("the error", &output.stderr, "mote: criu")?;
        podman.answers("one", 2)?;
        std::fs::write(&settings, "log-file=other.log\n")?;
        podman.cycle()?;
        podman.answers("one", 3)?;
        podman.remove("one")
    })
}
