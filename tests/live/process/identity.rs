//! `process.user`, `process.cwd`, `process.args` and `process.env`: user, groups, umask, working directory, arguments,
//! environment.

use std::fs;

use crate::check::{Outcome, same};
use crate::json;
use crate::rig::Rig;
use crate::tests;

tests![
    "process",
    user_and_group,
    user_with_omitted_members,
    additional_groups,
    groups_of_the_caller_are_dropped,
    umask_is_022_by_default,
    umask_of_the_configuration,
    working_directory,
    working_directory_is_created,
    working_directory_is_created_in_a_read_only_root,
    working_directory_relative_is_rejected,
    working_directory_that_is_a_file_is_rejected,
    arguments_are_passed_unchanged,
    environment_is_exactly_that_of_the_configuration,
    environment_uses_the_last_of_duplicates,
    home_of_root,
    home_of_another_user,
    home_of_a_user_without_an_entry,
    home_with_an_invalid_passwd,
    home_of_the_configuration_is_kept,
    home_that_is_empty_is_looked_up,
    own_session,
];

fn user_and_group(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.user", json!({"uid": 1000i64, "gid": 1001i64}));
    let inside = rig.report(&mut bundle, &["id"])?;
    inside.is("uid", "1000 1000 1000")?;
    inside.is("gid", "1001 1001 1001")
}

/// Omitted members are 0, as with runc and crun.
fn user_with_omitted_members(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    for (user, uid, gid) in [
        (json!({"uid": 1000i64}), "1000 1000 1000", "0 0 0"),
        (json!({"gid": 1000i64}), "0 0 0", "1000 1000 1000"),
        (json!({}), "0 0 0", "0 0 0"),
    ] {
        bundle.set("process.user", user);
        let inside = rig.report(&mut bundle, &["id"])?;
        inside.is("uid", uid)?;
        inside.is("gid", gid)?;
    }
    Ok(())
}

fn additional_groups(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let groups = json!([7i64, 2000000000i64, 5i64]);
    bundle.set("process.user", json!({"uid": 1000i64, "gid": 1001i64, "additionalGids": groups}));
    let inside = rig.report(&mut bundle, &["id"])?;
    inside.is("groups", "5 7 2000000000")?;
    inside.is("gid", "1001 1001 1001")
}

fn groups_of_the_caller_are_dropped(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["id"]);
    let mut command = rig.launch("run", &bundle, &[])?;
    crate::sys::before_exec(&mut command, || crate::sys::set_groups(&[0, 44, 45]));
    let inside = crate::command::run(&mut command, "")?.success()?.report();
    inside.is("groups", "")
}

fn umask_is_022_by_default(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let inside = rig.report(&mut bundle, &["umask", "create", "/new", "stat", "/new"])?;
    inside.is("umask", "0022")?;
    inside.is("stat:/new", "f 644 0 0 0:0")
}

fn umask_of_the_configuration(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.user.umask", 0o027i64);
    rig.report(&mut bundle, &["umask"])?.is("umask", "0027")?;
    bundle.set("process.user.umask", 0i64);
    rig.report(&mut bundle, &["umask"])?.is("umask", "0000")
}

fn working_directory(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.cwd", "/etc");
    rig.report(&mut bundle, &["cwd"])?.is("cwd", "/etc")
}

/// The directory is created before the root becomes read-only.
fn working_directory_is_created_in_a_read_only_root(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("root.readonly", true);
    bundle.set("process.cwd", "/not/there");
    rig.report(&mut bundle, &["cwd"])?.is("cwd", "/not/there")
}

fn working_directory_is_created(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.cwd", "/a/new/place");
    rig.report(&mut bundle, &["cwd"])?.is("cwd", "/a/new/place")
}

fn working_directory_relative_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["cwd"]);
    bundle.set("process.cwd", "etc");
    rig.rejected(&bundle, &["process", "cwd"])
}

fn working_directory_that_is_a_file_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["cwd"]);
    bundle.set("process.cwd", "/payload");
    rig.rejected(&bundle, &["process", "cwd"])
}

