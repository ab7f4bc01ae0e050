//! The plan of a process: of the container init, or of an exec process.

use alloc::vec::Vec;
use core::ffi::CStr;

use linux_raw_sys::general::CAP_SYS_PTRACE;
use rustix::fd::OwnedFd;

use crate::config::process::CpuAffinity;
use crate::config::{Config, Process};
use crate::error::{Error, Result};
use crate::host::{self, Host};
use crate::process::after_filter::{AfterFilter, RELEASING, WaitsFor};
use crate::process::keyring::Keyring;
use crate::process::{
    affinity, caps, env, exec, fds, keyring, label, mempolicy, oom, rlimit, scheduler, signals, terminal,
    user,
};
use crate::seccomp;
use crate::seccomp::denial::Denials;

/// The plan of the container init or an exec process.
#[derive(Debug)]
pub struct ProcessPlan<'a> {
    /// Whether the container has a user namespace, new or joined.
    pub(crate) user_namespace: bool,
    /// Whether /proc is the procfs of mote's pid namespace.
    pub(crate) own_procfs: bool,
    pub(crate) user: user::Plan,
    pub(crate) caps: caps::Plan,
    pub(crate) no_new_privileges: bool,
    pub(crate) rlimits: rlimit::Plan,
    pub(crate) oom: oom::Plan,
    pub(crate) keyring: keyring::Plan<'a>,
    pub(crate) label: label::Plan<'a>,
    pub(crate) affinity: affinity::Plan,
    pub(crate) memory_policy: mempolicy::Plan,
    pub(crate) cwd: &'a CStr,
    pub(crate) env: env::Plan<'a>,
    pub(crate) exec: exec::Plan<'a>,
    pub(crate) fds: fds::Plan,
    pub(crate) signals: signals::Plan,
    pub(crate) scheduler: scheduler::Plan,
    pub(crate) terminal: Option<terminal::Plan>,
    pub seccomp: Option<seccomp::Filter<'a>>,
    /// Whether the process releases its memory while it waits for `start` (`launch/created.rs`).
    pub releases_memory: bool,
}

/// The process keeps mote's supplementary groups (podman's `--group-add keep-groups`).
const KEEP_GROUPS: &CStr = c"run.oci.keep_original_groups";

/// The other settings that the plan of a process depends on.
pub(super) struct Context<'p> {
    pub user_namespace: bool,
    /// Whether mote will deny setgroups(2) in the new user namespace.
    pub denied: bool,
    pub new_keyring: bool,
    pub preserve_fds: u32,
    /// `execCPUAffinity` of an exec process.
    pub affinity: Option<&'p CpuAffinity<'p>>,
    pub waits: WaitsFor,
    /// Whether there are startContainer hooks.
    pub start_hooks: bool,
}

impl<'a> ProcessPlan<'a> {
    pub(super) fn new(
        config: &Config<'a>,
        process: &Process<'a>,
        host: &Host,
        context: &Context<'_>,
        warnings: &mut Vec<Error>,
    ) -> Result<Self> {
        // A process has all capabilities in a user namespace that it creates or joins (user_namespaces(7)).
        let sets =
            if context.user_namespace { (u64::MAX, u64::MAX) } else { (host.capabilities, host.bounding) };
        let warn = &mut |warning| warnings.push(warning);
        let mut plan = ProcessPlan {
            user_namespace: context.user_namespace,
            own_procfs: host.own_procfs,
            user: user::Plan::new(
                &process.user,
                context.denied,
                host.has_groups,
                annotation(config, KEEP_GROUPS),
            )?,
            caps: caps::Plan::new(process.capabilities.as_ref(), sets, warn),
            no_new_privileges: process.no_new_privileges,
            rlimits: rlimit::Plan::new(&process.rlimits),
            oom: oom::Plan::new(process.oom_score_adj),
            keyring: keyring::Plan(context.new_keyring.then_some(Keyring { label: process.selinux_label })),
            label: label::Plan::new(process),
            affinity: affinity::Plan::last(context.affinity)?,
            memory_policy: mempolicy::Plan::new(config.linux.memory_policy.as_ref())?,
            cwd: process.cwd,
            env: env::Plan::new(&process.env)?,
            exec: exec::Plan::new(&process.args, &process.env)?,
            fds: fds::Plan { preserved: context.preserve_fds },
            signals: signals::Plan { ignored: host.ignored_signals },
            scheduler: scheduler::Plan::new(
                process.scheduler.as_ref(),
                process.io_priority,
                config.linux.personality.as_ref(),
            )?,
            terminal: terminal::Plan::new(process.terminal, process.console_size, process.user.uid),
            seccomp: seccomp::plan::plan(config, !host.has(CAP_SYS_PTRACE))?,
            releases_memory: false,
        };
        plan.releases_memory =
            context.waits == WaitsFor::StartSocket && !context.start_hooks && plan.can_release_memory();
        if let Some(filter) = &plan.seccomp {
            plan.check_filter(filter, config, context.waits, warnings)?;
        }
        Ok(plan)
    }

