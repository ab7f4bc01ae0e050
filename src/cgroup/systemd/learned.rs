//! The properties that a systemd has rejected as unknown, cached between commands: each would otherwise cost a failed
//! call at every start.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use rustix::fs::{AtFlags, CWD, statat};

use super::call::Systemd;
use crate::error::{At, Result};
use crate::os::dbus::Address;

/// The file that has them.
pub trait Cache {
    /// Its content; `None` when there is none, or it cannot be read.
    fn read(&self) -> Option<Vec<u8>>;
    /// Replaces it. Without effect where that fails: the properties are then learned again.
    fn write(&self, text: &[u8]);
}

/// Connects to systemd at the first address that answers.
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

/// Saves what was learned over this connection.
pub fn save(systemd: &Systemd, cache: &dyn Cache) {
    if systemd.has_new_unsupported {
        let text = format!("{}\n{}", instance(systemd), systemd.unsupported.join("\n"));
        cache.write(text.as_bytes());
    }
}

/// Names the running systemd: one of another version, or re-executed, has created its socket anew.
fn instance(systemd: &Systemd) -> String {
    let address = systemd.address_text();
    match statat(CWD, address.as_str(), AtFlags::empty()) {
        Ok(stat) => format!("{address} {} {}.{}", stat.st_ino, stat.st_ctime, stat.st_ctime_nsec),
        Err(_) => address,
    }
}
