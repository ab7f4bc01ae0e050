//! `hooks` (config.md, "POSIX-platform Hooks"): programs run at points of the life cycle.

use alloc::vec::Vec;
use core::ffi::CStr;

use crate::error::Result;
use crate::json::Decoder;
use crate::{elements, members};

/// The six lists, in the order in which they are run.
#[derive(Debug, Default)]
pub struct Hooks<'a> {
    pub prestart: Vec<Hook<'a>>,
    pub create_runtime: Vec<Hook<'a>>,
    pub create_container: Vec<Hook<'a>>,
    pub start_container: Vec<Hook<'a>>,
    pub poststart: Vec<Hook<'a>>,
    pub poststop: Vec<Hook<'a>>,
}

/// One program.
#[derive(Debug, Default)]
pub struct Hook<'a> {
    pub path: &'a CStr,
    pub args: Vec<&'a CStr>,
    /// Absent: the runtime's own environment.
    pub env: Option<Vec<&'a CStr>>,
    /// Seconds, at least one.
    pub timeout: Option<u32>,
}

impl<'a> Hooks<'a> {
    pub(super) fn read(d: &mut Decoder<'a>) -> Result<Self> {
        let mut hooks = Hooks::default();
        members!(d, {
            "prestart" => hooks.prestart = elements!(d, Hook::read(d)?),
            "createRuntime" => hooks.create_runtime = elements!(d, Hook::read(d)?),
            "createContainer" => hooks.create_container = elements!(d, Hook::read(d)?),
            "startContainer" => hooks.start_container = elements!(d, Hook::read(d)?),
            "poststart" => hooks.poststart = elements!(d, Hook::read(d)?),
            "poststop" => hooks.poststop = elements!(d, Hook::read(d)?),
        });
        Ok(hooks)
    }
}

impl<'a> Hook<'a> {
    fn read(d: &mut Decoder<'a>) -> Result<Self> {
        let mut hook = Hook::default();
        members!(d, {
            "path" => hook.path = d.cstr()?,
            "args" => hook.args = elements!(d, d.cstr()?),
            "env" => hook.env = Some(elements!(d, d.cstr()?)),
            "timeout" => hook.timeout = Some(d.integer()?),
        });
        if !hook.path.to_bytes().starts_with(b"/") {
            return Err(d.fail(format_args!("path must be absolute")));
        }
        if hook.timeout == Some(0) {
            return Err(d.fail(format_args!("timeout must be greater than zero")));
        }
        Ok(hook)
    }
}
