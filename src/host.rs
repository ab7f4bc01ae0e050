//! Facts about the host and this process that do not change while mote runs, read once.
//!
//! Plans use only a `Host` and read nothing from the system, so that tests can construct one.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::mem::MaybeUninit;

use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RawDir, fstat, fstatfs, open, openat, statat, statfs,
};
use rustix::io::read;

use rustix::thread::CapabilitySet;

use crate::error::{On, Result};
use crate::os::{file, procfs};
use crate::sys::namespace::own_user;

/// The facts. Where /proc cannot be read, fields have the stated default.
#[derive(Debug)]
pub struct Host {
    /// The effective UID of this process, in its own user namespace.
    pub uid: u32,
    /// The effective GID, likewise.
    pub gid: u32,
    /// Whether this process has supplementary groups.
    pub has_groups: bool,
    /// The permitted capability set of this process in its own user namespace: bit n is capability n.
    pub capabilities: u64,
    /// The effective capability set.
    pub effective: u64,
    /// The capability bounding set. Default: all.
    pub bounding: u64,
    /// Signals that this process inherited as ignored (nohup(1), background jobs of a shell): bit n-1 is signal n.
    /// Default: all.
    pub ignored_signals: u64,
    /// Whether /proc is the procfs of this process's pid namespace (`os/procfs.rs`).
    pub own_procfs: bool,
    /// The mounted hierarchies.
    pub cgroups: Cgroups,
}

/// How cgroups(7) are mounted at `/sys/fs/cgroup`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cgroups {
    /// Not mounted.
    None,
    /// cgroup v2 only.
    Unified,
    /// cgroup v2, and at its directory `systemd` the v1 hierarchy name=systemd, which has no controllers: for a
    /// container that requests it by annotation.
    Named,
    /// cgroup v1 hierarchies, each mounted at a directory named after its controllers.
    Hierarchies {
        /// The names of these directories, such as `cpu,cpuacct`.
        names: Vec<String>,
        /// Whether a v2 hierarchy is mounted at the directory `unified`: the hybrid layout.
        unified: bool,
    },
}

/// The conventional mount point of cgroups (cgroups(7)).
pub(crate) const CGROUP_ROOT: &CStr = c"/sys/fs/cgroup";

/// statfs(2) magic numbers of include/uapi/linux/magic.h.
const CGROUP_SUPER_MAGIC: u64 = 0x27_e0eb;
const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;

const NSFS_MAGIC: u64 = 0x6e73_6673;

/// The inode of the initial user namespace, PROC_USER_INIT_INO of include/linux/proc_ns.h.
const USER_INIT_INODE: u64 = 0xeffffffd;

impl Host {
    /// Reads the facts from /proc/self/status and /sys/fs/cgroup. Errors: a system call on the latter failed.
    pub fn read() -> Result<Self> {
        let mut space = [0u8; 2048];
        let status = open(c"/proc/self/status", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let status = status.ok().filter(procfs::is_procfs);
        let count = status.and_then(|status| read(&status, &mut space).ok()).unwrap_or(0);
        let status = core::str::from_utf8(space.get(..count).unwrap_or_default()).unwrap_or_default();
        // The list of groups may be longer than the buffer: an incomplete last line is ignored.
        let status = status.rsplit_once('\n').map_or("", |(whole, _)| whole);
        // Reading one file replaces four system calls, and one for each signal and capability. It may be unavailable.
        let (uid, gid) = match (effective(status, "Uid:"), effective(status, "Gid:")) {
            (Some(uid), Some(gid)) => (uid, gid),
            _ => (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
        };
        let (capabilities, effective) = match (bits(status, "CapPrm:"), bits(status, "CapEff:")) {
            (Some(permitted), Some(effective)) => (permitted, effective),
            _ => {
                let sets = rustix::thread::capabilities(None).on(format_args!("capget"))?;
                (sets.permitted.bits(), sets.effective.bits())
            }
        };
        let has_groups = line(status, "Groups:").map_or_else(has_groups, |groups| !groups.is_empty());
        let bounding = bits(status, "CapBnd:").unwrap_or(u64::MAX);
        let ignored_signals = bits(status, "SigIgn:").unwrap_or(u64::MAX);
        let own_procfs = procfs::is_of_own_namespace(status);
        let cgroups = Cgroups::read()?;
        Ok(Host {
            uid,
            gid,
            has_groups,
            capabilities,
            effective,
            bounding,
            ignored_signals,
            own_procfs,
            cgroups,
        })
    }
}

impl Host {
    /// Whether this process has a capability in its own user namespace (capabilities(7)).
    pub(crate) fn has(&self, capability: u32) -> bool {
        self.effective & 1 << capability != 0
    }
}

/// The value of a line of /proc/self/status (proc_pid_status(5)).
fn line<'s>(status: &'s str, name: &str) -> Option<&'s str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim_ascii)
}

