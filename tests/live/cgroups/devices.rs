//! `linux.resources.devices`: what a container may open and make, with lists of v1 and programs of v2.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::{unified, unified_top};
use crate::bundle::Bundle;
use crate::check::{Outcome, different, holds, same, skip_allowed};
use crate::json;
use crate::json::Json;
use crate::rig::{Layout, Runtime, DeniedCalls, Rig};
use crate::sys;
use crate::tests_in_layouts;

tests_in_layouts![
    devices_by_default,
    devices_denied,
    devices_with_one_allowed,
    devices_all_allowed,
    devices_of_a_major_allowed,
    devices_denied_in_a_group,
    devices_allowed_to_be_read,
    devices_denied_to_be_written,
    devices_allowed_in_parts,
    devices_without_deny_first,
    devices_of_a_new_node,
    devices_in_a_user_namespace,
    devices_of_exec,
    device_list_is_as_planned,
    device_program_goes_with_the_container,
    device_program_refused,
    device_program_leaves_the_limit,
];

/// Devices of the bundle: those of the kernel that no container gets by itself, and some without a driver.
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

/// A bundle with these devices, and these rules.
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

/// How the kernel answers `open`, `write` and `both` of these, given as `verb name`: those allowed, those denied.
/// A device without a driver says ENXIO when it may be opened.
fn check(rig: &Rig, rules: Option<Json>, allowed: &[&str], denied: &[&str]) -> Outcome {
    let mut bundle = with(rig, rules)?;
    let always = ["/dev/null", "/dev/zero", "/dev/full", "/dev/urandom", "/dev/ptmx"];
    let words =
        |text: &&str| text.split_once(' ').map(|(verb, name)| (verb.to_string(), format!("/dev/own/{name}")));
    let tries: Vec<(String, String)> = allowed.iter().chain(denied).filter_map(words).collect();
    let verbs = tries.iter().flat_map(|(verb, path)| [verb.as_str(), path.as_str()]);
    let verbs: Vec<&str> = always.iter().flat_map(|path| ["both", path]).chain(verbs).collect();
    let inside = rig.report(&mut bundle, &verbs)?;
    for path in always {
        inside.is(&format!("both:{path}"), "ok")?;
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

/// What no configuration asked for is denied all the same.
fn devices_by_default(rig: &mut Rig) -> Outcome {
    let denied = ["open mem", "open console", "open fuse", "open mine", "write mine", "open block"];
    check(rig, None, &["open tun", "both tun"], &denied)?;
    check(rig, Some(Json::List(Vec::new())), &["both tun"], &denied)
}

/// The default devices work whatever the rules say; another is forbidden, before a driver is looked for.
fn devices_denied(rig: &mut Rig) -> Outcome {
    let denied = ["open mem", "open console", "open mine", "both mine", "open block"];
    check(rig, Some(json!([(deny_all())])), &["both tun"], &denied)
}

fn devices_with_one_allowed(rig: &mut Rig) -> Outcome {
    let one = json!({"allow": true, "type": "c", "major": 240i64, "minor": 77i64, "access": "rw"});
    let rules = json!([(deny_all()), (one)]);
    let allowed = ["open mine", "write mine", "both mine"];
    check(rig, Some(rules), &allowed, &["open other", "open far", "open block", "open console"])
}

fn devices_all_allowed(rig: &mut Rig) -> Outcome {
    let allowed = ["open console", "both mine", "write far", "both block"];
    check(rig, Some(json!([(allow_all())])), &allowed, &[])?;
    check(rig, Some(json!([(deny_all()), (allow_all())])), &allowed, &[])
}

fn devices_of_a_major_allowed(rig: &mut Rig) -> Outcome {
    let group = json!({"allow": true, "type": "c", "major": 240i64, "minor": (-1i64), "access": "rw"});
    let denied = ["open far", "open block", "open fuse"];
    check(rig, Some(json!([(deny_all()), (group)])), &["both mine", "both other"], &denied)
}

/// One of a group. Lists of v1 cannot say so, and the kernel would take it and do nothing.
fn devices_denied_in_a_group(rig: &mut Rig) -> Outcome {
    let group = json!({"allow": true, "type": "c", "major": 240i64, "access": "rw"});
    let one = json!({"allow": false, "type": "c", "major": 240i64, "minor": 77i64, "access": "rw"});
    check(rig, Some(json!([(allow_all()), (one.clone())])), &["both other", "both far"], &["open mine"])?;
    let rules = json!([(deny_all()), (group), (one)]);
    if unified(rig) {
        return check(rig, Some(rules), &["both other"], &["open mine", "write mine", "open far"]);
    }
    let mut bundle = with(rig, Some(rules))?;
    bundle.verbs(&[]);
    rig.rejected(&bundle, &["linux.resources.devices"])
}

fn devices_allowed_to_be_read(rig: &mut Rig) -> Outcome {
    let rules = json!([(deny_all()), {"allow": true, "type": "a", "access": "r"}]);
    let denied = ["write mine", "both mine", "both block"];
    check(rig, Some(rules), &["open mine", "open far", "open block"], &denied)
}

fn devices_denied_to_be_written(rig: &mut Rig) -> Outcome {
    let deny = json!({"allow": false, "type": "a", "major": 240i64, "access": "w"});
    let denied = ["write mine", "both mine", "both block"];
    check(rig, Some(json!([(allow_all()), (deny)])), &["open mine", "open block", "both far"], &denied)
}

/// Reading by one rule, writing by another. A list of v1 wants one rule for both.
fn devices_allowed_in_parts(rig: &mut Rig) -> Outcome {
    let read = json!({"allow": true, "type": "c", "major": 240i64, "access": "r"});
    let write = json!({"allow": true, "type": "c", "minor": 77i64, "access": "w"});
    let rules = Some(json!([(deny_all()), (read), (write)]));
    let allowed = ["open mine", "write mine", "open other", "write far"];
    let denied = ["write other", "both other", "open far", "both far", "write block"];
    match unified(rig) {
        true => check(rig, rules, &[&allowed[..], &["both mine"]].concat(), &denied),
        false => check(rig, rules, &allowed, &[&denied[..], &["both mine"]].concat()),
    }
}

/// A list that allows something begins with nothing allowed, whatever it says of that.
fn devices_without_deny_first(rig: &mut Rig) -> Outcome {
    let one = json!({"allow": true, "type": "c", "major": 240i64, "minor": 77i64, "access": "rwm"});
    check(rig, Some(json!([(one)])), &["both mine", "both tun"], &["open mem", "open other", "open block"])
}

/// Making nodes is allowed, using them is not.
fn devices_of_a_new_node(rig: &mut Rig) -> Outcome {
    let mut bundle = with(rig, Some(json!([(deny_all())])))?;
    for list in ["bounding", "effective", "permitted"] {
        bundle.set(&format!("process.capabilities.{list}[+]"), "CAP_MKNOD");
    }
    let verbs = "device /dev/a c 1 3 both /dev/a device /dev/b c 240 77 open /dev/b device /dev/c b 240 77 open /dev/c";
    let inside = rig.report(&mut bundle, &verbs.split(' ').collect::<Vec<_>>())?;
    inside.is("both:/dev/a", "ok")?;
    for path in ["/dev/b", "/dev/c"] {
        inside.is(&format!("device:{path}"), "ok")?;
        inside.is(&format!("open:{path}"), "!EPERM")?;
    }
    Ok(())
}

/// There devices are the host's, bound.
fn devices_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    bundle.set("linux.resources.devices", json!([(deny_all())]));
    let own = rig.dir.join("node");
    sys::mknod(&own, libc::S_IFCHR | 0o666, 240, 77)?;
    bundle.file("/etc/node", "")?;
    bundle.bind(&own, "/etc/node", &["bind"]);
    let inside = rig.report(&mut bundle, &["both", "/dev/null", "open", "/etc/node"])?;
    inside.is("both:/dev/null", "ok")?;
    inside.is("open:/etc/node", "!EPERM")
}

/// Who comes later is in the same cgroup.
fn devices_of_exec(rig: &mut Rig) -> Outcome {
    let _running = rig.waiting(&mut with(rig, None)?)?;
    let words = ["exec", &rig.id, "/payload", "open", "/dev/null", "open", "/dev/own/mine"];
    let inside = rig.mote(&words)?.success()?.report();
    inside.is("open:/dev/null", "ok")?;
    inside.is("open:/dev/own/mine", "!EPERM")?;
    rig.delete()
}

/// To a v1 kernel `a` is everything, whatever follows it: such a rule goes in as one for each type.
fn device_list_is_as_planned(rig: &mut Rig) -> Outcome {
    if unified(rig) {
        return skip_allowed("a program has no list");
    }
    let rules = json!([(deny_all()), {"allow": true, "type": "a", "access": "r"}]);
    let _running = rig.waiting(&mut with(rig, Some(rules))?)?;
    let list = Path::new("/sys/fs/cgroup/devices").join(&rig.cgroup).join("devices.list");
    let list = fs::read_to_string(list)?;
    // Beside it any node may be made.
    for line in ["b *:* rm", "c *:* rm"] {
        holds(&format!("{line} in {list}"), list.lines().any(|known| known == line))?;
    }
    holds(&format!("not all in {list}"), !list.starts_with('a'))?;
    rig.delete()
}

/// One is there while the container is, where v1 has no say, and none stays.
fn device_program_goes_with_the_container(rig: &mut Rig) -> Outcome {
    if rig.layout == Layout::V1 {
        return skip_allowed("v1 has no programs");
    }
    let _running = rig.waiting(&mut with(rig, None)?)?;
    let programs = sys::bpf::programs(&unified_top().join(&rig.cgroup))?;
    same("programs", programs.len(), usize::from(unified(rig)))?;
    holds("it is there", programs.iter().all(|id| sys::bpf::exists(*id)))?;
    rig.delete()?;
    // The kernel takes a cgroup's programs away in its own time after rmdir(2), and tells nobody.
    for _ in 0..400 {
        if !programs.iter().any(|id| sys::bpf::exists(*id)) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    holds("it is gone", false)
}

/// What was asked for is not passed over, and what was not is no reason to fail.
fn device_program_refused(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun have rules of their own");
    }
    const REFUSALS: [DeniedCalls; 3] =
        [&[("bpf", libc::EPERM)], &[("bpf", libc::ENOSYS)], &[("bpf", libc::EINVAL)]];
    for refused in REFUSALS {
        rig.denied = refused;
        rig.report(&mut with(rig, None)?, &["both", "/dev/null"])?.is("both:/dev/null", "ok")?;
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

/// A refusal may be for want of locked memory: the runtime tries with all that it may have, and the container's limit
/// is what it was.
fn device_program_leaves_the_limit(rig: &mut Rig) -> Outcome {
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
