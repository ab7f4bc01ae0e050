//! Cgroups that the runtime creates, in the layout of this machine, with v1 only, and with v2 only.

pub mod block;
pub mod bus;
pub mod deep;
pub mod delegate;
pub mod device_rules;
pub mod devices;
pub mod frozen;
pub mod kill;
pub mod limit;
pub mod named;
pub mod occupied;
pub mod path;
pub mod removed;
pub mod scope;
pub mod small_limit;
pub mod systemd;
pub mod threaded;
pub mod undelegated;
pub mod unified;
pub mod unprivileged;
pub mod update;
pub mod user_manager;

use std::fs;
use std::path::{Path, PathBuf};

use crate::check::{Outcome, fail, skip_allowed};
use crate::rig::{Layout, Rig, Runtime};

/// Declares each test three times: in the layout of this machine, with v1 only (`_v1`), and with v2 only (`_v2`).
#[macro_export]
macro_rules! tests_in_layouts {
    ($($name:ident),* $(,)?) => {
        pub const TESTS: &[$crate::runner::Test] = &[$(
            $crate::runner::Test {
                name: concat!("cgroups::", stringify!($name)),
                body: |rig| $crate::cgroups::in_layout(rig, $crate::rig::Layout::Machine, $name),
                alone: false,
            },
            $crate::runner::Test {
                name: concat!("cgroups::", stringify!($name), "_v1"),
                body: |rig| $crate::cgroups::in_layout(rig, $crate::rig::Layout::V1, $name),
                alone: false,
            },
            $crate::runner::Test {
                name: concat!("cgroups::", stringify!($name), "_v2"),
                body: |rig| $crate::cgroups::in_layout(rig, $crate::rig::Layout::V2, $name),
                alone: false,
            },
        )*];
    };
}

pub fn in_layout(rig: &mut Rig, layout: Layout, body: fn(&mut Rig) -> Outcome) -> Outcome {
    rig.set_layout(layout)?;
    if layout != rig.layout {
        return skip_allowed("this is the machine's own layout");
    }
    if rig.is(Runtime::Crun) && rig.layout == Layout::Machine && !unified(rig) {
        return skip_allowed("crun rejects the hybrid layout");
    }
    body(rig)
}

/// Whether the runtime sees cgroup v2 only.
pub fn unified(rig: &Rig) -> bool {
    matches!(rig.layout, Layout::V2 | Layout::Named)
        || Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// The mount point of the v2 hierarchy on this machine.
pub fn unified_top() -> PathBuf {
    let hybrid = PathBuf::from("/sys/fs/cgroup/unified");
    if hybrid.exists() { hybrid } else { PathBuf::from("/sys/fs/cgroup") }
}

/// The directory of the container's cgroup that has the files of a controller, given its names on v1 and v2, and
/// whether that is on v2. Skips the test if the runtime sees no such controller.
pub fn controller_dir(rig: &Rig, v1: &str, v2: &str) -> Outcome<(PathBuf, bool)> {
    if !unified(rig) && is_v1(v1) {
        return Ok((Path::new("/sys/fs/cgroup").join(v1).join(&rig.cgroup), false));
    }
    let list = fs::read_to_string(unified_top().join("cgroup.controllers"))?;
    match rig.layout != Layout::V1 && list.split_whitespace().any(|name| name == v2) {
        true => Ok((unified_top().join(&rig.cgroup), true)),
        false => skip_allowed(format_args!("no {v2} controller in this layout")),
    }
}

/// Whether a v1 hierarchy of this name is mounted. The directory may exist without a mount.
pub fn is_v1(name: &str) -> bool {
    Path::new("/sys/fs/cgroup").join(name).join("cgroup.procs").exists()
}

/// The contents of a file, without whitespace at the ends.
pub fn content(directory: &Path, file: &str) -> Outcome<String> {
    let path = directory.join(file);
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.trim().to_string())
}

/// The path of a process's cgroup for a controller, from /proc/PID/cgroup; an empty name is the v2 hierarchy.
pub fn path_of(pid: i32, controller: &str) -> Outcome<String> {
    let table = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    for line in table.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let names = parts.next().unwrap_or("");
        if names.split(',').any(|name| name == controller) {
            return Ok(parts.next().unwrap_or("").to_string());
        }
    }
    fail(format_args!("no {controller:?} in {table:?}"))
}

/// A controller that every layout has: pids on v1, or the v2 hierarchy itself.
fn main_controller(rig: &Rig) -> &'static str {
    if unified(rig) { "" } else { "pids" }
}
