//! User, groups and capabilities that a process did not get from the configuration.

use crate::attack::only_mote;
use crate::check::{Outcome, different, holds, same};
use crate::command::{Output, run};
use crate::rig::{Rig, Runtime};
use crate::{json, tests};

tests![
    "cve",
    cve_2016_3697_number_as_a_user_name,
    cve_2016_8867_capabilities_of_a_user,
    cve_2022_29162_inheritable_capabilities,
    cve_2022_36109_groups_of_the_image,
    cve_2024_40635_user_id_beyond_32_bits,
    cve_2026_30892_exec_as_another_user,
];

/// CVE-2016-3697 (libcontainer), CVE-2018-9862 (runV): a numeric user was first looked up as a name in the /etc/passwd
/// of the image, where an entry of that name may have the UID 0. The runtime of today gets numbers only; here also from
/// `exec`. Fixed in runc 0.1.0, and no older one was at hand; mote has no code that looks up users by name.
fn cve_2016_3697_number_as_a_user_name(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.file("/etc/passwd", "1000:x:0:0::/root:/bin/sh\nroot:x:1000:1000::/stolen:/bin/sh\n")?;
    bundle.file("/etc/group", "1000:x:0:\n2000:x:0:\n")?;
    bundle.set("process.user", json!({"uid": 1000i64, "gid": 2000i64}));
    let inside = rig.report(&mut bundle, &["id"])?;
    inside.is("uid", "1000 1000 1000")?;
    inside.is("gid", "2000 2000 2000")?;
    let _running = rig.waiting(&mut bundle)?;
    let inside = rig.mote(&["exec", "--user", "1000:2000", &rig.id, "/payload", "id"])?.success()?.report();
    inside.is("uid", "1000 1000 1000")?;
    inside.is("gid", "2000 2000 2000")?;
    rig.delete()
}

/// CVE-2016-8867 (docker 1.12.2): runc gave the capabilities of the configuration to a user that is not root, as
/// ambient ones, so that programs of the image had them. Succeeds against crun 1.8.1 with `exec`, and against mote
/// if `caps.rs` raises the permitted capabilities as ambient ones.
fn cve_2016_8867_capabilities_of_a_user(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.user", json!({"uid": 1000i64, "gid": 1000i64}));
    let inside = rig.report(&mut bundle, &["caps"])?;
    bundle.verbs(&["wait", "1"]);
    let _running = rig.waiting(&mut bundle)?;
    let joined = rig.mote(&["exec", &rig.id, "/payload", "caps"])?.success()?.report();
    for (what, report) in [("init", inside), ("exec process", joined)] {
        for set in ["effective", "permitted", "inheritable", "ambient"] {
            same(&format!("{set} set of the {what}"), report.get(&format!("cap:{set}")), "")?;
        }
    }
    rig.delete()
}

/// CVE-2022-29162 (runc before 1.1.2), CVE-2022-27650 (crun before 1.4.4), CVE-2022-24769 (docker), CVE-2025-27612
/// (youki): the container init or an exec process had inheritable capabilities that were not requested, as a file
/// of the image could give itself those. Fixed in the versions of Debian; succeeds against mote if `caps.rs` makes
/// the permitted capabilities inheritable.
fn cve_2022_29162_inheritable_capabilities(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["caps", "wait", "1"]);
    let mut created = rig.create(&bundle, &[])?;
    rig.mote(&["start", &rig.id])?.success()?;
    created.lines.until("waiting=1")?.is("cap:inheritable", "")?;
    for words in [&[][..], &["--cap", "CAP_NET_RAW"]] {
        let words = [&["exec"], words, &[rig.id.as_str(), "/payload", "caps"]].concat();
        let output = run(&mut rig.command(&words), "")?;
        same("exit code", output.code(), 0)?;
        output.report().is("cap:inheritable", "")?;
    }
    rig.delete()
}

