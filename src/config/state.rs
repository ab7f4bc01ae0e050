//! The state of a container as it is passed to hooks and to the seccomp agent, which receives the listener fd
//! (runtime.md, "State").

use alloc::collections::BTreeMap;
use alloc::string::String;
use core::ffi::CStr;

use miniserde::Serialize;

use super::Config;

/// The constant members of the state; `root` is an extension of crun.
#[derive(Serialize)]
struct State<'s> {
    #[serde(rename = "ociVersion")]
    oci_version: &'s str,
    id: &'s str,
    bundle: &'s str,
    root: &'s str,
    annotations: BTreeMap<&'s str, &'s str>,
}

/// The state as JSON without `status` and `pid`, which are inserted after the first brace; `bundle` is absolute.
pub fn json(config: &Config<'_>, id: &CStr, bundle: &CStr) -> String {
    fn text(text: &CStr) -> &str {
        text.to_str().unwrap_or_default()
    }
    miniserde::json::to_string(&State {
        oci_version: config.oci_version,
        id: text(id),
        bundle: text(bundle),
        root: text(config.root.path),
        annotations: config.annotations.iter().map(|(key, value)| (text(key), text(value))).collect(),
    })
}
