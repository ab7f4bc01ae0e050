//! The input of a hook: the state on its standard input, arguments, environment, file descriptors, signals, timeout
//! (config.md, "POSIX-platform Hooks").

use std::fs;
use std::os::fd::AsRawFd;

use super::{Hooked, POINTS};
use crate::check::{Outcome, contains, different, holds, same, skip_allowed};
use crate::command::{run, start};
use crate::filter::native_arch;
use crate::json;
use crate::json::Json;
use crate::rig::{Rig, Runtime};
use crate::{sys, tests};

tests![
    "hooks",
    state_at_each_point,
    state_of_an_older_configuration,
    state_command_in_a_hook,
    state_larger_than_a_pipe,
    state_may_be_left_unread,
    arguments,
    arguments_omitted,
    environment,
    environment_omitted,
    environment_empty,
    descriptors_and_signals,
    working_directories,
    working_directory_that_was_removed,
    umasks,
    filter_of_the_program,
    timeout_not_reached,
    outputs_in_files,
    output_that_cannot_be_opened_is_rejected,
];

/// The states that the hooks have reported, in order.
fn states(hooked: &Hooked) -> Outcome<Vec<Json>> {
    let report = hooked.report()?;
    report.all("state").into_iter().map(|text| Ok(Json::parse(text)?)).collect()
}

fn state_at_each_point(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    for point in POINTS {
        hooked.add(point, &["hook_state"]);
    }
    hooked.bundle.set("ociVersion", "1.1.0");
    hooked.bundle.set("annotations", json!({"a.b/c": "one \"two\"\n\\ ü", "empty": ""}));
    hooked.bundle.verbs(&["wait", "1"]);
    let _created = rig.create(&hooked.bundle, &[])?;
    rig.mote(&["start", &rig.id])?.success()?;
    let pid = i64::from(rig.pid()?);
    rig.delete()?;
    let states = states(&hooked)?;
    same("count", states.len(), 6)?;
    let status = ["creating", "creating", "creating", "created", "running", "stopped"];
    let pids = [pid, pid, 1, 1, pid, 0];
    for ((state, point), (status, pid)) in states.iter().zip(POINTS).zip(status.iter().zip(pids)) {
        same("ociVersion", state.at("ociVersion").text(), "1.1.0")?;
        same("id", state.at("id").text(), rig.id.as_str())?;
        same("bundle", state.at("bundle").text(), hooked.bundle.dir.display().to_string().as_str())?;
        same("annotation", state.at("annotations").at("a.b/c").text(), "one \"two\"\n\\ ü")?;
        same("annotations", state.at("annotations").keys(), vec!["a.b/c", "empty"])?;
        if rig.is(Runtime::Mote) {
            same(&format!("the status of {point}"), state.at("status").text(), *status)?;
            same(&format!("the pid of {point}"), state.at("pid").int(), pid)?;
        }
    }
    Ok(())
}

fn state_of_an_older_configuration(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    hooked.add("createRuntime", &["hook_state"]);
    hooked.bundle.set("ociVersion", "1.0.0");
    hooked.bundle.verbs(&[]);
    rig.run(&hooked.bundle, &[])?.success()?;
    let states = states(&hooked)?;
    same("ociVersion", states.first().map(|state| state.at("ociVersion").text()), Some("1.0.0"))
}

/// The state of the container that a hook gets from `mote state`.
fn state_command_in_a_hook(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun report no status while hooks run");
    }
    let mut hooked = Hooked::new(rig)?;
    let (program, root) = (rig.suite.runtime.display().to_string(), rig.state.display().to_string());
    let args = vec!["mote", "--root", root.as_str(), "state", rig.id.as_str()];
    let hook = json!({"path": program, "args": args});
    for point in ["prestart", "createRuntime", "poststart"] {
        hooked.bundle.set(&format!("hooks.{point}[+]"), hook.clone());
    }
    hooked.bundle.verbs(&["wait", "1"]);
    let log = hooked.log.display().to_string();
    hooked.bundle.set("annotations.\"run.oci.hooks.stdout\"", log.as_str());
    let seen = |want: &[&str]| -> Outcome {
        let text = hooked.text()?;
        let states = text.lines().filter(|line| line.contains("\"status\"")).map(str::trim);
        let want = want.iter().map(|status| format!("\"status\": \"{status}\","));
        same("the status", states.map(String::from).collect::<Vec<_>>(), want.collect::<Vec<_>>())?;
        Ok(fs::write(&hooked.log, "")?)
    };
    let mut running = start(&mut rig.launch("run", &hooked.bundle, &["--detach"])?, false)?;
    same("exit code", running.status()?.0.code(), Some(0))?;
    seen(&["creating", "creating", "running"])?;
    rig.delete()?;
    let _created = rig.create(&hooked.bundle, &[])?;
    seen(&["creating", "creating"])?;
    rig.status_is("created")?;
    rig.mote(&["start", &rig.id])?.success()?;
    seen(&["running"])?;
    rig.delete()
}

