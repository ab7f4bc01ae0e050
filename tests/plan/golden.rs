//! The configurations of engines, `real/*.json`, against `golden/NAME.HOST.txt`.
//!
//! A golden file begins with what mote refuses of the file as it stands, one line each; what is refused is taken
//! out and the rest planned. Then comes the plan: in whole for the plainest container of each engine, for its
//! others as the difference from that, so that a golden file shows what an option of the engine changes. Ids
//! that an engine draws at random, long or short, are printed as `ID`.

use std::collections::HashMap;
use std::fs;

use mote::error::Kind;
use mote::host::Host;

use crate::host::{host, plan};
use crate::text::{check, difference, place, report};
use crate::value::{Value, path};

/// The plainest container of each engine, by how the names of its files begin and end: the first that fits.
const BASES: [(&str, &str, &str); 9] = [
    ("buildah-1.28", "", "buildah-1.28-default"),
    ("containerd-1.6", "", "containerd-1.6-default"),
    ("cri-containerd-1.6", "-sandbox", "cri-containerd-1.6-pod-sandbox"),
    ("cri-containerd-1.6", "", "cri-containerd-1.6-pod-container"),
    ("crun-1.8", "", "crun-1.8-spec"),
    ("docker-20.10", "", "docker-20.10-default"),
    ("podman-4.3-rootless", "", "podman-4.3-rootless-network-none"),
    ("podman-4.3", "", "podman-4.3-default"),
    ("runc-1.1", "", "runc-1.1-spec"),
];

#[test]
fn what_engines_write() {
    let mut names: Vec<String> =
        fs::read_dir(place("real")).unwrap().filter_map(|entry| name(&entry.unwrap())).collect();
    names.sort();
    assert!(names.len() >= 140, "only {} files in tests/plan/real", names.len());
    let mut failures = Vec::new();
    for host_name in ["v2", "hybrid"] {
        let texts: HashMap<&str, String> =
            names.iter().map(|name| (name.as_str(), describe(name, &host_for(name, host_name)))).collect();
        for name in &names {
            let base = base(name);
            let text = match base == name {
                true => texts[name.as_str()].clone(),
                false => format!("like {base}, but\n{}", difference(&texts[base], &texts[name.as_str()])),
            };
            failures.extend(check(&format!("golden/{name}.{host_name}.txt"), &text).err());
        }
    }
    report(&failures);
}

fn name(entry: &fs::DirEntry) -> Option<String> {
    entry.file_name().to_str()?.strip_suffix(".json").map(String::from)
}

fn base(name: &str) -> &'static str {
    let fits = |(start, end, _): &&(&str, &str, &str)| name.starts_with(start) && name.ends_with(end);
    BASES.iter().find(fits).unwrap_or_else(|| panic!("no base for {name}")).2
}

/// `spec --rootless` is for an ordinary user; rootless podman starts its runtime as root of a user namespace.
fn host_for(name: &str, kind: &str) -> Host {
    match name.ends_with("-spec-rootless") {
        true => Host { cgroups: host(kind).cgroups, ..host("user") },
        false => host(kind),
    }
}

/// What is refused, and the plan of the rest.
fn describe(name: &str, host: &Host) -> String {
    let mut document = fs::read(place(&format!("real/{name}.json"))).unwrap();
    let mut tree = Value::parse(str::from_utf8(&document).unwrap());
    let mut out = String::new();
    loop {
        match plan(&document, host) {
            Ok(plan) => return without_ids(&(out + &plan)),
            Err(error) => {
                out += &format!("error: {error}\n");
                let yet = error.kind() == Kind::Unsupported && error.text().ends_with("supported yet");
                if !yet || !take_out(&mut tree, error.text()) {
                    return without_ids(&out);
                }
                document = tree.to_string().into_bytes();
            }
        }
    }
}

/// Takes out what an error names: `linux.seccomp: not ...`, `mounts[3] /x: options[2]: "a" is not ...`.
fn take_out(tree: &mut Value, error: &str) -> bool {
    let mut words: Vec<&str> = error.split(": ").filter_map(|part| part.split(' ').next()).collect();
    words.pop();
    let place = words.join(".");
    // Mappings are given together or not at all.
    if let Some(mount) = place.strip_suffix(".uidMappings") {
        tree.remove(&path(&format!("{mount}.gidMappings")));
    }
    tree.remove(&path(&place))
}

/// `ID` for each word of twelve and more hexadecimal digits, letters among them: the short id, the long one,
/// and the one with dashes.
fn without_ids(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !c.is_ascii_hexdigit() && c != '-').unwrap_or(rest.len());
        let begins = !out.ends_with(|c: char| c.is_alphanumeric());
        let ends = !rest[word..].starts_with(|c: char| c.is_alphanumeric());
        let id = word >= 12 && first != '-' && rest[..word].contains(|c: char| c.is_ascii_lowercase());
        let (shown, taken) = match begins && ends && id {
            true => ("ID", word),
            false => (&rest[..first.len_utf8()], first.len_utf8()),
        };
        out += shown;
        rest = &rest[taken..];
    }
    out
}
