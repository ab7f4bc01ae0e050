//! Hooks that run before the root is entered: files that they create in the rootfs and its mounts are visible in the
//! container, and masks and read-only mounts are set up after them.

use std::fs;
use std::path::PathBuf;

use super::Hooked;
use crate::check::{Outcome, contains, same};
use crate::json;
use crate::rig::Rig;
use crate::tests;

tests!["hooks", before_masks_and_read_only_mounts, before_masks_and_read_only_mounts_in_a_user_namespace,];

const PLACES: [&str; 4] = ["", "/tmpfs", "/etc/kept", "/dev"];

/// A container with masked and read-only paths, a read-only root, tmpfs and bind mount; and the source of the latter.
fn restricted(rig: &Rig) -> Outcome<(Hooked, PathBuf)> {
    let mut hooked = Hooked::new(rig)?;
    let bound = rig.dir.join("bound");
    fs::create_dir(&bound)?;
    for place in ["bound", "tmpfs", "etc/kept"] {
        fs::create_dir(hooked.bundle.host_path(place))?;
    }
    hooked.bundle.file("/etc/secret", "secret")?;
    hooked.bundle.set("root.readonly", true);
    let tmpfs = json!({"destination": "/tmpfs", "type": "tmpfs", "source": "tmpfs", "options": ["ro"]});
    hooked.bundle.mount(tmpfs);
    hooked.bundle.bind(&bound, "/bound", &["bind", "ro"]);
    hooked.bundle.set("linux.maskedPaths[+]", "/etc/secret");
    hooked.bundle.set("linux.readonlyPaths[+]", "/etc/kept");
    Ok((hooked, bound))
}

/// Hooks at the three points before the root is entered create files in the rootfs, as those of CDI do.
fn files_of_hooks(rig: &Rig, user_namespace: bool) -> Outcome {
    let (mut hooked, bound) = restricted(rig)?;
    if user_namespace {
        hooked.bundle.user_namespace(100_000);
        for place in ["", "etc/kept"] {
            std::os::unix::fs::chown(hooked.bundle.host_path(place), Some(100_000), Some(100_000))?;
        }
    }
    let root = hooked.bundle.host_path("").display().to_string();
    let root = root.trim_end_matches('/');
    let path = |place: &str, name: &str| format!("{root}{place}/{name}");
    for (point, verb) in [
        ("prestart", "create_in_process"),
        ("createRuntime", "create_in_process"),
        ("createContainer", "create"),
    ] {
        let places = PLACES.iter().chain(&["/bound"]).map(|place| path(place, point));
        let mut verbs: Vec<String> = places.flat_map(|path| [verb.to_string(), path]).collect();
        if point == "createContainer" {
            verbs.extend(["read".to_string(), path("/etc", "secret")]);
        }
        hooked.add(point, &verbs.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let lists = PLACES.iter().flat_map(|place| ["list", if place.is_empty() { "/" } else { place }]);
    let new = ["create", "/x", "create", "/tmpfs/x", "create", "/etc/kept/x", "create", "/bound/x"];
    let sys = ["write", "/proc/sys/kernel/hostname", "read", "/etc/secret"];
    hooked.bundle.verbs(&lists.chain(new).chain(sys).collect::<Vec<_>>());
    let inside = rig.run(&hooked.bundle, &[])?.success()?.report();
    let hooks = hooked.report()?;
    for (point, verb) in [
        ("prestart", "create_in_process"),
        ("createRuntime", "create_in_process"),
        ("createContainer", "create"),
    ] {
        for place in PLACES {
            if user_namespace && verb == "create_in_process" && ["/tmpfs", "/dev"].contains(&place) {
                // A tmpfs of the user namespace has no id for the host's root.
                hooks.is(&format!("{verb}:{}", path(place, point)), "!EOVERFLOW")?;
                continue;
            }
            hooks.is(&format!("{verb}:{}", path(place, point)), "ok")?;
            let list = format!("list:{}", if place.is_empty() { "/" } else { place });
            contains(&list, inside.get(&list), point)?;
        }
        hooks.is(&format!("{verb}:{}", path("/bound", point)), "!EROFS")?;
    }
    hooks.is(&format!("read:{}", path("/etc", "secret")), "secret")?;
    for place in ["", "/tmpfs", "/etc/kept", "/bound"] {
        inside.is(&format!("create:{place}/x"), "!EROFS")?;
    }
    // In a user namespace the file belongs to an id without a mapping.
    let denial = if user_namespace { "!EACCES" } else { "!EROFS" };
    inside.is("write:/proc/sys/kernel/hostname", denial)?;
    inside.is("read:/etc/secret", "")?;
    same("on the host", fs::read_dir(&bound)?.count(), 0)
}

fn before_masks_and_read_only_mounts(rig: &mut Rig) -> Outcome {
    files_of_hooks(rig, false)
}

fn before_masks_and_read_only_mounts_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    files_of_hooks(rig, true)
}
