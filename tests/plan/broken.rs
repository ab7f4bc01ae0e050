//! `broken.txt`: configurations with one error, and the exact message.
//!
//! A case is a paragraph: `HOST: what is wrong`, the members as they are in the file, and the message, or `ok` at the
//! limit of valid values. The members follow the opening brace, so that their first line is line 2; other required
//! members come after them.

use mote::internal::error::{Error, Kind};
use std::fs;

use crate::host::{host, plan};
use crate::text::{check, fail_with, path_of};
use crate::value::Value;

const NEEDED: [(&str, &str); 4] = [
    ("ociVersion", r#""1.0.2""#),
    ("root", r#"{"path": "rootfs"}"#),
    ("process", r#"{"args": ["sh"], "cwd": "/"}"#),
    ("linux", r#"{"namespaces": [{"type": "mount"}]}"#),
];

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "the expected filters are those of x86-64")]
fn rejected_configurations() {
    let text = fs::read_to_string(path_of("broken.txt")).unwrap();
    let (mut out, mut count) = (Vec::new(), 0);
    for paragraph in text.split("\n\n") {
        let paragraph = paragraph.trim_end();
        if paragraph.starts_with('#') {
            out.push(paragraph.to_owned());
            continue;
        }
        let (case, _) = paragraph.rsplit_once('\n').unwrap();
        let (title, members) = case.split_once('\n').unwrap_or_else(|| panic!("no members: {case}"));
        let (name, _) = title.split_once(": ").unwrap_or_else(|| panic!("no host: {title}"));
        let outcome = plan(document(members).as_bytes(), &host(name))
            .map_or_else(|error| show(&error), |_| "ok".into());
        out.push(format!("{case}\n{outcome}"));
        count += 1;
    }
    assert!(count >= 60, "{count} cases");
    fail_with(&check("broken.txt", &(out.join("\n\n") + "\n")).err().into_iter().collect::<Vec<_>>());
}

/// The members, and the required ones that are not among them.
fn document(members: &str) -> String {
    let Value::Object(given) = Value::parse(&format!("{{{members}}}")) else { unreachable!() };
    let missing = NEEDED.iter().filter(|(name, _)| given.iter().all(|(known, _)| known != name));
    let needed: String = missing.map(|(name, value)| format!(",\n\"{name}\": {value}")).collect();
    format!("{{\n{members}{needed}\n}}\n")
}

fn show(error: &Error) -> String {
    let program = matches!(error.kind(), Kind::Program | Kind::NoProgram);
    assert!(error.errno() == 0 || program, "a plan makes no system call: {error}");
    match error.kind() {
        Kind::Invalid => format!("invalid: {error}"),
        Kind::Unsupported => format!("unsupported: {error}"),
        Kind::Program | Kind::NoProgram => format!("program: {error}"),
        other => panic!("{other:?}: {error}"),
    }
}
