//! AppArmor profiles of processes. Profiles are loaded for a test and removed after it.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::bundle::Bundle;
use crate::check::{Outcome, contains, fail, same, skip_allowed};
use crate::checkpoint;
use crate::command::{Output, run};
use crate::filter;
use crate::json;
use crate::report::Report;
use crate::rig::{Rig, Runtime};
use crate::sys;
use crate::tests;

tests![
    "process",
    apparmor_profile,
    apparmor_profile_after_create,
    apparmor_profile_in_a_user_namespace,
    apparmor_profile_and_filter_in_a_user_namespace,
    apparmor_profile_with_no_new_privileges,
    apparmor_profile_of_mote_is_changed,
    apparmor_profile_of_mote_is_stacked,
    apparmor_profile_applies_to_exec,
    apparmor_profile_of_exec,
    apparmor_profile_of_hooks,
    apparmor_profile_after_a_restore,
    apparmor_profile_not_loaded_is_rejected,
    apparmor_profile_without_apparmor_is_rejected,
    apparmor_unconfined_without_apparmor,
];

/// The label of the first security module: with AppArmor there is no SELinux.
pub const CURRENT: &str = "/proc/self/attr/current";
const INTERFACE: &str = "/sys/kernel/security/apparmor";

/// A file that the profiles deny to read, and one that they allow.
const KEPT: &str = "/tmp/kept";
const OPEN: &str = "/tmp/open";

/// A profile that is loaded until dropped.
struct Profile(String);

impl Profile {
    fn load(rig: &Rig, last: &str) -> Outcome<Profile> {
        let known = ["/usr/sbin/apparmor_parser", "/sbin/apparmor_parser"];
        let Some(parser) = known.into_iter().find(|path| Path::new(path).exists()) else {
            return skip_allowed("no apparmor_parser");
        };
        let name = format!("mote-live-{}-{last}", rig.marker);
        let mut parser = Command::new(parser);
        parser.args(["--add", "--skip-cache", "--quiet"]).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = parser.spawn()?;
        let Some(mut input) = child.stdin.take() else { return fail("no input") };
        let all =
            "file, network, capability, mount, umount, pivot_root, ptrace, signal, unix, change_profile,";
        write!(
            input,
            "profile {name} flags=(attach_disconnected,mediate_deleted) {{ {all} deny {KEPT} r, }}"
        )?;
        drop(input);
        let profile = Profile(name);
        same("apparmor_parser succeeds", child.wait()?.success(), true)?;
        Ok(profile)
    }

    /// The label of a process under the profile.
    fn label(&self) -> String {
        format!("{} (enforce)\n", self.0)
    }

    /// Makes a command run under the profile.
    fn confine(&self, command: &mut Command) {
        let text = format!("exec {}", self.0);
        sys::before_exec(command, move || fs::write("/proc/self/attr/exec", &text));
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        // Fails if the profile could not be loaded.
        let _ = fs::write(format!("{INTERFACE}/.remove"), &self.0);
    }
}

fn has_apparmor() -> bool {
    let enabled = fs::read_to_string("/sys/module/apparmor/parameters/enabled");
    enabled.is_ok_and(|text| text.starts_with('Y')) && Path::new(INTERFACE).exists()
}

fn needs_apparmor() -> Outcome {
    if has_apparmor() { Ok(()) } else { skip_allowed("no AppArmor") }
}

/// A bundle with a file that the profiles deny to read.
pub fn bundle(rig: &Rig, profile: &str) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    bundle.file(KEPT, "kept")?;
    bundle.file(OPEN, "open")?;
    if !profile.is_empty() {
        bundle.set("process.apparmorProfile", profile);
    }
    Ok(bundle)
}

const VERBS: [&str; 7] = ["read", CURRENT, "read", KEPT, "read", OPEN, "nnp"];

