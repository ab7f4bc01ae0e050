//! How large the programs are, and how many instructions a call costs, which is also what loading them costs: the
//! kernel runs a new filter once for every number.

use mote::seccomp::Arch;

use crate::engines::profile;
use crate::library::Library;
use crate::machine::{Call, Instruction, native, run};

const ALLOW: u32 = 0x7fff_0000;

/// Instructions, and those executed for an allowed call of x86_64 without arguments: on average and at worst.
fn shape(program: &[Instruction]) -> (usize, f64, usize) {
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
        let ours = shape(&native(&profile.compile().unwrap().instructions));
        println!("{name}: (instructions, mean, worst) {ours:.1?}");
        assert!(ours.0 <= most && ours.2 <= most_steps, "{name}: {ours:?}");
    }
}

#[test]
fn beside_libseccomp() {
    let Some(mut library) = Library::start("beside_libseccomp") else { return };
    let profile = profile("docker-20.10-blkio-throttle");
    let ours = shape(&native(&profile.compile().unwrap().instructions));
    for optimize in [1, 2] {
        let theirs = shape(&library.compile(&profile, optimize).unwrap());
        println!("docker: {ours:.1?}; libseccomp {}, optimize {optimize}: {theirs:.1?}", library.version);
        assert!(ours.0 * 2 < theirs.0 && ours.1 < theirs.1, "{ours:?} {theirs:?}");
    }
}
