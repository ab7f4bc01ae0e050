//! The systemd cgroup manager: a scope for each container (systemd.scope(5), org.freedesktop.systemd1(5), "Control
//! Group APIs and Delegation").
//!
//! The scope has the limits that systemd supports as properties. Below it the container has its own cgroup, to which
//! all limits are written exactly, as without systemd.

mod annotation;
pub mod attach;
pub mod bus;
pub mod call;
mod device;
pub mod learned;
mod lifecycle;
pub mod name;
pub mod placeholder;
pub mod property;
pub mod scope;
