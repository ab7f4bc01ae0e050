//! `mote spec`: writes a template config.json.

use alloc::ffi::CString;
use alloc::format;
use alloc::string::ToString;

use mote::internal::caller::file_mode;
use mote::internal::document::template::template;
use mote::internal::error::{Error, Kind, On, Result};
use mote::internal::host::Host;
use rustix::fs::{AtFlags, CWD, OFlags, openat, unlinkat};
use rustix::io::Errno;

use super::context::Context;
use super::options::{Command, Matches, Opt, flag, value};
use super::output::write_all;

/// `spec`
pub static COMMAND: Command = Command {
    name: "spec",
    operands: "",
    count: (0, 0),
    rest: None,
    about: "write a template config.json",
    options: &OPTIONS,
    run,
};

static OPTIONS: [Opt; 3] = [
    value("bundle", Some('b'), "DIR", "path to the bundle (default: current directory)"),
    value(
        "file",
        Some('f'),
        "FILE",
        "file to write, replaced if it exists (default: config.json in the bundle)",
    ),
    flag("rootless", None, "write a configuration for an unprivileged user"),
];

fn run(_: &Context, matches: &Matches) -> Result<i32> {
    let bundle = matches.text("bundle")?.unwrap_or(".");
    let file = matches.text("file")?;
    let path = match file {
        Some(file) if file.starts_with('/') => file.to_string(),
        file => format!("{bundle}/{}", file.unwrap_or("config.json")),
    };
    let host = Host::read()?;
    let text = template(&host, matches.has("rootless"));
    let path_c =
        CString::new(path.as_str()).map_err(|_| Error::invalid(format_args!("a path with a NUL byte")))?;
    let how = if file.is_some() { OFlags::TRUNC } else { OFlags::EXCL };
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC | how;
    let out = match openat(CWD, path_c.as_c_str(), flags, file_mode(0o666)) {
        Err(Errno::EXIST) => return Err(Error::new(Kind::Exists, format_args!("{path} already exists"))),
        out => out.on(format_args!("openat {path}"))?,
    };
    let written = write_all(&out, &text).on(format_args!("write {path}"));
    if written.is_err() && file.is_none() {
        let _ = unlinkat(CWD, path_c.as_c_str(), AtFlags::empty());
    }
    written?;
    Ok(0)
}
