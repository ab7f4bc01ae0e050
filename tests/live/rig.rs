//! What every test holds: its own directory, state root, container id and cgroup, and the runtime under test.

use std::cell::Cell;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bundle::Bundle;
use crate::check::{Outcome, contains, fail, holds, same, skip_allowed};
use crate::command::{Output, Running, run, start};
use crate::facts::Facts;
use crate::json::Json;
use crate::sys;

/// Whose binary is tested. The tests demand mote's own words from mote alone.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Peer {
    Mote,
    Runc,
    Crun,
}

/// How the cgroup file systems look to the runtime.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Layout {
    /// As this machine has them.
    Machine,
    /// The v1 hierarchies alone.
    V1,
    /// The unified hierarchy alone, with the controllers that v1 does not hold.
    V2,
    /// The same, and in its directory `systemd`, which is left there, the v1 hierarchy of that name.
    Named,
}

/// Names of system calls, and the error that each answers.
pub type Refused = &'static [(&'static str, i32)];

/// What all tests share.
pub struct Suite {
    pub runtime: PathBuf,
    pub peer: Peer,
    pub dir: PathBuf,
    pub payload: PathBuf,
}

impl Suite {
    pub fn new() -> Outcome<Suite> {
        let runtime = std::env::var("MOTE").unwrap_or_else(|_| env!("CARGO_BIN_EXE_mote").to_string());
        let runtime = fs::canonicalize(&runtime).map_err(|error| format!("{runtime}: {error}"))?;
        let version = run(Command::new(&runtime).arg("--version"), "")?.stdout;
        let peer = match version.split(' ').next() {
            Some("runc") => Peer::Runc,
            Some("crun") => Peer::Crun,
            _ => Peer::Mote,
        };
        let dir = std::env::temp_dir().join(format!("mote-live-{}", std::process::id()));
        fs::create_dir(&dir)?;
        let (own, payload) = (dir.join("mote"), dir.join("payload"));
        fs::copy("/proc/self/exe", &payload)?;
        // What was built may be in somebody's home, where other users cannot run it.
        fs::copy(&runtime, &own)?;
        for path in [&dir, &own, &payload] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        }
        let runtime = if peer == Peer::Mote { own } else { runtime };
        Ok(Suite { runtime, peer, dir, payload })
    }
}

