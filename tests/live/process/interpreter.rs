//! A program that exists and cannot be executed because of another file: the error names that file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::bundle::Bundle;
use crate::check::{Outcome, contains, lacks, same, skip_allowed};
use crate::command::{run, start};
use crate::rig::{Rig, Runtime};
use crate::{json, tests};

tests![
    "process",
    interpreter_missing_is_named,
    program_replaced_after_create,
    interpreter_with_a_carriage_return_is_named,
    interpreter_that_cannot_be_executed_is_named,
    interpreter_of_an_interpreter_is_named,
    elf_interpreter_missing_is_named,
    program_for_another_machine_is_named,
    program_of_unknown_format_is_named,
    program_that_is_a_directory_is_named,
    interpreter_missing_is_named_by_start_and_exec,
    interpreter_of_a_hook_is_named,
    program_that_needs_a_capability_to_be_executed,
];

fn only_mote(rig: &Rig) -> Outcome<Bundle> {
    match rig.is(Runtime::Mote) {
        true => rig.bundle(),
        false => skip_allowed("runc and crun do not report it"),
    }
}

/// An executable file in the image.
pub fn program(bundle: &Bundle, path: &str, content: &[u8]) -> Outcome {
    let place = bundle.host_path(path);
    fs::create_dir_all(place.parent().unwrap_or(&place))?;
    // Copied by a process of its own: a child that another test clones while this one has the file open for writing would
    // keep it busy until execve (ETXTBSY).
    let source = bundle.dir.join("program");
    fs::write(&source, content)?;
    run(Command::new("cp").args([&source, &place]), "")?.success()?;
    Ok(fs::set_permissions(place, fs::Permissions::from_mode(0o755))?)
}

/// Checks the error of `run` for a program, or that of `start` if `create` succeeds: the text after the field.
fn rejected(rig: &Rig, bundle: &mut Bundle, program: &str, reason: &str) -> Outcome {
    bundle.set("process.args", json!([program]));
    let output = rig.run(bundle, &[])?;
    rig.failure(&output, &[])?;
    let line = format!("mote: process.args[0]: exec \"{program}\"{reason}\n");
    same("the error", output.stderr.as_str(), line.as_str())?;
    rig.nothing_left()?;
    let mut created = start(&mut rig.launch("create", bundle, &[])?, false)?;
    match created.status()? {
        (status, errors) if !status.success() => same("the error of create", errors, line)?,
        _ => {
            let output = rig.mote(&["start", &rig.id])?;
            let line =
                format!("mote: container \"{}\": process.args[0]: exec \"{program}\"{reason}\n", rig.id);
            same("the error of start", (output.code(), output.stderr), (1, line))?;
            rig.delete()?;
        }
    }
    rig.nothing_left()
}

/// A program that is replaced after `create` has found it.
fn program_replaced_after_create(rig: &mut Rig) -> Outcome {
    let mut bundle = only_mote(rig)?;
    bundle.set("process.args", json!(["/bin/program"]));
    for (content, reason) in [
        (None, "no such file or directory"),
        (Some(&b"#!/none"[..]), "no such file or directory"),
        (Some(b"text"), "exec format error"),
    ] {
        program(&bundle, "/bin/program", &fs::read(bundle.host_path("/payload"))?)?;
        let _created = rig.create(&bundle, &[])?;
        rig.init_waits()?;
        fs::remove_file(bundle.host_path("/bin/program"))?;
        content.map_or(Ok(()), |content| program(&bundle, "/bin/program", content))?;
        let output = rig.mote(&["start", &rig.id])?;
        let line =
            format!("mote: container \"{}\": process.args[0]: exec \"/bin/program\": {reason}\n", rig.id);
        same("the error of start", (output.code(), output.stderr), (1, line))?;
        rig.status_is("stopped")?;
        rig.delete()?;
    }
    rig.nothing_left()
}

fn interpreter_missing_is_named(rig: &mut Rig) -> Outcome {
    let mut bundle = only_mote(rig)?;
    program(&bundle, "/bin/script", b"#!/bin/bash -e\necho\n")?;
    let reason = ": #! interpreter \"/bin/bash\": no such file or directory";
    rejected(rig, &mut bundle, "/bin/script", reason)?;
    // The message is not that the program was not found.
    rejected(rig, &mut bundle, "script", reason)
}

fn interpreter_with_a_carriage_return_is_named(rig: &mut Rig) -> Outcome {
    let mut bundle = only_mote(rig)?;
    program(&bundle, "/bin/script", b"#!/payload\r\nsay\r\n")?;
    let reason =
        ": #! interpreter \"/payload\\r\" (the line ends in a carriage return): no such file or directory";
    rejected(rig, &mut bundle, "script", reason)
}

