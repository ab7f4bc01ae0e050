//! The table of `mounts[].options` (config.md, "Linux mount options"; mount(8)), used by the parser and by `features`.

use core::ffi::CStr;

use linux_raw_sys::general as sys;

/// The meaning of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountOption {
    /// Sets `MOUNT_ATTR_*` of the mount (mount_setattr(2)).
    Set(u32),
    /// Clears `MOUNT_ATTR_*` of the mount.
    Clear(u32),
    /// Sets `MOUNT_ATTR_*` of all mounts of the tree.
    SetAll(u32),
    /// Clears `MOUNT_ATTR_*` of all mounts of the tree.
    ClearAll(u32),
    /// The access time flags `MOUNT_ATTR_*ATIME`, replacing earlier ones; `true` for the whole tree.
    Atime(u32, bool),
    /// `ro`: the mount is read-only, and so is a new filesystem.
    ReadOnly,
    /// `rw`: the mount and a new filesystem are writable.
    ReadWrite,
    /// A flag of the filesystem, with its name in fsconfig(2).
    Super(&'static CStr),
    /// `MS_*` of mount(2); `true` for the whole tree.
    Propagation(u32, bool),
    /// A bind mount; `true` for a recursive one.
    Bind(bool),
    /// Changes the flags of the mount that is at the destination.
    Remount,
    /// No effect: the default, or a flag that the kernel no longer has.
    Nothing,
    /// A tmpfs with a copy of the directory that it is mounted over.
    CopyUp,
    /// Handling of symbolic links in a bind mount.
    Link(Links),
    /// An idmapped mount; mappings may follow after `=`.
    Idmap,
}

/// Symbolic links at the source and destination of a bind mount, which are followed by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// A link at the source is mounted itself (`src-nofollow`).
    pub source: bool,
    /// A link at the destination is mounted over (`dest-nofollow`).
    pub destination: bool,
    /// A link at the source is created again at the destination (`copy-symlink`).
    pub copied: bool,
}

impl Links {
    /// Adds another option.
    pub(crate) fn add(&mut self, other: Links) {
        self.source |= other.source;
        self.destination |= other.destination;
        self.copied |= other.copied;
    }
}

/// The default: links are followed.
pub(crate) const FOLLOWED: Links = Links { source: false, destination: false, copied: false };

/// The option `iversion` (MS_I_VERSION), which only mount(2) has: fsconfig(2) does not know it.
pub(crate) const INODE_VERSIONS: &CStr = c"iversion";

use MountOption::*;

