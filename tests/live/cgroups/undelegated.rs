//! Limits that an unprivileged user cannot set: the error names the limit, the file in which the controller is missing,
//! and what to configure. What it names is then configured, and the limit can be set. The commands of docs/limits.md are
//! executed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{content, in_layout, is_v1, unified, unified_top};
use crate::bundle::Bundle;
use crate::check::{Outcome, contains, fail, holds, lacks, same, skip_allowed};
use crate::cleanup::{remove_cgroup, remove_cgroups};
use crate::command::{Output, run, start};
use crate::json;
use crate::json::Json;
use crate::rig::{Layout, Rig, Runtime};
use crate::rootless::{USER, as_ordinary_user, user_namespace_bundle};
use crate::{sys, tests};

tests![
    "cgroups",
    undelegated_limits_are_rejected,
    undelegated_limits_are_rejected_v1,
    undelegated_limits_are_rejected_v2,
    undelegated_path_is_rejected,
    undelegated_controller_is_named,
    undelegated_controller_of_an_update_is_named,
    undelegated_files_of_a_cgroup_are_named,
    undelegated_cgroup_is_not_joined,
    undelegated_container_without_limits,
    delegated_as_documented,
];

/// The page with the commands.
pub const PAGE: &str = include_str!("../../../docs/limits.md");

/// A limit: its field, the object in `linux.resources`, its controller on v2, and a file with a value that the limit
/// leads to, if the machine always has that.
pub struct Limit {
    pub field: &'static str,
    pub resources: Json,
    pub controller: &'static str,
    pub file: Option<(&'static str, &'static str)>,
}

/// A limit of every controller.
pub fn limits() -> Vec<Limit> {
    let limit = |field, resources, controller, file| Limit { field, resources, controller, file };
    vec![
        limit(
            "memory.limit",
            json!({"memory": {"limit": 67108864i64}}),
            "memory",
            Some(("memory.max", "67108864")),
        ),
        limit("cpu.shares", json!({"cpu": {"shares": 512i64}}), "cpu", Some(("cpu.weight", "59"))),
        limit("cpu.cpus", json!({"cpu": {"cpus": "0"}}), "cpuset", Some(("cpuset.cpus", "0"))),
        limit("pids.limit", json!({"pids": {"limit": 77i64}}), "pids", Some(("pids.max", "77"))),
        limit("blockIO.weight", json!({"blockIO": {"weight": 100i64}}), "io", None),
        limit(
            "hugepageLimits[0]",
            json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304i64}]}),
            "hugetlb",
            fs::exists("/sys/kernel/mm/hugepages/hugepages-2048kB")
                .is_ok_and(|exists| exists)
                .then_some(("hugetlb.2MB.max", "4194304")),
        ),
        limit("rdma", json!({"rdma": {"mlx5_1": {"hcaHandles": 3i64}}}), "rdma", None),
        limit("unified.pids.max", json!({"unified": {"pids.max": "78"}}), "pids", Some(("pids.max", "78"))),
    ]
}

fn ordinary_user(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("checks mote's messages");
    }
    as_ordinary_user(rig)
}

fn with(rig: &Rig, resources: &Json) -> Outcome<Bundle> {
    let mut bundle = user_namespace_bundle(rig)?;
    bundle.verbs(&["wait", "1"]);
    bundle.set("linux.resources", resources.clone());
    Ok(bundle)
}

/// The controllers of the root of v2.
fn controllers() -> Outcome<String> {
    content(&unified_top(), "cgroup.controllers")
}

pub fn lists(list: &str, name: &str) -> bool {
    list.split_whitespace().any(|one| one == name)
}

/// `/sys/fs/cgroup/a/b` as the runtime shows it.
fn shown(rig: &Rig, path: &str) -> String {
    let hybrid = if unified(rig) || rig.layout == Layout::V1 { "" } else { "/unified" };
    format!("/sys/fs/cgroup{hybrid}{path}")
}

fn undelegated_limits_are_rejected_v1(rig: &mut Rig) -> Outcome {
    in_layout(rig, Layout::V1, undelegated_limits_are_rejected)
}

