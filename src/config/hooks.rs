//! `hooks` (config.md, "POSIX-platform Hooks"): programs that are run at points of the container's lifecycle.

use alloc::vec::Vec;
use core::ffi::CStr;

use crate::json::Decoder;
use crate::members;

/// The lists of hooks, in the order in which they are run.
#[derive(Debug, Default)]
pub struct Hooks<'a> {
    pub prestart: Vec<Hook<'a>>,
    pub create_runtime: Vec<Hook<'a>>,
    pub create_container: Vec<Hook<'a>>,
    pub start_container: Vec<Hook<'a>>,
    pub poststart: Vec<Hook<'a>>,
    pub poststop: Vec<Hook<'a>>,
}

/// A hook: a program with its arguments.
#[derive(Debug, Default)]
pub struct Hook<'a> {
    pub path: &'a CStr,
    pub args: Vec<&'a CStr>,
    /// The environment; `None` is that of the runtime.
    pub env: Option<Vec<&'a CStr>>,
    /// In seconds, at least one.
    pub timeout: Option<u32>,
}

impl<'a> Hooks<'a> {
    pub fn read(&mut self, d: &mut Decoder<'a>) {
        members!(d, {
            "prestart" => self.prestart = d.list(Hook::read),
            "createRuntime" => self.create_runtime = d.list(Hook::read),
            "createContainer" => self.create_container = d.list(Hook::read),
            "startContainer" => self.start_container = d.list(Hook::read),
            "poststart" => self.poststart = d.list(Hook::read),
            "poststop" => self.poststop = d.list(Hook::read),
        });
    }
}

impl<'a> Hook<'a> {
    fn read(d: &mut Decoder<'a>) -> Self {
        let mut hook = Hook::default();
        members!(d, {
            "path" => hook.path = d.cstr(),
            "args" => hook.args = d.list(Decoder::cstr),
            "env" => hook.env = Some(d.list(Decoder::cstr)),
            "timeout" => hook.timeout = Some(d.integer()),
        });
        d.check(hook.path.to_bytes().starts_with(b"/"), "path must be absolute");
        d.check(hook.timeout != Some(0), "timeout must be greater than zero");
        hook
    }
}
