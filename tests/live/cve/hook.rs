//! Hooks, which are programs of the host, and the image that they prepare.

use crate::check::{Outcome, contains, lacks, same};
use crate::hooks::{Hooked, POINTS};
use crate::rig::{Rig, Runtime};
use crate::{json, tests};

tests!["cve", cve_2025_23266_variables_of_the_image, cve_2025_23266_library_of_the_image];

/// CVE-2025-23266 (NVIDIA Container Toolkit, "NVIDIAScape"): a createContainer hook without `env` had the
/// environment of the container, and has the container's root as its working directory. With LD_PRELOAD in the
/// image, a library of the image ran with the privileges of the runtime. Succeeds against runc 1.1.5, as all before
/// 1.3, and against mote if `launch/init.rs` passes `process.env` to these hooks. startContainer hooks are programs
/// of the container.
fn cve_2025_23266_variables_of_the_image(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    for point in POINTS.iter().filter(|point| **point != "startContainer") {
        hooked.add(point, &["say", point, "env"]);
    }
    for variable in ["LD_PRELOAD=./trap.so", "LD_AUDIT=./trap.so", "BASH_ENV=./trap", "ENV=./trap"] {
        hooked.bundle.set("process.env[+]", variable);
    }
    hooked.bundle.verbs(&["say", "ran"]);
    rig.run(&hooked.bundle, &[])?.success()?.report().is("say", "ran")?;
    let seen = hooked.report()?;
    same("hooks", seen.all("say").len(), 5)?;
    for name in ["LD_PRELOAD", "LD_AUDIT", "BASH_ENV", "ENV"] {
        same(name, seen.all(&format!("env:{name}")), Vec::<&str>::new())?;
    }
    Ok(())
}

/// The same with a dynamically linked program of the host: its loader complains about a library that it cannot
/// load, and the output of a hook that fails is part of the error message. Succeeds against runc 1.1.5.
fn cve_2025_23266_library_of_the_image(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.file("/trap.so", "not a library")?;
    bundle.set("process.env[+]", "LD_PRELOAD=./trap.so");
    bundle.set(
        "hooks.createContainer",
        json!([{"path": "/bin/sh", "args": ["sh", "-c", "echo failed; exit 3"]}]),
    );
    bundle.verbs(&["say", "ran"]);
    let output = rig.run(&bundle, &[])?;
    if rig.is(Runtime::Mote) {
        contains("the error", &output.stderr, "failed")?;
    }
    lacks("the error", &output.stderr, "trap.so")
}
