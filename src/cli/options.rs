//! Option tables and the parser: `--opt=value`, `--opt value`, `-o value`, unambiguous prefixes of long names,
//! and `-opt` as Go's flag packages accept it; before, between and after the operands.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::fmt;
use core::str::FromStr;

use mote::internal::error::{Error, Kind, Result};

use super::arguments::{Argument, Arguments};
use super::context::Context;

/// One option.
pub struct Opt {
    pub long: &'static str,
    pub short: Option<char>,
    /// Placeholder for the value in help texts; `None` for a flag.
    pub value: Option<&'static str>,
    pub about: &'static str,
}

/// An option without a value.
pub const fn flag(long: &'static str, short: Option<char>, about: &'static str) -> Opt {
    Opt { long, short, value: None, about }
}

/// An option with a value.
pub const fn value(long: &'static str, short: Option<char>, name: &'static str, about: &'static str) -> Opt {
    Opt { long, short, value: Some(name), about }
}

/// A command.
pub struct Command {
    pub name: &'static str,
    /// `ID [SIGNAL]`
    pub operands: &'static str,
    /// Minimum and maximum number of operands.
    pub count: (usize, usize),
    /// Number of operands after which all remaining arguments are operands too.
    pub rest: Option<usize>,
    pub about: &'static str,
    pub options: &'static [Opt],
    pub run: fn(&Context, &Matches) -> Result<i32>,
}

/// The options and operands given on the command line.
#[derive(Default)]
pub struct Matches {
    given: Vec<(&'static str, &'static CStr)>,
    pub operands: Vec<&'static CStr>,
    /// The first word that is not a global option.
    pub command: Option<String>,
}

/// Parses the global options, up to the name of the command.
pub fn global(arguments: &mut Arguments<'_>, options: &'static [Opt]) -> Result<Matches> {
    let mut matches = Matches::default();
    while let Some(argument) = arguments.next() {
        if let Argument::Operand(name) = argument {
            matches.command = Some(name.to_string_lossy().into_owned());
            break;
        }
        matches.take(arguments, find(&argument, options, None)?)?;
    }
    Ok(matches)
}

/// Parses the options and operands of a command.
pub fn command(arguments: &mut Arguments<'_>, command: &Command) -> Result<Matches> {
    let mut matches = Matches::default();
    loop {
        if let Some(option) = go_option(arguments, command) {
            matches.take(arguments, option)?;
            continue;
        }
        match arguments.next() {
            None => break,
            Some(Argument::Operand(operand)) => {
                matches.operands.push(operand);
                // Arguments after the program of `exec` belong to it; those after `ps ID` belong to ps(1).
                if command.rest == Some(matches.operands.len()) {
                    matches.operands.extend(arguments.rest());
                }
            }
            Some(Argument::Long(b"help") | Argument::Short('h' | '?')) => {
                matches.given.push(("help", c""));
                return Ok(matches);
            }
            Some(option) => {
                let option = find(&option, command.options, Some(command))?;
                matches.take(arguments, option)?;
            }
        }
    }
    let (least, most) = command.count;
    let name = command.name;
    match matches.operands.len() {
        count if count < least => {
            Err(Error::invalid(format_args!("{name}: {} is missing", command.operands)))
        }
        count if count > most => {
            let extra = matches.operands.get(most).map(|word| word.to_string_lossy()).unwrap_or_default();
            Err(Error::invalid(format_args!("{name}: unexpected operand \"{extra}\"")))
        }
        _ => Ok(matches),
    }
}

