//! Loads filters (seccomp(2)), for the calling thread and its descendants, and converts the flags of a profile.
//!
//! Without no_new_privs, loading needs CAP_SYS_ADMIN in the user namespace. A loaded filter also applies to the calls
//! that mote still makes.

use rustix::fd::OwnedFd;
use rustix::io::Errno;

use super::filter::Filter;
use crate::error::{Error, Result};
use crate::sys::call_list::{CallList, Failure};
use crate::sys::seccomp as sys;

/// Names of flags and their values, the newest first: this is the order in which flags are dropped if the kernel does
/// not support them.
pub static FLAGS: [(&str, u32); 4] = [
    ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", sys::WAIT_KILLABLE_RECV), // linux 5.19
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", sys::SPEC_ALLOW),                 // linux 4.17
    ("SECCOMP_FILTER_FLAG_LOG", sys::LOG),                               // linux 4.14
    ("SECCOMP_FILTER_FLAG_TSYNC", sys::TSYNC),
];

/// The flags for seccomp(2) of the `flags` of a profile. The default is SPEC_ALLOW, as in crun: it disables the
/// mitigation of speculative store bypass, which is expensive for some programs, and which since linux 5.16 a filter
/// does not enable by default any more.
pub(super) fn flags(names: &[&str], listener: bool) -> Result<u32> {
    let mut flags = if names.is_empty() { sys::SPEC_ALLOW } else { 0 };
    for (index, name) in names.iter().enumerate() {
        match FLAGS.iter().find(|known| known.0 == *name) {
            Some((_, flag)) => flags |= flag,
            None => return Err(Error::invalid(format_args!("flags[{index}]: unknown flag \"{name}\""))),
        }
    }
    match listener {
        true => flags |= sys::NEW_LISTENER,
        // The kernel rejects it for a filter without a listener.
        false => flags &= !sys::WAIT_KILLABLE_RECV,
    }
    // With NEW_LISTENER the call returns the listener fd, so the failure of TSYNC for a thread must be reported as
    // ESRCH and not as the thread's ID (linux 5.7).
    if flags & sys::TSYNC != 0 && listener {
        flags |= sys::TSYNC_ESRCH;
    }
    Ok(flags)
}

/// Whether the kernel supports a flag, one of [`FLAGS`].
pub fn is_flag_supported(flag: u32) -> bool {
    let with = if flag == sys::WAIT_KILLABLE_RECV { sys::NEW_LISTENER } else { 0 };
    sys::are_flags_known(flag | with)
}

/// Whether the kernel supports an action, such as [`super::ALLOW`].
pub fn is_action_available(action: u32) -> bool {
    sys::is_action_available(action)
}

impl Filter<'_> {
    /// Adds the call of [`Filter::load`], for a filter without a listener, to a list, with the flags that the kernel
    /// supports; `fail` creates what follows an error.
    pub fn add_to(&self, list: &mut CallList, fail: impl FnOnce(&mut CallList, Error) -> Failure) {
        let mut flags = self.flags;
        while flags != 0 && !sys::are_flags_known(flags) {
            flags = without_newest(flags);
        }
        let failure = fail(list, failed(Errno::INVAL, flags));
        let call = sys::set_filter_call(list, &self.instructions, flags).or(failure);
        list.add(call);
    }

    /// Whether the filter has a listener, so that loading it returns the listener fd.
    pub fn has_listener(&self) -> bool {
        self.flags & sys::NEW_LISTENER != 0
    }

    /// Loads the filter, and returns the listener fd if it has a listener. Allocates no memory.
    ///
    /// If the kernel does not support a flag, it is dropped: none changes the decisions of the filter. TSYNC applies
    /// the filter to other threads, which the container init does not have.
    ///
    /// Errors: those of seccomp(2).
    pub fn load(&self) -> Result<Option<OwnedFd>> {
        let mut flags = self.flags;
        loop {
            match sys::set_filter(&self.instructions, flags) {
                // EINVAL is also returned for an invalid program; then the last attempt reports it.
                Err(Errno::INVAL) if flags & !sys::NEW_LISTENER != 0 => flags = without_newest(flags),
                result => return result.map_err(|errno| failed(errno, flags)),
            }
        }
    }
}

#[cold]
fn failed(errno: Errno, flags: u32) -> Error {
    Error::system(errno, format_args!("seccomp SECCOMP_SET_MODE_FILTER flags {flags}"))
}

fn without_newest(flags: u32) -> u32 {
    match FLAGS.iter().find(|(_, flag)| flags & flag != 0) {
        Some((_, sys::TSYNC)) | None => flags & sys::NEW_LISTENER,
        Some((_, flag)) => flags & !flag,
    }
}
