//! Errors: their kind, field and errno; and nothing remains of what failed.

use std::os::fd::AsRawFd;
use std::process::Command;

use mote::{Document, Kind, Runtime};

use crate::threads::wait_for_any;
use crate::{Result, Scene};

/// The type of C libraries differs.
#[cfg(target_env = "gnu")]
type Resource = libc::__rlimit_resource_t;
#[cfg(not(target_env = "gnu"))]
type Resource = libc::c_int;

pub fn test(scene: &Scene) -> Result {
    let options = scene.quiet()?;
    let run = |config: String| {
        let bundle = scene.bundle.clone().config(Document::Bytes(config.into()));
        scene.runtime.run(&scene.id, &bundle, &options).map(drop)
    };
    let cases = [
        ("\"cwd\":\"/\"", "\"cwd\":7", Kind::Invalid, Some("process.cwd")),
        ("\"/payload\"", "\"/none\"", Kind::NoProgram, Some("process.args[0]")),
        ("\"/payload\"", "\"/tmp\"", Kind::Program, Some("process.args[0]")),
        ("\"path\":\"rootfs\"", "\"path\":\"none\"", Kind::System, Some("root.path")),
    ];
    for (from, to, kind, field) in cases {
        let config = scene.config.replace(from, to);
        if config == scene.config {
            return Err(format!("config.json has no {from}").into());
        }
        let Err(error) = run(config) else { return Err(format!("{to}: no error").into()) };
        if error.kind() != kind || error.field() != field {
            return Err(format!("{to}: {:?}, {:?}: {error}", error.kind(), error.field()).into());
        }
    }
    for (path, text) in [
        ("relative", "root: \"relative\" is not an absolute path"),
        ("/a\0b", "root: \"/a\" is followed by a NUL byte"),
    ] {
        match Runtime::new(path) {
            Err(error) if error.kind() == Kind::Invalid && error.to_string() == text => {}
            other => return Err(format!("{path:?}: {other:?}").into()),
        }
    }
    match Runtime::with_program("/run/none", "/etc/passwd") {
        Err(error) if error.kind() == Kind::System && error.errno() == 13 => {}
        other => return Err(format!("a program that cannot be executed: {other:?}").into()),
    }
    for program in ["/bin/true", "/bin/false"] {
        match Runtime::with_program("/run/none", program) {
            Err(error) if error.kind() == Kind::State => {}
            other => return Err(format!("{program}: {other:?}").into()),
        }
    }
    nothing_remains(scene, "errors")?;
    let before = limit(libc::RLIMIT_FSIZE, 1000);
    let small = Runtime::new("/run/none");
    limit(libc::RLIMIT_FSIZE, before);
    match small {
        Err(error) if error.errno() == libc::EFBIG as u16 => lost(scene),
        other => Err(format!("RLIMIT_FSIZE: {other:?}").into()),
    }
}

/// Sets a soft limit; returns the one before.
fn limit(what: Resource, soft: u64) -> u64 {
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure outlives the calls.
    unsafe { libc::getrlimit(what, &raw mut limits) };
    let before = limits.rlim_cur;
    limits.rlim_cur = soft;
    // SAFETY: as above.
    unsafe { libc::setrlimit(what, &raw const limits) };
    before
}

fn nothing_remains(scene: &Scene, after: &str) -> Result {
    match scene.runtime.list()?.is_empty() {
        true => Ok(()),
        false => Err(format!("after {after}, a container remains").into()),
    }
}

/// Results that nobody gets.
fn lost(scene: &Scene) -> Result {
    let (bundle, options) = (scene.bundle_of(&scene.id, &["wait", "1"]), scene.quiet()?);
    drop(scene.runtime.begin_run(&scene.id, &bundle, &options)?);
    nothing_remains(scene, "drop")?;
    // No file descriptor is left for the pidfd.
    let pending = scene.runtime.begin_run(&scene.id, &bundle, &options)?;
    let highest = std::fs::File::open("/dev/null")?;
    let before = limit(libc::RLIMIT_NOFILE, highest.as_raw_fd() as u64);
    let finished = pending.finish();
    limit(libc::RLIMIT_NOFILE, before);
    match finished {
        Err(error) if error.errno() == libc::EMFILE as u16 => {}
        other => return Err(format!("no file descriptor is left: {other:?}").into()),
    }
    nothing_remains(scene, "EMFILE")?;
    // Another process of this program begins, and exits. The processes that it leaves become children of this one.
    // SAFETY: takes no pointer.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
    let words: Vec<String> = std::env::args().skip(2).collect();
    Command::new("/proc/self/exe").arg("abandon").args(words).spawn()?;
    while wait_for_any(libc::__WALL) >= 0 {}
    nothing_remains(scene, "exit")
}

/// Begins to run a container and exits.
pub fn abandon(scene: &Scene) -> Result {
    let bundle = scene.bundle_of(&scene.id, &["wait", "1"]);
    let pending = scene.runtime.begin_run(&scene.id, &bundle, &scene.quiet()?)?;
    std::mem::forget(pending);
    Ok(())
}
