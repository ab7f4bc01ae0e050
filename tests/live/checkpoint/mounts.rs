//! Mounts of restored containers.

use std::fs;

use super::survive::{inside, survives};
use super::{container, cycle, dump, needs_criu, restore};
use crate::check::{Outcome, same};
use crate::json;
use crate::rig::Rig;
use crate::tests;

tests!["checkpoint", bind_mounts, nested_bind_mounts, masked_and_read_only_paths,];

fn bind_mounts(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let (directory, file) = (rig.dir.join("volume"), rig.dir.join("file"));
    fs::create_dir(&directory)?;
    fs::write(directory.join("name"), "in the volume")?;
    fs::write(&file, "the file")?;
    bundle.file("/real/conf/keep", "")?;
    std::os::unix::fs::symlink("/real/conf", bundle.host_path("conf"))?;
    bundle.bind(&directory, "/conf", &["rbind"]);
    bundle.bind(&file, "/etc/file", &["bind", "ro"]);
    bundle.mount(json!({"destination": "/run", "type": "tmpfs", "source": "tmpfs"}));
    let _running = container(
        rig,
        &mut bundle,
        &["create", "/run/kept", "put", "/run/kept", "on a tmpfs", "survive", "/conf/open"],
    )?;
    let mut running = cycle(rig, &bundle, (&[], &[]))?;
    survives(rig, &mut running, 1)?;
    let report =
        inside(rig, &["read", "/conf/name", "read", "/etc/file", "read", "/run/kept", "write", "/etc/file"])?;
    report.is("read:/conf/name", "in the volume")?;
    report.is("read:/etc/file", "the file")?;
    report.is("read:/run/kept", "on a tmpfs")?;
    report.is("write:/etc/file", "!EROFS")?;
    same("the open file", fs::read_to_string(directory.join("open"))?.as_str(), "x")?;
    rig.delete()
}

/// The mount point of a bind mount is in another one, and has to be created again.
fn nested_bind_mounts(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let (outer, inner) = (rig.dir.join("outer"), rig.dir.join("inner"));
    fs::create_dir(&outer)?;
    fs::create_dir(&inner)?;
    fs::write(inner.join("name"), "inner")?;
    bundle.bind(&outer, "/outer", &["bind"]);
    bundle.bind(&inner, "/outer/for/inner", &["bind"]);
    let _running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    dump(rig, &[])?.success()?;
    fs::remove_dir_all(outer.join("for"))?;
    let mut running = restore(rig, &bundle, &[])?;
    survives(rig, &mut running, 1)?;
    inside(rig, &["read", "/outer/for/inner/name"])?.is("read:/outer/for/inner/name", "inner")?;
    rig.delete()
}

fn masked_and_read_only_paths(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.file("/secret/file", "secret")?;
    bundle.file("/constant/file", "constant")?;
    bundle.set("linux.maskedPaths[+]", "/secret");
    bundle.set("linux.readonlyPaths[+]", "/constant");
    bundle.set("root.readonly", true);
    // CRIU uses /tmp of the root, or else creates a directory there.
    fs::remove_dir(bundle.host_path("tmp"))?;
    bundle.mount(json!({"destination": "/run", "type": "tmpfs", "source": "tmpfs"}));
    let verbs = ["survive", "/run/file"];
    let _running = container(rig, &mut bundle, &verbs)?;
    let observe = || {
        inside(
            rig,
            &[
                "mounts",
                "list",
                "/secret",
                "read",
                "/proc/kcore",
                "write",
                "/proc/sys/kernel/hostname",
                "create",
                "/new",
            ],
        )
    };
    let before = observe()?;
    let mut running = cycle(rig, &bundle, (&[], &[]))?;
    survives(rig, &mut running, 1)?;
    let after = observe()?;
    for key in ["list:/secret", "read:/proc/kcore", "write:/proc/sys/kernel/hostname", "create:/new"] {
        same(key, after.get(key), before.get(key))?;
    }
    after.is("create:/new", "!EROFS")?;
    let places = |report: &crate::report::Report| {
        let mut places = report.keys("mount:").into_iter().map(String::from).collect::<Vec<_>>();
        places.sort();
        places
    };
    same("the mount points", places(&after), places(&before))?;
    rig.delete()
}
