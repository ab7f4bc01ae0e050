//! The help of the binary, parsed: the contents of the option tables.

use std::process::Command;

pub const MOTE: &str = env!("CARGO_BIN_EXE_mote");

/// The output of mote or of a script, which must succeed.
pub fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{command:?}: {}: {errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

pub fn mote(words: &[&str]) -> String {
    output(Command::new(MOTE).args(words))
}

/// The help of a command, or of mote itself.
pub struct Help {
    /// Empty for mote.
    pub name: String,
    pub about: String,
    pub options: Vec<Opt>,
}

pub struct Opt {
    /// `-b`, if it has one.
    pub short: Option<String>,
    /// `--bundle`
    pub long: String,
    pub value: Option<String>,
    pub about: String,
}

impl Opt {
    /// `-b, --bundle=DIR`
    pub fn head(&self) -> String {
        let short = self.short.as_ref().map_or(String::new(), |short| format!("{short}, "));
        let value = self.value.as_ref().map_or(String::new(), |value| format!("={value}"));
        format!("{short}{}{value}", self.long)
    }
}

/// The help of mote and of all commands, each with its help option.
pub fn all() -> Vec<Help> {
    let text = mote(&["--help"]);
    let mut all = vec![Help { name: String::new(), about: String::new(), options: options(&text) }];
    for (name, about) in commands(&text) {
        let mut options = options(&mote(&[&name, "--help"]));
        let (short, long, about_help) = (Some("-h".into()), "--help".into(), "print help".into());
        options.push(Opt { short, long, value: None, about: about_help });
        all.push(Help { name, about, options });
    }
    assert!(all.len() > 10 && all[0].options.len() > 5, "unexpected help: {text}");
    all
}

/// The lines of a section, without leading blanks.
fn section<'a>(text: &'a str, head: &str) -> impl Iterator<Item = &'a str> {
    let lines = text.lines().skip_while(move |line| *line != head).skip(1);
    lines.take_while(|line| !line.is_empty()).map(str::trim_start)
}

/// The commands, without the placeholder for an option.
fn commands(text: &str) -> Vec<(String, String)> {
    let split = |line: &str| line.split_once(' ').map(|(name, about)| (name.into(), about.trim().into()));
    let commands = section(text, "Commands:").filter_map(split);
    commands.filter(|(name, _): &(String, _)| name != "help" && name != "version").collect()
}

fn options(text: &str) -> Vec<Opt> {
    let one = |line: &str| {
        let (short, rest) = match line.split_once(", --") {
            Some((short, _)) => (Some(short.into()), &line[short.len() + 2..]),
            None => (None, line),
        };
        let (head, about) = rest.split_once(' ').unwrap();
        let (long, value) = head.split_once('=').map_or((head, None), |(long, value)| (long, Some(value)));
        assert!(long.starts_with("--"), "not an option: {line}");
        Opt { short, long: long.into(), value: value.map(String::from), about: about.trim().into() }
    };
    section(text, "Options:").map(one).collect()
}
