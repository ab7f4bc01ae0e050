//! The plan of a container: every room's plan, made in the order in which one needs another's result.
//! After this nobody reads the configuration.

use alloc::vec::Vec;
use core::ffi::CStr;

use crate::cgroup;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::namespace::{self, sysctl, time, user as maps, uts};
use crate::process::{caps, env, exec, fds, keyring, oom, rlimit, signals, user};
use crate::rootfs;
use crate::spec::linux::NamespaceKind as Kind;
use crate::spec::{Config, Process};

/// What is said on the command line, and of the bundle.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    pub id: &'a CStr,
    /// The bundle's directory, absolute.
    pub bundle: &'a CStr,
    /// `--no-pivot` takes it away.
    pub pivot: bool,
    /// `--no-new-keyring` takes it away.
    pub new_keyring: bool,
    /// `--cgroup-manager disabled`.
    pub no_cgroup: bool,
    /// `--preserve-fds`.
    pub preserve_fds: u32,
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
    pub cgroup: Option<cgroup::Plan>,
    pub rootfs: rootfs::Plan<'a>,
    pub process: ProcessPlan<'a>,
    /// In a user namespace, new or joined.
    pub user_namespace: bool,
    /// In a network namespace that nobody has set up.
    pub own_network: bool,
}

/// The part about the process.
#[derive(Debug)]
pub struct ProcessPlan<'a> {
    pub user: user::Plan,
    pub caps: caps::Plan,
    pub no_new_privileges: bool,
    pub rlimits: rlimit::Plan,
    pub oom: oom::Plan,
    pub keyring: keyring::Plan<'a>,
    pub cwd: &'a CStr,
    pub env: env::Plan<'a>,
    pub exec: exec::Plan<'a>,
    pub fds: fds::Plan,
    pub signals: signals::Plan,
}

impl<'a> Plan<'a> {
    /// Makes the plan; nothing is done. `warnings` takes what is worth a word but no failure.
    pub fn new(
        config: &Config<'a>,
        host: &Host,
        options: &Options<'a>,
        warnings: &mut Vec<Error>,
    ) -> Result<Self> {
        let Some(process) = &config.process else {
            return Err(Error::invalid(format_args!("process is missing")));
        };
        refuse(config, process)?;
        let linux = &config.linux;

        let mut namespaces = namespace::Plan::new(&linux.namespaces, !linux.time_offsets.is_empty())?;
        let (fresh, joined) = (namespaces.is_new(Kind::User), namespaces.is_joined(Kind::User));
        let maps = maps::Plan::new(&linux.uid_mappings, &linux.gid_mappings, fresh, joined, host)?;
        let denied = maps.as_ref().is_some_and(maps::Plan::denies_setgroups);
        let user_namespace = namespaces.has(Kind::User);

        let uts = uts::Plan::new(config.hostname, config.domainname, &mut namespaces)?;
        let named = config.hostname.is_some_and(|name| !name.is_empty());
        let sysctl = sysctl::Plan::new(&linux.sysctl, &mut namespaces, named)?;
        let time = time::Plan::new(&linux.time_offsets, namespaces.is_new(Kind::Time))?;

        let id = options.id.to_str().unwrap_or_default();
        let cgroup = cgroup::Plan::new(linux, id, options.no_cgroup, host)?;
        let around = rootfs::Surroundings {
            bundle: options.bundle,
            user_namespace,
            pivot: options.pivot,
            cgroup: rootfs::cgroup::View {
                layout: host.cgroups.clone(),
                path: cgroup.as_ref().map(|cgroup| cgroup.path.clone()),
                namespace: namespaces.has(Kind::Cgroup),
            },
        };
        let rootfs = rootfs::Plan::new(config, &around)?;
        let keep_groups = annotation(config, c"run.oci.keep_original_groups");

        // Whoever enters a user namespace has all of them there.
        let available = if user_namespace { u64::MAX } else { host.capabilities };
        let own_network = namespaces.is_new(Kind::Network);
        let process = ProcessPlan {
            user: user::Plan::new(&process.user, denied, keep_groups)?,
            caps: caps::Plan::new(process.capabilities.as_ref(), available, &mut |warning| {
                warnings.push(warning)
            }),
            no_new_privileges: process.no_new_privileges,
            rlimits: rlimit::Plan::new(&process.rlimits),
            oom: oom::Plan::new(process.oom_score_adj),
            keyring: keyring::Plan(options.new_keyring.then_some(options.id)),
            cwd: process.cwd,
            env: env::Plan::new(&process.env),
            exec: exec::Plan::new(&process.args, &process.env)?,
            fds: fds::Plan { preserved: options.preserve_fds },
            signals: signals::Plan { ignored: host.ignored_signals },
        };
        Ok(Plan { namespaces, maps, time, uts, sysctl, cgroup, rootfs, process, user_namespace, own_network })
    }

    /// Whether some step goes through the host's procfs.
    pub fn needs_proc(&self) -> bool {
        self.maps.is_some()
            || !self.time.is_empty()
            || !self.sysctl.is_empty()
            || !self.process.oom.is_empty()
    }
}

/// An annotation that is set, and not to "0".
fn annotation(config: &Config<'_>, key: &CStr) -> bool {
    config.annotations.iter().any(|(name, value)| *name == key && *value != c"0")
}

/// What mote reads but cannot do yet. Nothing of a configuration is ignored in silence.
fn refuse(config: &Config<'_>, process: &Process<'_>) -> Result<()> {
    let (linux, hooks) = (&config.linux, &config.hooks);
    let refused = [
        (process.terminal, "process.terminal"),
        (process.apparmor_profile.is_some_and(|profile| profile != c"unconfined"), "process.apparmorProfile"),
        (process.selinux_label.is_some(), "process.selinuxLabel"),
        (process.scheduler.is_some(), "process.scheduler"),
        (process.io_priority.is_some(), "process.ioPriority"),
        (!hooks.prestart.is_empty(), "hooks.prestart"),
        (!hooks.create_runtime.is_empty(), "hooks.createRuntime"),
        (!hooks.create_container.is_empty(), "hooks.createContainer"),
        (!hooks.start_container.is_empty(), "hooks.startContainer"),
        (!hooks.poststart.is_empty(), "hooks.poststart"),
        (!hooks.poststop.is_empty(), "hooks.poststop"),
        (!linux.net_devices.is_empty(), "linux.netDevices"),
        (linux.intel_rdt.is_some(), "linux.intelRdt"),
        (linux.memory_policy.is_some(), "linux.memoryPolicy"),
        (linux.personality.is_some(), "linux.personality"),
        (linux.seccomp.is_some(), "linux.seccomp"),
        (linux.mount_label.is_some(), "linux.mountLabel"),
    ];
    match refused.iter().find(|(given, _)| *given) {
        Some((_, field)) => Err(Error::unsupported(format_args!("{field}: not supported yet"))),
        None => Ok(()),
    }
}
