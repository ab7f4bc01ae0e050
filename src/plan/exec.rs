//! The plan of an exec process.

use alloc::vec::Vec;

use super::process::{Context, ProcessPlan};
use crate::cgroup;
use crate::config::{Config, Process};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::intelrdt;
use crate::namespace::entry::ContainerNamespaces;
use crate::process::affinity;
use crate::process::after_filter::WaitsFor;

/// The plan of an exec process.
#[derive(Debug)]
pub struct ExecPlan<'a> {
    pub namespaces: ContainerNamespaces,
    /// The CPU affinity of mote itself, before the process joins the container's cgroup (`execCPUAffinity.initial`).
    pub affinity: affinity::Plan,
    pub rdt: Option<intelrdt::Plan>,
    /// When the process joins the container's cgroup.
    pub join: cgroup::JoinTime,
    pub process: ProcessPlan<'a>,
}

impl<'a> ExecPlan<'a> {
    /// Makes the plan of `process` in the container that was created with `config`. `preserve_fds` is the value of the
    /// option. Settings that have no effect are added to `warnings`.
    pub fn new(
        config: &Config<'a>,
        process: &Process<'a>,
        host: &Host,
        id: &str,
        preserve_fds: u32,
        warnings: &mut Vec<Error>,
    ) -> Result<Self> {
        let linux = &config.linux;
        if !process.cwd.to_bytes().starts_with(b"/") {
            return Err(Error::invalid(format_args!("process.cwd: must be an absolute path")));
        }
        let entry = ContainerNamespaces::new(&linux.namespaces);
        let context = Context {
            user_namespace: entry.has_user(),
            // The child reads it from /proc/self/setgroups.
            denied: false,
            new_keyring: true,
            preserve_fds,
            affinity: process.exec_cpu_affinity.as_ref(),
            waits: WaitsFor::ExecParent,
            start_hooks: false,
        };
        let affinity = affinity::Plan::initial(context.affinity)?;
        let process = ProcessPlan::new(config, process, host, &context, warnings)?;
        let rdt = linux.intel_rdt.as_ref().map(|rdt| intelrdt::Plan::new(rdt, id)).transpose()?;
        Ok(ExecPlan {
            namespaces: entry,
            affinity,
            rdt,
            join: cgroup::JoinTime::of(&linux.resources),
            process,
        })
    }
}
