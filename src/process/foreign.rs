//! Other ways to run a program than execve(2): crun has them for virtual machines and WebAssembly, and annotations ask
//! for them. They are libraries that are loaded at run time, which a static program cannot do.

use core::ffi::CStr;

use crate::error::{Error, Result, Show};

/// Refuses what asks for one of them.
pub fn check(annotations: &[(&CStr, &CStr)], args: &[&CStr]) -> Result<()> {
    let asked = annotations.iter().find(|(key, value)| asks(key, value, args));
    // A pod's annotations are also those of its sandbox, whose program is not the pod's.
    let is_sandbox = annotations.contains(&(c"io.kubernetes.cri.container-type", c"sandbox"));
    match asked {
        Some((key, value)) if !is_sandbox => {
            let why = "there are no handlers: programs are run by execve(2)";
            Err(Error::unsupported(format_args!("annotations.{}: \"{}\": {why}", Show(key), Show(value))))
        }
        _ => Ok(()),
    }
}

fn asks(key: &CStr, value: &CStr, args: &[&CStr]) -> bool {
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