fn is_confined(inside: &Report, label: &str) -> Outcome {
    inside.is(&format!("read:{CURRENT}"), label)?;
    inside.is(&format!("read:{KEPT}"), "!EACCES")?;
    inside.is(&format!("read:{OPEN}"), "open")
}

fn apparmor_profile(rig: &mut Rig) -> Outcome {
    needs_apparmor()?;
    let profile = Profile::load(rig, "a")?;
    is_confined(&rig.report(&mut bundle(rig, &profile.0)?, &VERBS)?, &profile.label())
}

/// The init of a created container is not confined yet.
fn apparmor_profile_after_create(rig: &mut Rig) -> Outcome {
    needs_apparmor()?;
    let profile = Profile::load(rig, "a")?;
    let mut bundle = bundle(rig, &profile.0)?;
    bundle.verbs(&[&VERBS[..], &["say", "end", "wait", "1"]].concat());
    let mut running = rig.create(&bundle, &[])?;
    same(
        "the label",
        fs::read_to_string(format!("/proc/{}/attr/current", rig.pid()?))?,
        label_of_runtime(rig)?,
    )?;
    rig.mote(&["start", &rig.id])?.success()?;
    is_confined(&running.lines.until("say=end")?, &profile.label())?;
    rig.delete()
}

/// The label of the runtime without a profile of the container.
fn label_of_runtime(rig: &Rig) -> Outcome<String> {
    let path = rig.suite.runtime.display().to_string();
    let profiles = fs::read_to_string(format!("{INTERFACE}/profiles"))?;
    // For runc and crun, Debian has profiles of these names, which allow everything.
    let named = rig.suite.runtime.file_name().unwrap_or_default().to_string_lossy();
    let line = format!("{named} (unconfined)");
    let has =
        !rig.is(Runtime::Mote) && path.starts_with("/usr/") && profiles.lines().any(|text| text == line);
    Ok(if has { line + "\n" } else { fs::read_to_string(CURRENT)? })
}

fn apparmor_profile_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    needs_apparmor()?;
    let profile = Profile::load(rig, "a")?;
    let mut bundle = bundle(rig, &profile.0)?;
    bundle.user_namespace(100_000);
    is_confined(&rig.report(&mut bundle, &VERBS)?, &profile.label())
}

/// The profile is requested before the filter is loaded, and takes effect at execve(2) after that.
fn apparmor_profile_and_filter_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    needs_apparmor()?;
    let profile = Profile::load(rig, "a")?;
    for no_new_privileges in [false, true] {
        let mut bundle = bundle(rig, &profile.0)?;
        bundle.user_namespace(100_000);
        bundle.set("process.noNewPrivileges", no_new_privileges);
        let rule = json!({"names": ["unshare", "setns"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38i64});
        bundle.set("linux.seccomp", filter::profile(vec![rule]));
        let inside = rig.report(&mut bundle, &[&VERBS[..], &["unshare", "uts"]].concat())?;
        inside.is("unshare", "!ENOSYS")?;
        inside.is("nnp", if no_new_privileges { "1" } else { "0" })?;
        is_confined(&inside, &profile.label())?;
    }
    Ok(())
}

/// no_new_privs would keep a confined process from changing its profile, but mote is not confined.
fn apparmor_profile_with_no_new_privileges(rig: &mut Rig) -> Outcome {
    needs_apparmor()?;
    if rig.is(Runtime::Crun) {
        return skip_allowed("crun treats its own profile, which allows everything, as a confining one");
    }
    let profile = Profile::load(rig, "a")?;
    let mut bundle = bundle(rig, &profile.0)?;
    bundle.set("process.noNewPrivileges", true);
    let inside = rig.report(&mut bundle, &VERBS)?;
    inside.is("nnp", "1")?;
    is_confined(&inside, &profile.label())
}

/// The report of a container whose runtime is confined by a profile.
fn confined(rig: &Rig, by: &Profile, bundle: &mut Bundle) -> Outcome<Report> {
    bundle.verbs(&VERBS);
    let mut command = rig.launch("run", bundle, &[])?;
    by.confine(&mut command);
    Ok(run(&mut command, "")?.success()?.report())
}

