//! Annotations that are acted on (config.md, "Annotations"): crun's.

use core::ffi::CStr;

/// Behind `run.oci.`.
const KNOWN: [&[u8]; 13] = [
    b"delegate-cgroup",
    b"handler",
    b"hooks.stderr",
    b"hooks.stdout",
    b"keep_original_groups",
    b"mount_context_type",
    b"pidfd_receiver",
    b"seccomp.plugins",
    b"seccomp.receiver",
    b"seccomp_bpf_data",
    b"seccomp_fail_unknown_syscall",
    b"systemd.force_cgroup_v1",
    b"systemd.subgroup",
];

/// Whether it asks for something of crun's that is not known here.
pub fn is_unknown(key: &CStr) -> bool {
    key.to_bytes().strip_prefix(b"run.oci.").is_some_and(|name| !KNOWN.contains(&name))
}
