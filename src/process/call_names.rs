//! The names of the system calls that rustix makes, where they depend on the architecture.

/// On 32-bit architectures rustix makes the calls that have 32-bit IDs and 64-bit times.
const IS_32_BIT: bool = cfg!(target_pointer_width = "32");

/// With which messages of `launch/message.rs` are sent and received, and connections accepted.
pub const SEND: &str = socket_call("sendto", "send");
pub const RECEIVE: &str = socket_call("recvfrom", "recv");
pub const ACCEPT: &str = socket_call("accept4", "accept4");

/// With which metadata of a file is read.
pub const STAT: &str = if IS_32_BIT { "statx" } else { "newfstatat" };
pub const FSTAT: &str = if IS_32_BIT { "statx" } else { "fstat" };

/// With which mote maps memory.
pub const MMAP: &str = if IS_32_BIT { "mmap2" } else { "mmap" };

/// With which groups and IDs are set.
pub const SETGROUPS: &str = if IS_32_BIT { "setgroups32" } else { "setgroups" };
pub const SETRESGID: &str = if IS_32_BIT { "setresgid32" } else { "setresgid" };
pub const SETRESUID: &str = if IS_32_BIT { "setresuid32" } else { "setresuid" };

/// The name on most architectures, and that on those that have the older call.
const fn socket_call(name: &'static str, older: &'static str) -> &'static str {
    match () {
        () if cfg!(target_arch = "x86") => "socketcall",
        () if cfg!(any(target_arch = "arm", target_arch = "powerpc64")) => older,
        () => name,
    }
}
