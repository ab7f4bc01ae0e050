//! mote's evaluation of filters before they are loaded, compared with the interpreter and with the kernel.

use mote::internal::seccomp::ahead::{kills, refuses};
use mote::internal::seccomp::{
    ALLOW, Arch, ERRNO, Filter, KILL_PROCESS, KILL_THREAD, LOG, NOTIFY, TRACE, TRAP,
};
use mote::internal::sys::seccomp::Call as Known;

use crate::interpreter::{Call, native, run};
use crate::kernel::{call, child};
use crate::random::Random;
use crate::reference::number;
use crate::rows::rows;

const ANY: fn(u32) -> bool = |_| true;

fn program(instructions: &[(u16, u8, u8, u32)]) -> Filter<'static> {
    let one = |&(code, yes, no, value): &(u16, u8, u8, u32)| {
        let ([c0, c1], [v0, v1, v2, v3]) = (code.to_ne_bytes(), value.to_ne_bytes());
        u64::from_ne_bytes([c0, c1, yes, no, v0, v1, v2, v3])
    };
    Filter { instructions: instructions.iter().map(one).collect(), ..Filter::default() }
}

fn foreseen(program: &Filter<'_>, arguments: &[u64], bad: fn(u32) -> bool) -> Option<u32> {
    program.foresee(Known { name: "munlockall", arguments }, bad)
}

/// With all arguments known, the result is that of the interpreter. With unknown ones, a predicted denial is right.
#[test]
fn random_profiles_are_evaluated() {
    let mut random = Random(0xa4ead);
    let arch = Arch::native();
    let has = |name: &str| number(arch.name, name).is_some();
    let names: Vec<&'static str> = rows().into_iter().map(|row| row.0).filter(|name| has(name)).collect();
    let (mut predicted, mut open) = (0, 0);
    for _ in 0..400 {
        let profile = random.profile(vec![arch.name], &names, false);
        let compiled = profile.compile().unwrap();
        let program = native(&compiled.instructions);
        // The calls that the profile names, and another one.
        let is_named = |name: &&str| profile.lines.iter().any(|line| line.words().any(|word| word == *name));
        let mut named: Vec<&'static str> = names.iter().copied().filter(is_named).collect();
        named.push(names[random.below(names.len())]);
        for _ in 0..20 {
            let name = named[random.below(named.len())];
            let arguments: Vec<u64> = (0..6).map(|_| random.value()).collect();
            let args = [0, 1, 2, 3, 4, 5].map(|index| arguments[index]);
            let answer = run(&program, &Call::new(arch, number(arch.name, name).unwrap(), args)).verdict;
            assert_eq!(
                compiled.foresee(Known { name, arguments: &arguments }, ANY),
                Some(answer),
                "{profile:?}"
            );
            let shown = &arguments[..random.below(7)];
            match compiled.foresee(Known { name, arguments: shown }, refuses) {
                Some(_) => {
                    assert!(refuses(answer), "{name} {args:?}: {answer:#x} {profile:?}");
                    predicted += 1;
                }
                None if refuses(answer) => open += 1,
                None => {}
            }
        }
    }
    println!("{predicted} denials predicted, {open} that depend on unknown arguments");
    assert!(predicted > 1000 && open > 10, "{predicted} {open}");
}

#[test]
fn actions_are_classified() {
    for (answer, refused, killed) in [
        (ALLOW, false, false),
        (LOG, false, false),
        (TRACE | 5, false, false),
        (NOTIFY, false, false),
        (ERRNO | 1, true, false),
        // The call returns success without being executed.
        (ERRNO, true, false),
        (TRAP, true, true),
        (KILL_THREAD, true, true),
        (KILL_PROCESS, true, true),
        (0x1234_0000, true, true),
    ] {
        assert_eq!((refuses(answer), kills(answer)), (refused, killed), "{answer:#x}");
    }
}

/// SCMP_ACT_NOTIFY without a listener makes the call fail.
#[test]
fn notify_without_a_listener() {
    let mut notify = program(&[(0x06, 0, 0, NOTIFY)]);
    assert_eq!(foreseen(&notify, &[], refuses), Some(ERRNO | 38));
    notify.flags = 1 << 3;
    assert_eq!(foreseen(&notify, &[], refuses), None);
}

