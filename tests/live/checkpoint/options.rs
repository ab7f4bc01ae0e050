//! The options of `checkpoint` and `restore`: pre-dumps, pages on demand, configuration files, hooks, standard streams.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::process::Command;

use super::{
    container, cycle, dump, images, needs_criu, needs_memory_tracking, restore, restore_command, signal,
    wait_for_line,
};
use crate::check::{Outcome, contains, holds, lacks, same};
use crate::command::{self, LIMIT, run};
use crate::json;
use crate::rig::Rig;
use crate::{sys, tests};

tests![
    "checkpoint",
    pre_dump_chain,
    lazy_pages,
    configuration_file,
    hooks_of_both,
    standard_streams_are_files,
    restore_in_the_foreground,
    pid_file_and_pidfd,
    options_of_engines,
    work_path,
    unix_socket_outside,
];

/// Two pre-dumps and a dump, each with only what has changed since the preceding one.
fn pre_dump_chain(rig: &mut Rig) -> Outcome {
    needs_memory_tracking(rig)?;
    let mut bundle = rig.bundle()?;
    let mut running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    let path = |number: u32| rig.dir.join(format!("images{number}")).display().to_string();
    let checkpoint = |number: u32, options: &[&str]| {
        let path = path(number);
        let mut words = vec!["checkpoint", "--image-path", &path];
        words.extend(options);
        words.push(&rig.id);
        rig.mote(&words)?.success().map(drop)
    };
    checkpoint(1, &["--pre-dump"])?;
    rig.status_is("running")?;
    signal(rig)?;
    same("the state", running.lines.next()?.as_str(), "state=1 true 1")?;
    checkpoint(2, &["--pre-dump", "--parent-path", "../images1"])?;
    rig.status_is("running")?;
    checkpoint(3, &["--parent-path", "../images2"])?;
    rig.nothing_left()?;
    let size = |number: u32| -> Outcome<u64> {
        let mut total = 0;
        for entry in fs::read_dir(path(number))? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with("pages-") {
                total += entry.metadata()?.len();
            }
        }
        Ok(total)
    };
    let (first, last) = (size(1)?, size(3)?);
    holds(&format!("the last dump, of {last} bytes, is smaller than {first}"), last < first)?;
    fs::rename(path(3), images(rig))?;
    let mut running = restore(rig, &bundle, &[])?;
    signal(rig)?;
    same("the state", running.lines.next()?.as_str(), "state=2 true 2")?;
    rig.delete()
}

/// The memory is transferred when it is used, from the dumped container to the restored one.
fn lazy_pages(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let _running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    let path = images(rig).display().to_string();
    let (mut ready, writer) = std::io::pipe()?;
    let words = ["checkpoint", "--image-path", &path, "--lazy-pages", "--page-server", "127.0.0.1:27277"];
    let mut command = rig.command(&words);
    command.args(["--status-fd", "3", &rig.id]);
    let number = writer.as_raw_fd();
    sys::before_exec(&mut command, move || sys::duplicate_to(number, 3));
    let mut dumping = command::start(&mut command, false)?;
    drop((command, writer));
    let mut byte = [1];
    ready.read_exact(&mut byte)?;
    same("the byte", byte, [0])?;
    let mut pages = Command::new("criu");
    pages.args(["lazy-pages", "--page-server", "--address", "127.0.0.1", "--port", "27277", "-D", &path]);
    let mut serving = command::start(pages.env("MOTE_LIVE_HOST", &rig.marker), false)?;
    let socket = images(rig).join("lazy-pages.socket");
    let start = std::time::Instant::now();
    while !socket.exists() && start.elapsed() < LIMIT {
        // No event announces the socket, which another program creates.
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let other = format!("{}-lazy", rig.id);
    let old = std::mem::replace(&mut rig.id, other);
    bundle.set("linux.cgroupsPath", format!("/{}-lazy", rig.cgroup));
    let mut running = restore(rig, &bundle, &["--lazy-pages"])?;
    signal(rig)?;
    same("the state", running.lines.next()?.as_str(), "state=1 true 1")?;
    let (status, errors) = dumping.status()?;
    same("the errors of checkpoint", errors.as_str(), "")?;
    same("the exit code of checkpoint", status.code(), Some(0))?;
    serving.status()?;
    let state = run(&mut rig.command(&["state", &old]), "")?;
    contains("the error", &state.stderr, "does not exist")?;
    rig.delete()
}

/// The file that an annotation names takes precedence over the options of mote.
fn configuration_file(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let file = rig.dir.join("criu.conf");
    fs::write(&file, "log-file=other.log\n")?;
    let name = file.display().to_string();
    bundle.set("annotations", json!({"org.criu.config": name}));
    let _running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    dump(rig, &[])?.success()?;
    holds("the log of the file", images(rig).join("other.log").exists())?;
    holds("no other log", !images(rig).join("dump.log").exists())?;
    // An option that CRIU does not know is reported before there is a log.
    let _running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    fs::write(&file, "unknown-option\n")?;
    dump(rig, &[])?.failure(&["criu: dump failed", "unknown-option"])?;
    rig.status_is("running")?;
    rig.delete()
}

/// runtime.md has no word about them; as in runc, the hooks that set up networks are run again.
fn hooks_of_both(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let log = rig.dir.join("log");
    let program = rig.suite.payload.display().to_string();
    for point in ["prestart", "createRuntime", "createContainer", "poststart", "poststop"] {
        let words =
            vec!["payload".to_string(), "into".into(), log.display().to_string(), "say".into(), point.into()];
        let hook = json!({"path": (program.as_str()), "args": words});
        bundle.set(&format!("hooks.{point}[+]"), hook);
    }
    let _running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    fs::write(&log, "")?;
    dump(rig, &[])?.success()?;
    same("the hooks of checkpoint", fs::read_to_string(&log)?.as_str(), "say=poststop\n")?;
    fs::write(&log, "")?;
    let mut running = restore(rig, &bundle, &[])?;
    same("the hooks of restore", fs::read_to_string(&log)?.as_str(), "say=prestart\nsay=createRuntime\n")?;
    signal(rig)?;
    same("the state", running.lines.next()?.as_str(), "state=1 true 1")?;
    rig.delete()
}

/// Files of the host are those of the caller of `restore` afterwards.
fn standard_streams_are_files(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["survive", "/tmp/file"]);
    let (first, second) = (rig.dir.join("first"), rig.dir.join("second"));
    let mut command = rig.launch("run", &bundle, &["--detach"])?;
    command.stdin(File::open("/dev/null")?).stdout(File::create(&first)?).stderr(File::open("/dev/null")?);
    holds("run", command.status()?.success())?;
    wait_for_line(&first, "waiting=1")?;
    dump(rig, &[])?.success()?;
    let mut command = restore_command(rig, &bundle, &["--detach"])?;
    command.stdin(File::open("/dev/null")?).stdout(File::create(&second)?).stderr(File::open("/dev/null")?);
    holds("restore", command.status()?.success())?;
    signal(rig)?;
    wait_for_line(&second, "state=1 true 1")?;
    lacks("the first file", &fs::read_to_string(&first)?, "state=")?;
    rig.delete()
}

