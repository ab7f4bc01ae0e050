//! Who the process is (credentials(7), setgroups(2), umask(2); config.md, "User").

use alloc::vec::Vec;

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::{Errno, read};
use rustix::process::umask;
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::calls::Calls;
use crate::config::process::User;
use crate::error::{Error, On, Result};

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
    /// `denied` is whether the user namespace is going to be without setgroups(2), `any` whether mote itself has additional
    /// groups, and `keep` whether those are to stay (`run.oci.keep_original_groups`).
    pub fn new(user: &User, denied: bool, any: bool, keep: bool) -> Result<Self> {
        if denied && !user.additional_gids.is_empty() {
            return Err(refused());
        }
        let nothing_to_do = user.additional_gids.is_empty() && !any;
        let groups = match denied || nothing_to_do || keep {
            true => None,
            false => Some(user.additional_gids.iter().map(|gid| Gid::from_raw(*gid)).collect()),
        };
        Ok(Plan { uid: user.uid, gid: user.gid, groups, umask: user.umask.unwrap_or(UMASK) })
    }

    /// Whether groups are set, which a user namespace may deny.
    pub fn sets_groups(&self) -> bool {
        self.groups.is_some()
    }

    /// Before a user namespace is joined: there setgroups(2) may be denied, and the additional groups of whoever called mote
    /// be kept by a process of somebody else's container. Who may not drop them has them anyway.
    #[cold]
    pub fn drop_groups(&self) {
        if self.sets_groups() {
            let _ = set_thread_groups(&[]);
        }
    }

    /// Groups, then gid, then uid: each needs the rights that the last one gives up. Where setgroups(2) is `denied`
    /// what is there cannot be dropped.
    pub fn apply(&self, denied: bool) -> Result<()> {
        if let Some(groups) = &self.groups {
            if denied {
                return match groups.is_empty() {
                    true => self.apply_ids(),
                    false => Err(refused()),
                };
            }
            set_thread_groups(groups)
                .on(format_args!("process.user.additionalGids: setgroups of {}", groups.len()))?;
        }
        self.apply_ids()
    }

    fn apply_ids(&self) -> Result<()> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        set_thread_res_gid(gid, gid, gid).on(format_args!("process.user.gid: setresgid {}", self.gid))?;
        set_thread_res_uid(uid, uid, uid).on(format_args!("process.user.uid: setresuid {}", self.uid))
    }

    /// The system calls of both.
    pub fn calls(&self, call: &mut Calls<'_>) {
        // rustix takes those with 32-bit ids.
        let [groups, gid, uid] = match cfg!(target_arch = "arm") {
            true => ["setgroups32", "setresgid32", "setresuid32"],
            false => ["setgroups", "setresgid", "setresuid"],
        };
        if let Some(list) = &self.groups {
            call(groups, &[list.len() as u64]);
        }
        call(gid, &[self.gid.into(); 3]);
        call(uid, &[self.uid.into(); 3]);
        call("umask", &[self.umask.into()]);
    }

    /// The umask, after the last file is made.
    pub fn apply_umask(&self) {
        umask(Mode::from_raw_mode(self.umask));
    }
}

#[cold]
fn refused() -> Error {
    Error::invalid(format_args!("process.user.additionalGids: setgroups(2) is denied in the user namespace"))
}

/// Whether the user namespace that this process is in denies setgroups(2) (user_namespaces(7), "The /proc/pid/setgroups
/// file"): one has it from the one above, and root of it can be without. `proc` is the host's procfs.
#[cold]
#[inline(never)]
pub fn is_setgroups_denied(proc: &OwnedFd) -> Result<bool> {
    let mut word = [0; 8];
    match openat(proc, c"self/setgroups", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        // Before linux 3.19.
        Err(Errno::NOENT) => Ok(false),
        file => {
            let file = file.on(format_args!("openat /proc/self/setgroups"))?;
            let length = read(&file, &mut word).on(format_args!("read /proc/self/setgroups"))?;
            Ok(word.get(..length).unwrap_or_default().trim_ascii() == b"deny")
        }
    }
}

/// Becomes root of a user namespace just entered.
pub fn become_root() -> Result<()> {
    let (uid, gid) = (Uid::ROOT, Gid::ROOT);
    set_thread_res_gid(gid, gid, gid).on(format_args!("setresgid 0 in the user namespace"))?;
    set_thread_res_uid(uid, uid, uid).on(format_args!("setresuid 0 in the user namespace"))
}
