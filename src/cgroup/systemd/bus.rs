//! The D-Bus addresses at which systemd may be reached.

use alloc::ffi::CString;
use alloc::vec::Vec;

use crate::os::dbus::{Address, parse};

/// The environment variables that determine the addresses of buses.
#[derive(Clone, Debug, Default)]
pub struct Buses {
    /// DBUS_SESSION_BUS_ADDRESS
    pub session: Option<CString>,
    /// XDG_RUNTIME_DIR
    pub runtime: Option<CString>,
    /// DBUS_SYSTEM_BUS_ADDRESS
    pub system: Option<CString>,
}

impl Buses {
    /// The addresses to try, in order: for root the private socket of systemd, which needs no bus; for an unprivileged
    /// user (`ordinary`) the user's bus and the private socket of the user's systemd; then the system bus.
    pub(crate) fn addresses(&self, ordinary: bool) -> Vec<Address> {
        let mut list = Vec::new();
        if ordinary {
            list.extend(self.session.iter().flat_map(|text| parse(text.as_bytes())));
            let runtime = self.runtime.as_deref().map(|path| path.to_bytes());
            if let Some(runtime) = runtime.filter(|path| path.starts_with(b"/")) {
                list.push(Address::path(&[runtime, b"/bus"].concat(), true));
                list.push(Address::path(&[runtime, b"/systemd/private"].concat(), false));
            }
        } else {
            list.push(Address::path(b"/run/systemd/private", false));
        }
        match &self.system {
            Some(text) => list.extend(parse(text.as_bytes())),
            None => list.push(Address::path(b"/run/dbus/system_bus_socket", true)),
        }
        list
    }
}
