//! Where in the hierarchies a cgroup manager puts the cgroups of containers.

use alloc::string::String;

/// The part of a cgroup manager that a plan depends on.
#[derive(Clone, Debug)]
pub enum Placement {
    /// `linux.cgroupsPath` counts from the root of the hierarchies (cgroupfs).
    Root,
    /// It counts from this cgroup, `/a/b`, which was delegated (cgroupfs).
    Below(String),
    /// In a scope of systemd.
    Systemd(SystemdPlacement),
    /// Containers get no cgroup.
    Disabled,
}

/// The properties of a systemd instance that decide where its scopes are.
#[derive(Clone, Debug)]
pub struct SystemdPlacement {
    /// The cgroup of the instance, in which its units are.
    pub root: String,
    /// Whether it is a user's instance.
    pub is_user: bool,
    /// Whether this process may not move processes into cgroups of the instance: systemd has to.
    pub is_outside: bool,
}
