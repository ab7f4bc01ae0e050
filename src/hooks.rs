//! Hooks: programs that are run at the hook points of a container's lifecycle (config.md, "POSIX-platform Hooks";
//! runtime.md, "Lifecycle").
//!
//! The standard input of a hook is a memfd with the container's state, so that mote never blocks on a hook that does
//! not read it. Its output goes to the files that annotations name, or is kept for the error message, but not to mote's
//! own standard output, which is that of the container.
//!
//! The specification does not define the working directory of a hook, nor its environment without `env`. As in runc:
//!
//! | | working directory | environment |
//! |---|---|---|
//! | `prestart`, `createRuntime`, `poststart`, `poststop` | the bundle | mote's own |
//! | `createContainer` | the container's root | `process.env` |
//! | `startContainer` | `process.cwd` | `process.env`, with HOME |
//!
//! `caller.rs` lists the other attributes that it inherits.

use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::fmt::{self, Write};

use rustix::fd::{AsRawFd, OwnedFd, RawFd};
use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, SeekFrom, memfd_create, openat, seek};
use rustix::io::{self, Errno, pread, read, write};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, chdir};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use crate::caller::{self, restore_signals};
use crate::config::hooks::Hook;
use crate::config::{Config, state};
use crate::error::{At, Error, Kind, On, OneLine, Result, Show};
use crate::executable::explain;
use crate::sys::clone::{exit, spawn};
use crate::sys::end::End;
use crate::sys::exec::{Strings, execve, execve_with_own_environment};
use crate::sys::fd::close_all_from;
use crate::sys::pidfd::{has_ended, reap, wait_while};
use crate::sys::signal::send;

/// The hook points, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// `create`, in the runtime namespace, after mounting and before pivot_root.
    Prestart,
    /// `create`, after the prestart hooks, in the runtime namespace.
    CreateRuntime,
    /// `create`, after the createRuntime hooks, in the container's namespaces, before pivot_root.
    CreateContainer,
    /// `start`, in the container, right before execve.
    StartContainer,
    /// `start`, in the runtime namespace, when the program runs.
    Poststart,
    /// `delete`, in the runtime namespace, when the container is removed.
    Poststop,
}

/// The names of the hook points, and the `status` in the state that their hooks get.
pub static POINTS: [(&str, &str); 6] = [
    ("prestart", "creating"),
    ("createRuntime", "creating"),
    ("createContainer", "creating"),
    ("startContainer", "created"),
    ("poststart", "running"),
    ("poststop", "stopped"),
];

/// The hooks of a container.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    lists: [Vec<HookCommand<'a>>; 6],
    /// Absolute.
    bundle: &'a CStr,
    /// The state as JSON, without its first members: status and PID.
    state: String,
    /// The destinations of standard output and standard error.
    outputs: [Output<'a>; 2],
}

/// A file for the output of hooks.
#[derive(Debug, Default)]
struct Output<'a> {
    path: Option<&'a CStr>,
    file: Option<OwnedFd>,
}

/// The annotations with the paths of the output files.
const OUTPUTS: [&CStr; 2] = [c"run.oci.hooks.stdout", c"run.oci.hooks.stderr"];

/// The settings of hooks in the container's namespaces.
pub struct InContainer<'i> {
    /// The environment of hooks without `env`, and one more variable.
    pub environment: (&'i Strings<'i>, Option<&'i CStr>),
    /// Called in the hook's process before execve: sets the working directory, limits and the like.
    pub enter: &'i dyn Fn() -> io::Result<()>,
}

/// The namespaces that hooks are run in. With a pidfd, hooks are killed when that process exits.
#[derive(Clone, Copy)]
enum RunIn<'p> {
    Host(Option<&'p OwnedFd>),
    Inside(&'p InContainer<'p>),
}

/// One hook.
#[derive(Debug)]
struct HookCommand<'a> {
    path: &'a CStr,
    args: Strings<'a>,
    /// `None`: the default of the table above.
    env: Option<Strings<'a>>,
    /// Seconds.
    timeout: Option<u32>,
}

