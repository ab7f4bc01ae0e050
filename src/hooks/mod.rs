//! Hooks: programs that are run at the hook points of a container's lifecycle (config.md, "POSIX-platform Hooks";
//! runtime.md, "Lifecycle").
//!
//! The standard input of a hook is a memfd with the container's state, so that mote never blocks on a hook that does
//! not read it. Its output goes to the files that annotations name, or is kept for the error message, but not to mote's
//! own standard output, which is that of the container.
//!
//! The specification does not define the working directory of a hook, nor its environment without `env`. As in runc
//! since 1.3:
//!
//! | | working directory | environment |
//! |---|---|---|
//! | `prestart`, `createRuntime`, `poststart`, `poststop` | the bundle | mote's own |
//! | `createContainer` | the container's root | mote's own |
//! | `startContainer` | `process.cwd` | `process.env`, with HOME |
//!
//! `caller.rs` lists the other attributes that it inherits.

mod run;

use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::fmt::{self, Write};

use rustix::fd::{AsRawFd, OwnedFd, RawFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, write};

use crate::config::{Config, state};
use crate::error::{At, Error, Kind, On, Result, Show};
use run::{HookCommand, HookContext, RunIn, memory};

pub(crate) use run::InContainer;

/// The hook points, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
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
pub(crate) struct Plan<'a> {
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
            true => self.each(point, pid, RunIn::Runtime(None), &mut |result| result),
            false => Ok(()),
        }
    }

    /// Runs the hooks of a point in the runtime namespace, while the container init `process` exists: when that exits,
    /// the running hook is killed and counts as failed. So the creation of a container fails if its init is killed.
    #[inline]
    pub(crate) fn run_beside(&self, point: Point, pid: i32, process: &OwnedFd) -> Result<()> {
        match self.has(point) {
            true => self.each(point, pid, RunIn::Runtime(Some(process)), &mut |result| result),
            false => Ok(()),
        }
    }

    /// Runs the hooks of a point in the container's namespaces, until one fails.
    #[inline]
    pub(crate) fn run_inside(&self, point: Point, pid: i32, inside: &InContainer<'_>) -> Result<()> {
        match self.has(point) {
            true => self.each(point, pid, RunIn::Container(inside), &mut |result| result),
            false => Ok(()),
        }
    }

    /// Runs all hooks of a point, even if some fail; `warn` receives their errors.
    pub(crate) fn run_all(&self, point: Point, pid: i32, warn: &mut dyn FnMut(Error)) {
        if !self.has(point) {
            return;
        }
        let _ = self.each(point, pid, RunIn::Runtime(None), &mut |result| {
            result.err().into_iter().for_each(&mut *warn);
            Ok(())
        });
    }

    /// Runs the hooks of a point in order, as long as `on_result`, called after each, returns no error.
    fn each(
        &self,
        point: Point,
        pid: i32,
        run_in: RunIn<'_>,
        on_result: &mut dyn FnMut(Result<()>) -> Result<()>,
    ) -> Result<()> {
        let (name, status) = POINTS.get(point as usize).copied().unwrap_or_default();
        let state = self.state(status, pid).at(format_args!("hooks.{name}"))?;
        let outputs = self.outputs.each_ref().map(|output| output.file.as_ref());
        let context = HookContext { point: name, state, outputs, bundle: self.bundle, run_in };
        for (index, hook) in self.list(point).iter().enumerate() {
            let result = hook.run(&context).map_err(|error| error.of(Kind::Hook));
            on_result(result.at(format_args!("hooks.{name}[{index}] {}", Show(hook.path))))?;
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
