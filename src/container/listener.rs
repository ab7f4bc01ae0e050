//! Who takes the listener of a container's seccomp filter, and what is said of it (config-linux.md, "The Container
//! Process State").

use alloc::format;
use alloc::string::String;
use core::ffi::CStr;

use miniserde::json::to_string;

use super::store::status::State;
use crate::config::seccomp::Seccomp;
use crate::config::{Config, state};
use crate::error::Result;
use crate::launch::listener::ListenerHandover;

/// What crun says, whose users compare it; the state inside has the configuration's own version.
const VERSION: &str = "0.2.0";

/// A receiver of a listener fd, and what is sent to it as far as known before the clone.
pub struct ListenerReceiver {
    listener: ListenerHandover,
    /// A member of the process's state, or nothing.
    metadata: String,
    /// The container's state, but for status and pid.
    state: String,
}

impl ListenerReceiver {
    /// Connects to whom the configuration names. `bundle` is absolute.
    pub fn connect(config: &Config<'_>, id: &CStr, bundle: &CStr) -> Result<Option<Self>> {
        let Some(path) = config.seccomp_receiver() else { return Ok(None) };
        let section = config.linux.seccomp.as_ref();
        // "If the SCMP_ACT_NOTIFY action is not used this value is ignored": then nobody needs to listen. But who
        // does gets it all the same, as from crun. What a finished program does is not known.
        let needed =
            section.is_none_or(Seccomp::notifies) || config.annotation(c"run.oci.seccomp_bpf_data").is_some();
        let metadata = section.and_then(|seccomp| seccomp.listener_metadata);
        let metadata = metadata.map(|text| format!("\"metadata\":{},", to_string(&text.to_string_lossy())));
        Ok(Some(ListenerReceiver {
            listener: ListenerHandover::connect(path.into(), needed)?,
            metadata: metadata.unwrap_or_default(),
            state: state::json(config, id, bundle),
        }))
    }

    /// With what is known of the process: its own pid, and the container's.
    pub fn handover(mut self, pid: i32, status: State, container: i32) -> ListenerHandover {
        let (metadata, status) = (&self.metadata, status.name());
        let rest = self.state.get(1..).unwrap_or_default();
        self.listener.state = format!(
            "{{\"ociVersion\":\"{VERSION}\",\"fds\":[\"seccompFd\"],{metadata}\"pid\":{pid},\"state\":{{\"status\":\"{status}\",\"pid\":{container},{rest}}}"
        );
        self.listener
    }
}
