//! Fuzz target: any bytes as `linux.seccomp` of a config.json, compiled for each architecture and run for some calls.
//! Compiling must not panic, and the kernel must accept every program.

#![no_main]

use mote::internal::seccomp::ahead::refuses;
use mote::internal::seccomp::{ARCHS, Context, Filter, compile};
use mote::internal::config::Config;
use mote::internal::sys::seccomp::Call;

const LISTENED: Context = Context { native: &ARCHS[0], has_receiver: true, ordinary: false };

/// Evaluates a program with more and with fewer known arguments: a result with fewer must be the same with more.
fn evaluate(program: &Filter<'_>) {
    for name in ["execve", "prctl", "no such call"] {
        let known = program.foresee(Call { name, arguments: &[24; 6] }, |_| true);
        for count in 0..6 {
            let less = program.foresee(Call { name, arguments: &[24; 6][..count] }, refuses);
            assert!(less.is_none() || known.is_some_and(refuses));
        }
    }
}

/// Runs a program for a call: it must return a result without leaving the program or loading invalid offsets.
fn run(program: &[u64], data: &[u32; 16]) {
    let (mut at, mut accumulator) = (0, None::<u32>);
    loop {
        let [c0, c1, yes, no, v0, v1, v2, v3] = program[at].to_ne_bytes();
        let value = u32::from_ne_bytes([v0, v1, v2, v3]);
        at += 1;
        let mut branch = |met: bool| at += usize::from(if met { yes } else { no });
        match u16::from_ne_bytes([c0, c1]) {
            0x06 => return,
            0x20 => accumulator = Some(data[value as usize / 4]),
            0x54 => accumulator = Some(accumulator.unwrap() & value),
            0x05 => at += value as usize,
            0x15 => branch(accumulator.unwrap() == value),
            0x25 => branch(accumulator.unwrap() > value),
            0x35 => branch(accumulator.unwrap() >= value),
            0x45 => branch(accumulator.unwrap() & value != 0),
            code => panic!("{code:#x}"),
        }
    }
}

libfuzzer_sys::fuzz_target!(|section: &[u8]| {
    let finished = std::str::from_utf8(section).ok();
    if let Some(Ok(program)) = finished.map(|text| Filter::from_base64(text, &[], LISTENED)) {
        evaluate(&program);
    }
    let before = br#"{"ociVersion": "1.0.0", "root": {"path": "r"}, "linux": {"seccomp": "#;
    let mut text = [before, section, b"}}"].concat();
    let Ok(config) = Config::decode("config.json", &mut text) else { return };
    let Some(section) = &config.linux.seccomp else { return };
    for native in &ARCHS {
        let Ok(program) = compile(section, Context { native, ..LISTENED }) else { continue };
        assert!((1..=4096).contains(&program.instructions.len()));
        evaluate(&program);
        for number in (0..500).chain([4000, 5000, 6000, 0x3fff_ffff, 0x4000_0000, 0x4000_0200, u32::MAX]) {
            let mut data = [number; 16];
            data[1] = native.audit;
            run(&program.instructions, &data);
        }
    }
});
