//! `mounts`: adds mounts to a container, or removes them.

use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::CStr;

use super::exec::root_of;
use super::store::directory::Store;
use super::store::identity::check_alive;
use super::store::lock::locked;
use super::store::snapshot::{self, Snapshot};
use super::store::status::State;
use crate::bundle::CONFIG;
use crate::config::linux::NamespaceKind;
use crate::config::{Config, top_level};
use crate::error::{Error, Kind, Result};
use crate::host::Cgroups;
use crate::launch::in_mount_namespace::run;
use crate::namespace::entry::ContainerNamespaces;
use crate::namespace::idmap;
use crate::os::file::Source;
use crate::os::procfs;
use crate::rootfs::extra::{self, Plan};
use crate::rootfs::{Context, cgroup::View, idmap::UserNamespace};

/// The operation on the mounts listed in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Mount them.
    Add,
    /// Unmount their destinations.
    Remove,
}

/// Changes the mounts of a container that is created, running or paused. Either all its mounts are added or
/// none. The document is an array like `mounts` of config.json.
///
/// Errors: [`Kind::State`] if the container is not running or has no mount namespace.
pub fn change(store: &Store, id: &CStr, document: Source<'_>, change: Change) -> Result<()> {
    let directory = locked(store, id)?;
    let known = snapshot::of(&directory)?;
    let Snapshot { status, state } = &known;
    let refuse = |why: &str| {
        let id = directory.id();
        Error::new(Kind::State, format_args!("cannot change mounts of container \"{id}\": {why}"))
    };
    let init = match state {
        State::Created | State::Running | State::Paused => status.process.open()?,
        State::Creating | State::Stopped => None,
    };
    let init = init.ok_or_else(|| known.not_running(&directory))?;
    let mut text = directory.read(CONFIG)?.unwrap_or_default();
    let mut config = Config::decode("config.json", &mut text)?;
    status.added.add_to(&mut config.linux);
    let namespaces = &config.linux.namespaces;
    if !namespaces.iter().any(|namespace| namespace.kind == NamespaceKind::Mount) {
        return Err(refuse("it has no mount namespace"));
    }
    let user = config.process.as_ref().map_or((0, 0), |process| (process.user.uid, process.user.gid));
    let (entry, expected) = ((ContainerNamespaces::new(namespaces), user), root_of(&directory)?);
    let mut list = document.read()?;
    let mounts = top_level::mounts(document.name("mounts"), &mut list)?;
    if change == Change::Remove {
        let none = &mut |_| Ok(Vec::new());
        return run(entry, &init, expected, directory.fd(), none, |root, _| extra::remove(&mounts, root));
    }
    // The user namespace exists, whether it was created for the container or given by path: it is joined.
    let user =
        entry.0.has_user().then_some(UserNamespace { mappings: config.linux.mappings(), joined: true });
    let bundle = CString::new(status.bundle.as_str()).unwrap_or_default();
    let mut plan = Plan::new(
        &mounts,
        &Context {
            bundle: &bundle,
            user,
            pivot: true,
            label: None,
            in_place: false,
            own_mounts: true,
            own_network: false,
            cgroup: View { layout: Cgroups::None, path: None, namespace: false, named: None },
        },
    )?;
    let joined = user.map(|_| idmap::of(&procfs::open_own(false)?, status.process.pid)).transpose()?;
    check_alive(&init, status.process.pid)?;
    let mut owners = idmap::UserNamespaces::new(joined.as_ref());
    plan.open_sources(&mut |mappings| owners.get(mappings))?;
    let answer = &mut |request| plan.answer(request, &mut |mappings| owners.get(mappings));
    run(entry, &init, expected, directory.fd(), answer, |root, more| plan.apply(root, more))
}
