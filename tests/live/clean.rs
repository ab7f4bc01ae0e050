//! What a test may leave behind, and how to take it away.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::rig::Rig;
use crate::sys;

/// Everything of a test that should be gone by now, in words.
pub fn leftovers(rig: &Rig) -> Vec<String> {
    let mut found = Vec::new();
    for pid in processes("MOTE_LIVE", &rig.marker) {
        if !ends(pid) {
            found.push(format!("process {pid} ({})", name(pid)));
        }
    }
    for path in states(&rig.state) {
        found.push(format!("state {}", path.display()));
    }
    for path in [cgroups(&rig.cgroup), cgroups(&rig.id)].concat() {
        found.push(format!("cgroup {}", path.display()));
    }
    for path in mounts(&rig.dir) {
        found.push(format!("mount {}", path.display()));
    }
    found
}

/// Takes away whatever a test has left, however it ended.
pub fn sweep(rig: &Rig) {
    for path in [cgroups(&rig.cgroup), cgroups(&rig.id)].concat() {
        // A frozen process cannot die. Only one of the two files is there.
        let _ = fs::write(path.join("freezer.state"), "THAWED");
        let _ = fs::write(path.join("cgroup.freeze"), "0");
    }
    // Again and again: a process may start another while the look goes on.
    for _ in 0..10 {
        let names = ["MOTE_LIVE_HOST", "MOTE_LIVE"];
        let found = names.map(|name| processes(name, &rig.marker)).concat();
        for pid in &found {
            let _ = sys::kill(*pid, libc::SIGKILL);
            ends(*pid);
        }
        if found.is_empty() {
            break;
        }
    }
    remove_cgroups(&rig.cgroup);
    remove_cgroups(&rig.id);
    for path in mounts(&rig.dir).iter().rev() {
        let _ = sys::umount(path);
    }
    let _ = fs::remove_dir_all(&rig.dir);
}

/// Processes with the marker in their environment, in whatever namespace they are. `MOTE_LIVE` marks runtimes
/// and what is in containers, `MOTE_LIVE_HOST` the tests' own processes on the host.
pub fn processes(name: &str, marker: &str) -> Vec<i32> {
    let wanted = format!("{name}={marker}");
    let has = |pid: &i32| {
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|words| words.split(|byte| *byte == 0).any(|word| word == wanted.as_bytes()))
    };
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = names.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(has).collect()
}

fn name(pid: i32) -> String {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&words).replace('\0', " ")
}

/// Gives a process that is being killed the time to end.
fn ends(pid: i32) -> bool {
    match sys::pidfd(pid) {
        Ok(pidfd) => sys::readable(&pidfd, Duration::from_secs(2)).unwrap_or(false),
        Err(_) => true,
    }
}

/// What is in a state directory, without a runtime's shared things, whose names begin with a dot.
fn states(root: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(root).into_iter().flatten().flatten();
    let hidden = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with('.')
    };
    names.map(|entry| entry.path()).filter(|path| !hidden(path)).collect()
}

/// Every directory of the cgroup file systems whose name starts so, and what is below, parents before children.
pub fn cgroups(name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![(PathBuf::from("/sys/fs/cgroup"), false)];
    while let Some((dir, above)) = open.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let kind = entry.file_type();
            if !kind.is_ok_and(|kind| kind.is_dir() && !kind.is_socket()) {
                continue;
            }
            let inside = above || is_named(&entry.path(), name);
            if inside {
                found.push(entry.path());
            } else if entry.file_name().to_string_lossy().starts_with("mote-test-") {
                // Another test's, who may have made thousands.
                continue;
            }
            open.push((entry.path(), inside));
        }
    }
    found.sort();
    found
}

/// The name itself, or the name with an ending, but not that of the test with one digit more.
fn is_named(path: &Path, name: &str) -> bool {
    let last = path.file_name().unwrap_or_default().to_string_lossy();
    last.strip_prefix(name).is_some_and(|rest| !rest.starts_with(|letter: char| letter.is_ascii_digit()))
}

/// Removes all cgroups of a name, with whatever is in them.
pub fn remove_cgroups(name: &str) {
    for path in cgroups(name).iter().rev() {
        remove_cgroup(path);
    }
}

/// Removes one, with whatever is in it.
pub fn remove_cgroup(path: &Path) {
    let members = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    for pid in members.lines().filter_map(|line| line.parse().ok()) {
        let _ = sys::kill(pid, libc::SIGKILL);
        ends(pid);
    }
    // A cgroup is busy for a moment after its last process is gone, and v1 has nothing that could be waited for.
    for _ in 0..200 {
        match fs::remove_dir(path) {
            Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                std::thread::sleep(Duration::from_millis(5));
            }
            _ => return,
        }
    }
}

/// Mounts at or under a directory, parents before children.
fn mounts(dir: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let places = table.lines().filter_map(|line| line.split(' ').nth(4));
    places.map(PathBuf::from).filter(|path| path.starts_with(dir)).collect()
}