/// `-no-pivot` for `--no-pivot`: Go's flag packages accept both forms, and containerd uses the first. Complete names
/// without an attached value only.
fn go_option(arguments: &mut Arguments<'_>, command: &Command) -> Option<&'static Opt> {
    let name = arguments.peek()?.to_str().ok()?.strip_prefix('-').filter(|name| name.len() > 1)?;
    let option = command.options.iter().find(|option| option.long == name)?;
    arguments.skip();
    Some(option)
}

fn find(argument: &Argument, options: &'static [Opt], command: Option<&Command>) -> Result<&'static Opt> {
    let found = match argument {
        Argument::Short(letter) => options.iter().find(|option| option.short == Some(*letter)),
        Argument::Long(name) => options.iter().find(|option| option.long.as_bytes() == *name).or_else(|| {
            let starts = |option: &&Opt| !name.is_empty() && option.long.as_bytes().starts_with(name);
            let mut starting = options.iter().filter(starts);
            starting.next().filter(|_| starting.next().is_none())
        }),
        Argument::Operand(_) => None,
    };
    let shown = match argument {
        Argument::Short(letter) => format!("-{letter}"),
        Argument::Long(name) => format!("--{}", String::from_utf8_lossy(name)),
        Argument::Operand(word) => word.to_string_lossy().into_owned(),
    };
    let (space, name) = command.map_or(("", ""), |command| (" ", command.name));
    found.ok_or_else(|| usage(&format!("unknown option {shown}; see mote{space}{name} --help")))
}

fn as_text(long: &str, given: &'static CStr) -> Result<&'static str> {
    given.to_str().map_err(|_| usage(&format!("--{long}: not UTF-8")))
}

fn usage(text: &str) -> Error {
    Error::new(Kind::Usage, format_args!("{text}"))
}

impl fmt::Display for Matches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |text: &CStr| text.to_string_lossy().into_owned();
        let given = self.given.iter().map(|(name, value)| format!("--{name} {}", show(value)));
        let all: Vec<_> = given.chain(self.operands.iter().map(|operand| show(operand))).collect();
        f.write_str(&all.join(" "))
    }
}

impl Matches {
    fn take(&mut self, arguments: &mut Arguments<'_>, option: &'static Opt) -> Result<()> {
        let given = match option.value {
            Some(_) => {
                arguments.value().ok_or_else(|| usage(&format!("--{} requires an argument", option.long)))?
            }
            None => match arguments.attached_value().map(CStr::to_bytes) {
                // Callers written in Go pass `--flag=true`.
                None | Some(b"true" | b"yes") => c"",
                Some(b"false" | b"no") => {
                    self.given.retain(|(name, _)| *name != option.long);
                    return Ok(());
                }
                Some(_) => return Err(usage(&format!("--{} takes no value", option.long))),
            },
        };
        self.given.push((option.long, given));
        Ok(())
    }

    /// Whether an option was given.
    pub fn has(&self, long: &str) -> bool {
        self.given.iter().any(|(name, _)| *name == long)
    }

    /// An option's last value, as text.
    pub fn text(&self, long: &str) -> Result<Option<&'static str>> {
        self.path(long).map(|given| as_text(long, given)).transpose()
    }

    /// All values of an option, in order, as texts.
    pub fn texts(&self, long: &str) -> Result<Vec<&'static str>> {
        self.all(long).into_iter().map(|given| as_text(long, given)).collect()
    }

    /// An option's last value, as a path.
    pub fn path(&self, long: &str) -> Option<&'static CStr> {
        self.given.iter().rev().find(|(name, _)| *name == long).map(|(_, given)| *given)
    }

    /// All values of an option, in order.
    pub fn all(&self, long: &str) -> Vec<&'static CStr> {
        self.given.iter().filter(|(name, _)| *name == long).map(|(_, given)| *given).collect()
    }

    /// An option's last value, as a number.
    pub fn number<T: FromStr>(&self, long: &str) -> Result<Option<T>> {
        let Some(text) = self.text(long)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| usage(&format!("--{long}: \"{text}\" is not a number")))
    }

    /// The first operand; the count of operands was checked.
    pub fn id(&self) -> &'static CStr {
        self.operands.first().copied().unwrap_or_default()
    }
}

impl Command {
    /// The text that `--help` prints.
    pub fn help(&self) -> String {
        let mut text = format!(
            "mote {}: {}\n\nUsage: mote [OPTION...] {} [OPTION...]",
            self.name, self.about, self.name
        );
        if !self.operands.is_empty() {
            text += " ";
            text += self.operands;
        }
        text += "\n";
        if !self.options.is_empty() {
            text += "\nOptions:\n";
            text += &list(self.options);
        }
        text
    }
}

/// The options section of a help text.
pub fn list(options: &[Opt]) -> String {
    let mut text = String::new();
    for option in options.iter().filter(|option| option.long.len() > 1) {
        let short = option.short.map_or("    ".into(), |letter| format!("-{letter}, "));
        let value = option.value.map_or(String::new(), |value| format!("={value}"));
        text += &format!("  {short}{:<32} {}\n", format!("--{}{value}", option.long), option.about);
    }
    text
}
