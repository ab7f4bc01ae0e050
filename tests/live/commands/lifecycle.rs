//! `create`, `start` and `delete`, and the states in which each is rejected (runtime.md, "Lifecycle" and "Operations").

use std::fs;

use crate::check::{Outcome, holds, same};
use crate::command;
use crate::rig::{Rig, Runtime};
use crate::tests;

tests![
    "commands",
    create_start_kill_delete,
    create_does_not_run_the_program,
    create_of_an_id_in_use_is_rejected,
    create_without_a_bundle_is_rejected,
    create_without_a_config_is_rejected,
    create_with_an_invalid_config_is_rejected,
    create_with_an_empty_config_is_rejected,
    create_in_the_current_directory,
    create_with_options_after_the_id,
    create_with_another_config,
    id_can_be_reused_after_delete,
    start_twice_is_rejected,
    start_of_an_unknown_id_is_rejected,
    start_of_a_stopped_container_is_rejected,
    delete_of_a_running_container_is_rejected,
    delete_of_a_created_container,
    delete_of_an_unknown_id_is_rejected,
    delete_by_force_of_an_unknown_id,
    delete_by_force_of_a_running_container,
    delete_by_force_of_a_created_container,
    two_containers_at_the_same_time,
];

fn create_start_kill_delete(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "1", "exit", "0"]);
    let mut created = rig.create(&bundle, &[])?;
    rig.status_is("created")?;
    rig.mote(&["start", &rig.id])?.success()?;
    created.lines.until("waiting=1")?;
    rig.status_is("running")?;
    let pidfd = crate::sys::pidfd(rig.pid()?)?;
    rig.mote(&["kill", &rig.id, "TERM"])?.success()?;
    same("the payload's output", created.lines.all()?.as_str(), "signal=15\n")?;
    holds("the init exits", crate::sys::readable(&pidfd, command::LIMIT)?)?;
    rig.status_is("stopped")?;
    rig.mote(&["delete", &rig.id])?.success()?;
    rig.failure(&rig.mote(&["state", &rig.id])?, &["does not exist"])
}

fn create_does_not_run_the_program(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["create", "/ran", "wait", "1"]);
    let mut created = rig.create(&bundle, &[])?;
    holds("the program did not run before start", !bundle.host_path("ran").exists())?;
    rig.mote(&["start", &rig.id])?.success()?;
    created.lines.until("waiting=1")?;
    holds("the program ran after start", bundle.host_path("ran").exists())?;
    rig.delete()
}

fn create_of_an_id_in_use_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    let pid = rig.pid()?;
    let mut other = rig.bundle()?;
    other.verbs(&["wait", "1"]);
    other.set("linux.cgroupsPath", format!("/{}-other", rig.cgroup));
    for verb in ["create", "run"] {
        let output = command::run(&mut rig.launch(verb, &other, &[])?, "")?;
        rig.failure(&output, &["already exists", &rig.id])?;
    }
    rig.status_is("running")?;
    same("pid", rig.pid()?, pid)?;
    rig.delete()
}

fn create_without_a_bundle_is_rejected(rig: &mut Rig) -> Outcome {
    let missing = rig.dir.join("nothing").display().to_string();
    let output = rig.mote(&["create", "--bundle", &missing, &rig.id])?;
    rig.failure(&output, &["nothing"])?;
    rig.nothing_left()
}

fn create_without_a_config_is_rejected(rig: &mut Rig) -> Outcome {
    let dir = rig.dir.display().to_string();
    let output = rig.mote(&["create", "--bundle", &dir, &rig.id])?;
    rig.failure(&output, &["config.json"])?;
    rig.nothing_left()
}

/// The error has line and column.
fn create_with_an_invalid_config_is_rejected(rig: &mut Rig) -> Outcome {
    let bundle = rig.bundle()?;
    fs::write(bundle.dir.join("config.json"), "{\n  \"ociVersion\": \"1.0.2\",\n  \"process\": {,}\n}\n")?;
    let dir = bundle.dir.display().to_string();
    let output = rig.mote(&["create", "--bundle", &dir, &rig.id])?;
    rig.failure(&output, &["config.json:3:"])?;
    rig.nothing_left()
}

fn create_with_an_empty_config_is_rejected(rig: &mut Rig) -> Outcome {
    let bundle = rig.bundle()?;
    let dir = bundle.dir.display().to_string();
    for text in ["", "{}", "[]", "null"] {
        fs::write(bundle.dir.join("config.json"), text)?;
        let output = rig.mote(&["run", "--bundle", &dir, &rig.id])?;
        rig.failure(&output, &[])?;
    }
    rig.nothing_left()
}