/// All options, sorted. Others are parameters of the filesystem.
#[rustfmt::skip]
pub static OPTIONS: &[(&str, MountOption)] = &[
    ("async", Super(c"async")),
    ("atime", Atime(sys::MOUNT_ATTR_RELATIME, false)),
    ("bind", Bind(false)),
    ("copy-symlink", Link(Links { copied: true, ..FOLLOWED })),
    ("defaults", Nothing),
    ("dest-nofollow", Link(Links { destination: true, ..FOLLOWED })),
    ("dev", Clear(sys::MOUNT_ATTR_NODEV)),
    ("diratime", Clear(sys::MOUNT_ATTR_NODIRATIME)),
    ("dirsync", Super(c"dirsync")),
    ("exec", Clear(sys::MOUNT_ATTR_NOEXEC)),
    ("idmap", Idmap),
    ("iversion", Super(INODE_VERSIONS)),
    ("lazytime", Super(c"lazytime")),
    ("loud", Nothing),
    ("mand", Super(c"mand")),
    ("noatime", Atime(sys::MOUNT_ATTR_NOATIME, false)),
    ("nodev", Set(sys::MOUNT_ATTR_NODEV)),
    ("nodiratime", Set(sys::MOUNT_ATTR_NODIRATIME)),
    ("noexec", Set(sys::MOUNT_ATTR_NOEXEC)),
    ("noiversion", Nothing),
    ("nolazytime", Super(c"nolazytime")),
    ("nomand", Super(c"nomand")),
    // Without relatime and strictatime, the default of the kernel applies: relatime since 2.6.30.
    ("norelatime", Nothing),
    ("nostrictatime", Atime(sys::MOUNT_ATTR_RELATIME, false)),
    ("nosuid", Set(sys::MOUNT_ATTR_NOSUID)),
    ("nosymfollow", Set(sys::MOUNT_ATTR_NOSYMFOLLOW)),
    ("private", Propagation(sys::MS_PRIVATE, false)),
    ("ratime", Atime(sys::MOUNT_ATTR_RELATIME, true)),
    ("rbind", Bind(true)),
    ("rdev", ClearAll(sys::MOUNT_ATTR_NODEV)),
    ("rdiratime", ClearAll(sys::MOUNT_ATTR_NODIRATIME)),
    ("relatime", Atime(sys::MOUNT_ATTR_RELATIME, false)),
    ("remount", Remount),
    ("rexec", ClearAll(sys::MOUNT_ATTR_NOEXEC)),
    ("ridmap", Idmap),
    ("rnoatime", Atime(sys::MOUNT_ATTR_NOATIME, true)),
    ("rnodev", SetAll(sys::MOUNT_ATTR_NODEV)),
    ("rnodiratime", SetAll(sys::MOUNT_ATTR_NODIRATIME)),
    ("rnoexec", SetAll(sys::MOUNT_ATTR_NOEXEC)),
    ("rnorelatime", Nothing),
    ("rnostrictatime", Atime(sys::MOUNT_ATTR_RELATIME, true)),
    ("rnosuid", SetAll(sys::MOUNT_ATTR_NOSUID)),
    ("rnosymfollow", SetAll(sys::MOUNT_ATTR_NOSYMFOLLOW)),
    ("ro", ReadOnly),
    ("rprivate", Propagation(sys::MS_PRIVATE, true)),
    ("rrelatime", Atime(sys::MOUNT_ATTR_RELATIME, true)),
    ("rro", SetAll(sys::MOUNT_ATTR_RDONLY)),
    ("rrw", ClearAll(sys::MOUNT_ATTR_RDONLY)),
    ("rshared", Propagation(sys::MS_SHARED, true)),
    ("rslave", Propagation(sys::MS_SLAVE, true)),
    ("rstrictatime", Atime(sys::MOUNT_ATTR_STRICTATIME, true)),
    ("rsuid", ClearAll(sys::MOUNT_ATTR_NOSUID)),
    ("rsymfollow", ClearAll(sys::MOUNT_ATTR_NOSYMFOLLOW)),
    ("runbindable", Propagation(sys::MS_UNBINDABLE, true)),
    ("rw", ReadWrite),
    ("shared", Propagation(sys::MS_SHARED, false)),
    // Suppresses kernel log messages of mount(2); fsconfig(2) does not write any.
    ("silent", Nothing),
    ("slave", Propagation(sys::MS_SLAVE, false)),
    ("src-nofollow", Link(Links { source: true, ..FOLLOWED })),
    ("strictatime", Atime(sys::MOUNT_ATTR_STRICTATIME, false)),
    ("suid", Clear(sys::MOUNT_ATTR_NOSUID)),
    ("symfollow", Clear(sys::MOUNT_ATTR_NOSYMFOLLOW)),
    ("sync", Super(c"sync")),
    ("tmpcopyup", CopyUp),
    ("unbindable", Propagation(sys::MS_UNBINDABLE, false)),
];

/// The meaning of an option; `None` if it is a parameter of the filesystem.
pub(crate) fn lookup(text: &str) -> Option<MountOption> {
    match OPTIONS.binary_search_by_key(&text, |(name, _)| name) {
        Ok(place) => OPTIONS.get(place).map(|(_, option)| *option),
        Err(_) => text.strip_prefix('r').unwrap_or(text).starts_with("idmap=").then_some(Idmap),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_has_all_options_of_the_specification() {
        assert!(OPTIONS.is_sorted_by_key(|(name, _)| name));
        let specified = "async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand noatime \
            nodev nodiratime noexec noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow private \
            ratime rbind rdev rdiratime relatime remount rexec rnoatime rnodev rnodiratime rnoexec rnorelatime \
            rnostrictatime rnosuid rnosymfollow ro rprivate rrelatime rro rrw rshared rslave rstrictatime rsuid \
            rsymfollow runbindable rw shared silent slave strictatime suid symfollow sync tmpcopyup unbindable \
            idmap ridmap";
        for name in specified.split_whitespace() {
            assert!(lookup(name).is_some(), "{name}");
        }
        assert_eq!(lookup("size=1"), None);
    }
}
