//! Logging: errors and warnings go to standard error, and all messages to the destination of `--log`: a file,
//! syslog(3), or the systemd journal (systemd.journal-fields(7)).

use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use core::ffi::CStr;

use miniserde::Serialize;
use mote::internal::caller::file_mode;
use mote::internal::container::time;
use mote::internal::error::{At, Error, Kind, On, Result, Show};
use mote::internal::os::scm_rights;
use mote::internal::sys::fd::stderr;
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, OFlags, openat};
use rustix::io::write;
use rustix::net::SocketType;

/// Log level: the lowest severity that is logged.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    #[default]
    Error,
    Warning,
    Debug,
}

impl Level {
    /// The severity number of syslog(3).
    fn severity(self) -> u8 {
        match self {
            Level::Error => 3,
            Level::Warning => 4,
            Level::Debug => 7,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Debug => "debug",
        }
    }
}

/// A log with its level, format and destination.
#[derive(Clone, Default)]
pub struct Log {
    level: Level,
    json: bool,
    sink: Option<Rc<Sink>>,
}

/// The destination of `--log`. The sockets are connected datagram sockets.
enum Sink {
    File(OwnedFd),
    Syslog { socket: OwnedFd, identifier: String },
    Journal { socket: OwnedFd, identifier: String },
}

/// The sockets of the syslog daemon and of the journal.
const SYSLOG: &CStr = c"/dev/log";
const JOURNAL: &CStr = c"/run/systemd/journal/socket";

/// `LOG_USER` of syslog(3).
const FACILITY: u8 = 1;

/// A JSON log line, of which containerd and podman read `level` and `msg`.
#[derive(Serialize)]
struct JsonRecord<'a> {
    msg: &'a str,
    level: &'a str,
    time: &'a str,
}

impl Log {
    /// Opens the log of the options `--log`, `--log-format` and `--log-level`; `debug` is `--debug`.
    pub fn open([name, format, level]: [Option<&str>; 3], debug: bool) -> Result<Self> {
        let usage = |text: core::fmt::Arguments<'_>| Error::new(Kind::Usage, text);
        let level = match level {
            Some("debug") => Level::Debug,
            Some("warning") => Level::Warning,
            Some("error") => Level::Error,
            None if debug => Level::Debug,
            None => Level::Error,
            Some(other) => return Err(usage(format_args!("--log-level: unknown level \"{other}\""))),
        };
        let json = match format {
            Some("json") => true,
            Some("text") | None => false,
            Some(other) => return Err(usage(format_args!("--log-format: unknown format \"{other}\""))),
        };
        let sink = match name.filter(|name| !name.is_empty()) {
            Some(name) => Some(Rc::new(Sink::open(name).at(format_args!("--log {name}"))?)),
            None => None,
        };
        Ok(Log { level, json, sink })
    }

    /// Logs an error, and always prints it to standard error.
    pub fn error(&self, error: &Error) {
        self.write_line(Level::Error, &error.to_string(), true);
    }

    /// Logs a warning and prints it to standard error. A [`Kind::Remark`] is only logged.
    pub fn warning(&self, warning: &Error) {
        let is_remark = warning.kind() == Kind::Remark;
        if !is_remark || self.level >= Level::Warning {
            self.write_line(Level::Warning, &warning.to_string(), !is_remark);
        }
    }

    /// Logs a debug message.
    pub fn debug(&self, text: impl FnOnce() -> String) {
        if self.level == Level::Debug {
            self.write_line(Level::Debug, &text(), false);
        }
    }

    /// Writes a message to the log, and to standard error if `aloud` is set or there is no `--log`.
    fn write_line(&self, level: Level, text: &str, aloud: bool) {
        // Write errors are ignored: there is nowhere left to report them.
        let word = match level {
            Level::Error => "",
            Level::Warning => "warning: ",
            Level::Debug => "debug: ",
        };
        if aloud || self.sink.is_none() {
            // With JSON the reader is an engine, which prepends its own name for the runtime.
            let name = if self.json { "" } else { "mote: " };
            let _ = stderr().map(|stderr| write(stderr, format!("{name}{word}{text}\n").as_bytes()));
        }
        if let Some(sink) = self.sink.as_ref().filter(|_| level <= self.level) {
            sink.write(level, text, self.json);
        }
    }
}

impl Sink {
    fn open(name: &str) -> Result<Self> {
        let identifier = |name: &str| String::from(if name.is_empty() { "mote" } else { name });
        if let Some(name) = name.strip_prefix("syslog:") {
            return Ok(Sink::Syslog { socket: connect(SYSLOG)?, identifier: identifier(name) });
        }
        if let Some(name) = name.strip_prefix("journald:") {
            return Ok(Sink::Journal { socket: connect(JOURNAL)?, identifier: identifier(name) });
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC;
        let file = openat(CWD, name.strip_prefix("file:").unwrap_or(name), flags, file_mode(0o644));
        file.on(format_args!("openat")).map(Sink::File)
    }

    /// Writes a record with a single write(2), so that records of concurrent writers do not mix.
    fn write(&self, level: Level, text: &str, json: bool) {
        let severity = level.severity();
        let (fd, record) = match self {
            Sink::File(file) => {
                let time = time::now();
                let line = match json {
                    true => miniserde::json::to_string(&JsonRecord {
                        msg: text,
                        level: level.name(),
                        time: &time,
                    }),
                    false => format!("{time} {}: {text}", level.name()),
                };
                (file, format!("{line}\n"))
            }
            Sink::Syslog { socket, identifier } => {
                let (priority, pid) = (FACILITY << 3 | severity, rustix::process::getpid().as_raw_nonzero());
                (socket, format!("<{priority}>{identifier}[{pid}]: {text}"))
            }
            Sink::Journal { socket, identifier } => {
                // Each field is one line, so newlines in the text are replaced.
                let text = text.replace('\n', " ");
                let fields = format!("SYSLOG_IDENTIFIER={identifier}\nPRIORITY={severity}\nMESSAGE={text}\n");
                (socket, fields)
            }
        };
        let _ = write(fd, record.as_bytes());
    }
}

fn connect(path: &CStr) -> Result<OwnedFd> {
    scm_rights::connect(path, SocketType::DGRAM).at(format_args!("{}", Show(path)))
}
