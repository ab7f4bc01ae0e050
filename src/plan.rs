//! The plan of a container: every room's plan, made in the order in which one needs another's result.
//! After this nobody reads the configuration.

use alloc::vec::Vec;
use core::ffi::CStr;

use linux_raw_sys::general::CAP_SYS_PTRACE;
use rustix::fd::OwnedFd;

use crate::cgroup::fs::delegation::Delegation;
use crate::cgroup::placement::Placement;
use crate::cgroup::{self, FORCE_V1};
use crate::config::annotation::is_unknown;
use crate::config::linux::Mappings;
use crate::config::linux::NamespaceKind as Kind;
use crate::config::process::CpuAffinity;
use crate::config::{Config, Process};
use crate::error::{Error, Result, Show};
use crate::hooks;
use crate::host::{self, Cgroups, Host};
use crate::intelrdt;
use crate::namespace::{self, device, entry::ContainerNamespaces, sysctl, time, user as maps, uts};
use crate::process::after_filter::{AfterFilter, WaitsFor};
use crate::process::keyring::Keyring;
use crate::process::{
    affinity, caps, env, exec, fds, foreign, keyring, label, mempolicy, oom, rlimit, scheduler, signals,
    terminal, user,
};
use crate::rootfs::{self, cgroup::View, idmap::UserNamespace};
use crate::seccomp;
use crate::seccomp::denial::Denials;

/// What is said on the command line, and of the bundle.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a, 'm> {
    pub id: &'a CStr,
    /// The bundle's directory, absolute.
    pub bundle: &'a CStr,
    /// `--no-pivot` takes it away.
    pub pivot: bool,
    /// `--no-new-keyring` takes it away.
    pub new_keyring: bool,
    /// Where the cgroup manager puts its cgroup.
    pub placement: &'m Placement,
    /// `--preserve-fds`.
    pub preserve_fds: u32,
    /// It waits for `start` at a gate of its own.
    pub waits_for_start: bool,
}

/// Every decision about a container.
#[derive(Debug)]
pub struct Plan<'a> {
    pub namespaces: namespace::Plan<'a>,
    /// Mappings of a new user namespace.
    pub maps: Option<maps::Plan>,
    pub time: time::Plan,
    pub uts: uts::Plan<'a>,
    pub sysctl: sysctl::Plan<'a>,
    pub devices: device::Plan<'a>,
    pub cgroup: Option<cgroup::Plan>,
    pub rootfs: rootfs::Plan<'a>,
    pub process: ProcessPlan<'a>,
    pub hooks: hooks::Plan<'a>,
    pub rdt: Option<intelrdt::Plan>,
    /// In a network namespace that nobody has set up.
    pub own_network: bool,
}

/// The part about the process.
#[derive(Debug)]
pub struct ProcessPlan<'a> {
    /// It is in a user namespace, new or joined.
    pub user_namespace: bool,
    pub user: user::Plan,
    pub caps: caps::Plan,
    pub no_new_privileges: bool,
    pub rlimits: rlimit::Plan,
    pub oom: oom::Plan,
    pub keyring: keyring::Plan<'a>,
    pub label: label::Plan<'a>,
    pub affinity: affinity::Plan,
    pub memory_policy: mempolicy::Plan,
    pub cwd: &'a CStr,
    pub env: env::Plan<'a>,
    pub exec: exec::Plan<'a>,
    pub fds: fds::Plan,
    pub signals: signals::Plan,
    pub scheduler: scheduler::Plan,
    pub terminal: Option<terminal::Plan>,
    pub seccomp: Option<seccomp::Filter<'a>>,
}

