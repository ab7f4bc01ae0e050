//! Payload verbs of an attacker: each does something that a container may do, as often as possible.

use super::{number, print, print_result};
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use crate::sys;
use crate::sys::attack::{attach, detach, exchange as exchange_names, keyctl};

/// Whether the standard input has data or is closed, which ends an attack.
fn is_stopped() -> bool {
    sys::readable(&std::io::stdin(), Duration::ZERO).unwrap_or(true)
}

/// Exchanges two names until the standard input has data.
pub fn exchange(words: &[&str]) {
    let [one, two] = words else { return };
    let (one, two) = (Path::new(one), Path::new(two));
    print_result("exchange", exchange_names(one, two).map(|()| "ok"));
    let mut count = 0;
    while !is_stopped() {
        for _ in 0..100 {
            count += i32::from(exchange_names(one, two).is_ok());
        }
    }
    print("exchanged", count);
}

fn name_of(pid: i32) -> Option<String> {
    Some(fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim().to_string())
}

type Way = (&'static str, fn(i32) -> bool);

/// Accesses that give control over a process, or over files of the host that it has open. During execve(2) the
/// links can be followed while the name is still the old one; they then refer to files of the container.
const WAYS: &[Way] = &[
    ("exe", |pid| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|path| !path.ends_with("payload"))),
    ("root", |pid| leads_outside(pid, "root")),
    ("cwd", |pid| leads_outside(pid, "cwd")),
    ("fd", has_more_open),
    ("mem", |pid| File::options().read(true).write(true).open(format!("/proc/{pid}/mem")).is_ok()),
    ("environ", |pid| fs::read(format!("/proc/{pid}/environ")).is_ok_and(|text| !text.is_empty())),
    ("ptrace", |pid| attach(pid).is_ok()),
];

fn leads_outside(pid: i32, link: &str) -> bool {
    let opened = File::open(format!("/proc/{pid}/{link}"));
    opened.is_ok_and(|place| !Path::new(&format!("/proc/self/fd/{}/payload", place.as_raw_fd())).exists())
}

/// Whether a process has more open than the process of a container: the standard file descriptors, and the channel
/// until execve.
fn has_more_open(pid: i32) -> bool {
    let names = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let others = names.filter(|name| !["0", "1", "2"].iter().any(|number| name.file_name() == *number));
    let mut targets = others.filter_map(|name| fs::read_link(name.path()).ok());
    targets.any(|target| !target.display().to_string().starts_with("socket:"))
}

/// Tries to access every process that is not a payload, until the standard input has data. Reports each access that
/// succeeded, and the number of attempts.
pub fn access_processes(_: &[&str]) {
    print("accessing", "1");
    let [own, ..] = sys::process_ids();
    let is_other = |pid: i32| name_of(pid).is_some_and(|name| name != "payload");
    let mut looks = 0;
    while !is_stopped() {
        let names = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids: Vec<i32> = names.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        for pid in pids.into_iter().filter(|pid| *pid != own) {
            for (way, open) in WAYS {
                if !is_other(pid) {
                    break;
                }
                looks += 1;
                let opened = open(pid);
                // It may have executed the payload since, which may be accessed.
                if opened && is_other(pid) {
                    print(&format!("accessed:{way}"), name_of(pid).unwrap_or_default());
                }
                if opened && *way == "ptrace" {
                    detach(pid);
                }
            }
        }
    }
    print("looks", looks);
}

/// Creates nested directories.
pub fn deep(words: &[&str]) {
    let [top, count] = words else { return };
    if let Err(error) = std::env::set_current_dir(top) {
        return print_result("deep", Err::<&str, _>(error));
    }
    for made in 0..number(count) {
        if let Err(error) = fs::create_dir("deep").and_then(|()| std::env::set_current_dir("deep")) {
            print("made", made);
            return print_result("deep", Err::<&str, _>(error));
        }
    }
    print("deep", "ok");
}

/// Removes the directories of `deep`.
pub fn shallow(words: &[&str]) {
    let top = words.concat();
    let mut depth = 0;
    if std::env::set_current_dir(&top).is_ok() {
        while std::env::set_current_dir("deep").is_ok() {
            depth += 1;
        }
    }
    for _ in 0..depth {
        let removed = std::env::set_current_dir("..").and_then(|()| fs::remove_dir("deep"));
        if let Err(error) = removed {
            return print_result("shallow", Err::<&str, _>(error));
        }
    }
    print("shallow", depth);
}

const GET_KEYRING_ID: u32 = 0;
const JOIN_SESSION_KEYRING: u32 = 1;
const SETPERM: u32 = 5;
const SESSION: libc::c_long = -3;

/// Creates a session keyring with a name, which everybody may find and use.
pub fn keyring(words: &[&str]) {
    let name = words.concat() + "\0";
    let made = keyctl(JOIN_SESSION_KEYRING, [name.as_ptr() as libc::c_long, 0, 0])
        .and_then(|serial| keyctl(SETPERM, [serial, 0x3f3f_3f3f, 0]).map(|_| serial));
    print_result("keyring", made);
}

/// The serial number of the session keyring.
pub fn session(_: &[&str]) {
    print_result("session", keyctl(GET_KEYRING_ID, [SESSION, 0, 0]));
}

/// Leaves a root that chroot(2) has set: the working directory stays outside of a second chroot.
pub fn climb(_: &[&str]) {
    let climbed = || {
        fs::create_dir_all("/tmp/cell")?;
        std::os::unix::fs::chroot("/tmp/cell")?;
        (0..40).try_for_each(|_| std::env::set_current_dir(".."))?;
        names(".")
    };
    print_result("climb", climbed());
}

/// The names in a directory, sorted.
fn names(directory: &str) -> std::io::Result<String> {
    let names =
        fs::read_dir(directory)?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    Ok(names.join(" "))
}

/// Unmounts the root, and lists what the root of the mount namespace is then.
pub fn beneath(_: &[&str]) {
    let looked = || {
        let own = fs::File::open("/proc/self/ns/mnt")?;
        while sys::umount(Path::new("/")).is_ok() {
            // Joining a mount namespace sets the root directory to its root.
            sys::setns(own.as_raw_fd())?;
        }
        names(".")
    };
    print_result("beneath", looked());
}

/// Mounts a procfs without masks, in new namespaces.
pub fn reveal(words: &[&str]) {
    let place = words.first().copied().unwrap_or("");
    let apart = sys::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID);
    match apart.and_then(|()| sys::fork()) {
        Ok(0) => {
            let mounted = sys::mount("proc", std::path::Path::new(place), "proc", 0, "");
            print_result("reveal", mounted.map(|()| "ok"));
            sys::exit(0)
        }
        Ok(pid) => drop(sys::wait(pid)),
        Err(error) => print_result("reveal", Err::<&str, _>(error)),
    }
}
