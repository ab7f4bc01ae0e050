//! ID maps of an unprivileged user, which newuidmap(1) and newgidmap(1) write.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use crate::bundle::Bundle;
use crate::check::{Outcome, contains, same, skip};
use crate::command::start;
use crate::json;
use crate::rig::Rig;
use crate::rootless::{USER, as_ordinary_user, user_namespace_bundle};
use crate::{sys, tests};

tests![
    "rootless",
    id_helpers_map_ranges,
    id_helpers_with_file_capabilities,
    id_helpers_map_a_range_of_users_only,
    id_helpers_map_many_extents,
    id_helpers_and_exec,
    id_helpers_refuse_other_ranges,
    id_helpers_are_not_installed,
    id_helpers_without_privileges,
];

const PROGRAMS: [&str; 2] = ["/usr/bin/newuidmap", "/usr/bin/newgidmap"];

/// Ranges of UIDs and GIDs: (first, count).
pub type Ranges = (&'static [(u32, u32)], &'static [(u32, u32)]);

pub const RANGES: Ranges = (&[(100_000, 65536), (400_000, 100)], &[(200_000, 65536)]);

/// How the programs are installed.
#[derive(Clone, Copy, PartialEq)]
pub enum Programs {
    Setuid,
    /// With file capabilities instead of the set-user-ID bit, as some distributions install them.
    Capabilities,
    /// On a nosuid mount.
    Nosuid,
    /// They cannot be executed.
    Missing,
}

/// Skips the test if the programs are not installed, or files are missing over which it mounts its own.
pub fn needs_helpers() -> Outcome {
    let needed = PROGRAMS.into_iter().chain(["/etc/subuid", "/etc/subgid"]);
    match needed.into_iter().find(|path| !Path::new(path).exists()) {
        Some(missing) => skip(format_args!("{missing} is missing")),
        None => Ok(()),
    }
}

/// Makes the rig call the runtime as an ordinary user, in a mount namespace in which files of /etc list ranges of IDs for
/// it.
pub fn prepared(rig: &mut Rig, programs: Programs, (uids, gids): Ranges) -> Outcome {
    needs_helpers()?;
    as_ordinary_user(rig)?;
    let mut files = known_as(rig, USER, uids, gids)?;
    match programs {
        Programs::Setuid => {}
        Programs::Capabilities => {
            for program in PROGRAMS {
                files.push((with_capability(rig, program)?, program.to_string()));
            }
        }
        Programs::Nosuid => files.extend(PROGRAMS.map(|program| (program.to_string(), program.to_string()))),
        Programs::Missing => {
            files.extend(PROGRAMS.map(|program| ("/dev/null".to_string(), program.to_string())))
        }
    }
    mount_over(rig, files)
}

/// Writes copies of the files of /etc in which a user has the name `runner` and ranges of IDs (first, count); returns
/// their paths, and those in /etc.
pub fn known_as(
    rig: &Rig,
    user: u32,
    uids: &[(u32, u32)],
    gids: &[(u32, u32)],
) -> Outcome<Vec<(String, String)>> {
    let ranges = |ranges: &[(u32, u32)]| {
        ranges.iter().map(|(first, count)| format!("runner:{first}:{count}\n")).collect::<String>()
    };
    // The first line of a user is the one that counts.
    let passwd = format!("runner:x:{user}:{user}::/:/bin/sh\n") + &fs::read_to_string("/etc/passwd")?;
    let mut files = Vec::new();
    let group = format!("runner:x:{user}:\n") + &fs::read_to_string("/etc/group")?;
    for (name, text) in
        [("passwd", passwd), ("group", group), ("subuid", ranges(uids)), ("subgid", ranges(gids))]
    {
        let file = rig.dir.join(name);
        fs::write(&file, text)?;
        fs::set_permissions(&file, Permissions::from_mode(0o644))?;
        files.push((file.display().to_string(), format!("/etc/{name}")));
    }
    Ok(files)
}

