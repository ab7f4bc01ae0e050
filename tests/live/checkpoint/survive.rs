//! What survives: processes, files, mounts, namespaces, cgroups, filters.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use super::{container, cycle, dump, needs_criu, restore, signal};
use crate::bundle::Bundle;
use crate::check::{Outcome, contains, different, fail, holds, same};
use crate::json;
use crate::namespaces::holder;
use crate::rig::Rig;
use crate::{sys, tests};

tests![
    "checkpoint",
    memory_threads_and_files,
    another_bundle_and_id,
    leave_running,
    paused_container,
    process_tree,
    bind_mounts,
    nested_bind_mounts,
    masked_and_read_only_paths,
    user_namespace,
    joined_namespaces,
    joined_pid_namespace,
    cgroup_with_limits,
    cgroup_of_another_path,
    systemd_scope,
    seccomp_filter,
    tcp_connection_inside,
    tcp_client_outside,
    file_lock,
    exec_after_restore,
    fifty_cycles,
];

/// Checks the state of the verb `survive` after its n-th signal.
fn survives(rig: &Rig, running: &mut crate::command::Running, count: u32) -> Outcome {
    signal(rig)?;
    same("the state", running.lines.next()?.as_str(), format!("state={count} true {count}").as_str())
}

fn memory_threads_and_files(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let mut running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    survives(rig, &mut running, 1)?;
    let pid = rig.pid()?;
    for count in 2..4 {
        running = cycle(rig, &bundle, (&[], &[]))?;
        survives(rig, &mut running, count)?;
    }
    different("the PID", rig.pid()?, pid)?;
    rig.status_is("running")?;
    rig.delete()?;
    rig.nothing_left()
}

fn another_bundle_and_id(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let mut running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    survives(rig, &mut running, 1)?;
    dump(rig, &[])?.success()?;
    let mut other = rig.bundle()?;
    fs::remove_dir_all(other.dir.join("rootfs"))?;
    fs::rename(bundle.dir.join("rootfs"), other.dir.join("moved"))?;
    other.config = bundle.config;
    other.set("root.path", "moved");
    let name = format!("/{}-other", rig.cgroup);
    other.set("linux.cgroupsPath", name.as_str());
    let id = format!("{}-other", rig.id);
    let old = std::mem::replace(&mut rig.id, id);
    let mut running = restore(rig, &other, &[])?;
    survives(rig, &mut running, 2)?;
    let state = rig.state()?;
    same("the bundle", state.at("bundle").text(), other.dir.display().to_string().as_str())?;
    contains("the cgroup", &fs::read_to_string(format!("/proc/{}/cgroup", rig.pid()?))?, &name)?;
    let mut again = rig.command(&["state", &old]);
    contains("the error", &crate::command::run(&mut again, "")?.stderr, "does not exist")?;
    rig.delete()
}

fn leave_running(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let mut running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    dump(rig, &["--leave-running"])?.success()?;
    rig.status_is("running")?;
    survives(rig, &mut running, 1)?;
    rig.delete()?;
    // The file is as it was when the container was dumped.
    fs::write(bundle.host_path("tmp/file"), "")?;
    let mut running = restore(rig, &bundle, &[])?;
    survives(rig, &mut running, 1)?;
    rig.delete()
}

/// A paused container can be dumped. It remains paused if it continues, and runs when it is restored.
fn paused_container(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let mut running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    rig.mote(&["pause", &rig.id])?.success()?;
    dump(rig, &["--leave-running"])?.success()?;
    rig.status_is("paused")?;
    rig.mote(&["resume", &rig.id])?.success()?;
    survives(rig, &mut running, 1)?;
    rig.mote(&["pause", &rig.id])?.success()?;
    let mut running = cycle(rig, &bundle, (&[], &[]))?;
    rig.status_is("running")?;
    survives(rig, &mut running, 2)?;
    rig.delete()
}

fn process_tree(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let _running = container(rig, &mut bundle, &["fork", "5", "survive", "/tmp/file"])?;
    let before = rig.mote(&["ps", "--format", "json", &rig.id])?.success()?.stdout;
    let mut running = cycle(rig, &bundle, (&[], &[]))?;
    survives(rig, &mut running, 1)?;
    let after = rig.mote(&["ps", "--format", "json", &rig.id])?.success()?.stdout;
    let count = |list: &str| list.split(',').count();
    same("the number of processes", count(&after), count(&before))?;
    same("the number of processes", count(&after), 6)?;
    rig.delete()
}

/// Runs a verb in the restored container.
fn inside(rig: &Rig, verbs: &[&str]) -> Outcome<crate::report::Report> {
    let mut words = vec!["exec", rig.id.as_str(), "/payload"];
    words.extend(verbs);
    Ok(rig.mote(&words)?.success()?.report())
}

