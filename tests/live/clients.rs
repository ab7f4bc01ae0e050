//! Engines that call the runtime: podman, with a storage, a network and cgroups for each test.

pub mod checkpoint;
pub mod rootless;
pub mod user_manager;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::check::{Outcome, contains, fail, holds, same, skip, skip_allowed};
use crate::command::{self, Output, Running};
use crate::rig::{Rig, Runtime};
use crate::{cleanup, sys, tests};

tests![
    "clients",
    alone: true,
    podman_run,
    podman_run_with_a_network,
    podman_run_with_small_limits,
    podman_run_returns_the_exit_code,
    podman_run_of_a_missing_program_is_127,
    podman_run_of_a_file_that_cannot_be_executed_is_126,
    podman_run_as_a_user_with_a_volume,
    podman_run_with_its_seccomp_profile,
    podman_run_read_only,
    podman_exec,
    podman_create_start_stop,
    podman_as_described_in_the_readme,
];

/// Limits that podman can set without CAP_SYS_RESOURCE, where its default limits are above those of root.
const LIMITS: &[&str] = &["--ulimit", "nofile=1024:2048", "--ulimit", "nproc=1000:2000"];

fn needs_podman() -> Outcome {
    match Command::new("podman").arg("--version").output() {
        Err(_) => skip("no podman"),
        Ok(_) => Ok(()),
    }
}

/// An archive for `podman import` with busybox, and what `add` adds to its directory; its path.
fn image(rig: &Rig, add: impl FnOnce(&Path) -> Outcome) -> Outcome<String> {
    let busybox = ["/bin/busybox", "/usr/bin/busybox", "/bin/busybox.static"];
    let Some(busybox) = busybox.into_iter().find(|path| Path::new(path).exists()) else {
        return skip("no static busybox");
    };
    let tree = rig.dir.join("image");
    for name in ["bin", "etc", "tmp", "data"] {
        fs::create_dir_all(tree.join(name))?;
    }
    fs::set_permissions(tree.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    fs::copy(busybox, tree.join("bin/busybox"))?;
    for name in ["sh", "echo", "true", "cat", "id", "sleep", "ip", "touch", "stat", "readlink", "ls", "grep"]
    {
        symlink("busybox", tree.join("bin").join(name))?;
    }
    fs::write(tree.join("bin/text"), "not a program")?;
    add(&tree)?;
    let archive = rig.dir.join("image.tar");
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(&tree).arg("-cf").arg(&archive).arg(".");
    command::run(&mut tar, "")?.success()?;
    Ok(archive.display().to_string())
}

pub struct Podman<'a, 'b> {
    rig: &'a Rig<'b>,
    cgroup: String,
    /// A process in a new network and a new mount namespace, in which all commands of podman run.
    holder: Running,
    /// The path of the runtime, or a name in containers.conf.
    runtime: String,
}

impl<'a, 'b> Podman<'a, 'b> {
    /// Imports an image `box` with nothing but busybox.
    fn new(rig: &'a Rig<'b>) -> Outcome<Self> {
        Self::with_image(rig, |_| Ok(()))
    }

    /// Imports an image `box` with busybox, and what `add` adds to its directory.
    pub fn with_image(rig: &'a Rig<'b>, add: impl FnOnce(&Path) -> Outcome) -> Outcome<Self> {
        needs_podman()?;
        if rig.is(Runtime::Crun) && !Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
            return skip_allowed("crun rejects the hybrid layout");
        }
        let archive = image(rig, add)?;
        let words = ["unshare", "net,mnt", "mount", "/run", "say", "held", "stdin"];
        let mut holder = command::start(&mut rig.host(&words), true)?;
        holder.lines.until("say=held")?.is("mount:/run", "ok")?;
        let runtime = rig.suite.runtime.display().to_string();
        let podman = Podman { rig, cgroup: format!("/{}", rig.cgroup), holder, runtime };
        podman.settings("[engine]\n")?;
        let output = podman.call(&["import", &archive, "box"])?;
        if output.code() != 0 {
            return fail(format_args!("podman import: {}", output.stderr));
        }
        Ok(podman)
    }

    /// Writes the configuration files: the settings of the test, and `engine`, which begins with a table.
    fn settings(&self, engine: &str) -> Outcome {
        let networks = self.rig.dir.join("networks");
        let own = "[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\nlock_type = \"file\"\n";
        let engine = engine.replacen("[engine]\n", own, 1);
        let text = format!(
            "[containers]\nlog_driver = \"k8s-file\"\n\
             [network]\nnetwork_config_dir = \"{}\"\n{engine}",
            networks.display()
        );
        Ok(fs::write(self.rig.dir.join("containers.conf"), text)?)
    }

    fn call(&self, words: &[&str]) -> Outcome<Output> {
        let dir = &self.rig.dir;
        let mut command = Command::new("podman");
        command.arg("--root").arg(dir.join("storage")).arg("--runroot").arg(dir.join("runroot"));
        command.arg("--tmpdir").arg(dir.join("libpod")).args(["--storage-driver", "vfs"]);
        command.arg("--runtime").arg(&self.runtime).args(words);
        command.env("CONTAINERS_CONF", dir.join("containers.conf")).env("MOTE_LIVE", &self.rig.marker);
        self.rig.prepare(&mut command);
        // A network and a /run of the test alone: what podman leaves there is gone with the namespaces.
        let holder = self.holder.pid();
        sys::before_exec(&mut command, move || sys::enter_namespaces(holder));
        command::run(&mut command, "")
    }

    /// `run` or `create` with the options that every container here needs.
    fn launch(&self, verb: &str, options: &[&str], words: &[&str]) -> Outcome<Output> {
        let mut all = vec![verb, "--cgroup-parent", &self.cgroup];
        all.extend(LIMITS);
        all.extend(options);
        all.push("box");
        all.extend(words);
        self.call(&all)
    }

    pub fn run(&self, options: &[&str], words: &[&str]) -> Outcome<Output> {
        let mut all = vec!["--rm"];
        all.extend(options);
        self.launch("run", &all, words)
    }

    /// Checks that nothing of the containers is left, and removes podman's cgroup, in which conmon was.
    pub fn finish(self) -> Outcome {
        let names = self.call(&["ps", "--all", "--quiet"])?.stdout;
        same("containers left", names.as_str(), "")?;
        let left = cleanup::cgroups(&self.rig.cgroup);
        let of_a_container = |path: &&std::path::PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with("libpod-") && !name.starts_with("libpod-conmon")
        };
        if let Some(path) = left.iter().find(of_a_container) {
            return fail(format_args!("left behind: {}", path.display()));
        }
        for pid in cleanup::processes("MOTE_LIVE", &self.rig.marker) {
            let ended = sys::pidfd(pid).and_then(|pidfd| sys::readable(&pidfd, command::LIMIT));
            holds("conmon exits", ended.unwrap_or(true))?;
        }
        cleanup::remove_cgroups(&self.rig.cgroup);
        Ok(())
    }
}

