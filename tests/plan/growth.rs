//! The size of a plan is proportional to that of the file, as the author of an image or configuration can choose how
//! long and how many names are.

use crate::host::{host, plan};
use crate::text::show;

/// The text of a plan may be this many times as large as the file, plus a constant.
const TIMES: usize = 50;
const SOME: usize = 100_000;

fn check(document: &str) {
    // An error is small.
    let Ok(entries) = plan(document.as_bytes(), &host("hybrid")) else { return };
    let text = show(&entries);
    let most = TIMES * document.len() + SOME;
    assert!(text.len() <= most, "a plan of {} bytes for a file of {}", text.len(), document.len());
}

fn config(process: &str, linux: &str, mounts: &str) -> String {
    format!(
        r#"{{"ociVersion": "1.0.0", "root": {{"path": "/r"}}, "mounts": [{mounts}],
        "process": {{"cwd": "/", {process}}}, "linux": {{"namespaces": [{{"type": "mount"}}], {linux}}}}}"#
    )
}

#[test]
fn long_name_in_a_long_path() {
    let (name, path) = ("n".repeat(3000), "/p:".repeat(3000));
    check(&config(&format!(r#""args": ["{name}"], "env": ["PATH={path}"]"#), r#""x": 1"#, ""));
}

#[test]
fn name_in_many_directories() {
    let (name, path) = ("n".repeat(255), ":".repeat(100_000));
    check(&config(&format!(r#""args": ["{name}"], "env": ["PATH={path}"]"#), r#""x": 1"#, ""));
}

/// `MAX_ARG_STRLEN`, including the NUL.
#[test]
fn strings_too_long_for_execve() {
    let outcome = |process: &str| {
        let entries = plan(config(process, r#""x": 1"#, "").as_bytes(), &host("v2"));
        entries.map(drop).map_err(|error| error.to_string())
    };
    let (most, more) = ("n".repeat(131_071), "n".repeat(131_072));
    let why = "longer than 131071 bytes, the limit of execve(2)";
    assert_eq!(outcome(&format!(r#""args": ["a", "{most}"], "env": ["{most}"]"#)), Ok(()));
    assert_eq!(outcome(&format!(r#""args": ["a", "{more}"]"#)), Err(format!("process.args[1]: {why}")));
    assert_eq!(
        outcome(&format!(r#""args": ["a"], "env": ["A=1", "B=2", "{more}"]"#)),
        Err(format!("process.env[2]: {why}"))
    );
}

#[test]
fn one_warning_for_each_set_of_capabilities() {
    let names = r#""X","#.repeat(10_000) + r#""CAP_KILL""#;
    let sets = format!(r#"{{"bounding": [{names}], "ambient": [{names}]}}"#);
    let document = config(&format!(r#""args": ["a"], "capabilities": {sets}"#), r#""x": 1"#, "");
    let entries = plan(document.as_bytes(), &host("v2")).unwrap();
    let warnings = &entries.iter().find(|entry| entry.path == "warnings").unwrap().items;
    assert_eq!(warnings.len(), 2, "{warnings:.1000?}");
    assert!(
        warnings[0]
            .starts_with("process.capabilities.bounding: mote itself does not have X (unknown) X (unknown)")
    );
    assert!(warnings.iter().all(|warning| warning.len() < 500));
}

#[test]
fn many_cgroup_mounts_of_a_long_cgroup() {
    let mounts = vec![r#"{"destination": "/c", "type": "cgroup"}"#; 300].join(",");
    check(&config(r#""args": ["a"]"#, &format!(r#""cgroupsPath": "/{}""#, "n".repeat(12_000)), &mounts));
}