fn apparmor_profile_of_mote_is_changed(rig: &mut Rig) -> Outcome {
    needs_apparmor()?;
    let (runtime, profile) = (Profile::load(rig, "a")?, Profile::load(rig, "b")?);
    is_confined(&confined(rig, &runtime, &mut bundle(rig, &profile.0)?)?, &profile.label())?;
    is_confined(&confined(rig, &runtime, &mut bundle(rig, "")?)?, &runtime.label())?;
    let inside = confined(rig, &runtime, &mut bundle(rig, "unconfined")?)?;
    inside.is(&format!("read:{CURRENT}"), "unconfined\n")?;
    inside.is(&format!("read:{KEPT}"), "kept")
}

/// With no_new_privs, a profile cannot be left, only stacked with another one (Linux 4.17).
fn apparmor_profile_of_mote_is_stacked(rig: &mut Rig) -> Outcome {
    needs_apparmor()?;
    if rig.is(Runtime::Runc) {
        return skip_allowed("runc fails");
    }
    let (runtime, profile) = (Profile::load(rig, "a")?, Profile::load(rig, "b")?);
    let mut bundle = bundle(rig, &profile.0)?;
    bundle.set("process.noNewPrivileges", true);
    let inside = confined(rig, &runtime, &mut bundle)?;
    is_confined(&inside, &format!("{}//&{}", runtime.0, profile.label()))
}

pub fn exec(rig: &Rig, options: &[&str]) -> Outcome<Output> {
    let words = [&["exec"], options, &[rig.id.as_str(), "/payload"], &VERBS].concat();
    rig.mote(&words)
}

fn apparmor_profile_applies_to_exec(rig: &mut Rig) -> Outcome {
    needs_apparmor()?;
    let profile = Profile::load(rig, "a")?;
    rig.waiting(&mut bundle(rig, &profile.0)?)?;
    is_confined(&exec(rig, &[])?.success()?.report(), &profile.label())?;
    // A process file without the member.
    let args = ["/payload"].into_iter().chain(VERBS).collect::<Vec<_>>();
    let process = json!({"args": args, "cwd": "/", "user": {"uid": 0i64, "gid": 0i64}});
    let file = rig.dir.join("process.json");
    fs::write(&file, process.to_string())?;
    let inside = rig.mote(&["exec", "--process", &file.display().to_string(), &rig.id])?;
    is_confined(&inside.success()?.report(), &profile.label())?;
    rig.delete()
}

fn apparmor_profile_of_exec(rig: &mut Rig) -> Outcome {
    needs_apparmor()?;
    let (profile, other) = (Profile::load(rig, "a")?, Profile::load(rig, "b")?);
    rig.waiting(&mut bundle(rig, &profile.0)?)?;
    is_confined(&exec(rig, &["--apparmor", &other.0])?.success()?.report(), &other.label())?;
    let inside = exec(rig, &["--apparmor", "unconfined"])?.success()?.report();
    inside.is(&format!("read:{CURRENT}"), "unconfined\n")?;
    failed_with(rig, &exec(rig, &["--apparmor", "mote-live-none"])?, "process.apparmorProfile")?;
    rig.delete()
}

/// Hooks before pivot_root run with the label of the runtime, later ones with that of the container.
fn apparmor_profile_of_hooks(rig: &mut Rig) -> Outcome {
    needs_apparmor()?;
    let profile = Profile::load(rig, "a")?;
    let mut bundle = bundle(rig, &profile.0)?;
    let program = rig.suite.payload.display().to_string();
    let points = ["createRuntime", "createContainer", "startContainer", "poststart"];
    for point in points {
        let outside = bundle.host_path(point).display().to_string();
        let inside = format!("/{point}");
        let (path, log) = match point {
            "startContainer" => ("/payload", &inside),
            _ => (program.as_str(), &outside),
        };
        let args = ["payload", "into", log.as_str(), "read", CURRENT].to_vec();
        bundle.set(&format!("hooks.{point}[+]"), json!({"path": path, "args": args}));
    }
    rig.report(&mut bundle, &["say", "ok"])?;
    for point in points {
        let label = if point == "startContainer" { profile.label() } else { label_of_runtime(rig)? };
        let report = Report::parse(&fs::read_to_string(bundle.host_path(point))?);
        same(point, report.get(&format!("read:{CURRENT}")), label)?;
    }
    Ok(())
}