fn restore_in_the_foreground(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let _running = container(rig, &mut bundle, &["wait", "1", "exit", "7"])?;
    dump(rig, &[])?.success()?;
    let mut running = command::start(&mut restore_command(rig, &bundle, &[])?, false)?;
    let start = std::time::Instant::now();
    while rig.mote(&["state", &rig.id])?.code() != 0 && start.elapsed() < LIMIT {
        std::thread::yield_now();
    }
    // mote forwards the signal.
    running.signal(libc::SIGUSR1)?;
    same("the payload's output", running.lines.next()?.as_str(), "signal=10")?;
    let (status, errors) = running.status()?;
    same("the errors", errors.as_str(), "")?;
    same("the exit code", status.code(), Some(7))?;
    rig.nothing_left()
}

fn pid_file_and_pidfd(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let _running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    let file = rig.dir.join("pid").display().to_string();
    let _running = cycle(rig, &bundle, (&[], &["--pid-file", &file]))?;
    same("the PID file", fs::read_to_string(&file)?, rig.pid()?.to_string())?;
    rig.delete()
}

/// Words that containerd, podman and CRI-O use.
fn options_of_engines(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let _running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    let options: (&[&str], &[&str]) = (
        &["--tcp-established", "--ext-unix-sk", "--shell-job", "--file-locks", "--empty-ns", "network"],
        &["-no-subreaper", "--no-pivot", "--tcp-established", "--file-locks", "--empty-ns", "network"],
    );
    let mut running = cycle(rig, &bundle, options)?;
    signal(rig)?;
    same("the state", running.lines.next()?.as_str(), "state=1 true 1")?;
    rig.delete()
}

fn work_path(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let _running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    let work = rig.dir.join("work").display().to_string();
    let options: &[&str] = &["--work-path", &work];
    let _running = cycle(rig, &bundle, (options, options))?;
    for log in ["dump.log", "restore.log"] {
        holds(log, rig.dir.join("work").join(log).exists() && !images(rig).join(log).exists())?;
    }
    rig.delete()
}

/// A connection to a socket of the host, as to the system's log.
fn unix_socket_outside(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let directory = rig.dir.join("sockets");
    fs::create_dir(&directory)?;
    let listener = std::os::unix::net::UnixDatagram::bind(directory.join("log"))?;
    listener.set_read_timeout(Some(LIMIT))?;
    // CRIU connects to the path on the host.
    let path = directory.display().to_string();
    bundle.bind(&directory, &path, &["bind"]);
    // CRIU finds sockets only in the network namespace of the container.
    bundle.without_namespace("network");
    let _running = container(rig, &mut bundle, &["datagrams", &format!("{path}/log")])?;
    dump(rig, &[])?.failure(&["criu: dump failed"])?;
    let _running = cycle(rig, &bundle, (&["--ext-unix-sk"], &["--ext-unix-sk"]))?;
    signal(rig)?;
    let mut space = [0; 16];
    let count = listener.recv(&mut space)?;
    same("the datagram", space.get(..count).unwrap_or_default(), b"still".as_slice())?;
    rig.delete()
}