pub struct Rig<'a> {
    pub suite: &'a Suite,
    pub dir: PathBuf,
    pub state: PathBuf,
    pub id: String,
    pub cgroup: String,
    /// The value of `MOTE_LIVE` in the environment of all that this test starts.
    pub marker: String,
    pub layout: Layout,
    /// Options before the command.
    pub globals: Vec<String>,
    /// System calls that a sandbox around the runtime refuses, and how.
    pub refused: Refused,
    /// Who calls the runtime.
    pub user: Option<u32>,
    /// The network namespace in which it is called.
    pub network: Option<File>,
    /// The user namespace of its caller.
    pub user_namespace: Option<File>,
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
            refused: &[],
            user: None,
            network: None,
            user_namespace: None,
            bundles: Cell::new(0),
        })
    }

    pub fn is(&self, peer: Peer) -> bool {
        self.suite.peer == peer
    }

    /// Whether a sandbox keeps the runtime from a system call.
    pub fn refuses(&self, call: &str) -> bool {
        self.refused.iter().any(|(name, _)| *name == call)
    }

    /// Makes the runtime see another cgroup layout, where this machine can show it.
    pub fn set_layout(&mut self, layout: Layout) -> Outcome {
        let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        if layout == Layout::V1 && unified {
            return skip_allowed("this machine has no v1 hierarchies");
        }
        let machine = layout == Layout::V2 && unified;
        self.layout = if machine { Layout::Machine } else { layout };
        Ok(())
    }

    pub fn bundle(&self) -> Outcome<Bundle> {
        let number = self.bundles.get();
        self.bundles.set(number + 1);
        let dir = self.dir.join(format!("bundle{number}"));
        let cgroup = format!("/{}", self.cgroup);
        Ok(Bundle::new(dir, &self.suite.payload, &self.marker, &cgroup)?)
    }

    /// The runtime with these words, ready to be started.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.suite.runtime);
        command.arg("--root").arg(&self.state);
        command.args(&self.globals).args(words);
        command.env("MOTE_LIVE", &self.marker);
        self.prepare(&mut command);
        command
    }

    /// The payload on the host, to make things a container is to be joined to.
    pub fn host(&self, verbs: &[&str]) -> Command {
        let mut command = Command::new(&self.suite.payload);
        command.args(verbs).env("MOTE_LIVE_HOST", &self.marker);
        self.prepare(&mut command);
        command
    }

    /// Where and as whom a command of this test runs.
    pub fn prepare(&self, command: &mut Command) {
        for name in ["XDG_RUNTIME_DIR", "NOTIFY_SOCKET"] {
            command.env_remove(name);
        }
        command.current_dir(&self.dir);
        let (layout, user) = (self.layout, self.user);
        let network = self.network.as_ref().map(File::as_raw_fd);
        let user_namespace = self.user_namespace.as_ref().map(File::as_raw_fd);
        let numbers = |(name, errno): &(&str, i32)| Some((sys::call_number(name)?, *errno));
        let refused: Vec<_> = self.refused.iter().filter_map(numbers).collect();
        let mut program = sys::filter(&refused);
        sys::before_exec(command, move || {
            network.map_or(Ok(()), sys::join)?;
            show(layout)?;
            if !refused.is_empty() {
                sys::confine(&mut program)?;
            }
            user.map_or(Ok(()), |id| sys::become_user(id, id))?;
            user_namespace.map_or(Ok(()), sys::join)
        });
    }

    /// Runs the runtime to its end.
    pub fn mote(&self, words: &[&str]) -> Outcome<Output> {
        run(&mut self.command(words), "")
    }

    /// The words of `run` or `create` for a bundle; its config.json is written.
    pub fn launch(&self, verb: &str, bundle: &Bundle, options: &[&str]) -> Outcome<Command> {
        bundle.write()?;
        let dir = bundle.dir.display().to_string();
        let mut words = vec![verb, "--bundle", &dir];
        words.extend(options);
        words.push(&self.id);
        Ok(self.command(&words))
    }

    /// `run` to its end.
    pub fn run(&self, bundle: &Bundle, options: &[&str]) -> Outcome<Output> {
        run(&mut self.launch("run", bundle, options)?, "")
    }

    /// `run` in the foreground, left running.
    pub fn spawn(&self, bundle: &Bundle, options: &[&str]) -> Outcome<Running> {
        start(&mut self.launch("run", bundle, options)?, true)
    }

    /// What the payload says when it has done these verbs.
    pub fn facts(&self, bundle: &mut Bundle, verbs: &[&str]) -> Outcome<Facts> {
        bundle.verbs(verbs);
        Ok(self.run(bundle, &[])?.good()?.facts())
    }

    /// A `run` that must fail with one line, exit code 1, and nothing left. The words are asked of mote alone.
    pub fn refused(&self, bundle: &Bundle, words: &[&str]) -> Outcome {
        self.bad(&self.run(bundle, &[])?, words)?;
        self.nothing_left()
    }

    /// Exit code 1 and one line with these words. Peers may say what they like.
    pub fn bad(&self, output: &Output, words: &[&str]) -> Outcome {
        if self.is(Peer::Mote) {
            return output.bad(words);
        }
        same("exit code", output.code(), 1)?;
        holds("something on the standard error", !output.stderr.is_empty())
    }

    /// A misused command line: 64 as for an option nobody knows, or 1, and one line.
    pub fn misused(&self, output: &Output, word: &str) -> Outcome {
        if output.code() != 64 {
            return self.bad(output, &[word]);
        }
        contains("the error", &output.stderr, word)?;
        holds("one line of error", output.stderr.lines().count() == 1 || !self.is(Peer::Mote))
    }

    /// `create`; what comes back still reads what the container says.
    pub fn create(&self, bundle: &Bundle, options: &[&str]) -> Outcome<Running> {
        let mut running = start(&mut self.launch("create", bundle, options)?, false)?;
        let (status, errors) = running.status()?;
        if status.success() && errors.is_empty() {
            return Ok(running);
        }
        fail(format_args!("create: {status}: {errors}"))
    }

    /// A container that has been created and started, and waits for a signal.
    pub fn waiting(&self, bundle: &mut Bundle) -> Outcome<Running> {
        bundle.verbs(&["wait", "1"]);
        let mut running = self.create(bundle, &[])?;
        self.mote(&["start", &self.id])?.good()?;
        running.lines.until("waiting=1")?;
        Ok(running)
    }

    pub fn state(&self) -> Outcome<Json> {
        Ok(Json::parse(&self.mote(&["state", &self.id])?.good()?.stdout)?)
    }

    pub fn status_is(&self, want: &str) -> Outcome {
        same("status", self.state()?.at("status").text(), want)
    }

    /// The init process as the state has it.
    pub fn pid(&self) -> Outcome<i32> {
        let pid = i32::try_from(self.state()?.at("pid").int())?;
        holds("the state has a pid", pid > 0)?;
        Ok(pid)
    }

    /// Kills the init process and waits until the kernel has ended it.
    pub fn kill_init(&self) -> Outcome {
        let pid = self.pid()?;
        let pidfd = sys::pidfd(pid)?;
        sys::kill(pid, libc::SIGKILL)?;
        holds("init ends", sys::readable(&pidfd, crate::command::LIMIT)?)
    }

    pub fn delete(&self) -> Outcome {
        self.mote(&["delete", "--force", &self.id])?.good()?;
        Ok(())
    }

    /// Nothing of this test is left: no state, cgroup, process or mount.
    pub fn nothing_left(&self) -> Outcome {
        match crate::clean::leftovers(self).as_slice() {
            [] => Ok(()),
            found => fail(format_args!("left behind: {}", found.join(", "))),
        }
    }
}

/// Puts a cgroup layout before the process, in a mount namespace of its own. The suite's mounts are private, but
/// for those that a test shares on purpose.
fn show(layout: Layout) -> std::io::Result<()> {
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
