//! Where it is: namespaces, cgroups, limits.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{command, container, exec, report, only_mote, program, rejected};
use crate::bundle::Bundle;
use crate::cgroups::small_limit::tiny_program;
use crate::cgroups::{controller_dir, unified_top};
use crate::check::{Outcome, contains, holds, same, skip_allowed};
use crate::cleanup::cgroups;
use crate::command::{run, start};
use crate::rig::{Layout, Rig};
use crate::{json, tests};

tests![
    "exec",
    namespaces_are_the_containers,
    namespaces_in_a_new_user_namespace,
    namespaces_that_are_joined,
    namespaces_of_the_host_where_none_are_listed,
    root_is_the_containers,
    cgroup_in_every_hierarchy,
    cgroup_in_every_hierarchy_v1,
    cgroup_in_every_hierarchy_v2,
    cgroup_in_a_user_namespace_v2,
    cgroup_below,
    cgroup_below_v2,
    cgroup_below_of_some_controllers_v1,
    cgroup_below_that_is_missing_is_rejected,
    cgroup_below_that_climbs_is_rejected,
    cgroup_v2_with_cgroups_of_its_own,
    limits_are_the_containers,
    limits_in_a_user_namespace,
    limit_of_one_process,
    limit_of_one_mib,
];

const NAMESPACES: &[&str] = &["pid", "net", "mnt", "ipc", "uts", "user", "cgroup", "time"];

/// The container waits; another process in it must be in the same namespaces as its first one.
fn same_namespaces(rig: &Rig, bundle: &mut Bundle) -> Outcome {
    rig.waiting(bundle)?;
    let pid = rig.pid()?;
    let inside = report(rig, &[], &["ns"])?;
    for name in NAMESPACES {
        let first = fs::read_link(format!("/proc/{pid}/ns/{name}"))?;
        inside.is(&format!("ns:{name}"), &first.display().to_string())?;
    }
    Ok(())
}

fn namespaces_are_the_containers(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.namespace("cgroup", None);
    if !rig.denies("clone3") {
        bundle.namespace("time", None);
    }
    same_namespaces(rig, &mut bundle)?;
    let inside = report(rig, &[], &["id", "uts"])?;
    inside.is("hostname", "inside")?;
    inside.is("ppid", "0")?;
    let pid: i32 = inside.get("pid").parse()?;
    holds("its pid is a small one", (2..10).contains(&pid))?;
    same("it leads a session", inside.get("sid"), inside.get("pid"))?;
    rig.delete()
}

fn namespaces_in_a_new_user_namespace(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    bundle.namespace("cgroup", None);
    same_namespaces(rig, &mut bundle)?;
    let inside = report(rig, &["--user", "7:8", "--cap", "CAP_KILL"], &["id", "caps", "fds"])?;
    inside.is("uid", "7 7 7")?;
    inside.is("gid", "8 8 8")?;
    inside.is("fds", "0 1 2")?;
    let inside = report(rig, &[], &["id", "caps"])?;
    inside.is("uid", "0 0 0")?;
    inside.is("cap:effective", "KILL NET_BIND_SERVICE AUDIT_WRITE")?;
    rig.delete()
}

