//! Single rules of a profile, and the errors of rejected profiles.

use mote::internal::config::seccomp::{Arg, Rule, Seccomp};
use mote::internal::seccomp::{Arch, Context, Filter, compile};

use crate::differential::Pair;
use crate::interpreter::{Call, check, native, run};
use crate::profile::{Line, Profile};
use crate::random::Random;

fn rule<'a>(action: &'a str, name: &'a str, args: &[(u8, &'a str, u64)]) -> Rule<'a> {
    let arg = |&(index, op, value): &(u8, &'a str, u64)| Arg { index, op, value, value_two: 0 };
    Rule { names: vec![name.as_bytes()], action, errno_ret: None, args: args.iter().map(arg).collect() }
}

fn section<'a>(default: &'a str, syscalls: Vec<Rule<'a>>) -> Seccomp<'a> {
    Seccomp { default_action: default, syscalls, ..Seccomp::default() }
}

fn rejected(section: &Seccomp<'_>) -> String {
    let context = Context { native: Arch::find("X86_64").unwrap(), has_receiver: false, ordinary: false };
    compile(section, context).map(drop).unwrap_err().to_string()
}

#[test]
fn rejected_profiles() {
    let one = |rule| rejected(&section("SCMP_ACT_ERRNO", vec![rule]));
    let allow = "SCMP_ACT_ALLOW";
    assert_eq!(
        rejected(&section("SCMP_ACT_NOTIFY", vec![])),
        "linux.seccomp: defaultAction: SCMP_ACT_NOTIFY needs listenerPath"
    );
    assert_eq!(rejected(&section("allow", vec![])), "linux.seccomp: defaultAction: unknown action \"allow\"");
    assert_eq!(
        one(Rule { errno_ret: Some(4096), ..rule("SCMP_ACT_ERRNO", "read", &[]) }),
        "linux.seccomp: syscalls[0]: action: error number 4096 is above 4095"
    );
    assert_eq!(
        one(rule(allow, "read", &[(0, "SCMP_CMP_EQ", 1), (6, "SCMP_CMP_EQ", 1)])),
        "linux.seccomp: syscalls[0]: args[1]: index: 6 is not within 0 and 5"
    );
    assert_eq!(
        one(rule(allow, "read", &[(0, "==", 1)])),
        "linux.seccomp: syscalls[0]: args[0]: op: unknown operator \"==\""
    );
    assert_eq!(
        one(rule("SCMP_ACT_NOTIFY", "read", &[])),
        "linux.seccomp: syscalls[0]: action: SCMP_ACT_NOTIFY needs listenerPath"
    );
    let odd = |architectures, flags| rejected(&Seccomp { architectures, flags, ..section(allow, vec![]) });
    assert_eq!(
        odd(vec!["SCMP_ARCH_VAX"], vec![]),
        "linux.seccomp: architectures[0]: SCMP_ARCH_VAX is not known"
    );
    assert_eq!(
        odd(vec!["SCMP_ARCH_X86", "SCMP_ARCH_S390X"], vec![]),
        "linux.seccomp: architectures[1]: SCMP_ARCH_S390X has another byte order than this machine"
    );
    assert_eq!(odd(vec![], vec!["TSYNC"]), "linux.seccomp: flags[0]: unknown flag \"TSYNC\"");
}

#[test]
fn listener_with_a_listener_path() {
    let context = Context { native: Arch::native(), has_receiver: true, ordinary: false };
    let notify = |name| section("SCMP_ACT_ERRNO", vec![rule("SCMP_ACT_NOTIFY", name, &[])]);
    for section in [notify("read"), notify("write"), section("SCMP_ACT_NOTIFY", vec![])] {
        assert!(compile(&section, context).unwrap().has_listener());
    }
    let no_receiver = Context { has_receiver: false, ..context };
    assert!(!compile(&section("SCMP_ACT_ALLOW", vec![]), no_receiver).unwrap().has_listener());
}

/// If the default action is SCMP_ACT_NOTIFY, new calls are notified, too.
#[test]
fn newer_calls_with_a_listener() {
    let context = Context { native: Arch::native(), has_receiver: true, ordinary: false };
    let newest = Call::new(Arch::native(), 900, [0; 6]);
    for (default, verdict) in [("SCMP_ACT_NOTIFY", 0x7fc0_0000), ("SCMP_ACT_KILL", 0x0005_0026)] {
        let section = section(default, vec![rule("SCMP_ACT_ALLOW", "openat", &[])]);
        let program = compile(&section, context).unwrap();
        assert_eq!(run(&native(&program.instructions), &newest).verdict, verdict);
    }
}

