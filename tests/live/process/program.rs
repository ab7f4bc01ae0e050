//! Which program is executed, and the error if it cannot be.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::bundle::Bundle;
use crate::check::{Outcome, same, skip_allowed};
use crate::command;
use crate::json;
use crate::json::Json;
use crate::rig::{Rig, Runtime};
use crate::tests;

tests![
    "process",
    program_found_in_path,
    program_found_in_the_first_directory_of_path,
    program_found_in_the_last_path_variable,
    program_that_cannot_be_executed_is_skipped_in_path,
    program_relative_to_the_working_directory,
    program_not_in_path_is_rejected,
    program_missing_is_rejected,
    program_not_executable_is_rejected,
    program_that_is_a_directory_is_rejected,
    program_of_no_known_format_is_rejected,
    program_missing_is_reported_by_create,
    no_arguments_is_rejected,
    script_runs_its_interpreter,
    program_of_a_handler_is_rejected,
    annotation_unknown_is_a_warning,
];

/// Copies the payload to this path of the image.
fn program(bundle: &Bundle, path: &str) -> Outcome {
    let place = bundle.host_path(path);
    fs::create_dir_all(place.parent().unwrap_or(&place))?;
    Ok(fs::hard_link(bundle.host_path("payload"), place)?)
}

/// With HOME set, so that runtimes do not look it up in /etc/passwd.
fn with_path(rig: &Rig, path: &str) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    bundle.set("process.env[0]", format!("PATH={path}"));
    bundle.set("process.args", json!(["payload", "args", "link", "/proc/self/exe"]));
    Ok(bundle)
}

fn program_found_in_path(rig: &mut Rig) -> Outcome {
    let bundle = with_path(rig, "/nowhere:/opt/bin")?;
    program(&bundle, "opt/bin/payload")?;
    let inside = rig.run(&bundle, &[])?.success()?.report();
    inside.is("link:/proc/self/exe", "/opt/bin/payload")?;
    inside.is("arg:0", "payload")
}

fn program_found_in_the_first_directory_of_path(rig: &mut Rig) -> Outcome {
    let bundle = with_path(rig, "/one:/two")?;
    program(&bundle, "one/payload")?;
    program(&bundle, "two/payload")?;
    let inside = rig.run(&bundle, &[])?.success()?.report();
    inside.is("link:/proc/self/exe", "/one/payload")
}

/// Engines append theirs to that of the image.
fn program_found_in_the_last_path_variable(rig: &mut Rig) -> Outcome {
    let mut bundle = with_path(rig, "/one")?;
    program(&bundle, "one/payload")?;
    program(&bundle, "two/payload")?;
    bundle.set("process.env[+]", "PATH=/two");
    let inside = rig.run(&bundle, &[])?.success()?.report();
    inside.is("link:/proc/self/exe", "/two/payload")
}

fn program_that_cannot_be_executed_is_skipped_in_path(rig: &mut Rig) -> Outcome {
    let bundle = with_path(rig, "/one:/two:/three")?;
    bundle.file("/one/payload", "not executable")?;
    fs::create_dir_all(bundle.host_path("two/payload"))?;
    program(&bundle, "three/payload")?;
    let inside = rig.run(&bundle, &[])?.success()?.report();
    inside.is("link:/proc/self/exe", "/three/payload")
}

fn program_relative_to_the_working_directory(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    program(&bundle, "opt/bin/payload")?;
    bundle.set("process.cwd", "/opt");
    bundle.set("process.args", json!(["bin/payload", "link", "/proc/self/exe"]));
    let inside = rig.run(&bundle, &[])?.success()?.report();
    inside.is("link:/proc/self/exe", "/opt/bin/payload")
}

fn program_not_in_path_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.args", json!(["moonshot"]));
    rig.rejected(&bundle, &["executable file not found in $PATH", "moonshot"])
}

fn program_missing_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.args", json!(["/bin/moonshot"]));
    let output = rig.run(&bundle, &[])?;
    // podman returns exit code 127 for this message.
    let text = output.stderr.to_lowercase();
    crate::check::contains("the error", &text, "no such file or directory")?;
    rig.rejected(&bundle, &["/bin/moonshot"])
}

fn program_not_executable_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.file("/bin/program", "text")?;
    bundle.set("process.args", json!(["/bin/program"]));
    let output = rig.run(&bundle, &[])?;
    // podman returns exit code 126 for this message.
    let text = output.stderr.to_lowercase();
    crate::check::contains("the error", &text, "permission denied")?;
    rig.rejected(&bundle, &["/bin/program"])
}

fn program_that_is_a_directory_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.args", json!(["/etc"]));
    rig.rejected(&bundle, &["/etc"])
}

fn program_of_no_known_format_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.file("/bin/program", "text")?;
    fs::set_permissions(bundle.host_path("bin/program"), fs::Permissions::from_mode(0o755))?;
    bundle.set("process.args", json!(["/bin/program"]));
    rig.rejected(&bundle, &["/bin/program"])
}

/// Engines read the reason from `create`; there is no caller left after `start`.
fn program_missing_is_reported_by_create(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.args", json!(["moonshot"]));
    let output = command::run(&mut rig.launch("create", &bundle, &[])?, "")?;
    rig.failure(&output, &["executable file not found in $PATH"])?;
    rig.nothing_left()
}

fn no_arguments_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.args", json!([]));
    rig.rejected(&bundle, &["process", "args"])?;
    bundle.remove("process.args");
    rig.rejected(&bundle, &["process", "args"])
}

fn script_runs_its_interpreter(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.file("/bin/script", "#!/payload say\n")?;
    fs::set_permissions(bundle.host_path("bin/script"), fs::Permissions::from_mode(0o755))?;
    bundle.set("process.args", json!(["script", "exit", "7"]));
    let output = rig.run(&bundle, &[])?;
    output.report().is("say", "/bin/script")?;
    same("exit code", output.code(), 7)
}

/// Handlers run the program in a virtual machine or as WebAssembly, which cannot be replaced by executing it.
fn program_of_a_handler_is_rejected(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun have handlers, or ignore annotations");
    }
    for (key, value) in [("run.oci.handler", "krun"), ("module.wasm.image/variant", "compat")] {
        let mut bundle = rig.bundle()?;
        bundle.verbs(&["say", "ran"]);
        bundle.set("annotations", Json::Object(vec![(key.to_string(), value.into())]));
        rig.rejected(&bundle, &[&format!("annotations.{key}: \"{value}\"")])?;
        let created = command::run(&mut rig.launch("create", &bundle, &[])?, "")?;
        rig.failure(&created, &["handlers are unsupported"])?;
    }
    rig.nothing_left()
}

/// An annotation of crun; those of other programs are ignored.
fn annotation_unknown_is_a_warning(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun print no warning");
    }
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["say", "ran"]);
    let keys = ["run.oci.moonshot", "io.moonshot", "run.oci.keep_original_groups"];
    let all = keys.map(|key| (key.to_string(), "0".into()));
    bundle.set("annotations", Json::Object(all.to_vec()));
    let output = rig.run(&bundle, &[])?;
    same("exit code", output.code(), 0)?;
    let line = "mote: warning: annotations.run.oci.moonshot: unknown, ignored\n";
    same("the standard error", output.stderr.as_str(), line)?;
    output.report().is("say", "ran")
}