/// Makes the rig call everything in a mount namespace in which these files are mounted: (source, destination).
pub fn mount_over(rig: &mut Rig, files: Vec<(String, String)>) -> Outcome {
    let user = rig.user.take();
    let mut command = rig.host(&["say", "mounted", "stdin"]);
    rig.user = user;
    sys::before_exec(&mut command, move || {
        sys::unshare(libc::CLONE_NEWNS)?;
        files.iter().try_for_each(|(from, to)| {
            sys::mount(from, Path::new(to), "", libc::MS_BIND, "")?;
            let nosuid = libc::MS_BIND | libc::MS_REMOUNT | libc::MS_NOSUID;
            if from == to { sys::mount("", Path::new(to), "", nosuid, "") } else { Ok(()) }
        })
    });
    let mut holder = start(&mut command, true)?;
    holder.lines.until("say=mounted")?;
    rig.mounts = Some(File::open(format!("/proc/{}/ns/mnt", holder.pid()))?);
    holder.status().map(drop)
}

/// A copy of a program with CAP_SETUID or CAP_SETGID in its effective set (`struct vfs_cap_data`, revision 2).
fn with_capability(rig: &Rig, program: &str) -> Outcome<String> {
    let copy = rig.dir.join(Path::new(program).file_name().unwrap_or_default());
    fs::copy(program, &copy)?;
    fs::set_permissions(&copy, Permissions::from_mode(0o755))?;
    let capability = if program.ends_with("newuidmap") { 7 } else { 6 };
    let words = [0x0200_0001_u32, 1 << capability, 0, 0, 0];
    let value: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    sys::set_attribute(&copy, c"security.capability", &value)?;
    Ok(copy.display().to_string())
}

/// A bundle with mappings: (ID in the container, ID on the host, size).
fn bundle(rig: &Rig, uids: &[(i64, i64, i64)], gids: &[(i64, i64, i64)]) -> Outcome<Bundle> {
    let mut bundle = user_namespace_bundle(rig)?;
    for (field, mappings) in [("linux.uidMappings", uids), ("linux.gidMappings", gids)] {
        bundle.set(field, json!([]));
        for (inside, host, size) in mappings {
            let map = json!({"containerID": (*inside), "hostID": (*host), "size": (*size)});
            bundle.set(&format!("{field}[+]"), map);
        }
    }
    Ok(bundle)
}

const OWN: i64 = USER as i64;

fn id_helpers_map_ranges(rig: &mut Rig) -> Outcome {
    map_ranges(rig, Programs::Setuid)
}

fn id_helpers_with_file_capabilities(rig: &mut Rig) -> Outcome {
    map_ranges(rig, Programs::Capabilities)
}

fn map_ranges(rig: &mut Rig, programs: Programs) -> Outcome {
    prepared(rig, programs, RANGES)?;
    let mut bundle = bundle(rig, &[(0, OWN, 1), (1, 100_000, 65536)], &[(0, OWN, 1), (1, 200_000, 65536)])?;
    bundle.set("process.user", json!({"uid": 7i64, "gid": 8i64, "additionalGids": [9i64]}));
    fs::set_permissions(bundle.host_path("tmp"), Permissions::from_mode(0o777))?;
    let verbs = ["id", "read", "/proc/self/uid_map", "read", "/proc/self/gid_map", "create", "/tmp/new"];
    let inside = rig.report(&mut bundle, &verbs)?;
    inside.is("uid", "7 7 7")?;
    inside.is("gid", "8 8 8")?;
    let map =
        |file: &str| inside.get(&format!("read:{file}")).split_whitespace().collect::<Vec<_>>().join(" ");
    same("uid_map", map("/proc/self/uid_map").as_str(), "0 12345 1 1 100000 65536")?;
    same("gid_map", map("/proc/self/gid_map").as_str(), "0 12345 1 1 200000 65536")?;
    inside.is("create:/tmp/new", "ok")?;
    let new = fs::metadata(bundle.host_path("tmp/new"))?;
    same("the owner on the host", (new.uid(), new.gid()), (100_006, 200_007))?;
    rig.nothing_left()
}

