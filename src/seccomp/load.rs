//! The kernel's side: a program is given to it (seccomp(2)), for the calling thread and all that comes of it.
//!
//! Without no_new_privs this needs CAP_SYS_ADMIN in the user namespace. After it every call of mote's own is
//! filtered, too.

use rustix::fd::OwnedFd;
use rustix::io::Errno;

use super::filter::Filter;
use crate::error::{Error, On, Result};
use crate::sys::seccomp as sys;

/// Flags by their names, the newest first: that is the order in which a kernel that refuses them is asked again
/// with fewer.
pub static FLAGS: [(&str, u32); 4] = [
    ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", sys::WAIT_KILLABLE_RECV), // linux 5.19
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", sys::SPEC_ALLOW),                 // linux 4.17
    ("SECCOMP_FILTER_FLAG_LOG", sys::LOG),                               // linux 4.14
    ("SECCOMP_FILTER_FLAG_TSYNC", sys::TSYNC),
];

/// What `flags` of a profile means. None at all means SPEC_ALLOW, as in crun: what it turns off, protection
/// against speculation that costs some programs much, the kernel itself does not turn on any more since linux 5.16.
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
        // About waiting for a listener: the kernel refuses it where there is none.
        false => flags &= !sys::WAIT_KILLABLE_RECV,
    }
    // With a listener the call returns its descriptor, so that it must be told to fail in another way when a
    // thread cannot be made to follow (linux 5.7).
    if flags & sys::TSYNC != 0 && listener {
        flags |= sys::TSYNC_ESRCH;
    }
    Ok(flags)
}

/// Whether the kernel knows a flag, one of [`FLAGS`].
pub fn is_flag_supported(flag: u32) -> bool {
    let with = if flag == sys::WAIT_KILLABLE_RECV { sys::NEW_LISTENER } else { 0 };
    sys::are_flags_known(flag | with)
}

/// Whether the kernel knows an action, one of this module's constants.
pub fn is_action_available(action: u32) -> bool {
    sys::is_action_available(action)
}

impl Filter<'_> {
    /// Whether it has a listener, whose descriptor loading it gives.
    pub fn has_listener(&self) -> bool {
        self.flags & sys::NEW_LISTENER != 0
    }

    /// Loads it. Nothing is allocated.
    ///
    /// A kernel that refuses a flag is asked again without: none changes what the filter decides. TSYNC reaches
    /// for other threads, which a container's first process has not.
    pub fn load(&self) -> Result<Option<OwnedFd>> {
        let mut flags = self.flags;
        loop {
            match sys::set_filter(&self.instructions, flags) {
                // Also what a wrong program gets, which is then said of the last try.
                Err(Errno::INVAL) if flags & !sys::NEW_LISTENER != 0 => flags = without_newest(flags),
                result => return result.on(format_args!("seccomp SECCOMP_SET_MODE_FILTER flags {flags}")),
            }
        }
    }
}

fn without_newest(flags: u32) -> u32 {
    match FLAGS.iter().find(|(_, flag)| flags & flag != 0) {
        Some((_, sys::TSYNC)) | None => flags & sys::NEW_LISTENER,
        Some((_, flag)) => flags & !flag,
    }
}
