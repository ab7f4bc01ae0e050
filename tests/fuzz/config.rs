//! Fuzz target: any bytes as a config.json, decoded and planned for two kinds of hosts. Nothing is executed, and
//! planning must not panic, take long or need much memory.

#![no_main]

use mote::internal::cgroup::placement::Placement;
use mote::internal::host::{Cgroups, Host};
use mote::internal::plan::{Options, Plan};
use mote::internal::config::Config;

libfuzzer_sys::fuzz_target!(|document: &[u8]| {
    let mut text = document.to_vec();
    let Ok(config) = Config::decode("config.json", &mut text) else { return };
    let options = Options {
        id: c"name",
        bundle: c"/bundle",
        pivot: true,
        new_keyring: true,
        placement: &Placement::Root,
        preserve_fds: 0,
        waits_for_start: true,
    };
    let names = ["cpu,cpuacct", "devices", "memory", "pids"].map(String::from).to_vec();
    for cgroups in [Cgroups::Unified, Cgroups::Hierarchies { names, unified: true }] {
        let host = Host { uid: 0, gid: 0, has_groups: true, capabilities: 0, effective: 0, bounding: u64::MAX, ignored_signals: 0, own_procfs: true, cgroups };
        let mut warnings = Vec::new();
        let plan = Plan::new(&config, &host, &options, &mut warnings);
        // Printing visits the whole plan.
        let _ = plan.map(|plan| format!("{plan:?}"));
    }
});
