//! `linux.resources.devices`: which devices a container may open and create, with the lists of v1 and the BPF programs
//! of v2.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::{unified, unified_top};
use crate::bundle::Bundle;
use crate::check::{Outcome, different, holds, same, skip_allowed};
use crate::json;
use crate::json::Json;
use crate::rig::{DeniedCalls, Layout, Rig, Runtime};
use crate::sys;
use crate::tests_in_layouts;

tests_in_layouts![
    devices_by_default,
    devices_denied_except_defaults,
    devices_with_one_allowed,
    devices_all_allowed,
    devices_of_a_major_allowed,
    device_denied_in_an_allowed_group,
    devices_allowed_to_be_read,
    devices_denied_to_be_written,
    devices_allowed_by_two_rules,
    devices_without_deny_first,
    devices_of_a_new_node,
    devices_in_a_user_namespace,
    devices_of_exec,
    device_list_on_v1,
    device_program_is_removed_with_the_container,
    device_program_denied_by_a_sandbox,
    device_program_does_not_change_the_memlock_limit,
];

/// Device nodes of the bundle: some of the kernel that are not default devices, and some without a driver.
const NODES: [(&str, &str, i64, i64); 8] = [
    ("mem", "c", 1, 1),
    ("console", "c", 5, 1),
    ("tun", "c", 10, 200),
    ("fuse", "c", 10, 229),
    ("mine", "c", 240, 77),
    ("other", "c", 240, 78),
    ("far", "c", 241, 77),
    ("block", "b", 240, 77),
];

/// A bundle with these device nodes and rules.
fn with(rig: &Rig, rules: Option<Json>) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    for (name, kind, major, minor) in NODES {
        let path = format!("/dev/own/{name}");
        let node = json!({"path": (path), "type": kind, "major": major, "minor": minor});
        bundle.set("linux.devices[+]", node);
    }
    if let Some(rules) = rules {
        bundle.set("linux.resources.devices", rules);
    }
    Ok(bundle)
}

/// Checks the result of `open`, `write` and `open_rw` for these device nodes, given as `verb name`: first those allowed,
/// then those denied. Opening a device without a driver fails with ENXIO if it is allowed.
fn check(rig: &Rig, rules: Option<Json>, allowed: &[&str], denied: &[&str]) -> Outcome {
    let mut bundle = with(rig, rules)?;
    let always = ["/dev/null", "/dev/zero", "/dev/full", "/dev/urandom", "/dev/ptmx"];
    let words =
        |text: &&str| text.split_once(' ').map(|(verb, name)| (verb.to_string(), format!("/dev/own/{name}")));
    let tries: Vec<(String, String)> = allowed.iter().chain(denied).filter_map(words).collect();
    let verbs = tries.iter().flat_map(|(verb, path)| [verb.as_str(), path.as_str()]);
    let verbs: Vec<&str> = always.iter().flat_map(|path| ["open_rw", path]).chain(verbs).collect();
    let inside = rig.report(&mut bundle, &verbs)?;
    for path in always {
        inside.is(&format!("open_rw:{path}"), "ok")?;
    }
    for (index, (verb, path)) in tries.iter().enumerate() {
        let key = format!("{verb}:{path}");
        match index < allowed.len() {
            true => different(&key, inside.get(&key), "!EPERM")?,
            false => inside.is(&key, "!EPERM")?,
        }
    }
    Ok(())
}

fn deny_all() -> Json {
    json!({"allow": false, "access": "rwm"})
}

fn allow_all() -> Json {
    json!({"allow": true, "access": "rwm"})
}

/// A device is denied if no rule allows it.
fn devices_by_default(rig: &mut Rig) -> Outcome {
    let denied = ["open mem", "open console", "open fuse", "open mine", "write mine", "open block"];
    check(rig, None, &["open tun", "open_rw tun"], &denied)?;
    check(rig, Some(Json::List(Vec::new())), &["open_rw tun"], &denied)
}

/// The default devices are allowed whatever the rules are; others are denied before a driver is looked up.
fn devices_denied_except_defaults(rig: &mut Rig) -> Outcome {
    let denied = ["open mem", "open console", "open mine", "open_rw mine", "open block"];
    check(rig, Some(json!([(deny_all())])), &["open_rw tun"], &denied)
}

fn devices_with_one_allowed(rig: &mut Rig) -> Outcome {
    let one = json!({"allow": true, "type": "c", "major": 240i64, "minor": 77i64, "access": "rw"});
    let rules = json!([(deny_all()), (one)]);
    let allowed = ["open mine", "write mine", "open_rw mine"];
    check(rig, Some(rules), &allowed, &["open other", "open far", "open block", "open console"])
}

