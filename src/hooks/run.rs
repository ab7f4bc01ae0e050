//! The execution of one hook: its process, the environment of that, and its exit.

use core::ffi::CStr;

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{MemfdFlags, SeekFrom, memfd_create, seek};
use rustix::io::{self, Errno, pread, read, write};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, chdir};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use crate::caller::{self, restore_signals};
use crate::config::hooks::Hook;
use crate::error::{Error, On, OneLine, Result};
use crate::executable::explain;
use crate::sys::clone::{exit, spawn};
use crate::sys::end::End;
use crate::sys::exec::{Strings, execve, execve_with_own_environment};
use crate::sys::fd::close_all_from;
use crate::sys::pidfd::{has_ended, reap, wait_while};
use crate::sys::signal::send_to_child;

/// The settings of hooks in the container's namespaces.
pub struct InContainer<'i> {
    /// The environment of hooks without `env`, and one more variable. `None` is mote's own.
    pub environment: Option<(&'i Strings<'i>, Option<&'i CStr>)>,
    /// Called in the hook's process before execve: sets the working directory, limits and the like.
    pub enter: &'i dyn Fn() -> io::Result<()>,
}

/// The namespaces that a hook is run in.
#[derive(Clone, Copy)]
pub enum RunIn<'p> {
    /// Those of the runtime. With a pidfd, the hook is killed when that process exits.
    Runtime(Option<&'p OwnedFd>),
    /// Those of the container.
    Container(&'p InContainer<'p>),
}

/// What the hooks of a hook point have in common.
pub struct HookContext<'p> {
    /// The hook point's name, for errors.
    pub point: &'static str,
    /// The memfd with the container's state, the standard input.
    pub state: OwnedFd,
    /// The files for standard output and standard error. Without a file, the output is kept for the error message.
    pub outputs: [Option<&'p OwnedFd>; 2],
    /// The working directory in the runtime namespace.
    pub bundle: &'p CStr,
    pub run_in: RunIn<'p>,
}

/// One hook.
#[derive(Debug)]
pub struct HookCommand<'a> {
    pub path: &'a CStr,
    args: Strings<'a>,
    /// `None` is the default of the hook point (see [`super`]).
    env: Option<Strings<'a>>,
    /// In seconds; `None` waits without limit.
    timeout: Option<u32>,
}

/// The maximal length of a hook's output in an error, in bytes.
const MAX_OUTPUT: usize = 200;

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
    /// The command of an entry of `hooks`; without `args`, its path is the only argument.
    pub fn new(hook: &Hook<'a>) -> Self {
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

    /// Runs the hook and waits for its exit.
    ///
    /// Errors: it was not executed, its exit code is not 0, a signal killed it, or mote did (see [`Self::wait`]).
    pub fn run(&self, context: &HookContext<'_>) -> Result<()> {
        seek(&context.state, SeekFrom::Start(0)).on(format_args!("lseek"))?;
        let captured = memory()?;
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).on(format_args!("pipe2"))?;
        let become_hook = || {
            let (call, errno) = self.execute(context, &captured, &writer);
            let [a, b, c, d] = errno.raw_os_error().to_ne_bytes();
            let _ = write(&writer, &[call as u8, a, b, c, d]);
            exit(127)
        };
        let (pid, pidfd) = spawn(0, None, become_hook).on(format_args!("clone3"))?;
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
        self.wait(context, (pid, &pidfd), &captured)
    }

    /// Executes the hook in the new process, with the standard file descriptors only: those of mote and of its caller
    /// are closed. Returns the call that failed, to be sent to `pipe`, which execve closes. `captured` is the file for
    /// output that goes to no other file.
    fn execute(&self, context: &HookContext<'_>, captured: &OwnedFd, pipe: &OwnedFd) -> (Call, Errno) {
        let [out, err] = context.outputs.map(|file| file.unwrap_or(captured));
        let result =
            dup2_stdin(&context.state).and_then(|()| dup2_stdout(out)).and_then(|()| dup2_stderr(err));
        if let Err(errno) = result {
            return (Call::Dup2, errno);
        }
        let entered = match context.run_in {
            RunIn::Container(inside) => (inside.enter)(),
            RunIn::Runtime(_) => caller::restore().and_then(|()| match chdir(context.bundle) {
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
        let errno = match (&self.env, context.run_in) {
            (Some(env), _) => execve(self.path, &self.args, env, None),
            (None, RunIn::Container(InContainer { environment: Some((env, more)), .. })) => {
                execve(self.path, &self.args, env, *more)
            }
            (None, _) => execve_with_own_environment(self.path, &self.args),
        };
        (Call::Execve, errno)
    }

    /// Waits for the hook's exit. It is killed after its timeout, or when the process of [`RunIn::Runtime`] exits.
    fn wait(
        &self,
        context: &HookContext<'_>,
        (pid, pidfd): (Pid, &OwnedFd),
        captured: &OwnedFd,
    ) -> Result<()> {
        let init = if let RunIn::Runtime(init) = context.run_in { init } else { None };
        let ended = wait_while(init, pidfd, self.timeout).on(format_args!("poll"))?;
        if !ended {
            let _ = send_to_child(pid, pidfd, Signal::KILL.as_raw());
        }
        let end = reap(pidfd);
        let mut space = [0u8; MAX_OUTPUT];
        let count = pread(captured, &mut space, 0).unwrap_or(0);
        let text = space.get(..count).unwrap_or_default().trim_ascii();
        let (colon, text) = (if text.is_empty() { "" } else { ": " }, OneLine(text));
        let (point, seconds) = (context.point, self.timeout.unwrap_or(0));
        match end {
            _ if !ended && init.is_some_and(has_ended) => {
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

/// An empty memfd.
pub fn memory() -> Result<OwnedFd> {
    memfd_create(c"hook", MemfdFlags::CLOEXEC).on(format_args!("memfd_create"))
}
