//! `linux.uidMappings` and `linux.gidMappings` of a new user namespace (user_namespaces(7), "Defining user and group ID
//! mappings").

use std::fs;

use crate::bundle::Bundle;
use crate::check::{Outcome, contains, same};
use crate::json;
use crate::json::Json;
use crate::rig::{Rig, Runtime};
use crate::{sys, tests};

tests![
    "namespaces",
    mappings_as_many_as_the_kernel_permits,
    mappings_more_than_the_kernel_permits,
    mappings_with_a_long_text,
    mappings_that_overlap,
    mappings_without_root,
    mappings_without_root_in_exec,
    mappings_without_root_in_mounts,
    mappings_without_root_group,
    mappings_without_the_user,
    mappings_without_a_group,
];

/// This many mappings of one ID, which cannot be joined to fewer.
fn single(count: i64) -> Json {
    let map = |id: i64| json!({"containerID": id, "hostID": (2 * id), "size": 1i64});
    Json::List((0..count).map(map).collect())
}

fn list(ranges: &[(i64, i64, i64)]) -> Json {
    let map = |(first, host, size): &(i64, i64, i64)| json!({"containerID": (*first), "hostID": (*host), "size": (*size)});
    Json::List(ranges.iter().map(map).collect())
}

fn mapped(rig: &Rig, uids: &Json, gids: &Json) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    bundle.namespace("user", None);
    bundle.set("linux.uidMappings", uids.clone());
    bundle.set("linux.gidMappings", gids.clone());
    bundle.verbs(&["id"]);
    Ok(bundle)
}

/// The kernel keeps five in the namespace itself, and more in memory of their own.
fn mappings_as_many_as_the_kernel_permits(rig: &mut Rig) -> Outcome {
    for count in [1, 5, 6, 340] {
        let mut bundle = mapped(rig, &single(count), &single(count))?;
        let last = count - 1;
        bundle.set("process.user", json!({"uid": last, "gid": last}));
        let inside =
            rig.report(&mut bundle, &["id", "read", "/proc/self/uid_map", "read", "/proc/self/gid_map"])?;
        inside.is("uid", &format!("{last} {last} {last}"))?;
        inside.is("gid", &format!("{last} {last} {last}"))?;
        for file in ["uid_map", "gid_map"] {
            let map = inside.get(&format!("read:/proc/self/{file}")).to_string();
            let ranges: Vec<&str> = map.lines().collect();
            same("the number of mappings", ranges.len() as i64, count)?;
            let words: Vec<&str> = ranges.last().unwrap_or(&"").split_whitespace().collect();
            let (first, host) = (last.to_string(), (2 * last).to_string());
            same("the last mapping", words, vec![first.as_str(), &host, "1"])?;
        }
    }
    Ok(())
}

fn mappings_more_than_the_kernel_permits(rig: &mut Rig) -> Outcome {
    let (many, one) = (single(341), single(1));
    rig.rejected(&mapped(rig, &many, &one)?, &["linux.uidMappings: 341 mappings", "permits 340", "uid_map"])?;
    rig.rejected(&mapped(rig, &one, &many)?, &["linux.gidMappings: 341 mappings", "permits 340", "gid_map"])
}

/// The text of the mappings must be shorter than a page.
fn mappings_with_a_long_text(rig: &mut Rig) -> Outcome {
    let ranges: Vec<_> = (0..300).map(|id| (id * 2, 4_000_000_000 + id * 3, 1)).collect();
    let mut bundle = mapped(rig, &list(&ranges), &single(1))?;
    // The text is shorter than larger pages.
    if sys::page_size() > 4096 {
        return rig.report(&mut bundle, &["id"])?.is("uid", "0 0 0");
    }
    rig.rejected(&bundle, &["linux.uidMappings: 300 mappings", "bytes", "less than 4096", "uid_map"])
}

fn mappings_that_overlap(rig: &mut Rig) -> Outcome {
    let fine = list(&[(0, 100_000, 1000)]);
    let cases = [
        ("containerID", list(&[(0, 100_000, 1000), (2000, 1, 1), (999, 200_000, 10)])),
        ("hostID", list(&[(0, 100_000, 1000), (2000, 1, 1), (5000, 99_999, 2)])),
    ];
    for (name, wrong) in cases {
        for (kind, uids, gids) in [("uid", &wrong, &fine), ("gid", &fine, &wrong)] {
            let field = format!("linux.{kind}Mappings[2].{name}: overlaps with linux.{kind}Mappings[0]");
            rig.rejected(&mapped(rig, uids, gids)?, &[&field, "invalid argument"])?;
        }
    }
    // Ranges that only touch each other.
    let ranges = list(&[(0, 100_000, 1000), (1000, 101_000, 10), (2000, 99_999, 1)]);
    rig.report(&mut mapped(rig, &ranges, &ranges)?, &["id"])?.is("uid", "0 0 0")
}

