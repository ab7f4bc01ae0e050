//! The options of CRIU that `checkpoint` and `restore` have in common.

use alloc::vec::Vec;
use core::ffi::CStr;

use rustix::fd::AsRawFd;
use rustix::fs::{Access, access};

use super::store::status::Status;
use crate::criu::connection::Connection;
use crate::criu::images::Directories;
use crate::criu::message::{Opt, Options};
use crate::criu::program::{Program, check_version};
use crate::error::Result;

/// The options of the command line.
#[derive(Clone, Debug)]
pub struct CriuOptions<'a> {
    /// The directory of the image files.
    pub images: &'a CStr,
    /// The directory of the log; by default that of the images.
    pub work: Option<&'a CStr>,
    /// PATH, in whose directories `criu` is looked up.
    pub search_path: &'a CStr,
    /// Options without a value.
    pub flags: Vec<Opt>,
    /// Options with a number.
    pub numbers: Vec<(Opt, u32)>,
    /// Options with a text.
    pub texts: Vec<(Opt, &'a CStr)>,
}

/// The configuration files of CRIU, of which the first that exists is used. Its settings take precedence over all options.
const FILES: [&CStr; 3] = [c"/etc/criu/mote.conf", c"/etc/criu/crun.conf", c"/etc/criu/runc.conf"];

/// The level of CRIU's log: all messages, as they are needed to explain an error.
const LOG_LEVEL: u32 = 4;

impl CriuOptions<'_> {
    /// Whether an option without a value is given.
    pub(super) fn has(&self, option: Opt) -> bool {
        self.flags.contains(&option)
    }

    /// Checks that CRIU, and the kernel, have the given options. `tracks_memory`: pages that have changed are dumped.
    pub(super) fn check(&self, criu: &mut Connection, tracks_memory: bool) -> Result<()> {
        let numbers = self.numbers.iter().map(|(option, _)| *option);
        let texts = self.texts.iter().map(|(option, _)| *option);
        let given: Vec<Opt> = self.flags.iter().copied().chain(numbers).chain(texts).collect();
        check_version(criu.version()?, &given)?;
        criu.check_features(tracks_memory, self.has(Opt::LazyPages))
    }

    /// The options of a request.
    pub(super) fn encode(&self, status: &Status, directories: &Directories<'_>, log: &CStr) -> Options {
        let mut options = Options::default();
        let number = |fd: &rustix::fd::OwnedFd| fd.as_raw_fd() as u32;
        options.number(Opt::ImagesDirFd, number(directories.images()));
        if let Some(work) = directories.work() {
            options.number(Opt::WorkDirFd, number(work));
        }
        options.number(Opt::LogLevel, LOG_LEVEL);
        options.text(Opt::LogFile, log.to_bytes());
        options.flag(Opt::NotifyScripts, true);
        options.flag(Opt::OrphanPtsMaster, true);
        options.flag(Opt::ManageCgroups, true);
        self.flags.iter().for_each(|option| options.flag(*option, true));
        self.numbers.iter().for_each(|(option, value)| options.number(*option, *value));
        self.texts.iter().for_each(|(option, text)| options.text(*option, text.to_bytes()));
        if let Some(file) = configuration(status) {
            options.text(Opt::ConfigFile, file);
        }
        options
    }
}

/// The configuration file: that of the annotation, none if it is empty, or else one of [`FILES`].
fn configuration(status: &Status) -> Option<&[u8]> {
    match status.annotations.iter().find(|(key, _)| key == "org.criu.config") {
        Some((_, file)) => Some(file.as_bytes()).filter(|file| !file.is_empty()),
        None => {
            let exists = |file: &&CStr| access(*file, Access::EXISTS).is_ok();
            FILES.into_iter().find(exists).map(CStr::to_bytes)
        }
    }
}

/// Whether a CRIU that can be used is found in the directories of `search_path`, the value of PATH.
pub fn is_available(search_path: &CStr) -> bool {
    let version = Program::find(search_path).and_then(|program| {
        let mut service = crate::criu::service::Service::start(&program)?;
        let version = service.connection().version();
        service.end(version)
    });
    version.and_then(|version| check_version(version, &[])).is_ok()
}
