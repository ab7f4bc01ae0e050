//! The annotations of crun that have an effect (config.md, "Annotations").

use core::ffi::CStr;

/// The known annotations, without the prefix `run.oci.`; some of them are rejected as unsupported.
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

/// Whether this is an annotation of crun that mote does not know.
pub fn is_unknown(key: &CStr) -> bool {
    key.to_bytes().strip_prefix(b"run.oci.").is_some_and(|name| !KNOWN.contains(&name))
}
