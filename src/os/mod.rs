//! Access to the operating system without unsafe code: files, procfs, sockets, netlink, D-Bus.

pub mod dbus;
pub mod descriptor;
pub mod file;
pub(crate) mod netlink;
pub(crate) mod process;
pub(crate) mod procfs;
pub mod scm_rights;
