//! An image with no file but mote and a bundle: no /proc, /dev, /sys, /tmp or /run, and no libraries.

use std::fs;
use std::process::Command;

use crate::bundle::Bundle;
use crate::check::{Outcome, contains, same, skip_allowed};
use crate::command::{Output, run};
use crate::json;
use crate::rig::{Rig, Runtime};
use crate::rootless::{USER, as_ordinary_user, give_to_user};
use crate::{sys, tests};

tests![
    "inside",
    image_in_a_container,
    image_in_a_container_with_masked_paths,
    image_in_a_container_without_cap_net_admin,
    image_in_a_container_without_cap_sys_admin,
    image_in_a_container_with_a_user_namespace,
    image_in_a_container_with_masked_paths_and_id_maps,
    image_in_unshare,
    image_in_unshare_with_groups,
];

/// What mote needs for a container in a container.
const CAPABILITIES: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_NET_ADMIN",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_SYS_ADMIN",
    "CAP_MKNOD",
    "CAP_AUDIT_WRITE",
];

/// An outer bundle with the image, and the bundle in it.
struct Image {
    outer: Bundle,
    inner: Bundle,
}

impl Image {
    fn new(rig: &Rig) -> Outcome<Image> {
        if !rig.is(Runtime::Mote) {
            return skip_allowed("the runtime needs libraries and a procfs");
        }
        let mut outer = rig.bundle()?;
        for name in ["proc", "dev", "sys", "etc", "tmp"] {
            fs::remove_dir(outer.host_path(name))?;
        }
        fs::remove_file(outer.host_path("payload"))?;
        fs::hard_link(&rig.suite.runtime, outer.host_path("mote"))?;
        let mut inner = Bundle::new(outer.host_path("bundle"), &rig.suite.payload, &rig.marker, "")?;
        inner.remove("linux.cgroupsPath");
        inner.verbs(&["id", "uts", "ns"]);
        outer
            .set("process.args", json!(["/mote", "--root", "/state", "run", "--bundle", "/bundle", "inner"]));
        outer.set("process.env", json!([(format!("MOTE_LIVE={}", rig.marker))]));
        outer.set("mounts", json!([]));
        outer.remove("linux.maskedPaths");
        outer.remove("linux.readonlyPaths");
        let mut image = Image { outer, inner };
        image.capabilities(CAPABILITIES.iter().copied());
        Ok(image)
    }

    fn capabilities(&mut self, list: impl Iterator<Item = &'static str>) {
        let list: Vec<&str> = list.collect();
        for set in ["bounding", "effective", "permitted"] {
            self.outer.set(&format!("process.capabilities.{set}"), list.clone());
        }
    }

    /// The mounts and protected paths that engines add.
    fn as_by_an_engine(&mut self, rig: &Rig) -> Outcome {
        let usual = rig.bundle()?.config;
        self.outer.set("mounts", usual.at("mounts").clone());
        for name in ["maskedPaths", "readonlyPaths"] {
            self.outer.set(&format!("linux.{name}"), usual.at("linux").at(name).clone());
        }
        Ok(())
    }

    fn run(&self, rig: &Rig) -> Outcome<Output> {
        self.inner.write()?;
        rig.run(&self.outer, &[])
    }

    /// Checks that the inner container runs, and that nothing of it is left.
    fn works(&self, rig: &Rig) -> Outcome {
        let inside = self.run(rig)?.success()?.report();
        inside.is("pid", "1")?;
        inside.is("hostname", "inside")?;
        same("states left", fs::read_dir(self.outer.host_path("state"))?.count(), 0)?;
        rig.nothing_left()
    }

    fn fails(&self, rig: &Rig, words: &[&str]) -> Outcome {
        self.run(rig)?.failure(words)?;
        same("states left", fs::read_dir(self.outer.host_path("state"))?.count(), 0)?;
        rig.nothing_left()
    }
}

fn image_in_a_container(rig: &mut Rig) -> Outcome {
    Image::new(rig)?.works(rig)
}

fn image_in_a_container_with_masked_paths(rig: &mut Rig) -> Outcome {
    let mut image = Image::new(rig)?;
    image.as_by_an_engine(rig)?;
    image.works(rig)?;
    image.outer.set("linux.namespaces[+]", json!({"type": "cgroup"}));
    image.works(rig)
}