fn state_larger_than_a_pipe(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    let long = "x".repeat(200_000);
    hooked.bundle.set("annotations.long", long.as_str());
    for point in POINTS {
        hooked.add(point, &["hook_state"]);
        hooked.add(point, &["stdin_length"]);
        hooked.add(point, &["say", "unread"]);
    }
    hooked.bundle.verbs(&[]);
    rig.run(&hooked.bundle, &[])?.success()?;
    let states = states(&hooked)?;
    same("count", states.len(), 6)?;
    for state in &states {
        holds("the state is complete", state.at("annotations").at("long").text() == long)?;
    }
    let report = hooked.report()?;
    same("count", (report.all("stdin_length").len(), report.all("say").len()), (6, 6))?;
    for count in report.all("stdin_length") {
        holds(&format!("{count} bytes are the complete state"), count.parse::<usize>()? > long.len())?;
    }
    Ok(())
}

fn state_may_be_left_unread(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    hooked.add_all();
    hooked.bundle.verbs(&[]);
    rig.run(&hooked.bundle, &[])?.success()?;
    hooked.reported(&POINTS)
}

fn arguments(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    let mut hook = hooked.hook("createRuntime", &["args", "link", "/proc/self/exe"]);
    hook.set("args[0]", "another/name/of the/payload");
    hooked.bundle.set("hooks.createRuntime[+]", hook);
    hooked.bundle.verbs(&[]);
    rig.run(&hooked.bundle, &[])?.success()?;
    let seen = hooked.report()?;
    seen.is("arg:0", "another/name/of the/payload")?;
    seen.is("arg:3", "args")?;
    seen.is("link:/proc/self/exe", &hooked.program)
}

/// argv[0] is then its path: the payload is recognized by the file name.
fn arguments_omitted(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    hooked.bundle.set("hooks.createRuntime", Json::List(vec![json!({"path": (hooked.program.as_str())})]));
    hooked.bundle.verbs(&["say", "ran"]);
    rig.run(&hooked.bundle, &[])?.success()?.report().is("say", "ran")
}

fn environment(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    let mut hook = hooked.hook("createRuntime", &["env"]);
    hook.set("env", json!(["ONE=1", "TWO=x y=z", "EMPTY="]));
    hooked.bundle.set("hooks.createRuntime[+]", hook);
    hooked.bundle.verbs(&[]);
    rig.run(&hooked.bundle, &[])?.success()?;
    let seen = hooked.report()?;
    same("names of variables", seen.keys("env:"), vec!["ONE", "TWO", "EMPTY"])?;
    seen.is("env:TWO", "x y=z")
}

/// Then it is that of mote, or for a program of the container that of the container.
fn environment_omitted(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    for point in POINTS {
        hooked.add(point, &["env"]);
    }
    hooked.bundle.verbs(&[]);
    let mut command = rig.launch("run", &hooked.bundle, &[])?;
    command.env_clear().env("MOTE_LIVE", &rig.marker).env("OUTSIDE", "of the caller");
    run(&mut command, "")?.success()?;
    let seen = hooked.report()?;
    same("OUTSIDE", seen.all("env:OUTSIDE"), vec!["of the caller"; 5])?;
    same("TERM", seen.all("env:TERM"), vec!["dumb"])?;
    // The program has no such variable in its configuration either.
    same("HOME", seen.all("env:HOME"), vec!["/"])
}

fn environment_empty(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    let mut hook = hooked.hook("createRuntime", &["env", "say", "ran"]);
    hook.set("env", Json::List(Vec::new()));
    hooked.bundle.set("hooks.createRuntime[+]", hook);
    hooked.bundle.verbs(&[]);
    rig.run(&hooked.bundle, &[])?.success()?;
    let seen = hooked.report()?;
    seen.is("say", "ran")?;
    same("number of variables", seen.keys("env:").len(), 0)
}

fn descriptors_and_signals(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    for point in POINTS {
        hooked.add(point, &["fds", "signals"]);
    }
    hooked.bundle.verbs(&[]);
    let mut command = rig.launch("run", &hooked.bundle, &[])?;
    // Files that the caller left open are closed.
    let open = fs::File::open(&hooked.log)?;
    sys::before_exec(&mut command, move || {
        [3, 9, 300].iter().try_for_each(|number| sys::duplicate_to(open.as_raw_fd(), *number))
    });
    run(&mut command, "")?.success()?;
    let seen = hooked.report()?;
    same("fds", seen.all("fds"), vec!["0 1 2"; 6])?;
    same("blocked", seen.all("blocked"), vec![""; 6])?;
    same("ignored", seen.all("ignored"), vec![""; 6])?;
    // The standard input is not a file that another process could find.
    different("the input", seen.get("fd:0"), "")?;
    contains("the input", seen.get("fd:0"), "memfd")
}

