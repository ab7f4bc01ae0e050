//! The order of the hooks, and the namespaces and process in which each is run (config.md, "POSIX-platform Hooks").

use super::{Hooked, POINTS};
use crate::cgroups::unified_top;
use crate::check::{Outcome, contains, different, holds, lacks, same};
use crate::cleanup::cgroups;
use crate::command;
use crate::json;
use crate::json::Json;
use crate::rig::{Layout, Rig};
use crate::tests;

tests![
    "hooks",
    all_in_order_of_run,
    all_in_order_of_create_and_start,
    all_in_order_of_run_detached,
    several_at_one_point,
    in_a_user_namespace,
    on_the_host_by_its_root,
    create_runtime_runs_on_the_host,
    create_container_runs_in_the_namespaces,
    start_container_runs_in_the_root,
    poststart_runs_on_the_host,
    poststop_runs_after_removal,
    poststop_of_kept_containers_is_run_by_delete,
    poststop_is_run_once,
];

fn all_in_order_of_run(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    hooked.add_all();
    // The program and the poststart hooks run concurrently.
    hooked.bundle.verbs(&["wait", "0"]);
    let output = rig.run(&hooked.bundle, &[])?.success()?;
    same("the output is that of the program only", output.stdout.as_str(), "waiting=1\n")?;
    hooked.reported(&POINTS)
}

fn all_in_order_of_create_and_start(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    hooked.add_all();
    hooked.bundle.verbs(&["wait", "1"]);
    let _created = rig.create(&hooked.bundle, &[])?;
    hooked.reported(&["prestart", "createRuntime", "createContainer"])?;
    rig.mote(&["start", &rig.id])?.success()?;
    // When `start` returns, the program runs and the hooks of `start` have been run.
    hooked.reported(&["prestart", "createRuntime", "createContainer", "startContainer", "poststart"])?;
    rig.status_is("running")?;
    rig.delete()?;
    hooked.reported(&POINTS)
}

fn all_in_order_of_run_detached(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    hooked.add_all();
    hooked.bundle.verbs(&["wait", "1"]);
    rig.run(&hooked.bundle, &["--detach"])?.success()?;
    hooked.reported(&["prestart", "createRuntime", "createContainer", "startContainer", "poststart"])?;
    rig.delete()?;
    hooked.reported(&POINTS)
}

fn several_at_one_point(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    for point in POINTS {
        for number in ["1", "2", "3"] {
            hooked.add(point, &["say", number]);
        }
    }
    hooked.bundle.verbs(&[]);
    rig.run(&hooked.bundle, &[])?.success()?;
    hooked.reported(&["1", "2", "3"].repeat(6))
}

fn in_a_user_namespace(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    hooked.add_all();
    hooked.bundle.user_namespace(100_000);
    hooked.bundle.verbs(&[]);
    // A createContainer hook is run by the container's root, which must be able to execute the host's program.
    let output = rig.run(&hooked.bundle, &[])?;
    same("the standard error", output.stderr.as_str(), "")?;
    hooked.reported(&POINTS)
}

/// The container has a user namespace, and the hooks are outside of it.
fn on_the_host_by_its_root(rig: &mut Rig) -> Outcome {
    let host = command::run(&mut rig.host(&["ns"]), "")?.success()?.report();
    for point in ["prestart", "createRuntime", "poststart", "poststop"] {
        let mut hooked = Hooked::new(rig)?;
        hooked.add(point, &["ns", "id"]);
        hooked.bundle.user_namespace(100_000);
        hooked.bundle.verbs(&[]);
        rig.run(&hooked.bundle, &[])?.success()?;
        let seen = hooked.report()?;
        seen.is("ns:user", host.get("ns:user"))?;
        seen.is("uid", "0 0 0")?;
        seen.is("gid", "0 0 0")?;
    }
    Ok(())
}

/// The container init exists, in its namespaces and with its mounts, and has not entered its root.
fn create_runtime_runs_on_the_host(rig: &mut Rig) -> Outcome {
    let host = command::run(&mut rig.host(&["ns"]), "")?.success()?.report();
    for point in ["prestart", "createRuntime"] {
        let mut hooked = Hooked::new(rig)?;
        hooked.add(point, &["hook_state", "ns", "id", "cwd"]);
        hooked.bundle.verbs(&[]);
        rig.run(&hooked.bundle, &[])?.success()?;
        let seen = hooked.report()?;
        for name in ["pid", "net", "mnt", "ipc", "uts"] {
            if name != "mnt" || rig.layout == Layout::Machine {
                seen.is(&format!("ns:{name}"), host.get(&format!("ns:{name}")))?;
            }
            let its = seen.get(&format!("process:ns/{name}"));
            contains("the namespace of the init", its, &format!("{name}:["))?;
            different("the namespace of the init", its, seen.get(&format!("ns:{name}")))?;
        }
        seen.is("process:host", "ok")?;
        let root = hooked.bundle.host_path("/").display().to_string();
        let root = root.trim_end_matches('/');
        for place in ["/proc", "/dev", "/dev/pts", "/sys"] {
            contains("the mounts of the init", seen.get("process:mounts"), &format!("{root}{place} "))?;
        }
    }
    Ok(())
}

