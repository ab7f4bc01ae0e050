//! Harmless symlinks of the image: files and mounts through them are created inside the rootfs. And paths that are
//! looked up in the container: the working directory and /etc/passwd.

use std::fs;
use std::os::unix::fs::symlink;

use super::attack::{untouched, victim};
use super::source;
use crate::check::{Outcome, contains, lacks, same};
use crate::json;
use crate::rig::Rig;
use crate::tests;

tests![
    "rootfs",
    mount_through_a_relative_symlink,
    mount_through_an_absolute_symlink,
    mask_through_a_symlink,
    symlink_is_copied,
    symlink_is_copied_below_a_symlink,
    symlink_to_copy_that_is_a_file,
    symlink_is_mounted_over_a_symlink,
    file_is_mounted_over_a_symlink,
    file_is_mounted_unfollowed_below_a_symlink,
    symlink_of_procfs_is_not_covered,
    working_directory_through_a_symlink,
    working_directory_is_not_created_outside,
    passwd_is_that_of_the_image,
];

fn mount_through_a_relative_symlink(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    fs::create_dir(bundle.host_path("real"))?;
    symlink("real", bundle.host_path("way"))?;
    bundle.mount(json!({"destination": "/way/data", "type": "tmpfs", "source": "tmpfs"}));
    let inside = rig.report(&mut bundle, &["mounts", "create", "/way/data/file", "list", "/real/data"])?;
    contains("the mountinfo line", inside.get("mount:/real/data"), " - tmpfs ")?;
    inside.is("list:/real/data", "file")
}

/// `/var/run` is an absolute symlink to `/run`, which is resolved inside the rootfs.
fn mount_through_an_absolute_symlink(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    fs::create_dir_all(bundle.host_path("run"))?;
    fs::create_dir_all(bundle.host_path("var"))?;
    symlink("/run", bundle.host_path("var/run"))?;
    bundle.mount(json!({"destination": "/var/run/data", "type": "tmpfs", "source": "tmpfs"}));
    let inside = rig.report(&mut bundle, &["mounts", "create", "/run/data/file"])?;
    contains("the mountinfo line", inside.get("mount:/run/data"), " - tmpfs ")?;
    inside.is("create:/run/data/file", "ok")
}

fn mask_through_a_symlink(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.file("/real/secret", "secret")?;
    symlink("/real", bundle.host_path("way"))?;
    bundle.set("linux.maskedPaths", json!(["/way/secret"]));
    let inside = rig.report(&mut bundle, &["read", "/real/secret", "read", "/way/secret"])?;
    inside.is("read:/real/secret", "")?;
    inside.is("read:/way/secret", "")
}

/// The target is not followed; the image may have the same symlink, and no other file.
fn symlink_is_copied(rig: &mut Rig) -> Outcome {
    let source = rig.dir.join("link");
    symlink("../point/to/nowhere", &source)?;
    for user in [false, true] {
        let mut bundle = rig.bundle()?;
        if user {
            bundle.user_namespace(0);
        }
        symlink("../point/to/nowhere", bundle.host_path("there"))?;
        bundle.bind(&source, "/new/dir/link", &["rbind", "copy-symlink"]);
        bundle.bind(&source, "/there", &["bind", "copy-symlink"]);
        let inside = rig.report(&mut bundle, &["link", "/new/dir/link", "link", "/there", "mounts"])?;
        inside.is("link:/new/dir/link", "../point/to/nowhere")?;
        inside.is("link:/there", "../point/to/nowhere")?;
        same("mounts", inside.all("mount:/there").len(), 0)?;
    }
    let mut bundle = rig.bundle()?;
    symlink("elsewhere", bundle.host_path("there"))?;
    bundle.bind(&source, "/there", &["bind", "copy-symlink"]);
    rig.rejected(&bundle, &["mounts[6] /there", "../point/to/nowhere"])
}

fn symlink_is_copied_below_a_symlink(rig: &mut Rig) -> Outcome {
    let (source, outside) = (rig.dir.join("link"), rig.dir.join("outside"));
    symlink("somewhere", &source)?;
    fs::create_dir(&outside)?;
    let mut bundle = rig.bundle()?;
    symlink(&outside, bundle.host_path("way"))?;
    bundle.bind(&source, "/way/link", &["bind", "copy-symlink"]);
    rig.report(&mut bundle, &["link", "/way/link"])?.is("link:/way/link", "somewhere")?;
    same("names outside", fs::read_dir(&outside)?.count(), 0)
}

