//! Operations in tokio, in a single thread: their file descriptors are waited for.

use std::os::fd::AsFd;

use std::time::Duration;

use mote::{ExitStatus, Force, Pending, Signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::{Result, Scene};

const COUNT: usize = 8;

/// Waits until a file descriptor is readable.
async fn readable(fd: &impl AsFd) -> Result {
    // SAFETY: the file descriptor outlives the registration, which is dropped here.
    let ready = unsafe { AsyncFd::register_with_interest(fd.as_fd(), Interest::READABLE) };
    ready.map_err(|error| error.to_string())?.readable().await?.retain_ready();
    Ok(())
}

async fn finish<T>(pending: mote::Result<Pending<T>>) -> Result<T> {
    let pending = pending?;
    readable(&pending).await?;
    Ok(pending.finish()?)
}

async fn one(scene: &Scene, number: usize) -> Result<ExitStatus> {
    let id = format!("{}-{number}", scene.id);
    let (bundle, options) = (scene.bundle_of(&id, &["wait", "1"]), scene.quiet()?);
    let container = finish(scene.runtime.begin_create(&id, &bundle, &options)).await?;
    finish(container.begin_start()).await?;
    let mut events = container.events(Duration::from_millis(5))?;
    readable(&events.fd().ok_or("no events")?).await?;
    events.next().ok_or("no event")??;
    drop(events);
    let init = container.init().ok_or("no init")?;
    if init.try_wait()?.is_some() {
        return Err("it has ended already".into());
    }
    finish(container.begin_kill(Signal::KILL)).await?;
    readable(init).await?;
    let status = init.try_wait()?.ok_or("it has not ended")?;
    finish(container.begin_delete(Force::No)).await?;
    Ok(status)
}

pub fn test(scene: &Scene) -> Result {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let tasks = (0..COUNT).map(|number| one(scene, number));
        for status in join_all(tasks.collect()).await {
            match status?.signal() {
                Some(9) => {}
                other => return Err(format!("signal {other:?}").into()),
            }
        }
        Ok(())
    })
}

/// Drives all futures at once.
async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *output = Some(value);
            }
        }
        match outputs.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
