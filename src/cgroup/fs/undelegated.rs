//! The words for a cgroup or a controller that is not available: in which file the controller is missing, why, and what
//! to configure (cgroups(7), "Cgroups delegation"; systemd.resource-control(5), Delegate=).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use rustix::fs::{Access, CWD, access};
use rustix::io::Errno;

use super::current::{delegated_parent, may_write, own_cgroup};
use super::hierarchies::Hierarchies;
use super::path::{FullPath, ancestors};
use super::subtree_control::lists;
use crate::cgroup::controllers::write::Write;
use crate::error::{Error, Kind};
use crate::host::{self, Cgroups};
use crate::os::file;

/// The controllers that systemd delegates.
const OF_SYSTEMD: [&str; 5] = ["cpu", "cpuset", "io", "memory", "pids"];

impl Hierarchies {
    /// The error that the cgroup `above` does not have the controller that a limit needs, although the cgroups above it
    /// enable it.
    #[cold]
    #[inline(never)]
    pub fn missing(&self, write: &Write, above: &str) -> Error {
        let name = write.controller();
        let directory = Self::path(self.v2.unwrap_or_default(), above);
        // The root of the hierarchy does not have this file, but that of a cgroup namespace has.
        let why = match self.read(&format!("{directory}/cgroup.type")) {
            Ok(kind) if kind.trim() == "threaded" => {
                "the cgroup is threaded and has only threaded controllers"
            }
            Ok(_) => "not enabled in the cgroup above",
            Err(_) => self.state_in_kernel(name),
        };
        let file = format!("{directory}/cgroup.controllers");
        let (field, file) = (write.name(), FullPath(&file));
        Error::invalid(format_args!("{field}: controller \"{name}\" is missing in {file}: {why}"))
    }

