//! The library for C: what it exports and needs, its examples, and arguments that are not valid.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{HOME, build, library, shell, succeeds};
use crate::check::{Outcome, contains, holds, same, skip_allowed};
use crate::command::run;
use crate::rig::Rig;
use crate::tests;

tests![
    "library::c",
    alone: true,
    exports_what_mote_h_declares,
    needs_no_other_library,
    example_that_runs_a_bundle,
    example_that_runs_a_bundle_statically,
    example_that_monitors_ten_containers,
    arguments_that_are_not_valid,
    header_as_c99_and_cplusplus,
    installed_with_pkg_config,
    example_of_the_page,
];

/// The same as bindings/c/mote.map lists, and nothing else.
fn exports_what_mote_h_declares(rig: &mut Rig) -> Outcome {
    let library = library(rig)?;
    let home = Path::new(HOME).join("bindings/c");
    let map = fs::read_to_string(home.join("mote.map"))?;
    let listed: Vec<&str> = map
        .lines()
        .filter_map(|line| line.trim().strip_suffix(';'))
        .filter(|name| name.starts_with("mote_"))
        .collect();
    let header = fs::read_to_string(home.join("mote.h"))?;
    let mut declared: Vec<&str> = header
        .match_indices("mote_")
        .filter(|(at, _)| header[..*at].ends_with([' ', '*']))
        .map(|(at, _)| &header[at..])
        .filter_map(|rest| rest.split_once('(').map(|(name, _)| name))
        .filter(|name| name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_'))
        .collect();
    declared.sort_unstable();
    declared.dedup();
    same("the functions of mote.h", &declared, &listed)?;
    let symbols = |words: &[&str], file: &str| -> Outcome<Vec<String>> {
        let output = run(Command::new("nm").args(words).arg(library.join(file)), "")?.success()?;
        let names =
            output.stdout.lines().filter_map(|line| line.split_once(" T ").map(|(_, name)| name.to_string()));
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        Ok(names)
    };
    let versioned: Vec<String> = listed.iter().map(|name| format!("{name}@@MOTE_0.1")).collect();
    same("the exports of libmote.so", symbols(&["-D", "--defined-only"], "libmote.so")?, versioned)?;
    same("the exports of libmote.a", symbols(&["-g", "--defined-only"], "libmote.a")?, listed)
}

/// Neither a library nor an initializer; and it is small, if the program inside is that of the tiny build.
fn needs_no_other_library(rig: &mut Rig) -> Outcome {
    let library = library(rig)?.join("libmote.so");
    let output = run(Command::new("readelf").args(["-d", "-W"]).arg(&library), "")?.success()?;
    for word in ["(NEEDED)", "(TEXTREL)", "(INIT)", "(INIT_ARRAY)", "(RPATH)", "(RUNPATH)"] {
        holds(&format!("no {word}: {}", output.stdout), !output.stdout.contains(word))?;
    }
    contains("the name", &output.stdout, "[libmote.so.0]")?;
    let (program, size) = (fs::metadata(&rig.suite.runtime)?.len(), fs::metadata(&library)?.len());
    holds(&format!("{size} bytes"), size < if program < 1_000_000 { 600_000 } else { 1_000_000 })
}

fn example_that_runs_a_bundle(rig: &mut Rig) -> Outcome {
    runs_a_bundle(rig, &[])
}

fn example_that_runs_a_bundle_statically(rig: &mut Rig) -> Outcome {
    library(rig)?;
    let found = Command::new("cc").arg("-print-file-name=libc.a").output()?;
    if !found.stdout.starts_with(b"/") {
        return skip_allowed("no static glibc");
    }
    runs_a_bundle(rig, &["-static"])
}

fn runs_a_bundle(rig: &Rig, options: &[&str]) -> Outcome {
    let program = compile(rig, "bindings/c/examples/run.c", options)?;
    let bundle = shell(rig, "echo hello; exit 5")?;
    let output = succeeds(rig, Command::new(&program).arg(&bundle.dir).arg(&rig.state), 5)?;
    same("the output", output.stdout.as_str(), "hello\n")?;
    // PID 1 of a pid namespace would ignore the signal.
    let mut bundle = shell(rig, "kill -TERM $$")?;
    bundle.without_namespace("pid");
    bundle.write()?;
    succeeds(rig, Command::new(&program).arg(&bundle.dir).arg(&rig.state), 128 + 15)?;
    let mut missing = Command::new(&program);
    rig.prepare(missing.arg("/none").arg(&rig.state));
    let output = run(&mut missing, "")?;
    let text = "mote_run: bundle /none: no such file or directory\n";
    same("an error", (output.code(), output.stderr.as_str()), (125, text))?;
    rig.nothing_left()
}

fn example_that_monitors_ten_containers(rig: &mut Rig) -> Outcome {
    let program = compile(rig, "bindings/c/examples/monitor.c", &[])?;
    let bundle = shell(rig, "exit 3")?;
    let output = succeeds(rig, Command::new(program).arg(&bundle.dir).arg("2").arg(&rig.state), 0)?;
    let mut lines: Vec<&str> = output.stdout.lines().collect();
    lines.sort_unstable();
    let expected = (0..20).map(|number| format!("monitored-{} has ended: code 3, signal 0", number / 2));
    same("the output", lines, expected.collect::<Vec<_>>())?;
    rig.nothing_left()
}

fn arguments_that_are_not_valid(rig: &mut Rig) -> Outcome {
    let program = compile(rig, "tests/live/library/misuse.c", &[])?;
    let bundle = shell(rig, "exit")?;
    let output = succeeds(rig, Command::new(program).arg(&bundle.dir).arg(&rig.state), 0)?;
    same("the output", output.stdout.as_str(), "")?;
    rig.nothing_left()
}

fn header_as_c99_and_cplusplus(rig: &mut Rig) -> Outcome {
    super::cargo(rig)?;
    let file = rig.dir.join("header.c");
    fs::write(&file, "#include <mote.h>\nint main(void) { return mote_version() == 0; }\n")?;
    for language in [&["-std=c99"][..], &["-x", "c++", "-std=c++11"]] {
        if language.contains(&"c++") && Command::new("c++").arg("--version").output().is_err() {
            continue;
        }
        let mut command = Command::new("cc");
        command.args(language).args(["-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"]);
        build(command.arg("-I").arg(Path::new(HOME).join("bindings/c")).arg(&file))?;
    }
    Ok(())
}

/// The line in the example, with what scripts/install has installed; and nothing is left after --uninstall.
fn installed_with_pkg_config(rig: &mut Rig) -> Outcome {
    library(rig)?;
    let prefix = rig.dir.join("prefix");
    let install = |words: &[&str]| {
        let mut command = Command::new(Path::new(HOME).join("scripts/install"));
        build(command.arg("--prefix").arg(&prefix).args(words).env("MOTE", &rig.suite.runtime))
    };
    install(&["--library"])?;
    let config = fs::read_to_string(prefix.join("lib/pkgconfig/mote.pc"))?;
    contains("mote.pc", &config, &format!("Version: {}\n", env!("CARGO_PKG_VERSION")))?;
    let source = Path::new(HOME).join("bindings/c/examples/run.c");
    let line = fs::read_to_string(&source)?;
    let line = line.lines().find_map(|line| line.strip_prefix(" *     cc "));
    let compile =
        line.and_then(|line| line.split_once(" && ")).map(|(compile, _)| compile).unwrap_or_default();
    contains("the line", compile, "$(pkg-config --cflags --libs mote)")?;
    if Command::new("pkg-config").arg("--version").output().is_err() {
        return crate::check::skip("no pkg-config");
    }
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("cd {} && cp {} . && cc {compile}", rig.dir.display(), source.display()));
    build(shell.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")))?;
    let bundle = super::shell(rig, "exit 4")?;
    let mut program = Command::new(rig.dir.join("run"));
    program.arg(&bundle.dir).arg(&rig.state).env("LD_LIBRARY_PATH", prefix.join("lib"));
    succeeds(rig, &mut program, 4)?;
    install(&["--uninstall"])?;
    let left = run(Command::new("find").arg(&prefix).args(["!", "-type", "d"]), "")?.success()?;
    same("what is left", left.stdout.as_str(), "")?;
    rig.nothing_left()
}

/// The block of docs/library.md.
fn example_of_the_page(rig: &mut Rig) -> Outcome {
    library(rig)?;
    let bundle = shell(rig, "exit 8")?;
    let found = super::blocks(rig, "docs/library.md", "c", &bundle)?;
    same("the number of blocks", found.len(), 1)?;
    let source = rig.dir.join("page.c");
    fs::write(&source, found.concat())?;
    let program = compile(rig, &source.display().to_string(), &[])?;
    let output = succeeds(rig, &mut Command::new(program), 0)?;
    same("the output", output.stdout.as_str(), "exit code 8\n")?;
    rig.nothing_left()
}

/// Compiles a program with the library, which is found at run time where it was built.
fn compile(rig: &Rig, source: &str, options: &[&str]) -> Outcome<PathBuf> {
    let (library, program) = (library(rig)?, rig.dir.join("program"));
    let mut command = Command::new("cc");
    command.args(["-std=c11", "-Wall", "-Wextra", "-Werror"]).args(options).arg("-o").arg(&program);
    command.arg("-I").arg(Path::new(HOME).join("bindings/c")).arg(Path::new(HOME).join(source));
    command.arg("-L").arg(&library).arg(format!("-Wl,-rpath,{}", library.display()));
    build(command.arg("-lmote"))?;
    Ok(program)
}
