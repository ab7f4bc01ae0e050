//! `mote_container`

use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::{c_char, c_int, c_uint};
use core::ptr::null;
use core::time::Duration;

use mote::{Child, Container, Error, Force, Pending, Result, Signal};
use rustix::fd::{AsFd, AsRawFd};

use crate::error::{MoteError, result, status};
use crate::events::{MoteEvents, MoteStats};
use crate::options::{Criu, Exec, Start, json, read};
use crate::pending::MotePending;
use crate::process::{MoteExitStatus, MoteProcess, try_wait, wait};
use crate::state::MoteState;
use crate::text::{c_string, free, handle, list, required, store};

type Str = *const c_char;

/// `mote_container`
pub struct MoteContainer {
    container: Container,
    id: CString,
    warnings: Vec<MoteError>,
}

/// `mote_pids`
pub struct MotePids(Vec<c_int>);

impl From<Container> for MoteContainer {
    fn from(container: Container) -> Self {
        let id = c_string(container.id().into());
        let warnings = container.warnings().iter().map(MoteError::from).collect();
        MoteContainer { container, id, warnings }
    }
}

/// The container of a handle.
///
/// # Safety
/// The pointer is null, or that of a container that was not freed.
unsafe fn open<'a>(container: *const MoteContainer) -> Result<&'a Container> {
    // SAFETY: as the caller guarantees.
    unsafe { handle(container, "container") }.map(|container| &container.container)
}

/// Defines functions that wait for an operation without a result but warnings, which are dropped.
macro_rules! functions {
    ($($name:ident($container:ident $(, $argument:ident: $type:ty)*) $body:block)*) => { $(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            container: *const MoteContainer,
            $($argument: $type,)*
            error: *mut *mut MoteError,
        ) -> c_int {
            let done = || -> Result<Vec<Error>> {
                // SAFETY: mote.h: null, or a container.
                let $container = unsafe { open(container) }?;
                $body
            };
            // SAFETY: mote.h: null, or a place for an error.
            unsafe { status(done().map(drop), error) }
        }
    )* };
}

/// Defines functions that begin an operation.
macro_rules! begins {
    ($($name:ident($container:ident $(, $argument:ident: $type:ty)*) $body:block)*) => { $(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            container: *const MoteContainer,
            $($argument: $type,)*
            pending: *mut *mut MotePending,
            error: *mut *mut MoteError,
        ) -> c_int {
            let begin = || -> Result<MotePending> {
                // SAFETY: mote.h: null, or a container.
                let $container = unsafe { open(container) }?;
                $body.map(MotePending::from)
            };
            // SAFETY: mote.h: null, or places for results.
            unsafe { result(begin(), pending, error) }
        }
    )* };
}

fn force(given: c_int) -> Force {
    if given == 0 { Force::No } else { Force::Yes }
}

functions! {
    mote_container_start(container, options: *const Start) {
        // SAFETY: mote.h: null, or options.
        container.start_with(&unsafe { read(options)?.options() })
    }
    mote_container_kill(container, signal: c_int) {
        container.kill(Signal(signal))
    }
    mote_container_kill_all(container, signal: c_int) {
        container.kill_all(Signal(signal))
    }
    mote_container_delete(container, forced: c_int) {
        container.delete(force(forced))
    }
    mote_container_pause(container) {
        container.pause()
    }
    mote_container_resume(container) {
        container.resume()
    }
    mote_container_update(container, resources: Str, length: usize, schemata: *const Str) {
        // SAFETY: mote.h: a text, and null or an array that ends with null.
        let (resources, lines) = unsafe { (required(resources, "resources")?, list(schemata)) };
        // SAFETY: mote.h: so many bytes.
        let resources = unsafe { json(resources.as_ptr(), length) };
        let lines: Vec<_> = lines.iter().map(|line| line.to_string_lossy()).collect();
        container.update_with_schemata(&resources, &lines.iter().map(|line| &**line).collect::<Vec<_>>())
    }
    mote_container_add_mounts(container, mounts: Str, length: usize) {
        // SAFETY: mote.h: a text of so many bytes.
        container.add_mounts(&unsafe { json(required(mounts, "mounts")?.as_ptr(), length) })
    }
    mote_container_remove_mounts(container, mounts: Str, length: usize) {
        // SAFETY: mote.h: a text of so many bytes.
        container.remove_mounts(&unsafe { json(required(mounts, "mounts")?.as_ptr(), length) })
    }
    mote_container_checkpoint(container, options: *const Criu) {
        // SAFETY: mote.h: null, or options.
        container.checkpoint(&unsafe { read(options)?.checkpoint() }?)
    }
}

begins! {
    mote_begin_start(container, options: *const Start) {
        // SAFETY: mote.h: null, or options.
        container.begin_start_with(&unsafe { read(options)?.options() })
    }
    mote_begin_delete(container, forced: c_int) {
        container.begin_delete(force(forced))
    }
    mote_begin_exec(container, options: *const Exec) {
        // SAFETY: mote.h: null, or options.
        unsafe { exec(container, options) }
    }
    mote_begin_checkpoint(container, options: *const Criu) {
        // SAFETY: mote.h: null, or options.
        container.begin_checkpoint(&unsafe { read(options)?.checkpoint() }?)
    }
}