    /// Why the root of v2 does not have a controller, by /proc/cgroups (cgroups(7)).
    fn state_in_kernel(&self, name: &str) -> &'static str {
        let name = if name == "io" { "blkio" } else { name };
        let text = file::read(CWD, c"/proc/cgroups").unwrap_or_default();
        let text = core::str::from_utf8(&text).unwrap_or_default();
        let mut lines = text.lines().map(|line| line.split('\t'));
        let found = lines.find_map(|mut line| (line.next() == Some(name)).then(|| line.collect::<Vec<_>>()));
        match found.as_deref() {
            Some([.., "0"]) => "disabled by the kernel parameter cgroup_disable",
            Some(["0", ..]) => "missing in cgroup v2 of this kernel",
            Some(_) if self.v1.is_empty() => "used by a cgroup v1 hierarchy",
            Some(_) => "used by a cgroup v1 hierarchy that is not mounted below /sys/fs/cgroup",
            None => "missing in the kernel",
        }
    }

    /// Explains why the cgroup `above` cannot enable the controller of `write` for the cgroup below it on the way to
    /// `path`; `needing` has the limits that need a controller. An error that the cgroup below does not exist, and may
    /// not be created, is left to [`Hierarchies::not_delegated`].
    #[cold]
    #[inline(never)]
    pub fn not_enabled(
        &self,
        error: Error,
        (above, path): (&str, &str),
        write: &Write,
        needing: &[&Write],
    ) -> Error {
        let field = write.name();
        if error.is(Errno::BUSY) {
            let inside = own_cgroup().is_ok_and(|own| own == above);
            let advice = if inside { "; start mote in a cgroup below it" } else { "" };
            return error.within(format_args!(
                "{field}: cgroup {above} contains processes and cannot enable it \
                 (cgroups(7), \"no internal processes\"){advice}"
            ));
        }
        if error.is(Errno::OPNOTSUPP) {
            return error.within(format_args!(
                "{field}: cgroup {above} is threaded and supports only threaded controllers"
            ));
        }
        if !is_refused(&error) {
            return error.within(format_args!("{field}"));
        }
        let v2 = self.v2.unwrap_or_default();
        let next = ancestors(path).find(|one| one.len() > above.len()).unwrap_or(path);
        let file = format!("{v2}{next}/cgroup.controllers");
        let Ok(available) = self.read(&file) else { return error };
        let names = needing.iter().map(|write| write.controller());
        let names: Vec<&str> = names.filter(|name| !lists(&available, name)).collect();
        let (name, file, advice) =
            (write.controller(), FullPath(&file), self.how_to_enable(&names, above, path));
        Error::invalid(format_args!(
            "{field}: not delegated to this user: controller \"{name}\" is missing in {file}; {advice}"
        ))
    }

    /// What an administrator has to do so that the cgroups below `above` on the way to `path` get the controllers.
    fn how_to_enable(&self, names: &[&str], above: &str, path: &str) -> String {
        // systemd names the cgroup of a unit after it.
        let unit = path.split('/').find(|name| name.ends_with(".service") || name.ends_with(".scope"));
        if let Some(unit) = unit
            && self.is_of_systemd()
            && names.iter().all(|name| OF_SYSTEMD.contains(name))
        {
            let kind = if unit.ends_with(".scope") { "Scope" } else { "Service" };
            // The file for all instances of a template.
            let file = unit.split_once('@').map_or(unit.into(), |(name, _)| format!("{name}@.service"));
            let names = names.join(" ");
            return format!(
                "set Delegate={names} in section [{kind}] of /etc/systemd/system/{file}.d/delegate.conf, \
                 and restart {unit}"
            );
        }
        let v2 = self.v2.unwrap_or_default();
        let file = |above: &str| format!("{v2}{above}/cgroup.subtree_control");
        let below = ancestors(path).filter(|one| one.len() > above.len() && *one != path);
        let others = below.take_while(|one| self.has(v2, one) && !may_write(&self.root, &file(one)));
        let last = others.last().map(|one| format!(" and those below it down to {}", FullPath(&file(one))));
        let (first, last) = (file(above), last.unwrap_or_default());
        format!("as root, write +{} to {}{last}", names.join(" +"), FullPath(&first))
    }

    /// Explains that this user may not create the cgroup at `path`, or write to the files of it that are needed. The
    /// reason is part of the text. Other errors are returned as they are, as are all of an administrator.
    #[cold]
    #[inline(never)]
    pub fn not_delegated(&self, error: Error, path: &str, writes: &[Write]) -> Error {
        if !is_refused(&error) {
            return error;
        }
        // Device rules are planned for each container.
        let limit = writes.iter().find(|write| write.controller() != "devices");
        let field = limit.map_or("linux.cgroupsPath".into(), |write| write.name().to_string());
        let advice = self.how_to_delegate(path);
        let text = format_args!("{field}: not delegated to this user: {error}; {advice}");
        Error::new(Kind::System, text)
    }

    /// What an administrator, or the user, has to do so that the user may create a cgroup.
    fn how_to_delegate(&self, path: &str) -> String {
        if let Some(parent) = delegated_parent(&self.layout()) {
            return format!("this user may create cgroups below {parent}");
        }
        if self.is_of_systemd() {
            return "use --cgroup-manager systemd, or start mote in a unit with Delegate=yes".into();
        }
        let uid = host::outer_uid();
        let above = match path.rsplit_once('/') {
            Some((above, _)) if !above.is_empty() => above.into(),
            _ => format!("/user-{uid}"),
        };
        let (place, tasks) = if self.v1.is_empty() { ("", "") } else { (" in every hierarchy", "tasks, ") };
        format!(
            "as root, create cgroup {above}{place}, make user {uid} the owner of its directory, cgroup.procs, \
             {tasks}cgroup.threads and cgroup.subtree_control, and start mote in a cgroup below it"
        )
    }

    /// Whether systemd is running (sd_booted(3)), and v2 has all controllers, which it then manages.
    fn is_of_systemd(&self) -> bool {
        self.layout() == Cgroups::Unified && access(c"/run/systemd/system", Access::EXISTS).is_ok()
    }
}

/// Whether an error is that a user is denied what an administrator is permitted.
pub fn is_refused(error: &Error) -> bool {
    (error.is(Errno::ACCESS) || error.is(Errno::PERM)) && !host::is_administrator()
}
