//! The options of CRIU.

use alloc::string::String;
use alloc::vec::Vec;

use super::text::{AbsolutePath, Text};
use super::wire::{Decoder, Encoder, Wire, record};
use crate::container::criu::CriuOptions;
use crate::criu::message::{CGROUPS_FULL, CGROUPS_IGNORE, CGROUPS_SOFT, CGROUPS_STRICT, Opt};
use crate::error::Result;
use crate::os::descriptor::Descriptor;

record! {
    /// The options of CRIU as it gets them.
    #[derive(Clone, Debug, Default)]
    pub struct Criu {
        /// The directory of the image files.
        pub images: AbsolutePath,
        /// The directory of the log; by default that of the images.
        pub work: Option<AbsolutePath>,
        /// Options without a value.
        pub flags: Vec<Opt>,
        /// Options with a number.
        pub numbers: Vec<(Opt, u32)>,
        /// Options with a text.
        pub texts: Vec<(Opt, Text)>,
    }
}

impl Criu {
    pub(crate) fn to_request<'a>(&'a self, search_path: &'a Text) -> CriuOptions<'a> {
        CriuOptions {
            images: self.images.get(),
            work: self.work.as_ref().map(AbsolutePath::get),
            search_path: search_path.get(),
            flags: self.flags.clone(),
            numbers: self.numbers.clone(),
            texts: self.texts.iter().map(|(option, text)| (*option, text.get())).collect(),
        }
    }
}

/// The options that are given to `checkpoint` and `restore`; mote sets the others.
const OPTIONS: [Opt; 15] = [
    Opt::LeaveRunning,
    Opt::TcpEstablished,
    Opt::TcpClose,
    Opt::TcpSkipInFlight,
    Opt::ExtUnixSk,
    Opt::ShellJob,
    Opt::FileLocks,
    Opt::LinkRemap,
    Opt::AutoDedup,
    Opt::LazyPages,
    Opt::ManageCgroupsMode,
    Opt::NetworkLock,
    Opt::GhostLimit,
    Opt::LsmProfile,
    Opt::LsmMountContext,
];

impl Wire for Opt {
    fn put(&self, to: &mut Encoder) {
        to.number(*self as u64);
    }

    fn take(from: &mut Decoder<'_>) -> Result<Self> {
        let number = from.number()?;
        let known = OPTIONS.into_iter().find(|option| *option as u64 == number);
        known.ok_or_else(|| crate::error::Error::invalid(format_args!("unknown option {number} of CRIU")))
    }
}

/// How cgroups are dumped and restored (`--manage-cgroups-mode` of criu(8)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CgroupsMode {
    /// Cgroups that exist keep their limits.
    #[default]
    Soft,
    /// All limits are restored.
    Full,
    /// Cgroups that exist are an error.
    Strict,
    /// No cgroups are dumped or restored.
    Ignore,
}

/// How packets are held back during a dump and a restore (`--network-lock` of criu(8)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkLock {
    /// By iptables(8).
    Iptables = 1,
    /// By nftables(8).
    Nftables = 2,
    /// Not at all.
    Skip = 3,
}

/// Options of [`Container::checkpoint`](crate::Container::checkpoint).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CheckpointOptions {
    /// The directory of the image files, which is created if it does not exist.
    pub image_path: AbsolutePath,
    /// The directory of the log; by default that of the images.
    pub work_path: Option<AbsolutePath>,
    /// Let the container continue after the dump.
    pub leave_running: bool,
    /// Dump only the memory, and let the container continue.
    pub pre_dump: bool,
    /// The images of a preceding pre-dump, relative to `image_path`.
    pub parent_path: Option<Text>,
    /// Allow established TCP connections.
    pub tcp_established: bool,
    /// Skip TCP connections that are being established.
    pub tcp_skip_in_flight: bool,
    /// Allow connections to AF_UNIX sockets outside of the container.
    pub ext_unix_sockets: bool,
    /// Allow processes of the session of a shell outside of the container.
    pub shell_job: bool,
    /// Allow file locks.
    pub file_locks: bool,
    /// Link files back that have been unlinked, and dump them.
    pub link_remap: bool,
    /// How cgroups are dumped.
    pub cgroups: CgroupsMode,
    /// How packets are held back; by default that of CRIU.
    pub network_lock: Option<NetworkLock>,
    /// Free image files of pages that newer images have.
    pub auto_dedup: bool,
    /// Serve memory pages when they are requested (userfaultfd(2)), at this address.
    pub lazy_pages: bool,
    /// The address and port to which memory is sent instead of the image files.
    pub page_server: Option<(String, u16)>,
    /// Receives a NUL byte when pages can be requested.
    pub status: Option<Descriptor>,
    /// The size in bytes of the largest unlinked file that is dumped; by default 1 MiB.
    pub ghost_limit: Option<u32>,
}