fn undelegated_limits_are_rejected_v2(rig: &mut Rig) -> Outcome {
    in_layout(rig, Layout::V2, undelegated_limits_are_rejected)
}

/// The user has no cgroup at all.
fn undelegated_limits_are_rejected(rig: &mut Rig) -> Outcome {
    ordinary_user(rig)?;
    let missing = controllers()?;
    for Limit { field, resources, controller, .. } in limits() {
        if field.starts_with("unified") && !unified(rig) {
            continue;
        }
        let v1 = if controller == "io" { "blkio" } else { controller };
        let v2 = unified(rig) || rig.layout != Layout::V1 && !is_v1(v1);
        let output = rig.run(&with(rig, &resources)?, &[])?;
        if v2 && !lists(&missing, controller) {
            let file = shown(rig, "/cgroup.controllers");
            let words =
                format!("linux.resources.{field}: controller \"{controller}\" is missing in {file}: ");
            output.failure(&[&words])?;
            lacks("the error", &output.stderr, "delegated")?;
        } else {
            output.failure(&[
                &format!("linux.resources.{field}: not delegated to this user: "),
                "permission denied; ",
            ])?;
            let how = match unified(rig) && Path::new("/run/systemd/system").exists() {
                true => "; use --cgroup-manager systemd, or start mote in a unit with Delegate=yes\n".into(),
                false => format!("; as root, create cgroup /user-{USER}"),
            };
            contains("the error", &output.stderr, &how)?;
        }
        rig.nothing_left()?;
    }
    Ok(())
}

fn undelegated_path_is_rejected(rig: &mut Rig) -> Outcome {
    ordinary_user(rig)?;
    let mut bundle = user_namespace_bundle(rig)?;
    bundle.verbs(&[]);
    let path = format!("/{}/leaf", rig.cgroup);
    bundle.set("linux.cgroupsPath", path.as_str());
    rig.rejected(
        &bundle,
        &[&format!("linux.cgroupsPath: not delegated to this user: cgroup {path}: mkdirat ")],
    )
}

/// The cgroup of the test, `between` in it, and in that the one that is delegated, with that of mote.
struct Given {
    top: PathBuf,
    between: PathBuf,
    user: PathBuf,
}

/// Delegates a cgroup. The root enables all controllers, the cgroups below it none.
fn give(rig: &mut Rig) -> Outcome<Given> {
    rig.set_layout(Layout::V2)?;
    ordinary_user(rig)?;
    let top = unified_top().join(&rig.cgroup);
    let between = top.join("between");
    let user = between.join("user");
    fs::create_dir_all(user.join("own"))?;
    for name in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads", "own", "own/cgroup.procs"] {
        sys::chown(&user.join(name), USER, USER)?;
    }
    for name in controllers()?.split_whitespace() {
        control(&unified_top(), &format!("+{name}"))?;
    }
    Ok(Given { top, between, user })
}

fn control(directory: &Path, change: &str) -> Outcome {
    let file = directory.join("cgroup.subtree_control");
    fs::write(&file, change).map_err(|error| format!("{change} to {}: {error}", file.display()).into())
}

impl Given {
    /// Disables all controllers again, also those that mote has enabled.
    fn disable(&self) -> Outcome {
        for directory in [&self.user, &self.between, &self.top] {
            for name in content(directory, "cgroup.subtree_control")?.split_whitespace() {
                control(directory, &format!("-{name}"))?;
            }
        }
        Ok(())
    }

    fn enable(&self, name: &str) -> Outcome {
        [&self.top, &self.between].iter().try_for_each(|directory| control(directory, &format!("+{name}")))
    }
}

/// A command of the runtime whose process is in the cgroup of these `cgroup.procs` first.
fn call(rig: &Rig, processes: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(&rig.suite.runtime);
    command.arg("--root").arg(&rig.state).args(words).env("MOTE_LIVE", &rig.marker);
    let processes = processes.to_path_buf();
    sys::before_exec(&mut command, move || fs::write(&processes, "0"));
    rig.prepare(&mut command);
    command
}