fn devices_all_allowed(rig: &mut Rig) -> Outcome {
    let allowed = ["open console", "open_rw mine", "write far", "open_rw block"];
    check(rig, Some(json!([(allow_all())])), &allowed, &[])?;
    check(rig, Some(json!([(deny_all()), (allow_all())])), &allowed, &[])
}

fn devices_of_a_major_allowed(rig: &mut Rig) -> Outcome {
    let group = json!({"allow": true, "type": "c", "major": 240i64, "minor": (-1i64), "access": "rw"});
    let denied = ["open far", "open block", "open fuse"];
    check(rig, Some(json!([(deny_all()), (group)])), &["open_rw mine", "open_rw other"], &denied)
}

/// One device of a group that is allowed. v1 lists cannot express that: the kernel would accept the rule and ignore it.
fn device_denied_in_an_allowed_group(rig: &mut Rig) -> Outcome {
    let group = json!({"allow": true, "type": "c", "major": 240i64, "access": "rw"});
    let one = json!({"allow": false, "type": "c", "major": 240i64, "minor": 77i64, "access": "rw"});
    check(
        rig,
        Some(json!([(allow_all()), (one.clone())])),
        &["open_rw other", "open_rw far"],
        &["open mine"],
    )?;
    let rules = json!([(deny_all()), (group), (one)]);
    if unified(rig) {
        return check(rig, Some(rules), &["open_rw other"], &["open mine", "write mine", "open far"]);
    }
    let mut bundle = with(rig, Some(rules))?;
    bundle.verbs(&[]);
    rig.rejected(&bundle, &["linux.resources.devices"])
}

fn devices_allowed_to_be_read(rig: &mut Rig) -> Outcome {
    let rules = json!([(deny_all()), {"allow": true, "type": "a", "access": "r"}]);
    let denied = ["write mine", "open_rw mine", "open_rw block"];
    check(rig, Some(rules), &["open mine", "open far", "open block"], &denied)
}

fn devices_denied_to_be_written(rig: &mut Rig) -> Outcome {
    let deny = json!({"allow": false, "type": "a", "major": 240i64, "access": "w"});
    let denied = ["write mine", "open_rw mine", "open_rw block"];
    check(rig, Some(json!([(allow_all()), (deny)])), &["open mine", "open block", "open_rw far"], &denied)
}

/// Reading allowed by one rule, writing by another. A v1 list needs one rule for both.
fn devices_allowed_by_two_rules(rig: &mut Rig) -> Outcome {
    let read = json!({"allow": true, "type": "c", "major": 240i64, "access": "r"});
    let write = json!({"allow": true, "type": "c", "minor": 77i64, "access": "w"});
    let rules = Some(json!([(deny_all()), (read), (write)]));
    let allowed = ["open mine", "write mine", "open other", "write far"];
    let denied = ["write other", "open_rw other", "open far", "open_rw far", "write block"];
    match unified(rig) {
        true => check(rig, rules, &[&allowed[..], &["open_rw mine"]].concat(), &denied),
        false => check(rig, rules, &allowed, &[&denied[..], &["open_rw mine"]].concat()),
    }
}

/// A list that allows something denies everything else, even if its first rule does not.
fn devices_without_deny_first(rig: &mut Rig) -> Outcome {
    let one = json!({"allow": true, "type": "c", "major": 240i64, "minor": 77i64, "access": "rwm"});
    check(
        rig,
        Some(json!([(one)])),
        &["open_rw mine", "open_rw tun"],
        &["open mem", "open other", "open block"],
    )
}

/// Creating nodes is allowed, opening them is not.
fn devices_of_a_new_node(rig: &mut Rig) -> Outcome {
    let mut bundle = with(rig, Some(json!([(deny_all())])))?;
    for list in ["bounding", "effective", "permitted"] {
        bundle.set(&format!("process.capabilities.{list}[+]"), "CAP_MKNOD");
    }
    let verbs = "device /dev/a c 1 3 open_rw /dev/a device /dev/b c 240 77 open /dev/b \
        device /dev/c b 240 77 open /dev/c";
    let inside = rig.report(&mut bundle, &verbs.split(' ').collect::<Vec<_>>())?;
    inside.is("open_rw:/dev/a", "ok")?;
    for path in ["/dev/b", "/dev/c"] {
        inside.is(&format!("device:{path}"), "ok")?;
        inside.is(&format!("open:{path}"), "!EPERM")?;
    }
    Ok(())
}

