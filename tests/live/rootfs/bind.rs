//! Bind mounts and their options (config.md, "Mounts"; mount(8), mount_setattr(2)).

use std::fs;
use std::path::Path;

use super::source;
use crate::bundle::Bundle;
use crate::check::{Outcome, same, skip_allowed};
use crate::json;
use crate::rig::{Rig, Runtime};
use crate::{sys, tests};

tests![
    "rootfs",
    bind_of_a_directory,
    bind_of_a_file,
    bind_creates_a_missing_directory,
    bind_creates_a_missing_file,
    bind_with_a_source_beside_the_config,
    bind_of_a_missing_source_is_rejected,
    bind_excludes_submounts,
    rbind_includes_submounts,
    bind_read_only,
    rbind_ro_leaves_submounts_writable,
    rbind_rro_reaches_submounts,
    mount_points_below_a_read_only_bind_are_created,
    mount_points_below_a_read_only_mount_of_the_host_are_not_created,
    bind_options_are_set,
    bind_recursive_options_reach_submounts,
    bind_uses_the_last_of_conflicting_options,
    bind_type_none_with_the_option_alone,
    later_mount_covers_earlier_one,
    bind_strictatime_is_set,
    rbind_with_a_pinned_mount_namespace,
    bind_with_filesystem_options_is_rejected,
];

/// A source with a tmpfs mounted at `sub`.
pub(super) fn with_submount(rig: &Rig) -> Outcome<std::path::PathBuf> {
    let dir = source(rig)?;
    let sub = dir.join("sub");
    fs::create_dir(&sub)?;
    sys::mount("none", &sub, "tmpfs", 0, "")?;
    fs::write(sub.join("deep"), "from below")?;
    Ok(dir)
}

fn bind_of_a_directory(rig: &mut Rig) -> Outcome {
    let source = source(rig)?;
    let mut bundle = rig.bundle()?;
    fs::create_dir(bundle.host_path("data"))?;
    bundle.bind(&source, "/data", &["bind"]);
    let inside = rig.report(&mut bundle, &["read", "/data/file", "create", "/data/new"])?;
    inside.is("read:/data/file", "from the host")?;
    inside.is("create:/data/new", "ok")?;
    same("the new file is on the host", source.join("new").exists(), true)
}