fn id_helpers_map_a_range_of_users_only(rig: &mut Rig) -> Outcome {
    prepared(rig, Programs::Setuid, RANGES)?;
    let mut bundle = bundle(rig, &[(0, OWN, 1), (1, 100_000, 10)], &[(0, OWN, 1)])?;
    let inside = rig.report(&mut bundle, &["id", "read", "/proc/self/setgroups"])?;
    inside.is("uid", "0 0 0")?;
    inside.is("read:/proc/self/setgroups", "deny\n")
}

fn id_helpers_map_many_extents(rig: &mut Rig) -> Outcome {
    prepared(rig, Programs::Setuid, RANGES)?;
    let many: Vec<(i64, i64, i64)> = (0..30).map(|number| (number, 100_000 + 2 * number, 1)).collect();
    let mut bundle = bundle(rig, &many, &[(0, 200_000, 40)])?;
    bundle.set("process.user", json!({"uid": 29i64, "gid": 39i64}));
    let inside = rig.report(&mut bundle, &["id", "read", "/proc/self/uid_map"])?;
    inside.is("uid", "29 29 29")?;
    same("extents", inside.get("read:/proc/self/uid_map").split_whitespace().count(), 90)
}

fn id_helpers_and_exec(rig: &mut Rig) -> Outcome {
    prepared(rig, Programs::Setuid, RANGES)?;
    let mut bundle = bundle(rig, &[(0, OWN, 1), (1, 100_000, 65536)], &[(0, OWN, 1), (1, 200_000, 65536)])?;
    rig.waiting(&mut bundle)?;
    let output = rig.mote(&["exec", "--user", "5:6", &rig.id, "/payload", "id"])?.success()?;
    output.report().is("uid", "5 5 5")?;
    output.report().is("gid", "6 6 6")?;
    rig.delete()
}

fn id_helpers_refuse_other_ranges(rig: &mut Rig) -> Outcome {
    prepared(rig, Programs::Setuid, RANGES)?;
    let good = [(0, OWN, 1)];
    for (uids, gids, words) in [
        (
            &[(0, 300_000, 10)][..],
            &good[..],
            ["linux.uidMappings: /usr/bin/newuidmap", "/etc/subuid", "12345:300000:10"],
        ),
        (
            &good,
            &[(0, OWN, 1), (1, 300_000, 7)],
            ["linux.gidMappings: /usr/bin/newgidmap", "/etc/subgid", "12345:300000:7"],
        ),
    ] {
        let mut bundle = bundle(rig, uids, gids)?;
        bundle.verbs(&["say", "here"]);
        let output = rig.run(&bundle, &[])?;
        for word in words {
            contains("the error", &output.stderr, word)?;
        }
        same("exit code", output.code(), 1)?;
    }
    rig.nothing_left()
}

fn id_helpers_are_not_installed(rig: &mut Rig) -> Outcome {
    prepared(rig, Programs::Missing, RANGES)?;
    let mut bundle = bundle(rig, &[(0, OWN, 1), (1, 100_000, 65536)], &[(0, OWN, 1)])?;
    bundle.verbs(&["say", "here"]);
    rig.rejected(&bundle, &["linux.uidMappings", "needs newuidmap", "/usr/bin", "uidmap"])
}

fn id_helpers_without_privileges(rig: &mut Rig) -> Outcome {
    prepared(rig, Programs::Nosuid, RANGES)?;
    let mut bundle = bundle(rig, &[(0, OWN, 1), (1, 100_000, 65536)], &[(0, OWN, 1)])?;
    bundle.verbs(&["say", "here"]);
    rig.rejected(&bundle, &["linux.uidMappings", "newuidmap", "nosuid mount"])?;
    rig.around = Some(|_| match sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1) {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    });
    rig.rejected(&bundle, &["linux.uidMappings", "newuidmap", "no_new_privs is set"])
}
