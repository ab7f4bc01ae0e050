//! resctrl groups: allocation of cache and memory bandwidth (the kernel's filesystems/resctrl.rst; config-linux.md,
//! "IntelRdt").
//!
//! A container is in a control group, a directory of resctrl: an existing one (`closID`), or its own, which is created
//! and removed with it. It may also have a monitoring group there, which is always its own.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ffi::CStr;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, fstatfs, mkdirat, openat, unlinkat};
use rustix::io::{Errno, read, write};
use rustix::process::Pid;

use crate::config::linux::IntelRdt;
use crate::error::{At, Error, On, OneLine, Result};

/// The conventional mount point of resctrl.
const ROOT: &str = "/sys/fs/resctrl";

/// `RDTGROUP_SUPER_MAGIC` of include/uapi/linux/magic.h.
const RDTGROUP_SUPER_MAGIC: u64 = 0x0765_5821;

/// The groups of a container and their settings.
#[derive(Debug)]
pub struct Plan {
    /// The group's directory below the root; empty for the default group, which is the root itself.
    group: String,
    /// Whether the group is named after the container, and removed with it.
    own: bool,
    /// Lines for its `schemata` file.
    schemata: Vec<String>,
    /// The monitoring group's directory.
    monitor: Option<String>,
}

/// The groups that were created for a container: directories below the root, in the order of their removal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made(pub Vec<String>);

impl Plan {
    /// Makes the plan from `linux.intelRdt` of the container `id`; rejects an invalid `closID` or `memBwSchema`.
    pub fn new(rdt: &IntelRdt<'_>, id: &str) -> Result<Self> {
        let text = |text: &CStr| String::from_utf8_lossy(text.to_bytes()).into_owned();
        let group = match rdt.clos_id.map(text) {
            None => id.into(),
            Some(name) if name == "/" => String::new(),
            Some(name)
                if name.contains('/') || matches!(name.as_str(), "." | ".." | "info" | "mon_groups") =>
            {
                return Err(Error::invalid(format_args!(
                    "linux.intelRdt.closID: \"{name}\" is not a valid group name"
                )));
            }
            Some(name) => name,
        };
        if rdt.mem_bw_schema.is_some_and(|line| !line.to_bytes().starts_with(b"MB:")) {
            return Err(Error::invalid(format_args!("linux.intelRdt.memBwSchema: must start with MB:")));
        }
        let lines = [rdt.l3_cache_schema, rdt.mem_bw_schema].into_iter().flatten();
        let schemata = lines.chain(rdt.schemata.iter().copied()).filter(|line| !line.is_empty()).map(text);
        Ok(Plan {
            monitor: rdt.enable_monitoring.then(|| format!("{group}/mon_groups/{id}")),
            own: rdt.clos_id.is_none(),
            schemata: schemata.collect(),
            group,
        })
    }

    /// The groups that are removed with the container.
    pub fn own_groups(&self) -> Made {
        let group = self.own.then_some(&self.group);
        Made(self.monitor.iter().chain(group).cloned().collect())
    }

    /// Creates the groups that do not exist, and writes their schemata. On an error they are removed again.
    ///
    /// Errors: resctrl is not mounted; an existing group has other schemata.
    #[cold]
    #[inline(never)]
    pub fn create(&self) -> Result<()> {
        let mut made = Made::default();
        let created = root().and_then(|root| self.create_in(&root, &mut made));
        if created.is_err() {
            let _ = made.remove();
        }
        created.at(format_args!("linux.intelRdt"))
    }

    fn create_in(&self, root: &OwnedFd, made: &mut Made) -> Result<()> {
        if self.make_group(root)? {
            made.0.push(self.group.clone());
            self.schemata.iter().try_for_each(|line| write_line(root, &self.group, line))?;
        } else {
            let now = read_file(root, &format!("{}/schemata", self.group))?;
            if let Some(line) = self.schemata.iter().find(|line| !has_line(&now, line)) {
                let group = &self.group;
                return Err(Error::invalid(format_args!(
                    "schemata of group \"{group}\" do not contain {line}"
                )));
            }
        }
        match &self.monitor {
            Some(monitor) => make(root, monitor),
            None => Ok(()),
        }
    }

    /// Creates the group's directory, unless the configuration refers to an existing group. Returns whether it is new.
    fn make_group(&self, root: &OwnedFd) -> Result<bool> {
        if self.group.is_empty() || (!self.own && self.schemata.is_empty()) {
            return Ok(false);
        }
        match make(root, &self.group) {
            Err(error) if error.is(Errno::EXIST) && !self.own => Ok(false),
            made => made.map(|()| true),
        }
    }