fn bind_mounts(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let (directory, file) = (rig.dir.join("volume"), rig.dir.join("file"));
    fs::create_dir(&directory)?;
    fs::write(directory.join("name"), "in the volume")?;
    fs::write(&file, "the file")?;
    bundle.file("/real/conf/keep", "")?;
    std::os::unix::fs::symlink("/real/conf", bundle.host_path("conf"))?;
    bundle.bind(&directory, "/conf", &["rbind"]);
    bundle.bind(&file, "/etc/file", &["bind", "ro"]);
    bundle.mount(json!({"destination": "/run", "type": "tmpfs", "source": "tmpfs"}));
    let _running = container(
        rig,
        &mut bundle,
        &["create", "/run/kept", "put", "/run/kept", "on a tmpfs", "survive", "/conf/open"],
    )?;
    let mut running = cycle(rig, &bundle, (&[], &[]))?;
    survives(rig, &mut running, 1)?;
    let report =
        inside(rig, &["read", "/conf/name", "read", "/etc/file", "read", "/run/kept", "write", "/etc/file"])?;
    report.is("read:/conf/name", "in the volume")?;
    report.is("read:/etc/file", "the file")?;
    report.is("read:/run/kept", "on a tmpfs")?;
    report.is("write:/etc/file", "!EROFS")?;
    same("the open file", fs::read_to_string(directory.join("open"))?.as_str(), "x")?;
    rig.delete()
}

/// The mount point of a bind mount is in another one, and has to be created again.
fn nested_bind_mounts(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let (outer, inner) = (rig.dir.join("outer"), rig.dir.join("inner"));
    fs::create_dir(&outer)?;
    fs::create_dir(&inner)?;
    fs::write(inner.join("name"), "inner")?;
    bundle.bind(&outer, "/outer", &["bind"]);
    bundle.bind(&inner, "/outer/for/inner", &["bind"]);
    let _running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    dump(rig, &[])?.success()?;
    fs::remove_dir_all(outer.join("for"))?;
    let mut running = restore(rig, &bundle, &[])?;
    survives(rig, &mut running, 1)?;
    inside(rig, &["read", "/outer/for/inner/name"])?.is("read:/outer/for/inner/name", "inner")?;
    rig.delete()
}

fn masked_and_read_only_paths(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.file("/secret/file", "secret")?;
    bundle.file("/constant/file", "constant")?;
    bundle.set("linux.maskedPaths[+]", "/secret");
    bundle.set("linux.readonlyPaths[+]", "/constant");
    bundle.set("root.readonly", true);
    bundle.mount(json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}));
    let verbs = ["survive", "/tmp/file"];
    let _running = container(rig, &mut bundle, &verbs)?;
    let observe = || {
        inside(
            rig,
            &[
                "mounts",
                "list",
                "/secret",
                "read",
                "/proc/kcore",
                "write",
                "/proc/sys/kernel/hostname",
                "create",
                "/new",
            ],
        )
    };
    let before = observe()?;
    let mut running = cycle(rig, &bundle, (&[], &[]))?;
    survives(rig, &mut running, 1)?;
    let after = observe()?;
    for key in ["list:/secret", "read:/proc/kcore", "write:/proc/sys/kernel/hostname", "create:/new"] {
        same(key, after.get(key), before.get(key))?;
    }
    after.is("create:/new", "!EROFS")?;
    let places = |report: &crate::report::Report| {
        let mut places = report.keys("mount:").into_iter().map(String::from).collect::<Vec<_>>();
        places.sort();
        places
    };
    same("the mount points", places(&after), places(&before))?;
    rig.delete()
}

fn user_namespace(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    sys::chown(&bundle.host_path("tmp"), 100_000, 100_000)?;
    let _running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    let mut running = cycle(rig, &bundle, (&[], &[]))?;
    survives(rig, &mut running, 1)?;
    let map = fs::read_to_string(format!("/proc/{}/uid_map", rig.pid()?))?;
    same("uid_map", map.split_whitespace().collect::<Vec<_>>(), vec!["0", "100000", "1000"])?;
    let report = inside(rig, &["id", "stat", "/dev/null", "write", "/dev/null"])?;
    report.is("uid", "0 0 0")?;
    contains("the device", report.get("stat:/dev/null"), "c 666")?;
    rig.delete()
}

