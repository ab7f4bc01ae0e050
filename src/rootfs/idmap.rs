//! Idmapped mounts (mount_setattr(2), MOUNT_ATTR_IDMAP; config.md, "idmap", "ridmap", "uidMappings"): files have other
//! owners at the destination than at the source.

use alloc::vec::Vec;
use core::ffi::CStr;
use core::fmt;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::fstatfs;
use rustix::io::Errno;

use crate::config::Mount;
use crate::config::linux::{IdMapping, Mappings};
use crate::error::{At, Error, On, Result, invalid};
use crate::sys::mount::mount_idmap;

/// The container's user namespace.
#[derive(Clone, Copy, Debug)]
pub struct UserNamespace<'m> {
    pub mappings: Mappings<'m>,
    /// Whether it is joined by a path: then the mappings in config.json may differ from the real ones.
    pub joined: bool,
}

/// The ID mappings of a bind mount.
pub struct Idmap {
    recursive: bool,
    /// `None`: those of the user namespace that the container joins.
    mappings: Option<(Vec<IdMapping>, Vec<IdMapping>)>,
}

/// Returns a user namespace with the given mappings, or for `None` the one that the container joins.
pub type FindUserNamespace<'f> = dyn FnMut(Option<Mappings<'_>>) -> Result<OwnedFd> + 'f;

impl Idmap {
    /// The mappings of a mount: `uidMappings` and `gidMappings`, or those in the option, or by default those of the
    /// container's user namespace. Errors: invalid mappings, or none at all.
    #[cold]
    #[inline(never)]
    pub fn new(mount: &Mount<'_>, option: Option<&CStr>, user: Option<UserNamespace<'_>>) -> Result<Self> {
        let fields = !mount.uid_mappings.is_empty();
        let option = option.and_then(|option| option.to_str().ok()).unwrap_or_default();
        let (word, text) = option.split_once('=').unwrap_or((option, ""));
        let mappings = match user {
            _ if fields => Some((mount.uid_mappings.clone(), mount.gid_mappings.clone())),
            _ if !text.is_empty() => Some(parse(text, user).at(format_args!("options: \"{option}\""))?),
            Some(UserNamespace { joined: true, .. }) => None,
            Some(UserNamespace { mappings: (uids, gids), .. }) => Some((uids.to_vec(), gids.to_vec())),
            None => {
                return invalid(format_args!(
                    "options: \"{option}\": needs mappings, or a user namespace of the container's own"
                ));
            }
        };
        Ok(Idmap { recursive: word == "ridmap", mappings })
    }

    /// Maps a detached mount tree.
    #[cold]
    #[inline(never)]
    pub fn apply(&self, tree: &OwnedFd, find: &mut FindUserNamespace<'_>) -> Result<()> {
        let mappings = self.mappings.as_ref().map(|(uids, gids)| (&**uids, &**gids));
        let namespace = find(mappings)?;
        match mount_idmap(tree.as_fd(), namespace.as_fd(), self.recursive) {
            // Network filesystems and others do not support it, depending on the kernel.
            Err(Errno::INVAL) => {
                let magic = fstatfs(tree).on(format_args!("fstatfs"))?.f_type;
                let why =
                    format_args!("mount_setattr idmap (perhaps filesystem type {magic:#x} cannot be mapped)");
                Err(Error::system(Errno::INVAL, why))
            }
            mapped => mapped.on(format_args!("mount_setattr idmap")),
        }
    }
}

impl fmt::Debug for Idmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.recursive { "ridmap " } else { "idmap " })?;
        match &self.mappings {
            None => f.write_str("as joined"),
            Some((uids, gids)) => {
                for (name, mappings) in [("uids", uids), ("; gids", gids)] {
                    f.write_str(name)?;
                    for IdMapping { container_id, host_id, size } in mappings {
                        write!(f, " {container_id}-{host_id}-{size}")?;
                    }
                }
                Ok(())
            }
        }
    }
}

/// Parses `uids=0-1-10#10-11-10;gids=0-100-10`, with triples of the first ID at the source, the first ID in the mount,
/// and the count. After an `@` the second is an ID in the container.
fn parse(text: &str, user: Option<UserNamespace<'_>>) -> Result<(Vec<IdMapping>, Vec<IdMapping>)> {
    let (mut uids, mut gids) = (Vec::new(), Vec::new());
    let (users, groups) = user.map_or((&[][..], &[][..]), |user| user.mappings);
    for part in text.split(';') {
        let (list, container, triples) = match part.split_once('=') {
            Some(("uids", triples)) => (&mut uids, users, triples),
            Some(("gids", triples)) => (&mut gids, groups, triples),
            _ => return invalid(format_args!("\"{part}\" is neither uids= nor gids=")),
        };
        for triple in triples.split('#') {
            match mapping(triple, container) {
                Some(mapping) => list.push(mapping),
                None if triple.starts_with('@') => {
                    return invalid(format_args!(
                        "\"{triple}\" is not a valid mapping to IDs of the container"
                    ));
                }
                None => return invalid(format_args!("\"{triple}\" is not a valid mapping")),
            }
        }
    }
    match uids.is_empty() || gids.is_empty() {
        true => invalid(format_args!("needs both uids= and gids=")),
        false => Ok((uids, gids)),
    }
}

fn mapping(triple: &str, container: &[IdMapping]) -> Option<IdMapping> {
    let absolute = triple.strip_prefix('@');
    let mut numbers = absolute.unwrap_or(triple).split('-').map(|number| number.parse::<u32>().ok());
    let (first, second, size) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let host_id = match absolute {
        Some(_) => IdMapping::to_host(container, second)?,
        None => second,
    };
    let fits = size > 0 && first.checked_add(size).is_some() && host_id.checked_add(size).is_some();
    (fits && numbers.next().is_none()).then_some(IdMapping { container_id: first, host_id, size })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, container: &[IdMapping]) -> alloc::string::String {
        let user = UserNamespace { mappings: (container, container), joined: false };
        match parse(text, Some(user)) {
            Ok(mappings) => alloc::format!("{:?}", Idmap { recursive: false, mappings: Some(mappings) }),
            Err(error) => error.text().into(),
        }
    }

    #[test]
    fn mappings_of_an_option() {
        let map = |container_id, host_id, size| IdMapping { container_id, host_id, size };
        let container = [map(0, 0, 1), map(1, 2, 1000)];
        for (text, want) in [
            ("uids=0-1-10#10-11-10;gids=0-100-10", "idmap uids 0-1-10 10-11-10; gids 0-100-10"),
            ("uids=@1-3-10;gids=@1-0-1#@2-1000-1", "idmap uids 1-4-10; gids 1-0-1 2-1001-1"),
            ("uids=0-1-10", "needs both uids= and gids="),
            ("uids=;gids=0-1-1", "\"\" is not a valid mapping"),
            ("uids=0-1-10;gids=0-1", "\"0-1\" is not a valid mapping"),
            ("uids=0-1-10;gids=0-1-1-1", "\"0-1-1-1\" is not a valid mapping"),
            ("uids=0-1-0;gids=0-1-1", "\"0-1-0\" is not a valid mapping"),
            ("uids=0-4294967295-2;gids=0-1-1", "\"0-4294967295-2\" is not a valid mapping"),
            ("uids=@0-1001-1;gids=0-1-1", "\"@0-1001-1\" is not a valid mapping to IDs of the container"),
            ("users=0-0-1", "\"users=0-0-1\" is neither uids= nor gids="),
        ] {
            assert_eq!(shown(text, &container), want);
        }
    }
}
