//! The size of programs and the number of instructions per call, which is also the cost of loading, as the kernel runs
//! a new filter once for every number.

use mote::internal::seccomp::Arch;

use crate::engines::profile;
use crate::interpreter::{Call, Instruction, native, run};
use crate::library::Library;

const ALLOW: u32 = 0x7fff_0000;

/// The number of instructions, and of those executed for an allowed call of x86_64 without arguments: average and
/// maximum.
fn size(program: &[Instruction]) -> (usize, f64, usize) {
    let arch = Arch::find("X86_64").unwrap();
    let calls = (0..450).map(|number| run(program, &Call::new(arch, number, [0; 6])));
    let steps: Vec<usize> = calls.filter(|ran| ran.verdict == ALLOW).map(|ran| ran.steps).collect();
    let mean = steps.iter().sum::<usize>() as f64 / steps.len() as f64;
    (program.len(), mean, *steps.iter().max().unwrap())
}

#[test]
fn default_profiles_stay_small() {
    for (name, most, most_steps) in [("docker-20.10-blkio-throttle", 330, 20), ("buildah-1.28-bud", 400, 24)]
    {
        let profile = profile(name);
        let ours = size(&native(&profile.compile().unwrap().instructions));
        println!("{name}: (instructions, mean, worst) {ours:.1?}");
        assert!(ours.0 <= most && ours.2 <= most_steps, "{name}: {ours:?}");
    }
}

#[test]
fn compared_with_libseccomp() {
    let Some(mut library) = Library::start("compared_with_libseccomp") else { return };
    let profile = profile("docker-20.10-blkio-throttle");
    let ours = size(&native(&profile.compile().unwrap().instructions));
    for optimize in [1, 2] {
        let theirs = size(&library.compile(&profile, optimize).unwrap());
        println!("docker: {ours:.1?}; libseccomp {}, optimize {optimize}: {theirs:.1?}", library.version);
        assert!(ours.0 * 2 < theirs.0 && ours.1 < theirs.1, "{ours:?} {theirs:?}");
    }
}
