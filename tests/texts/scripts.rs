//! `.ci/run` and `scripts/test` with stubs for the other scripts: `.ci/run` fails if something was not tested, and
//! `scripts/test` sets up the same environment for every caller.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::scratch::{Scratch, executable};

const HOME: &str = env!("CARGO_MANIFEST_DIR");

/// A checkout with one real script, and stubs with these lines.
fn checkout(script: &str, others: &[(&str, &str)]) -> (Scratch, PathBuf) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let scratch = Scratch::new(&format!("clone-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
    let own = scratch.0.join("a clone").join(script);
    for (path, text) in others {
        executable(&scratch.0.join("a clone").join(path), &format!("#!/bin/bash\n{text}\n"));
    }
    executable(&own, &fs::read_to_string(format!("{HOME}/{script}")).unwrap());
    (scratch, own)
}

/// Runs `.ci/run`, where everything succeeds except for `scripts/vm`, which is this line.
fn ci(must: Option<&str>, vm: &str) -> Output {
    let others = [
        ("scripts/build", "echo any-target"),
        ("scripts/test", "echo TESTED $*"),
        ("scripts/vm", vm),
        ("scripts/layout", "echo LAYOUT $*"),
        ("scripts/reproduce", "echo REPRODUCED $*"),
        ("tests/nix/run", "echo NIX"),
        ("bin/cargo", ""),
        ("bin/rustc", "echo /nowhere"),
        ("bin/rustup", ""),
    ];
    let (scratch, own) = checkout(".ci/run", &others);
    let path = format!("{}:/usr/bin:/bin", scratch.0.join("a clone/bin").display());
    let mut command = Command::new(own);
    match must {
        Some(must) => command.env("MUST", must),
        None => command.env_remove("MUST"),
    };
    command.env("PATH", path).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn ci_passes_when_all_was_tested() {
    let output = ci(None, "echo VM $1; echo MUST $MUST");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    for line in [
        "TESTED\n",
        "VM build\n",
        "VM test\n",
        "MUST 1\n",
        "REPRODUCED --tiny\n",
        "NIX\n",
        "LAYOUT --check\n",
        "TESTED --tiny ^",
    ] {
        assert!(text.contains(line), "{line:?} is not in {text}");
    }
}

#[test]
fn ci_fails_when_something_was_not_tested() {
    // The machine cannot be built; the time limit is reached before its tests have ended.
    for vm in ["[ $1 != build ]", "[ $1 != test ] || exit 124"] {
        for (must, passes) in [(None, false), (Some("1"), false), (Some("0"), true)] {
            let output = ci(must, vm);
            assert_eq!(output.status.success(), passes, "MUST={must:?}, {vm}: {output:?}");
            assert!(String::from_utf8_lossy(&output.stdout).contains("NOT TESTED"), "{output:?}");
        }
    }
}

#[test]
fn ci_fails_when_tests_fail_in_the_machine() {
    for status in [1, 125] {
        let output = ci(Some("0"), &format!("[ $1 != test ] || exit {status}"));
        assert_eq!(output.status.code(), Some(status), "{output:?}");
    }
}

/// It gives its children an empty standard input, files that other users can read, a directory that they can enter, and
/// a PATH with cargo.
#[test]
fn tests_run_in_the_same_environment() {
    let cargo = "[[ $* != *--message-format* ]] || echo '\"name\":\"live\" \"executable\":\"/bin/true\"'\n\
                 [[ $* != *--lib* ]] || echo \"umask $(umask), input $(readlink /proc/self/fd/0), TMPDIR ${TMPDIR-none}\"";
    let build = "mkdir -p target; cp /bin/true target/mote";
    let others = [("home/.cargo/bin/cargo", cargo), ("scripts/build", build)];
    let (scratch, own) = checkout("scripts/test", &others);
    let (home, closed) = (scratch.0.join("a clone/home"), scratch.0.join("closed"));
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let mut command = Command::new("/bin/sh");
    command.arg0("sh").args(["-c", "umask 077; exec \"$0\" <&-"]).arg(own);
    command.env_remove("CARGO_HOME").env_remove("MOTE").env("HOME", &home);
    command.env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("TMPDIR", &closed);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    assert!(text.contains("umask 0022, input /dev/null, TMPDIR "), "{text}");
    // Without root, there are no tests as other users.
    let root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let given = if root { "/tmp".to_string() } else { closed.display().to_string() };
    assert!(text.contains(&format!("TMPDIR {given}\n")), "{text}");
}