/// The maximal length of a hook's output in an error, in bytes.
const MAX_OUTPUT: usize = 200;

impl<'a> Plan<'a> {
    /// The hooks of a configuration; `bundle` is absolute.
    pub(crate) fn new(config: &Config<'a>, id: &CStr, bundle: &'a CStr) -> Self {
        let hooks = &config.hooks;
        let lists = [
            &hooks.prestart,
            &hooks.create_runtime,
            &hooks.create_container,
            &hooks.start_container,
            &hooks.poststart,
            &hooks.poststop,
        ];
        let lists = lists.map(|list| list.iter().map(HookCommand::new).collect::<Vec<_>>());
        if lists.iter().all(Vec::is_empty) {
            return Plan::default();
        }
        let state = state::json(config, id, bundle);
        let outputs = OUTPUTS.map(|key| Output { path: config.annotation(key), file: None });
        Plan { lists, bundle, state, outputs }
    }

    /// Opens the output files. For use before pivot_root.
    pub(crate) fn open(&mut self) -> Result<()> {
        for (output, key) in self.outputs.iter_mut().zip(OUTPUTS) {
            let Some(path) = output.path else { continue };
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::NOCTTY | OFlags::CLOEXEC;
            let file = openat(CWD, path, flags, Mode::from_raw_mode(0o600));
            output.file = Some(file.on(format_args!("annotations.{}: openat {}", Show(key), Show(path)))?);
        }
        Ok(())
    }

    /// The fds of the output files that the child must keep open for startContainer hooks; -1 for none.
    pub(crate) fn output_fds(&self) -> [RawFd; 2] {
        let inside = self.has(Point::StartContainer);
        let number =
            |output: &Output<'_>| output.file.as_ref().filter(|_| inside).map_or(-1, AsRawFd::as_raw_fd);
        let [out, err] = &self.outputs;
        [number(out), number(err)]
    }

    fn list(&self, point: Point) -> &[HookCommand<'a>] {
        self.lists.get(point as usize).map_or(&[], Vec::as_slice)
    }

    /// Whether there are hooks at this point.
    pub(crate) fn has(&self, point: Point) -> bool {
        !self.list(point).is_empty()
    }

    /// Whether there are hooks before pivot_root, for which the child waits.
    #[inline(always)]
    pub(crate) fn has_before_pivot(&self) -> bool {
        [Point::Prestart, Point::CreateRuntime, Point::CreateContainer].iter().any(|point| self.has(*point))
    }

    /// Whether there are hooks after the program was started: poststart or poststop.
    pub(crate) fn has_later(&self) -> bool {
        self.has(Point::Poststart) || self.has(Point::Poststop)
    }

    /// Runs the hooks of a point in the runtime namespace, until one fails ([`Kind::Hook`]). `pid` is the PID of the
    /// container init in their pid namespace.
    #[inline]
    pub(crate) fn run(&self, point: Point, pid: i32) -> Result<()> {
        match self.has(point) {
            true => self.each(point, pid, RunIn::Host(None), &mut |result| result),
            false => Ok(()),
        }
    }

    /// Runs the hooks of a point in the runtime namespace, while the container init `process` exists: when that exits,
    /// the running hook is killed and counts as failed. So the creation of a container fails if its init is killed.
    #[inline]
    pub(crate) fn run_beside(&self, point: Point, pid: i32, process: &OwnedFd) -> Result<()> {
        match self.has(point) {
            true => self.each(point, pid, RunIn::Host(Some(process)), &mut |result| result),
            false => Ok(()),
        }
    }

    /// Runs the hooks of a point in the container's namespaces, until one fails.
    #[inline]
    pub(crate) fn run_inside(&self, point: Point, pid: i32, inside: &InContainer<'_>) -> Result<()> {
        match self.has(point) {
            true => self.each(point, pid, RunIn::Inside(inside), &mut |result| result),
            false => Ok(()),
        }
    }

