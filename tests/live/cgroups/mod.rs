//! Cgroups made by the runtime itself, in the machine's own layout and in each of the pure ones.

pub mod block;
pub mod bus;
pub mod deep;
pub mod delegate;
pub mod devices;
pub mod frozen;
pub mod gone;
pub mod kill;
pub mod limit;
pub mod named;
pub mod own;
pub mod path;
pub mod rules;
pub mod scope;
pub mod small;
pub mod stranger;
pub mod systemd;
pub mod threaded;
pub mod unified;
pub mod update;

use std::fs;
use std::path::{Path, PathBuf};

use crate::check::{Outcome, fail, skip_allowed};
use crate::rig::{Layout, Runtime, Rig};

/// Each test three times: as the machine is, with v1 alone, with v2 alone.
#[macro_export]
macro_rules! tests_in_layouts {
    ($($name:ident),* $(,)?) => {
        pub const TESTS: &[$crate::runner::Test] = &[$(
            $crate::runner::Test {
                name: concat!("cgroups::", stringify!($name)),
                body: |rig| $crate::cgroups::within(rig, $crate::rig::Layout::Machine, $name),
                alone: false,
            },
            $crate::runner::Test {
                name: concat!("cgroups::", stringify!($name), "_v1"),
                body: |rig| $crate::cgroups::within(rig, $crate::rig::Layout::V1, $name),
                alone: false,
            },
            $crate::runner::Test {
                name: concat!("cgroups::", stringify!($name), "_v2"),
                body: |rig| $crate::cgroups::within(rig, $crate::rig::Layout::V2, $name),
                alone: false,
            },
        )*];
    };
}

pub fn within(rig: &mut Rig, layout: Layout, body: fn(&mut Rig) -> Outcome) -> Outcome {
    rig.set_layout(layout)?;
    if layout != rig.layout {
        return skip_allowed("the machine's layout is no other");
    }
    if rig.is(Runtime::Crun) && rig.layout == Layout::Machine && !unified(rig) {
        return skip_allowed("crun rejects the hybrid layout");
    }
    body(rig)
}

/// Whether the runtime sees one hierarchy for everything.
pub fn unified(rig: &Rig) -> bool {
    matches!(rig.layout, Layout::V2 | Layout::Named)
        || Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// Where the unified hierarchy is mounted on this machine.
pub fn unified_top() -> PathBuf {
    let hybrid = PathBuf::from("/sys/fs/cgroup/unified");
    if hybrid.exists() { hybrid } else { PathBuf::from("/sys/fs/cgroup") }
}

/// Where the container's files of a controller are, by its names on v1 and on v2, and whether that is v2; a skip
/// where the runtime sees none.
pub fn place(rig: &Rig, v1: &str, v2: &str) -> Outcome<(PathBuf, bool)> {
    if !unified(rig) && is_v1(v1) {
        return Ok((Path::new("/sys/fs/cgroup").join(v1).join(&rig.cgroup), false));
    }
    let list = fs::read_to_string(unified_top().join("cgroup.controllers"))?;
    match rig.layout != Layout::V1 && list.split_whitespace().any(|name| name == v2) {
        true => Ok((unified_top().join(&rig.cgroup), true)),
        false => skip_allowed(format_args!("no {v2} controller in this layout")),
    }
}

/// Whether a hierarchy of this name is mounted; the directory may be there without.
pub fn is_v1(name: &str) -> bool {
    Path::new("/sys/fs/cgroup").join(name).join("cgroup.procs").exists()
}

/// What a file says, without blanks around it.
pub fn says(directory: &Path, file: &str) -> Outcome<String> {
    let path = directory.join(file);
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.trim().to_string())
}

/// The path of a process's cgroup for a controller, as the kernel tells it; no name: the unified hierarchy.
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

/// The controller that stands for all: what a process cannot be without, in the layout the runtime sees.
fn chief(rig: &Rig) -> &'static str {
    if unified(rig) { "" } else { "pids" }
}
