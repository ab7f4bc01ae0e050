//! The copy of the configuration that a container was created with, in its state directory.

use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::CStr;

use super::directory::Directory;
use super::status::Status;
use crate::bundle::CONFIG;
use crate::config::Config;
use crate::container::listener::ListenerReceiver;
use crate::error::Result;
use crate::hooks;

/// The saved config.json of a container, not decoded yet.
pub struct SavedConfig {
    text: Vec<u8>,
    id: CString,
    bundle: CString,
}

impl SavedConfig {
    /// Reads the file, which is treated as empty if it is missing.
    pub fn read(directory: &Directory, status: &Status) -> Result<Self> {
        Ok(SavedConfig {
            text: directory.read(CONFIG)?.unwrap_or_default(),
            id: CString::new(directory.id()).unwrap_or_default(),
            bundle: CString::new(status.bundle.as_str()).unwrap_or_default(),
        })
    }

    /// Connects to the receiver of the filter's listener fd; `default` is the default of `linux.seccomp.listenerPath`.
    /// Only callable once: decoding modifies the text.
    pub fn receiver<'a>(&'a mut self, default: Option<&'a CStr>) -> Result<Option<ListenerReceiver>> {
        let mut config = Config::decode("config.json", &mut self.text)?;
        config.set_seccomp_receiver(default);
        ListenerReceiver::connect(&config, &self.id, &self.bundle)
    }

    /// The container's hooks. Only callable once: decoding modifies the text.
    pub fn hooks(&mut self) -> Result<hooks::Plan<'_>> {
        let config = Config::decode("config.json", &mut self.text)?;
        let mut hooks = hooks::Plan::new(&config, &self.id, &self.bundle);
        hooks.open().map(|()| hooks)
    }
}
