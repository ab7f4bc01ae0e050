//! The command line apart from the commands: unknown options, versions, features, logs, help.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;

use crate::check::{Outcome, contains, holds, same, skip_allowed};
use crate::command::run;
use crate::json::Json;
use crate::rig::{Rig, Runtime};
use crate::{sys, tests};

tests![
    "commands",
    unknown_option_exits_with_64,
    unknown_command_is_rejected,
    missing_id_is_rejected,
    excess_operand_is_rejected,
    option_without_its_value_is_rejected,
    option_without_its_value_in_the_words_for_podman,
    options_in_all_forms,
    options_that_are_not_utf_8,
    version_format,
    version_needs_no_state,
    features_keys,
    features_of_checkpoints,
    help_goes_to_the_standard_output,
    log_as_json,
    log_as_text,
    log_in_an_unknown_format_is_rejected,
    log_to_syslog,
    log_to_the_journal,
    log_with_debug,
    errors_are_one_line,
    root_directory_is_private,
];

fn unknown_option_exits_with_64(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("runc exits with 1 and prints the help");
    }
    for words in
        [&["--moon", "list"][..], &["list", "--moon"], &["run", "--moon", "x"], &["state", "-Z", "x"]]
    {
        let output = rig.mote(words)?;
        same(&format!("exit code of {words:?}"), output.code(), 64)?;
        same("the standard output", output.stdout.as_str(), "")?;
        if rig.is(Runtime::Mote) {
            same("lines on the standard error", output.stderr.lines().count(), 1)?;
            contains(
                "the error",
                &output.stderr,
                words.iter().find(|word| word.starts_with('-')).unwrap_or(&""),
            )?;
        }
    }
    Ok(())
}

fn unknown_command_is_rejected(rig: &mut Rig) -> Outcome {
    let output = rig.mote(&["moon"])?;
    if rig.is(Runtime::Runc) {
        return holds("the command is rejected", output.code() != 0);
    }
    rig.failure(&output, &["moon"])
}

fn missing_id_is_rejected(rig: &mut Rig) -> Outcome {
    for verb in ["create", "run", "start", "state", "kill", "delete"] {
        rig.failure(&rig.mote(&[verb])?, &[])?;
    }
    Ok(())
}

fn excess_operand_is_rejected(rig: &mut Rig) -> Outcome {
    for words in
        [&["create", "a", "b"][..], &["start", "a", "b"], &["state", "a", "b"], &["delete", "a", "b"]]
    {
        rig.failure(&rig.mote(words)?, &[])?;
    }
    rig.failure(&rig.mote(&["kill", "a", "TERM", "c"])?, &[])
}

fn option_without_its_value_is_rejected(rig: &mut Rig) -> Outcome {
    rig.usage_error(&rig.mote(&["run", "--bundle"])?, "bundle")
}

/// podman calls it so, and searches these words to learn whether the runtime has the option.
fn option_without_its_value_in_the_words_for_podman(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let output = rig.mote(&["restore", "--lsm-mount-context"])?;
    rig.usage_error(&output, "--lsm-mount-context requires an argument")
}

/// As the debug log shows them: each option as `--name value`, then the operands.
fn options_in_all_forms(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let log = rig.dir.join("log").display().to_string();
    for (words, parsed) in [
        ("exec -td none true", "exec --tty  --detach  none true"),
        ("exec -tu1 none true", "exec --tty  --user 1 none true"),
        ("exec -u=1 none -eA=B -e C=D true", "exec --user 1 --env A=B --env C=D none true"),
        ("exec --us 1 -user 2 --user=3 none true", "exec --user 1 --user 2 --user 3 none true"),
        ("exec --detach=false -t=true none true", "exec --tty  none true"),
        ("exec --cwd -t none true", "exec --cwd -t none true"),
        ("exec none true -t -- --user", "exec none true -t -- --user"),
        ("exec -- none -t --user", "exec none -t --user"),
        ("state - --", "state -"),
    ] {
        let _ = fs::remove_file(&log);
        let words: Vec<&str> = ["--debug", "--log", &log].into_iter().chain(words.split(' ')).collect();
        contains("the error", &rig.mote(&words)?.stderr, "does not exist")?;
        contains(
            &format!("the log of {words:?}"),
            &fs::read_to_string(&log)?,
            &format!("debug: {parsed}; state in"),
        )?;
    }
    for (words, text) in [
        ("exec -tx none true", "mote: unknown option -x; see mote exec --help\n"),
        ("exec --tty=1 none true", "mote: --tty takes no value\n"),
        ("exec -t\u{e9} none true", "mote: unknown option -\u{e9}; see mote exec --help\n"),
        ("exec none -u", "mote: --user requires an argument\n"),
        ("ps --=x none", "mote: unknown option --; see mote ps --help\n"),
    ] {
        let output = rig.mote(&words.split(' ').collect::<Vec<_>>())?;
        same(words, (output.code(), output.stderr.as_str()), (64, text))?;
    }
    Ok(())
}