/// Options of [`Runtime::restore`](crate::Runtime::restore) for CRIU.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RestoreOptions {
    /// The directory of the image files.
    pub image_path: AbsolutePath,
    /// The directory of the log; by default that of the images.
    pub work_path: Option<AbsolutePath>,
    /// Allow established TCP connections.
    pub tcp_established: bool,
    /// Close established TCP connections.
    pub tcp_close: bool,
    /// Allow connections to AF_UNIX sockets outside of the container.
    pub ext_unix_sockets: bool,
    /// Allow processes of the session of a shell outside of the container.
    pub shell_job: bool,
    /// Allow file locks.
    pub file_locks: bool,
    /// How cgroups are restored.
    pub cgroups: CgroupsMode,
    /// How packets are held back; by default that of CRIU.
    pub network_lock: Option<NetworkLock>,
    /// Free image files of pages that are restored.
    pub auto_dedup: bool,
    /// Restore memory pages when they are used (userfaultfd(2)).
    pub lazy_pages: bool,
    /// The AppArmor profile or SELinux label, `TYPE:NAME`, instead of the dumped one.
    pub lsm_profile: Option<Text>,
    /// The SELinux label of mounts, instead of the dumped one.
    pub lsm_mount_context: Option<Text>,
}

fn numbers(cgroups: CgroupsMode, lock: Option<NetworkLock>) -> Vec<(Opt, u32)> {
    let mode = match cgroups {
        CgroupsMode::Soft => CGROUPS_SOFT,
        CgroupsMode::Full => CGROUPS_FULL,
        CgroupsMode::Strict => CGROUPS_STRICT,
        CgroupsMode::Ignore => CGROUPS_IGNORE,
    };
    let lock = lock.map(|lock| (Opt::NetworkLock, lock as u32));
    [Some((Opt::ManageCgroupsMode, mode)), lock].into_iter().flatten().collect()
}

fn given<const N: usize>(flags: [(bool, Opt); N]) -> Vec<Opt> {
    flags.into_iter().filter(|(is_given, _)| *is_given).map(|(_, option)| option).collect()
}

impl From<&CheckpointOptions> for Criu {
    fn from(options: &CheckpointOptions) -> Self {
        let mut numbers = numbers(options.cgroups, options.network_lock);
        numbers.extend(options.ghost_limit.map(|limit| (Opt::GhostLimit, limit)));
        let flags = given([
            (options.leave_running, Opt::LeaveRunning),
            (options.tcp_established, Opt::TcpEstablished),
            (options.tcp_skip_in_flight, Opt::TcpSkipInFlight),
            (options.ext_unix_sockets, Opt::ExtUnixSk),
            (options.shell_job, Opt::ShellJob),
            (options.file_locks, Opt::FileLocks),
            (options.link_remap, Opt::LinkRemap),
            (options.auto_dedup, Opt::AutoDedup),
            (options.lazy_pages, Opt::LazyPages),
        ]);
        let (images, work) = (options.image_path.clone(), options.work_path.clone());
        Criu { images, work, flags, numbers, texts: Vec::new() }
    }
}

impl From<&RestoreOptions> for Criu {
    fn from(options: &RestoreOptions) -> Self {
        let flags = given([
            (options.tcp_established, Opt::TcpEstablished),
            (options.tcp_close, Opt::TcpClose),
            (options.ext_unix_sockets, Opt::ExtUnixSk),
            (options.shell_job, Opt::ShellJob),
            (options.file_locks, Opt::FileLocks),
            (options.auto_dedup, Opt::AutoDedup),
            (options.lazy_pages, Opt::LazyPages),
        ]);
        let texts =
            [(Opt::LsmProfile, &options.lsm_profile), (Opt::LsmMountContext, &options.lsm_mount_context)];
        let texts = texts.into_iter().filter_map(|(option, text)| Some((option, text.clone()?))).collect();
        let numbers = numbers(options.cgroups, options.network_lock);
        Criu { images: options.image_path.clone(), work: options.work_path.clone(), flags, numbers, texts }
    }
}
