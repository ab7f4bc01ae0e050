//! `mote completion`: prints a completion script for a shell. The scripts are in `completion/`; the table of commands
//! and options, in one format for all shells, is inserted here.

use alloc::format;
use alloc::string::String;

use mote::internal::error::{Error, Kind, Result};
use mote::internal::sys::signal::NAMES;

use super::options::{Command, Matches, Opt, flag};
use super::output::print;

/// `completion`, but for `run`, which has the tables.
pub const COMMAND: Command = Command {
    name: "completion",
    operands: "bash|zsh|fish",
    count: (1, 1),
    rest: None,
    about: "print the completion script for a shell",
    options: &[],
    run: |_, _| Ok(1),
};

/// The tables of commands and options.
pub struct Tables {
    pub commands: &'static [&'static Command],
    pub global: &'static [Opt],
    /// Words accepted in place of a command, with their descriptions.
    pub words: &'static [(&'static str, &'static str)],
}

// The linker script places these statics by name, away from pages that a container start reads (scripts/layout.ld).
static BASH: [u8; include_bytes!("completion/mote.bash").len()] = *include_bytes!("completion/mote.bash");
static ZSH: [u8; include_bytes!("completion/mote.zsh").len()] = *include_bytes!("completion/mote.zsh");
static FISH: [u8; include_bytes!("completion/mote.fish").len()] = *include_bytes!("completion/mote.fish");

/// The option that every command has.
static HELP: [Opt; 1] = [flag("help", Some('h'), "print help")];

/// Prints the script for a shell.
pub fn run(matches: &Matches, tables: &Tables) -> Result<i32> {
    let shell = matches.id().to_str().unwrap_or_default();
    let script: &[u8] = match shell {
        "bash" => &BASH,
        "zsh" => &ZSH,
        "fish" => &FISH,
        _ => return Err(Error::new(Kind::Usage, format_args!("completion: unknown shell \"{shell}\""))),
    };
    let script = str::from_utf8(script).unwrap_or_default();
    print(&script.replace("@TABLE\n", &table(tables)).replace("@SIGNALS", NAMES.join(" ").trim_start()))
}

/// The table of commands and options: lines of five columns, of which the last extends to the end of the line.
/// `COMMAND -B --BUNDLE VALUE ABOUT` describes an option; `COMMAND about - - ABOUT` and
/// `COMMAND takes REST - OPERAND...` describe a command. "-" stands for an empty column. Global options have `mote` as
/// COMMAND.
fn table(tables: &Tables) -> String {
    let mut text = String::from("mote takes 1 - COMMAND\n");
    options(&mut text, "mote", tables.global);
    for (name, about) in tables.words {
        text += &format!("{name} about - - {about}\n");
    }
    for &Command { name, about, rest, operands, options: own, .. } in tables.commands {
        let rest = rest.unwrap_or(99);
        text += &format!("{name} about - - {about}\n{name} takes {rest} - ");
        // `ID [PROGRAM [ARGUMENT...]]` becomes `ID PROGRAM ARGUMENT`.
        text.extend(operands.chars().filter(|letter| !"[].".contains(*letter)));
        text.push('\n');
        options(&mut text, name, own);
        options(&mut text, name, &HELP);
    }
    text
}

fn options(text: &mut String, command: &str, options: &[Opt]) {
    // One-letter long names are aliases for compatibility, which help does not list.
    for Opt { long, short, value, about } in options.iter().filter(|option| option.long.len() > 1) {
        let (short, value) = (short.map_or(String::new(), String::from), value.unwrap_or("-"));
        *text += &format!("{command} -{short} --{long} {value} {about}\n");
    }
}
