//! Arranges the functions of mote by when they run: see scripts/layout.
//!
//! `layout write SCRIPT ID PROGRAM MAP STATE BUNDLES [PROGRAM MAP STATE BUNDLES]...` traces starts of containers with each
//! program, in the bundles `run`, whose program ends, and `create`, whose program does not, and replaces the generated part
//! of the linker script. `layout check` with the same arguments fails if the script does not fit the programs: a pattern
//! that matches nothing, or a function that ran and is in another part.

mod map;
mod script;
mod steps;

use std::collections::BTreeSet;
use std::env;
use std::process::ExitCode;

use map::Program;
use script::{Layout, Part};
use steps::{Phase, trace};

/// The commands that are traced, in this order; those of the first list start a container, with the bundle of their
/// name.
const STARTS: [&str; 2] = ["run", "create"];
const OTHERS: [&[&str]; 4] = [&["start"], &["state"], &["kill"], &["delete", "--force"]];

/// The functions that ran, with the part of the program in which they belong.
fn traced(program: &Program, id: &str, [file, state, bundles]: [&str; 3]) -> Layout {
    let command = |words: &[&str], last: &[&str]| -> Vec<String> {
        [&[file, "--root", state], words, last].concat().iter().map(|word| word.to_string()).collect()
    };
    let mut layout = Layout::default();
    for verb in STARTS {
        let bundle = format!("{bundles}/{verb}");
        for (phase, symbol) in trace(program, &command(&[verb, "--bundle"], &[&bundle, id])) {
            let part = match phase {
                Phase::Child => Part::Child,
                Phase::Late => Part::Host,
                Phase::Created => Part::Created,
                Phase::Early => Part::Plan,
            };
            layout.add(part, symbol);
        }
    }
    for words in OTHERS {
        for (_, symbol) in trace(program, &command(words, &[id])) {
            layout.add(Part::Small, symbol);
        }
    }
    layout
}

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let [mode, path, id, programs @ ..] = &words[..] else { return usage() };
    if !["write", "check"].contains(&mode.as_str()) || programs.is_empty() || programs.len() % 4 != 0 {
        return usage();
    }
    let mut layout = Layout::default();
    let (mut wrong, mut all) = (BTreeSet::new(), BTreeSet::new());
    for group in programs.chunks(4) {
        let [file, map, state, bundles] = group else { continue };
        let program = Program::read(map);
        let found = traced(&program, id, [file, state, bundles]);
        match mode.as_str() {
            "write" => layout.extend(found),
            _ => wrong.extend(found.misplaced(&program)),
        }
        all.extend(program.functions.into_iter().map(|function| format!(".text.{}", function.symbol)));
        all.extend(program.data);
    }
    if mode == "write" {
        script::replace(path, &layout, &all);
        return ExitCode::SUCCESS;
    }
    wrong.extend(script::unmatched(path, &all));
    wrong.iter().for_each(|line| println!("{line}"));
    ExitCode::from(u8::from(!wrong.is_empty()))
}

fn usage() -> ExitCode {
    eprintln!("usage: layout write|check SCRIPT ID PROGRAM MAP STATE BUNDLES [PROGRAM MAP STATE BUNDLES]...");
    ExitCode::from(64)
}
