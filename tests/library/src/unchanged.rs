//! No call changes the process, also if it fails.

use mote::{Bundle, CheckpointOptions, Container, Document, ExecOptions, Force, Process, Runtime, Signal};

use crate::snapshot::{compare, take};
use crate::{Result, Scene};

/// Calls a function between two snapshots.
fn unchanged<T>(what: &str, call: impl FnOnce() -> mote::Result<T>) -> Result<mote::Result<T>> {
    let before = take()?;
    let done = call();
    // A container, and what else has file descriptors, is in the snapshot: they are dropped by the caller.
    let after = take()?;
    let is_own = |name: &str| name.starts_with("/proc/self/fd") && !before.contains_key(name);
    let rest = after.into_iter().filter(|(name, _)| done.is_err() || !is_own(name)).collect();
    compare(what, &before, &rest)?;
    Ok(done)
}

/// A call that has to succeed.
fn succeeds<T>(what: &str, call: impl FnOnce() -> mote::Result<T>) -> Result<T> {
    unchanged(what, call)?.map_err(|error| format!("{what}: {error}").into())
}

/// A call that has to fail.
fn fails<T>(what: &str, call: impl FnOnce() -> mote::Result<T>) -> Result {
    match unchanged(what, call)? {
        Ok(_) => Err(format!("{what} has not failed").into()),
        Err(_) => Ok(()),
    }
}

pub fn test(scene: &Scene) -> Result {
    // So that changes would be seen: attributes that are not the usual ones.
    // SAFETY: takes no pointer.
    unsafe { libc::umask(0o077) };
    let mut set: libc::sigset_t = unsafe_zeroed();
    // SAFETY: the set outlives the calls.
    unsafe {
        libc::sigaddset(&raw mut set, libc::SIGUSR1);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        libc::signal(libc::SIGUSR2, on_signal as *const () as usize);
        libc::nice(1);
    }
    let before = take()?;
    all(scene)?;
    // Also of what a call has left to be dropped.
    compare("everything", &before, &take()?)
}

extern "C" fn on_signal(_: i32) {}

fn unsafe_zeroed() -> libc::sigset_t {
    // SAFETY: an empty set is zero.
    unsafe { std::mem::zeroed() }
}

fn all(scene: &Scene) -> Result {
    let (runtime, id) = (&scene.runtime, scene.id.as_str());
    let options = scene.quiet()?;
    succeeds("new", || Runtime::new("/run/none"))?;
    let bundle = scene.bundle_of(&scene.id, &["wait", "1"]);
    let container = succeeds("create", || runtime.create(id, &bundle, &options))?;
    fails("create of one that exists", || runtime.create(id, &bundle, &options))?;
    fails("pause of one that is created", || container.pause().and_then(|_| container.pause()))?;
    drop(container.resume());
    succeeds("start", || container.start())?;
    fails("start twice", || container.start())?;
    of_running(scene, &container)?;
    succeeds("kill", || container.kill(Signal::KILL))?;
    succeeds("wait", || container.wait())?;
    fails("kill of one that has ended", || container.kill(Signal::TERM))?;
    fails("exec in one that has ended", || container.exec(&Process::new(["x"]), &ExecOptions::default()))?;
    succeeds("delete", || container.delete(Force::No))?;
    fails("delete twice", || container.delete(Force::No))?;
    fails("state of none", || container.state())?;
    fails("container of none", || runtime.container(id))?;
    let run = succeeds("run", || runtime.run(id, &scene.bundle_of(&scene.id, &["exit", "3"]), &options))?;
    succeeds("wait", || run.wait())?;
    succeeds("delete", || run.delete(Force::Yes))?;
    fails("run of a program that does not exist", || {
        let config = scene.config.replace("\"/payload\"", "\"/none\"");
        runtime.run(id, &scene.bundle.clone().config(Document::Bytes(config.into())), &options)
    })?;
    fails("run of no configuration", || {
        runtime.run(id, &scene.bundle.clone().config(Document::Bytes(b"{".into())), &options)
    })?;
    fails("a relative path", || Bundle::open("bundle"))?;
    Ok(())
}

fn of_running(scene: &Scene, container: &Container) -> Result {
    let mut streams = ExecOptions::default();
    streams.streams = scene.quiet()?.streams;
    let process = succeeds("exec", || container.exec(&Process::new(["/payload", "exit", "4"]), &streams))?;
    let status = succeeds("wait for the process", || process.wait())?;
    if status.code() != Some(4) {
        return Err(format!("exec: {status}").into());
    }
    drop(process);
    fails("exec of no program", || container.exec(&Process::new(["/none"]), &streams))?;
    succeeds("state", || container.state())?;
    succeeds("processes", || container.processes())?;
    succeeds("list", || scene.runtime.list())?;
    succeeds("features", || scene.runtime.features())?;
    succeeds("template", || scene.runtime.template(true))?;
    succeeds("pause", || container.pause())?;
    fails("exec in a paused one", || container.exec(&Process::new(["/payload"]), &streams))?;
    succeeds("resume", || container.resume())?;
    let limits = Document::Bytes(br#"{"pids": {"limit": 20}}"#.into());
    succeeds("update", || container.update(&limits))?;
    fails("update with no document", || container.update(&Document::Bytes(b"[]".into())))?;
    succeeds("stats", || container.stats())?;
    succeeds("events", || {
        let mut events = container.events(std::time::Duration::from_millis(5))?;
        events.next().transpose()
    })?
    .ok_or("no event")?;
    let mounts = Document::Bytes(br#"[{"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}]"#.into());
    succeeds("add_mounts", || container.add_mounts(&mounts))?;
    succeeds("remove_mounts", || container.remove_mounts(&mounts))?;
    fails("remove_mounts twice", || container.remove_mounts(&mounts))?;
    fails("checkpoint without CRIU", || container.checkpoint(&CheckpointOptions::default()))?;
    Ok(())
}