fn create_in_the_current_directory(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "1"]);
    bundle.write()?;
    let mut command = rig.command(&["create", &rig.id]);
    command.current_dir(&bundle.dir);
    command::run(&mut command, "")?.success()?;
    same("bundle", rig.state()?.at("bundle").text(), bundle.dir.display().to_string().as_str())?;
    rig.delete()
}

fn create_with_options_after_the_id(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return crate::check::skip_allowed("runc accepts options only before the id");
    }
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "1"]);
    bundle.write()?;
    let dir = bundle.dir.display().to_string();
    let pid = rig.dir.join("pid").display().to_string();
    rig.mote(&["create", &rig.id, "--bundle", &dir, "--pid-file", &pid])?.success()?;
    same("the pid file", fs::read_to_string(pid)?, rig.pid()?.to_string())?;
    rig.mote(&["delete", &rig.id, "--force"])?.success()?;
    rig.mote(&["create", "-b", &dir, &rig.id])?.success()?;
    rig.mote(&["delete", "-f", &rig.id])?.success()?;
    rig.mote(&["create", &format!("--bundle={dir}"), "--", &rig.id])?.success()?;
    rig.delete()
}

fn create_with_another_config(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return crate::check::skip_allowed("runc has no such option");
    }
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["say", "another"]);
    bundle.write()?;
    let other = rig.dir.join("other.json");
    fs::rename(bundle.dir.join("config.json"), &other)?;
    let dir = bundle.dir.display().to_string();
    let other = other.display().to_string();
    let output = rig.mote(&["run", "--bundle", &dir, "--config", &other, &rig.id])?.success()?;
    output.report().is("say", "another")
}

fn id_can_be_reused_after_delete(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    for _ in 0..3 {
        let _running = rig.waiting(&mut bundle)?;
        rig.delete()?;
    }
    rig.report(&mut bundle, &["say", "again"])?.is("say", "again")
}

fn start_twice_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    rig.failure(&rig.mote(&["start", &rig.id])?, &[&rig.id, "running"])?;
    rig.status_is("running")?;
    rig.delete()
}

fn start_of_an_unknown_id_is_rejected(rig: &mut Rig) -> Outcome {
    rig.failure(&rig.mote(&["start", &rig.id])?, &[&rig.id, "does not exist"])
}

fn start_of_a_stopped_container_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    rig.kill_init()?;
    rig.failure(&rig.mote(&["start", &rig.id])?, &[&rig.id, "stopped"])?;
    rig.delete()
}

fn delete_of_a_running_container_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    rig.failure(&rig.mote(&["delete", &rig.id])?, &[&rig.id, "running"])?;
    rig.status_is("running")?;
    rig.delete()
}

fn delete_of_a_created_container(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "1"]);
    let _created = rig.create(&bundle, &[])?;
    rig.status_is("created")?;
    rig.mote(&["delete", &rig.id])?.success()?;
    rig.nothing_left()
}

fn delete_of_an_unknown_id_is_rejected(rig: &mut Rig) -> Outcome {
    rig.failure(&rig.mote(&["delete", &rig.id])?, &[&rig.id, "does not exist"])
}

fn delete_by_force_of_an_unknown_id(rig: &mut Rig) -> Outcome {
    rig.mote(&["delete", "--force", &rig.id])?.success()?;
    Ok(())
}

fn delete_by_force_of_a_running_container(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    rig.delete()?;
    rig.nothing_left()
}

fn delete_by_force_of_a_created_container(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "1"]);
    let _created = rig.create(&bundle, &[])?;
    rig.status_is("created")?;
    rig.delete()?;
    rig.nothing_left()
}

fn two_containers_at_the_same_time(rig: &mut Rig) -> Outcome {
    let mut one = rig.bundle()?;
    let _first = rig.waiting(&mut one)?;
    let (id, pid) = (rig.id.clone(), rig.pid()?);
    rig.id.push_str("-two");
    let mut two = rig.bundle()?;
    two.set("linux.cgroupsPath", format!("/{}-two", rig.cgroup));
    let _second = rig.waiting(&mut two)?;
    holds("two processes", rig.pid()? != pid)?;
    rig.delete()?;
    rig.id = id;
    rig.status_is("running")?;
    rig.delete()
}