/// `create` in the cgroup of mote.
fn create(rig: &Rig, given: &Given, bundle: &Bundle) -> Outcome<Output> {
    bundle.write()?;
    let words = ["create", "--bundle", &bundle.dir.display().to_string(), &rig.id];
    let mut running = start(&mut call(rig, &given.user.join("own/cgroup.procs"), &words), false)?;
    let (status, stderr) = running.status()?;
    Ok(Output { status, stdout: String::new(), stderr })
}

/// The highest cgroup without the controller is named, and what it takes to enable the controller there.
fn undelegated_controller_is_named(rig: &mut Rig) -> Outcome {
    let given = give(rig)?;
    let [top, between, user] =
        ["", "/between", "/between/user"].map(|name| shown(rig, &format!("/{}{name}", rig.cgroup)));
    let all = controllers()?;
    for Limit { field, resources, controller, file } in limits() {
        if !lists(&all, controller) {
            continue;
        }
        given.disable()?;
        let bundle = with(rig, &resources)?;
        let missing = format!(
            "linux.resources.{field}: not delegated to this user: controller \"{controller}\" is missing in "
        );
        let how = format!("/cgroup.controllers; as root, write +{controller} to ");
        let both = format!(
            "{missing}{between}{how}{top}/cgroup.subtree_control and those below it down to {between}/cgroup.subtree_control\n"
        );
        create(rig, &given, &bundle)?.failure(&[&both])?;
        control(&given.top, &format!("+{controller}"))?;
        let one = format!("{missing}{user}{how}{between}/cgroup.subtree_control\n");
        create(rig, &given, &bundle)?.failure(&[&one])?;
        control(&given.between, &format!("+{controller}"))?;
        holds("no cgroup is left", !given.user.join(&rig.id).exists())?;
        if let Some((name, value)) = file {
            create(rig, &given, &bundle)?.success()?;
            same(name, content(&given.user.join(&rig.id), name)?.as_str(), value)?;
            rig.delete()?;
        }
    }
    remove_cgroups(&rig.cgroup);
    rig.nothing_left()
}

/// The first limit that can be set on this machine.
fn possible() -> Outcome<Limit> {
    let all = controllers()?;
    let found = limits().into_iter().find(|limit| limit.file.is_some() && lists(&all, limit.controller));
    found.map_or_else(|| skip_allowed("no controller on cgroup v2"), Ok)
}

fn undelegated_controller_of_an_update_is_named(rig: &mut Rig) -> Outcome {
    let given = give(rig)?;
    let limit = possible()?;
    create(rig, &given, &with(rig, &json!({}))?)?.success()?;
    let missing = format!(
        "linux.resources.{}: not delegated to this user: controller \"{}\" is missing in {}; as root, write +",
        limit.field,
        limit.controller,
        shown(rig, &format!("/{}/between/cgroup.controllers", rig.cgroup)),
    );
    let update =
        || run(&mut rig.command(&["update", "--resources", "-", &rig.id]), &limit.resources.to_string());
    update()?.failure(&[&missing])?;
    given.enable(limit.controller)?;
    update()?.success()?;
    let (name, value) = limit.file.unwrap_or_default();
    same(name, content(&given.user.join(&rig.id), name)?.as_str(), value)?;
    rig.delete()?;
    remove_cgroups(&rig.cgroup);
    rig.nothing_left()
}

/// A cgroup of root in the delegated one: the user may neither set its limits nor join it.
fn undelegated_files_of_a_cgroup_are_named(rig: &mut Rig) -> Outcome {
    let given = give(rig)?;
    let limit = possible()?;
    given.enable(limit.controller)?;
    control(&given.user, &format!("+{}", limit.controller))?;
    let path = format!("/{}/between/user/of-root", rig.cgroup);
    for resources in [limit.resources, json!({})] {
        fs::create_dir(given.user.join("of-root"))?;
        let mut bundle = with(rig, &resources)?;
        bundle.set("linux.cgroupsPath", path.as_str());
        let output = create(rig, &given, &bundle)?;
        match resources.to_string() == "{}" {
            true => {
                let words = format!("linux.cgroupsPath: cgroup {path} is not delegated to this user: ");
                output.failure(&[&words, "permission denied"])?;
            }
            false => {
                let words =
                    "not delegated to this user, who may set limits of cgroups below this one: openat ";
                let (name, _) = limit.file.unwrap_or_default();
                let file = shown(rig, &format!("{path}/{name}: permission denied\n"));
                output.failure(&[&format!("linux.resources.{}: {words}{file}", limit.field)])?;
            }
        }
        remove_cgroup(&given.user.join("of-root"));
    }
    remove_cgroups(&rig.cgroup);
    rig.nothing_left()
}

