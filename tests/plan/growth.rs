//! A plan takes memory in proportion to the file: image and engine write names into it that are as long,
//! or as many, as whoever built the image liked.

use crate::host::{host, plan};

/// Printed, a plan may be so many times larger than the file, and some.
const TIMES: usize = 50;
const SOME: usize = 100_000;

fn check(document: &str) {
    // An error is small.
    let Ok(text) = plan(document.as_bytes(), &host("hybrid")) else { return };
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
fn a_long_name_in_a_long_path() {
    let (name, path) = ("n".repeat(3000), "/p:".repeat(3000));
    check(&config(&format!(r#""args": ["{name}"], "env": ["PATH={path}"]"#), r#""x": 1"#, ""));
}

#[test]
fn many_cgroup_mounts_of_a_long_cgroup() {
    let mounts = vec![r#"{"destination": "/c", "type": "cgroup"}"#; 300].join(",");
    check(&config(r#""args": ["a"]"#, &format!(r#""cgroupsPath": "/{}""#, "n".repeat(12_000)), &mounts));
}
