//! The environment of one test: its directory, state root, container id and cgroup, and the runtime under test.

use std::cell::Cell;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bundle::Bundle;
use crate::check::{Outcome, Stop, contains, fail, holds, same, skip_allowed};
use crate::command::{Output, Running, run, start};
use crate::json::Json;
use crate::report::Report;
use crate::sys::{self, deny};

/// The runtime under test. Error messages are checked for mote only.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Runtime {
    Mote,
    Runc,
    Crun,
}

/// The cgroup layout that the runtime sees.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Layout {
    /// That of this machine.
    Machine,
    /// The v1 hierarchies only.
    V1,
    /// The v2 hierarchy only, with the controllers that no v1 hierarchy has.
    V2,
    /// `V2`, and the v1 hierarchy name=systemd mounted in its directory `systemd`.
    Named,
}

/// Names of system calls, and the error number with which a seccomp filter denies each of them.
pub type DeniedCalls = &'static [(&'static str, i32)];

/// What all tests share.
pub struct Suite {
    pub runtime: PathBuf,
    pub kind: Runtime,
    pub dir: PathBuf,
    pub payload: PathBuf,
}

impl Suite {
    pub fn new() -> Outcome<Suite> {
        let runtime = std::env::var("MOTE").unwrap_or_else(|_| env!("CARGO_BIN_EXE_mote").to_string());
        let runtime = fs::canonicalize(&runtime).map_err(|error| format!("{runtime}: {error}"))?;
        let version = run(Command::new(&runtime).arg("--version"), "")?.stdout;
        let kind = match version.split(' ').next() {
            Some("runc") => Runtime::Runc,
            Some("crun") => Runtime::Crun,
            _ => Runtime::Mote,
        };
        let dir = std::env::temp_dir().join(format!("mote-live-{}", std::process::id()));
        fs::create_dir(&dir)?;
        let (own, payload) = (dir.join("mote"), dir.join("payload"));
        fs::copy("/proc/self/exe", &payload)?;
        // The build directory may be in a home directory that other users cannot enter.
        fs::copy(&runtime, &own)?;
        for path in [&dir, &own, &payload] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        }
        let runtime = if kind == Runtime::Mote { own } else { runtime };
        Ok(Suite { runtime, kind, dir, payload })
    }
}

pub struct Rig<'a> {
    pub suite: &'a Suite,
    pub dir: PathBuf,
    pub state: PathBuf,
    pub id: String,
    pub cgroup: String,
    /// The value of `MOTE_LIVE` in the environment of every process that this test starts.
    pub marker: String,
    pub layout: Layout,
    /// Global options, before the command.
    pub globals: Vec<String>,
    /// System calls that are denied to the runtime, as by a sandbox around it.
    pub denied: DeniedCalls,
    /// What is done in each process of this test before the runtime is executed; the argument is [`Rig::dir`].
    pub around: Option<fn(&Path) -> std::io::Result<()>>,
    /// The user that calls the runtime.
    pub user: Option<u32>,
    /// The network namespace of the runtime's caller.
    pub network: Option<File>,
    /// The user namespace of the runtime's caller.
    pub user_namespace: Option<File>,
    /// The mount namespace of the runtime's caller.
    pub mounts: Option<File>,
    bundles: Cell<u32>,
}

