//! The state of a container as JSON (runtime.md, "State").

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};

use miniserde::{Serialize, json};

use crate::container::state::Report;
use crate::host;

/// The members of runtime.md, "State", and the additional members of crun and runc.
#[derive(Serialize)]
struct State<'a> {
    #[serde(rename = "ociVersion")]
    oci_version: &'a str,
    id: &'a str,
    pid: i32,
    status: &'a str,
    bundle: &'a str,
    rootfs: &'a str,
    created: &'a str,
    owner: String,
    annotations: BTreeMap<&'a str, &'a str>,
}

/// The state of a container as compact JSON.
pub fn text(report: &Report) -> String {
    json::to_string(&State {
        oci_version: &report.oci_version,
        id: &report.id,
        pid: report.pid,
        status: report.state.name(),
        bundle: &report.bundle,
        rootfs: &report.rootfs,
        created: &report.created,
        owner: user_name(report.owner),
        annotations: report.annotations.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
    })
}

/// The name of a user of the host (passwd(5)), or the user ID if it has no name.
pub fn user_name(uid: u32) -> String {
    // Most containers belong to root, whose name is the same everywhere: no need to read the file.
    if uid == 0 {
        return "root".into();
    }
    host::user_name(uid).unwrap_or_else(|| uid.to_string())
}
