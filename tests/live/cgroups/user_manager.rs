//! The systemd manager of an unprivileged user (user@.service(5)): limits whose controllers it does not have, and the
//! addresses of its bus. Each test starts the manager of a system user who never logs in, and ends it.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::systemd::with_systemd;
use super::undelegated::{Limit, block, limits, lists};
use super::{content, unified_top};
use crate::bundle::Bundle;
use crate::check::{Outcome, contains, holds, same, skip_allowed};
use crate::command::{LIMIT, Output, run, start};
use crate::json;
use crate::rig::Rig;
use crate::tests;

tests![
    "systemd",
    alone: true,
    systemd_user_limits_are_delegated_as_documented,
    systemd_user_bus_is_named,
];

/// A user of every Debian system.
const NAME: &str = "games";
const UID: u32 = 5;

const RUNTIME: &str = "/run/user/5";
/// Exists while logind knows the user.
const USER: &str = "/run/systemd/users/5";
const DROP_INS: &str = "/run/systemd/system/user@5.service.d";

/// The cgroups of the user, from the top.
const CGROUPS: [&str; 3] =
    ["user.slice", "user.slice/user-5.slice", "user.slice/user-5.slice/user@5.service"];

/// The manager of the user, which ends with this value.
struct UserManager;

fn systemctl(words: &[&str]) -> Outcome {
    run(Command::new("systemctl").args(words), "")?.success()?;
    Ok(())
}

/// Waits until logind has forgotten the user, which it does ten seconds after the end of an earlier manager
/// (UserStopDelaySec= of logind.conf(5)). A manager that is started before that never gets ready.
fn until_forgotten() -> Outcome {
    let begin = Instant::now();
    while Path::new(USER).exists() {
        holds("logind forgets the user", begin.elapsed() < LIMIT)?;
        // logind reports it on D-Bus only.
        sleep(Duration::from_millis(100));
    }
    Ok(())
}

impl UserManager {
    /// Starts the manager with these controllers only.
    fn start(rig: &mut Rig, controllers: &str) -> Outcome<UserManager> {
        with_systemd(rig)?;
        let is_user = fs::read_to_string("/etc/passwd")?.contains(&format!("\n{NAME}:x:{UID}:"));
        if !is_user || Path::new(RUNTIME).exists() {
            return skip_allowed(format_args!("no user {NAME}, or it is logged in"));
        }
        until_forgotten()?;
        let manager = UserManager;
        fs::create_dir_all(DROP_INS)?;
        let text = format!("[Service]\nDelegate=\nDelegate={controllers}\n");
        fs::write(Path::new(DROP_INS).join("b.conf"), text)?;
        systemctl(&["daemon-reload"])?;
        systemctl(&["start", "user@5.service"])?;
        rig.user = Some(UID);
        // The user's runtime directory is mounted there, but not in the private mount namespace of the tests.
        rig.mounts = Some(File::open("/proc/1/ns/mnt")?);
        Ok(manager)
    }
}

impl Drop for UserManager {
    fn drop(&mut self) {
        let _ = run(Command::new("loginctl").args(["disable-linger", NAME]), "");
        let _ = fs::remove_dir_all(DROP_INS);
        for words in [&["daemon-reload"][..], &["stop", "user@5.service"]] {
            let _ = systemctl(words);
        }
    }
}

fn bundle(rig: &Rig) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    let map = json!([{"containerID": 0i64, "hostID": (i64::from(UID)), "size": 1i64}]);
    bundle.namespace("user", None);
    bundle.set("linux.uidMappings", map.clone());
    bundle.set("linux.gidMappings", map);
    bundle.set("linux.cgroupsPath", format!(":mote:{}", rig.cgroup));
    bundle.verbs(&["wait", "1"]);
    Ok(bundle)
}

/// `create` with these environment variables.
fn create(rig: &Rig, bundle: &Bundle, variables: &[(&str, &str)]) -> Outcome<Output> {
    let mut command = rig.launch("create", bundle, &[])?;
    command.env_remove("DBUS_SESSION_BUS_ADDRESS").envs(variables.iter().copied());
    run(Command::new("chown").args(["-R", &format!("{UID}:60")]).arg(&rig.dir), "")?.success()?;
    let mut running = start(&mut command, false)?;
    let (status, stderr) = running.status()?;
    Ok(Output { status, stdout: String::new(), stderr })
}

/// The highest `cgroup.controllers` of the user's cgroups without a controller.
fn highest_without(controller: &str) -> Outcome<Option<String>> {
    for name in CGROUPS {
        let directory = unified_top().join(name);
        if !lists(&content(&directory, "cgroup.controllers")?, controller) {
            return Ok(Some(directory.join("cgroup.controllers").display().to_string()));
        }
    }
    Ok(None)
}