fn joined_namespaces(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let (_holder, report) = holder(rig, &["unshare", "net,ipc,uts", "child"])?;
    report.is("unshare", "ok")?;
    let pid: i32 = report.get("child").parse()?;
    let mut bundle = rig.bundle()?;
    for (kind, file) in [("network", "net"), ("ipc", "ipc"), ("uts", "uts")] {
        bundle.namespace(kind, Some(Path::new(&format!("/proc/{pid}/ns/{file}"))));
    }
    bundle.remove("hostname");
    let _running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    let mut running = cycle(rig, &bundle, (&[], &[]))?;
    survives(rig, &mut running, 1)?;
    for file in ["net", "ipc", "uts"] {
        let of = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/{file}"));
        same(file, of(rig.pid()?)?, of(pid)?)?;
    }
    for file in ["pid", "mnt"] {
        let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{file}"));
        different(file, of(&rig.pid()?.to_string())?, of("self")?)?;
    }
    rig.delete()
}

fn joined_pid_namespace(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let (_holder, report) = holder(rig, &["unshare", "pid", "child"])?;
    report.is("unshare", "ok")?;
    let pid: i32 = report.get("child").parse()?;
    let mut bundle = rig.bundle()?;
    bundle.namespace("pid", Some(Path::new(&format!("/proc/{pid}/ns/pid"))));
    let _running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    let mut running = cycle(rig, &bundle, (&[], &[]))?;
    survives(rig, &mut running, 1)?;
    let of = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/pid"));
    same("the pid namespace", of(rig.pid()?)?, of(pid)?)?;
    rig.delete()
}

/// The limits of the configuration are in force again, and the process is in its cgroup.
fn cgroup_with_limits(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.set("linux.resources", json!({"pids": {"limit": 17i64}, "memory": {"limit": 33_554_432i64}}));
    bundle.namespace("cgroup", None);
    bundle.mount(json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
        "options": (vec!["ro"])}));
    for mode in ["soft", "full", "strict", "ignore"] {
        let options: &[&str] = &["--manage-cgroups-mode", mode];
        let _running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
        let before = host_options()?;
        let mut running = cycle(rig, &bundle, (options, options))?;
        survives(rig, &mut running, 1)?;
        same("the options of the host's hierarchy", host_options()?, before)?;
        let report =
            inside(rig, &["cgroup", "read", "/sys/fs/cgroup/pids.max", "read", "/sys/fs/cgroup/memory.max"])?;
        report.is("read:/sys/fs/cgroup/pids.max", "17\n")?;
        report.is("read:/sys/fs/cgroup/memory.max", "33554432\n")?;
        let own = fs::read_to_string(format!("/proc/{}/cgroup", rig.pid()?))?;
        contains("the cgroup", &own, &rig.cgroup)?;
        let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/cgroup"));
        different("the cgroup namespace", namespace(&rig.pid()?.to_string())?, namespace("self")?)?;
        rig.delete()?;
        rig.nothing_left()?;
        fs::remove_dir_all(super::images(rig))?;
    }
    Ok(())
}

/// The mount options of the host's cgroup v2 hierarchy.
fn host_options() -> Outcome<String> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    let line = table.lines().find(|line| line.contains(" /sys/fs/cgroup ")).unwrap_or_default();
    Ok(line.rsplit(' ').next().unwrap_or_default().to_string())
}

fn cgroup_of_another_path(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    for mode in ["soft", "ignore"] {
        let options: &[&str] = &["--manage-cgroups-mode", mode];
        bundle.set("linux.cgroupsPath", format!("/{}", rig.cgroup));
        let _running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
        dump(rig, options)?.success()?;
        let other = format!("/{}-{mode}", rig.cgroup);
        bundle.set("linux.cgroupsPath", other.as_str());
        let mut running = restore(rig, &bundle, options)?;
        survives(rig, &mut running, 1)?;
        let own = fs::read_to_string(format!("/proc/{}/cgroup", rig.pid()?))?;
        same("the cgroup", own.trim(), format!("0::{other}").as_str())?;
        rig.delete()?;
    }
    Ok(())
}

fn systemd_scope(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    if !Path::new("/run/systemd/system").exists() {
        return crate::check::skip_allowed("this machine has no systemd");
    }
    rig.globals.push("--systemd-cgroup".into());
    let mut bundle = rig.bundle()?;
    let scope = format!("system.slice:mote-test:{}", rig.id);
    bundle.set("linux.cgroupsPath", scope.as_str());
    bundle.set("linux.resources", json!({"pids": {"limit": 18i64}}));
    let _running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    let mut running = cycle(rig, &bundle, (&[], &[]))?;
    survives(rig, &mut running, 1)?;
    let own = fs::read_to_string(format!("/proc/{}/cgroup", rig.pid()?))?;
    let path = own.trim().strip_prefix("0::").unwrap_or_default().to_string();
    contains("the cgroup", &path, &format!("mote-test-{}.scope", rig.id))?;
    same("pids.max", fs::read_to_string(format!("/sys/fs/cgroup{path}/pids.max"))?.trim(), "18")?;
    rig.delete()?;
    holds("the scope is gone", !Path::new(&format!("/sys/fs/cgroup{path}")).exists())
}