fn bind_of_a_file(rig: &mut Rig) -> Outcome {
    let source = source(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.file("/etc/hosts", "the image's")?;
    bundle.bind(&source.join("file"), "/etc/hosts", &["bind"]);
    rig.report(&mut bundle, &["read", "/etc/hosts"])?.is("read:/etc/hosts", "from the host")?;
    same("the image's file", fs::read_to_string(bundle.host_path("etc/hosts"))?, "the image's")
}

fn bind_creates_a_missing_directory(rig: &mut Rig) -> Outcome {
    let source = source(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.bind(&source, "/a/new/place", &["bind"]);
    let inside = rig.report(&mut bundle, &["stat", "/a/new", "list", "/a/new/place"])?;
    inside.is("stat:/a/new", "d 755 0 0 0:0")?;
    inside.is("list:/a/new/place", "file")
}

fn bind_creates_a_missing_file(rig: &mut Rig) -> Outcome {
    let source = source(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.bind(&source.join("file"), "/a/new/name", &["bind"]);
    let inside = rig.report(&mut bundle, &["read", "/a/new/name"])?;
    inside.is("read:/a/new/name", "from the host")
}

fn bind_with_a_source_beside_the_config(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    fs::create_dir(bundle.dir.join("beside"))?;
    fs::write(bundle.dir.join("beside/file"), "beside")?;
    bundle.bind("beside".as_ref(), "/data", &["bind"]);
    rig.report(&mut bundle, &["read", "/data/file"])?.is("read:/data/file", "beside")
}

fn bind_of_a_missing_source_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.bind(&rig.dir.join("nothing"), "/data", &["bind"]);
    rig.rejected(&bundle, &["mounts[6]", "nothing"])
}

fn bind_excludes_submounts(rig: &mut Rig) -> Outcome {
    let source = with_submount(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.bind(&source, "/data", &["bind"]);
    let inside = rig.report(&mut bundle, &["list", "/data/sub"])?;
    sys::umount(&source.join("sub"))?;
    inside.is("list:/data/sub", "")
}

fn rbind_includes_submounts(rig: &mut Rig) -> Outcome {
    let source = with_submount(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.bind(&source, "/data", &["rbind"]);
    let inside = rig.report(&mut bundle, &["read", "/data/sub/deep"])?;
    sys::umount(&source.join("sub"))?;
    inside.is("read:/data/sub/deep", "from below")
}

fn bind_read_only(rig: &mut Rig) -> Outcome {
    let source = source(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.bind(&source, "/data", &["bind", "ro"]);
    let inside = rig.report(&mut bundle, &["write", "/data/file", "create", "/data/new", "mounts"])?;
    inside.is("write:/data/file", "!EROFS")?;
    inside.is("create:/data/new", "!EROFS")?;
    inside.mount_has("/data", &["ro"])?;
    same("the host's file", fs::read_to_string(source.join("file"))?, "from the host")
}

fn submount_with(rig: &Rig, options: &[&str]) -> Outcome<crate::report::Report> {
    let source = with_submount(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.bind(&source, "/data", options);
    let verbs = ["write", "/data/file", "write", "/data/sub/deep", "mounts"];
    let inside = rig.report(&mut bundle, &verbs);
    sys::umount(&source.join("sub"))?;
    inside
}

fn rbind_ro_leaves_submounts_writable(rig: &mut Rig) -> Outcome {
    let inside = submount_with(rig, &["rbind", "ro"])?;
    inside.is("write:/data/file", "!EROFS")?;
    inside.is("write:/data/sub/deep", "ok")
}

fn rbind_rro_reaches_submounts(rig: &mut Rig) -> Outcome {
    let inside = submount_with(rig, &["rbind", "rro"])?;
    inside.is("write:/data/file", "!EROFS")?;
    inside.is("write:/data/sub/deep", "!EROFS")
}

/// `ro` and `rro` are set after later mounts were made below the mount; `rro` applies to the mounts of the source, not
/// to those.
fn mount_points_below_a_read_only_bind_are_created(rig: &mut Rig) -> Outcome {
    let places = ["/data/new/deep", "/data/./sub/new", "/data/one"];
    for (number, word) in ["ro", "rro"].into_iter().enumerate() {
        let dir = rig.dir.join(number.to_string());
        fs::create_dir_all(dir.join("sub"))?;
        fs::write(dir.join("file"), "from the host")?;
        let mut bundle = rig.bundle()?;
        bundle.bind(&dir, "/data", &["rbind", word]);
        bundle.mount(json!({"destination": (places[0]), "type": "tmpfs", "source": "tmpfs"}));
        bundle.bind(&source(rig)?, places[1], &["bind"]);
        bundle.bind(&dir.join("file"), places[2], &["bind", "ro"]);
        let new = ["/data/x", "/data/sub/x", "/data/new/x", "/data/new/deep/x", "/data/sub/new/x"];
        let verbs: Vec<&str> = new.iter().flat_map(|path| ["create", path]).collect();
        let verbs = [&verbs[..], &["write", "/data/one", "mounts"]].concat();
        let inside = rig.report(&mut bundle, &verbs)?;
        for path in &new[..3] {
            inside.is(&format!("create:{path}"), "!EROFS")?;
        }
        for path in &new[3..] {
            inside.is(&format!("create:{path}"), "ok")?;
        }
        inside.is("write:/data/one", "!EROFS")?;
        inside.mount_has("/data", &["ro"])?;
        fs::remove_file(source(rig)?.join("x"))?;
    }
    Ok(())
}

/// A mount that is read-only on the host is not made writable to create a mount point.
fn mount_points_below_a_read_only_mount_of_the_host_are_not_created(rig: &mut Rig) -> Outcome {
    let dir = source(rig)?;
    let host = rig.dir.join("host");
    fs::create_dir(&host)?;
    sys::mount(&dir.display().to_string(), &host, "", libc::MS_BIND, "")?;
    sys::mount("", &host, "", libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY, "")?;
    let mut outputs = Vec::new();
    for word in ["ro", "rro"] {
        let mut bundle = rig.bundle()?;
        bundle.bind(&host, "/data", &["rbind", word]);
        bundle.mount(json!({"destination": "/data/new", "type": "tmpfs", "source": "tmpfs"}));
        bundle.verbs(&[]);
        outputs.push(rig.run(&bundle, &[])?);
    }
    sys::umount(&host)?;
    outputs
        .iter()
        .try_for_each(|output| rig.failure(output, &["mounts[7] /data/new", "read-only file system"]))?;
    same("the mount point exists", dir.join("new").exists(), false)
}

fn bind_options_are_set(rig: &mut Rig) -> Outcome {
    let words = ["nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime", "ro", "nosymfollow"];
    let known = |word: &&str| rig.is(Runtime::Mote) || *word != "nosymfollow";
    let words: Vec<&str> = words.into_iter().filter(known).collect();
    let source = source(rig)?;
    let mut bundle = rig.bundle()?;
    for word in &words {
        bundle.bind(&source, &format!("/with/{word}"), &["bind", word]);
    }
    let inside = rig.report(&mut bundle, &["mounts"])?;
    for word in &words {
        let place = format!("/with/{word}");
        inside.mount_has(&place, &[word])?;
        let others: Vec<&str> =
            ["nosuid", "nodev", "noexec"].into_iter().filter(|other| other != word).collect();
        inside.mount_lacks(&place, &others)?;
    }
    Ok(())
}

/// mountinfo shows strictatime by the absence of relatime and noatime.
fn bind_strictatime_is_set(rig: &mut Rig) -> Outcome {
    let source = source(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.bind(&source, "/strict", &["bind", "strictatime"]);
    let inside = rig.report(&mut bundle, &["mounts"])?;
    inside.mount_has("/strict", &["rw"])?;
    inside.mount_lacks("/strict", &["relatime", "noatime"])
}

fn bind_recursive_options_reach_submounts(rig: &mut Rig) -> Outcome {
    let inside = submount_with(rig, &["rbind", "rnosuid", "rnodev", "rnoexec", "rnoatime"])?;
    for place in ["/data", "/data/sub"] {
        inside.mount_has(place, &["nosuid", "nodev", "noexec", "noatime"])?;
    }
    Ok(())
}

fn bind_uses_the_last_of_conflicting_options(rig: &mut Rig) -> Outcome {
    let source = source(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.bind(&source, "/one", &["bind", "ro", "rw", "nodev", "dev"]);
    bundle.bind(&source, "/two", &["bind", "rw", "ro", "dev", "nodev"]);
    let inside = rig.report(&mut bundle, &["mounts"])?;
    inside.mount_lacks("/one", &["nodev"])?;
    inside.mount_has("/one", &["rw"])?;
    inside.mount_has("/two", &["nodev", "ro"])
}

/// As from docker: the option makes it a bind mount, whatever the type is.
fn bind_type_none_with_the_option_alone(rig: &mut Rig) -> Outcome {
    let source = source(rig)?.display().to_string();
    let mut bundle = rig.bundle()?;
    bundle.mount(json!({"destination": "/one", "source": (source.as_str()), "options": ["rbind"]}));
    let none = json!({"destination": "/two", "type": "none", "source": source, "options": ["bind"]});
    bundle.mount(none);
    let inside = rig.report(&mut bundle, &["list", "/one", "list", "/two"])?;
    inside.is("list:/one", "file")?;
    inside.is("list:/two", "file")
}

fn later_mount_covers_earlier_one(rig: &mut Rig) -> Outcome {
    let source = source(rig)?;
    let mut bundle: Bundle = rig.bundle()?;
    bundle.mount(json!({"destination": "/data", "type": "tmpfs", "source": "tmpfs"}));
    bundle.bind(&source, "/data/inner", &["bind"]);
    bundle.mount(json!({"destination": "/data/inner", "type": "tmpfs", "source": "tmpfs"}));
    let inside = rig.report(&mut bundle, &["list", "/data", "list", "/data/inner", "mounts"])?;
    inside.is("list:/data", "inner")?;
    inside.is("list:/data/inner", "")?;
    same("number of mounts", inside.all("mount:/data/inner").len(), 2)
}

/// A mount namespace can only be bind-mounted in an older one (`mnt_ns_loop` of fs/namespace.c). Since Linux 6.18 its
/// id shows the age; ids are allocated to CPUs in batches, so a namespace created on another CPU may seem older.
fn pin_mount_namespace(rig: &Rig, pin: &Path) -> Outcome {
    for _ in 0..200 {
        let mut holder =
            crate::command::start(&mut rig.host(&["unshare", "mnt", "say", "held", "stdin"]), true)?;
        holder.lines.until("say=held")?;
        let pinned = sys::mount(&format!("/proc/{}/ns/mnt", holder.pid()), pin, "", libc::MS_BIND, "");
        holder.status()?;
        match pinned {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
            pinned => return Ok(pinned?),
        }
    }
    skip_allowed("each mount namespace has a lower id than this one")
}

/// As with snapd below `/run`, and therefore below `/`: pinned namespaces are left out of a recursive bind mount.
fn rbind_with_a_pinned_mount_namespace(rig: &mut Rig) -> Outcome {
    let source = with_submount(rig)?;
    let pin = source.join("pin");
    fs::write(&pin, "")?;
    pin_mount_namespace(rig, &pin)?;
    let kinds = [(false, false), (true, false), (false, true)];
    let mut outputs = Vec::new();
    for (user_namespace, hooks) in kinds {
        let mut bundle = rig.bundle()?;
        fs::create_dir(bundle.host_path("data"))?;
        if user_namespace {
            bundle.user_namespace(100_000);
        }
        if hooks {
            let payload = rig.suite.payload.display().to_string();
            bundle.set("hooks.createRuntime", json!([{"path": payload, "args": ["payload", "stdin"]}]));
        }
        bundle.bind(&source, "/data", &["rbind", "ro", "rnoexec"]);
        bundle.verbs(&["read", "/data/sub/deep", "read", "/data/file", "create", "/data/new", "mounts"]);
        outputs.push(rig.run(&bundle, &[])?);
    }
    sys::umount(&pin)?;
    sys::umount(&source.join("sub"))?;
    for output in outputs {
        let inside = output.success()?.report();
        inside.is("read:/data/sub/deep", "from below")?;
        inside.is("read:/data/file", "from the host")?;
        inside.is("create:/data/new", "!EROFS")?;
        inside.mount_has("/data", &["ro"])?;
        inside.mount_has("/data/sub", if rig.is(Runtime::Runc) { &[] } else { &["noexec"] })?;
    }
    Ok(())
}

/// As in public Kubernetes manifests.
fn bind_with_filesystem_options_is_rejected(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun ignore them");
    }
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.bind(&source(rig)?, "/data", &["rbind", "rw", "mode=755"]);
    rig.rejected(
        &bundle,
        &["mounts[6] /data: options[2]: \"mode=755\"", "not valid for bind mounts", "remove it"],
    )
}