#[test]
fn unknown_results_are_not_predicted() {
    let compare = |offset, yes, no| program(&[(0x20, 0, 0, offset), (0x15, 0, 1, 7), yes, no]);
    let (pass, deny, kill) = ((0x06, 0, 0, ALLOW), (0x06, 0, 0, ERRNO | 1), (0x06, 0, 0, KILL_PROCESS));
    let low = if cfg!(target_endian = "little") { 24 } else { 28 };
    for (yes, no) in [(deny, pass), (pass, deny), (kill, pass)] {
        assert_eq!(foreseen(&compare(low, yes, no), &[7], refuses), None);
    }
    // Each path has a bad result, but not the same one.
    let both = compare(low, deny, kill);
    assert_eq!(foreseen(&both, &[], refuses), Some(ERRNO | 1));
    assert_eq!(foreseen(&both, &[], kills), None);
    assert_eq!(foreseen(&both, &[7, 8], kills), Some(KILL_PROCESS));
    // The instruction pointer is never known.
    for offset in [8, 12] {
        assert_eq!(foreseen(&compare(offset, deny, pass), &[7; 6], refuses), None);
    }
    // Nor is the result of a program that the kernel would reject.
    for wrong in [&[(0x20, 0, 0, 64), deny][..], &[(0x05, 0, 0, 9), deny], &[(0x15, 7, 7, 0), deny], &[]] {
        assert!(foreseen(&program(wrong), &[], ANY).is_none_or(refuses));
    }
    assert_eq!(foreseen(&program(&[]), &[], ANY), None);
}

/// With too many paths through a program, the evaluation gives up.
#[test]
fn program_with_many_paths() {
    let mut many: Vec<_> = (0..2000).flat_map(|_| [(0x20, 0, 0, 16), (0x45, 0, 0, 1)]).collect();
    many.push((0x06, 0, 0, KILL_PROCESS));
    assert_eq!(foreseen(&program(&many), &[], ANY), None);
    assert_eq!(foreseen(&program(&many), &[3], ANY), Some(KILL_PROCESS));
}

/// Programs with every instruction that the kernel accepts, loaded: the results of the kernel for the arguments of a
/// call are those of the evaluation.
#[test]
fn calculations_are_those_of_the_kernel() {
    let mut random = Random(0xca1c);
    for _ in 0..300 {
        // As long as registers are.
        let arguments: Vec<u64> = (0..6).map(|_| random.value() as usize as u64).collect();
        let program = program(&calculation(&mut random));
        let Some(answer) = foreseen(&program, &arguments, ANY) else { panic!("not foreseen") };
        let seen = child(|| match program.load() {
            // Exit codes have eight bits, two of which report errors of loading.
            Ok(_) => i32::from(call(libc::SYS_munlockall, &arguments) != (answer & 0xfff) as i32),
            Err(_) => 2,
        });
        assert_eq!(seen, 0, "{arguments:x?} {answer:#x} {:x?}", native(&program.instructions));
    }
}

/// A filter that allows everything except munlockall, which returns the result as its error number.
fn calculation(random: &mut Random) -> Vec<(u16, u8, u8, u32)> {
    let number = number(Arch::native().name, "munlockall").unwrap();
    let mut steps = vec![(0x20, 0, 0, 0), (0x15, 1, 0, number), (0x06, 0, 0, ALLOW)];
    // Every register is written before it is read.
    steps.extend([(0x80, 0, 0, 0), (0x81, 0, 0, 0), (0x02, 0, 0, 3), (0x03, 0, 0, 15)]);
    for _ in 0..12 {
        let value = random.value() as u32;
        let offset = 16 + 4 * random.below(12) as u32;
        steps.push(match random.below(13) {
            0 | 1 => (0x20, 0, 0, offset),
            2 => (0x01, 0, 0, value),
            3 => (0x07, 0, 0, 0),
            4 => (0x87, 0, 0, 0),
            5 => (0x02, 0, 0, 3),
            6 => (0x61, 0, 0, 3),
            7 => (0x60, 0, 0, 15),
            8 => (0x84, 0, 0, 0),
            // Jumps to the next instruction, or over it; the last instruction is no jump.
            9 => (
                [0x15, 0x25, 0x35, 0x45, 0x1d, 0x2d, 0x3d, 0x4d][random.below(8)],
                random.below(2) as u8,
                random.below(2) as u8,
                value,
            ),
            10 => ([0x64, 0x74][random.below(2)], 0, 0, value % 32),
            11 => (0x34, 0, 0, value | 1),
            _ => (
                [0x04, 0x14, 0x24, 0x44, 0x54, 0xa4, 0x0c, 0x1c, 0x2c, 0x4c, 0x5c, 0xac][random.below(12)],
                0,
                0,
                value,
            ),
        });
    }
    steps.extend([(0x03, 0, 0, 0), (0x54, 0, 0, 0x7ff), (0x44, 0, 0, ERRNO | 0x800), (0x16, 0, 0, 0)]);
    steps
}

/// The kernel stops a program that divides by zero, and kills the thread.
#[test]
fn division_by_zero_kills() {
    let divide = program(&[(0x00, 0, 0, 5), (0x01, 0, 0, 0), (0x3c, 0, 0, 0), (0x06, 0, 0, ALLOW)]);
    assert_eq!(foreseen(&divide, &[], ANY), Some(KILL_THREAD));
}
