//! The D-Bus addresses at which systemd may be reached.

use alloc::ffi::CString;
use alloc::vec::Vec;

use rustix::process::geteuid;

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
    /// user (`ordinary`) the user's bus and the private socket of the user's systemd; then the system bus, unless the
    /// user is not root: the systemd of the system delegates no cgroup to the user.
    pub(crate) fn addresses(&self, ordinary: bool) -> Vec<Address> {
        let mut list: Vec<Address> = Vec::new();
        let mut add = |address: Address| {
            if !list.iter().any(|other| other.is_same(&address)) {
                list.push(address);
            }
        };
        let given = |text: &Option<CString>| text.as_ref().map_or(Vec::new(), |text| parse(text.as_bytes()));
        if ordinary {
            given(&self.session).into_iter().for_each(|address| add(address.of("DBUS_SESSION_BUS_ADDRESS")));
            let runtime = self.runtime.as_deref().map(|path| path.to_bytes());
            if let Some(runtime) = runtime.filter(|path| path.starts_with(b"/")) {
                for (name, bus) in [(&b"/bus"[..], true), (b"/systemd/private", false)] {
                    add(Address::path(&[runtime, name].concat(), bus).of("XDG_RUNTIME_DIR"));
                }
            }
            if !geteuid().is_root() {
                return list;
            }
        } else {
            add(Address::path(b"/run/systemd/private", false));
        }
        match &self.system {
            Some(_) => {
                given(&self.system)
                    .into_iter()
                    .for_each(|address| add(address.of("DBUS_SYSTEM_BUS_ADDRESS")));
            }
            None => add(Address::path(b"/run/dbus/system_bus_socket", true)),
        }
        list
    }
}