fn arguments_are_passed_unchanged(rig: &mut Rig) -> Outcome {
    let words = [
        "/payload",
        "args",
        "exit",
        "0",
        "",
        " two  words ",
        "--root",
        "line\nbreak",
        "\u{fc}\u{20ac}\u{1f600}",
    ];
    let mut bundle = rig.bundle()?;
    bundle.set("process.args", words.to_vec());
    let inside = rig.run(&bundle, &[])?.success()?.report();
    for (index, word) in words.iter().enumerate() {
        inside.is(&format!("arg:{index}"), word)?;
    }
    same("arguments", inside.keys("arg:").len(), words.len())
}

/// The environment of the caller is not inherited; HOME is added.
fn environment_is_exactly_that_of_the_configuration(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.env[+]", "EMPTY=");
    bundle.set("process.env[+]", "WITH=a=b c");
    bundle.verbs(&["env"]);
    let mut command = rig.launch("run", &bundle, &[])?;
    command.env("OF_THE_CALLER", "1");
    let inside = crate::command::run(&mut command, "")?.success()?.report();
    let mut names = inside.keys("env:");
    names.sort_unstable();
    same("names", names, vec!["EMPTY", "HOME", "MOTE_LIVE", "PATH", "TERM", "WITH"])?;
    inside.is("env:EMPTY", "")?;
    inside.is("env:WITH", "a=b c")
}

fn environment_uses_the_last_of_duplicates(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    for variable in ["MINE=1", "OTHER=1", "MINE=2", "MINEMORE=1", "TERM=", "MINE=3"] {
        bundle.set("process.env[+]", variable);
    }
    let inside = rig.report(&mut bundle, &["env"])?;
    same("MINE", inside.all("env:MINE"), vec!["3"])?;
    same("TERM", inside.all("env:TERM"), vec![""])?;
    let names = vec!["PATH", "MOTE_LIVE", "OTHER", "MINEMORE", "TERM", "MINE", "HOME"];
    same("the order", inside.keys("env:"), names)
}

const PASSWD: &str = "root:x:0:0:root:/home/of/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n";

fn home(rig: &Rig, uid: i64, home: &str) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.file("/etc/passwd", PASSWD)?;
    bundle.set("process.user.uid", uid);
    rig.report(&mut bundle, &["env"])?.is("env:HOME", home)
}

fn home_of_root(rig: &mut Rig) -> Outcome {
    home(rig, 0, "/home/of/root")
}

fn home_of_another_user(rig: &mut Rig) -> Outcome {
    home(rig, 1000, "/home/user")
}

fn home_of_a_user_without_an_entry(rig: &mut Rig) -> Outcome {
    home(rig, 100, "/")
}

fn home_with_an_invalid_passwd(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    fs::write(bundle.host_path("etc/passwd"), "no entry at all\n::\n\n")?;
    rig.report(&mut bundle, &["env"])?.is("env:HOME", "/")
}

fn home_of_the_configuration_is_kept(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.file("/etc/passwd", PASSWD)?;
    bundle.set("process.env[+]", "HOME=/given");
    let inside = rig.report(&mut bundle, &["env"])?;
    same("HOME", inside.all("env:HOME"), vec!["/given"])
}

fn home_that_is_empty_is_looked_up(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.file("/etc/passwd", PASSWD)?;
    bundle.set("process.env[+]", "HOME=");
    let inside = rig.report(&mut bundle, &["env"])?;
    same("HOME", inside.all("env:HOME"), vec!["/home/of/root"])?;
    bundle.set("process.env[+]", "HOME=/given");
    let inside = rig.report(&mut bundle, &["env"])?;
    same("HOME", inside.all("env:HOME"), vec!["/given"])
}

fn own_session(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let inside = rig.report(&mut bundle, &["id"])?;
    inside.is("sid", "1")?;
    inside.is("pgid", "1")?;
    bundle.without_namespace("pid");
    let inside = rig.report(&mut bundle, &["id"])?;
    inside.is("sid", inside.get("pid"))?;
    inside.is("pgid", inside.get("pid"))
}
