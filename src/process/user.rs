//! User, groups and umask of the process (credentials(7), setgroups(2), umask(2); config.md, "User").

use alloc::vec::Vec;

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::{Errno, read};
use rustix::process::umask;
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::call_names::{SETGROUPS, SETRESGID, SETRESUID};
use super::calls::Calls;
use crate::config::process::User;
use crate::error::{Error, On, Result};

/// The IDs, as in the container's user namespace, and the umask.
#[derive(Debug)]
pub struct Plan {
    pub uid: u32,
    pub gid: u32,
    /// The supplementary groups; `None` keeps the current ones.
    groups: Option<Vec<Gid>>,
    umask: u32,
}

/// The default umask, as in crun and runc.
const UMASK: u32 = 0o022;

impl Plan {
    /// The plan for `process.user`. `denied` is whether the user namespace will deny setgroups(2), `any` whether mote
    /// itself has supplementary groups, and `keep` whether those are kept (`run.oci.keep_original_groups`).
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

    /// Whether setgroups(2) is called, which a user namespace may deny.
    pub fn sets_groups(&self) -> bool {
        self.groups.is_some()
    }

    /// Drops the supplementary groups, before a user namespace is joined: if that denies setgroups(2), a process of the
    /// container would keep the groups of mote's caller. An error is ignored: a caller without the right to drop them
    /// has them anyway.
    #[cold]
    pub fn drop_groups(&self) {
        if self.sets_groups() {
            let _ = set_thread_groups(&[]);
        }
    }

    /// Sets groups, GID and UID, in this order: setting the UID gives up the right to set the others. `denied` is
    /// whether the user namespace denies setgroups(2); then an empty list is ignored, as the current groups cannot be
    /// dropped.
    pub fn apply(&self, denied: bool) -> Result<()> {
        if let Some(groups) = &self.groups {
            if denied {
                return match groups.is_empty() {
                    true => self.apply_ids(),
                    false => Err(refused()),
                };
            }
            set_thread_groups(groups).map_err(|errno| refused_groups(errno, groups))?;
        }
        self.apply_ids()
    }

    fn apply_ids(&self) -> Result<()> {
        set_gid(self.gid).map_err(|errno| refused_id(errno, GID, self.gid))?;
        set_uid(self.uid).map_err(|errno| refused_id(errno, UID, self.uid))
    }

    /// Makes the process root of the user namespace that it has joined, see [`become_root`].
    pub fn become_root(&self) -> Result<()> {
        become_root((self.uid, self.gid))
    }

    /// Reports the system calls of [`Plan::apply`] and [`Plan::apply_umask`].
    pub fn calls(&self, call: &mut Calls<'_>) {
        if let Some(list) = &self.groups {
            call(SETGROUPS, &[list.len() as u64]);
        }
        call(SETRESGID, &[self.gid.into(); 3]);
        call(SETRESUID, &[self.uid.into(); 3]);
        call("umask", &[self.umask.into()]);
    }

    /// Sets the umask. To be called after mote has created its last file.
    pub fn apply_umask(&self) {
        umask(Mode::from_raw_mode(self.umask));
    }
}

#[cold]
fn refused() -> Error {
    Error::invalid(format_args!("process.user.additionalGids: setgroups(2) is denied in the user namespace"))
}

/// Whether the user namespace of this process denies setgroups(2) (user_namespaces(7), "The /proc/pid/setgroups
/// file"): it inherits that from its parent, so it can apply to root as well. `proc` is the host's procfs.
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

/// Changes to UID and GID 0, after a user namespace has been joined. Where that does not map 0, which only the kernel knows
/// of a joined one, the process gets the IDs of its program: with IDs that are not mapped it could not create files.
pub fn become_root((uid, gid): (u32, u32)) -> Result<()> {
    match set_gid(0) {
        Err(Errno::INVAL) => set_gid(gid).map_err(|errno| refused_id(errno, GID, gid))?,
        done => done.on(format_args!("setresgid 0 in the user namespace"))?,
    }
    match set_uid(0) {
        Err(Errno::INVAL) => set_uid(uid).map_err(|errno| refused_id(errno, UID, uid)),
        done => done.on(format_args!("setresuid 0 in the user namespace")),
    }
}

/// The fields and the calls that set them.
const UID: &str = "process.user.uid: setresuid";
const GID: &str = "process.user.gid: setresgid";

fn set_uid(uid: u32) -> rustix::io::Result<()> {
    let uid = Uid::from_raw(uid);
    set_thread_res_uid(uid, uid, uid)
}

fn set_gid(gid: u32) -> rustix::io::Result<()> {
    let gid = Gid::from_raw(gid);
    set_thread_res_gid(gid, gid, gid)
}

/// EINVAL has one reason only (setresuid(2)).
#[cold]
#[inline(never)]
fn refused_id(errno: Errno, call: &str, id: u32) -> Error {
    let why = if errno == Errno::INVAL { " (not mapped in the user namespace)" } else { "" };
    Error::system(errno, format_args!("{call} {id}{why}"))
}

/// EINVAL: one of the groups is not mapped, or there are more than NGROUPS_MAX (setgroups(2)).
#[cold]
#[inline(never)]
fn refused_groups(errno: Errno, groups: &[Gid]) -> Error {
    const NGROUPS_MAX: usize = 65536;
    let why = match errno {
        Errno::INVAL if groups.len() > NGROUPS_MAX => " (more than 65536)",
        Errno::INVAL => " (not all are mapped in the user namespace)",
        _ => "",
    };
    Error::system(errno, format_args!("process.user.additionalGids: setgroups of {}{why}", groups.len()))
}
