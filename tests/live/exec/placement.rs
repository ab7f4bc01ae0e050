//! Namespaces, cgroup and limits of an exec process.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{command, container, exec, only_mote, program, rejected, report};
use crate::bundle::Bundle;
use crate::cgroups::{controller_dir, unified_top};
use crate::check::{Outcome, contains, holds, same, skip_allowed};
use crate::cleanup::cgroups;
use crate::command::{run, start};
use crate::elf::EXIT_7;
use crate::namespaces::has_time;
use crate::rig::{Layout, Rig};
use crate::{json, tests};

tests![
    "exec",
    namespaces_are_those_of_the_container,
    namespaces_in_a_new_user_namespace,
    namespaces_joined_by_path,
    namespaces_of_the_host_where_none_are_listed,
    root_is_that_of_the_container,
    cgroup_in_every_hierarchy,
    cgroup_in_every_hierarchy_v1,
    cgroup_in_every_hierarchy_v2,
    cgroup_in_a_user_namespace_v2,
    cgroup_below,
    cgroup_below_v2,
    cgroup_below_of_some_controllers_v1,
    cgroup_below_that_is_missing_is_rejected,
    cgroup_below_with_dots_is_rejected,
    cgroup_v2_with_internal_cgroups,
    limits_are_those_of_the_container,
    limits_in_a_user_namespace,
    pids_limit_of_1,
    memory_limit_of_1_mib,
];

const NAMESPACES: &[&str] = &["pid", "net", "mnt", "ipc", "uts", "user", "cgroup", "time"];

/// Checks that an exec process is in the same namespaces as the container init.
fn same_namespaces(rig: &Rig, bundle: &mut Bundle) -> Outcome {
    rig.waiting(bundle)?;
    let pid = rig.pid()?;
    let inside = report(rig, &[], &["ns"])?;
    for name in NAMESPACES.iter().filter(|name| **name != "time" || has_time()) {
        let first = fs::read_link(format!("/proc/{pid}/ns/{name}"))?;
        inside.is(&format!("ns:{name}"), &first.display().to_string())?;
    }
    Ok(())
}