/// Checks for one line of error with the field, and with the file on which podman matches. runc and crun only have to
/// fail.
pub fn failed_with(rig: &Rig, output: &Output, field: &str) -> Outcome {
    if rig.is(Runtime::Mote) {
        same("exit code", output.code(), 255)?;
        same("lines on the standard error", output.stderr.lines().count(), 1)?;
        contains("the error", &output.stderr, field)?;
        return contains("the error", &output.stderr, "`/proc/self/attr/");
    }
    same("success", output.status.success(), false)
}

/// CRIU restores the profile that it has dumped, or the one of an option.
fn apparmor_profile_after_a_restore(rig: &mut Rig) -> Outcome {
    needs_apparmor()?;
    checkpoint::needs_criu(rig)?;
    let (profile, other) = (Profile::load(rig, "dumped")?, Profile::load(rig, "other")?);
    let mut bundle = bundle(rig, &profile.0)?;
    let label = |rig: &Rig| -> Outcome<String> {
        Ok(fs::read_to_string(format!("/proc/{}/attr/current", rig.pid()?))?)
    };
    let _running = checkpoint::container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    same("the label", label(rig)?, profile.label())?;
    let _running = checkpoint::cycle(rig, &bundle, (&[], &[]))?;
    same("the restored label", label(rig)?, profile.label())?;
    let option = format!("apparmor:{}", other.0);
    let mut running = checkpoint::cycle(rig, &bundle, (&[], &["--lsm-profile", &option]))?;
    same("the label of the option", label(rig)?, other.label())?;
    checkpoint::signal(rig)?;
    same("the state", running.lines.next()?.as_str(), "state=1 true 1")?;
    rig.delete()
}

fn apparmor_profile_not_loaded_is_rejected(rig: &mut Rig) -> Outcome {
    needs_apparmor()?;
    let bundle = bundle(rig, "mote-live-none")?;
    let words = ["process.apparmorProfile", "`/proc/self/attr/", "exec`", "no such file or directory"];
    rig.rejected(&bundle, &words)?;
    let create = run(&mut rig.launch("create", &bundle, &[])?, "")?;
    rig.failure(&create, &words)?;
    rig.nothing_left()
}

fn apparmor_profile_without_apparmor_is_rejected(rig: &mut Rig) -> Outcome {
    if has_apparmor() {
        return skip_allowed("AppArmor is enabled");
    }
    if rig.is(Runtime::Crun) {
        return skip_allowed("crun ignores it");
    }
    rig.rejected(
        &bundle(rig, "mote-live-none")?,
        &["process.apparmorProfile", "`/proc/self/attr/", "exec`"],
    )?;
    rig.waiting(&mut bundle(rig, "")?)?;
    failed_with(rig, &exec(rig, &["--apparmor", "mote-live-none"])?, "process.apparmorProfile")?;
    rig.delete()
}

/// Everything is unconfined without AppArmor.
fn apparmor_unconfined_without_apparmor(rig: &mut Rig) -> Outcome {
    if has_apparmor() {
        return skip_allowed("AppArmor is enabled");
    }
    if rig.is(Runtime::Runc) {
        return skip_allowed("runc rejects it");
    }
    rig.report(&mut bundle(rig, "unconfined")?, &VERBS)?.is(&format!("read:{KEPT}"), "kept")
}
