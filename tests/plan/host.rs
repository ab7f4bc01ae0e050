//! Hosts for the tests, and the plan for one of them.

use mote::internal::cgroup::placement::Placement;
use mote::internal::config::Config;
use mote::internal::error::Result;
use mote::internal::host::{Cgroups, Host};
use mote::internal::plan::{Options, Plan};
use mote::internal::process::caps;

use crate::text::Entry;
use crate::{filter, print};

/// The host with this name.
pub fn host(name: &str) -> Host {
    let names = [
        "blkio",
        "cpu,cpuacct",
        "cpuset",
        "devices",
        "freezer",
        "memory",
        "net_cls,net_prio",
        "perf_event",
        "pids",
    ];
    let hierarchies = |unified| Cgroups::Hierarchies { names: names.map(String::from).to_vec(), unified };
    let all = (1 << caps::NAMES.len()) - 1;
    let (id, capabilities, cgroups) = match name {
        "v2" => (0, all, Cgroups::Unified),
        "hybrid" => (0, all, hierarchies(true)),
        "none" => (0, all, Cgroups::None),
        "user" => (1000, 0, Cgroups::Unified),
        other => panic!("no host is called {other}"),
    };
    Host {
        uid: id,
        gid: id,
        has_groups: true,
        capabilities,
        effective: capabilities,
        bounding: u64::MAX,
        ignored_signals: 0,
        own_procfs: true,
        cgroups,
    }
}

/// The plan of a document as entries, warnings first.
pub fn plan(document: &[u8], host: &Host) -> Result<Vec<Entry>> {
    let mut buffer = document.to_vec();
    let config = Config::decode("config.json", &mut buffer)?;
    let options = Options {
        id: c"name",
        bundle: c"/bundle",
        pivot: true,
        new_keyring: true,
        placement: &Placement::Root,
        preserve_fds: 0,
        waits_for_start: true,
    };
    let mut warnings = Vec::new();
    let plan = Plan::new(&config, host, &options, &mut warnings)?;
    let mut entries = Vec::new();
    if !warnings.is_empty() {
        entries.push(Entry::list("warnings", warnings.iter().map(ToString::to_string).collect()));
    }
    let seccomp = plan.process.seccomp.as_ref().map(|program| filter::filter("process.seccomp", program));
    let mut seccomp = seccomp.unwrap_or_default();
    for entry in print::entries(&format!("{plan:#?}")) {
        match entry.path == "process.seccomp" {
            true => entries.append(&mut seccomp),
            false => entries.push(entry),
        }
    }
    assert!(seccomp.is_empty(), "no process.seccomp in the text of a plan");
    Ok(entries)
}