impl<'a> Plan<'a> {
    /// Makes the plan; nothing is done. `warnings` takes what is worth a word but no failure.
    // Not into its caller, whose code is needed later: see scripts/layout.ld.
    #[inline(never)]
    pub fn new(
        config: &Config<'a>,
        host: &Host,
        options: &Options<'a, '_>,
        warnings: &mut Vec<Error>,
    ) -> Result<Self> {
        let process = process(config, warnings)?;
        let linux = &config.linux;

        let mut namespaces = namespace::Plan::new(&linux.namespaces, !linux.time_offsets.is_empty())?;
        let (fresh, joined) = (namespaces.is_new(Kind::User), namespaces.is_joined(Kind::User));
        let maps = maps::Plan::new(&linux.uid_mappings, &linux.gid_mappings, fresh, joined, host)?;
        let denied = maps.as_ref().is_some_and(maps::Plan::denies_setgroups);
        let user_namespace = namespaces.has(Kind::User);

        let uts = uts::Plan::new(config.hostname, config.domainname, &mut namespaces)?;
        let sysctl = sysctl::Plan::new(&linux.sysctl, &mut namespaces, &uts)?;
        let devices = device::Plan::new(&linux.net_devices, &mut namespaces)?;
        let time = time::Plan::new(&linux.time_offsets, namespaces.is_new(Kind::Time))?;

        let id = options.id.to_str().unwrap_or_default();
        let mappings = maps.as_ref().map_or_else(|| linux.mappings(), maps::Plan::mappings);
        let cgroup = plan_cgroup(config, &namespaces, user_namespace.then_some(mappings), options, host)?;
        let hooks = hooks::Plan::new(config, options.id, options.bundle);
        let around = rootfs::Context {
            bundle: options.bundle,
            user: user_namespace.then_some(UserNamespace { mappings, joined }),
            pivot: options.pivot,
            label: rootfs::label::plan(config)?,
            in_place: hooks.has_before_pivot(),
            cgroup: cgroup_view(config, host, cgroup.as_ref(), namespaces.has(Kind::Cgroup)),
        };
        let rootfs = rootfs::Plan::new(config, &around)?;
        let around = Context {
            user_namespace,
            denied,
            new_keyring: options.new_keyring,
            preserve_fds: options.preserve_fds,
            affinity: None,
            waits: if options.waits_for_start { WaitsFor::StartSocket } else { WaitsFor::Parent },
        };
        let process = ProcessPlan::new(config, process, host, &around, warnings)?;
        let rdt = linux.intel_rdt.as_ref().map(|rdt| intelrdt::Plan::new(rdt, id)).transpose()?;
        Ok(Plan {
            own_network: namespaces.is_new(Kind::Network),
            namespaces,
            rdt,
            devices,
            maps,
            time,
            uts,
            sysctl,
            cgroup,
            rootfs,
            process,
            hooks,
        })
    }

    /// Whether the container's process has to wait for its parent before it does anything.
    pub fn needs_parent(&self) -> bool {
        let moved = self.cgroup.as_ref().is_some_and(cgroup::Plan::is_attached_by_systemd);
        self.maps.is_some() || !self.devices.is_empty() || moved
    }

    /// Whether its process is born in its cgroup. From a middle process, or when it joins another user namespace,
    /// CLONE_INTO_CGROUP would be refused.
    pub fn is_born_inside(&self) -> bool {
        let planned =
            self.cgroup.as_ref().is_some_and(|cgroup| cgroup.join_time() == cgroup::JoinTime::AtClone);
        planned && !self.namespaces.is_joined(Kind::User) && !self.namespaces.needs_intermediate()
    }

    /// Whether some step goes through the host's procfs.
    pub fn needs_proc(&self) -> bool {
        self.maps.is_some() || !self.time.is_empty() || !self.sysctl.is_empty() || self.process.needs_proc()
    }
}

