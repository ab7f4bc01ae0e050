//! Cycles of imports between files, of any length.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::File;

/// The modules that each module uses, by path.
type Uses = BTreeMap<String, BTreeSet<String>>;

/// Every cycle of files within a module, each as one line.
pub fn cycles(files: &[File]) -> Vec<String> {
    let modules: BTreeSet<String> = files.iter().map(|file| file.module().join("::")).collect();
    let mut uses = Uses::new();
    for file in files {
        let own = file.module().join("::");
        let used = file.uses_outside_tests();
        let used = used.iter().filter_map(|path| module_of(path, &modules)).filter(|used| *used != own);
        uses.insert(own.clone(), used.filter(|used| same_module(used, &own)).collect());
    }
    // A module that no other one uses, or that uses none, is in no cycle. They are removed until only cycles are left.
    loop {
        let left: BTreeSet<String> = uses.values().flatten().cloned().collect();
        let before = uses.len();
        uses.retain(|module, used| left.contains(module) && !used.is_empty());
        let known: BTreeSet<String> = uses.keys().cloned().collect();
        uses.values_mut().for_each(|used| used.retain(|module| known.contains(module)));
        if uses.len() == before && uses.values().all(|used| !used.is_empty()) {
            break;
        }
    }
    uses.iter().map(|(module, used)| format!("{module} uses {used:?}")).collect()
}

/// The module that contains a path: the longest prefix of it.
fn module_of(path: &str, modules: &BTreeSet<String>) -> Option<String> {
    let mut rest = path;
    loop {
        if modules.contains(rest) {
            return Some(rest.to_string());
        }
        rest = rest.rsplit_once("::")?.0;
    }
}

fn same_module(one: &str, other: &str) -> bool {
    one.split("::").next() == other.split("::").next()
}
