//! What hooks that are run before the root is entered find there, and may add to it: what takes from the container is
//! done after them.

use std::fs;
use std::path::PathBuf;

use super::Hooked;
use crate::check::{Outcome, contains, same};
use crate::json;
use crate::rig::{Runtime, Rig};
use crate::tests;

tests![
    "hooks",
    before_masks_and_what_is_read_only,
    before_masks_and_what_is_read_only_in_a_user_namespace,
    before_masks_that_are_not_made_of_what_a_hook_has_put_there,
];

const PLACES: [&str; 4] = ["", "/tmpfs", "/etc/kept", "/dev"];

/// A container with everything that is taken from it, and its read-only volume.
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

/// Hooks at all three points write there, as those of CDI do.
fn seen(rig: &Rig, user_namespace: bool) -> Outcome {
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
    for (point, verb) in [("prestart", "plant"), ("createRuntime", "plant"), ("createContainer", "create")] {
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
    for (point, verb) in [("prestart", "plant"), ("createRuntime", "plant"), ("createContainer", "create")] {
        for place in PLACES {
            if user_namespace && verb == "plant" && ["/tmpfs", "/dev"].contains(&place) {
                // The host's root has no id on a filesystem of that namespace.
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
    // In a user namespace the file is nobody's.
    let refusal = if user_namespace { "!EACCES" } else { "!EROFS" };
    inside.is("write:/proc/sys/kernel/hostname", refusal)?;
    inside.is("read:/etc/secret", "")?;
    same("on the host", fs::read_dir(&bound)?.count(), 0)
}

fn before_masks_and_what_is_read_only(rig: &mut Rig) -> Outcome {
    seen(rig, false)
}

fn before_masks_and_what_is_read_only_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    seen(rig, true)
}

/// CVE-2025-31133, by somebody who is in time for the hooks.
fn before_masks_that_are_not_made_of_what_a_hook_has_put_there(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    hooked.bundle.file("/etc/secret", "secret")?;
    hooked.bundle.file("/etc/another", "another")?;
    hooked.bundle.set("linux.maskedPaths", json!(["/etc/secret"]));
    let null = hooked.bundle.host_path("dev/null").display().to_string();
    let args = vec!["ln", "-sfn", "/etc/another", null.as_str()];
    hooked.bundle.set("hooks.createContainer[+]", json!({"path": "/bin/ln", "args": args}));
    hooked.bundle.verbs(&["read", "/etc/secret"]);
    let output = rig.run(&hooked.bundle, &[])?;
    if !rig.is(Runtime::Mote) && output.code() == 0 {
        return output.report().is("read:/etc/secret", "");
    }
    rig.failure(&output, &["linux.maskedPaths /etc/secret", "/dev/null is not the device 1:3"])
}
