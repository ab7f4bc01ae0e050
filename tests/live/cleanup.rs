//! Finds and removes what a test leaves behind.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::rig::Rig;
use crate::sys;

/// A description of everything that a test left behind.
pub fn leftovers(rig: &Rig) -> Vec<String> {
    let mut found = Vec::new();
    for pid in processes("MOTE_LIVE", &rig.marker) {
        if !wait_for_exit(pid) {
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

/// Removes everything that a test left behind.
pub fn clean_up(rig: &Rig) {
    for path in [cgroups(&rig.cgroup), cgroups(&rig.id)].concat() {
        // A frozen v1 cgroup delays SIGKILL. Only one of the two files exists.
        let _ = fs::write(path.join("freezer.state"), "THAWED");
        let _ = fs::write(path.join("cgroup.freeze"), "0");
    }
    // Repeated: a process may start another one during a pass.
    for _ in 0..10 {
        let names = ["MOTE_LIVE_HOST", "MOTE_LIVE"];
        let found = names.map(|name| processes(name, &rig.marker)).concat();
        for pid in &found {
            let _ = sys::kill(*pid, libc::SIGKILL);
            wait_for_exit(*pid);
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

/// Processes with the marker in their environment, in any namespace. `MOTE_LIVE` marks runtimes and processes of
/// containers, `MOTE_LIVE_HOST` the payloads of a test on the host.
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

/// Waits a limited time for a killed process to exit.
fn wait_for_exit(pid: i32) -> bool {
    match sys::pidfd(pid) {
        Ok(pidfd) => sys::readable(&pidfd, Duration::from_secs(2)).unwrap_or(false),
        Err(_) => true,
    }
}

/// The entries of a state root, without files that containers share, whose names begin with a dot.
fn states(root: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(root).into_iter().flatten().flatten();
    let hidden = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with('.')
    };
    names.map(|entry| entry.path()).filter(|path| !hidden(path)).collect()
}

/// Every directory of the cgroup file systems whose name begins with `name`, and those below, parents first.
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
                // A cgroup of another test, which may have created thousands below it.
                continue;
            }
            open.push((entry.path(), inside));
        }
    }
    found.sort();
    found
}

/// Whether the last name of the path is `name`, or begins with it and continues with something other than a digit,
/// which would be another test.
fn is_named(path: &Path, name: &str) -> bool {
    let last = path.file_name().unwrap_or_default().to_string_lossy();
    last.strip_prefix(name).is_some_and(|rest| !rest.starts_with(|letter: char| letter.is_ascii_digit()))
}

/// Removes all cgroups of a name, and kills the processes in them.
pub fn remove_cgroups(name: &str) {
    for path in cgroups(name).iter().rev() {
        remove_cgroup(path);
    }
}

/// Removes a cgroup, and kills the processes in it.
pub fn remove_cgroup(path: &Path) {
    let members = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    for pid in members.lines().filter_map(|line| line.parse().ok()) {
        let _ = sys::kill(pid, libc::SIGKILL);
        wait_for_exit(pid);
    }
    // A cgroup is busy for a moment after its last process has exited, and v1 has no event for that.
    for _ in 0..200 {
        match fs::remove_dir(path) {
            Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                std::thread::sleep(Duration::from_millis(5));
            }
            _ => return,
        }
    }
}

/// Mounts at or below a directory, parents first.
fn mounts(dir: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let places = table.lines().filter_map(|line| line.split(' ').nth(4));
    places.map(PathBuf::from).filter(|path| path.starts_with(dir)).collect()
}