/// The effective ID, the second of the four in a line `Uid:` or `Gid:`.
fn effective(status: &str, name: &str) -> Option<u32> {
    line(status, name)?.split('\t').nth(1)?.parse().ok()
}

/// Whether this process has supplementary groups, by getgroups(2).
#[cold]
#[inline(never)]
fn has_groups() -> bool {
    rustix::process::getgroups().is_ok_and(|groups| !groups.is_empty())
}

fn bits(status: &str, name: &str) -> Option<u64> {
    u64::from_str_radix(line(status, name)?, 16).ok()
}

impl Cgroups {
    /// Reads the layout of the hierarchies that are mounted at /sys/fs/cgroup.
    pub fn read() -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(root) = open(CGROUP_ROOT, flags, Mode::empty()) else { return Ok(Cgroups::None) };
        let magic = fstatfs(&root).on(format_args!("fstatfs /sys/fs/cgroup"))?.f_type;
        if magic as u64 == CGROUP2_SUPER_MAGIC {
            return Ok(Cgroups::Unified);
        }
        let own = fstat(&root).on(format_args!("fstat /sys/fs/cgroup"))?.st_dev;
        // systemd also creates directories for hierarchies that the kernel lacks, or has in v2.
        let is_mounted =
            |name: &CStr| statat(&root, name, AtFlags::empty()).is_ok_and(|stat| stat.st_dev != own);
        let (mut names, mut unified) = (Vec::new(), false);
        let mut space = [MaybeUninit::uninit(); 2048];
        let mut entries = RawDir::new(&root, &mut space);
        while let Some(entry) = entries.next() {
            let entry = entry.on(format_args!("getdents64 /sys/fs/cgroup"))?;
            // Symbolic links are aliases: `cpu` of `cpu,cpuacct`.
            if entry.file_type() != FileType::Directory {
                continue;
            }
            match entry.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok("unified") => unified = is_a(c"/sys/fs/cgroup/unified", CGROUP2_SUPER_MAGIC),
                Ok(name) if is_mounted(entry.file_name()) => names.push(String::from(name)),
                Ok(_) => {}
            }
        }
        names.sort_unstable();
        match names.is_empty() && !unified {
            true => Ok(Cgroups::None),
            false => Ok(Cgroups::Hierarchies { names, unified }),
        }
    }
}

impl Cgroups {
    /// The layout of an existing container: [`Cgroups::Named`] if it was created with that (`named`) and the hierarchy
    /// is still mounted.
    pub(crate) fn of(self, named: bool) -> Self {
        match self {
            Cgroups::Unified if named && has_named() => Cgroups::Named,
            layout => layout,
        }
    }

    /// Whether a controller is in one of the v1 hierarchies.
    pub(crate) fn has_v1(&self, controller: &str) -> bool {
        let has = |name: &String| name.split(',').any(|one| one == controller);
        matches!(self, Cgroups::Hierarchies { names, .. } if names.iter().any(has))
    }

    /// Whether all controllers are on v2.
    pub(crate) fn is_unified(&self) -> bool {
        matches!(self, Cgroups::Unified | Cgroups::Named)
    }

    /// Whether there is a v2 hierarchy, which has the controllers that are not on v1.
    pub(crate) fn has_v2(&self) -> bool {
        self.is_unified() || matches!(self, Cgroups::Hierarchies { unified: true, .. })
    }

