//! `mote_state` and `mote_states`

use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::{c_char, c_int, c_uint};
use core::ptr::null;

use mote::State;

use crate::text::{c_string, free, optional};

/// `mote_state`
pub struct MoteState {
    oci_version: CString,
    id: CString,
    status: c_int,
    pid: c_int,
    bundle: CString,
    rootfs: CString,
    created: CString,
    owner: c_uint,
    annotations: Vec<(CString, CString)>,
}

/// `mote_states`
pub struct MoteStates(pub Vec<MoteState>);

impl From<State> for MoteState {
    fn from(state: State) -> Self {
        let annotations = state.annotations.into_iter();
        MoteState {
            oci_version: c_string(state.oci_version),
            id: c_string(state.id),
            status: state.state as c_int,
            pid: state.pid,
            bundle: c_string(state.bundle),
            rootfs: c_string(state.rootfs),
            created: c_string(state.created),
            owner: state.owner,
            annotations: annotations.map(|(name, value)| (c_string(name), c_string(value))).collect(),
        }
    }
}

/// Defines functions that return a text.
macro_rules! texts {
    ($($name:ident $field:ident)*) => { $(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(state: *const MoteState) -> *const c_char {
            // SAFETY: mote.h: null, or a state.
            unsafe { state.as_ref() }.map_or(null(), |state| state.$field.as_ptr())
        }
    )* };
}

texts! {
    mote_state_oci_version oci_version
    mote_state_id id
    mote_state_bundle bundle
    mote_state_rootfs rootfs
    mote_state_created created
}

/// The names of the states, in the order of mote.h.
const STATUS: [&core::ffi::CStr; 5] = [c"creating", c"created", c"running", c"paused", c"stopped"];

#[unsafe(no_mangle)]
pub extern "C" fn mote_status_name(status: c_int) -> *const c_char {
    let name = usize::try_from(status).ok().and_then(|status| STATUS.get(status));
    name.map_or(null(), |name| name.as_ptr())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_state_status(state: *const MoteState) -> c_int {
    // SAFETY: mote.h: null, or a state.
    unsafe { state.as_ref() }.map_or(-1, |state| state.status)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_state_pid(state: *const MoteState) -> c_int {
    // SAFETY: mote.h: null, or a state.
    unsafe { state.as_ref() }.map_or(0, |state| state.pid)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_state_owner(state: *const MoteState) -> c_uint {
    // SAFETY: mote.h: null, or a state.
    unsafe { state.as_ref() }.map_or(0, |state| state.owner)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_state_annotation(
    state: *const MoteState,
    name: *const c_char,
) -> *const c_char {
    // SAFETY: mote.h: null, or a state and a text.
    let (state, name) = unsafe { (state.as_ref(), optional(name)) };
    let found = state.zip(name).and_then(|(state, name)| {
        state.annotations.iter().find(|(known, _)| known.as_c_str() == name).map(|(_, value)| value.as_ptr())
    });
    found.unwrap_or(null())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_state_free(state: *mut MoteState) {
    // SAFETY: mote.h: null, or a state that was not freed and is not of a list.
    unsafe { free(state) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_states_count(states: *const MoteStates) -> usize {
    // SAFETY: mote.h: null, or a list.
    unsafe { states.as_ref() }.map_or(0, |states| states.0.len())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_states_get(states: *const MoteStates, index: usize) -> *const MoteState {
    // SAFETY: mote.h: null, or a list.
    let state = unsafe { states.as_ref() }.and_then(|states| states.0.get(index));
    state.map_or(null(), core::ptr::from_ref)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_states_free(states: *mut MoteStates) {
    // SAFETY: mote.h: null, or a list that was not freed.
    unsafe { free(states) };
}