fn image_in_a_container_without_cap_net_admin(rig: &mut Rig) -> Outcome {
    let mut image = Image::new(rig)?;
    image.capabilities(CAPABILITIES.iter().copied().filter(|name| *name != "CAP_NET_ADMIN"));
    image.fails(rig, &["ioctl lo SIOCSIFFLAGS (needs CAP_NET_ADMIN)", "not permitted"])?;
    image.inner.without_namespace("network");
    // sysfs can only be mounted by the owner of the network namespace.
    image.works(rig)
}

fn image_in_a_container_without_cap_sys_admin(rig: &mut Rig) -> Outcome {
    let mut image = Image::new(rig)?;
    image.capabilities(CAPABILITIES.iter().copied().filter(|name| *name != "CAP_SYS_ADMIN"));
    // It needs a user namespace, and for its maps a procfs.
    image.fails(rig, &["/proc is not a procfs (mount one there", "not permitted"])
}

/// A new procfs would reveal more than the container shows.
fn image_in_a_container_with_a_user_namespace(rig: &mut Rig) -> Outcome {
    let mut image = Image::new(rig)?;
    image.outer.user_namespace(100_000);
    sys::chown(&image.outer.host_path(""), 100_000, 100_000)?;
    image.fails(
        rig,
        &["mounts[0] /proc: fsmount proc", "the host's /proc is missing", "bind mount of /proc"],
    )?;
    image.as_by_an_engine(rig)?;
    image.works(rig)
}

fn image_in_a_container_with_masked_paths_and_id_maps(rig: &mut Rig) -> Outcome {
    let mut image = Image::new(rig)?;
    image.as_by_an_engine(rig)?;
    image.inner.user_namespace(1000);
    image.fails(rig, &["mounts[0] /proc: fsmount proc", "unmask its paths", "bind mount of /proc"])?;
    image.outer.remove("linux.maskedPaths");
    image.outer.remove("linux.readonlyPaths");
    image.works(rig)
}

/// Runs the inner bundle as an ordinary user in a new user namespace, with the image as root directory.
fn unshared(rig: &Rig, image: &Image, groups: &str) -> Outcome<Output> {
    image.inner.write()?;
    give_to_user(&image.outer.dir)?;
    sys::chown(&image.inner.dir.join("config.json"), USER, USER)?;
    let user = USER.to_string();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &user, "--regid", &user, groups, "--inh-caps=-all", "unshare", "-rm"]);
    command.arg("--root").arg(image.outer.host_path("")).args(["/mote", "--root", "/state", "run"]);
    command.args(["--bundle", "/bundle", "inner"]).env("MOTE_LIVE", &rig.marker);
    rig.prepare(&mut command);
    run(&mut command, "")
}

/// The host's procfs is in the mount namespace, outside of the root directory, so that a new one is permitted; but the
/// host's devices cannot be found. A bind mount at /dev has its own devices, here none.
fn in_unshare(rig: &mut Rig, groups: &str) -> Outcome {
    as_ordinary_user(rig)?;
    rig.user = None;
    let mut image = Image::new(rig)?;
    fs::create_dir(image.outer.host_path("dev"))?;
    let output = unshared(rig, &image, groups)?;
    output.failure(&["linux.devices: /dev/null (mknod is denied, and only the host's can be used)"])?;
    rig.nothing_left()?;
    image.inner.set("mounts", json!([{"destination": "/proc", "type": "proc", "source": "proc"}]));
    image.inner.remove("linux.maskedPaths");
    image.inner.bind("/dev".as_ref(), "/dev", &["rbind"]);
    let inside = unshared(rig, &image, groups)?.success()?.report();
    inside.is("uid", "0 0 0")?;
    inside.is("pid", "1")?;
    contains("the pid namespace", inside.get("ns:pid"), "pid:[")?;
    rig.nothing_left()
}

fn image_in_unshare(rig: &mut Rig) -> Outcome {
    in_unshare(rig, "--clear-groups")
}

/// unshare(1) has denied setgroups(2), which only a procfs shows.
fn image_in_unshare_with_groups(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    rig.user = None;
    let image = Image::new(rig)?;
    unshared(rig, &image, "--groups=7")?.failure(&["/proc is not a procfs (mount one there"])?;
    rig.nothing_left()
}
