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

/// Every capability; the index is its number (include/uapi/linux/capability.h, linux 6.18).
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

/// CAP_AUDIT_READ, the last one of linux 3.16.
const OLDEST_LAST: u64 = 37;

/// The number of a capability by its name.
pub fn number(name: &str) -> Option<usize> {
    NAMES.iter().position(|known| known.eq_ignore_ascii_case(name))
}

/// The sets as bits. A configuration without `capabilities` gives none at all.
#[derive(Debug, Default)]
pub struct Plan {
    bounding: u64,
    /// Of the set before: what is not in it need not be taken out.
    present: u64,
    effective: u64,
    inheritable: u64,
    permitted: u64,
    ambient: u64,
}

impl Plan {
    /// What the configuration asks for, as far as it can be had: `available` are those of this process, or
    /// all in a new user namespace. `warn` takes the rest, and names that no kernel has: "Runtimes
    /// SHOULD NOT fail if the container configuration requests capabilities that cannot be granted".
    /// `present` is the bounding set as it is.
    pub fn new(
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

    /// Before ids change: shrinks the bounding set, which needs CAP_SETPCAP, and asks the kernel to keep
    /// the permitted set when uid 0 is given up for `uid`.
    pub fn apply_before_ids(&self, uid: u32) -> Result<()> {
        for number in 0..64 {
            if self.bounding & (1 << number) != 0 || self.present & (1 << number) == 0 {
                continue;
            }
            match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
                Ok(()) => {}
                // The first number that this kernel does not have.
                Err(Errno::INVAL) => break,
                error => error.on(format_args!("prctl PR_CAPBSET_DROP {number}"))?,
            }
        }
        match uid {
            0 => Ok(()),
            _ => set_keep_capabilities(true).on(format_args!("prctl PR_SET_KEEPCAPS")),
        }
    }

    /// After ids changed: the process's own sets, and the ambient one, which must lie within them.
    pub fn apply_after_ids(&self) -> Result<()> {
        let wanted = CapabilitySets {
            effective: CapabilitySet::from_bits_retain(self.effective),
            permitted: CapabilitySet::from_bits_retain(self.permitted),
            inheritable: CapabilitySet::from_bits_retain(self.inheritable),
        };
        set_capabilities(None, wanted).on(format_args!("process.capabilities: capset"))?;
        // Nothing is ambient that is not both permitted and inheritable: capset(2) has seen to that.
        if self.permitted & self.inheritable & !self.ambient != 0 {
            clear_ambient_capability_set().on(format_args!("prctl PR_CAP_AMBIENT_CLEAR_ALL"))?;
        }
        for (number, name) in NAMES.iter().enumerate().filter(|(n, _)| self.ambient & (1 << n) != 0) {
            configure_capability_in_ambient_set(CapabilitySet::from_bits_retain(1 << number), true)
                .on(format_args!("process.capabilities.ambient: prctl PR_CAP_AMBIENT_RAISE {name}"))?;
        }
        Ok(())
    }

    /// The system calls of the two. Which capabilities a kernel older than this table has is not known.
    pub fn calls(&self, uid: u32, call: &mut Calls<'_>) {
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

    /// From here on execve gives no rights that the process has not: set-user-id bits and file
    /// capabilities mean nothing, for it and all its children.
    pub fn apply_no_new_privileges(&self) -> Result<()> {
        set_no_new_privs(true).on(format_args!("process.noNewPrivileges: prctl PR_SET_NO_NEW_PRIVS"))
    }
}
