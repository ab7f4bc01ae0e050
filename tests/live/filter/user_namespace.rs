//! Filters of containers with a user namespace: they apply to the program, not to the setup of the container.

use crate::check::Outcome;
use crate::filter::{filtered, profile};
use crate::json;
use crate::namespaces::join::{proc_path, user_namespace_of_a_process};
use crate::rig::Rig;
use crate::tests;

tests!["filter", filter_denies_calls_of_the_setup_in_a_user_namespace];

/// Without no_new_privs, the filter is loaded with CAP_SYS_ADMIN of the container's user namespace only.
fn filter_denies_calls_of_the_setup_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    let calls = [
        "unshare",
        "setns",
        "clone3",
        "mount",
        "umount2",
        "fsopen",
        "fsconfig",
        "fsmount",
        "open_tree",
        "move_mount",
        "mount_setattr",
        "pivot_root",
        "chroot",
        "mknodat",
        "sethostname",
        "keyctl",
        "setsid",
        "symlinkat",
        "mkdirat",
    ];
    let (_holder, pid) = user_namespace_of_a_process(rig, &[])?;
    for no_new_privileges in [false, true] {
        for joined in [false, true] {
            let rule = json!({"names": (calls.to_vec()), "action": "SCMP_ACT_ERRNO", "errnoRet": 38i64});
            let mut bundle = filtered(rig, no_new_privileges, profile(vec![rule]))?;
            match joined {
                true => bundle.namespace("user", Some(&proc_path(pid, "user"))),
                false => bundle.user_namespace(100_000),
            }
            bundle.namespace("cgroup", None);
            let inside = rig.report(&mut bundle, &["unshare", "uts", "id", "nnp", "uts", "caps"])?;
            inside.is("unshare", "!ENOSYS")?;
            inside.is("uid", "0 0 0")?;
            inside.is("hostname", "inside")?;
            inside.is("nnp", if no_new_privileges { "1" } else { "0" })?;
            inside.is("cap:effective", "KILL NET_BIND_SERVICE AUDIT_WRITE")?;
        }
    }
    Ok(())
}