/// CVE-2022-36109 (docker), CVE-2022-2989 (podman), CVE-2022-2990 (buildah), CVE-2022-2995 (CRI-O), CVE-2023-25173
/// (containerd): a process had other supplementary groups than its image declares, so that permissions that exclude
/// a group did not apply. The engines determine the groups; the part of the runtime is to set exactly these,
/// whatever groups its caller has and the image lists. Succeeds against mote without setgroups(2).
fn cve_2022_36109_groups_of_the_image(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.file("/etc/passwd", "user:x:1000:1000::/:/bin/sh\n")?;
    bundle.file("/etc/group", "user:x:1000:\nextra:x:7:user\nroot:x:0:user\n")?;
    for (wanted, groups) in [(json!([7i64, 9i64]), "7 9"), (json!([]), "")] {
        bundle.set("process.user", json!({"uid": 1000i64, "gid": 1000i64, "additionalGids": wanted}));
        bundle.verbs(&["id"]);
        let mut command = rig.launch("run", &bundle, &[])?;
        crate::sys::before_exec(&mut command, || crate::sys::set_groups(&[0, 7, 44]));
        run(&mut command, "")?.success()?.report().is("groups", groups)?;
    }
    Ok(())
}

/// Rejected, without a process.
fn is_rejected(rig: &Rig, output: &Output, what: &str) -> Outcome {
    same(&format!("the standard output with {what}"), output.stdout.as_str(), "")?;
    different(&format!("exit code with {what}"), output.code(), 0)?;
    holds("one line on the standard error", output.stderr.lines().count() == 1 || !rig.is(Runtime::Mote))
}

/// CVE-2024-40635 (containerd): a user ID that exceeds 32 bits became another one, such as 0. So does an ID of
/// 4294967295, which setresuid(2) takes for "unchanged". Succeeds against crun 1.8.1, where 4294967295 is root, and
/// runc 1.1.5, where `exec --user 4294967296` is.
fn cve_2024_40635_user_id_beyond_32_bits(rig: &mut Rig) -> Outcome {
    const IDS: [i64; 6] = [4_294_967_295, 4_294_967_296, 4_294_968_296, 18_446_744_073_709, i64::MAX, -1];
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["id"]);
    for id in IDS {
        for member in ["uid", "gid"] {
            bundle.set("process.user", json!({}));
            bundle.set(&format!("process.user.{member}"), id);
            is_rejected(rig, &rig.run(&bundle, &[])?, &format!("{member} {id}"))?;
        }
    }
    bundle.set("process.user", json!({"uid": 1000i64, "gid": 1000i64}));
    let _running = rig.waiting(&mut bundle)?;
    for id in IDS {
        for user in [id.to_string(), format!("1:{id}")] {
            let output = rig.mote(&["exec", &format!("--user={user}"), &rig.id, "/payload", "id"])?;
            is_rejected(rig, &output, &format!("--user {user}"))?;
        }
    }
    rig.delete()
}

/// CVE-2026-30892 (crun 1.19 to 1.26): `exec -u 1` was parsed as UID 0. crun 1.8.1 is older than the error;
/// succeeds against mote if `cli/exec.rs` takes an invalid number for 0.
fn cve_2026_30892_exec_as_another_user(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    let exec = |user: &str| rig.mote(&["exec", &format!("--user={user}"), &rig.id, "/payload", "id"]);
    for (user, uid, gid) in
        [("1", 1, 0), ("10", 10, 0), ("1:2", 1, 2), ("0:1", 0, 1), ("1:0", 1, 0), ("00000000001", 1, 0)]
    {
        let inside = exec(user)?.success()?.report();
        inside.is("uid", &format!("{uid} {uid} {uid}"))?;
        inside.is("gid", &format!("{gid} {gid} {gid}"))?;
    }
    let short = rig.mote(&["exec", "-u", "1", &rig.id, "/payload", "id"])?.success()?.report();
    short.is("uid", "1 1 1")?;
    for user in [
        "", ":", "1:", ":1", ":0", "x", "1x", "0x1", "1:2:3", "-1", " 1", "1 ", "1,2", "root", "1:root",
        "1.5",
    ] {
        is_rejected(rig, &exec(user)?, &format!("--user {user:?}"))?;
    }
    rig.delete()
}
