//! The plan of a container: the plans of all kinds of kernel objects, made in the order of their dependencies. The
//! configuration is not used after this.

mod exec;
mod process;

pub(crate) use exec::ExecPlan;
pub(crate) use process::ProcessPlan;

use alloc::vec::Vec;
use core::ffi::CStr;

use linux_raw_sys::general::CAP_SYS_ADMIN;

use crate::cgroup::fs::delegation::Delegation;
use crate::cgroup::placement::Placement;
use crate::cgroup::{self, FORCE_V1};
use crate::config::annotation::is_unknown;
use crate::config::linux::{Mappings, NamespaceKind as Kind};
use crate::config::{Config, Process};
use crate::error::{Error, Result, Show};
use crate::hooks;
use crate::host::{Cgroups, Host};
use crate::intelrdt;
use crate::namespace::{self, device, sysctl, time, user as maps, uts};
use crate::process::after_filter::WaitsFor;
use crate::process::foreign;
use crate::rootfs::{self, cgroup::View, idmap::UserNamespace};
use process::Context;

/// The options of the command line, and the bundle.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a, 'm> {
    /// The container ID.
    pub id: &'a CStr,
    /// The bundle's directory, absolute.
    pub bundle: &'a CStr,
    /// False with `--no-pivot`.
    pub pivot: bool,
    /// False with `--no-new-keyring`.
    pub new_keyring: bool,
    /// Where the cgroup manager creates the cgroup.
    pub placement: &'m Placement,
    /// `--preserve-fds`.
    pub preserve_fds: u32,
    /// Whether the container init waits at the start socket (`create`).
    pub waits_for_start: bool,
}

/// The plan of a container.
#[derive(Debug)]
pub struct Plan<'a> {
    pub(crate) namespaces: namespace::Plan<'a>,
    /// Mappings of a new user namespace.
    pub(crate) maps: Option<maps::Plan>,
    pub(crate) time: time::Plan,
    pub(crate) uts: uts::Plan<'a>,
    pub(crate) sysctl: sysctl::Plan<'a>,
    pub(crate) devices: device::Plan<'a>,
    pub(crate) cgroup: Option<cgroup::Plan>,
    pub(crate) rootfs: rootfs::Plan<'a>,
    /// The program and the attributes of its process. Of its fields, only `seccomp` is public: the filter.
    pub process: ProcessPlan<'a>,
    pub(crate) hooks: hooks::Plan<'a>,
    pub(crate) rdt: Option<intelrdt::Plan>,
    /// Whether its network namespace is new, so that the loopback interface has to be set up.
    pub(crate) own_network: bool,
}

