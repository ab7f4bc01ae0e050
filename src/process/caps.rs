//! The five capability sets and no_new_privs (capabilities(7), prctl(2); config.md, "Linux Process").

use linux_raw_sys::prctl::{
    PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, PR_CAP_AMBIENT_RAISE, PR_CAPBSET_DROP, PR_SET_KEEPCAPS,
};
use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, configure_capability_in_ambient_set,
    remove_capability_from_bounding_set, set_capabilities, set_keep_capabilities, set_no_new_privs,
};

use super::calls::Calls;
use crate::config::process::Capabilities;
use crate::error::{Error, On, Result};

/// The names of all capabilities; the index is the number (include/uapi/linux/capability.h, linux 6.18).
pub static NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// CAP_AUDIT_READ, the last capability of linux 3.16.
const OLDEST_LAST: u64 = 37;

/// The number of the capability with this name, in any case; `None` if it is unknown.
pub fn number(name: &str) -> Option<usize> {
    NAMES.iter().position(|known| known.eq_ignore_ascii_case(name))
}

/// The capability sets as bit masks. All are empty if the configuration has no `capabilities`.
#[derive(Debug, Default)]
pub struct Plan {
    bounding: u64,
    /// The bounding set of this process: what is not in it need not be dropped.
    present: u64,
    effective: u64,
    inheritable: u64,
    permitted: u64,
    ambient: u64,
}

impl Plan {
    /// The sets of the configuration, without capabilities that cannot be granted. Those, and unknown names, cause
    /// warnings: "Runtimes SHOULD NOT fail if the container configuration requests capabilities that cannot be
    /// granted".
    ///
    /// `available` is the permitted set of this process, or all in a new user namespace; `present` is the current
    /// bounding set.
    pub(crate) fn new(
        capabilities: Option<&Capabilities<'_>>,
        (available, present): (u64, u64),
        warn: &mut dyn FnMut(Error),
    ) -> Self {
        let Some(given) = capabilities else { return Plan { present, ..Plan::default() } };
        let mut bits = |set: &str, names: &[&str], most: u64, why: &str| {
            let mut refused: Option<Error> = None;
            let bits = names.iter().fold(0u64, |bits, name| {
                let number = number(name);
                if let Some(number) = number.filter(|number| most & 1 << number != 0) {
                    return bits | 1 << number;
                }
                let text = || Error::invalid(format_args!("process.capabilities.{set}: {why}"));
                let unknown = if number.is_none() { " (unknown)" } else { "" };
                refused.get_or_insert_with(text).append(format_args!(" {name}{unknown}"));
                bits
            });
            refused.into_iter().for_each(&mut *warn);
            bits
        };
        let lacking = "mote itself does not have";
        let permitted = bits("permitted", &given.permitted, available, lacking);
        let effective = bits("effective", &given.effective, permitted, "not among the permitted:");
        let inheritable = bits("inheritable", &given.inheritable, available, lacking);
        let bounding = bits("bounding", &given.bounding, available, lacking);
        // capabilities(7): a capability can be ambient only if it is permitted and inheritable.
        let both = permitted & inheritable;
        let ambient = bits("ambient", &given.ambient, both, "not among the permitted and inheritable:");
        Plan { bounding, present, effective, inheritable, permitted, ambient }
    }

    /// Drops capabilities from the bounding set, which needs CAP_SETPCAP, and sets PR_SET_KEEPCAPS, by which the kernel
    /// keeps the permitted set if the UID changes from 0 to `uid`. To be called before the IDs change.
    pub(crate) fn apply_before_ids(&self, uid: u32) -> Result<()> {
        for number in 0..64 {
            if self.bounding & (1 << number) != 0 || self.present & (1 << number) == 0 {
                continue;
            }
            match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
                Ok(()) => {}
                // The first number that this kernel does not support.
                Err(Errno::INVAL) => break,
                error => error.on(format_args!("prctl PR_CAPBSET_DROP {number}"))?,
            }
        }
        match uid {
            0 => Ok(()),
            _ => set_keep_capabilities(true).on(format_args!("prctl PR_SET_KEEPCAPS")),
        }
    }

    /// Sets the effective, permitted and inheritable sets, and the ambient set, which must be a subset of the last
    /// two. To be called after the IDs have changed.
    pub(crate) fn apply_after_ids(&self) -> Result<()> {
        let wanted = CapabilitySets {
            effective: CapabilitySet::from_bits_retain(self.effective),
            permitted: CapabilitySet::from_bits_retain(self.permitted),
            inheritable: CapabilitySet::from_bits_retain(self.inheritable),
        };
        set_capabilities(None, wanted).on(format_args!("process.capabilities: capset"))?;
        // Only capabilities that are permitted and inheritable can still be ambient: capset(2) has removed the others.
        if self.permitted & self.inheritable & !self.ambient != 0 {
            clear_ambient_capability_set().on(format_args!("prctl PR_CAP_AMBIENT_CLEAR_ALL"))?;
        }
        for (number, name) in NAMES.iter().enumerate().filter(|(n, _)| self.ambient & (1 << n) != 0) {
            configure_capability_in_ambient_set(CapabilitySet::from_bits_retain(1 << number), true)
                .on(format_args!("process.capabilities.ambient: prctl PR_CAP_AMBIENT_RAISE {name}"))?;
        }
        Ok(())
    }

    /// Reports the system calls of [`Plan::apply_before_ids`] and [`Plan::apply_after_ids`]. Drops from the bounding
    /// set are reported up to `OLDEST_LAST` only: whether the kernel supports higher numbers is not known in
    /// advance.
    pub(crate) fn calls(&self, uid: u32, call: &mut Calls<'_>) {
        let mut prctl = |option: u32, argument: u64, more: u64| {
            call("prctl", &[option.into(), argument, more, 0, 0]);
        };
        let lost = self.present & !self.bounding;
        for number in (0..=OLDEST_LAST).filter(|number| lost & (1 << number) != 0) {
            prctl(PR_CAPBSET_DROP, number, 0);
        }
        if uid != 0 {
            prctl(PR_SET_KEEPCAPS, 1, 0);
        }
        if self.permitted & self.inheritable & !self.ambient != 0 {
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL.into(), 0);
        }
        for number in (0..64).filter(|number| self.ambient & (1 << number) != 0) {
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE.into(), number);
        }
        call("capset", &[]);
    }

    /// Sets no_new_privs: execve ignores set-user-ID bits and file capabilities from now on, for this process and its
    /// descendants.
    pub(crate) fn apply_no_new_privileges(&self) -> Result<()> {
        set_no_new_privs(true).on(format_args!("process.noNewPrivileges: prctl PR_SET_NO_NEW_PRIVS"))
    }
}