/// A container in whose user namespace 0 has no mapping, and whose process has these IDs.
fn without_root(rig: &Rig) -> Outcome<Bundle> {
    let ranges = list(&[(7, 100_007, 2)]);
    let mut bundle = mapped(rig, &ranges, &ranges)?;
    bundle.set("process.user", json!({"uid": 7i64, "gid": 8i64}));
    Ok(bundle)
}

/// Filesystems then belong to the user of the process, with whose IDs the container is set up.
fn mappings_without_root(rig: &mut Rig) -> Outcome {
    let mut bundle = without_root(rig)?;
    let verbs = [
        "id",
        "create",
        "/tmp/new",
        "create",
        "/dev/shm/new",
        "stat",
        "/dev/shm",
        "stat",
        "/dev",
        "write",
        "/dev/null",
        "caps",
    ];
    let inside = rig.report(&mut bundle, &verbs)?;
    inside.is("uid", "7 7 7")?;
    inside.is("gid", "8 8 8")?;
    inside.is("create:/tmp/new", "ok")?;
    inside.is("create:/dev/shm/new", "ok")?;
    inside.is("write:/dev/null", "ok")?;
    if rig.is(Runtime::Mote) {
        inside.is("stat:/dev/shm", "d 1777 7 8 0:0")?;
        inside.is("stat:/dev", "d 755 7 8 0:0")?;
    }
    inside.is("cap:bounding", "KILL NET_BIND_SERVICE AUDIT_WRITE")?;
    bundle.set("process.user", json!({"uid": 0i64, "gid": 8i64}));
    rig.rejected(&bundle, &["process.user.uid: setresuid 0", "not mapped in the user namespace"])
}

fn mappings_without_root_in_exec(rig: &mut Rig) -> Outcome {
    let mut bundle = without_root(rig)?;
    let _running = rig.waiting(&mut bundle)?;
    let exec = ["exec", &rig.id, "/payload", "id", "create", "/dev/shm/new"];
    let inside = rig.mote(&exec)?.success()?.report();
    inside.is("uid", "7 7 7")?;
    inside.is("create:/dev/shm/new", "ok")?;
    let output = rig.mote(&["exec", "--user", "0:8", &rig.id, "/payload", "id"])?;
    contains("the error", &output.stderr, "setresuid 0")?;
    rig.delete()
}

/// The mount point is created with an ID that the user namespace maps.
fn mappings_without_root_in_mounts(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return crate::check::skip_allowed("runc has no such command, and crun's is experimental");
    }
    rig.needs_mount_setattr()?;
    let mut bundle = without_root(rig)?;
    let _running = rig.waiting(&mut bundle)?;
    let (volume, file) = (rig.dir.join("volume"), rig.dir.join("mounts.json"));
    fs::create_dir(&volume)?;
    fs::write(volume.join("file"), "of the host")?;
    let source = volume.display().to_string();
    let mount =
        json!([{"destination": "/tmp/added/here", "type": "bind", "source": source, "options": ["bind"]}]);
    fs::write(&file, mount.to_string())?;
    rig.mote(&["mounts", "add", &rig.id, &file.display().to_string()])?.success()?;
    let exec = ["exec", &rig.id, "/payload", "read", "/tmp/added/here/file", "stat", "/tmp/added"];
    let inside = rig.mote(&exec)?.success()?.report();
    inside.is("read:/tmp/added/here/file", "of the host")?;
    inside.is("stat:/tmp/added", "d 755 7 8 0:0")?;
    rig.delete()
}

fn mappings_without_root_group(rig: &mut Rig) -> Outcome {
    let mut bundle = mapped(rig, &list(&[(0, 100_000, 9)]), &list(&[(5, 100_000, 9)]))?;
    bundle.set("process.user.gid", 6i64);
    let inside = rig.report(&mut bundle, &["id", "stat", "/dev"])?;
    inside.is("uid", "0 0 0")?;
    inside.is("gid", "6 6 6")?;
    match rig.is(Runtime::Mote) {
        true => inside.is("stat:/dev", "d 755 0 6 0:0"),
        false => Ok(()),
    }
}

fn mappings_without_the_user(rig: &mut Rig) -> Outcome {
    let ranges = list(&[(0, 100_000, 9)]);
    for (uid, gid, call) in [(9, 0, "process.user.uid: setresuid 9"), (0, 9, "process.user.gid: setresgid 9")]
    {
        let mut bundle = mapped(rig, &ranges, &ranges)?;
        bundle.set("process.user", json!({"uid": uid, "gid": gid}));
        rig.rejected(&bundle, &[call, "not mapped in the user namespace"])?;
    }
    Ok(())
}

fn mappings_without_a_group(rig: &mut Rig) -> Outcome {
    let ranges = list(&[(0, 100_000, 9)]);
    let mut bundle = mapped(rig, &ranges, &ranges)?;
    bundle.set("process.user.additionalGids", json!([5i64, 8i64]));
    rig.report(&mut bundle, &["id"])?.is("groups", "5 8")?;
    bundle.set("process.user.additionalGids", json!([5i64, 9i64]));
    rig.rejected(&bundle, &["process.user.additionalGids", "not all are mapped in the user namespace"])
}