fn with_podman(rig: &mut Rig, test: fn(&Podman) -> Outcome) -> Outcome {
    let podman = Podman::new(rig)?;
    test(&podman)?;
    podman.finish()
}

fn works(output: &Output) -> Outcome {
    if output.code() != 0 {
        return fail(format_args!("exit code {}: {}", output.code(), output.stderr));
    }
    same("the standard output", output.stdout.as_str(), "it works\n")
}

fn podman_run(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| works(&podman.run(&["--network", "none"], &["echo", "it", "works"])?))
}

fn podman_run_with_a_network(rig: &mut Rig) -> Outcome {
    if !["/usr/lib/podman/netavark", "/usr/libexec/podman/netavark"]
        .iter()
        .any(|path| Path::new(path).exists())
    {
        return skip("no netavark");
    }
    with_podman(rig, |podman| {
        works(&podman.run(&[], &["echo", "it", "works"])?)?;
        let output = podman.run(&[], &["ip", "addr", "show", "eth0"])?;
        contains("the interface", &output.stdout, "inet 10.")
    })
}

/// With a limit of one process, and of so little memory that few runtimes can start in it.
fn podman_run_with_small_limits(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        let options = ["--network", "none", "--pids-limit", "1", "--memory", "4M"];
        works(&podman.run(&options, &["echo", "it", "works"])?)
    })
}

fn podman_run_returns_the_exit_code(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        let output = podman.run(&["--network", "none"], &["sh", "-c", "exit 42"])?;
        same("exit code", output.code(), 42)
    })
}

fn podman_run_of_a_missing_program_is_127(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        for program in ["moonshot", "/bin/moonshot"] {
            let output = podman.run(&["--network", "none"], &[program])?;
            same("exit code", output.code(), 127)?;
        }
        Ok(())
    })
}

fn podman_run_of_a_file_that_cannot_be_executed_is_126(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        let output = podman.run(&["--network", "none"], &["/bin/text"])?;
        same("exit code", output.code(), 126)?;
        contains("the error", &output.stderr.to_lowercase(), "permission denied")
    })
}

fn podman_run_as_a_user_with_a_volume(rig: &mut Rig) -> Outcome {
    fs::create_dir(rig.dir.join("volume"))?;
    fs::write(rig.dir.join("volume/file"), "it works\n")?;
    with_podman(rig, |podman| {
        let volume = format!("{}:/data:ro", podman.rig.dir.join("volume").display());
        let options = ["--network", "none", "--user", "1000:1000", "--volume", &volume];
        works(&podman.run(&options, &["cat", "/data/file"])?)?;
        let output = podman.run(&options, &["id", "-u"])?;
        same("the user", output.stdout.as_str(), "1000\n")?;
        same("exit code", podman.run(&options, &["touch", "/data/new"])?.code(), 1)
    })
}

