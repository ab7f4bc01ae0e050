//! Filesystem options longer than fsconfig(2) accepts, which is 255 bytes.

use std::fs;

use super::has_overlay;
use crate::bundle::Bundle;
use crate::check::{Outcome, contains, holds, same, skip_allowed};
use crate::json;
use crate::rig::{Rig, Runtime};
use crate::rootless::{as_ordinary_user, give_to_user};
use crate::{rootless, sys, tests};

tests![
    "rootfs",
    long_lowerdir,
    long_lowerdir_in_a_user_namespace,
    long_lowerdir_of_an_ordinary_user,
    long_lowerdir_with_hooks,
    long_lowerdir_with_escaped_names,
    long_lowerdir_of_more_than_a_page,
    long_lowerdir_of_one_layer,
    long_upperdir,
    long_option_of_another_filesystem,
    long_source,
    long_options_of_more_than_a_page_are_rejected,
    long_option_of_a_remount_is_rejected,
    long_lowerdir_with_a_missing_layer,
];

/// Creates layers with a file in each; returns their `lowerdir` option.
fn layers(rig: &Rig, number: usize) -> Outcome<String> {
    has_overlay(rig)?;
    let mut paths = Vec::new();
    for layer in 0..number {
        let path = rig.dir.join("layers").join(format!("with-a-long-name-{layer:04}"));
        fs::create_dir_all(&path)?;
        fs::write(path.join(format!("file{layer}")), format!("in layer {layer}"))?;
        fs::write(path.join("all"), format!("in layer {layer}"))?;
        paths.push(path.display().to_string());
    }
    let option = format!("lowerdir={}", paths.join(":"));
    holds("the option is longer than 255 bytes", option.len() > 270 || number == 1)?;
    Ok(option)
}

fn overlay(bundle: &mut Bundle, options: &[&str]) {
    let options = options.to_vec();
    bundle
        .mount(json!({"destination": "/merged", "type": "overlay", "source": "overlay", "options": options}));
}

/// Checks the files of ten layers.
fn ten_layers(rig: &Rig, bundle: &mut Bundle) -> Outcome {
    fs::create_dir_all(bundle.host_path("merged"))?;
    let verbs =
        ["read", "/merged/file0", "read", "/merged/file9", "read", "/merged/all", "mounts", "list", "/.."];
    let inside = rig.report(bundle, &verbs)?;
    inside.is("read:/merged/file0", "in layer 0")?;
    inside.is("read:/merged/file9", "in layer 9")?;
    inside.is("read:/merged/all", "in layer 0")?;
    contains("the mountinfo line", inside.get("mount:/merged"), " - overlay overlay ")?;
    inside.mount_has("/merged", &["ro", "nosuid", "nodev", "noatime"])?;
    same("number of mounts", inside.all("mount:/merged").len(), 1)?;
    same("roots", inside.all("mount:/").len(), 1)
}

const WORDS: [&str; 4] = ["ro", "nosuid", "nodev", "noatime"];

fn long_lowerdir(rig: &mut Rig) -> Outcome {
    let option = layers(rig, 10)?;
    let mut bundle = rig.bundle()?;
    overlay(&mut bundle, &[&WORDS[..], &[&option]].concat());
    ten_layers(rig, &mut bundle)
}

fn long_lowerdir_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    rig.needs_kernel((5, 11), "overlays in user namespaces")?;
    let option = layers(rig, 10)?;
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    overlay(&mut bundle, &[&WORDS[..], &[&option]].concat());
    ten_layers(rig, &mut bundle)
}

/// As podman mounts an image without root.
fn long_lowerdir_of_an_ordinary_user(rig: &mut Rig) -> Outcome {
    rig.needs_kernel((5, 11), "overlays in user namespaces")?;
    as_ordinary_user(rig)?;
    let option = layers(rig, 10)?;
    let mut bundle = rootless::user_namespace_bundle(rig)?;
    overlay(&mut bundle, &[&WORDS[..], &[&option, "userxattr"]].concat());
    fs::create_dir_all(bundle.host_path("merged"))?;
    give_to_user(&bundle.dir)?;
    ten_layers(rig, &mut bundle)
}

fn long_lowerdir_with_hooks(rig: &mut Rig) -> Outcome {
    let option = layers(rig, 10)?;
    let mut bundle = rig.bundle()?;
    overlay(&mut bundle, &[&WORDS[..], &[&option]].concat());
    let payload = rig.suite.payload.display().to_string();
    bundle.set("hooks.createRuntime", json!([{"path": payload, "args": ["payload", "stdin"]}]));
    ten_layers(rig, &mut bundle)
}

/// Colons and backslashes in a name are escaped with a backslash.
fn long_lowerdir_with_escaped_names(rig: &mut Rig) -> Outcome {
    let strange = rig.dir.join("a:b\\c, d");
    fs::create_dir(&strange)?;
    fs::write(strange.join("strange"), "found")?;
    let escaped = strange.display().to_string().replace('\\', "\\\\").replace(':', "\\:").replace(',', "\\,");
    let option = format!("{}:{escaped}", layers(rig, 10)?);
    let mut bundle = rig.bundle()?;
    overlay(&mut bundle, &[&option]);
    rig.report(&mut bundle, &["read", "/merged/strange"])?.is("read:/merged/strange", "found")
}

