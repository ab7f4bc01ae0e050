//! Idmapped mounts: the owners of files in the container, and those of new files on the host (mount_setattr(2)).

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use super::bind::with_submount;
use super::{is_not_on_initramfs, source};
use crate::bundle::Bundle;
use crate::check::{Outcome, lacks, same, skip_allowed};
use crate::json;
use crate::json::Json;
use crate::rig::{Rig, Runtime};
use crate::{sys, tests};

tests![
    "rootfs",
    idmap_by_the_fields,
    idmap_by_the_fields_in_a_user_namespace,
    idmap_as_the_user_namespace,
    idmap_by_the_option,
    idmap_by_the_option_in_a_user_namespace,
    idmap_excludes_submounts,
    ridmap_includes_submounts,
    idmap_of_a_file_through_a_symlink,
    idmap_is_private,
    idmap_with_several_mappings,
    idmap_of_an_unsupported_filesystem_is_rejected,
    idmap_with_overlapping_ranges_is_rejected,
    idmap_of_a_new_filesystem,
    idmap_of_a_new_filesystem_in_a_user_namespace,
    idmap_of_a_new_filesystem_that_cannot_be_mapped,
];

/// Skips the test for runc 1.1, which ignores the options.
fn has_idmap(rig: &Rig) -> Outcome {
    match rig.is(Runtime::Runc) {
        true => skip_allowed("this runc ignores the options"),
        false => {
            rig.needs_mount_setattr()?;
            is_not_on_initramfs(rig)
        }
    }
}

fn map(first: i64, host: i64) -> Json {
    json!([{"containerID": first, "hostID": host, "size": 1000i64}])
}

/// Adds mappings to the last mount of the list.
fn map_last(bundle: &mut Bundle, map: &Json) {
    let last = bundle.config.at("mounts").items().len() - 1;
    bundle.set(&format!("mounts[{last}].uidMappings"), map.clone());
    bundle.set(&format!("mounts[{last}].gidMappings"), map.clone());
}

/// With and without the options; ids are mapped in both directions.
fn idmap_by_the_fields(rig: &mut Rig) -> Outcome {
    has_idmap(rig)?;
    let source = source(rig)?;
    sys::chown(&source, 30, 30)?;
    for options in [&["bind"][..], &["bind", "idmap"], &["rbind", "ridmap"]] {
        let mut bundle = rig.bundle()?;
        bundle.bind(&source, "/data", options);
        map_last(&mut bundle, &map(0, 4000));
        let verbs = ["stat", "/data", "stat", "/data/file", "mounts"];
        let inside = rig.report(&mut bundle, &verbs)?;
        inside.is("stat:/data", "d 755 4030 4030 0:0")?;
        inside.is("stat:/data/file", "f 644 4000 4000 0:0")?;
    }
    let mut bundle = rig.bundle()?;
    bundle.bind(&source, "/data", &["bind", "idmap"]);
    map_last(&mut bundle, &map(30, 0));
    let inside = rig.report(&mut bundle, &["stat", "/data", "create", "/data/new"])?;
    inside.is("stat:/data", "d 755 0 0 0:0")?;
    inside.is("create:/data/new", "ok")?;
    let new = fs::metadata(source.join("new"))?;
    same("the new file's owner", (new.uid(), new.gid()), (30, 30))
}

/// The host ids of the mapping are mapped by the user namespace of the container.
fn idmap_by_the_fields_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    has_idmap(rig)?;
    let source = source(rig)?;
    for (host, want) in [(100_000, "f 644 0 0 0:0"), (100_007, "f 644 7 7 0:0"), (5, "f 644 65534 65534 0:0")]
    {
        let mut bundle = rig.bundle()?;
        bundle.user_namespace(100_000);
        bundle.bind(&source, "/tmp/data", &["bind", "idmap"]);
        map_last(&mut bundle, &map(0, host));
        rig.report(&mut bundle, &["stat", "/tmp/data/file"])?.is("stat:/tmp/data/file", want)?;
    }
    Ok(())
}