/// Not ignored.
fn options_that_are_not_utf_8(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let mut command = rig.command(&["exec", "--cgroup"]);
    let output = run(command.arg(OsStr::from_bytes(b"\xff")).args(["none", "true"]), "")?;
    rig.usage_error(&output, "--cgroup: not UTF-8")
}

/// The format that engines parse: name and version in the first line, then commit and spec.
fn version_format(rig: &mut Rig) -> Outcome {
    for word in ["--version", "-v"] {
        if word == "-v" && rig.is(Runtime::Crun) {
            continue;
        }
        let text = rig.mote(&[word])?.success()?.stdout;
        let mut lines = text.lines();
        let first = lines.next().unwrap_or("");
        let mut words = first.split(' ');
        holds(&format!("{first:?} begins with a name"), words.next().is_some_and(|name| !name.is_empty()))?;
        same("the second word", words.next(), Some("version"))?;
        let number = words.next().unwrap_or("");
        holds(
            &format!("{number:?} is a number"),
            number.starts_with(|letter: char| letter.is_ascii_digit()),
        )?;
        same("more words", words.next(), None)?;
        let has = |start: &str| text.lines().any(|line| line.starts_with(start));
        holds("a line for the commit", has("commit: "))?;
        holds("a line for the spec", has("spec: 1."))?;
        if rig.is(Runtime::Mote) {
            contains("the first line", first, "mote version ")?;
        }
    }
    Ok(())
}

/// Engines call it before any set-up, maybe where nothing can be created.
fn version_needs_no_state(rig: &mut Rig) -> Outcome {
    rig.state = "/proc/nothing/here".into();
    contains("the version", &rig.mote(&["--version"])?.success()?.stdout, " version ")
}

fn features_keys(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Crun) {
        return skip_allowed("this crun has no such command");
    }
    let features = Json::parse(&rig.mote(&["features"])?.success()?.stdout)?;
    for key in ["ociVersionMin", "ociVersionMax"] {
        contains(key, features.at(key).text(), "1.")?;
    }
    let texts =
        |list: &Json| -> Vec<String> { list.items().iter().map(|item| item.text().to_string()).collect() };
    let options = texts(features.at("mountOptions"));
    for name in ["ro", "rbind", "rro"] {
        holds(&format!("option {name} in {options:?}"), options.iter().any(|option| option == name))?;
    }
    let linux = features.at("linux");
    let kinds = texts(linux.at("namespaces"));
    for name in ["cgroup", "ipc", "mount", "network", "pid", "user", "uts"] {
        holds(&format!("namespace {name} in {kinds:?}"), kinds.iter().any(|kind| kind == name))?;
    }
    holds("time", kinds.iter().any(|kind| kind == "time") || !rig.is(Runtime::Mote))?;
    let caps = texts(linux.at("capabilities"));
    holds("capabilities", caps.iter().any(|cap| cap == "CAP_SYS_ADMIN"))?;
    same("v1", linux.at("cgroup").at("v1"), &Json::Bool(true))?;
    same("v2", linux.at("cgroup").at("v2"), &Json::Bool(true))?;
    holds("seccomp", *linux.at("seccomp").at("enabled") != Json::Null || !rig.is(Runtime::Mote))
}

/// By the PATH of the caller; in the machine of scripts/vm with a CRIU that works.
fn features_of_checkpoints(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let features = |path: Option<&Path>| -> Outcome<[String; 2]> {
        let mut command = rig.command(&["features"]);
        if let Some(path) = path {
            command.env("PATH", path);
        }
        let features = Json::parse(&run(&mut command, "")?.success()?.stdout)?;
        let names = ["org.opencontainers.runc.checkpoint.enabled", "run.oci.crun.checkpoint.enabled"];
        Ok(names.map(|name| features.at("annotations").at(name).text().to_string()))
    };
    let (no, yes) = (["false"; 2], ["true"; 2]);
    same("without criu", features(Some(&rig.dir))?, no)?;
    fs::write(rig.dir.join("criu"), "#!/nowhere\n")?;
    fs::set_permissions(rig.dir.join("criu"), fs::Permissions::from_mode(0o755))?;
    same("with a program that cannot be executed", features(Some(&rig.dir))?, no)?;
    symlink("/bin/true", rig.dir.join("true"))?;
    fs::rename(rig.dir.join("true"), rig.dir.join("criu"))?;
    same("with a program that exits", features(Some(&rig.dir))?, no)?;
    // Debian's CRIU may be too old for the kernel.
    let works = run(Command::new("criu").arg("check"), "").is_ok_and(|checked| checked.code() == 0);
    same("with that of this machine", features(None)?, if works { yes } else { no })
}

fn help_goes_to_the_standard_output(rig: &mut Rig) -> Outcome {
    for words in [&["--help"][..], &["run", "--help"]] {
        let output = rig.mote(words)?.success()?;
        contains("help", &output.stdout, "bundle").or_else(|_| contains("help", &output.stdout, "create"))?;
    }
    Ok(())
}