/// In the container's namespaces, with paths of the host.
fn create_container_runs_in_the_namespaces(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    let dir = rig.dir.display().to_string();
    std::fs::write(rig.dir.join("mark"), "the host's")?;
    let mark = format!("{dir}/mark");
    let root = hooked.bundle.host_path("/").display().to_string();
    let shm = format!("{root}dev/shm");
    hooked.add("createContainer", &["ns", "id", "uts", "read", &mark, "list", &shm]);
    hooked.bundle.verbs(&["ns"]);
    let inside = rig.run(&hooked.bundle, &[])?.success()?.report();
    let seen = hooked.report()?;
    for name in ["pid", "net", "mnt", "ipc", "uts", "user", "cgroup"] {
        let key = format!("ns:{name}");
        seen.is(&key, inside.get(&key))?;
    }
    seen.is("hostname", "inside")?;
    seen.is(&format!("read:{mark}"), "the host's")?;
    seen.is(&format!("list:{shm}"), "")?;
    seen.is("ppid", "1")?;
    seen.is("uid", "0 0 0")?;
    Ok(())
}

/// In the container, as its user, without file descriptors of mote.
fn start_container_runs_in_the_root(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    let verbs = ["ns", "id", "uts", "caps", "nnp", "fds", "list", "/", "cwd", "signals", "umask"];
    hooked.add("startContainer", &verbs);
    let bundle = &mut hooked.bundle;
    bundle.set("process.user", json!({"uid": 1000i64, "gid": 1001i64, "additionalGids": [7i64]}));
    bundle.set("process.cwd", "/tmp");
    bundle.set("process.noNewPrivileges", true);
    bundle.verbs(&verbs);
    let inside = rig.run(bundle, &[])?.success()?.report();
    let seen = hooked.report()?;
    let mut keys =
        vec!["uid", "gid", "groups", "hostname", "nnp", "fds", "list:/", "cwd", "ignored", "blocked"];
    keys.extend(["umask", "cap:effective", "cap:permitted", "cap:bounding", "ns:pid", "ns:mnt", "ns:net"]);
    for key in keys {
        seen.is(key, inside.get(key))?;
    }
    seen.is("uid", "1000 1000 1000")?;
    seen.is("fds", "0 1 2")?;
    seen.is("list:/", "dev etc log payload proc sys tmp")
}

fn poststart_runs_on_the_host(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    hooked.add("poststart", &["hook_state", "ns"]);
    hooked.bundle.verbs(&["wait", "1"]);
    let _created = rig.create(&hooked.bundle, &[])?;
    same("no report before start", hooked.text()?.as_str(), "")?;
    rig.mote(&["start", &rig.id])?.success()?;
    let seen = hooked.report()?;
    seen.is("process:exe", "/payload")?;
    different("the namespace", seen.get("ns:mnt"), seen.get("process:ns/mnt"))?;
    let state = Json::parse(seen.get("state"))?;
    same("the PID", state.at("pid").int(), i64::from(rig.pid()?))?;
    rig.delete()
}

/// After everything of the container is removed.
fn poststop_runs_after_removal(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    let own = unified_top().join(&rig.cgroup).display().to_string();
    let state = rig.state.display().to_string();
    hooked.add("poststop", &["ns", "list", &state, "list", &own]);
    let host = command::run(&mut rig.host(&["ns"]), "")?.success()?.report();
    // Containers that exit by themselves, and by delete --force.
    hooked.bundle.verbs(&[]);
    rig.run(&hooked.bundle, &[])?.success()?;
    hooked.bundle.verbs(&["wait", "1"]);
    rig.run(&hooked.bundle, &["--detach"])?.success()?;
    holds("the cgroup exists", !cgroups(&rig.cgroup).is_empty())?;
    rig.delete()?;
    let seen = hooked.report()?;
    for (key, value) in [(format!("list:{state}"), ""), (format!("list:{own}"), "!ENOENT")] {
        same(&key, seen.all(&key), vec![value; 2])?;
    }
    match rig.layout {
        Layout::Machine => seen.is("ns:mnt", host.get("ns:mnt")),
        // The hook is in the mount namespace in which the test mounts the layout.
        _ => Ok(()),
    }
}

fn poststop_of_kept_containers_is_run_by_delete(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    hooked.add("poststop", &["say", "poststop"]);
    hooked.bundle.verbs(&[]);
    rig.run(&hooked.bundle, &["--keep"])?.success()?;
    hooked.reported(&[])?;
    rig.mote(&["delete", &rig.id])?.success()?;
    hooked.reported(&["poststop"])
}

/// `delete --force` while `run` waits: poststop hooks run once.
fn poststop_is_run_once(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    hooked.add("poststop", &["say", "poststop"]);
    hooked.bundle.verbs(&["wait", "1"]);
    let mut running = rig.spawn(&hooked.bundle, &[])?;
    running.lines.until("waiting=1")?;
    rig.delete()?;
    let output = running.finish()?;
    same("exit code", output.code(), 137)?;
    lacks("the standard error", &output.stderr, "mote")?;
    hooked.reported(&["poststop"])
}
