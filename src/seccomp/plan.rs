//! Makes the filter of a configuration.

use core::ffi::CStr;

use super::arch::Arch;
use super::compile::compile;
use super::filter::{Context, Filter};
use crate::config::Config;
use crate::error::{At, Error, Result};

/// The annotation with a compiled filter in base64, which replaces the profile.
pub(super) const FINISHED: &CStr = c"run.oci.seccomp_bpf_data";

/// The filter of the configuration, if any. Unknown names of system calls are ignored, because profiles are written for
/// all kernels, unless the annotation `run.oci.seccomp_fail_unknown_syscall` is set. `ordinary` is whether mote lacks
/// CAP_SYS_PTRACE.
pub fn plan<'a>(config: &Config<'a>, ordinary: bool) -> Result<Option<Filter<'a>>> {
    let section = config.linux.seccomp.as_ref();
    let data = config.annotation(FINISHED);
    if section.is_none() && data.is_none() {
        return Ok(None);
    }
    if config.annotation(c"run.oci.seccomp.plugins").is_some() {
        let why = "a static program cannot load plugins";
        return Err(Error::unsupported(format_args!("annotations.run.oci.seccomp.plugins: {why}")));
    }
    let context =
        Context { native: Arch::native(), has_receiver: config.seccomp_receiver().is_some(), ordinary };
    if let Some(data) = data {
        let flags = section.map_or(&[][..], |section| &section.flags);
        let program = Filter::from_base64(data.to_str().unwrap_or_default(), flags, context);
        return program.at(format_args!("annotations.run.oci.seccomp_bpf_data")).map(Some);
    }
    let Some(section) = section else { return Ok(None) };
    let program = compile(section, context)?;
    let path = config.seccomp_receiver().filter(|_| section.notifies());
    if path.is_some_and(|path| !path.to_bytes().starts_with(b"/")) {
        return Err(Error::invalid(format_args!("linux.seccomp.listenerPath: must be an absolute path")));
    }
    let strict =
        config.annotation(c"run.oci.seccomp_fail_unknown_syscall").is_some_and(|value| value != c"0");
    match program.unknown.first() {
        Some(name) if strict => {
            let name = name.escape_ascii();
            Err(Error::invalid(format_args!("linux.seccomp.syscalls: unknown system call \"{name}\"")))
        }
        _ => Ok(Some(program)),
    }
}