fn seccomp_filter(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.set(
        "linux.seccomp",
        json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": (vec!["mkdir", "mkdirat"]), "action": "SCMP_ACT_ERRNO", "errnoRet": 13i64}
        ]}),
    );
    let _running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    let mut running = cycle(rig, &bundle, (&[], &[]))?;
    survives(rig, &mut running, 1)?;
    let status = fs::read_to_string(format!("/proc/{}/status", rig.pid()?))?;
    contains("the status", &status, "Seccomp:\t2")?;
    inside(rig, &["mkdir", "/tmp/new"])?.is("mkdir:/tmp/new", "!EACCES")?;
    rig.delete()
}

fn tcp_connection_inside(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let mut running = container(rig, &mut bundle, &["connection"])?;
    signal(rig)?;
    same("the payload's output", running.lines.next()?.as_str(), "bytes=1")?;
    let refused = dump(rig, &[])?;
    refused.failure(&["criu: dump failed", "dump.log"])?;
    rig.status_is("running")?;
    signal(rig)?;
    same("the payload's output", running.lines.next()?.as_str(), "bytes=2")?;
    let mut running = cycle(rig, &bundle, (&["--tcp-established"], &["--tcp-established"]))?;
    signal(rig)?;
    same("the payload's output", running.lines.next()?.as_str(), "bytes=3")?;
    rig.delete()
}

/// The client is outside of the container, in the same network namespace, and stays connected.
fn tcp_client_outside(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let (_holder, report) = holder(rig, &["unshare", "net", "raise_lo", "child"])?;
    let pid: i32 = report.get("child").parse()?;
    let path = format!("/proc/{pid}/ns/net");
    let mut bundle = rig.bundle()?;
    bundle.namespace("network", Some(Path::new(&path)));
    bundle.verbs(&["echo", "7777"]);
    let mut running = rig.create(&bundle, &[])?;
    rig.mote(&["start", &rig.id])?.success()?;
    running.lines.until("listening=ok")?;
    let network = fs::File::open(&path)?;
    let mut client = connect_in(&network, 7777)?;
    let mut exchange = |byte: u8| -> Outcome {
        client.write_all(&[byte])?;
        let mut answer = [0];
        client.read_exact(&mut answer)?;
        same("the echo", answer, [byte])
    };
    exchange(1)?;
    let mut running = cycle(rig, &bundle, (&["--tcp-established"], &["--tcp-established"]))?;
    exchange(2)?;
    exchange(3)?;
    drop(client);
    running.lines.until("closed=1")?;
    rig.delete()
}

/// Connects, in a thread of its own, in another network namespace.
fn connect_in(network: &fs::File, port: u16) -> Outcome<TcpStream> {
    use std::os::fd::AsRawFd;
    let fd = network.as_raw_fd();
    let connected = std::thread::spawn(move || {
        sys::setns(fd)?;
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(crate::command::LIMIT))?;
        Ok::<_, std::io::Error>(stream)
    });
    match connected.join() {
        Ok(stream) => Ok(stream?),
        Err(_) => fail("the thread panicked"),
    }
}

fn file_lock(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let mut running = container(rig, &mut bundle, &["lock", "/tmp/locked"])?;
    signal(rig)?;
    same("the payload's output", running.lines.next()?.as_str(), "second=!EAGAIN")?;
    dump(rig, &[])?.failure(&["criu: dump failed"])?;
    rig.status_is("running")?;
    let mut running = cycle(rig, &bundle, (&["--file-locks"], &["--file-locks"]))?;
    signal(rig)?;
    same("the payload's output", running.lines.next()?.as_str(), "second=!EAGAIN")?;
    rig.delete()
}

/// An exec process is in all namespaces of a restored container, also in the time namespace that CRIU has created.
fn exec_after_restore(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let _running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    let mut running = cycle(rig, &bundle, (&[], &[]))?;
    survives(rig, &mut running, 1)?;
    let report = inside(rig, &["ns"])?;
    for file in ["time", "pid", "mnt", "net", "ipc", "uts"] {
        let of_init = fs::read_link(format!("/proc/{}/ns/{file}", rig.pid()?))?;
        report.is(&format!("ns:{file}"), &of_init.display().to_string())?;
    }
    inside(rig, &["lo"])?.is("lo", "up")?;
    rig.delete()
}

fn fifty_cycles(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle: Bundle = rig.bundle()?;
    let mut running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    for count in 1..=50 {
        running = cycle(rig, &bundle, (&[], &[]))?;
        survives(rig, &mut running, count)?;
    }
    drop(running);
    rig.delete()?;
    rig.nothing_left()
}
