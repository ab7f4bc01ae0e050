//! The place in the hierarchies at which a cgroup manager creates the cgroups of containers.

use alloc::string::String;

/// The part of a cgroup manager that a plan depends on.
#[derive(Clone, Debug)]
pub enum Placement {
    /// `linux.cgroupsPath` is relative to the root of the hierarchies (cgroupfs).
    Root,
    /// `linux.cgroupsPath` is relative to this delegated cgroup, `/a/b` (cgroupfs).
    Below(String),
    /// Cgroups are in systemd scopes.
    Systemd(SystemdPlacement),
    /// Containers get no cgroup.
    Disabled,
}

/// The properties of a systemd instance that determine the cgroups of its scopes.
#[derive(Clone, Debug)]
pub struct SystemdPlacement {
    /// The cgroup that contains the instance's units.
    pub root: String,
    /// Whether it is a user instance (`systemd --user`).
    pub is_user: bool,
    /// Whether this process is not permitted to move processes into cgroups of the instance, so systemd has to.
    pub is_outside: bool,
}
