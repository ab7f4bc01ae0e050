//! The wheel for Python, installed in an environment of its own: its examples, its README, and all its functions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{HOME, blocks, build, library, shell, succeeds};
use crate::check::{Outcome, same, skip};
use crate::command::run;
use crate::rig::Rig;
use crate::tests;

tests![
    "library::python",
    alone: true,
    example_that_captures_output,
    example_of_a_job_queue,
    readme,
    example_of_the_page,
    all_functions,
    structures_are_those_of_mote_h,
];

fn example_that_captures_output(rig: &mut Rig) -> Outcome {
    let python = python(rig)?;
    let bundle = shell(rig, "exit")?;
    let mut command = Command::new(python);
    command.arg(Path::new(HOME).join("bindings/python/examples/capture.py")).arg(&bundle.dir).arg(&rig.state);
    let output = succeeds(rig, command.args(["/bin/busybox", "echo", "some", "words"]), 0)?;
    same("the output", output.stdout.as_str(), "code 0, output 'some words\\n'\n")?;
    rig.nothing_left()
}

fn example_of_a_job_queue(rig: &mut Rig) -> Outcome {
    let python = python(rig)?;
    let bundle = shell(rig, "[ $JOB != 3 ]")?;
    let mut command = Command::new(python);
    command.arg(Path::new(HOME).join("bindings/python/examples/jobs.py")).arg(&bundle.dir);
    let output = succeeds(rig, command.arg(&rig.state).arg("7"), 0)?;
    same("the output", output.stdout.as_str(), "6 of 7 jobs succeeded\n")?;
    rig.nothing_left()
}

/// The blocks of bindings/python/README.md, with the paths of this test.
fn readme(rig: &mut Rig) -> Outcome {
    let python = python(rig)?;
    let bundle = shell(rig, "exit 6")?;
    let blocks = blocks(rig, "bindings/python/README.md", "python", &bundle)?;
    same("the number of blocks", blocks.len(), 2)?;
    for mut program in blocks {
        if program.contains("async def main") {
            program += "import asyncio\nasyncio.run(main())\n";
        }
        let output = succeeds(rig, Command::new(&python).arg("-c").arg(program), 0)?;
        same("the output", output.stdout.as_str(), "6\n")?;
    }
    rig.nothing_left()
}

/// The block of docs/library.md.
fn example_of_the_page(rig: &mut Rig) -> Outcome {
    let python = python(rig)?;
    let bundle = shell(rig, "exit 8")?;
    let found = blocks(rig, "docs/library.md", "python", &bundle)?;
    same("the number of blocks", found.len(), 1)?;
    let output = succeeds(rig, Command::new(python).arg("-c").arg(found.concat()), 0)?;
    same("the output", output.stdout.as_str(), "exit code 8\n")?;
    rig.nothing_left()
}

fn all_functions(rig: &mut Rig) -> Outcome {
    let python = python(rig)?;
    let bundle = shell(rig, "trap 'exit 7' TERM; while :; do sleep 0.01; done")?;
    let mut command = Command::new(python);
    command.arg("-W").arg("error").arg(Path::new(HOME).join("tests/live/library/functions.py"));
    let output = succeeds(rig, command.arg(&bundle.dir).arg(&rig.state).arg(&rig.id), 0)?;
    same("the output", output.stdout.as_str(), "")?;
    rig.nothing_left()
}

/// Size and offsets of each member, as the C compiler has them.
fn structures_are_those_of_mote_h(rig: &mut Rig) -> Outcome {
    let python = python(rig)?;
    let (source, program) = (rig.dir.join("offsets.c"), rig.dir.join("offsets"));
    let list = "import ctypes, mote_runtime._native as n\n\
                for name, s in sorted(vars(n).items()):\n\
                \x20   if isinstance(s, type) and issubclass(s, ctypes.Structure) and s is not ctypes.Structure:\n\
                \x20       c = 'mote_' + ''.join('_' + x.lower() if x.isupper() else x for x in name).strip('_')\n\
                \x20       print(c, '-', ctypes.sizeof(s))\n\
                \x20       for field, *_ in s._fields_: print(c, field, getattr(s, field).offset)\n";
    let listed = succeeds(rig, Command::new(&python).arg("-c").arg(list), 0)?.stdout;
    let mut text = String::from("#include <mote.h>\n#include <stdio.h>\nint main(void) {\n");
    for line in listed.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [structure, member, _] = words[..] else { continue };
        let value = match member {
            "-" => format!("sizeof({structure})"),
            member => format!("offsetof({structure}, {member})"),
        };
        text += &format!("printf(\"{structure} {member} %zu\\n\", {value});\n");
    }
    fs::write(&source, text + "}\n")?;
    let include = Path::new(HOME).join("bindings/c");
    build(Command::new("cc").arg("-I").arg(include).arg("-o").arg(&program).arg(&source))?;
    let output = run(&mut Command::new(program), "")?.success()?;
    same("the structures", listed.lines().count() > 80, true)?;
    same("the structures", output.stdout.as_str(), listed.as_str())
}

/// Builds the wheel and installs it; returns the interpreter.
fn python(rig: &Rig) -> Outcome<PathBuf> {
    let library = library(rig)?;
    let environment = rig.dir.join("environment");
    let made = Command::new("python3").args(["-m", "venv"]).arg(&environment).output();
    if !made.is_ok_and(|made| made.status.success()) {
        return skip("no python3 with venv");
    }
    let pip = |words: &[&str]| {
        let mut command = Command::new(environment.join("bin/pip"));
        command.args(words).current_dir(&rig.dir).env("MOTE_LIBRARY", library.join("libmote.so"));
        build(command.env("PIP_DISABLE_PIP_VERSION_CHECK", "1"))
    };
    pip(&["wheel", "--no-index", "--no-deps", "-w", "wheels", &format!("{HOME}/bindings/python")])?;
    pip(&["install", "--no-index", "--find-links", "wheels", "mote-runtime"])?;
    Ok(environment.join("bin/python"))
}
