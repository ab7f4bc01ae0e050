//! The wait of a container init for `start`, with as little memory as possible: the last steps of the setup are a list of
//! system calls (`sys/call_list.rs`), and everything else is released.

use core::ffi::CStr;

use linux_raw_sys::general::{__NR_accept4, __NR_close, __NR_recvfrom, __NR_sendto};
use linux_raw_sys::net::MSG_NOSIGNAL;
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::SocketFlags;

use super::finish::FoundProgram;
use super::message::{ERRNO_AT, failure_packet};
use crate::error::Error;
use crate::plan::ProcessPlan;
use crate::sys::call_list::{Address, CallList, Failure, First, ListedCall, Next};
use crate::sys::program_text::drop_text_pages;
use crate::sys::self_exe::FirstPage;

/// Waits at the start socket `listener`, as `StartWait::wait` and `finish::become_program` would, for a process without
/// startContainer hooks and without a filter that has a listener. Returns only if the memory for the list is denied.
// Not inlined into its caller, which every start runs: see scripts/layout.ld.
#[inline(never)]
pub fn wait(process: &ProcessPlan<'_>, program: &FoundProgram, listener: &OwnedFd, page: FirstPage) {
    // The list is made by code that the setup did not run: its pages are not resident together.
    drop_text_pages();
    let filter = process.seccomp.as_ref();
    let home = program.home().map_or(0, CStr::count_bytes);
    let strings = process.exec.size() + process.env.variables.size() + home;
    let instructions = filter.map_or(0, |filter| size_of_val(&*filter.instructions));
    let Ok(mut list) = CallList::new(strings + instructions) else { return };
    page.release_others(&mut list);
    let connection = accept(&mut list, listener);
    let fail = &mut |list: &mut CallList, error| failure(list, connection, error);
    process.signals.add_to(&mut list, fail);
    if !process.is_filtered_early() {
        process.rlimits.add_to(&mut list, fail);
        if let Some(filter) = filter {
            filter.add_to(&mut list, |list, error| fail(list, error.within(format_args!("linux.seccomp"))));
        }
    }
    process.exec.add_to(program.index, &process.env.variables, program.home(), &mut list, fail);
    page.run(list);
}

/// Adds the calls that accept connections until one brings a message, and returns where the fd of that one is.
fn accept(list: &mut CallList, listener: &OwnedFd) -> Address {
    let [connection, message] = [(); 2].map(|()| list.bytes(&[0; 8]));
    let (socket, exit) = (First::Is(listener.as_raw_fd() as usize), Next::Entry(list.exit()));
    let flags = SocketFlags::CLOEXEC.bits() as usize;
    let call = ListedCall::new(__NR_accept4, socket, [0, 0, flags, 0]);
    let accept = list.add(ListedCall { result: Some(connection), failed: exit, ..call });
    // A connection without a message is a query of the state.
    let connected = First::At(connection);
    let close = list.aside(ListedCall::new(__NR_close, connected, [0; 4]).to(Next::Entry(accept)));
    list.add(ListedCall {
        zero: Next::Entry(close),
        // Reported once, before the peer's last message.
        on_error: Some((Errno::CONNRESET, Next::Same)),
        failed: exit,
        ..ListedCall::new(__NR_recvfrom, connected, [message.number(), 8, 0, 0])
    });
    connection
}

/// Creates what sends an error to `start`.
fn failure(list: &mut CallList, connection: Address, error: Error) -> Failure {
    let (packet, length) = failure_packet(&error, |packet| (list.bytes(packet), packet.len()));
    error.recycle();
    let arguments = [packet.number(), length, MSG_NOSIGNAL as usize, 0];
    let call = ListedCall::new(__NR_sendto, First::At(connection), arguments).to(Next::Entry(list.exit()));
    Failure { entry: list.aside(call), errno: packet.behind(ERRNO_AT) }
}