    /// Runs the filter for the system calls that mote makes after loading it: an error if the process certainly cannot
    /// reach execve, a remark if it could not report an error.
    // Not inlined, as all that only filters need: kept out of the pages that a start without a filter reads.
    #[cold]
    #[inline(never)]
    fn check_filter(
        &self,
        filter: &seccomp::Filter<'_>,
        config: &Config<'_>,
        waits: WaitsFor,
        warnings: &mut Vec<Error>,
    ) -> Result<()> {
        let behind = AfterFilter {
            no_new_privileges: self.no_new_privileges,
            user: &self.user,
            caps: &self.caps,
            env: &self.env,
            signals: self.signals,
            waits_for: waits,
            releases_memory: self.releases_memory,
        };
        let mut denials = Denials::new(filter, config, self.no_new_privileges);
        behind.calls(&mut |need, call| denials.check(need, call));
        denials.report(warnings)
    }

    /// Whether no filter prevents that the process releases its memory: one that is loaded before must not kill it for
    /// that, and one with a listener needs the process to hand the listener over.
    fn can_release_memory(&self) -> bool {
        self.seccomp.as_ref().is_none_or(|filter| {
            !filter.has_listener() && (self.no_new_privileges || filter.kills_for_none(&RELEASING))
        })
    }

    /// Whether setgroups(2) may be denied in the process's user namespace, which only a process there can read
    /// (user_namespaces(7), /proc/PID/setgroups): a nested namespace inherits it, and the creator of a joined one may
    /// have set it.
    pub fn checks_setgroups(&self) -> bool {
        self.user.sets_groups() && (self.user_namespace || host::in_user_namespace())
    }

    /// Whether the filter is loaded before credentials change, while the process still has CAP_SYS_ADMIN. With
    /// no_new_privs loading needs no capability (seccomp(2)), and is done last.
    pub fn is_filtered_early(&self) -> bool {
        self.seccomp.is_some() && !self.no_new_privileges
    }

    /// Sets on this process the resource limits and the OOM score that the child inherits, since it could not raise
    /// them itself. Dropping the guards after the clone restores the original values.
    pub fn apply_to_parent<'p>(
        &self,
        proc: Option<&'p OwnedFd>,
    ) -> Result<(rlimit::RlimitGuard, Option<oom::ScoreGuard<'p>>)> {
        Ok((self.rlimits.apply_to_parent()?, self.oom.apply_to_parent(proc)?))
    }

    /// Whether a step uses the host's procfs.
    pub fn needs_proc(&self) -> bool {
        !self.oom.is_empty() || !self.label.is_empty()
    }
}

/// Whether an annotation is set, and not to "0".
fn annotation(config: &Config<'_>, key: &CStr) -> bool {
    config.annotation(key).is_some_and(|value| value != c"0")
}
