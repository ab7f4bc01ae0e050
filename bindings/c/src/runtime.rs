//! `mote_runtime`

use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::{c_char, c_int};
use core::ptr::null;

use mote::{Pending, Result, Runtime};

use crate::container::MoteContainer;
use crate::error::{MoteError, result};
use crate::options::{Create, Criu, RuntimeOptions, read};
use crate::pending::MotePending;
use crate::state::{MoteState, MoteStates};
use crate::text::{c_string, free, handle, optional, required, utf8};

type Str = *const c_char;

/// `mote_text`
pub struct MoteText(CString);

/// `mote_runtime`
pub struct MoteRuntime(Runtime);

#[unsafe(no_mangle)]
pub extern "C" fn mote_version() -> Str {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_runtime_new(
    root: Str,
    options: *const RuntimeOptions,
    runtime: *mut *mut MoteRuntime,
    error: *mut *mut MoteError,
) -> c_int {
    let new = || -> Result<MoteRuntime> {
        // SAFETY: mote.h: null, or options.
        let options = unsafe { read(options) }?;
        // SAFETY: mote.h: null, or texts.
        let (root, program) = unsafe { (required(root, "root")?, optional(options.program)) };
        let new = match program {
            Some(program) => Runtime::with_program(root, program)?,
            None => Runtime::new(root)?,
        };
        // SAFETY: mote.h: null, or texts.
        let (manager, path) = unsafe { (options.manager()?, optional(options.search_path)) };
        let new = new.cgroup_manager(manager);
        Ok(MoteRuntime(match path {
            Some(path) => new.search_path(path),
            None => new,
        }))
    };
    // SAFETY: mote.h: null, or places for results.
    unsafe { result(new(), runtime, error) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_runtime_free(runtime: *mut MoteRuntime) {
    // SAFETY: mote.h: null, or a runtime that was not freed.
    unsafe { free(runtime) };
}

/// Begins the creation of a container.
///
/// # Safety
/// As mote.h says.
unsafe fn create(
    runtime: *const MoteRuntime,
    id: Str,
    bundle: Str,
    options: *const Create,
    run: bool,
) -> Result<Pending<mote::Container>> {
    // SAFETY: mote.h: null, or a runtime, a text and options.
    let (runtime, id, given) = unsafe { (handle(runtime, "runtime")?, utf8(id, "id")?, read(options)?) };
    // SAFETY: mote.h: null, or a text.
    let (bundle, options) = unsafe { (given.bundle(bundle)?, given.options()?) };
    match run {
        true => runtime.0.begin_run(id, &bundle, &options),
        false => runtime.0.begin_create(id, &bundle, &options),
    }
}

/// As [`create`].
///
/// # Safety
/// As mote.h says.
unsafe fn restore(
    runtime: *const MoteRuntime,
    id: Str,
    bundle: Str,
    options: *const Create,
    criu: *const Criu,
) -> Result<Pending<mote::Container>> {
    // SAFETY: mote.h: null, or a runtime, a text and options.
    let (runtime, id, given) = unsafe { (handle(runtime, "runtime")?, utf8(id, "id")?, read(options)?) };
    // SAFETY: mote.h: null, or options.
    let criu = unsafe { read(criu)?.restore() }?;
    // SAFETY: mote.h: null, or a text.
    let (bundle, options) = unsafe { (given.bundle(bundle)?, given.options()?) };
    runtime.0.begin_restore(id, &bundle, &options, &criu)
}

/// Defines a function that waits for its result, and one that only begins.
macro_rules! functions {
    ($($name:ident $begin:ident = $call:ident($($argument:ident: $type:ty),*; $($more:expr),*);)*) => { $(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            runtime: *const MoteRuntime,
            $($argument: $type,)*
            container: *mut *mut MoteContainer,
            error: *mut *mut MoteError,
        ) -> c_int {
            // SAFETY: as mote.h says.
            let done = unsafe { $call(runtime, $($argument,)* $($more),*) }.and_then(Pending::finish);
            // SAFETY: mote.h: null, or places for results.
            unsafe { result(done.map(MoteContainer::from), container, error) }
        }

        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $begin(
            runtime: *const MoteRuntime,
            $($argument: $type,)*
            pending: *mut *mut MotePending,
            error: *mut *mut MoteError,
        ) -> c_int {
            // SAFETY: as mote.h says.
            let begun = unsafe { $call(runtime, $($argument,)* $($more),*) };
            // SAFETY: mote.h: null, or places for results.
            unsafe { result(begun.map(MotePending::from), pending, error) }
        }
    )* };
}

functions! {
    mote_create mote_begin_create = create(id: Str, bundle: Str, options: *const Create; false);
    mote_run mote_begin_run = create(id: Str, bundle: Str, options: *const Create; true);
    mote_restore mote_begin_restore = restore(id: Str, bundle: Str, options: *const Create, criu: *const Criu;);
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_container_open(
    runtime: *const MoteRuntime,
    id: Str,
    container: *mut *mut MoteContainer,
    error: *mut *mut MoteError,
) -> c_int {
    let open = || {
        // SAFETY: mote.h: null, or a runtime and a text.
        let (runtime, id) = unsafe { (handle(runtime, "runtime")?, utf8(id, "id")?) };
        runtime.0.container(id).map(MoteContainer::from)
    };
    // SAFETY: mote.h: null, or places for results.
    unsafe { result(open(), container, error) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_list(
    runtime: *const MoteRuntime,
    states: *mut *mut MoteStates,
    error: *mut *mut MoteError,
) -> c_int {
    // SAFETY: mote.h: null, or a runtime.
    let list = unsafe { handle(runtime, "runtime") }.and_then(|runtime| runtime.0.list());
    let list = list.map(|list| MoteStates(list.into_iter().map(MoteState::from).collect::<Vec<_>>()));
    // SAFETY: mote.h: null, or places for results.
    unsafe { result(list, states, error) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_features(
    runtime: *const MoteRuntime,
    text: *mut *mut MoteText,
    error: *mut *mut MoteError,
) -> c_int {
    // SAFETY: mote.h: null, or a runtime.
    let features = unsafe { handle(runtime, "runtime") }.and_then(|runtime| runtime.0.features());
    // SAFETY: mote.h: null, or places for results.
    unsafe { result(features.map(|features| MoteText(c_string(features))), text, error) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_template(
    runtime: *const MoteRuntime,
    rootless: c_int,
    text: *mut *mut MoteText,
    error: *mut *mut MoteError,
) -> c_int {
    // SAFETY: mote.h: null, or a runtime.
    let template =
        unsafe { handle(runtime, "runtime") }.and_then(|runtime| runtime.0.template(rootless != 0));
    // SAFETY: mote.h: null, or places for results.
    unsafe { result(template.map(|template| MoteText(c_string(template))), text, error) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_text_get(text: *const MoteText) -> Str {
    // SAFETY: mote.h: null, or a text.
    unsafe { text.as_ref() }.map_or(null(), |text| text.0.as_ptr())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_text_free(text: *mut MoteText) {
    // SAFETY: mote.h: null, or a text that was not freed.
    unsafe { free(text) };
}