/// Its cgroup, and what of that is given away.
fn plan_cgroup(
    config: &Config<'_>,
    namespaces: &namespace::Plan<'_>,
    mappings: Option<Mappings<'_>>,
    options: &Options<'_, '_>,
    host: &Host,
) -> Result<Option<cgroup::Plan>> {
    let layout = match forced_v1(config) {
        // With v1 its hierarchies are there already, as mounted.
        Some(path) if matches!(host.cgroups, Cgroups::Unified) => {
            named_hierarchy(config, path, options.placement)?
        }
        _ => host.cgroups.clone(),
    };
    let delegation = Delegation::plan(config, mappings, namespaces.is_new(Kind::Cgroup), &layout)?;
    let id = options.id.to_str().unwrap_or_default();
    cgroup::Plan::new(config, id, (options.placement, delegation), &layout)
}

/// The hierarchies for an old systemd, which looks for its own at a path.
#[cold]
#[inline(never)]
fn named_hierarchy(config: &Config<'_>, path: &CStr, placement: &Placement) -> Result<Cgroups> {
    if let Placement::Disabled = placement {
        return Err(Error::invalid(format_args!("{FORCE_V1}: the container has no cgroup")));
    }
    match config.mounts.iter().any(|mount| mount.is_cgroup() && mount.destination == path) {
        true => Ok(Cgroups::Named),
        false => {
            let path = Show(path);
            let why = format_args!("{FORCE_V1}: no mount of type cgroup has the destination {path}");
            Err(Error::invalid(why))
        }
    }
}

fn forced_v1<'a>(config: &Config<'a>) -> Option<&'a CStr> {
    config.annotation(c"run.oci.systemd.force_cgroup_v1")
}

/// Every decision about a process that joins a container (`exec`).
#[derive(Debug)]
pub struct ExecPlan<'a> {
    pub namespaces: ContainerNamespaces,
    /// Mote's own CPUs, before the process is in the container's cgroup.
    pub affinity: affinity::Plan,
    pub rdt: Option<intelrdt::Plan>,
    /// How it gets into the container's cgroup.
    pub join: cgroup::JoinTime,
    pub process: ProcessPlan<'a>,
}

impl<'a> ExecPlan<'a> {
    /// Makes the plan of `process` in the container that `config` has made. `preserve_fds` is the option.
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
        let around = Context {
            user_namespace: entry.has_user(),
            // Asked there.
            denied: false,
            new_keyring: true,
            preserve_fds,
            affinity: process.exec_cpu_affinity.as_ref(),
            waits: WaitsFor::ExecParent,
        };
        let affinity = affinity::Plan::initial(around.affinity)?;
        let process = ProcessPlan::new(config, process, host, &around, warnings)?;
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

/// The container's process keeps the groups of whoever started it (podman's `--group-add keep-groups`).
const KEEP_GROUPS: &CStr = c"run.oci.keep_original_groups";

/// What the rest of a plan says about its process.
struct Context<'p> {
    user_namespace: bool,
    /// mote is going to give up setgroups(2) there.
    denied: bool,
    new_keyring: bool,
    preserve_fds: u32,
    /// Of a process that joins a container.
    affinity: Option<&'p CpuAffinity<'p>>,
    waits: WaitsFor,
}

