//! The options of CRIU that `checkpoint` and `restore` have in common.

use alloc::ffi::CString;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::process::getpid;

use super::store::status::Status;
use crate::criu::connection::Connection;
use crate::criu::images::Directories;
use crate::criu::message::{Opt, Options};
use crate::criu::program::{Program, check_version};
use crate::criu::service::Service;
use crate::error::{At, On, Result, Show};

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

    /// The options of a request, and the configuration file, which must remain open.
    pub(super) fn encode(
        &self,
        status: &Status,
        directories: &Directories<'_>,
        log: &CStr,
    ) -> Result<(Options, Option<OwnedFd>)> {
        let mut options = Options::default();
        let number = |fd: &OwnedFd| fd.as_raw_fd() as u32;
        options.number(Opt::ImagesDirFd, number(directories.images()));
        if let Some(work) = directories.work() {
            options.number(Opt::WorkDirFd, number(work));
        }
        options.number(Opt::LogLevel, LOG_LEVEL);
        options.text(Opt::LogFile, log.to_bytes());
        options.flag(Opt::NotifyScripts, true);
        options.flag(Opt::ManageCgroups, true);
        self.flags.iter().for_each(|option| options.flag(*option, true));
        self.numbers.iter().for_each(|(option, value)| options.number(*option, *value));
        self.texts.iter().for_each(|(option, text)| options.text(*option, text.to_bytes()));
        let file = configuration(status)?;
        if let Some(file) = &file {
            options.text(Opt::ConfigFile, path_of(file).as_bytes());
        }
        Ok((options, file))
    }
}

/// The path by which CRIU opens a file of this process, also in another mount namespace.
pub(super) fn path_of(file: &OwnedFd) -> String {
    format!("/proc/{}/fd/{}", getpid().as_raw_nonzero(), file.as_raw_fd())
}

/// The configuration file: that of the annotation, none if it is empty, or else one of [`FILES`]. One that does not exist is
/// ignored, as by CRIU.
fn configuration(status: &Status) -> Result<Option<OwnedFd>> {
    let open = |path: &CStr| match open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT) => Ok(None),
        opened => opened.map(Some).on(format_args!("openat {}", Show(path))),
    };
    if let Some((_, path)) = status.annotations.iter().find(|(key, _)| key == "org.criu.config") {
        let path = CString::new(path.as_str()).unwrap_or_default();
        return if path.is_empty() {
            Ok(None)
        } else {
            open(&path).at(format_args!("annotations.org.criu.config"))
        };
    }
    FILES.into_iter().find_map(|path| open(path).transpose()).transpose()
}

/// Whether a CRIU that can be used is found in the directories of `search_path`, the value of PATH, and works on this kernel.
pub fn is_available(search_path: &CStr) -> bool {
    let works = Program::find(search_path).and_then(|program| {
        let mut criu = Service::start(&program)?;
        let checked = criu.connection().version().and_then(|version| check_version(version, &[]));
        let works = checked.and_then(|()| criu.connection().check_kernel());
        criu.end(works)
    });
    works.is_ok()
}