/// The filter is loaded, with no_new_privs and without. Its effect is tested in tests/seccomp.
fn podman_run_with_its_seccomp_profile(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        let words = ["sh", "-c", "grep -q '^Seccomp:.*2$' /proc/self/status && echo it works"];
        works(&podman.launch("run", &["--rm", "--network", "none"], &words)?)?;
        let options = ["--rm", "--network", "none", "--user", "1000", "--security-opt", "no-new-privileges"];
        works(&podman.launch("run", &options, &words)?)
    })
}

/// podman then mounts a tmpfs with copies of the files over /tmp and other directories.
fn podman_run_read_only(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        let script = "! touch /new 2>/dev/null && touch /tmp/new && echo it works";
        works(&podman.run(&["--network", "none", "--read-only"], &["sh", "-c", script])?)
    })
}

fn podman_exec(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        let succeeds = |output: Output| if output.code() == 0 { Ok(()) } else { fail(output.stderr) };
        let options = ["--detach", "--network", "none", "--name", "one"];
        succeeds(podman.launch("run", &options, &["sleep", "1000"])?)?;
        works(&podman.call(&["exec", "one", "echo", "it", "works"])?)?;
        same("exit code", podman.call(&["exec", "one", "sh", "-c", "exit 7"])?.code(), 7)?;
        same("exit code", podman.call(&["exec", "one", "nowhere"])?.code(), 127)?;
        let terminal = podman.call(&["exec", "--tty", "one", "sh", "-c", "tty && echo it works"])?;
        contains("the terminal", &terminal.stdout, "/dev/pts/0")?;
        succeeds(podman.call(&["rm", "--force", "--time", "0", "one"])?)
    })
}

fn podman_create_start_stop(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        let options = ["--network", "none", "--name", "one"];
        let script = "trap 'echo it works; exit 0' TERM; while :; do sleep 1 & wait; done";
        let succeeds = |output: Output| if output.code() == 0 { Ok(()) } else { fail(output.stderr) };
        succeeds(podman.launch("create", &options, &["sh", "-c", script])?)?;
        succeeds(podman.call(&["start", "one"])?)?;
        let status = podman.call(&["inspect", "--format", "{{.State.Status}}", "one"])?;
        same("status", status.stdout.as_str(), "running\n")?;
        succeeds(podman.call(&["stop", "--time", "5", "one"])?)?;
        works(&podman.call(&["logs", "one"])?)?;
        succeeds(podman.call(&["rm", "one"])?)
    })
}

const README: &str = include_str!("../../README.md");

/// The code block of README.md that contains these words, without its indentation.
fn block(words: &str) -> Outcome<String> {
    let mut found = String::new();
    for line in README.lines() {
        match line.strip_prefix("    ") {
            Some(line) => found.push_str(line),
            None if line.is_empty() => {}
            None if found.contains(words) => break,
            None => found.clear(),
        }
        found.push('\n');
    }
    holds("README.md has the block", found.contains(words))?;
    Ok(found)
}

/// The configuration and the command lines of README.md: the runtime by name, without a cgroup, and with an error that
/// podman recognizes.
fn podman_as_described_in_the_readme(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("README.md describes mote only");
    }
    let mut podman = Podman::new(rig)?;
    let settings = block("[engine.runtimes]")?;
    contains("README.md", &settings, "/usr/local/bin/mote")?;
    podman.settings(&settings.replace("/usr/local/bin/mote", &podman.runtime))?;
    podman.runtime = "mote".to_string();
    let commands = block("podman --runtime mote run")?;
    let commands = commands.lines().filter_map(|line| line.strip_prefix("podman --runtime mote run "));
    let mut count = 0;
    for command in commands {
        let Some((options, program)) = command.split_once(" alpine ") else { return fail(command) };
        let words: Vec<&str> = program.split(' ').collect();
        let options: Vec<&str> = options.split(' ').chain(["--network", "none"]).collect();
        // Without systemd, podman cannot create a cgroup below that of the test.
        works(&match options.contains(&"--cgroups=disabled") {
            true => podman.call(&[&["run"], options.as_slice(), LIMITS, &["box"], &words].concat())?,
            false => podman.launch("run", &options, &words)?,
        })?;
        count += 1;
    }
    same("command lines", count, 2)?;
    let output = podman.run(&["--network", "none"], &["moonshot"])?;
    same("exit code", output.code(), 127)?;
    contains(
        "the error",
        &output.stderr,
        "Error: mote: process.args[0]: exec \"moonshot\": executable file not found",
    )?;
    podman.finish()
}