    /// Runs all hooks of a point, even if some fail; `warn` receives their errors.
    pub(crate) fn run_all(&self, point: Point, pid: i32, warn: &mut dyn FnMut(Error)) {
        if !self.has(point) {
            return;
        }
        let _ = self.each(point, pid, RunIn::Host(None), &mut |result| {
            result.err().into_iter().for_each(&mut *warn);
            Ok(())
        });
    }

    fn each(
        &self,
        point: Point,
        pid: i32,
        place: RunIn<'_>,
        on_result: &mut dyn FnMut(Result<()>) -> Result<()>,
    ) -> Result<()> {
        let programs = self.list(point);
        let (name, status) = POINTS.get(point as usize).copied().unwrap_or_default();
        let state = self.state(status, pid).at(format_args!("hooks.{name}"))?;
        for (index, program) in programs.iter().enumerate() {
            let ran = program.run(name, &state, self, place).map_err(|error| error.of(Kind::Hook));
            on_result(ran.at(format_args!("hooks.{name}[{index}] {}", Show(program.path))))?;
        }
        Ok(())
    }

    /// A memfd with the container's state.
    fn state(&self, status: &str, pid: i32) -> Result<OwnedFd> {
        let file = memory()?;
        let mut head = Text { bytes: [0; 64], length: 0 };
        let _ = write!(head, "{{\"status\":\"{status}\",\"pid\":{pid},");
        let head = head.bytes.get(..head.length).unwrap_or_default();
        for mut part in [head, self.state.as_bytes().get(1..).unwrap_or_default()] {
            while !part.is_empty() {
                // A seccomp filter may make the call return 0.
                let count = match write(&file, part).on(format_args!("write"))? {
                    0 => return Err(Error::system(Errno::IO, format_args!("write"))),
                    count => count,
                };
                part = part.get(count..).unwrap_or_default();
            }
        }
        Ok(file)
    }
}

/// A buffer of fixed size: hooks are also run in the child, which must not allocate.
struct Text {
    bytes: [u8; 64],
    length: usize,
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let place = self.bytes.get_mut(self.length..self.length + text.len()).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.length += text.len();
        Ok(())
    }
}

fn memory() -> Result<OwnedFd> {
    memfd_create(c"hook", MemfdFlags::CLOEXEC).on(format_args!("memfd_create"))
}

/// The calls that can fail in a hook's process before the hook runs; `CALLS` has their names.
#[derive(Clone, Copy)]
enum Call {
    Dup2,
    Chdir,
    CloseRange,
    Sigprocmask,
    Execve,
}

const CALLS: [&str; 5] = ["dup2", "chdir", "close_range", "rt_sigprocmask", "execve"];

impl<'a> HookCommand<'a> {
    fn new(hook: &Hook<'a>) -> Self {
        HookCommand {
            path: hook.path,
            args: Strings::new(if hook.args.is_empty() {
                core::slice::from_ref(&hook.path)
            } else {
                &hook.args
            }),
            env: hook.env.as_ref().map(|env| Strings::new(env)),
            timeout: hook.timeout,
        }
    }