impl<'a> Rig<'a> {
    pub fn new(suite: &'a Suite, number: usize) -> Outcome<Rig<'a>> {
        let name = format!("{}-{number}", std::process::id());
        let dir = suite.dir.join(number.to_string());
        fs::create_dir(&dir)?;
        Ok(Rig {
            suite,
            state: dir.join("state"),
            dir,
            id: format!("live-{name}"),
            cgroup: format!("mote-test-{name}"),
            marker: name,
            layout: match std::env::var("LAYOUT").as_deref() {
                Ok("v1") => Layout::V1,
                Ok("v2") => Layout::V2,
                _ => Layout::Machine,
            },
            globals: Vec::new(),
            denied: &[],
            around: None,
            user: None,
            network: None,
            user_namespace: None,
            mounts: None,
            bundles: Cell::new(0),
        })
    }

    pub fn is(&self, runtime: Runtime) -> bool {
        self.suite.kind == runtime
    }

    /// Whether a system call is denied to the runtime.
    pub fn denies(&self, call: &str) -> bool {
        self.denied.iter().any(|(name, _)| *name == call)
    }

    /// Selects the cgroup layout that the runtime sees. Skips the test if this machine cannot provide it.
    pub fn set_layout(&mut self, layout: Layout) -> Outcome {
        let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        if layout == Layout::V1 && unified {
            return skip_allowed("this machine has no v1 hierarchies");
        }
        let machine = layout == Layout::V2 && unified;
        self.layout = if machine { Layout::Machine } else { layout };
        Ok(())
    }

    /// Skips the test if the kernel is older than this version, in which it got what the test needs.
    pub fn needs_kernel(&self, version: (u32, u32), what: &str) -> Outcome {
        match sys::kernel() < version {
            true => skip_allowed(format_args!("this kernel has no {what}")),
            false => Ok(()),
        }
    }

    /// Skips the test if mount_setattr(2) is missing or denied: mount(2) does neither map owners, nor change a mount that
    /// is not attached.
    pub fn needs_mount_setattr(&self) -> Outcome {
        match self.denies("mount_setattr") {
            true => skip_allowed("mount_setattr is denied"),
            false => self.needs_kernel((5, 12), "mount_setattr"),
        }
    }

    pub fn bundle(&self) -> Outcome<Bundle> {
        let number = self.bundles.get();
        self.bundles.set(number + 1);
        let dir = self.dir.join(format!("bundle{number}"));
        let cgroup = format!("/{}", self.cgroup);
        Ok(Bundle::new(dir, &self.suite.payload, &self.marker, &cgroup)?)
    }

    /// A command line of the runtime with these arguments, not started yet.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.suite.runtime);
        command.arg("--root").arg(&self.state);
        command.args(&self.globals).args(words);
        command.env("MOTE_LIVE", &self.marker);
        self.prepare(&mut command);
        command
    }

    /// A command line of the payload on the host.
    pub fn host(&self, verbs: &[&str]) -> Command {
        let mut command = Command::new(&self.suite.payload);
        command.args(verbs).env("MOTE_LIVE_HOST", &self.marker);
        self.prepare(&mut command);
        command
    }

    /// Sets environment, directory, namespaces, user and filter of a command of this test.
    pub fn prepare(&self, command: &mut Command) {
        for name in ["XDG_RUNTIME_DIR", "NOTIFY_SOCKET"] {
            command.env_remove(name);
        }
        command.current_dir(&self.dir);
        let (layout, user) = (self.layout, self.user);
        let network = self.network.as_ref().map(File::as_raw_fd);
        let user_namespace = self.user_namespace.as_ref().map(File::as_raw_fd);
        let mounts = self.mounts.as_ref().map(|mounts| (mounts.as_raw_fd(), self.dir.clone()));
        let numbers = |(name, errno): &(&str, i32)| Some((deny::call_named(name)?, *errno));
        let denied: Vec<_> = self.denied.iter().filter_map(numbers).collect();
        let mut program = deny::filter(&denied);
        let (around, dir) = (self.around, self.dir.clone());
        sys::before_exec(command, move || {
            network.map_or(Ok(()), sys::setns)?;
            if let Some((mounts, directory)) = &mounts {
                sys::setns(*mounts)?;
                // It was left.
                std::env::set_current_dir(directory)?;
            }
            mount_layout(layout)?;
            around.map_or(Ok(()), |around| around(&dir))?;
            if !denied.is_empty() {
                deny::load_filter(&mut program)?;
            }
            user.map_or(Ok(()), |id| sys::become_user(id, id))?;
            user_namespace.map_or(Ok(()), sys::setns)
        });
    }

    /// Runs the runtime until it exits.
    pub fn mote(&self, words: &[&str]) -> Outcome<Output> {
        run(&mut self.command(words), "")
    }

    /// The command line of `run` or `create` for a bundle; writes its config.json.
    pub fn launch(&self, verb: &str, bundle: &Bundle, options: &[&str]) -> Outcome<Command> {
        bundle.write()?;
        let dir = bundle.dir.display().to_string();
        let mut words = vec![verb, "--bundle", &dir];
        words.extend(options);
        words.push(&self.id);
        Ok(self.command(&words))
    }

    /// Runs `run` until it exits.
    pub fn run(&self, bundle: &Bundle, options: &[&str]) -> Outcome<Output> {
        run(&mut self.launch("run", bundle, options)?, "")
    }

    /// Starts `run` in the foreground and does not wait for it.
    pub fn spawn(&self, bundle: &Bundle, options: &[&str]) -> Outcome<Running> {
        start(&mut self.launch("run", bundle, options)?, true)
    }

    /// The report of the payload, run in a container with these verbs.
    pub fn report(&self, bundle: &mut Bundle, verbs: &[&str]) -> Outcome<Report> {
        bundle.verbs(verbs);
        Ok(self.run(bundle, &[])?.success()?.report())
    }

