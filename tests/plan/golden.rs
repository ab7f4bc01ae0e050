//! The configurations of engines, `real/*.json`, compared with `golden/NAME.txt`.
//!
//! Each configuration is planned for a host with cgroup v2 and for one with the hybrid layout. Unsupported settings
//! come first (`rejected`); they are removed, and the rest is planned. If nothing can be planned there is only the
//! error.
//!
//! The plan of each engine's default container is printed in full, for the hybrid layout as the difference from v2.
//! Other plans are printed as the difference from it on the same host, so that a file shows the effect of an engine's
//! option: first what is the same on both hosts, then the rest.
//!
//!     path: OLD -> NEW            a changed value
//!     + path: NEW, - path: OLD    a value that only this plan, or only the default one, has (OLD only if it is short)
//!     path: -A +B                 names that are missing, or more, in a mask
//!     path: -[2] A, +[5] B        elements of a list: index in the default plan, index in this one
//!
//! Ids that an engine draws at random, long or short, are printed as `ID`.

use std::collections::HashMap;
use std::fs;

use mote::internal::error::Kind;
use mote::internal::host::Host;

use crate::host::{host, plan};
use crate::text::{Entry, check, difference, fail_with, path_of, show};
use crate::value::{Value, path};

/// The default container of each engine, by prefix and suffix of file names: the first that matches.
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
#[cfg_attr(not(target_arch = "x86_64"), ignore = "the expected filters are those of x86-64")]
fn configurations_of_engines() {
    let mut names: Vec<String> =
        fs::read_dir(path_of("real")).unwrap().filter_map(|entry| name(&entry.unwrap())).collect();
    names.sort();
    assert!(names.len() >= 140, "only {} files in tests/plan/real", names.len());
    let both = ["v2", "hybrid"].map(|host| -> HashMap<&str, Outcome> {
        names.iter().map(|name| (name.as_str(), outcome(name, &host_for(name, host)))).collect()
    });
    let failures = names.iter().filter_map(|name| {
        let base = base(name);
        let own = both.each_ref().map(|host| &host[name.as_str()]);
        let text = match (base == name, own) {
            (true, [Ok(v2), Ok(hybrid)]) => {
                let hybrid = difference(v2, hybrid).concat();
                format!("on v2\n\n{}\non hybrid: like on v2, but\n\n{hybrid}", show(v2))
            }
            _ => different(base, both.each_ref().map(|host| &host[base]), own),
        };
        check(&format!("golden/{name}.txt"), &text).err()
    });
    fail_with(&failures.collect::<Vec<_>>());
}

/// A plan, or the error.
type Outcome = Result<Vec<Entry>, String>;

/// The text of a configuration as the difference from the default container of its engine, on both hosts.
fn different(name: &str, base: [&Outcome; 2], own: [&Outcome; 2]) -> String {
    let mut parts = [0, 1].map(|host| match (base[host], own[host]) {
        (Ok(base), Ok(own)) => difference(base, own),
        (_, Err(error)) => vec![error.clone()],
        (Err(_), Ok(own)) => vec![show(own)],
    });
    let [v2, hybrid] = &mut parts;
    let both: Vec<String> = v2.iter().filter(|text| hybrid.contains(text)).cloned().collect();
    for part in [&mut *v2, &mut *hybrid] {
        part.retain(|text| !both.contains(text));
    }
    let mut out = match own.iter().all(|outcome| outcome.is_err()) {
        true => String::new(),
        false => format!("like {name}, but\n\n"),
    };
    out += &both.concat();
    for (host, part) in [("v2", v2), ("hybrid", hybrid)] {
        if !part.is_empty() {
            let space = if out.is_empty() || out.ends_with("\n\n") { "" } else { "\n" };
            out += &format!("{space}on {host}\n\n{}", part.concat());
        }
    }
    out
}

fn name(entry: &fs::DirEntry) -> Option<String> {
    entry.file_name().to_str()?.strip_suffix(".json").map(String::from)
}

fn base(name: &str) -> &'static str {
    let fits = |(start, end, _): &&(&str, &str, &str)| name.starts_with(start) && name.ends_with(end);
    BASES.iter().find(fits).unwrap_or_else(|| panic!("no base for {name}")).2
}

/// `spec --rootless` is for an ordinary user; rootless podman runs the runtime as root of a user namespace.
fn host_for(name: &str, kind: &str) -> Host {
    match name.ends_with("-spec-rootless") {
        true => Host { cgroups: host(kind).cgroups, ..host("user") },
        false => host(kind),
    }
}

/// Unsupported settings, and the plan of the rest.
fn outcome(name: &str, host: &Host) -> Outcome {
    let mut document = fs::read(path_of(&format!("real/{name}.json"))).unwrap();
    let mut tree = Value::parse(str::from_utf8(&document).unwrap());
    let mut rejected = Vec::new();
    loop {
        match plan(&document, host) {
            Ok(mut plan) => {
                if !rejected.is_empty() {
                    plan.insert(0, Entry::list("rejected", rejected));
                }
                return Ok(plan.iter().map(|entry| entry.map(without_ids)).collect());
            }
            Err(error) => {
                rejected.push(error.to_string());
                let yet = error.kind() == Kind::Unsupported && error.text().ends_with("supported yet");
                if !yet || !remove_named(&mut tree, error.text()) {
                    let lines = rejected.iter().map(|error| format!("error: {error}\n"));
                    return Err(without_ids(&lines.collect::<String>()));
                }
                document = tree.to_string().into_bytes();
            }
        }
    }
}

/// Removes what an error names: `linux.seccomp: not ...`, `mounts[3] /x: options[2]: "a" is not ...`.
fn remove_named(tree: &mut Value, error: &str) -> bool {
    let mut words: Vec<&str> = error.split(": ").filter_map(|part| part.split(' ').next()).collect();
    words.pop();
    let place = words.join(".");
    // Mappings must be given together.
    if let Some(mount) = place.strip_suffix(".uidMappings") {
        tree.remove(&path(&format!("{mount}.gidMappings")));
    }
    tree.remove(&path(&place))
}

/// Replaces each word of twelve or more hexadecimal digits that has letters by `ID`: short and long ids, and those with
/// dashes.
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
