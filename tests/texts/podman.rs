//! The lists of containers.conf(5) that declare what mote can do. They replace those of podman, so that each names all runtimes
//! that podman knows; every page, package and module has them.

use std::collections::BTreeSet;
use std::fs;

const FILES: [&str; 5] = [
    "README.md",
    "nix/module.nix",
    "tests/nix/module.nix",
    "scripts/packages/mote.conf",
    "scripts/ansible/ansible-role-mote/templates/podman.conf.j2",
];

/// The strings of the list that follows the first `key = [`.
fn list<'a>(text: &'a str, key: &str) -> BTreeSet<&'a str> {
    let start = text.split_once(&format!("{key} = [")).unwrap().1;
    start.split_once(']').unwrap().0.split('"').skip(1).step_by(2).collect()
}

#[test]
fn runtimes_are_the_same_in_every_file() {
    let read = |file| fs::read_to_string(format!("{}/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let known = BTreeSet::from(["crun", "runc", "kata", "runsc", "youki", "krun", "ocijail", "mote"]);
    for file in FILES {
        assert_eq!(list(&read(file), "runtime_supports_json"), known, "{file}");
        assert_eq!(
            list(&read(file), "runtime_supports_nocgroup"),
            BTreeSet::from(["crun", "krun", "mote"]),
            "{file}"
        );
    }
}
