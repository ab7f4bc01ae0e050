//! Exit statuses: for every handle, where the kernel keeps them, and for the handle that has started the process elsewhere.

use mote::{Child, ExecOptions, ExitStatus, Force, Kind, Process, Runtime, Signal};

use crate::snapshot::children;
use crate::{Result, Scene};

fn check(what: &str, status: mote::Result<ExitStatus>, code: Option<i32>, signal: Option<i32>) -> Result {
    let status = status.map_err(|error| format!("{what}: {error}"))?;
    match (status.code(), status.signal()) == (code, signal) {
        true => Ok(()),
        false => Err(format!("{what}: {status}").into()),
    }
}

pub fn test(scene: &Scene) -> Result {
    with(scene, &scene.runtime)?;
    with(scene, &scene.runtime.clone().without_kept_status())?;
    another_handle(scene)?;
    output_ends_before_the_result(scene)?;
    forked(scene)
}

fn with(scene: &Scene, runtime: &Runtime) -> Result {
    let options = scene.quiet()?;
    let mut streams = ExecOptions::default();
    streams.streams = scene.quiet()?.streams;
    let container = runtime.create(&scene.id, &scene.bundle_of(&scene.id, &["wait", "1"]), &options)?;
    container.start()?;
    // A process that waits has none of the program's file descriptors: others wait for their end of file.
    for child in children()?.split_whitespace() {
        if std::fs::read_dir(format!("/proc/{child}/fd"))?.next().is_some() {
            return Err(format!("process {child} has file descriptors").into());
        }
    }
    let process = container.exec(&Process::new(["/payload", "exit", "7"]), &streams)?;
    check("exec", process.wait(), Some(7), None)?;
    check("exec, again", process.wait(), Some(7), None)?;
    let waiting = container.exec(&Process::new(["/payload", "wait", "1"]), &streams)?;
    if waiting.try_wait()?.is_some() {
        return Err("it has not ended".into());
    }
    container.kill(Signal::KILL)?;
    std::thread::scope(|scope| -> Result {
        let all = [0; 4].map(|_| scope.spawn(|| container.wait()));
        for one in all {
            check("of several threads", one.join().map_err(|_| "panicked")?, None, Some(9))?;
        }
        Ok(())
    })?;
    check("the exec process", waiting.wait(), None, Some(9))?;
    container.delete(Force::No)?;
    Ok(())
}

/// The standard output of a container ends with it, whether or not its creation is finished here.
fn output_ends_before_the_result(scene: &Scene) -> Result {
    for runtime in [scene.runtime.clone(), scene.runtime.clone().without_kept_status()] {
        let mut options = scene.quiet()?;
        let (mut output, writer) = std::io::pipe()?;
        options.streams.stdout = Some(std::os::fd::OwnedFd::from(writer).into());
        let bundle = scene.bundle_of(&scene.id, &["say", "word"]);
        let pending = runtime.begin_run(&scene.id, &bundle, &options)?;
        drop(options);
        if std::io::read_to_string(&mut output)? != "say=word\n" {
            return Err("the output".into());
        }
        let container = pending.finish()?;
        check("after its output", container.wait(), Some(0), None)?;
        container.delete(Force::No)?;
    }
    Ok(())
}

/// A handle is dropped although a child of this process has a copy of all file descriptors.
fn forked(scene: &Scene) -> Result {
    let runtime = scene.runtime.clone().without_kept_status();
    let container = runtime.run(&scene.id, &scene.bundle_of(&scene.id, &["wait", "1"]), &scene.quiet()?)?;
    // SAFETY: the child only waits for a signal.
    let child = unsafe { libc::fork() };
    if child == 0 {
        loop {
            // SAFETY: takes no pointer.
            unsafe { libc::pause() };
        }
    }
    drop(container);
    // SAFETY: the child has not been waited for.
    unsafe { libc::kill(child, libc::SIGKILL) };
    // SAFETY: no status is returned.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    scene.runtime.container(&scene.id)?.delete(Force::Yes)?;
    Ok(())
}

/// A handle that has not started the process.
fn another_handle(scene: &Scene) -> Result {
    let runtime = &scene.runtime;
    let first = runtime.run(&scene.id, &scene.bundle_of(&scene.id, &["wait", "1"]), &scene.quiet()?)?;
    let other = runtime.container(&scene.id)?;
    if other.pid() != first.pid() {
        return Err(format!("{:?} is not {:?}", other.pid(), first.pid()).into());
    }
    drop(first);
    other.kill_all(Signal::KILL)?;
    check("another handle", other.init().ok_or("no init").map(Child::wait)?, None, Some(9))?;
    let late = runtime.container(&scene.id)?;
    match late.wait() {
        Err(error) if error.kind() == Kind::State && late.pid().is_none() => {}
        status => return Err(format!("a late handle: {status:?}").into()),
    }
    other.delete(Force::No)?;
    Ok(())
}
