//! Filters for the other ABIs of a kernel (`linux.seccomp.architectures`): i386 and x32 on x86_64, ARM on aarch64, S390 on
//! s390x. A program of that ABI makes one call, getppid(2) with the argument 5, and exits with its error; in a PID namespace of
//! its own the result is 0.

use std::fs;

use super::{native_arch, rule};
use crate::check::{Outcome, contains, same, skip_allowed};
use crate::elf::Program;
use crate::json;
use crate::json::Json;
use crate::process::interpreter::program;
use crate::rig::Rig;
use crate::tests;

tests![
    "filter",
    foreign_call_is_filtered,
    foreign_argument_is_compared,
    foreign_call_with_a_native_number_is_another,
    foreign_abi_that_is_not_named_kills,
];

struct Abi {
    /// Without `SCMP_ARCH_`.
    name: &'static str,
    native: &'static str,
    /// Calls getppid(2) with the argument 5, and exits with its result, negated.
    program: Program,
    /// The call of the native ABI that has the number of getppid(2) in this one.
    same_number: Option<&'static str>,
}

/// The end of a killed process, 128 + SIGSYS.
const KILLED: i32 = 159;

static ABIS: [Abi; 4] = [
    Abi {
        name: "X86",
        native: "x86_64",
        program: Program {
            class: 1,
            is_big_endian: false,
            machine: 3,
            flags: 0,
            // mov $5, %ebx; mov $64, %eax; int $0x80; neg %eax; mov %eax, %ebx; mov $1, %eax; int $0x80
            code: b"\xbb\x05\0\0\0\xb8\x40\0\0\0\xcd\x80\xf7\xd8\x89\xc3\xb8\x01\0\0\0\xcd\x80",
        },
        same_number: Some("semget"),
    },
    Abi {
        name: "X32",
        native: "x86_64",
        program: Program {
            class: 2,
            is_big_endian: false,
            machine: 62,
            flags: 0,
            // mov $5, %edi; mov $0x4000006e, %eax; syscall; neg %eax; mov %eax, %edi; mov $231, %eax; syscall, which is
            // exit_group(2) of x86_64
            code: b"\xbf\x05\0\0\0\xb8\x6e\0\0\x40\x0f\x05\xf7\xd8\x89\xc7\xb8\xe7\0\0\0\x0f\x05",
        },
        same_number: None,
    },
    Abi {
        name: "ARM",
        native: "aarch64",
        program: Program {
            class: 1,
            is_big_endian: false,
            machine: 40,
            flags: 0x0500_0200,
            // mov r0, #5; mov r7, #64; svc 0; rsb r0, r0, #0; mov r7, #1; svc 0
            code: b"\x05\0\xa0\xe3\x40\x70\xa0\xe3\0\0\0\xef\0\0\x60\xe2\x01\x70\xa0\xe3\0\0\0\xef",
        },
        same_number: Some("write"),
    },
    Abi {
        name: "S390",
        native: "s390x",
        program: Program {
            class: 1,
            is_big_endian: true,
            machine: 22,
            flags: 0,
            // lhi %r2, 5; svc 64; lcr %r2, %r2; svc 1
            code: b"\xa7\x28\0\x05\x0a\x40\x13\x22\x0a\x01",
        },
        same_number: None,
    },
];

impl Abi {
    fn full_name(&self) -> String {
        format!("SCMP_ARCH_{}", self.name)
    }

    /// The exit status of the program with a filter that has these rules, and names this ABI or the native one only.
    fn run(&self, rig: &mut Rig, is_named: bool, rules: Vec<Json>) -> Outcome<i32> {
        let mut architectures = vec![native_arch()];
        architectures.extend(is_named.then(|| self.full_name()));
        let profile = json!({
            "defaultAction": "SCMP_ACT_ALLOW", "architectures": architectures, "syscalls": (Json::List(rules))
        });
        self.run_with(rig, Some(profile))
    }

    fn run_with(&self, rig: &mut Rig, profile: Option<Json>) -> Outcome<i32> {
        let mut bundle = rig.bundle()?;
        program(&bundle, "/foreign", &self.program.file())?;
        bundle.set("process.args", vec!["/foreign"]);
        if let Some(profile) = profile {
            bundle.set("linux.seccomp", profile);
        }
        let output = rig.run(&bundle, &[])?;
        let status = output.code();
        if status == 126 || status == 127 {
            contains("the error", &output.stderr, "exec format error")?;
        }
        fs::remove_dir_all(&bundle.dir)?;
        Ok(status)
    }
}

/// Checks each ABI that this kernel executes, given the status without a filter. x32 may be disabled: then the kernel does not
/// have the call, but runs the filter for it.
fn each(rig: &mut Rig, check: fn(&mut Rig, &Abi, i32) -> Outcome) -> Outcome {
    let mut names = Vec::new();
    for abi in ABIS.iter().filter(|abi| abi.native == std::env::consts::ARCH) {
        let unfiltered = abi.run_with(rig, None)?;
        if unfiltered == 0 || (abi.name, unfiltered) == ("X32", libc::ENOSYS) {
            check(rig, abi, unfiltered)?;
            names.push(abi.name);
        }
    }
    if names.is_empty() { skip_allowed("this kernel has no other ABI") } else { Ok(()) }
}

fn getppid(errno: i64, arguments: Vec<Json>) -> Json {
    let mut rule = rule("SCMP_ACT_ERRNO", &["getppid"]);
    rule.set("errnoRet", errno);
    rule.set("args", Json::List(arguments));
    rule
}

fn foreign_call_is_filtered(rig: &mut Rig) -> Outcome {
    each(rig, |rig, abi, _| same(abi.name, abi.run(rig, true, vec![getppid(7, vec![])])?, 7))
}

fn foreign_argument_is_compared(rig: &mut Rig) -> Outcome {
    each(rig, |rig, abi, unfiltered| {
        let rule = |errno: i64, value: i64| {
            getppid(errno, vec![json!({"index": 0, "op": "SCMP_CMP_EQ", "value": value})])
        };
        same(abi.name, abi.run(rig, true, vec![rule(8, 6), rule(9, 5)])?, 9)?;
        same(abi.name, abi.run(rig, true, vec![rule(8, 6), rule(9, 4)])?, unfiltered)
    })
}

fn foreign_call_with_a_native_number_is_another(rig: &mut Rig) -> Outcome {
    each(rig, |rig, abi, unfiltered| match abi.same_number {
        Some(name) => same(abi.name, abi.run(rig, true, vec![rule("SCMP_ACT_ERRNO", &[name])])?, unfiltered),
        None => Ok(()),
    })
}

/// As libseccomp does: a filter without an architecture would be bypassed by its calls. crun and runc kill the thread.
fn foreign_abi_that_is_not_named_kills(rig: &mut Rig) -> Outcome {
    each(rig, |rig, abi, _| {
        same(abi.name, abi.run(rig, false, vec![rule("SCMP_ACT_ERRNO", &["munlockall"])])?, KILLED)
    })
}