/// The inverse mapping of the user namespace: files of the host's root belong to the container's root.
fn idmap_as_the_user_namespace(rig: &mut Rig) -> Outcome {
    has_idmap(rig)?;
    let source = source(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    bundle.bind(&source, "/tmp/data", &["bind", "idmap"]);
    let inside = rig.report(&mut bundle, &["stat", "/tmp/data/file", "create", "/tmp/data/new"])?;
    inside.is("stat:/tmp/data/file", "f 644 0 0 0:0")?;
    inside.is("create:/tmp/data/new", "ok")?;
    let new = fs::metadata(source.join("new"))?;
    same("the new file's owner", (new.uid(), new.gid()), (0, 0))
}

/// A file whose owner has no mapping belongs to the overflow id, and no such file can be created.
fn idmap_by_the_option(rig: &mut Rig) -> Outcome {
    has_idmap(rig)?;
    let source = source(rig)?;
    let file = source.join("file");
    let mut bundle = rig.bundle()?;
    bundle.bind(&source, "/data", &["bind", "idmap=uids=0-1-10#10-11-10;gids=0-100-10"]);
    bundle.verbs(&["stat", "/data/file", "create", "/data/new"]);
    for (uid, gid, want) in [(0, 0, "1 100"), (10, 9, "11 109"), (20, 10, "65534 65534")] {
        sys::chown(&file, uid, gid)?;
        let inside = rig.run(&bundle, &[])?.success()?.report();
        inside.is("stat:/data/file", &format!("f 644 {want} 0:0"))?;
        inside.is("create:/data/new", "!EOVERFLOW")?;
    }
    Ok(())
}

/// After `@`, ids are those in the container, whatever they are on the host.
fn idmap_by_the_option_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    has_idmap(rig)?;
    let source = source(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    bundle.bind(&source, "/tmp/one", &["bind", "idmap=uids=@0-3-10;gids=0-100005-1"]);
    bundle.bind(&source, "/tmp/two", &["rbind", "ridmap=uids=0-100999-1;gids=@0-0-1"]);
    let inside = rig.report(&mut bundle, &["stat", "/tmp/one/file", "stat", "/tmp/two/file"])?;
    inside.is("stat:/tmp/one/file", "f 644 3 5 0:0")?;
    inside.is("stat:/tmp/two/file", "f 644 999 0 0:0")
}

fn submount_with(rig: &Rig, word: &str) -> Outcome<crate::report::Report> {
    let source = with_submount(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.bind(&source, "/data", &["rbind", word]);
    map_last(&mut bundle, &map(0, 4000));
    let inside = rig.report(&mut bundle, &["stat", "/data/file", "stat", "/data/sub/deep"]);
    sys::umount(&source.join("sub"))?;
    inside
}

fn idmap_excludes_submounts(rig: &mut Rig) -> Outcome {
    has_idmap(rig)?;
    let inside = submount_with(rig, "idmap")?;
    inside.is("stat:/data/file", "f 644 4000 4000 0:0")?;
    inside.is("stat:/data/sub/deep", "f 644 0 0 0:0")
}

fn ridmap_includes_submounts(rig: &mut Rig) -> Outcome {
    has_idmap(rig)?;
    rig.needs_kernel((6, 3), "idmapped tmpfs")?;
    let inside = submount_with(rig, "ridmap")?;
    inside.is("stat:/data/file", "f 644 4000 4000 0:0")?;
    inside.is("stat:/data/sub/deep", "f 644 4000 4000 0:0")
}

fn idmap_of_a_file_through_a_symlink(rig: &mut Rig) -> Outcome {
    has_idmap(rig)?;
    let link = source(rig)?.join("link");
    symlink("file", &link)?;
    let mut bundle = rig.bundle()?;
    bundle.bind(&link, "/data", &["bind", "idmap"]);
    map_last(&mut bundle, &map(0, 4000));
    rig.report(&mut bundle, &["stat", "/data"])?.is("stat:/data", "f 644 4000 4000 0:0")
}

/// The mount of the host is shared, but later mounts in one do not appear in the other.
fn idmap_is_private(rig: &mut Rig) -> Outcome {
    has_idmap(rig)?;
    let source = source(rig)?;
    fs::create_dir(source.join("sub"))?;
    sys::mount(&source.display().to_string(), &source, "", libc::MS_BIND, "")?;
    sys::mount("none", &source, "", libc::MS_REC | libc::MS_SHARED, "")?;
    let mut bundle = rig.bundle()?;
    bundle.bind(&source, "/data", &["rbind", "idmap"]);
    map_last(&mut bundle, &map(0, 4000));
    bundle.mount(json!({"destination": "/data/sub", "type": "tmpfs", "source": "tmpfs"}));
    let inside = rig.report(&mut bundle, &["mounts", "create", "/data/sub/new"]);
    let seen = fs::read_dir(source.join("sub"))?.count();
    sys::umount(&source)?;
    lacks("the mount", inside?.get("mount:/data"), "shared")?;
    same("files on the host", seen, 0)
}

/// Mounts with the same mapping share a user namespace.
fn idmap_with_several_mappings(rig: &mut Rig) -> Outcome {
    has_idmap(rig)?;
    let source = source(rig)?;
    let mut bundle = rig.bundle()?;
    for (place, host) in [("/a", 10), ("/b", 10), ("/c", 20), ("/d", 10)] {
        bundle.bind(&source, place, &["bind", "idmap"]);
        map_last(&mut bundle, &map(0, host));
    }
    let verbs = ["stat", "/a/file", "stat", "/b/file", "stat", "/c/file", "stat", "/d/file", "fds"];
    let inside = rig.report(&mut bundle, &verbs)?;
    for (place, id) in [("/a", 10), ("/b", 10), ("/c", 20), ("/d", 10)] {
        inside.is(&format!("stat:{place}/file"), &format!("f 644 {id} {id} 0:0"))?;
    }
    Ok(())
}

fn idmap_of_an_unsupported_filesystem_is_rejected(rig: &mut Rig) -> Outcome {
    has_idmap(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.bind("/proc/sys".as_ref(), "/data", &["bind", "idmap"]);
    map_last(&mut bundle, &map(0, 4000));
    rig.rejected(&bundle, &["mounts[6]", "mount_setattr idmap", "0x9fa0", "invalid argument"])
}

fn idmap_with_overlapping_ranges_is_rejected(rig: &mut Rig) -> Outcome {
    has_idmap(rig)?;
    let source = source(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.bind(&source, "/data", &["bind", "idmap=uids=0-1-10#5-20-10;gids=0-0-1"]);
    rig.rejected(&bundle, &["mounts[6]", "uid_map", "invalid argument"])
}

/// A tmpfs is mapped since linux 6.3.
fn has_idmapped_tmpfs(rig: &Rig) -> Outcome {
    has_idmap(rig)?;
    match rig.is(Runtime::Mote) {
        true => rig.needs_kernel((6, 3), "idmapped tmpfs"),
        false => skip_allowed("only bind mounts are mapped"),
    }
}

fn idmap_of_a_new_filesystem(rig: &mut Rig) -> Outcome {
    has_idmapped_tmpfs(rig)?;
    let mut bundle = rig.bundle()?;
    let options = json!(["size=64k", "mode=750", "ro", "noexec", "idmap"]);
    for (place, first) in [("/data", 0), ("/other", 4000)] {
        bundle.mount(json!({"destination": place, "type": "tmpfs", "options": (options.clone())}));
        map_last(&mut bundle, &map(0, first));
    }
    // The mount point is created before the first one is read-only.
    bundle.mount(json!({"destination": "/data/below", "type": "tmpfs", "options": ["mode=751"]}));
    let verbs = ["stat", "/data", "stat", "/other", "stat", "/data/below", "create", "/data/new", "mounts"];
    let inside = rig.report(&mut bundle, &verbs)?;
    inside.is("stat:/data", "d 750 0 0 0:0")?;
    inside.is("stat:/other", "d 750 4000 4000 0:0")?;
    inside.is("stat:/data/below", "d 751 0 0 0:0")?;
    inside.is("create:/data/new", "!EROFS")?;
    inside.mount_has("/data", &["ro", "noexec", "size=64k"])?;
    inside.mount_has("/other", &["ro", "noexec", "size=64k"])
}

/// Its root is root in the container, who may create files.
fn idmap_of_a_new_filesystem_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    has_idmapped_tmpfs(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    bundle.mount(json!({"destination": "/tmp", "type": "tmpfs", "options": ["idmap", "mode=755"]}));
    let inside =
        rig.report(&mut bundle, &["stat", "/tmp", "create", "/tmp/new", "stat", "/tmp/new", "mounts"])?;
    inside.is("stat:/tmp", "d 755 0 0 0:0")?;
    inside.is("create:/tmp/new", "ok")?;
    inside.is("stat:/tmp/new", "f 644 0 0 0:0")
}

fn idmap_of_a_new_filesystem_that_cannot_be_mapped(rig: &mut Rig) -> Outcome {
    has_idmap(rig)?;
    for (kind, words) in [("mqueue", "cannot be mapped"), ("cgroup2", "\"idmap\" is valid only")] {
        let mut bundle = rig.bundle()?;
        bundle.user_namespace(100_000);
        bundle.mount(json!({"destination": "/tmp", "type": kind, "options": ["idmap"]}));
        bundle.verbs(&["say", "here"]);
        if rig.is(Runtime::Mote) {
            rig.rejected(&bundle, &["mounts[6] /tmp", words])?;
        }
    }
    Ok(())
}