fn interpreter_that_cannot_be_executed_is_named(rig: &mut Rig) -> Outcome {
    let mut bundle = only_mote(rig)?;
    program(&bundle, "/bin/script", b"#!/bin/text\n")?;
    bundle.file("/bin/text", "text")?;
    rejected(rig, &mut bundle, "script", ": #! interpreter \"/bin/text\": permission denied")?;
    // The name of an interpreter is not read from a script that the user may not read.
    fs::set_permissions(bundle.host_path("/bin/script"), fs::Permissions::from_mode(0o711))?;
    bundle.set("process.user.uid", 1000i64);
    rejected(rig, &mut bundle, "script", ": permission denied")
}

fn interpreter_of_an_interpreter_is_named(rig: &mut Rig) -> Outcome {
    let mut bundle = only_mote(rig)?;
    program(&bundle, "/bin/one", b"#!/bin/two\n")?;
    program(&bundle, "/bin/two", b"#!/bin/three\n")?;
    let reason = ": interpreter \"/bin/two\": #! interpreter \"/bin/three\": no such file or directory";
    rejected(rig, &mut bundle, "/bin/one", reason)?;
    program(&bundle, "/bin/three", &elf(&bundle, None, b"/lib/ld.so\0")?)?;
    let reason = ": interpreter \"/bin/three\": ELF interpreter \"/lib/ld.so\": no such file or directory";
    rejected(rig, &mut bundle, "/bin/one", reason)?;
    program(&bundle, "/lib/ld.so", &elf(&bundle, Some(0xfefe), b"")?)?;
    let error = rig.run(&bundle, &[])?.stderr;
    contains("the error", &error, "interpreter \"/lib/ld.so\": for machine 65278, not for ")
}

/// The ELF header of the payload, with another machine or another ELF interpreter.
fn elf(bundle: &Bundle, machine: Option<u16>, loader: &[u8]) -> Outcome<Vec<u8>> {
    if cfg!(target_pointer_width = "32") {
        return skip_allowed("the places are those of 64-bit files");
    }
    const HEADER: usize = 64;
    const SIZE: usize = 56;
    let mut file = fs::read(bundle.host_path("payload"))?;
    file.truncate(HEADER);
    let number = |value: usize, width: usize| {
        let before = if cfg!(target_endian = "big") { size_of::<usize>() - width } else { 0 };
        value.to_ne_bytes().into_iter().skip(before).take(width)
    };
    let mut put = |place: usize, value: usize, width: usize| {
        file.splice(place..place + width, number(value, width));
    };
    machine.into_iter().for_each(|machine| put(18, machine.into(), 2));
    put(32, HEADER, 8);
    put(54, SIZE, 2);
    put(56, usize::from(!loader.is_empty()), 2);
    // PT_INTERP: its offset in the file, and its length.
    file.extend(
        number(3, 4)
            .chain(number(0, 4))
            .chain(number(HEADER + SIZE, 8))
            .chain(number(0, 8))
            .chain(number(0, 8)),
    );
    file.extend(number(loader.len(), 8).chain(number(loader.len(), 8)).chain(number(1, 8)));
    file.extend(loader);
    Ok(file)
}

fn elf_interpreter_missing_is_named(rig: &mut Rig) -> Outcome {
    let mut bundle = only_mote(rig)?;
    program(&bundle, "/bin/dynamic", &elf(&bundle, None, b"/lib/ld-linux.so.9\0")?)?;
    let reason = ": ELF interpreter \"/lib/ld-linux.so.9\": no such file or directory";
    rejected(rig, &mut bundle, "/bin/dynamic", reason)?;
    rejected(rig, &mut bundle, "dynamic", reason)
}

fn program_for_another_machine_is_named(rig: &mut Rig) -> Outcome {
    let mut bundle = only_mote(rig)?;
    let (other, name) = if cfg!(target_arch = "s390x") { (62, "x86_64") } else { (22, "s390") };
    program(&bundle, "/bin/foreign", &elf(&bundle, Some(other), b"/lib/ld.so\0")?)?;
    // ELF has one machine for RISC-V of any width, and one for IBM Z.
    let own = match std::env::consts::ARCH {
        "riscv64" => "riscv",
        "s390x" => "s390",
        name => name,
    };
    let reason = format!(": for {name}, not for {own}: exec format error");
    rejected(rig, &mut bundle, "foreign", &reason)
}

