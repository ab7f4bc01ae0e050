//! The environment of a container that is a systemd service: socket activation and readiness notification.

use alloc::ffi::CString;
use alloc::format;

use super::notify::SocketMount;
use super::store::directory::Directory;
use crate::config::Config;
use crate::error::Result;

/// What a container that is a systemd service gets in addition to its configuration.
pub struct ServiceEnvironment {
    /// `LISTEN_FDS=N`: the number of fds passed by socket activation (sd_listen_fds(3)).
    listen_fds: Option<CString>,
    /// The mount of its notification socket (sd_notify(3)).
    notify: Option<SocketMount>,
}

impl ServiceEnvironment {
    /// Makes the variables, and the directory of the notification socket if the container `notifies`.
    pub fn new(directory: &Directory, listen_fds: u32, notifies: bool) -> Result<Self> {
        let count = Some(listen_fds).filter(|count| *count > 0);
        Ok(ServiceEnvironment {
            listen_fds: count.and_then(|count| CString::new(format!("LISTEN_FDS={count}")).ok()),
            notify: notifies.then(|| SocketMount::make(directory)).transpose()?,
        })
    }

    /// Adds the variables and the mount to a configuration.
    pub fn add_to<'a>(&'a self, config: &mut Config<'a>) {
        if let Some((process, count)) = config.process.as_mut().zip(self.listen_fds.as_deref()) {
            process.env.extend([count, c"LISTEN_PID=1"]);
        }
        if let Some(place) = &self.notify {
            place.add_to(config);
        }
    }
}
