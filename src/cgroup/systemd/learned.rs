//! The cache of properties that a systemd instance has rejected as unknown: each would otherwise cost a failed call for
//! every container.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use rustix::fs::{AtFlags, CWD, statat};

use super::call::Systemd;
use crate::error::{At, Result};
use crate::os::dbus::Address;

/// The file that contains the properties.
pub trait Cache {
    /// Its content; `None` if it does not exist or cannot be read.
    fn read(&self) -> Option<Vec<u8>>;
    /// Replaces its content. Errors are ignored: the properties are then determined again.
    fn write(&self, text: &[u8]);
}

/// Connects to systemd at the first address at which it replies, and loads the cache. `ordinary` is whether the user is
/// unprivileged.
pub fn connect(addresses: &[Address], ordinary: bool, cache: &dyn Cache) -> Result<Systemd> {
    let mut systemd = Systemd::connect(addresses, ordinary).at(format_args!("systemd"))?;
    if let Some(text) = cache.read()
        && let mut lines = text.split(|byte| *byte == b'\n')
        && lines.next() == Some(instance(&systemd).as_bytes())
    {
        systemd.unsupported = lines.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    }
    Ok(systemd)
}

/// Saves the properties, if any were added on this connection.
pub fn save(systemd: &Systemd, cache: &dyn Cache) {
    if systemd.has_new_unsupported {
        let text = format!("{}\n{}", instance(systemd), systemd.unsupported.join("\n"));
        cache.write(text.as_bytes());
    }
}

/// Identifies the running systemd by its socket, which is created again if systemd is upgraded or re-executed.
fn instance(systemd: &Systemd) -> String {
    let address = systemd.address_text();
    match statat(CWD, address.as_str(), AtFlags::empty()) {
        Ok(stat) => format!("{address} {} {}.{}", stat.st_ino, stat.st_ctime, stat.st_ctime_nsec),
        Err(_) => address,
    }
}