/// In a user namespace, devices are bind-mounted from the host.
fn devices_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    bundle.set("linux.resources.devices", json!([(deny_all())]));
    let own = rig.dir.join("node");
    sys::mknod(&own, libc::S_IFCHR | 0o666, 240, 77)?;
    bundle.file("/etc/node", "")?;
    bundle.bind(&own, "/etc/node", &["bind"]);
    let inside = rig.report(&mut bundle, &["open_rw", "/dev/null", "open", "/etc/node"])?;
    inside.is("open_rw:/dev/null", "ok")?;
    inside.is("open:/etc/node", "!EPERM")
}

/// An exec process is in the same cgroup.
fn devices_of_exec(rig: &mut Rig) -> Outcome {
    let _running = rig.waiting(&mut with(rig, None)?)?;
    let words = ["exec", &rig.id, "/payload", "open", "/dev/null", "open", "/dev/own/mine"];
    let inside = rig.mote(&words)?.success()?.report();
    inside.is("open:/dev/null", "ok")?;
    inside.is("open:/dev/own/mine", "!EPERM")?;
    rig.delete()
}

/// For v1 kernels, `a` means all devices, whatever follows: such a rule is written as one rule for each type.
fn device_list_on_v1(rig: &mut Rig) -> Outcome {
    if unified(rig) {
        return skip_allowed("v2 has no list");
    }
    let rules = json!([(deny_all()), {"allow": true, "type": "a", "access": "r"}]);
    let _running = rig.waiting(&mut with(rig, Some(rules))?)?;
    let list = Path::new("/sys/fs/cgroup/devices").join(&rig.cgroup).join("devices.list");
    let list = fs::read_to_string(list)?;
    // In addition, nodes of every device may be created.
    for line in ["b *:* rm", "c *:* rm"] {
        holds(&format!("{line} in {list}"), list.lines().any(|known| known == line))?;
    }
    holds(&format!("not all devices in {list}"), !list.starts_with('a'))?;
    rig.delete()
}

/// A program is attached while the container exists, unless v1 is in charge, and none is left afterwards.
fn device_program_is_removed_with_the_container(rig: &mut Rig) -> Outcome {
    if rig.layout == Layout::V1 {
        return skip_allowed("v1 has no BPF programs");
    }
    let _running = rig.waiting(&mut with(rig, None)?)?;
    let programs = sys::bpf::programs(&unified_top().join(&rig.cgroup))?;
    same("programs", programs.len(), usize::from(unified(rig)))?;
    holds("the program exists", programs.iter().all(|id| sys::bpf::exists(*id)))?;
    rig.delete()?;
    // The kernel removes the programs of a cgroup some time after rmdir(2), without an event.
    for _ in 0..400 {
        if !programs.iter().any(|id| sys::bpf::exists(*id)) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    holds("the program is removed", false)
}

/// If bpf(2) is denied, rules of the configuration are an error; the default rules are not.
fn device_program_denied_by_a_sandbox(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun have other rules");
    }
    const ERRORS: [DeniedCalls; 3] =
        [&[("bpf", libc::EPERM)], &[("bpf", libc::ENOSYS)], &[("bpf", libc::EINVAL)]];
    for denied in ERRORS {
        rig.denied = denied;
        rig.report(&mut with(rig, None)?, &["open_rw", "/dev/null"])?.is("open_rw:/dev/null", "ok")?;
        let mut bundle = with(rig, Some(json!([(deny_all())])))?;
        if !unified(rig) {
            rig.report(&mut bundle, &["open", "/dev/own/mine"])?.is("open:/dev/own/mine", "!EPERM")?;
            continue;
        }
        bundle.verbs(&[]);
        rig.rejected(&bundle, &["linux.resources.devices: bpf BPF_PROG_LOAD: "])?;
    }
    Ok(())
}

/// bpf(2) may fail for lack of locked memory: the runtime raises its limit for that, but not the limit of the
/// container.
fn device_program_does_not_change_the_memlock_limit(rig: &mut Rig) -> Outcome {
    rig.denied = &[("bpf", libc::EPERM)];
    let mut bundle = with(rig, None)?;
    bundle.verbs(&["limits"]);
    let launched = rig.launch("run", &bundle, &[])?;
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -S -l 16 && exec \"$@\"", "sh"]);
    command.arg(launched.get_program()).args(launched.get_args()).env("MOTE_LIVE", &rig.marker);
    rig.prepare(&mut command);
    let output = crate::command::run(&mut command, "")?.success()?;
    let report = output.report();
    let limit = report.get("limit:MEMLOCK");
    holds(&format!("{limit} begins with 16 KiB"), limit.starts_with("16384 "))
}