/// mote is not in the delegated cgroup.
fn undelegated_cgroup_is_not_joined(rig: &mut Rig) -> Outcome {
    let given = give(rig)?;
    let mut bundle = with(rig, &json!({}))?;
    let user = format!("/{}/between/user", rig.cgroup);
    bundle.set("linux.cgroupsPath", format!("{user}/leaf"));
    let output = rig.run(&bundle, &[])?;
    let how = format!("(cgroups(7), \"delegation containment\"); start mote in a cgroup below {user}: ");
    output.failure(&["cannot move from cgroup /", &how, "permission denied"])?;
    create(rig, &given, &bundle)?.success()?;
    rig.delete()?;
    remove_cgroups(&rig.cgroup);
    rig.nothing_left()
}

/// What the commands do with a container that has no cgroup.
fn undelegated_container_without_limits(rig: &mut Rig) -> Outcome {
    ordinary_user(rig)?;
    // As engines write them.
    let resources = json!({
        "devices": [{"allow": false, "access": "rwm"}],
        "memory": {}, "cpu": {"shares": 0i64, "quota": 0i64, "cpus": ""}, "pids": {}, "blockIO": {},
        "hugepageLimits": [], "network": {"classID": 0i64, "priorities": []}, "unified": {},
    });
    let mut bundle = with(rig, &resources)?;
    let mut running = rig.waiting(&mut bundle)?;
    let pid = rig.pid()?;
    same("ps", rig.mote(&["ps", &rig.id])?.success()?.stdout, format!("PID\n{pid}\n"))?;
    rig.mote(&["pause", &rig.id])?.failure(&["cannot pause container", ": it has no cgroup\n"])?;
    let output = rig.mote(&["update", "--pids-limit", "5", &rig.id])?;
    output.failure(&["cannot update container", ": linux.resources.pids.limit: it has no cgroup\n"])?;
    rig.mote(&["kill", "--all", &rig.id, "USR1"])?.success()?;
    same("the payload's output", running.lines.next()?.as_str(), "signal=10")?;
    rig.delete()?;
    rig.nothing_left()
}

/// The indented block of the page that has a line.
pub fn block(line: &str) -> Outcome<String> {
    let found = PAGE.split("\n\n").find(|block| block.starts_with("    ") && block.contains(line));
    match found {
        Some(block) => Ok(block.lines().map(|line| format!("{}\n", line.trim_start())).collect()),
        None => fail(format_args!("docs/limits.md has no block with {line:?}")),
    }
}

/// The commands of the page, with the names of this test, and the controllers of this machine.
fn delegated_as_documented(rig: &mut Rig) -> Outcome {
    rig.set_layout(Layout::V2)?;
    ordinary_user(rig)?;
    let limit = possible()?;
    let names = [
        ("cpu cpuset io memory pids", limit.controller),
        ("/sys/fs/cgroup", &unified_top().display().to_string()),
        ("USER", &USER.to_string()),
        ("containers", &rig.cgroup),
        ("PID", "$$"),
    ];
    let named = |text: String| names.iter().fold(text, |text, (name, other)| text.replace(name, other));
    let script = named(block("mkdir -p containers/mote")?);
    run(Command::new("sh").args(["-euc", &script]), "")?.success()?;
    let join = named(block("echo PID >")?);
    let mut bundle = with(rig, &limit.resources)?;
    bundle.verbs(&["cgroup"]);
    bundle.write()?;
    let processes = join.split_whitespace().last().unwrap_or_default().trim_start_matches('>');
    let words = ["run", "--bundle", &bundle.dir.display().to_string(), &rig.id];
    let inside = run(&mut call(rig, Path::new(processes), &words), "")?.success()?.report();
    inside.is("cgroup:", &format!("/{}/{}", rig.cgroup, rig.id))?;
    remove_cgroups(&rig.cgroup);
    rig.nothing_left()
}
