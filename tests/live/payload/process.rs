//! Payload verbs about the process itself: who it is, what it was given, signals and children.

use super::{number, say, say_result};
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

/// Every argument, `arg:0` first.
pub fn args(_: &[&str]) {
    for (index, word) in ARGUMENTS.get().into_iter().flatten().enumerate() {
        say(&format!("arg:{index}"), word);
    }
}

/// Runs a script. The orphans of it come here, and are not waited for: they stay as zombies until this ends, too.
pub fn adopt(words: &[&str]) {
    sys::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
    let script = std::process::Command::new("/bin/sh").arg("-c").arg(words.concat()).status();
    say_result("adopt", script);
}

/// Tells whoever started it what they want to hear (sd_notify(3)).
pub fn tell(words: &[&str]) {
    let path = std::env::var("NOTIFY_SOCKET").unwrap_or_default();
    let told = std::os::unix::net::UnixDatagram::unbound()
        .and_then(|socket| socket.send_to(words.concat().as_bytes(), path));
    say_result("tell", told);
}

pub fn say_word(words: &[&str]) {
    say("say", words.concat());
}

/// A word on the standard error.
pub fn warn(words: &[&str]) {
    let line = words.concat() + "\n";
    // Nobody left to tell if the standard error is gone.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

pub fn id(_: &[&str]) {
    let [pid, parent, group, session] = sys::family();
    let (users, groups) = sys::identity();
    say("pid", pid);
    say("ppid", parent);
    say("pgid", group);
    say("sid", session);
    let spaced = |list: &[u32]| {
        let words: Vec<String> = list.iter().map(u32::to_string).collect();
        words.join(" ")
    };
    say("uid", spaced(&users));
    say("gid", spaced(&groups));
    say("groups", spaced(&sys::groups()));
}

pub fn umask(_: &[&str]) {
    say("umask", format_args!("{:04o}", sys::umask()));
}

pub fn cwd(_: &[&str]) {
    let here = std::env::current_dir();
    say_result("cwd", here.map(|here| here.display().to_string()));
}

pub fn env(_: &[&str]) {
    for (name, value) in std::env::vars() {
        say(&format!("env:{name}"), value);
    }
}

pub fn exit(words: &[&str]) {
    sys::exit(words.first().map_or(0, |word| number(word)))
}

/// Sends a signal to itself.
pub fn kill(words: &[&str]) {
    let [pid, ..] = sys::family();
    let signal = words.first().map_or(0, |word| number(word));
    say_result("kill", sys::kill(pid, signal).map(|()| "ok"));
}

pub fn signals(_: &[&str]) {
    let (ignored, blocked) = sys::signals();
    let spaced = |list: Vec<i32>| {
        let words: Vec<String> = list.iter().map(i32::to_string).collect();
        words.join(" ")
    };
    say("ignored", spaced(ignored));
    say("blocked", spaced(blocked));
}

/// Waits for so many signals and says which came. `waiting=` tells that none can be lost any more.
pub fn wait(words: &[&str]) {
    sys::block_signals();
    say("waiting", "1");
    for _ in 0..words.first().map_or(0, |word| number(word)) {
        say("signal", sys::next_signal());
    }
}

/// From here on what is said goes to the end of a file.
pub fn into(words: &[&str]) {
    let opened = OpenOptions::new().create(true).append(true).open(words.concat());
    let turned = opened.and_then(|file| sys::duplicate_to(file.as_raw_fd(), 1));
    if let Err(error) = turned {
        say_result("into", Err::<&str, _>(error));
    }
}

/// Everything that comes on the standard input, until its end.
pub fn stdin(_: &[&str]) {
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    say_result("stdin", read.map(|_| text));
}

/// Starts children that do nothing until they are killed.
pub fn fork(words: &[&str]) {
    for _ in 0..words.first().map_or(0, |word| number(word)) {
        match sys::fork() {
            Ok(0) => loop {
                sys::block_signals();
                sys::next_signal();
            },
            result => say_result("fork", result),
        }
    }
}

/// Starts children that wait for one signal each, and say which came.
pub fn listeners(words: &[&str]) {
    // Blocked before the fork: no signal can come too early.
    sys::block_signals();
    for _ in 0..words.first().map_or(0, |word| number(word)) {
        if let Ok(0) = sys::fork() {
            say("signal", sys::next_signal());
            sys::exit(0)
        }
    }
}

/// A child that does nothing until this process ends.
pub fn child(_: &[&str]) {
    match sys::fork() {
        Ok(0) => {
            sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64);
            sys::block_signals();
            sys::next_signal();
            sys::exit(0)
        }
        result => say_result("child", result),
    }
}

/// Waits for one line on the standard input.
pub fn line(_: &[&str]) {
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line);
    say_result("line", read.map(|_| line.trim_end().to_string()));
}

/// Touches so many KiB of memory and keeps them.
pub fn eat(words: &[&str]) {
    let size = usize::try_from(number(words.concat().as_str())).unwrap_or(0);
    let food = vec![1u8; size * 1024];
    std::hint::black_box(&food);
    std::mem::forget(food);
    say("eat", "ok");
}

/// A grandchild loses its parent and ends; says `reaped` once its new parent has waited for it.
pub fn orphan(_: &[&str]) {
    let (mut report, mut said) = match std::io::pipe() {
        Ok((read, write)) => (read, Some(write)),
        Err(error) => return say_result("orphan", Err::<&str, _>(error)),
    };
    match sys::fork() {
        Ok(0) => {
            if let (Ok(0), Some(mut said)) = (sys::fork(), said.take()) {
                let [pid, ..] = sys::family();
                let _ = said.write_all(&pid.to_le_bytes());
            }
            sys::exit(0)
        }
        Ok(child) => drop(sys::wait(child)),
        Err(error) => return say_result("orphan", Err::<&str, _>(error)),
    }
    drop(said);
    let mut pid = [0; 4];
    if report.read_exact(&mut pid).is_err() {
        return say("orphan", "no grandchild");
    }
    // Only the new parent can wait for it, and it is not ours to be told: so look again and again.
    let start = Instant::now();
    while sys::kill(i32::from_le_bytes(pid), 0).is_ok() {
        if start.elapsed() > Duration::from_secs(3) {
            return say("orphan", "still there");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    say("orphan", "reaped");
}

/// New namespaces for this process (pid and time: for its children), comma-separated.
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
            _ => 0,
        })
        .fold(0, |all, flag| all | flag);
    say_result("unshare", sys::unshare(flags).map(|()| "ok"));
}
