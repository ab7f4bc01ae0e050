//! Programs loaded into the kernel, in a child.
#![allow(unsafe_code)]

use mote::internal::seccomp::Filter;

use crate::profile::{Line, Profile};

/// Runs a function in a child. It must not allocate, as another thread may have held the allocator's lock.
pub fn child(work: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child only makes system calls, and exits without running anything else of the tests.
    match unsafe { libc::fork() } {
        -1 => panic!("fork"),
        0 => {
            // SAFETY: prctl(2) takes no pointers here.
            unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
            let code = work();
            // SAFETY: ends the child.
            unsafe { libc::syscall(libc::SYS_exit_group, code) };
            unreachable!()
        }
        pid => {
            let mut status = 0;
            // SAFETY: the status outlives the call.
            assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
            assert!(libc::WIFEXITED(status), "{status:#x}");
            libc::WEXITSTATUS(status)
        }
    }
}

fn errno_of(number: libc::c_long) -> i32 {
    call(number, &[u64::MAX, 0, 0, 0, 0, 0])
}

/// The error number of a call.
pub fn call(number: libc::c_long, arguments: &[u64]) -> i32 {
    let [a, b, c, d, e, f] = [0, 1, 2, 3, 4, 5].map(|index| arguments[index]);
    // SAFETY: the calls of the tests take no pointers, or are filtered.
    match unsafe { libc::syscall(number, a, b, c, d, e, f) } {
        -1 => std::io::Error::last_os_error().raw_os_error().unwrap_or(0),
        _ => 0,
    }
}

fn profile(action: &'static str, names: &[&str]) -> Profile {
    let line = |action, names: &[&str]| {
        let names = names.iter().map(ToString::to_string).collect();
        let errno = (action == "SCMP_ACT_ERRNO").then_some(44);
        Line { action, errno, names, conditions: Vec::new() }
    };
    let all = ["exit", "exit_group", "getpid", "close", "prctl", "seccomp", "cachestat"];
    let lines = vec![line("SCMP_ACT_ALLOW", &all), line(action, names)];
    Profile {
        archs: vec![mote::internal::seccomp::Arch::native().name],
        default: "SCMP_ACT_ERRNO",
        errno: None,
        lines,
    }
}

#[test]
fn program_is_effective() {
    let profile = profile("SCMP_ACT_ERRNO", &["sync"]);
    let program = profile.compile().unwrap();
    let code = child(|| match program.load() {
        Ok(None) => {
            let sync = errno_of(libc::SYS_sync) == 44;
            let (forbidden, newer) = (errno_of(libc::SYS_setuid) == 1, errno_of(600) == 38);
            i32::from(!(sync && forbidden && newer && errno_of(libc::SYS_getpid) == 0))
        }
        _ => 2,
    });
    assert_eq!(code, 0);
}

#[test]
fn listener_is_a_file_descriptor() {
    let profile = profile("SCMP_ACT_NOTIFY", &["sync"]);
    let mut section = profile.section();
    section.flags = vec!["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"];
    let context =
        mote::internal::seccomp::Context { native: profile.native(), has_receiver: true, ordinary: false };
    let program = mote::internal::seccomp::compile(&section, context).unwrap();
    assert!(program.has_listener());
    assert_eq!(program.flags, 1 | 1 << 3 | 1 << 4 | 1 << 5);
    let code = child(|| match program.load() {
        Ok(Some(listener)) => i32::from(rustix::fd::AsRawFd::as_raw_fd(&listener) < 3),
        _ => 2,
    });
    assert_eq!(code, 0);
}

/// As an older kernel does with unknown flags.
#[test]
fn rejected_flag_is_omitted() {
    let profile = profile("SCMP_ACT_ERRNO", &["sync"]);
    let program = Filter { flags: 1 | 1 << 1 | 1 << 2 | 1 << 20, ..profile.compile().unwrap() };
    let code = child(|| match program.load() {
        Ok(None) => i32::from(errno_of(libc::SYS_sync) != 44),
        _ => 2,
    });
    assert_eq!(code, 0);
}

#[test]
fn invalid_program_is_rejected() {
    let program = Filter { instructions: vec![u64::MAX], flags: 1 << 2, ..Filter::default() };
    let code = child(|| match program.load() {
        Err(error) => i32::from(error.errno()),
        Ok(_) => 0,
    });
    assert_eq!(code, libc::EINVAL);
}

#[test]
fn actions_of_the_kernel() {
    assert!(mote::internal::seccomp::is_action_available(mote::internal::seccomp::ALLOW));
    assert!(!mote::internal::seccomp::is_action_available(0x1234_0000));
}