fn working_directories(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    for point in POINTS {
        hooked.add(point, &["cwd"]);
    }
    hooked.bundle.set("process.cwd", "/tmp");
    hooked.bundle.verbs(&["wait", "1"]);
    // Each command is called from another directory.
    let _created = rig.create(&hooked.bundle, &[])?;
    rig.mote(&["start", &rig.id])?.success()?;
    rig.delete()?;
    let seen = hooked.report()?;
    let bundle = hooked.bundle.dir.display().to_string();
    let root = format!("{bundle}/rootfs");
    let (bundle, root) = (bundle.as_str(), root.as_str());
    same("cwd", seen.all("cwd"), vec![bundle, bundle, root, "/tmp", bundle, bundle])
}

/// An engine may remove the bundle before the container; poststop hooks run nevertheless.
fn working_directory_that_was_removed(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    let report = rig.dir.join("report").display().to_string();
    let args = json!(["payload", "into", (report.as_str()), "cwd"]);
    hooked.bundle.set("hooks.poststop", json!([{"path": (hooked.program.as_str()), "args": args}]));
    hooked.bundle.verbs(&["wait", "1"]);
    let _created = rig.create(&hooked.bundle, &[])?;
    fs::rename(&hooked.bundle.dir, rig.dir.join("elsewhere"))?;
    rig.delete()?;
    same("the report of the hook", fs::read_to_string(report)?.as_str(), "cwd=/\n")
}

/// That of the caller, and inside the container that of the container.
fn umasks(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    for point in POINTS {
        hooked.add(point, &["umask"]);
    }
    hooked.bundle.set("process.user.umask", 0o31i64);
    hooked.bundle.verbs(&[]);
    let mut command = rig.launch("run", &hooked.bundle, &[])?;
    sys::before_exec(&mut command, || {
        sys::caller::set_umask(0o027);
        Ok(())
    });
    run(&mut command, "")?.success()?;
    let (own, its) = ("0027", "0031");
    same("umask", hooked.report()?.all("umask"), vec![own, own, own, its, own, own])
}

/// The filter applies to startContainer hooks, whenever it is loaded, and to no other hooks.
fn filter_of_the_program(rig: &mut Rig) -> Outcome {
    for no_new_privileges in [false, true] {
        let mut hooked = Hooked::new(rig)?;
        for point in POINTS {
            hooked.add(point, &["syscall", "munlockall"]);
        }
        let section = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": [(native_arch())],
            "syscalls": [{"names": ["munlockall"], "action": "SCMP_ACT_ERRNO"}]
        });
        hooked.bundle.set("process.noNewPrivileges", no_new_privileges);
        hooked.bundle.set("linux.seccomp", section);
        hooked.bundle.verbs(&["syscall", "munlockall"]);
        rig.run(&hooked.bundle, &[])?.success()?.report().is("syscall:munlockall", "!EPERM")?;
        let seen = hooked.report()?;
        same("results of the call", seen.all("syscall:munlockall"), vec!["0", "0", "0", "!EPERM", "0", "0"])?;
    }
    Ok(())
}

/// A timeout that is not reached has no effect, nor has the largest one.
fn timeout_not_reached(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    for seconds in [5i64, i64::from(u32::MAX)] {
        let mut hook = hooked.hook("createRuntime", &["say", "in time"]);
        hook.set("timeout", seconds);
        hooked.bundle.set("hooks.createRuntime[+]", hook);
    }
    hooked.bundle.verbs(&[]);
    rig.run(&hooked.bundle, &[])?.success()?;
    hooked.reported(&["in time"; 2])
}

/// `run.oci.hooks.stdout` and `.stderr`: the output of all hooks is appended to these files.
fn outputs_in_files(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    let (out, err) = (rig.dir.join("out"), rig.dir.join("err"));
    fs::write(&out, "before\n")?;
    for (name, path) in [("stdout", &out), ("stderr", &err)] {
        hooked.bundle.set(&format!("annotations.\"run.oci.hooks.{name}\""), path.display().to_string());
    }
    for point in POINTS {
        let path = if point == "startContainer" { "/payload" } else { hooked.program.as_str() };
        let words = json!(["payload", "say", (point), "warn", (point)]);
        let hook = json!({"path": path, "args": words});
        hooked.bundle.set(&format!("hooks.{point}[+]"), hook);
    }
    hooked.bundle.verbs(&["fds"]);
    rig.run(&hooked.bundle, &[])?.success()?.report().is("fds", "0 1 2")?;
    let reports: String = POINTS.iter().map(|point| format!("say={point}\n")).collect();
    same("standard output", fs::read_to_string(&out)?, format!("before\n{reports}"))?;
    let warned: String = POINTS.iter().map(|point| format!("{point}\n")).collect();
    same("standard error", fs::read_to_string(&err)?, warned)
}

fn output_that_cannot_be_opened_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("annotations.\"run.oci.hooks.stdout\"", "/none/of/this");
    bundle.set("hooks.poststop", json!([{"path": "/bin/true"}]));
    rig.rejected(&bundle, &["run.oci.hooks.stdout", "/none/of/this"])
}