/// One container's namespaces by path in another.
fn namespaces_that_are_joined(rig: &mut Rig) -> Outcome {
    for user in [false, true] {
        let words =
            ["unshare", if user { "user,net,ipc,uts" } else { "net,ipc,uts,pid" }, "child", "say", "held"];
        let mut holder = start(&mut rig.host(&[&words[..], &["stdin"]].concat()), true)?;
        let pid: i32 = holder.lines.until("say=held")?.get("child").parse()?;
        let mut bundle = rig.bundle()?;
        let kinds = [("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("user", "user")];
        for (kind, file) in kinds.iter().filter(|(kind, _)| user || *kind != "user") {
            bundle.namespace(kind, Some(Path::new(&format!("/proc/{pid}/ns/{file}"))));
        }
        if user {
            // Its owner has mapped nobody.
            for file in ["uid_map", "gid_map"] {
                fs::write(format!("/proc/{pid}/{file}"), "0 100000 1000")?;
            }
        } else {
            bundle.namespace("pid", Some(Path::new(&format!("/proc/{pid}/ns/pid"))));
        }
        bundle.remove("hostname");
        same_namespaces(rig, &mut bundle)?;
        rig.delete()?;
    }
    Ok(())
}

fn namespaces_of_the_host_where_none_are_listed(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    for kind in ["network", "ipc", "uts", "pid"] {
        bundle.without_namespace(kind);
    }
    bundle.without_mount("/dev/mqueue");
    bundle.without_mount("/sys");
    bundle.remove("hostname");
    same_namespaces(rig, &mut bundle)?;
    rig.delete()
}

fn root_is_the_containers(rig: &mut Rig) -> Outcome {
    let bundle = container(rig)?;
    bundle.file("/etc/mark", "of this image")?;
    let inside = report(rig, &[], &["read", "/etc/mark", "list", "/", "mounts"])?;
    inside.is("read:/etc/mark", "of this image")?;
    inside.is("list:/", "dev etc payload proc sys tmp")?;
    inside.mount_has("/proc/sys", &["ro"])?;
    rig.delete()
}

/// What the kernel says of both from outside, and that it is the cgroup of this container.
fn same_cgroups(rig: &Rig, options: &[&str], below: &str) -> Outcome {
    let file = rig.dir.join("exec.pid");
    let path = file.display().to_string();
    let words = [options, &["--pid-file", &path]].concat();
    let mut running = start(&mut command(rig, &words, &["wait", "1"]), false)?;
    running.lines.until("waiting=1")?;
    let pid = fs::read_to_string(&file)?;
    let (first, other) = (rig.pid()?.to_string(), pid.trim());
    let [first, other] = [first.as_str(), other].map(|pid| fs::read_to_string(format!("/proc/{pid}/cgroup")));
    let (first, other) = (first?, other?);
    let name = format!("/{}", rig.cgroup);
    let mine = first.lines().filter(|line| line.ends_with(&name)).count();
    let all = first.lines().count();
    match rig.layout {
        Layout::Machine => same("hierarchies it is in", mine, all)?,
        Layout::V1 => same("hierarchies it is in", mine, all - 1)?,
        _ => contains("the unified one", &first, &format!("0::{name}\n"))?,
    }
    same("its cgroups", other, first.replace(&name, &format!("{name}{below}")))?;
    crate::sys::kill(pid.trim().parse()?, libc::SIGTERM)?;
    running.finish()?.success()?;
    Ok(())
}

fn cgroup_of_both(rig: &mut Rig, layout: Layout) -> Outcome {
    rig.set_layout(layout)?;
    container(rig)?;
    same_cgroups(rig, &[], "")?;
    rig.delete()
}

fn cgroup_in_every_hierarchy(rig: &mut Rig) -> Outcome {
    cgroup_of_both(rig, Layout::Machine)
}

fn cgroup_in_every_hierarchy_v1(rig: &mut Rig) -> Outcome {
    cgroup_of_both(rig, Layout::V1)
}

fn cgroup_in_every_hierarchy_v2(rig: &mut Rig) -> Outcome {
    cgroup_of_both(rig, Layout::V2)
}

/// Root in there has no right to the cgroup's files.
fn cgroup_in_a_user_namespace_v2(rig: &mut Rig) -> Outcome {
    rig.set_layout(Layout::V2)?;
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    rig.waiting(&mut bundle)?;
    same_cgroups(rig, &[], "")?;
    rig.delete()
}

/// The container's cgroup itself, in each hierarchy.
fn directories(rig: &Rig) -> Vec<PathBuf> {
    cgroups(&rig.cgroup).into_iter().filter(|path| path.ends_with(&rig.cgroup)).collect()
}

fn into_cgroup_below(rig: &mut Rig, layout: Layout) -> Outcome {
    only_mote(rig)?;
    rig.set_layout(layout)?;
    container(rig)?;
    for directory in directories(rig) {
        fs::create_dir(directory.join("sub"))?;
        // A new cgroup of this controller takes nobody before it has both.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let below = directory.join("sub").join(file);
            if let Ok(above) = fs::read_to_string(directory.join(file))
                && below.exists()
            {
                fs::write(below, above)?;
            }
        }
    }
    for word in ["sub", "/sub/"] {
        same_cgroups(rig, &["--cgroup", word], "/sub")?;
    }
    rig.delete()
}

fn cgroup_below(rig: &mut Rig) -> Outcome {
    into_cgroup_below(rig, Layout::Machine)
}

fn cgroup_below_v2(rig: &mut Rig) -> Outcome {
    into_cgroup_below(rig, Layout::V2)
}

/// In each hierarchy, by its controllers, this far below the container's cgroup.
fn enters(rig: &Rig, options: &[&str], below: impl Fn(&str) -> &'static str) -> Outcome {
    let inside = report(rig, options, &["read", "/proc/self/cgroup"])?;
    let lines = inside.get("read:/proc/self/cgroup").to_string();
    for line in lines.lines().filter(|line| line.contains(&rig.cgroup)) {
        let mut parts = line.splitn(3, ':').skip(1);
        let below = below(parts.next().unwrap_or(""));
        same(line, parts.next(), Some(format!("/{}{below}", rig.cgroup).as_str()))?;
    }
    Ok(())
}

/// runc's way: `CONTROLLER,...:PATH`, once for each.
fn cgroup_below_of_some_controllers_v1(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    rig.set_layout(Layout::V1)?;
    container(rig)?;
    let of = |name: &str| directories(rig).into_iter().find(|path| path.iter().any(|part| part == name));
    for (controller, sub) in [("pids", "one"), ("memory", "two"), ("freezer", "two")] {
        let Some(directory) = of(controller) else {
            return skip_allowed("this machine has other hierarchies");
        };
        fs::create_dir(directory.join(sub))?;
    }
    let below = |hierarchy: &str| match hierarchy {
        "pids" => "/one",
        "memory" | "freezer" => "/two",
        _ => "",
    };
    enters(rig, &["--cgroup", "pids:one", "--cgroup", "memory,freezer:/two"], below)?;
    // Without controllers: wherever there is one.
    enters(rig, &["--cgroup", "two"], |hierarchy| if hierarchy == "pids" { "" } else { below(hierarchy) })?;
    for word in ["moon:one", "pids,moon:one", "pids:../one", "pids:none"] {
        rejected(
            &exec(rig, &["--cgroup", word], &["say", "ran"])?,
            255,
            &[word.split(':').next_back().unwrap_or("")],
        )?;
    }
    rig.delete()
}

fn cgroup_below_that_is_missing_is_rejected(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    container(rig)?;
    rejected(&exec(rig, &["--cgroup", "none"], &["say", "ran"])?, 255, &["none"])?;
    rig.delete()
}

fn cgroup_below_that_climbs_is_rejected(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    container(rig)?;
    for word in ["..", "../..", "/..", "sub/../..", "sub/.."] {
        rejected(&exec(rig, &["--cgroup", word], &["say", "ran"])?, 255, &["--cgroup"])?;
    }
    rig.delete()
}

/// Once controllers are given to the cgroups below, nobody can be in the one above (cgroups(7), "no internal
/// processes"): then it goes where the first process is.
fn cgroup_v2_with_cgroups_of_its_own(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    rig.set_layout(Layout::V2)?;
    let known = fs::read_to_string(unified_top().join("cgroup.subtree_control"))?;
    let Some(controller) = known.split_whitespace().next() else {
        return skip_allowed("the unified hierarchy has no controller to give");
    };
    container(rig)?;
    let own = unified_top().join(&rig.cgroup);
    fs::create_dir(own.join("sub"))?;
    fs::write(own.join("sub/cgroup.procs"), rig.pid()?.to_string())?;
    fs::write(own.join("cgroup.subtree_control"), format!("+{controller}"))?;
    report(rig, &[], &["cgroup"])?.is("cgroup:", &format!("/{}/sub", rig.cgroup))?;
    rig.delete()
}

fn limited(rig: &Rig, user: bool) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.oomScoreAdj", 555i64);
    bundle.set(
        "process.rlimits",
        json!([{"type": "RLIMIT_NOFILE", "soft": 100i64, "hard": 200i64},
               {"type": "RLIMIT_CORE", "soft": 0i64, "hard": 0i64}]),
    );
    if user {
        bundle.user_namespace(100_000);
    }
    rig.waiting(&mut bundle)?;
    let inside = report(rig, &[], &["limits", "oom"])?;
    inside.is("limit:NOFILE", "100 200")?;
    inside.is("limit:CORE", "0 0")?;
    inside.is("oom", "555")?;
    rig.delete()
}

