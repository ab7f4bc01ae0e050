//! The receiver of the listener fd of a container's seccomp filter, and the state that is sent with the fd
//! (config-linux.md, "The Container Process State").

use alloc::format;
use alloc::string::String;
use core::ffi::CStr;

use miniserde::json::to_string;

use super::store::status::State;
use crate::config::seccomp::Seccomp;
use crate::config::{Config, state};
use crate::error::Result;
use crate::launch::listener::ListenerHandover;

/// `ociVersion` of the container process state: crun's value, which agents compare. The `state` inside it has the
/// version of the configuration.
const VERSION: &str = "0.2.0";

/// A connection to the receiver of a listener fd, and the state that is sent to it, as far as known before the clone.
pub struct ListenerReceiver {
    listener: ListenerHandover,
    /// The member `metadata` of the container process state, or empty.
    metadata: String,
    /// The container's state, without status and PID.
    state: String,
}

impl ListenerReceiver {
    /// Connects to `linux.seccomp.listenerPath`; `None` if it is not set. `bundle` is absolute.
    pub fn connect(config: &Config<'_>, id: &CStr, bundle: &CStr) -> Result<Option<Self>> {
        let Some(path) = config.seccomp_receiver() else { return Ok(None) };
        let section = config.linux.seccomp.as_ref();
        // "If the SCMP_ACT_NOTIFY action is not used this value is ignored", so a failure to connect is not an error
        // then. If the connection succeeds, the message is sent anyway, as by crun. The actions of a precompiled filter
        // are not known: it may use SCMP_ACT_NOTIFY.
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

    /// Completes the state: `pid` is the PID of the process, `container` that of the container init.
    pub fn handover(mut self, pid: i32, status: State, container: i32) -> ListenerHandover {
        let (metadata, status) = (&self.metadata, status.name());
        let rest = self.state.get(1..).unwrap_or_default();
        self.listener.state = format!(
            "{{\"ociVersion\":\"{VERSION}\",\"fds\":[\"seccompFd\"],{metadata}\"pid\":{pid},\"state\":{{\"status\":\"{status}\",\"pid\":{container},{rest}}}"
        );
        self.listener
    }
}
