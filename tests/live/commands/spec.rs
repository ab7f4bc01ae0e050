//! `spec`: a config.json as a template.

use std::fs;
use std::process::Command;

use crate::bundle::Bundle;
use crate::check::{Outcome, holds, same};
use crate::command;
use crate::commands::cli::only_mote;
use crate::json::Json;
use crate::rig::{Rig, Runtime};
use crate::tests;

tests![
    "commands",
    spec_writes_a_config,
    spec_does_not_overwrite,
    spec_that_cannot_be_written_is_removed,
    spec_of_another_bundle,
    spec_rootless_has_a_user_namespace,
    spec_runs,
];

fn in_bundle(rig: &Rig, bundle: &Bundle, words: &[&str]) -> Command {
    let mut command = rig.command(words);
    command.current_dir(&bundle.dir);
    command
}

fn config(bundle: &Bundle) -> Outcome<Json> {
    Ok(Json::parse(&fs::read_to_string(bundle.dir.join("config.json"))?)?)
}

fn kinds(config: &Json) -> Vec<String> {
    let list = config.at("linux").at("namespaces").items();
    list.iter().map(|item| item.at("type").text().to_string()).collect()
}

fn spec_writes_a_config(rig: &mut Rig) -> Outcome {
    let bundle = rig.bundle()?;
    command::run(&mut in_bundle(rig, &bundle, &["spec"]), "")?.success()?;
    let config = config(&bundle)?;
    for key in ["ociVersion", "process", "root", "mounts", "linux"] {
        holds(key, config.keys().contains(&key))?;
    }
    let process = config.at("process");
    same("terminal", process.at("terminal"), &Json::Bool(true))?;
    same("args", process.at("args").items().first().map(Json::text), Some("sh"))?;
    same("readonly", config.at("root").at("readonly"), &Json::Bool(true))?;
    let kinds = kinds(&config);
    for kind in ["pid", "network", "ipc", "uts", "mount"] {
        holds(kind, kinds.iter().any(|name| name == kind))?;
    }
    holds("masks", config.at("linux").at("maskedPaths").items().len() > 5)
}

fn spec_does_not_overwrite(rig: &mut Rig) -> Outcome {
    let bundle = rig.bundle()?;
    fs::write(bundle.dir.join("config.json"), "mine")?;
    let output = command::run(&mut in_bundle(rig, &bundle, &["spec"]), "")?;
    rig.failure(&output, &["config.json"])?;
    same("the file", fs::read_to_string(bundle.dir.join("config.json"))?.as_str(), "mine")
}

/// After a short write, at RLIMIT_FSIZE.
fn spec_that_cannot_be_written_is_removed(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let bundle = rig.bundle()?;
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$0\" spec"]).arg(rig.command(&[]).get_program());
    command::run(command.current_dir(&bundle.dir), "")?
        .failure(&["write ./config.json", "file too large"])?;
    holds("there is no file", !bundle.dir.join("config.json").exists())
}

fn spec_of_another_bundle(rig: &mut Rig) -> Outcome {
    let bundle = rig.bundle()?;
    rig.mote(&["spec", "--bundle", &bundle.dir.display().to_string()])?.success()?;
    holds("a process", config(&bundle)?.keys().contains(&"process"))
}

fn spec_rootless_has_a_user_namespace(rig: &mut Rig) -> Outcome {
    let bundle = rig.bundle()?;
    command::run(&mut in_bundle(rig, &bundle, &["spec", "--rootless"]), "")?.success()?;
    let config = config(&bundle)?;
    let kinds = kinds(&config);
    holds("a user namespace", kinds.iter().any(|kind| kind == "user"))?;
    holds("no network namespace or one", kinds.iter().filter(|kind| *kind == "network").count() <= 1)
}

/// With a program that exists, and without a terminal, the configuration runs unchanged.
fn spec_runs(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    command::run(&mut in_bundle(rig, &bundle, &["spec"]), "")?.success()?;
    let cgroup = format!("/{}", rig.cgroup);
    bundle.config = config(&bundle)?;
    bundle.set("process.terminal", false);
    bundle.set("linux.cgroupsPath", cgroup);
    if !rig.is(Runtime::Mote) {
        // Without CAP_SYS_RESOURCE, the limit of runc and crun may be above the caller's.
        bundle.remove("process.rlimits");
    }
    let inside = rig.report(&mut bundle, &["id", "create", "/new", "list", "/proc/acpi"])?;
    inside.is("pid", "1")?;
    inside.is("create:/new", "!EROFS")
}
