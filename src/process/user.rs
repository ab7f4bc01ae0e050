//! Who the process is (credentials(7), setgroups(2), umask(2); config.md, "User").

use alloc::vec::Vec;

use rustix::fs::Mode;
use rustix::process::umask;
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::error::{Error, On, Result};
use crate::spec::process::User;

/// Ids inside the container.
#[derive(Debug)]
pub struct Plan {
    pub uid: u32,
    pub gid: u32,
    /// `None`: the groups stay as they are.
    groups: Option<Vec<Gid>>,
    umask: u32,
}

/// What crun and runc give a process whose configuration names no umask.
const UMASK: u32 = 0o022;

impl Plan {
    /// `denied` is whether the user namespace has given up setgroups(2), `keep` whether the runtime's own
    /// groups are to stay (`run.oci.keep_original_groups`).
    pub fn new(user: &User, denied: bool, keep: bool) -> Result<Self> {
        if denied && !user.additional_gids.is_empty() {
            return Err(Error::invalid(format_args!(
                "process.user.additionalGids: setgroups(2) is denied in a user namespace of an ordinary user"
            )));
        }
        let groups = match denied || keep {
            true => None,
            false => Some(user.additional_gids.iter().map(|gid| Gid::from_raw(*gid)).collect()),
        };
        Ok(Plan { uid: user.uid, gid: user.gid, groups, umask: user.umask.unwrap_or(UMASK) })
    }

    /// Groups, then gid, then uid: each needs the rights that the last one gives up.
    pub fn apply(&self) -> Result<()> {
        if let Some(groups) = &self.groups {
            set_thread_groups(groups)
                .on(format_args!("process.user.additionalGids: setgroups of {}", groups.len()))?;
        }
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        set_thread_res_gid(gid, gid, gid).on(format_args!("process.user.gid: setresgid {}", self.gid))?;
        set_thread_res_uid(uid, uid, uid).on(format_args!("process.user.uid: setresuid {}", self.uid))
    }

    /// The umask, after the last file is made.
    pub fn apply_umask(&self) {
        umask(Mode::from_raw_mode(self.umask));
    }
}

/// Becomes root of a user namespace just entered.
pub fn become_root() -> Result<()> {
    let (uid, gid) = (Uid::ROOT, Gid::ROOT);
    set_thread_res_gid(gid, gid, gid).on(format_args!("setresgid 0 in the user namespace"))?;
    set_thread_res_uid(uid, uid, uid).on(format_args!("setresuid 0 in the user namespace"))
}
