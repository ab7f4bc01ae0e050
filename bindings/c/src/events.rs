//! `mote_events` and `mote_stats`

use alloc::boxed::Box;
use alloc::ffi::CString;
use core::ffi::{c_char, c_int};
use core::ptr::{null, null_mut};

use mote::{Event, Events, Stats};
use rustix::fd::AsRawFd;

use crate::error::{MoteError, status};
use crate::text::{c_string, free, invalid, store};

/// `mote_events`
pub struct MoteEvents(pub Events);

/// `mote_stats`
pub struct MoteStats {
    stats: Stats,
    json: CString,
}

impl From<Stats> for MoteStats {
    fn from(stats: Stats) -> Self {
        let json = c_string(stats.json.clone());
        MoteStats { stats, json }
    }
}

/// What `mote_events_next` returns, besides -1.
const END: c_int = 0;
const STATS: c_int = 1;
const OOM_KILL: c_int = 2;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_events_next(
    events: *mut MoteEvents,
    stats: *mut *mut MoteStats,
    error: *mut *mut MoteError,
) -> c_int {
    // SAFETY: mote.h: null, or events that no other thread uses.
    let next = match unsafe { events.as_mut() } {
        Some(events) => events.0.next().transpose(),
        None => Err(invalid(format_args!("events is NULL"))),
    };
    let (code, found, done) = match next {
        Ok(None) => (END, null_mut(), Ok(())),
        Ok(Some(Event::Stats(found))) if !stats.is_null() => {
            (STATS, Box::into_raw(Box::new(MoteStats::from(found))), Ok(()))
        }
        Ok(Some(Event::Stats(_))) => (STATS, null_mut(), Ok(())),
        Ok(Some(_)) => (OOM_KILL, null_mut(), Ok(())),
        Err(error) => (-1, null_mut(), Err(error)),
    };
    // SAFETY: mote.h: null, or a place for a result.
    unsafe { store(stats, found) };
    // SAFETY: mote.h: null, or a place for an error.
    unsafe { status(done, error) };
    code
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_events_fd(events: *const MoteEvents) -> c_int {
    // SAFETY: mote.h: null, or events.
    unsafe { events.as_ref() }.and_then(|events| events.0.fd()).map_or(-1, |fd| fd.as_raw_fd())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_events_free(events: *mut MoteEvents) {
    // SAFETY: mote.h: null, or events that were not freed.
    unsafe { free(events) };
}

/// Defines functions that return a number.
macro_rules! numbers {
    ($($name:ident $field:ident)*) => { $(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(stats: *const MoteStats) -> u64 {
            // SAFETY: mote.h: null, or statistics.
            unsafe { stats.as_ref() }.map_or(0, |stats| stats.stats.$field)
        }
    )* };
}

numbers! {
    mote_stats_cpu_total cpu_total
    mote_stats_cpu_kernel cpu_kernel
    mote_stats_cpu_user cpu_user
    mote_stats_cpu_throttled_periods cpu_throttled_periods
    mote_stats_memory_usage memory_usage
    mote_stats_memory_limit memory_limit
    mote_stats_memory_max memory_max
    mote_stats_pids_current pids_current
    mote_stats_pids_limit pids_limit
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_stats_json(stats: *const MoteStats) -> *const c_char {
    // SAFETY: mote.h: null, or statistics.
    unsafe { stats.as_ref() }.map_or(null(), |stats| stats.json.as_ptr())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_stats_free(stats: *mut MoteStats) {
    // SAFETY: mote.h: null, or statistics that were not freed.
    unsafe { free(stats) };
}