/// The error for a limit whose controller is not delegated; false if it is. The page has an example of it.
fn is_refused(rig: &Rig, limit: &Limit) -> Outcome<bool> {
    let Limit { field, controller, .. } = *limit;
    let Some(file) = highest_without(controller)? else { return Ok(false) };
    let mut bundle = bundle(rig)?;
    bundle.set("linux.resources", limit.resources.clone());
    let output = create(rig, &bundle, &[("XDG_RUNTIME_DIR", RUNTIME)])?;
    if ["hugetlb", "rdma"].contains(&controller) {
        let missing =
            format!("linux.resources.{field}: not delegated to this user: controller \"{controller}\" ");
        let how = "/user.slice/user-5.slice/cgroup.subtree_control\n";
        output.failure(&[&missing, &format!("is missing in {file}; "), how])?;
    } else {
        let changes = [
            ("/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/cgroup.controllers", file.as_str()),
            ("memory.limit", field),
            ("\"memory\"", &format!("\"{controller}\"")),
            ("=memory", &format!("={controller}")),
            ("1000", "5"),
            ("\n", " "),
        ];
        let example = block("not delegated to this user")?.trim().to_string();
        let example = changes.iter().fold(example, |text, (old, new)| text.replace(old, new));
        output.failure(&[])?;
        same("the error", output.stderr, format!("mote: {example}\n"))?;
    }
    rig.nothing_left()?;
    Ok(true)
}

/// Before the commands of the page, errors name what they configure; after them, the limits can be set.
fn systemd_user_limits_are_delegated_as_documented(rig: &mut Rig) -> Outcome {
    let _manager = UserManager::start(rig, "pids")?;
    let refused: Vec<bool> = limits().iter().map(|limit| is_refused(rig, limit)).collect::<Outcome<_>>()?;
    holds("limits are rejected", refused.iter().filter(|refused| **refused).count() > 4)?;
    let commands = block("loginctl enable-linger")?;
    let file = ">/etc/systemd/system/user@.service.d/delegate.conf";
    contains("the page", &commands, file)?;
    let names =
        [("/etc/systemd/system/user@.service.d", DROP_INS), ("USER", NAME), ("UID", &UID.to_string())];
    let commands = names.iter().fold(commands, |text, (name, other)| text.replace(name, other));
    run(Command::new("sh").args(["-euc", &commands]), "")?.success()?;
    contains("the page", &block("mote --systemd-cgroup run")?, "export XDG_RUNTIME_DIR=/run/user/UID\n")?;
    for Limit { resources, file, .. } in limits().into_iter().filter(|limit| limit.controller != "hugetlb") {
        let Some((name, value)) = file else { continue };
        let mut bundle = bundle(rig)?;
        bundle.set("linux.resources", resources);
        create(rig, &bundle, &[("XDG_RUNTIME_DIR", RUNTIME)])?.success()?;
        let scope = format!("{}/user.slice/mote-{}.scope/container", CGROUPS[2], rig.cgroup);
        same(name, content(&unified_top().join(scope), name)?.as_str(), value)?;
        rig.delete()?;
    }
    rig.nothing_left()
}

fn systemd_user_bus_is_named(rig: &mut Rig) -> Outcome {
    let manager = UserManager::start(rig, "pids")?;
    let bundle = bundle(rig)?;
    let other = ", or use --cgroup-manager cgroupfs\n";
    let none = "systemd: XDG_RUNTIME_DIR and DBUS_SESSION_BUS_ADDRESS have no address of a bus; ";
    let set = format!("set XDG_RUNTIME_DIR={RUNTIME}");
    create(rig, &bundle, &[])?.failure(&[&format!("{none}{set}{other}")])?;
    let missing = rig.dir.join("missing").display().to_string();
    let variables =
        [("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={missing}")), ("XDG_RUNTIME_DIR", missing.clone())];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    let reason = "connect: no such file or directory";
    let tried = format!(
        "systemd: D-Bus at {missing} (DBUS_SESSION_BUS_ADDRESS): {reason}; \
         D-Bus at {missing}/bus (XDG_RUNTIME_DIR): {reason}; "
    );
    create(rig, &bundle, &variables)?.failure(&[&tried, &format!("; {set}{other}")])?;
    // With the manager's address, also if another one comes first.
    create(rig, &bundle, &[variables[0], ("XDG_RUNTIME_DIR", RUNTIME)])?.success()?;
    rig.delete()?;
    drop(manager);
    // The socket of the manager may still be there.
    let started = format!("start the user manager (loginctl enable-linger {UID}) and {set}{other}");
    create(rig, &bundle, &[])?.failure(&[&format!("{none}{started}")])?;
    create(rig, &bundle, &[("XDG_RUNTIME_DIR", RUNTIME)])?
        .failure(&["/run/user/5/bus (XDG_RUNTIME_DIR)", &started])?;
    rig.nothing_left()
}