impl<'a> ProcessPlan<'a> {
    fn new(
        config: &Config<'a>,
        process: &Process<'a>,
        host: &Host,
        around: &Context<'_>,
        warnings: &mut Vec<Error>,
    ) -> Result<Self> {
        // Whoever enters a user namespace has all of them there.
        let sets =
            if around.user_namespace { (u64::MAX, u64::MAX) } else { (host.capabilities, host.bounding) };
        let warn = &mut |warning| warnings.push(warning);
        let plan = ProcessPlan {
            user_namespace: around.user_namespace,
            user: user::Plan::new(
                &process.user,
                around.denied,
                host.has_groups,
                annotation(config, KEEP_GROUPS),
            )?,
            caps: caps::Plan::new(process.capabilities.as_ref(), sets, warn),
            no_new_privileges: process.no_new_privileges,
            rlimits: rlimit::Plan::new(&process.rlimits),
            oom: oom::Plan::new(process.oom_score_adj),
            keyring: keyring::Plan(around.new_keyring.then_some(Keyring { label: process.selinux_label })),
            label: label::Plan::new(process),
            affinity: affinity::Plan::last(around.affinity)?,
            memory_policy: mempolicy::Plan::new(config.linux.memory_policy.as_ref())?,
            cwd: process.cwd,
            env: env::Plan::new(&process.env)?,
            exec: exec::Plan::new(&process.args, &process.env)?,
            fds: fds::Plan { preserved: around.preserve_fds },
            signals: signals::Plan { ignored: host.ignored_signals },
            scheduler: scheduler::Plan::new(
                process.scheduler.as_ref(),
                process.io_priority,
                config.linux.personality.as_ref(),
            )?,
            terminal: terminal::Plan::new(process.terminal, process.console_size, process.user.uid),
            seccomp: seccomp::plan::plan(config, !host.has(CAP_SYS_PTRACE))?,
        };
        if let Some(filter) = &plan.seccomp {
            plan.check_filter(filter, config, around.waits, warnings)?;
        }
        Ok(plan)
    }

    /// Runs the filter for what is done behind it: an error when it is certain that the process will not come to its
    /// program, and a remark when it could not say why.
    // As all that belongs to filters, not between the pages of a start without.
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
        };
        let mut denials = Denials::new(filter, config, self.no_new_privileges);
        behind.calls(&mut |need, call| denials.ask(need, call));
        denials.judge(warnings)
    }

    /// Whether setgroups(2) may be denied where it is, which only a process there can tell: a namespace that mote makes or
    /// is in has that from above, and who made one that is joined may have given it up.
    pub fn checks_setgroups(&self) -> bool {
        self.user.sets_groups() && (self.user_namespace || host::in_user_namespace())
    }

    /// Whether its filter is loaded while it still has the rights for that, before its ids change; with no_new_privs that
    /// takes none, and waits for the last moment.
    pub fn is_filtered_early(&self) -> bool {
        self.seccomp.is_some() && !self.no_new_privileges
    }

    /// Sets for this process what its child is to be born with, since it could not set it itself. What comes back takes
    /// that back, at its end: once there is the child.
    pub fn apply_to_parent<'p>(
        &self,
        proc: Option<&'p OwnedFd>,
    ) -> Result<(rlimit::RlimitGuard, Option<oom::ScoreGuard<'p>>)> {
        Ok((self.rlimits.apply_to_parent()?, self.oom.apply_to_parent(proc)?))
    }

    /// Whether some step goes through the host's procfs.
    pub fn needs_proc(&self) -> bool {
        !self.oom.is_empty() || !self.label.is_empty()
    }
}

/// What the container sees of the hierarchies.
fn cgroup_view<'a>(
    config: &Config<'a>,
    host: &Host,
    cgroup: Option<&cgroup::Plan>,
    namespace: bool,
) -> View<'a> {
    let layout = cgroup.map_or(&host.cgroups, |cgroup| &cgroup.layout).clone();
    View { layout, path: cgroup.map(|cgroup| cgroup.path.clone()), namespace, named: forced_v1(config) }
}

/// The process, when nothing is known already that keeps it from being run. Of crun's annotations that are not known
/// there is a warning: it must be no error (config.md, "Annotations").
fn process<'c, 'a>(config: &'c Config<'a>, warnings: &mut Vec<Error>) -> Result<&'c Process<'a>> {
    let Some(process) = &config.process else {
        return Err(Error::invalid(format_args!("process is missing")));
    };
    for (key, _) in config.annotations.iter().filter(|(key, _)| is_unknown(key)) {
        warnings.push(Error::invalid(format_args!("annotations.{}: nothing is done for it", Show(key))));
    }
    foreign::check(&config.annotations, &process.args).map(|()| process)
}

/// An annotation that is set, and not to "0".
fn annotation(config: &Config<'_>, key: &CStr) -> bool {
    config.annotation(key).is_some_and(|value| value != c"0")
}