    /// Checks that `run` fails with exit code 1 and one line with these words, and leaves nothing behind. The words
    /// are checked for mote only.
    pub fn rejected(&self, bundle: &Bundle, words: &[&str]) -> Outcome {
        self.failure(&self.run(bundle, &[])?, words)?;
        self.nothing_left()
    }

    /// Checks exit code 1 and one line on the standard error with these words. For runc and crun, any message will
    /// do.
    pub fn failure(&self, output: &Output, words: &[&str]) -> Outcome {
        if self.is(Runtime::Mote) {
            return output.failure(words);
        }
        same("exit code", output.code(), 1)?;
        holds("something on the standard error", !output.stderr.is_empty())
    }

    /// Checks the exit code of a wrong command line, which is 64 or 1, and for one line on the standard error.
    pub fn usage_error(&self, output: &Output, word: &str) -> Outcome {
        if output.code() != 64 {
            return self.failure(output, &[word]);
        }
        contains("the error", &output.stderr, word)?;
        holds("one line on the standard error", output.stderr.lines().count() == 1 || !self.is(Runtime::Mote))
    }

    /// Runs `create`. The result still reads the output of the container.
    pub fn create(&self, bundle: &Bundle, options: &[&str]) -> Outcome<Running> {
        let mut running = start(&mut self.launch("create", bundle, options)?, false)?;
        let (status, errors) = running.status()?;
        if status.success() && errors.is_empty() {
            return Ok(running);
        }
        fail(format_args!("create: {status}: {errors}"))
    }

    /// Creates and starts a container whose program waits for a signal.
    pub fn waiting(&self, bundle: &mut Bundle) -> Outcome<Running> {
        bundle.verbs(&["wait", "1"]);
        let mut running = self.create(bundle, &[])?;
        self.mote(&["start", &self.id])?.success()?;
        running.lines.until("waiting=1")?;
        Ok(running)
    }

    /// Waits until the init process of a created container accepts connections at its start socket.
    pub fn init_waits(&self) -> Outcome {
        Ok(sys::unix_socket::connect_and_wait(&self.state.join(&self.id).join("start"))?)
    }

    pub fn state(&self) -> Outcome<Json> {
        Ok(Json::parse(&self.mote(&["state", &self.id])?.success()?.stdout)?)
    }

    pub fn status_is(&self, want: &str) -> Outcome {
        same("status", self.state()?.at("status").text(), want)
    }

    /// The PID of the container init according to `state`.
    pub fn pid(&self) -> Outcome<i32> {
        let pid = i32::try_from(self.state()?.at("pid").int())?;
        holds("the state has a pid", pid > 0)?;
        Ok(pid)
    }

    /// Kills the container init and waits until it has exited.
    pub fn kill_init(&self) -> Outcome {
        let pid = self.pid()?;
        let pidfd = sys::pidfd(pid)?;
        sys::kill(pid, libc::SIGKILL)?;
        holds("the init exits", sys::readable(&pidfd, crate::command::LIMIT)?)
    }

    pub fn delete(&self) -> Outcome {
        self.mote(&["delete", "--force", &self.id])?.success()?;
        Ok(())
    }

    /// Checks that no state, cgroup, process or mount of this test is left.
    pub fn nothing_left(&self) -> Outcome {
        match crate::cleanup::leftovers(self).as_slice() {
            [] => Ok(()),
            found => fail(format_args!("left behind: {}", found.join(", "))),
        }
    }

    /// [`Rig::nothing_left`]; `what` begins the error.
    pub fn nothing_left_after(&self, what: impl std::fmt::Display) -> Outcome {
        self.nothing_left().map_err(|stop| match stop {
            Stop::Fail(why) => Stop::Fail(format!("{what}: {why}")),
            other => other,
        })
    }
}

/// Mounts a cgroup layout in a new mount namespace of the calling process. The mounts of the suite are private,
/// except those that a test makes shared.
fn mount_layout(layout: Layout) -> std::io::Result<()> {
    if layout == Layout::Machine {
        return Ok(());
    }
    sys::unshare(libc::CLONE_NEWNS)?;
    let top = Path::new("/sys/fs/cgroup");
    if layout == Layout::V1 {
        return sys::umount(&top.join("unified"));
    }
    if !top.join("cgroup.controllers").exists() {
        sys::umount(top)?;
        sys::mount("cgroup2", top, "cgroup2", 0, "")?;
    }
    if layout == Layout::Named {
        let named = top.join("systemd");
        std::fs::create_dir_all(&named)?;
        sys::mount("cgroup", &named, "cgroup", 0, "none,name=systemd")?;
    }
    Ok(())
}
