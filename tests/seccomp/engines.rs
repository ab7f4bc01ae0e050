//! The profiles of engines, from the configurations of the golden plans.

use std::fs;

use mote::internal::config::Config;
use mote::internal::config::seccomp::Seccomp;

use crate::differential::{Known, Pair};
use crate::library::Library;
use crate::profile::{Line, OPERATORS, Profile};
use crate::random::Random;

/// Each distinct profile, with the name of the first file that has it.
pub fn captured() -> Vec<(String, Profile)> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/plan/real");
    let mut names: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    names.sort();
    let mut captured: Vec<(String, Profile)> = Vec::new();
    for path in names {
        let mut text = fs::read(&path).unwrap();
        let Ok(config) = Config::decode("config.json", &mut text) else { continue };
        let Some(section) = &config.linux.seccomp else { continue };
        let profile = read(section);
        if !captured.iter().any(|(_, there)| format!("{there:?}") == format!("{profile:?}")) {
            captured.push((path.file_stem().unwrap().to_str().unwrap().to_owned(), profile));
        }
    }
    assert!(captured.len() >= 10, "{}", captured.len());
    captured
}

/// The profile of a file, for x86_64.
pub fn profile(name: &str) -> Profile {
    captured().into_iter().find(|(first, _)| first == name).unwrap().1
}

fn read(section: &Seccomp<'_>) -> Profile {
    // The strings live as long as the text of the file; the vectors are leaked.
    let word = |word: &str, all: &'static [&'static str]| *all.iter().find(|known| **known == word).unwrap();
    let archs = section.architectures.iter().map(|arch| arch.strip_prefix("SCMP_ARCH_").unwrap());
    let archs = archs
        .map(|arch| mote::internal::seccomp::Arch::find(arch).unwrap().name)
        .filter(|arch| *arch != "X86_64");
    let lines = section.syscalls.iter().map(|rule| Line {
        action: word(rule.action, &mote::internal::config::seccomp::ACTIONS),
        errno: rule.errno_ret,
        names: rule.names.iter().map(|name| String::from_utf8(name.to_vec()).unwrap()).collect(),
        conditions: rule
            .args
            .iter()
            .map(|arg| {
                let op = OPERATORS.iter().position(|op| *op == arg.op).unwrap();
                (arg.index, op as u8, arg.value, arg.value_two)
            })
            .collect(),
    });
    Profile {
        archs: ["X86_64"].into_iter().chain(archs).collect(),
        default: word(section.default_action, &mote::internal::config::seccomp::ACTIONS),
        errno: section.default_errno_ret,
        lines: lines.collect(),
    }
}

/// Names whose number in the installed libseccomp differs from the table are removed before.
#[test]
fn profiles_of_engines() {
    let Some(mut library) = Library::start("profiles_of_engines") else { return };
    let mut known = Known::new(&mut library);
    let mut random = Random(0xe9e);
    for (name, mut profile) in captured() {
        for line in &mut profile.lines {
            line.names.retain(|name| known.agrees(&mut library, name));
        }
        profile.lines.retain(|line| !line.names.is_empty());
        let theirs = library.compile(&profile, 2).unwrap_or_else(|why| panic!("{name}: {why}"));
        let mut pair = Pair::new(&profile, Some(theirs));
        pair.every_call(&mut random, 200);
        println!("{name}: {} calls, {:?}", pair.calls, pair.differences);
        assert!(pair.differences.keys().all(|why| why.is_nonsense()), "{name}: {:?}", pair.differences);
    }
}
