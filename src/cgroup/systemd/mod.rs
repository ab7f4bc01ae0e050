//! The systemd cgroup manager: a scope for each container (systemd.scope(5), org.freedesktop.systemd1(5), "Control
//! Group APIs and Delegation").
//!
//! The scope has the limits that systemd supports as properties. Below it the container has its own cgroup, to which
//! all limits are written exactly, as without systemd.

mod annotation;
pub(crate) mod attach;
pub mod bus;
pub(crate) mod call;
mod device;
pub(crate) mod learned;
mod lifecycle;
pub(crate) mod name;
pub(crate) mod placeholder;
pub(crate) mod property;
pub(crate) mod scope;
mod unreachable;
