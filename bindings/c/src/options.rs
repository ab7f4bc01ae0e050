//! The structures of options of mote.h, and their conversion.

use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::{c_char, c_int, c_uint};
use core::mem::MaybeUninit;
use core::slice;

use mote::{
    Bundle, Buses, CgroupManager, CgroupsMode, CheckpointOptions, ConsoleSocket, CreateOptions, Descriptor,
    Document, ExecOptions, NetworkLock, Passed, Process, RestoreOptions, Result, StartOptions, Streams,
};
use rustix::fd::BorrowedFd;
use rustix::io::fcntl_dupfd_cloexec;

use crate::text::{invalid, list, optional, required};

/// A structure of options, whose first member is its size; a program that was compiled with an older mote.h passes a
/// shorter one.
///
/// # Safety
/// It is `repr(C)`, begins with its size as `usize`, and every byte pattern of its other members, as C can make it, is valid.
pub unsafe trait Versioned: Copy {
    /// The defaults: the initializer of mote.h.
    const DEFAULT: Self;
}

/// Reads options; for a null pointer, the defaults.
///
/// # Safety
/// The pointer is null, or that of a structure as long as its first member says.
pub unsafe fn read<T: Versioned>(options: *const T) -> Result<T> {
    if options.is_null() {
        return Ok(T::DEFAULT);
    }
    // SAFETY: it begins with its size.
    let size = unsafe { options.cast::<usize>().read() };
    let known = size_of::<T>();
    if size < size_of::<usize>() {
        return Err(invalid(format_args!("options: size {size} is too small")));
    }
    // SAFETY: it is so long.
    let bytes = unsafe { slice::from_raw_parts(options.cast::<u8>(), size) };
    if bytes.iter().skip(known).any(|byte| *byte != 0) {
        return Err(mote::Error::new(
            mote::Kind::Unsupported,
            format_args!("options: size {size} is that of a newer mote.h"),
        ));
    }
    let mut read = MaybeUninit::new(T::DEFAULT);
    // SAFETY: both are at least so long, and are disjoint.
    unsafe {
        core::ptr::copy_nonoverlapping(options.cast::<u8>(), read.as_mut_ptr().cast(), size.min(known))
    };
    // SAFETY: every byte pattern that C can make is valid.
    Ok(unsafe { read.assume_init() })
}

type Str = *const c_char;
const NULL: Str = core::ptr::null();