/// Set one by one, as many layers are possible as overlayfs accepts, which is 500.
fn long_lowerdir_of_more_than_a_page(rig: &mut Rig) -> Outcome {
    let option = layers(rig, 100)?;
    holds("the option is longer than a page", option.len() > 4096)?;
    let mut bundle = rig.bundle()?;
    overlay(&mut bundle, &[&option]);
    bundle.verbs(&["read", "/merged/file99"]);
    let output = rig.run(&bundle, &[])?;
    if output.code() != 0 {
        rig.failure(&output, &["mounts[6] /merged", "4095"])?;
        return skip_allowed("this kernel or runtime cannot set layers one by one");
    }
    output.report().is("read:/merged/file99", "in layer 99")
}

/// A single layer whose option is too long.
fn long_lowerdir_of_one_layer(rig: &mut Rig) -> Outcome {
    let deep = (0..5).fold(rig.dir.join("deep"), |path, _| path.join("n".repeat(60)));
    fs::create_dir_all(&deep)?;
    fs::write(deep.join("file"), "found")?;
    let option = format!("{}:{}", layers(rig, 1)?, deep.display());
    for words in [&[][..], &["ro", "nosuid"]] {
        let mut bundle = rig.bundle()?;
        overlay(&mut bundle, &[&[option.as_str()], words].concat());
        let inside = rig.report(&mut bundle, &["read", "/merged/file", "read", "/merged/file0", "mounts"])?;
        inside.is("read:/merged/file", "found")?;
        inside.is("read:/merged/file0", "in layer 0")?;
        inside.mount_has("/merged", words)?;
        same("roots", inside.all("mount:/").len(), 1)?;
    }
    Ok(())
}

/// Not a list, so it cannot be split.
fn long_upperdir(rig: &mut Rig) -> Outcome {
    let mut deep = rig.dir.join("deep");
    (0..6).for_each(|_| deep.push("n".repeat(60)));
    let space = rig.dir.join("deep");
    fs::create_dir(&space)?;
    sys::mount("none", &space, "tmpfs", 0, "")?;
    fs::create_dir_all(deep.join("work"))?;
    fs::create_dir_all(deep.join("upper"))?;
    let mut bundle = rig.bundle()?;
    let deep = deep.display();
    let (upper, work) = (format!("upperdir={deep}/upper"), format!("workdir={deep}/work"));
    overlay(&mut bundle, &["nosuid", "rshared", &layers(rig, 1)?, &upper, &work]);
    let inside = rig.report(&mut bundle, &["create", "/merged/new", "read", "/merged/file0", "mounts"]);
    let made = fs::exists(format!("{deep}/upper/new"))?;
    sys::umount(&space)?;
    let inside = inside?;
    inside.is("create:/merged/new", "ok")?;
    inside.is("read:/merged/file0", "in layer 0")?;
    inside.mount_has("/merged", &["rw", "nosuid", "relatime"])?;
    contains("the mountinfo line", inside.get("mount:/merged"), " shared:")?;
    holds("the new file is on the host", made)
}

/// A tmpfs with leading zeros in its mode.
fn long_option_of_another_filesystem(rig: &mut Rig) -> Outcome {
    let mode = format!("mode={}1751", "0".repeat(300));
    for user_namespace in [false, true] {
        let mut bundle = rig.bundle()?;
        if user_namespace {
            bundle.user_namespace(100_000);
            fs::create_dir(bundle.host_path("fresh"))?;
        }
        let options = vec!["size=128k", mode.as_str(), "noexec", "ro"];
        bundle.mount(json!({"destination": "/fresh", "type": "tmpfs", "source": "name", "options": options}));
        let inside = rig.report(&mut bundle, &["stat", "/fresh", "mounts", "create", "/fresh/new"])?;
        inside.is("stat:/fresh", "d 1751 0 0 0:0")?;
        inside.is("create:/fresh/new", "!EROFS")?;
        inside.mount_has("/fresh", &["ro", "noexec", "size=128k"])?;
        contains("the mountinfo line", inside.get("mount:/fresh"), " - tmpfs name ")?;
        same("roots", inside.all("mount:/").len(), 1)?;
    }
    Ok(())
}

/// The source of a mount is an option for fsconfig(2), too.
fn long_source(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let source = "s".repeat(300);
    bundle.mount(json!({"destination": "/fresh", "type": "tmpfs", "source": (source.as_str())}));
    let inside = rig.report(&mut bundle, &["mounts"])?;
    contains("the mountinfo line", inside.get("mount:/fresh"), &format!(" - tmpfs {source} "))
}

fn long_options_of_more_than_a_page_are_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    let mode = format!("mode={}1751", "0".repeat(5000));
    bundle.mount(
        json!({"destination": "/fresh", "type": "tmpfs", "source": "x", "options": [(mode.as_str())]}),
    );
    rig.rejected(&bundle, &["mounts[6] /fresh", "options", "4095"])
}

fn long_option_of_a_remount_is_rejected(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun pass it to mount(2)");
    }
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    let size = format!("size={}64k", "0".repeat(300));
    let options = vec!["remount", size.as_str()];
    bundle.mount(json!({"destination": "/dev/shm", "type": "tmpfs", "source": "x", "options": options}));
    rig.rejected(&bundle, &["mounts[6] /dev/shm", "size", "255 bytes"])
}

fn long_lowerdir_with_a_missing_layer(rig: &mut Rig) -> Outcome {
    let option = format!("{}:{}", layers(rig, 10)?, rig.dir.join("nothing").display());
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    overlay(&mut bundle, &[&option]);
    rig.rejected(&bundle, &["mounts[6] /merged", "no such file"])?;
    // The path in the error is not truncated.
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    let long = format!("{}:{}", layers(rig, 1)?, "n".repeat(600));
    overlay(&mut bundle, &[&long]);
    rig.rejected(&bundle, &["mounts[6] /merged"])
}
