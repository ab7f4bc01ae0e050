//! Access to the operating system without unsafe code: files, procfs, sockets, netlink, D-Bus.

pub mod dbus;
pub mod file;
pub mod netlink;
pub mod procfs;
pub mod scm_rights;