    /// Moves a process into the groups.
    pub fn join(&self, pid: Pid) -> Result<()> {
        let root = root().at(format_args!("linux.intelRdt"))?;
        let pid = pid.as_raw_nonzero().to_string();
        for directory in [Some(&self.group), self.monitor.as_ref()].into_iter().flatten() {
            write_file(&root, &format!("{directory}/tasks"), &pid).at(format_args!("linux.intelRdt"))?;
        }
        Ok(())
    }

    /// Writes lines to the group's `schemata` file, for `update`.
    pub fn update(&self, lines: &[&str]) -> Result<()> {
        let root = root()?;
        lines.iter().try_for_each(|line| write_line(&root, &self.group, line))
    }
}

impl Made {
    /// Whether there is nothing to remove.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes the groups; groups that do not exist are ignored.
    pub fn remove(&self) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let root = root()?;
        for path in &self.0 {
            match unlinkat(&root, path.as_str(), AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => {}
                removed => removed.on(format_args!("rmdir {ROOT}/{path}"))?,
            }
        }
        Ok(())
    }
}

/// Opens the root, and checks that it is a resctrl filesystem.
fn root() -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, ROOT, flags, Mode::empty()).on(format_args!("openat {ROOT}"))?;
    let magic = fstatfs(&root).on(format_args!("fstatfs {ROOT}"))?.f_type;
    match magic as u64 == RDTGROUP_SUPER_MAGIC {
        true => Ok(root),
        false => Err(Error::invalid(format_args!("no resctrl is mounted at {ROOT}"))),
    }
}

fn make(root: &OwnedFd, path: &str) -> Result<()> {
    mkdirat(root, path, Mode::from_raw_mode(0o755)).on(format_args!("mkdirat {ROOT}/{path}"))
}

/// Makes a path relative: that of the default group, whose name is empty, begins with a slash.
fn relative(path: &str) -> &str {
    path.trim_start_matches('/')
}

fn read_file(root: &OwnedFd, path: &str) -> Result<String> {
    let file = openat(root, relative(path), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let file = file.on(format_args!("openat {ROOT}/{path}"))?;
    let mut space = [0u8; 4096];
    let count = read(&file, &mut space).on(format_args!("read {ROOT}/{path}"))?;
    Ok(String::from_utf8_lossy(space.get(..count).unwrap_or_default()).into_owned())
}

fn write_file(root: &OwnedFd, path: &str, text: &str) -> Result<()> {
    let file = openat(root, relative(path), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
    let file = file.on(format_args!("openat {ROOT}/{path}"))?;
    let written = write(&file, text.as_bytes()).map(drop);
    // The kernel reports the reason of a failure in a file.
    let why = if written.is_err() {
        read_file(root, "info/last_cmd_status").unwrap_or_default()
    } else {
        String::new()
    };
    written.on(format_args!("write {} to {path} ({})", text.trim_ascii_end(), OneLine(why.as_bytes())))
}

fn write_line(root: &OwnedFd, group: &str, line: &str) -> Result<()> {
    write_file(root, &format!("{group}/schemata"), &format!("{line}\n"))
}

/// Whether schemata contain the values of a line: the same value for the resource and each of its domains, with or
/// without leading zeros (`L3:0=00f;1=f`).
fn has_line(schemata: &str, line: &str) -> bool {
    let Some((resource, domains)) = line.split_once(':') else { return false };
    let same = |given: &str| given.trim_ascii() == resource.trim_ascii();
    let Some(now) = schemata.lines().filter_map(|line| line.split_once(':')).find(|(name, _)| same(name))
    else {
        return false;
    };
    let domain = |text: &str| -> Option<(u32, String)> {
        let (id, value) = text.split_once('=')?;
        let value = value.trim_ascii().trim_start_matches('0').to_ascii_lowercase();
        Some((id.trim_ascii().parse().ok()?, value))
    };
    let now: Vec<_> = now.1.split(';').map(domain).collect();
    domains.split(';').map(domain).all(|wanted| wanted.is_some() && now.contains(&wanted))
}

#[cfg(test)]
mod tests {
    use super::has_line;

    #[test]
    fn lines() {
        let now = "    MB:0=100;1= 20\n    L3:0=7ff;1=00f\n";
        for line in ["L3:0=7ff;1=f", "L3:1=0F", "MB:0=100;1=20", "MB:1=20"] {
            assert!(has_line(now, line), "{line}");
        }
        for line in ["L3:0=7fe", "L3:2=f", "L2:0=f", "MB:0=10", "L3", "L3:", "L3:0", "L3:x=f"] {
            assert!(!has_line(now, line), "{line}");
        }
    }
}