impl<'a> Plan<'a> {
    /// Makes the plan, without side effects. Rejects invalid and unsupported settings; settings that have no effect are
    /// added to `warnings`.
    // Not inlined into its caller, whose code is needed later: see scripts/layout.ld.
    #[inline(never)]
    pub fn new(
        config: &Config<'a>,
        host: &Host,
        options: &Options<'a, '_>,
        warnings: &mut Vec<Error>,
    ) -> Result<Self> {
        let process = checked_process(config, warnings)?;
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

        let mappings = maps.as_ref().map_or_else(|| linux.mappings(), maps::Plan::mappings);
        let cgroup = plan_cgroup(config, &namespaces, user_namespace.then_some(mappings), options, host)?;
        let hooks = hooks::Plan::new(config, options.id, options.bundle);
        let context = rootfs::Context {
            bundle: options.bundle,
            user: user_namespace.then_some(UserNamespace { mappings, joined }),
            pivot: options.pivot,
            label: rootfs::label::plan(config)?,
            in_place: hooks.has_before_pivot(),
            own_mounts: namespaces.has(Kind::Mount),
            own_network: namespaces.is_new(Kind::Network),
            cgroup: cgroup_view(config, host, cgroup.as_ref(), namespaces.has(Kind::Cgroup)),
        };
        let rootfs = rootfs::Plan::new(config, &context)?;
        let context = Context {
            user_namespace,
            denied,
            new_keyring: options.new_keyring,
            preserve_fds: options.preserve_fds,
            affinity: None,
            waits: if options.waits_for_start { WaitsFor::StartSocket } else { WaitsFor::Parent },
            start_hooks: hooks.has(hooks::Point::StartContainer),
        };
        let process = ProcessPlan::new(config, process, host, &context, warnings)?;
        Ok(Plan {
            own_network: namespaces.is_new(Kind::Network),
            rdt: plan_rdt(config, options)?,
            namespaces,
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

    /// Whether the container init has to wait for its parent first.
    pub(crate) fn needs_parent(&self) -> bool {
        let moved = self.cgroup.as_ref().is_some_and(cgroup::Plan::is_attached_by_systemd);
        self.maps.is_some() || !self.devices.is_empty() || moved
    }

    /// Whether the container init is cloned into its cgroup. From an intermediate process, or if another user namespace
    /// is joined, CLONE_INTO_CGROUP would be denied; and so in a cgroup namespace that is joined before the clone, where
    /// the cgroup does not exist (ENOENT, with the mount option nsdelegate of cgroups(7)).
    pub(crate) fn is_born_inside(&self) -> bool {
        let planned =
            self.cgroup.as_ref().is_some_and(|cgroup| cgroup.join_time() == cgroup::JoinTime::AtClone);
        let joined = [Kind::User, Kind::Cgroup].iter().any(|kind| self.namespaces.is_joined(*kind));
        planned && !joined && !self.namespaces.needs_intermediate()
    }

    /// Whether a step uses the host's procfs.
    pub(crate) fn needs_proc(&self) -> bool {
        self.maps.is_some() || !self.time.is_empty() || !self.sysctl.is_empty() || self.process.needs_proc()
    }
}

fn plan_rdt(config: &Config<'_>, options: &Options<'_, '_>) -> Result<Option<intelrdt::Plan>> {
    let id = options.id.to_str().unwrap_or_default();
    config.linux.intel_rdt.as_ref().map(|rdt| intelrdt::Plan::new(rdt, id)).transpose()
}

/// The plan of the cgroup, with its delegation.
fn plan_cgroup(
    config: &Config<'_>,
    namespaces: &namespace::Plan<'_>,
    mappings: Option<Mappings<'_>>,
    options: &Options<'_, '_>,
    host: &Host,
) -> Result<Option<cgroup::Plan>> {
    let layout = match forced_v1(config) {
        // With cgroup v1 the hierarchies are used as mounted.
        Some(path) if matches!(host.cgroups, Cgroups::Unified) => {
            named_hierarchy(config, path, options.placement)?
        }
        _ => host.cgroups.clone(),
    };
    let delegation = Delegation::plan(config, mappings, namespaces.is_new(Kind::Cgroup), &layout)?;
    let id = options.id.to_str().unwrap_or_default();
    cgroup::Plan::new(config, id, (options.placement, delegation), &layout, host.has(CAP_SYS_ADMIN))
}

/// The hierarchies for a container with an old systemd, which needs the v1 hierarchy name=systemd at the path of the
/// annotation.
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

/// The container's view of the hierarchies.
fn cgroup_view<'a>(
    config: &Config<'a>,
    host: &Host,
    cgroup: Option<&cgroup::Plan>,
    namespace: bool,
) -> View<'a> {
    let layout = cgroup.map_or(&host.cgroups, |cgroup| &cgroup.layout).clone();
    View { layout, path: cgroup.map(|cgroup| cgroup.path.clone()), namespace, named: forced_v1(config) }
}

/// Checks that there is a process and that the annotations permit to run it. Annotations of crun that are unknown cause
/// a warning: an error is forbidden (config.md, "Annotations").
fn checked_process<'c, 'a>(config: &'c Config<'a>, warnings: &mut Vec<Error>) -> Result<&'c Process<'a>> {
    let Some(process) = &config.process else {
        return Err(Error::invalid(format_args!("process is missing")));
    };
    for (key, _) in config.annotations.iter().filter(|(key, _)| is_unknown(key)) {
        warnings.push(Error::invalid(format_args!("annotations.{}: unknown, ignored", Show(key))));
    }
    foreign::check(&config.annotations, &process.args).map(|()| process)
}