/// # Safety
/// As mote.h says.
unsafe fn exec(container: &Container, options: *const Exec) -> Result<Pending<Child>> {
    // SAFETY: mote.h: null, or options.
    let given = unsafe { read(options) }?;
    // SAFETY: mote.h: what they point to.
    let (process, options) = unsafe { (given.process(), given.options()?) };
    container.begin_exec(&process, &options)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_container_exec(
    container: *const MoteContainer,
    options: *const Exec,
    process: *mut *mut MoteProcess,
    error: *mut *mut MoteError,
) -> c_int {
    // SAFETY: mote.h: null, or a container and options.
    let begun = unsafe { open(container) }.and_then(|container| unsafe { exec(container, options) });
    // SAFETY: mote.h: null, or places for results.
    unsafe { result(begun.and_then(Pending::finish).map(MoteProcess), process, error) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_container_state(
    container: *const MoteContainer,
    state: *mut *mut MoteState,
    error: *mut *mut MoteError,
) -> c_int {
    // SAFETY: mote.h: null, or a container.
    let found = unsafe { open(container) }.and_then(Container::state);
    // SAFETY: mote.h: null, or places for results.
    unsafe { result(found.map(MoteState::from), state, error) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_container_stats(
    container: *const MoteContainer,
    stats: *mut *mut MoteStats,
    error: *mut *mut MoteError,
) -> c_int {
    // SAFETY: mote.h: null, or a container.
    let found = unsafe { open(container) }.and_then(Container::stats);
    // SAFETY: mote.h: null, or places for results.
    unsafe { result(found.map(MoteStats::from), stats, error) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_container_events(
    container: *const MoteContainer,
    milliseconds: c_uint,
    events: *mut *mut MoteEvents,
    error: *mut *mut MoteError,
) -> c_int {
    let interval = Duration::from_millis(milliseconds.into());
    // SAFETY: mote.h: null, or a container.
    let begun = unsafe { open(container) }.and_then(|container| container.events(interval));
    // SAFETY: mote.h: null, or places for results.
    unsafe { result(begun.map(MoteEvents), events, error) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_container_pids(
    container: *const MoteContainer,
    pids: *mut *mut MotePids,
    error: *mut *mut MoteError,
) -> c_int {
    // SAFETY: mote.h: null, or a container.
    let found = unsafe { open(container) }.and_then(Container::processes);
    // SAFETY: mote.h: null, or places for results.
    unsafe { result(found.map(MotePids), pids, error) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_pids_get(pids: *const MotePids, count: *mut usize) -> *const c_int {
    // SAFETY: mote.h: null, or PIDs.
    let list: &[c_int] = unsafe { pids.as_ref() }.map_or(&[], |pids| &pids.0);
    // SAFETY: mote.h: null, or a place for the number.
    unsafe { store(count, list.len()) };
    list.first().map_or(null(), core::ptr::from_ref)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_pids_free(pids: *mut MotePids) {
    // SAFETY: mote.h: null, or PIDs that were not freed.
    unsafe { free(pids) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_container_id(container: *const MoteContainer) -> Str {
    // SAFETY: mote.h: null, or a container.
    unsafe { container.as_ref() }.map_or(null(), |container| container.id.as_ptr())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_container_pid(container: *const MoteContainer) -> c_int {
    // SAFETY: mote.h: null, or a container.
    unsafe { open(container) }.ok().and_then(Container::pid).unwrap_or(0)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_container_pidfd(container: *const MoteContainer) -> c_int {
    // SAFETY: mote.h: null, or a container.
    let init = unsafe { open(container) }.ok().and_then(Container::init);
    init.map_or(-1, |init| init.pidfd().as_raw_fd())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_container_fd(container: *const MoteContainer) -> c_int {
    // SAFETY: mote.h: null, or a container.
    let init = unsafe { open(container) }.ok().and_then(Container::init);
    init.map_or(-1, |init| init.as_fd().as_raw_fd())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_container_warning(
    container: *const MoteContainer,
    index: usize,
) -> *const MoteError {
    // SAFETY: mote.h: null, or a container.
    let warning = unsafe { container.as_ref() }.and_then(|container| container.warnings.get(index));
    warning.map_or(null(), core::ptr::from_ref)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_container_wait(
    container: *const MoteContainer,
    place: *mut MoteExitStatus,
    error: *mut *mut MoteError,
) -> c_int {
    // SAFETY: mote.h: null, or a container.
    let done = unsafe { open(container) }.and_then(Container::wait);
    // SAFETY: mote.h: null, or places for results.
    unsafe { wait(done, place, error) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_container_try_wait(
    container: *const MoteContainer,
    place: *mut MoteExitStatus,
    error: *mut *mut MoteError,
) -> c_int {
    // SAFETY: mote.h: null, or a container.
    let done = unsafe { open(container) }.and_then(Container::try_wait);
    // SAFETY: mote.h: null, or places for results.
    unsafe { try_wait(done, place, error) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_container_free(container: *mut MoteContainer) {
    // SAFETY: mote.h: null, or a container that was not freed.
    unsafe { free(container) };
}