/// Defines a structure with its defaults.
macro_rules! options {
    ($(#[$about:meta])* $name:ident { $($field:ident: $type:ty = $default:expr),* $(,)? }) => {
        $(#[$about])*
        #[repr(C)]
        #[derive(Clone, Copy)]
        pub struct $name {
            size: usize,
            $(pub $field: $type),*
        }

        // SAFETY: it begins with its size, and consists of numbers and pointers.
        unsafe impl Versioned for $name {
            const DEFAULT: Self = $name { size: size_of::<$name>(), $($field: $default),* };
        }
    };
}

options! {
    /// `mote_runtime_options`
    RuntimeOptions {
        cgroup_manager: c_int = 0,
        dbus_session_bus_address: Str = NULL,
        xdg_runtime_dir: Str = NULL,
        dbus_system_bus_address: Str = NULL,
        search_path: Str = NULL,
        program: Str = NULL,
    }
}

options! {
    /// `mote_create_options`
    Create {
        config: Str = NULL,
        config_length: usize = 0,
        config_file: Str = NULL,
        stdin_fd: c_int = -1,
        stdout_fd: c_int = -1,
        stderr_fd: c_int = -1,
        fds: *const c_int = core::ptr::null(),
        fds_count: usize = 0,
        listen_fds: c_uint = 0,
        console_fd: c_int = -1,
        console_socket: Str = NULL,
        pid_file: Str = NULL,
        pidfd_socket: Str = NULL,
        notify_socket: Str = NULL,
        seccomp_receiver: Str = NULL,
        no_pivot: c_int = 0,
        no_new_keyring: c_int = 0,
    }
}

options! {
    /// `mote_start_options`
    Start { notify_socket: Str = NULL, seccomp_receiver: Str = NULL }
}

options! {
    /// `mote_exec_options`
    Exec {
        args: *const Str = core::ptr::null(),
        env: *const Str = core::ptr::null(),
        cwd: Str = NULL,
        set_uid: c_int = 0,
        uid: c_uint = 0,
        set_gid: c_int = 0,
        gid: c_uint = 0,
        additional_gids: *const c_uint = core::ptr::null(),
        additional_gids_count: usize = 0,
        capabilities: *const Str = core::ptr::null(),
        no_new_privileges: c_int = 0,
        apparmor_profile: Str = NULL,
        selinux_label: Str = NULL,
        process: Str = NULL,
        process_length: usize = 0,
        process_file: Str = NULL,
        stdin_fd: c_int = -1,
        stdout_fd: c_int = -1,
        stderr_fd: c_int = -1,
        fds: *const c_int = core::ptr::null(),
        fds_count: usize = 0,
        terminal: c_int = 0,
        console_fd: c_int = -1,
        console_socket: Str = NULL,
        pid_file: Str = NULL,
        pidfd_socket: Str = NULL,
        cgroups: *const Str = core::ptr::null(),
        ignore_paused: c_int = 0,
        seccomp_receiver: Str = NULL,
    }
}

options! {
    /// `mote_criu_options`
    Criu {
        image_path: Str = NULL,
        work_path: Str = NULL,
        parent_path: Str = NULL,
        leave_running: c_int = 0,
        pre_dump: c_int = 0,
        tcp_established: c_int = 0,
        tcp_close: c_int = 0,
        tcp_skip_in_flight: c_int = 0,
        ext_unix_sockets: c_int = 0,
        shell_job: c_int = 0,
        file_locks: c_int = 0,
        link_remap: c_int = 0,
        auto_dedup: c_int = 0,
        lazy_pages: c_int = 0,
        cgroups_mode: c_int = 0,
        network_lock: c_int = 0,
        page_server_address: Str = NULL,
        page_server_port: c_uint = 0,
        status_fd: c_int = -1,
        ghost_limit: c_uint = 0,
        lsm_profile: Str = NULL,
        lsm_mount_context: Str = NULL,
    }
}

/// A duplicate of a file descriptor; `None` for a negative number.
fn duplicate(number: c_int) -> Result<Option<Descriptor>> {
    if number < 0 {
        return Ok(None);
    }
    // SAFETY: the number is only passed to the kernel, which checks it.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    match fcntl_dupfd_cloexec(fd, 3) {
        Ok(fd) => Ok(Some(fd.into())),
        Err(errno) => Err(invalid(format_args!("file descriptor {number}: {errno}"))),
    }
}

fn streams(stdin: c_int, stdout: c_int, stderr: c_int) -> Result<Streams> {
    Ok(Streams { stdin: duplicate(stdin)?, stdout: duplicate(stdout)?, stderr: duplicate(stderr)? })
}

/// An array of numbers.
///
/// # Safety
/// It has so many elements, or is null.
unsafe fn numbers<'a, T>(array: *const T, count: usize) -> &'a [T] {
    match array.is_null() {
        true => &[],
        // SAFETY: as the caller guarantees.
        false => unsafe { slice::from_raw_parts(array, count) },
    }
}

unsafe fn passed(fds: *const c_int, count: usize) -> Result<Passed> {
    // SAFETY: mote.h: `count` elements.
    let fds = unsafe { numbers(fds, count) };
    let closed = || invalid(format_args!("fds: a negative file descriptor"));
    let fds = fds.iter().map(|fd| duplicate(*fd)?.ok_or_else(closed));
    Ok(Passed::Given(fds.collect::<Result<_>>()?))
}

unsafe fn console(fd: c_int, path: Str) -> Result<Option<ConsoleSocket>> {
    match duplicate(fd)? {
        Some(socket) => Ok(Some(ConsoleSocket::Connected(socket))),
        // SAFETY: mote.h: null, or a text.
        None => Ok(unsafe { optional(path) }.map(|path| ConsoleSocket::Path(path.into()))),
    }
}

/// A document: its text, of `length` bytes or to its NUL, or a file.
///
/// # Safety
/// The pointers are null, or of so many bytes and of a C string.
unsafe fn document(text: Str, length: usize, file: Str) -> Option<Document> {
    if text.is_null() {
        // SAFETY: mote.h: null, or a text.
        return unsafe { optional(file) }.map(|path| Document::File(path.into()));
    }
    // SAFETY: as above.
    Some(unsafe { json(text, length) })
}

/// A document that is given by its text, of `length` bytes, or to its NUL if that is 0.
///
/// # Safety
/// It has so many bytes, or is a C string.
pub unsafe fn json(text: Str, length: usize) -> Document {
    let bytes = match length {
        // SAFETY: mote.h: a text.
        0 => unsafe { optional(text) }.map_or(&[][..], |text| text.to_bytes()),
        // SAFETY: mote.h: so many bytes.
        length => unsafe { numbers(text.cast(), length) },
    };
    Document::Bytes(bytes.into())
}

fn strings(array: &[&core::ffi::CStr]) -> Vec<String> {
    array.iter().map(|text| text.to_string_lossy().into_owned()).collect()
}

impl RuntimeOptions {
    /// # Safety
    /// As mote.h says.
    pub unsafe fn manager(&self) -> Result<CgroupManager> {
        let text = |text| {
            // SAFETY: null, or a text.
            unsafe { optional(text) }.map(Into::into)
        };
        match self.cgroup_manager {
            0 => Ok(CgroupManager::Cgroupfs),
            1 => Ok(CgroupManager::Systemd(Buses {
                session: text(self.dbus_session_bus_address),
                runtime: text(self.xdg_runtime_dir),
                system: text(self.dbus_system_bus_address),
            })),
            2 => Ok(CgroupManager::Delegated),
            3 => Ok(CgroupManager::Disabled),
            other => Err(invalid(format_args!("cgroup_manager: unknown value {other}"))),
        }
    }
}

/// Converts members that are texts, or null.
macro_rules! texts {
    ($from:ident, $to:ident: $($field:ident)*) => {
        // SAFETY: mote.h: null, or texts.
        $($to.$field = unsafe { optional($from.$field) }.map(Into::into);)*
    };
}

/// Converts members that are true or false.
macro_rules! flags {
    ($from:ident, $to:ident: $($field:ident)*) => {
        $($to.$field = $from.$field != 0;)*
    };
}

impl Create {
    /// # Safety
    /// As mote.h says.
    pub unsafe fn bundle(&self, path: Str) -> Result<Bundle> {
        // SAFETY: mote.h: null, or a text.
        let bundle = Bundle::open(unsafe { required(path, "bundle") }?)?;
        // SAFETY: as above.
        let config = unsafe { document(self.config, self.config_length, self.config_file) };
        Ok(match config {
            Some(config) => bundle.config(config),
            None => bundle,
        })
    }

    /// # Safety
    /// As mote.h says.
    pub unsafe fn options(&self) -> Result<CreateOptions> {
        let mut options = CreateOptions::default();
        // SAFETY: mote.h: an array of so many elements.
        options.fds = unsafe { passed(self.fds, self.fds_count) }?;
        options.listen_fds = self.listen_fds;
        options.streams = streams(self.stdin_fd, self.stdout_fd, self.stderr_fd)?;
        // SAFETY: mote.h: null, or a text.
        options.console_socket = unsafe { console(self.console_fd, self.console_socket) }?;
        texts!(self, options: pid_file pidfd_socket notify_socket seccomp_receiver);
        flags!(self, options: no_pivot no_new_keyring);
        Ok(options)
    }
}

impl Start {
    /// # Safety
    /// As mote.h says.
    pub unsafe fn options(&self) -> StartOptions {
        let mut options = StartOptions::default();
        texts!(self, options: notify_socket seccomp_receiver);
        options
    }
}

impl Exec {
    /// # Safety
    /// As mote.h says.
    pub unsafe fn process(&self) -> Process {
        // SAFETY: mote.h: null, or arrays that end with null.
        let [args, env, capabilities] =
            [self.args, self.env, self.capabilities].map(|array| unsafe { list(array) });
        let mut process = Process::new(args);
        process.env = env.into_iter().map(Into::into).collect();
        process.capabilities = strings(&capabilities);
        process.user = (self.set_uid != 0).then_some((self.uid, (self.set_gid != 0).then_some(self.gid)));
        // SAFETY: mote.h: so many elements.
        process.additional_gids =
            unsafe { numbers(self.additional_gids, self.additional_gids_count) }.to_vec();
        texts!(self, process: cwd apparmor_profile selinux_label);
        flags!(self, process: no_new_privileges);
        // SAFETY: mote.h: null, or texts.
        process.document = unsafe { document(self.process, self.process_length, self.process_file) };
        process
    }

    /// # Safety
    /// As mote.h says.
    pub unsafe fn options(&self) -> Result<ExecOptions> {
        let mut options = ExecOptions::default();
        // SAFETY: mote.h: an array of so many elements.
        options.fds = unsafe { passed(self.fds, self.fds_count) }?;
        options.streams = streams(self.stdin_fd, self.stdout_fd, self.stderr_fd)?;
        // SAFETY: mote.h: null, or a text.
        options.console_socket = unsafe { console(self.console_fd, self.console_socket) }?;
        // SAFETY: mote.h: null, or an array that ends with null.
        options.cgroup = strings(&unsafe { list(self.cgroups) });
        texts!(self, options: pid_file pidfd_socket seccomp_receiver);
        flags!(self, options: terminal ignore_paused);
        Ok(options)
    }
}

impl Criu {
    fn modes(&self) -> Result<(CgroupsMode, Option<NetworkLock>)> {
        let mode = match self.cgroups_mode {
            0 => CgroupsMode::Soft,
            1 => CgroupsMode::Full,
            2 => CgroupsMode::Strict,
            3 => CgroupsMode::Ignore,
            other => return Err(invalid(format_args!("cgroups_mode: unknown value {other}"))),
        };
        let lock = match self.network_lock {
            0 => None,
            1 => Some(NetworkLock::Iptables),
            2 => Some(NetworkLock::Nftables),
            3 => Some(NetworkLock::Skip),
            other => return Err(invalid(format_args!("network_lock: unknown value {other}"))),
        };
        Ok((mode, lock))
    }

    /// # Safety
    /// As mote.h says.
    pub unsafe fn checkpoint(&self) -> Result<CheckpointOptions> {
        let mut options = CheckpointOptions::default();
        // SAFETY: mote.h: null, or a text.
        options.image_path = unsafe { required(self.image_path, "image_path") }?.into();
        (options.cgroups, options.network_lock) = self.modes()?;
        texts!(self, options: work_path parent_path);
        flags!(self, options: leave_running pre_dump tcp_established tcp_skip_in_flight ext_unix_sockets shell_job);
        flags!(self, options: file_locks link_remap auto_dedup lazy_pages);
        // SAFETY: mote.h: null, or a text.
        let server = unsafe { optional(self.page_server_address) };
        let port = u16::try_from(self.page_server_port);
        let port = port.map_err(|_| invalid(format_args!("page_server_port: {}", self.page_server_port)))?;
        options.page_server = server.map(|address| (address.to_string_lossy().into_owned(), port));
        options.status = duplicate(self.status_fd)?;
        options.ghost_limit = (self.ghost_limit != 0).then_some(self.ghost_limit);
        Ok(options)
    }

    /// # Safety
    /// As mote.h says.
    pub unsafe fn restore(&self) -> Result<RestoreOptions> {
        let mut options = RestoreOptions::default();
        // SAFETY: mote.h: null, or a text.
        options.image_path = unsafe { required(self.image_path, "image_path") }?.into();
        (options.cgroups, options.network_lock) = self.modes()?;
        texts!(self, options: work_path lsm_profile lsm_mount_context);
        flags!(self, options: tcp_established tcp_close ext_unix_sockets shell_job file_locks auto_dedup lazy_pages);
        Ok(options)
    }
}