#[test]
fn flags() {
    let flags = |flags: &[&'static str]| {
        let context = Context { native: Arch::native(), has_receiver: false, ordinary: false };
        let section = Seccomp { flags: flags.to_vec(), ..section("SCMP_ACT_ALLOW", vec![]) };
        compile(&section, context).unwrap().flags
    };
    // SPEC_ALLOW is the default; WAIT_KILLABLE_RECV is for listeners only.
    assert_eq!(flags(&[]), 4);
    assert_eq!(flags(&["SECCOMP_FILTER_FLAG_LOG"]), 2);
    assert_eq!(flags(&["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]), 1);
}

#[test]
fn unknown_names_are_returned() {
    let rules = vec![rule("SCMP_ACT_ALLOW", "reed", &[]), rule("SCMP_ACT_ALLOW", "read", &[])];
    let context = Context { native: Arch::native(), has_receiver: false, ordinary: false };
    let section = section("SCMP_ACT_ERRNO", rules);
    assert_eq!(compile(&section, context).unwrap().unknown, [b"reed"]);
}

/// Every name on many architectures, with a rule for each: jumps of all lengths.
#[test]
fn large_program() {
    let mut random = Random(7);
    let names: Vec<&str> = crate::rows::rows().iter().map(|row| row.0).collect();
    let line = |(index, name): (usize, &&str)| Line {
        action: ["SCMP_ACT_ALLOW", "SCMP_ACT_TRAP"][index % 2],
        errno: None,
        names: vec![name.to_string()],
        conditions: if index % 3 == 0 { vec![(1, 6, index as u64, 0)] } else { Vec::new() },
    };
    let archs = vec!["X86_64", "X86", "X32", "ARM", "AARCH64"];
    let lines = names.iter().enumerate().map(line).collect();
    let profile = Profile { archs, default: "SCMP_ACT_ERRNO", errno: None, lines };
    let mut pair = Pair::new(&profile, None);
    println!("{} instructions", pair.ours.len());
    assert!(pair.ours.len() > 2000);
    pair.every_call(&mut random, 3);
}

#[test]
fn too_large_program_is_rejected() {
    for rules in [4000, 100_000] {
        let rules = (0..rules)
            .map(|value| rule("SCMP_ACT_ALLOW", "read", &[(0, "SCMP_CMP_EQ", value * 0x1_0000_0001)]));
        let error = rejected(&section("SCMP_ACT_ERRNO", rules.collect()));
        assert_eq!(error, "linux.seccomp: the filter has more than 4096 instructions");
    }
}

#[test]
fn encoded_programs() {
    let context = Context { native: Arch::native(), has_receiver: false, ordinary: false };
    // A return of SECCOMP_RET_ALLOW.
    let program = |text: &str| Filter::from_base64(text, &[], context).map_err(|error| error.to_string());
    let allow = if cfg!(target_endian = "little") { "BgAAAAAA/38=" } else { "AAYAAH//AAA=" };
    let program_of_one = program(allow).unwrap();
    let instructions = native(&program_of_one.instructions);
    check(&instructions);
    let ran = run(&instructions, &Call::new(Arch::native(), 0, [0; 6]));
    assert_eq!((ran.verdict, ran.steps), (0x7fff_0000, 1));
    assert_eq!(program_of_one.flags, 4);
    for wrong in ["BgAAAAAA/38", "BgAAAAAA/39=", "Bg==AAAA/38=", "BgAA AAA/38=", "BgAAAAAA/3==="] {
        assert_eq!(program(wrong).unwrap_err(), "not base64", "{wrong}");
    }
    let shape = |bytes| format!("{bytes} bytes, not 1 to 4096 instructions of 8 bytes");
    assert_eq!(program("").unwrap_err(), shape(0));
    assert_eq!(program("BgAAAAAA").unwrap_err(), shape(6));
    assert_eq!(program(&"AAAA".repeat(4097 * 8 / 3 + 1)).unwrap_err(), shape(32778 / 3 * 3));
    assert_eq!(program(&"AAAA".repeat(4096 * 8 / 8 * 8)).unwrap_err(), shape(3 * 4096 * 8));
}

/// Also for architectures that libseccomp may not support.
#[test]
fn random_profiles_equal_the_direct_evaluation() {
    let mut random = Random(0xb00c);
    let names: Vec<&str> = crate::rows::rows().iter().map(|row| row.0).collect();
    for index in 0..200 {
        let archs = vec![mote::internal::seccomp::ARCHS[index % 23].name];
        let archs = if archs[0] == "X32" { vec!["X86_64", "X32"] } else { archs };
        let profile = random.profile(archs, &names, false);
        Pair::new(&profile, None).every_call(&mut random, 8);
    }
}
