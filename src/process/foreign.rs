//! Rejects the annotations of crun that select a handler, which runs a program in a virtual machine or as WebAssembly
//! instead of with execve(2). Handlers are shared libraries loaded at run time, which a static program cannot do.

use core::ffi::CStr;

use crate::error::{Error, Result, Show};

/// Checks that no annotation selects a handler.
pub fn check(annotations: &[(&CStr, &CStr)], args: &[&CStr]) -> Result<()> {
    let selected = annotations.iter().find(|(key, value)| selects_handler(key, value, args));
    // The sandbox of a pod has the annotations of the pod as well, but its own program.
    let is_sandbox = annotations.contains(&(c"io.kubernetes.cri.container-type", c"sandbox"));
    match selected {
        Some((key, value)) if !is_sandbox => {
            let why = "handlers are unsupported: programs are run by execve(2)";
            Err(Error::unsupported(format_args!("annotations.{}: \"{}\": {why}", Show(key), Show(value))))
        }
        _ => Ok(()),
    }
}

/// Whether an annotation selects a handler for the program of `args`.
fn selects_handler(key: &CStr, value: &CStr, args: &[&CStr]) -> bool {
    let is_wasm = || {
        let program = args.first().map_or(&b""[..], |program| program.to_bytes());
        program.ends_with(b".wasm") || program.ends_with(b".wat")
    };
    match (key.to_bytes(), value.to_bytes()) {
        (b"run.oci.handler", b"wasm-smart") | (b"module.wasm.image/variant", b"compat-smart") => is_wasm(),
        (b"run.oci.handler", name) => !name.is_empty(),
        (b"module.wasm.image/variant", name) => name == b"compat",
        _ => false,
    }
}
