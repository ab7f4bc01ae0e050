//! Where messages go: errors and warnings to standard error, and all to the file that `--log` names.

use std::ffi::CString;
use std::rc::Rc;

use miniserde::Serialize;
use mote::container::time;
use mote::error::{Error, Kind, On, Result};
use mote::sys::fd::stderr;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::write;

use super::options::Matches;

/// How much is logged: errors only, warnings too, everything.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    #[default]
    Error,
    Warning,
    Debug,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Debug => "debug",
        }
    }
}

/// The log.
#[derive(Clone, Default)]
pub struct Log {
    level: Level,
    json: bool,
    file: Option<Rc<OwnedFd>>,
}

/// A line of the JSON log: containerd and podman read `level` and `msg`.
#[derive(Serialize)]
struct Line<'a> {
    msg: &'a str,
    level: &'a str,
    time: &'a str,
}

impl Log {
    /// The log that the global options ask for.
    pub fn open(global: &Matches) -> Result<Self> {
        let usage = |text: std::fmt::Arguments<'_>| Error::new(Kind::Usage, text);
        let level = match global.text("log-level")? {
            Some("debug") => Level::Debug,
            Some("warning") => Level::Warning,
            Some("error") => Level::Error,
            None if global.has("debug") => Level::Debug,
            None => Level::Error,
            Some(other) => return Err(usage(format_args!("--log-level: unknown level \"{other}\""))),
        };
        let json = match global.text("log-format")? {
            Some("json") => true,
            Some("text") | None => false,
            Some(other) => return Err(usage(format_args!("--log-format: unknown format \"{other}\""))),
        };
        let file = match global.text("log")?.filter(|name| !name.is_empty()) {
            Some(name) if name.starts_with("syslog:") || name.starts_with("journald:") => {
                return Err(Error::unsupported(format_args!("--log {name}: only files are supported yet")));
            }
            Some(name) => Some(Rc::new(open(name.strip_prefix("file:").unwrap_or(name))?)),
            None => None,
        };
        Ok(Log { level, json, file })
    }

    /// An error: to standard error as well, always.
    pub fn error(&self, error: &Error) {
        self.say(Level::Error, &error.to_string());
    }

    /// A warning: not shown when only errors are to be logged to a file.
    pub fn warning(&self, warning: &Error) {
        self.say(Level::Warning, &warning.to_string());
    }

    fn say(&self, level: Level, text: &str) {
        // There is nobody left to tell that these fail.
        let word = if level == Level::Warning { "warning: " } else { "" };
        let _ = stderr().map(|stderr| write(stderr, format!("mote: {word}{text}\n").as_bytes()));
        let Some(file) = self.file.as_ref().filter(|_| level <= self.level) else { return };
        let time = time::now();
        let line = match self.json {
            true => miniserde::json::to_string(&Line { msg: text, level: level.name(), time: &time }),
            false => format!("{time} {}: {text}", level.name()),
        };
        let _ = write(file.as_fd(), format!("{line}\n").as_bytes());
    }
}

fn open(name: &str) -> Result<OwnedFd> {
    let path = CString::new(name).map_err(|_| Error::invalid(format_args!("--log: contains a NUL byte")))?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC;
    openat(CWD, path.as_c_str(), flags, Mode::from_raw_mode(0o644)).on(format_args!("--log {name}"))
}
