//! libseccomp, in a Python process (`libseccomp.py`), as the tests are static executables.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::interpreter::Instruction;
use crate::profile::{Profile, verdict};

pub struct Library {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pub version: String,
}

impl Library {
    /// Starts the process; without libseccomp, prints the reason, which is a failure with `MUST=1`.
    pub fn start(test: &str) -> Option<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seccomp/libseccomp.py");
        let mut command = Command::new("python3");
        command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = command.spawn().map_err(|error| format!("python3: {error}"));
        let library = started.and_then(|mut child| {
            let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
            let mut library =
                Library { child, input, output: BufReader::new(output), version: String::new() };
            library.version = library.request("version").ok_or("python3 finds no libseccomp.so.2")?;
            Ok(library)
        });
        library
            .map_err(|why| {
                println!("{test}: skipped: {why} (packages python3 and libseccomp2)");
                assert!(!std::env::var("MUST").is_ok_and(|must| must == "1"), "skipped with MUST=1: {why}");
            })
            .ok()
    }

    fn request(&mut self, line: &str) -> Option<String> {
        writeln!(self.input, "{line}").ok()?;
        let mut answer = String::new();
        self.output.read_line(&mut answer).ok()?;
        answer.ends_with('\n').then(|| answer.trim_end().to_owned())
    }

    /// The number of a name, if the architecture has this call separately.
    pub fn resolve(&mut self, arch: &str, name: &str) -> Option<u32> {
        self.request(&format!("resolve {} {name}", libseccomp_name(arch))).unwrap().parse().ok()
    }

    /// The program, or the rule that was rejected. The rules are passed as runc passes them.
    pub fn compile(&mut self, profile: &Profile, optimize: u8) -> Result<Vec<Instruction>, String> {
        let archs: Vec<String> = profile.archs.iter().map(|arch| libseccomp_name(arch)).collect();
        let default = verdict(profile.default, profile.errno);
        let mut request = format!("profile {optimize} {} {default}", archs.join(","));
        for line in &profile.lines {
            let action = verdict(line.action, line.errno);
            if action == default {
                continue;
            }
            let one = |&(index, op, a, b): &(u8, u8, u64, u64)| format!("/{index}/{op}/{a}/{b}");
            let conditions: Vec<String> = line.conditions.iter().map(one).collect();
            let twice = (0..6).any(|index| line.conditions.iter().filter(|c| c.0 == index).count() > 1);
            for name in line.words() {
                match twice {
                    true => conditions.iter().for_each(|one| request += &format!(" {action}/{name}{one}")),
                    false => request += &format!(" {action}/{name}{}", conditions.concat()),
                }
            }
        }
        let Some(answer) = self.request(&request) else {
            // 2.5.4 crashes on some profiles, or is killed (libseccomp.py).
            *self = Self::start("again").ok_or("no reply")?;
            return Err("a crash".to_owned());
        };
        match answer.starts_with("refused") {
            true => Err(answer),
            false => Ok(program(&answer, profile.native().is_little())),
        }
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn libseccomp_name(arch: &str) -> String {
    arch.to_lowercase()
}

/// A program in hexadecimal, in the byte order of its architecture.
fn program(hex: &str, little: bool) -> Vec<Instruction> {
    let byte = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
    let one = |at: usize| {
        let (code, value) = ([byte(at), byte(at + 1)], [4, 5, 6, 7].map(|more| byte(at + more)));
        match little {
            true => (u16::from_le_bytes(code), byte(at + 2), byte(at + 3), u32::from_le_bytes(value)),
            false => (u16::from_be_bytes(code), byte(at + 2), byte(at + 3), u32::from_be_bytes(value)),
        }
    };
    (0..hex.len() / 16).map(|index| one(8 * index)).collect()
}