fn symlink_to_copy_that_is_a_file(rig: &mut Rig) -> Outcome {
    let source = source(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.bind(&source.join("file"), "/data", &["bind", "copy-symlink", "ro"]);
    let inside = rig.report(&mut bundle, &["read", "/data", "mounts"])?;
    inside.is("read:/data", "from the host")?;
    inside.mount_has("/data", &["ro"])
}

fn symlink_is_mounted_over_a_symlink(rig: &mut Rig) -> Outcome {
    let link = source(rig)?.join("link");
    symlink("file", &link)?;
    for user in [false, true] {
        let mut bundle = rig.bundle()?;
        if user {
            bundle.user_namespace(0);
        }
        symlink("nowhere", bundle.host_path("link"))?;
        bundle.file("/file", "the image's")?;
        bundle.bind(&link, "/link", &["bind", "src-nofollow", "dest-nofollow"]);
        bundle.bind(&link, "/new", &["bind", "src-nofollow"]);
        let verbs = ["link", "/link", "read", "/link", "link", "/new", "list", "/"];
        let inside = rig.report(&mut bundle, &verbs)?;
        inside.is("link:/link", "file")?;
        inside.is("read:/link", "the image's")?;
        inside.is("link:/new", "file")?;
        lacks("names in the image", inside.get("list:/"), "nowhere")?;
    }
    Ok(())
}

/// The target of the image's symlink is neither changed nor created.
fn file_is_mounted_over_a_symlink(rig: &mut Rig) -> Outcome {
    let source = source(rig)?;
    symlink("file", source.join("link"))?;
    for name in ["file", "link"] {
        let mut bundle = rig.bundle()?;
        symlink("nowhere", bundle.host_path("link"))?;
        bundle.bind(&source.join(name), "/link", &["bind", "dest-nofollow"]);
        bundle.bind(&source.join(name), "/new/name", &["bind", "dest-nofollow"]);
        let inside = rig.report(&mut bundle, &["read", "/link", "read", "/new/name", "list", "/"])?;
        inside.is("read:/link", "from the host")?;
        inside.is("read:/new/name", "from the host")?;
        lacks("names in the image", inside.get("list:/"), "nowhere")?;
    }
    Ok(())
}

fn file_is_mounted_unfollowed_below_a_symlink(rig: &mut Rig) -> Outcome {
    let (source, outside) = (source(rig)?, rig.dir.join("outside"));
    fs::create_dir(&outside)?;
    let mut bundle = rig.bundle()?;
    symlink(&outside, bundle.host_path("way"))?;
    bundle.bind(&source.join("file"), "/way/file", &["bind", "dest-nofollow"]);
    rig.report(&mut bundle, &["read", "/way/file"])?.is("read:/way/file", "from the host")?;
    same("names outside", fs::read_dir(&outside)?.count(), 0)
}

/// Programs that read procfs trust its symlinks.
fn symlink_of_procfs_is_not_covered(rig: &mut Rig) -> Outcome {
    let link = source(rig)?.join("link");
    symlink("1", &link)?;
    for place in ["/proc/self", "/proc/mounts", "/dev/pts/ptmx"] {
        let mut bundle = rig.bundle()?;
        bundle.bind(&link, place, &["bind", "src-nofollow", "dest-nofollow"]);
        rig.rejected(&bundle, &["mounts[6]", place, "dest-nofollow"])?;
    }
    Ok(())
}

fn working_directory_through_a_symlink(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    fs::create_dir(bundle.host_path("real"))?;
    symlink("/real", bundle.host_path("way"))?;
    bundle.set("process.cwd", "/way");
    rig.report(&mut bundle, &["cwd"])?.is("cwd", "/real")
}

fn working_directory_is_not_created_outside(rig: &mut Rig) -> Outcome {
    let victim = victim(rig)?;
    let mut bundle = rig.bundle()?;
    symlink(&victim, bundle.host_path("way"))?;
    bundle.set("process.cwd", "/way/new");
    bundle.verbs(&["cwd", "list", "."]);
    let output = rig.run(&bundle, &[])?;
    lacks("the output", &output.stdout, "secret")?;
    untouched(&victim)?;
    if output.code() == 0 {
        return output.report().is("cwd", &victim.join("new").display().to_string());
    }
    rig.failure(&output, &["process.cwd"])
}

/// The home directory is looked up in the container's /etc/passwd, and a symlink does not lead to the host's.
fn passwd_is_that_of_the_image(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let outside = rig.dir.join("passwd");
    fs::write(&outside, "thief:x:0:0::/stolen:/bin/sh\n")?;
    symlink(&outside, bundle.host_path("etc/passwd"))?;
    let inside = rig.report(&mut bundle, &["env"])?;
    inside.is("env:HOME", "/")
}
