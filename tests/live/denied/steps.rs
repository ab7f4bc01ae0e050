//! The record of a scenario: the commands that it ran, and what each of them did.

use crate::bundle::Bundle;
use crate::check::Outcome;
use crate::command::{Output, Running, start};
use crate::rig::Rig;

/// What a command did.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// It succeeded, with this output.
    Done(String),
    /// It failed: exit code and standard error.
    Refused(i32, String),
}

/// The commands of a scenario in order, by their names.
pub type Record = Vec<(&'static str, Step)>;

/// A scenario that is running.
pub struct Steps<'r, 'a> {
    pub rig: &'r mut Rig<'a>,
    pub record: Record,
}

impl Steps<'_, '_> {
    /// Records what a command did; returns whether it succeeded. `run` and `create` leave nothing behind otherwise.
    pub fn add(&mut self, name: &'static str, output: &Output) -> Outcome<bool> {
        let done = output.code() == 0;
        let step = match done {
            true => {
                Step::Done(self.plain(&[&*without_own_pids(name, &output.stdout), &*output.stderr].concat()))
            }
            false => Step::Refused(output.code(), self.plain(&output.stderr)),
        };
        self.record.push((name, step));
        if !done && super::creates(name) {
            self.rig.nothing_left()?;
        }
        Ok(done)
    }

    /// Runs a command of the runtime, and records what it did.
    pub fn command(&mut self, words: &[&'static str]) -> Outcome<bool> {
        let id = self.rig.id.clone();
        let all: Vec<&str> = words.iter().map(|word| if *word == "ID" { &*id } else { word }).collect();
        let output = self.rig.mote(&all)?;
        self.add(words.first().copied().unwrap_or_default(), &output)
    }

    /// Records a value that was read by other means.
    pub fn note(&mut self, name: &'static str, text: &str) {
        let text = self.plain(text);
        self.record.push((name, Step::Done(text)));
    }

    /// Runs `create`; `None` if it failed.
    pub fn create(&mut self, bundle: &Bundle) -> Outcome<Option<Running>> {
        let mut running = start(&mut self.rig.launch("create", bundle, &[])?, false)?;
        let (status, stderr) = running.status()?;
        let done = self.add("create", &Output { status, stdout: String::new(), stderr })?;
        Ok(done.then_some(running))
    }

    /// A text without what differs in each run: names of this test, PIDs and IDs of mounts.
    fn plain(&self, text: &str) -> String {
        let rig = &self.rig;
        let text = text
            .replace(&rig.dir.display().to_string(), "DIR")
            .replace(&rig.cgroup, "CGROUP")
            .replace(&rig.id, "ID");
        let text = (0..100).fold(text, |text, number| text.replace(&format!("bundle{number}/"), "bundle/"));
        let lines: Vec<String> = text.lines().map(|line| without_pids(&without_ids(line))).collect();
        lines.join("\n")
    }
}

/// A reported line of mountinfo without IDs of mounts and peer groups, device number, and path of its root.
fn without_ids(line: &str) -> String {
    let Some((place, mount)) = line.strip_prefix("mount:").and_then(|line| line.split_once('=')) else {
        return line.to_string();
    };
    let fields = mount.split(' ').skip(4).map(|field| match field.split_once(':') {
        Some((kind @ ("shared" | "master" | "propagate_from"), _)) => kind,
        _ => field,
    });
    format!("{place}: {}", fields.collect::<Vec<_>>().join(" "))
}

/// The output of a command without PIDs, which have few digits at times.
fn without_own_pids(command: &str, output: &str) -> String {
    match command {
        "ps" | "state" | "list" => output.chars().filter(|letter| !letter.is_ascii_digit()).collect(),
        _ => output.to_string(),
    }
}

/// A line in which PIDs, and numbers with four digits and more, which may be PIDs, are `PID`.
fn without_pids(line: &str) -> String {
    let mut parts = Vec::new();
    let mut rest = line;
    while let Some(begin) = rest.find(|letter: char| letter.is_ascii_digit()) {
        let (before, from) = rest.split_at(begin);
        let end = from.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(from.len());
        let (number, after) = from.split_at(end);
        let is_pid = number.len() > 3 || before.ends_with("pidfd_open ");
        parts.extend([before, if is_pid { "PID" } else { number }]);
        rest = after;
    }
    parts.push(rest);
    parts.concat()
}