fn namespaces_are_those_of_the_container(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.namespace("cgroup", None);
    if has_time() && !rig.denies("clone3") {
        bundle.namespace("time", None);
    }
    same_namespaces(rig, &mut bundle)?;
    let inside = report(rig, &[], &["id", "uts"])?;
    inside.is("hostname", "inside")?;
    inside.is("ppid", "0")?;
    let pid: i32 = inside.get("pid").parse()?;
    holds("the PID is small", (2..10).contains(&pid))?;
    same("the process is a session leader", inside.get("sid"), inside.get("pid"))?;
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

/// A container with namespaces joined by path.
fn namespaces_joined_by_path(rig: &mut Rig) -> Outcome {
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
            // The payload that created the user namespace has written no mappings.
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

fn root_is_that_of_the_container(rig: &mut Rig) -> Outcome {
    let bundle = container(rig)?;
    bundle.file("/etc/mark", "of this image")?;
    let inside = report(rig, &[], &["read", "/etc/mark", "list", "/", "mounts"])?;
    inside.is("read:/etc/mark", "of this image")?;
    inside.is("list:/", "dev etc payload proc sys tmp")?;
    inside.mount_has("/proc/sys", &["ro"])?;
    rig.delete()
}

/// Compares the cgroups of an exec process with those of the init, both from outside, and checks that they are those of
/// the container.
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
        Layout::Machine => same("number of hierarchies", mine, all)?,
        Layout::V1 => same("number of hierarchies", mine, all - 1)?,
        _ => contains("the v2 cgroup", &first, &format!("0::{name}\n"))?,
    }
    same("the cgroups", other, first.replace(&name, &format!("{name}{below}")))?;
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

/// The container's root may not open cgroup.procs on the host.
fn cgroup_in_a_user_namespace_v2(rig: &mut Rig) -> Outcome {
    rig.set_layout(Layout::V2)?;
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    rig.waiting(&mut bundle)?;
    same_cgroups(rig, &[], "")?;
    rig.delete()
}

/// The cgroup of the container in each hierarchy.
fn directories(rig: &Rig) -> Vec<PathBuf> {
    cgroups(&rig.cgroup).into_iter().filter(|path| path.ends_with(&rig.cgroup)).collect()
}

fn joins_cgroup_below(rig: &mut Rig, layout: Layout) -> Outcome {
    only_mote(rig)?;
    rig.set_layout(layout)?;
    container(rig)?;
    for directory in directories(rig) {
        fs::create_dir(directory.join("sub"))?;
        // A new v1 cpuset accepts no process before both files are written.
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
    joins_cgroup_below(rig, Layout::Machine)
}

fn cgroup_below_v2(rig: &mut Rig) -> Outcome {
    joins_cgroup_below(rig, Layout::V2)
}

/// Checks the cgroup of an exec process in each hierarchy: `below` maps its controllers to a path below the container's
/// cgroup.
fn joins_below(rig: &Rig, options: &[&str], below: impl Fn(&str) -> &'static str) -> Outcome {
    let inside = report(rig, options, &["read", "/proc/self/cgroup"])?;
    let lines = inside.get("read:/proc/self/cgroup").to_string();
    for line in lines.lines().filter(|line| line.contains(&rig.cgroup)) {
        let mut parts = line.splitn(3, ':').skip(1);
        let below = below(parts.next().unwrap_or(""));
        same(line, parts.next(), Some(format!("/{}{below}", rig.cgroup).as_str()))?;
    }
    Ok(())
}

/// The form of runc: `CONTROLLER,...:PATH`, may be given several times.
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
    joins_below(rig, &["--cgroup", "pids:one", "--cgroup", "memory,freezer:/two"], below)?;
    // Without controllers: in each hierarchy that has the cgroup.
    joins_below(
        rig,
        &["--cgroup", "two"],
        |hierarchy| if hierarchy == "pids" { "" } else { below(hierarchy) },
    )?;
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

fn cgroup_below_with_dots_is_rejected(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    container(rig)?;
    for word in ["..", "../..", "/..", "sub/../..", "sub/.."] {
        rejected(&exec(rig, &["--cgroup", word], &["say", "ran"])?, 255, &["--cgroup"])?;
    }
    rig.delete()
}

/// If controllers are enabled for the cgroups below, the cgroup above accepts no process (cgroups(7), "no internal
/// processes"): the exec process joins the cgroup of the init instead.
fn cgroup_v2_with_internal_cgroups(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    rig.set_layout(Layout::V2)?;
    let known = fs::read_to_string(unified_top().join("cgroup.subtree_control"))?;
    let Some(controller) = known.split_whitespace().next() else {
        return skip_allowed("the unified hierarchy has no controller that can be enabled");
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

fn limits_are_those_of_the_container(rig: &mut Rig) -> Outcome {
    limited(rig, false)
}

fn limits_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    limited(rig, true)
}

/// A process may be moved into a full cgroup (cgroup-v2.rst: "organizational operations are not blocked"), which the
/// administrator of a container needs. Its children are counted.
fn pids_limit_of_1(rig: &mut Rig) -> Outcome {
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

/// The memory that mote needs for the set-up is not charged to the container.
fn memory_limit_of_1_mib(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    rig.set_layout(Layout::Machine)?;
    controller_dir(rig, "memory", "memory")?;
    let mut bundle = rig.bundle()?;
    let path = bundle.host_path("tiny");
    fs::write(&path, EXIT_7.file())?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    bundle.verbs(&["wait", "1"]);
    bundle.set("linux.resources.memory.limit", 1i64 << 20);
    // Created only: the payload itself would exceed the limit.
    let _created = rig.create(&bundle, &[])?;
    for _ in 0..5 {
        let output = run(&mut program(rig, &[], &["/tiny"]), "")?;
        same("the standard error", output.stderr.as_str(), "")?;
        same("exit code", output.code(), 7)?;
    }
    rig.status_is("created")?;
    rig.delete()
}