fn program_of_unknown_format_is_named(rig: &mut Rig) -> Outcome {
    let mut bundle = only_mote(rig)?;
    program(&bundle, "/bin/text", b"echo hello\n")?;
    let reason = ": neither an ELF file nor a script with a #! line: exec format error";
    rejected(rig, &mut bundle, "/bin/text", reason)?;
    program(&bundle, "/bin/empty", b"")?;
    rejected(rig, &mut bundle, "empty", ": an empty file: exec format error")
}

/// With the message for which engines use exit code 126.
fn program_that_is_a_directory_is_named(rig: &mut Rig) -> Outcome {
    let mut bundle = only_mote(rig)?;
    let reason = ": is a directory: permission denied";
    rejected(rig, &mut bundle, "/etc", reason)?;
    fs::create_dir_all(bundle.host_path("/bin/directory"))?;
    rejected(rig, &mut bundle, "directory", reason)?;
    program(&bundle, "/bin/script", b"#!/etc\n")?;
    rejected(rig, &mut bundle, "script", ": #! interpreter \"/etc\": permission denied")
}

/// `create` finds the program; its interpreter is only looked up at execve.
fn interpreter_missing_is_named_by_start_and_exec(rig: &mut Rig) -> Outcome {
    let mut bundle = only_mote(rig)?;
    program(&bundle, "/bin/script", b"#!/bin/bash\n")?;
    bundle.set("process.args", json!(["script"]));
    let _created = rig.create(&bundle, &[])?;
    let words = "\"script\": #! interpreter \"/bin/bash\": no such file or directory";
    rig.mote(&["start", &rig.id])?.failure(&[words])?;
    rig.delete()?;
    rig.waiting(&mut bundle)?;
    for (program, code) in [("script", 127), ("/bin/script", 127), ("/etc", 126)] {
        let output = rig.mote(&["exec", &rig.id, program])?;
        same("exit code", output.code(), code)?;
    }
    let output = rig.mote(&["exec", &rig.id, "moonshot"])?;
    same("exit code", output.code(), 127)?;
    // The message is not repeated.
    contains("the error", &output.stderr, "\"moonshot\": executable file not found in $PATH\n")?;
    rig.delete()
}

fn interpreter_of_a_hook_is_named(rig: &mut Rig) -> Outcome {
    let mut bundle = only_mote(rig)?;
    program(&bundle, "/hook", b"#!/bin/nothing/is/here\n")?;
    let outside = bundle.host_path("/hook").display().to_string();
    for (point, path) in [("createRuntime", outside.as_str()), ("startContainer", "/hook")] {
        bundle.set("hooks", json!({}));
        bundle.set(&format!("hooks.{point}[+]"), json!({"path": path}));
        let output = rig.run(&bundle, &[])?;
        let words = "execve: #! interpreter \"/bin/nothing/is/here\": no such file or directory";
        rig.failure(&output, &[&format!("hooks.{point}[0]"), words])?;
    }
    rig.nothing_left()
}

/// execve(2) uses the effective capabilities, access(2) does not.
fn program_that_needs_a_capability_to_be_executed(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    fs::create_dir_all(bundle.host_path("/bin"))?;
    fs::copy(bundle.host_path("/payload"), bundle.host_path("/bin/payload"))?;
    fs::set_permissions(bundle.host_path("/bin/payload"), fs::Permissions::from_mode(0o700))?;
    bundle.set("process.user", json!({"uid": 1000i64, "gid": 1000i64}));
    bundle.set("process.args", json!(["payload", "id"]));
    let output = rig.run(&bundle, &[])?;
    rig.failure(&output, &["permission denied"])?;
    lacks("the error", &output.stderr, "interpreter")?;
    let one = json!(["CAP_DAC_OVERRIDE"]);
    let sets = json!({
        "bounding": (one.clone()), "effective": (one.clone()), "permitted": (one.clone()),
        "inheritable": (one.clone()), "ambient": one
    });
    bundle.set("process.capabilities", sets);
    rig.run(&bundle, &[])?.success()?.report().is("uid", "1000 1000 1000")?;
    bundle.set("process.args", json!(["/bin/payload", "id"]));
    rig.run(&bundle, &[])?.success()?.report().is("uid", "1000 1000 1000")?;
    // A file without any x bit cannot be executed with capabilities either.
    fs::set_permissions(bundle.host_path("/bin/payload"), fs::Permissions::from_mode(0o600))?;
    rig.rejected(&bundle, &["permission denied"])
}