    /// Whether a controller is on v2, if it exists.
    pub(crate) fn is_v2(&self, controller: &str) -> bool {
        self.has_v2() && !self.has_v1(controller)
    }
}

/// Whether the v1 hierarchy of [`Cgroups::Named`] is mounted.
pub(crate) fn has_named() -> bool {
    is_a(c"/sys/fs/cgroup/systemd", CGROUP_SUPER_MAGIC)
}

fn is_a(path: &CStr, magic: u64) -> bool {
    statfs(path).is_ok_and(|found| found.f_type as u64 == magic)
}

/// Whether this process belongs to an unprivileged user of the host: servers that check the UID of their clients
/// (SO_PEERCRED) treat it as one. The root of a user namespace is such a user.
pub(crate) fn is_ordinary() -> bool {
    !rustix::process::geteuid().is_root() || in_user_namespace()
}

/// Whether this process has CAP_SYS_ADMIN in the initial user namespace, which the kernel requires for device rules of
/// cgroups.
pub(crate) fn is_administrator() -> bool {
    let sets = rustix::thread::capabilities(None);
    sets.is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN)) && !in_user_namespace()
}

/// The effective UID of this process, as the user namespace above shows it if this one is not the initial one.
#[cold]
pub(crate) fn outer_uid() -> u32 {
    let own = rustix::process::geteuid().as_raw();
    let map = procfs::open().ok().and_then(|proc| own_map(&proc, "uid_map")).unwrap_or_default();
    let outer = |[first, above, count]: &[u32; 3]| {
        own.checked_sub(*first).filter(|offset| offset < count)?.checked_add(*above)
    };
    map.iter().find_map(outer).unwrap_or(own)
}

/// The extents of `uid_map` or `gid_map` of this process's user namespace (user_namespaces(7)): the first ID, the first ID
/// in the user namespace above, and their number. `None` if the file cannot be read.
#[cold]
pub(crate) fn own_map(proc: &OwnedFd, name: &str) -> Option<Vec<[u32; 3]>> {
    let path = format!("self/{name}");
    let map = openat(proc, path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    Some(parse_map(&String::from_utf8(file::read_all(&map, c"map").ok()?).ok()?))
}

/// Parses the format of `uid_map`.
pub(crate) fn parse_map(text: &str) -> Vec<[u32; 3]> {
    let extent = |line: &str| {
        let mut numbers = line.split_ascii_whitespace().filter_map(|word| word.parse().ok());
        Some([numbers.next()?, numbers.next()?, numbers.next()?])
    };
    text.lines().filter_map(extent).collect()
}

/// The name of a user of the host (passwd(5)).
pub fn user_name(uid: u32) -> Option<String> {
    let text = file::read(CWD, c"/etc/passwd").ok()?;
    String::from_utf8_lossy(&text).lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.into())
    })
}

/// Whether this process is in a user namespace other than the initial one. If /proc is not a procfs: false before linux
/// 6.11.
pub fn in_user_namespace() -> bool {
    let found =
        statat(CWD, OWN_USER_NAMESPACE, AtFlags::empty()).is_ok_and(|stat| stat.st_ino == USER_INIT_INODE);
    !found && is_in_other_user_namespace()
}

const OWN_USER_NAMESPACE: &CStr = c"/proc/self/ns/user";

#[cold]
#[inline(never)]
fn is_in_other_user_namespace() -> bool {
    match is_a(OWN_USER_NAMESPACE, NSFS_MAGIC) {
        true => true,
        false => own_user()
            .and_then(|namespace| fstat(&namespace))
            .is_ok_and(|stat| stat.st_ino != USER_INIT_INODE),
    }
}

#[cfg(test)]
mod tests {
    use super::{bits, effective};

    #[test]
    fn status() {
        let status = "Name:\tx\nUid:\t1000\t0\t5\t6\nSigBlk:\t0000000000000000\nSigIgn:\t0000000180001000\n";
        assert_eq!(bits(status, "SigIgn:"), Some(0x1_8000_1000));
        assert_eq!(effective(status, "Uid:"), Some(0));
        assert_eq!((bits("Name:\tx\n", "SigIgn:"), effective(status, "Gid:")), (None, None));
    }
}
