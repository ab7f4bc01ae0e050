//! Hooks: when and in which namespaces they run, their input, and the handling of their failures.

pub mod before_root;
pub mod blocking;
pub mod failure;
pub mod input;
pub mod order;

use std::fs;
use std::path::PathBuf;

use crate::bundle::Bundle;
use crate::check::{Outcome, same};
use crate::json;
use crate::json::Json;
use crate::report::Report;
use crate::rig::Rig;

/// All hook points, in order.
pub const POINTS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// A container with hooks, and the file in its image to which all hooks write.
pub struct Hooked {
    pub bundle: Bundle,
    log: PathBuf,
    program: String,
}

impl Hooked {
    pub fn new(rig: &Rig) -> Outcome<Hooked> {
        let bundle = rig.bundle()?;
        bundle.file("/log", "")?;
        let log = bundle.host_path("log");
        // A startContainer hook writes as the user of the container.
        fs::set_permissions(&log, std::os::unix::fs::PermissionsExt::from_mode(0o666))?;
        Ok(Hooked { bundle, log, program: rig.suite.payload.display().to_string() })
    }

    /// A hook that executes these verbs and appends their report to the file.
    fn hook(&self, point: &str, verbs: &[&str]) -> Json {
        let log = self.log.display().to_string();
        let inside = point == "startContainer";
        let words = [&["payload", "into", if inside { "/log" } else { log.as_str() }], verbs].concat();
        let path = if inside { "/payload" } else { self.program.as_str() };
        json!({"path": path, "args": words})
    }

    pub fn add(&mut self, point: &str, verbs: &[&str]) {
        let hook = self.hook(point, verbs);
        self.bundle.set(&format!("hooks.{point}[+]"), hook);
    }

    /// Adds a hook at each hook point that reports the point.
    pub fn add_all(&mut self) {
        for point in POINTS {
            self.add(point, &["say", point]);
        }
    }

    pub fn text(&self) -> Outcome<String> {
        Ok(fs::read_to_string(&self.log)?)
    }

    pub fn report(&self) -> Outcome<Report> {
        Ok(Report::parse(&self.text()?))
    }

    /// Compares the values that the hooks have reported so far.
    fn reported(&self, words: &[&str]) -> Outcome {
        same("the reports of the hooks", self.report()?.all("say"), words)
    }
}