    /// Runs the hook and waits for it. `point` is the hook point's name for errors.
    fn run(&self, point: &str, state: &OwnedFd, all: &Plan<'_>, place: RunIn<'_>) -> Result<()> {
        seek(state, SeekFrom::Start(0)).on(format_args!("lseek"))?;
        let captured = memory()?;
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).on(format_args!("pipe2"))?;
        let become_hook = || {
            let [out, err] = all.outputs.each_ref().map(|output| output.file.as_ref().unwrap_or(&captured));
            let (call, errno) = self.execute([state, out, err], &writer, all.bundle, place);
            let [a, b, c, d] = errno.raw_os_error().to_ne_bytes();
            let _ = write(&writer, &[call as u8, a, b, c, d]);
            exit(127)
        };
        let (_, pidfd) = spawn(0, None, become_hook).on(format_args!("clone3"))?;
        drop(writer);
        // execve closes the pipe; if a call fails before, its number and errno are sent.
        let mut failed = [0u8; 5];
        if let Ok(5) = read(&reader, &mut failed) {
            reap(&pidfd);
            let [call, errno @ ..] = failed;
            let errno = Errno::from_raw_os_error(i32::from_ne_bytes(errno));
            let name = CALLS.get(usize::from(call)).copied().unwrap_or_default();
            let error = Error::system(errno, format_args!("{name}"));
            return Err(if call == Call::Execve as u8 { explain(error, self.path) } else { error });
        }
        self.wait(point, &pidfd, &captured, place)
    }

    /// Executes the hook in the new process, whose only fds are the `standard` ones: those of mote and of its caller
    /// are closed. Returns the call that failed, to be sent to `pipe`, which execve closes.
    fn execute(
        &self,
        standard: [&OwnedFd; 3],
        pipe: &OwnedFd,
        bundle: &CStr,
        place: RunIn<'_>,
    ) -> (Call, Errno) {
        let [state, out, err] = standard;
        let result = dup2_stdin(state).and_then(|()| dup2_stdout(out)).and_then(|()| dup2_stderr(err));
        if let Err(errno) = result {
            return (Call::Dup2, errno);
        }
        let entered = match place {
            RunIn::Inside(inside) => (inside.enter)(),
            RunIn::Host(_) => caller::restore().and_then(|()| match chdir(bundle) {
                // The bundle may be removed before its container; poststop hooks, which clean up, must still run.
                Err(Errno::NOENT) => chdir(c"/"),
                changed => changed,
            }),
        };
        if let Err(errno) = entered {
            return (Call::Chdir, errno);
        }
        if let Err(errno) = close_all_from(3, &mut [pipe.as_raw_fd()]) {
            return (Call::CloseRange, errno);
        }
        if let Err(errno) = restore_signals(u64::MAX) {
            return (Call::Sigprocmask, errno);
        }
        let errno = match (&self.env, place) {
            (Some(env), _) => execve(self.path, &self.args, env, None),
            (None, RunIn::Inside(InContainer { environment: (env, more), .. })) => {
                execve(self.path, &self.args, env, *more)
            }
            (None, RunIn::Host(_)) => execve_with_own_environment(self.path, &self.args),
        };
        (Call::Execve, errno)
    }

    /// Waits for the hook's exit. It is killed after its timeout, or when the container init `beside` exits.
    fn wait(&self, point: &str, pidfd: &OwnedFd, captured: &OwnedFd, place: RunIn<'_>) -> Result<()> {
        let beside = if let RunIn::Host(beside) = place { beside } else { None };
        let ended = wait_while(beside.unwrap_or(pidfd), pidfd, self.timeout).on(format_args!("poll"))?;
        if !ended {
            let _ = send(pidfd, Signal::KILL.as_raw());
        }
        let end = reap(pidfd);
        let mut space = [0u8; MAX_OUTPUT];
        let count = pread(captured, &mut space, 0).unwrap_or(0);
        let text = space.get(..count).unwrap_or_default().trim_ascii();
        let (colon, text) = (if text.is_empty() { "" } else { ": " }, OneLine(text));
        let seconds = self.timeout.unwrap_or(0);
        match end {
            _ if !ended && beside.is_some_and(has_ended) => {
                Err(Error::invalid(format_args!("killed: the container's process has ended{colon}{text}")))
            }
            _ if !ended => {
                Err(Error::invalid(format_args!("killed after its timeout of {seconds} s{colon}{text}")))
            }
            Some(End::Exited(0)) => Ok(()),
            Some(End::Exited(code)) => {
                Err(Error::invalid(format_args!("{point} hook failed with exit code {code}{colon}{text}")))
            }
            Some(killed) => Err(Error::invalid(format_args!("{point} hook was {killed}{colon}{text}"))),
            None => Err(Error::system(Errno::CHILD, format_args!("waitid"))),
        }
    }
}