/// A failure is reported in the log, and also on the standard error.
fn logged(rig: &mut Rig, format: &str) -> Outcome<String> {
    let path = rig.dir.join("log");
    let words = ["--log", &path.display().to_string(), "--log-format", format].map(str::to_string);
    rig.globals.extend(words);
    let output = rig.mote(&["state", &rig.id])?;
    rig.failure(&output, &["does not exist"])?;
    if rig.is(Runtime::Mote) {
        // An engine that reads JSON adds the name itself.
        same("the message begins with the name", output.stderr.starts_with("mote: "), format != "json")?;
    }
    Ok(fs::read_to_string(path)?)
}

fn log_as_json(rig: &mut Rig) -> Outcome {
    let text = logged(rig, "json")?;
    same("lines", text.lines().count(), 1)?;
    let line = Json::parse(&text)?;
    contains("msg", line.at("msg").text(), "does not exist")?;
    same("level", line.at("level").text(), "error")?;
    contains("time", line.at("time").text(), "T")
}

fn log_as_text(rig: &mut Rig) -> Outcome {
    let text = logged(rig, "text")?;
    same("lines", text.lines().count(), 1)?;
    contains("the log", &text, "does not exist")
}

pub fn only_mote(rig: &Rig) -> Outcome {
    if rig.is(Runtime::Mote) { Ok(()) } else { skip_allowed("runc and crun have other messages") }
}

/// The message that `--log DESTINATION` sends to a datagram socket at this path, with another directory mounted at /dev
/// or /run.
fn sent_message(rig: &mut Rig, destination: &str, path: &str) -> Outcome<String> {
    let place = Path::new(path);
    let top = Path::new("/").join(place.iter().nth(1).unwrap_or_default());
    let there = rig.dir.join("there");
    let below = place.strip_prefix(&top)?;
    fs::create_dir_all(there.join(below).parent().unwrap_or(&there))?;
    let socket = UnixDatagram::bind(there.join(below))?;
    rig.globals.extend(["--log", destination].map(str::to_string));
    let mut command = rig.command(&["state", &rig.id]);
    sys::before_exec(&mut command, move || sys::bind_over(&there, &top));
    let output = crate::command::run(&mut command, "")?;
    rig.failure(&output, &["does not exist"])?;
    holds("a message arrives", sys::readable(&socket, crate::command::LIMIT)?)?;
    let mut text = [0; 512];
    let count = socket.recv(&mut text)?;
    Ok(String::from_utf8_lossy(text.get(..count).unwrap_or_default()).into_owned())
}

/// The priority: facility user (1) * 8 + severity error (3).
fn log_to_syslog(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let text = sent_message(rig, "syslog:me", "/dev/log")?;
    holds(&text, text.starts_with("<11>me[") && text.ends_with("does not exist"))
}

fn log_to_the_journal(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let text = sent_message(rig, "journald:me", "/run/systemd/journal/socket")?;
    let lines: Vec<&str> = text.lines().collect();
    same("lines", lines.len(), 3)?;
    same("the identifier", lines.first(), Some(&"SYSLOG_IDENTIFIER=me"))?;
    same("the priority", lines.get(1), Some(&"PRIORITY=3"))?;
    holds(&text, text.contains("\nMESSAGE=container") && text.ends_with("does not exist\n"))?;
    rig.globals.clear();
    rig.globals.extend(["--log", "journald:me"].map(str::to_string));
    let mut command = rig.command(&["state", &rig.id]);
    let empty = rig.dir.clone();
    sys::before_exec(&mut command, move || sys::bind_over(&empty, Path::new("/run")));
    let output = crate::command::run(&mut command, "")?;
    rig.failure(&output, &["--log journald:me", "/run/systemd/journal/socket", "no such file"])
}

/// `--debug` goes to the standard error, or only to the log if there is one.
fn log_with_debug(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    rig.globals.push("--debug".into());
    let output = rig.mote(&["list", "--quiet"])?;
    same("exit code", output.code(), 0)?;
    contains("standard error", &output.stderr, "mote: debug: list --quiet")?;
    contains("standard error", &output.stderr, "mote: debug: exit code 0")?;
    let path = rig.dir.join("log");
    rig.globals.extend(["--log", &path.display().to_string()].map(str::to_string));
    rig.mote(&["list", "--quiet"])?.success()?;
    contains("the log", &fs::read_to_string(path)?, "debug: list --quiet")
}

fn log_in_an_unknown_format_is_rejected(rig: &mut Rig) -> Outcome {
    rig.globals.extend(["--log-format", "moon"].map(str::to_string));
    rig.usage_error(&rig.mote(&["list"])?, "moon")
}

/// Even if a name in the message contains a line break.
fn errors_are_one_line(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.args", vec!["/no\nsuch\u{1b}[31m/program"]);
    rig.rejected(&bundle, &[])
}

fn root_directory_is_private(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    let mode = |path: &std::path::Path| -> Outcome<u32> {
        Ok(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path)?.permissions()) & 0o077)
    };
    same("permissions for group and others", mode(&rig.state)?, 0)?;
    rig.delete()
}
