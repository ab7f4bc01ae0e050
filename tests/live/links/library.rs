//! The library inside another program: one function for C, which tests/live/links/threads.py calls.
#![crate_type = "cdylib"]

use std::ffi::{CStr, c_char};

use mote::internal::cgroup::manager::Requested;
use mote::internal::container::create::{Request, create};
use mote::internal::container::pid_receivers::PidReceivers;
use mote::internal::container::store::directory::Store;

/// Creates a container, which then waits for `mote start`. Returns 0, or 1 after it has printed an error.
///
/// # Safety
/// All three are C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn embedded(root: *const c_char, bundle: *const c_char, id: *const c_char) -> i32 {
    // SAFETY: the caller passes C strings.
    let [root, bundle, id] = [root, bundle, id].map(|word| unsafe { CStr::from_ptr(word) });
    let request = Request {
        id,
        bundle,
        config: None,
        pid_receivers: PidReceivers { pid_file: None, pidfd_socket: None },
        console_socket: None,
        preserve_fds: 0,
        listen_fds: 0,
        notify_socket: None,
        seccomp_receiver: None,
        pivot: true,
        new_keyring: true,
        manager: &Requested::Cgroupfs,
    };
    match create(&Store::new(root.to_string_lossy().into_owned()), &request, &mut Vec::new()) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{error}");
            1
        }
    }
}
