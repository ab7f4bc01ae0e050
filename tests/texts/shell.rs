//! Shells that report their completions, without a terminal.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::help::{mote, output};
use crate::scratch::{Scratch, has};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

pub const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// `SCRIPT WORD...`: bash calls the function with the words of the line, split as bash does, in an array. With `-o
/// default` bash completes files itself, which it does only while it reads a line.
const PROBE_BASH: &str = r#"
    source "$1"
    compopt() {
        local word=${current#"$kept"}
        case $* in
        "-o dirnames") mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
        "-o default") mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        esac
    }
    COMP_WORDS=("${@:2}") COMP_CWORD=$(($# - 2)) COMPREPLY=()
    _mote mote mote mote
    [[ ${#COMPREPLY[@]} == 0 ]] || printf '%s\n' "${COMPREPLY[@]}"
"#;

/// `SCRIPT LINE...`
const PROBE_FISH: &str = r#"
    source $argv[1]
    for line in $argv[2..]
        complete -C $line
        echo =
    end
"#;

impl Shell {
    pub fn name(self) -> &'static str {
        match self {
            Shell::Bash => "bash",
            Shell::Zsh => "zsh",
            Shell::Fish => "fish",
        }
    }

    /// Whether it is installed.
    pub fn is_installed(self) -> bool {
        has(self.name())
    }

    /// The completions of each line, sorted: whole words, or for a word with "=" what follows that. The command `mote`
    /// is `scratch/bin/mote`, and the working directory is `scratch`.
    pub fn complete(self, scratch: &Scratch, lines: &[&str]) -> Vec<Vec<String>> {
        let script = scratch.0.join(self.name());
        fs::write(&script, mote(&["completion", self.name()])).unwrap();
        let text: String = match self {
            Shell::Bash => lines.iter().map(|line| bash(scratch, &script, line)).collect(),
            Shell::Zsh => {
                let probe = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/texts/probe.zsh");
                output(in_scratch(scratch, "zsh").args(["-f", probe]).arg(&script).args(lines))
            }
            Shell::Fish => {
                output(in_scratch(scratch, "fish").args(["-N", "-c", PROBE_FISH]).arg(&script).args(lines))
            }
        };
        let all: Vec<Vec<String>> = text.split_terminator("=\n").map(|part| matches(self, part)).collect();
        assert_eq!(all.len(), lines.len(), "{self:?}: {text}");
        all
    }
}

fn matches(shell: Shell, text: &str) -> Vec<String> {
    let word = |line: &str| {
        let line = line.split('\t').next().unwrap_or_default();
        // fish repeats what is before the "="; a "/" after a directory is added by other shells later.
        let line = if line.starts_with("--") { line.rsplit('=').next().unwrap_or(line) } else { line };
        let line = line.trim_end_matches('/');
        // zsh returns matches as typed.
        if shell == Shell::Zsh { line.replace('\\', "") } else { line.into() }
    };
    let mut words: Vec<String> = text.lines().map(word).filter(|word: &String| !word.is_empty()).collect();
    words.sort();
    words.dedup();
    words
}

fn bash(scratch: &Scratch, script: &Path, line: &str) -> String {
    let mut words = Vec::new();
    for word in line.split(' ') {
        let mut rest = word;
        loop {
            let sign = rest.starts_with(['=', ':']);
            let end = rest.find(|letter| ['=', ':'].contains(&letter) != sign).unwrap_or(rest.len());
            words.push(&rest[..end]);
            rest = &rest[end..];
            if rest.is_empty() {
                break;
            }
        }
    }
    let mut command = in_scratch(scratch, "bash");
    output(command.args(["--norc", "-c", PROBE_BASH, "probe"]).arg(script).args(words)) + "=\n"
}

fn in_scratch(scratch: &Scratch, program: &str) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", scratch.0.join("bin").display()));
    // The configuration of the user who runs the tests is not read.
    command.env("HOME", &scratch.0).env("XDG_CONFIG_HOME", &scratch.0).env("TERM", "dumb");
    command.env_remove("XDG_RUNTIME_DIR").env_remove("ZDOTDIR").env_remove("BASH_ENV");
    command.current_dir(&scratch.0).stdin(Stdio::null());
    command
}
