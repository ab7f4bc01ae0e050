//! Payload verbs for the process itself: identity, arguments, environment, signals and children.

use super::{number, print, print_result};
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::sys;

static ARGUMENTS: OnceLock<Vec<String>> = OnceLock::new();

pub fn remember(arguments: &[String]) {
    let _ = ARGUMENTS.set(arguments.to_vec());
}

/// Every argument, beginning with `arg:0`.
pub fn args(_: &[&str]) {
    for (index, word) in ARGUMENTS.get().into_iter().flatten().enumerate() {
        print(&format!("arg:{index}"), word);
    }
}

/// Runs a script. Its orphans become children of this process, which does not wait for them: they stay zombies
/// until it exits.
pub fn adopt(words: &[&str]) {
    sys::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
    let script = std::process::Command::new("/bin/sh").arg("-c").arg(words.concat()).status();
    print_result("adopt", script);
}

/// Sends a message to the service manager (sd_notify(3)).
pub fn notify(words: &[&str]) {
    let path = std::env::var("NOTIFY_SOCKET").unwrap_or_default();
    let sent = std::os::unix::net::UnixDatagram::unbound()
        .and_then(|socket| socket.send_to(words.concat().as_bytes(), path));
    print_result("notify", sent);
}

pub fn print_word(words: &[&str]) {
    print("say", words.concat());
}

/// Prints a word on the standard error.
pub fn warn(words: &[&str]) {
    let line = words.concat() + "\n";
    // A closed standard error cannot be reported.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

pub fn id(_: &[&str]) {
    let [pid, parent, group, session] = sys::process_ids();
    let (users, groups) = sys::identity();
    print("pid", pid);
    print("ppid", parent);
    print("pgid", group);
    print("sid", session);
    let spaced = |list: &[u32]| {
        let words: Vec<String> = list.iter().map(u32::to_string).collect();
        words.join(" ")
    };
    print("uid", spaced(&users));
    print("gid", spaced(&groups));
    print("groups", spaced(&sys::groups()));
}

pub fn umask(_: &[&str]) {
    print("umask", format_args!("{:04o}", sys::umask()));
}

pub fn cwd(_: &[&str]) {
    let here = std::env::current_dir();
    print_result("cwd", here.map(|here| here.display().to_string()));
}

pub fn env(_: &[&str]) {
    for (name, value) in std::env::vars() {
        print(&format!("env:{name}"), value);
    }
}

pub fn exit(words: &[&str]) {
    sys::exit(words.first().map_or(0, |word| number(word)))
}

/// Sends a signal to itself.
pub fn kill(words: &[&str]) {
    let [pid, ..] = sys::process_ids();
    let signal = words.first().map_or(0, |word| number(word));
    print_result("kill", sys::kill(pid, signal).map(|()| "ok"));
}

pub fn signals(_: &[&str]) {
    let (ignored, blocked) = sys::signals();
    let spaced = |list: Vec<i32>| {
        let words: Vec<String> = list.iter().map(i32::to_string).collect();
        words.join(" ")
    };
    print("ignored", spaced(ignored));
    print("blocked", spaced(blocked));
}

/// Waits for this many signals and reports each. After the line `waiting=`, none is lost.
pub fn wait(words: &[&str]) {
    sys::block_signals();
    print("waiting", "1");
    for _ in 0..words.first().map_or(0, |word| number(word)) {
        print("signal", sys::next_signal());
    }
}

/// Redirects the report to the end of a file.
pub fn into(words: &[&str]) {
    let opened = OpenOptions::new().create(true).append(true).open(words.concat());
    let turned = opened.and_then(|file| sys::duplicate_to(file.as_raw_fd(), 1));
    if let Err(error) = turned {
        print_result("into", Err::<&str, _>(error));
    }
}

/// The standard input, until its end.
pub fn stdin(_: &[&str]) {
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    print_result("stdin", read.map(|_| text));
}

/// Starts children that wait until they are killed.
pub fn fork(words: &[&str]) {
    for _ in 0..words.first().map_or(0, |word| number(word)) {
        match sys::fork() {
            Ok(0) => loop {
                sys::block_signals();
                sys::next_signal();
            },
            result => print_result("fork", result),
        }
    }
}

/// Starts children that wait for one signal each and report it.
pub fn signal_children(words: &[&str]) {
    // Signals are blocked before the fork, so that none is lost.
    sys::block_signals();
    for _ in 0..words.first().map_or(0, |word| number(word)) {
        if let Ok(0) = sys::fork() {
            print("signal", sys::next_signal());
            sys::exit(0)
        }
    }
}

/// Starts a child that waits until this process exits.
pub fn child(_: &[&str]) {
    match sys::fork() {
        Ok(0) => {
            sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong);
            sys::block_signals();
            sys::next_signal();
            sys::exit(0)
        }
        result => print_result("child", result),
    }
}

/// Reads one line from the standard input.
pub fn line(_: &[&str]) {
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line);
    print_result("line", read.map(|_| line.trim_end().to_string()));
}

/// Touches this many KiB of memory and keeps them.
pub fn allocate(words: &[&str]) {
    let size = usize::try_from(number(words.concat().as_str())).unwrap_or(0);
    let food = vec![1u8; size * 1024];
    std::hint::black_box(&food);
    std::mem::forget(food);
    print("allocate", "ok");
}

/// Orphans a grandchild that exits; prints `reaped` when its new parent has waited for it.
pub fn orphan(_: &[&str]) {
    let (mut reader, mut writer) = match std::io::pipe() {
        Ok((read, write)) => (read, Some(write)),
        Err(error) => return print_result("orphan", Err::<&str, _>(error)),
    };
    match sys::fork() {
        Ok(0) => {
            if let (Ok(0), Some(mut writer)) = (sys::fork(), writer.take()) {
                let [pid, ..] = sys::process_ids();
                let _ = writer.write_all(&pid.to_le_bytes());
            }
            sys::exit(0)
        }
        Ok(child) => drop(sys::wait(child)),
        Err(error) => return print_result("orphan", Err::<&str, _>(error)),
    }
    drop(writer);
    let mut pid = [0; 4];
    if reader.read_exact(&mut pid).is_err() {
        return print("orphan", "no grandchild");
    }
    // Only the new parent can wait for it, and that is not reported to this process, so this polls.
    let start = Instant::now();
    while sys::kill(i32::from_le_bytes(pid), 0).is_ok() {
        if start.elapsed() > Duration::from_secs(3) {
            return print("orphan", "still there");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    print("orphan", "reaped");
}

/// Unshares namespaces (comma-separated; pid and time apply to its children).
pub fn unshare(words: &[&str]) {
    let flags = words
        .concat()
        .split(',')
        .map(|name| match name {
            "pid" => libc::CLONE_NEWPID,
            "net" => libc::CLONE_NEWNET,
            "mnt" => libc::CLONE_NEWNS,
            "ipc" => libc::CLONE_NEWIPC,
            "uts" => libc::CLONE_NEWUTS,
            "user" => libc::CLONE_NEWUSER,
            "cgroup" => libc::CLONE_NEWCGROUP,
            "time" => 0x80,
            // UNSHARE_EMPTY_MNTNS, linux 7.1.
            "empty" => 0x10_0000,
            _ => 0,
        })
        .fold(0, |all, flag| all | flag);
    print_result("unshare", sys::unshare(flags).map(|()| "ok"));
}