fn limits_are_the_containers(rig: &mut Rig) -> Outcome {
    limited(rig, false)
}

fn limits_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    limited(rig, true)
}

/// Moving into a full cgroup is kept from nobody (cgroup-v2.rst: "organizational operations are not blocked"), and
/// who administers a container that is full must be able to look into it. What it then starts is counted.
fn limit_of_one_process(rig: &mut Rig) -> Outcome {
    rig.set_layout(Layout::Machine)?;
    for user in [false, true] {
        let mut bundle = rig.bundle()?;
        bundle.set("linux.resources.pids.limit", 1i64);
        if user {
            bundle.user_namespace(100_000);
        }
        rig.waiting(&mut bundle)?;
        let inside = report(rig, &[], &["say", "got in", "fork", "1"])?;
        inside.is("say", "got in")?;
        inside.is("fork", "!EAGAIN")?;
        rig.delete()?;
    }
    Ok(())
}

/// What mote does for it is not charged to the container.
fn limit_of_one_mib(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    rig.set_layout(Layout::Machine)?;
    controller_dir(rig, "memory", "memory")?;
    let mut bundle = rig.bundle()?;
    let path = bundle.host_path("tiny");
    fs::write(&path, tiny_program())?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    bundle.verbs(&["wait", "1"]);
    bundle.set("linux.resources.memory.limit", 1i64 << 20);
    // Started it would need more than that itself.
    let _created = rig.create(&bundle, &[])?;
    for _ in 0..5 {
        let output = run(&mut program(rig, &[], &["/tiny"]), "")?;
        same("the standard error", output.stderr.as_str(), "")?;
        same("exit code", output.code(), 7)?;
    }
    rig.status_is("created")?;
    rig.delete()
}
