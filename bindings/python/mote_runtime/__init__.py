"""OCI containers from Python, without a daemon.

    import mote_runtime

    runtime = mote_runtime.Runtime("/run/mine")
    with runtime.run("hello", "/path/to/bundle") as container:
        print(container.wait().code)

Every operation is carried out by another process, so the interpreter is not changed, and operations of several threads run at
the same time: the GIL is released in every call. `mote_runtime.aio` has the same classes for asyncio.

Paths are absolute. File descriptors and objects with `fileno()` are duplicated: they remain the caller's.
"""

from __future__ import annotations

import json as _json
import os as _os
import signal as _signal
from ctypes import byref, c_char_p, c_int, c_size_t, c_uint, c_void_p, sizeof
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Iterator, Mapping, Optional, Protocol, Sequence, TypedDict, Union

from . import _native

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = [
    "Container",
    "ExistsError",
    "ExitStatus",
    "HookError",
    "InvalidError",
    "MoteError",
    "NoProgramError",
    "NotFoundError",
    "OomKill",
    "Process",
    "ProgramError",
    "Runtime",
    "State",
    "StateError",
    "Stats",
    "SystemCallError",
    "UnsupportedError",
    "version",
]

PathLike = Union[str, "_os.PathLike[str]"]


class HasFileno(Protocol):
    """An object with a file descriptor, such as a file."""

    def fileno(self) -> int: ...


File = Union[int, HasFileno]
#: JSON: an object as of json.loads, or its text.
Json = Union[Mapping[str, Any], Sequence[Any], str, bytes]


class StartOptions(TypedDict, total=False):
    """Options of `Container.start`."""

    #: The path, or `@NAME`, of the socket for readiness notification (sd_notify(3)): it returns when the container is ready.
    notify_socket: Optional[str]
    #: The socket that receives the seccomp listener fd if `linux.seccomp.listenerPath` is not set.
    seccomp_receiver: Optional[PathLike]


class CreateOptions(StartOptions, total=False):
    """Options of `Runtime.create`, `run` and `restore`."""

    #: The standard streams; by default those of the interpreter.
    stdin: Optional[File]
    stdout: Optional[File]
    stderr: Optional[File]
    #: The file descriptors that become 3 and up, and how many of them are passed as by socket activation.
    pass_fds: Sequence[File]
    listen_fds: int
    #: Receives the PTY master if `process.terminal` is set: a connected socket, or the path of a listening one.
    console: Optional[File]
    console_socket: Optional[PathLike]
    #: A file to which the PID is written, and a socket that receives a pidfd.
    pid_file: Optional[PathLike]
    pidfd_socket: Optional[PathLike]
    #: Change the root by chroot(2).
    no_pivot: bool
    #: Keep the session keyring of the caller.
    no_new_keyring: bool


class ExecOptions(TypedDict, total=False):
    """Options of `Container.exec`; those of the same name as in `CreateOptions` are the same."""

    #: Variables that are added.
    env: Optional[Mapping[str, str]]
    cwd: Optional[str]
    #: A UID, or UID and GID.
    user: Union[int, tuple[int, int], None]
    #: Groups and capabilities that are added.
    additional_gids: Sequence[int]
    capabilities: Sequence[str]
    no_new_privileges: bool
    apparmor_profile: Optional[str]
    selinux_label: Optional[str]
    #: Instead of all the above, and of the arguments: an object as `process` of config.json.
    process: Optional[Json]
    stdin: Optional[File]
    stdout: Optional[File]
    stderr: Optional[File]
    pass_fds: Sequence[File]
    #: Allocate a terminal.
    terminal: bool
    console: Optional[File]
    console_socket: Optional[PathLike]
    pid_file: Optional[PathLike]
    pidfd_socket: Optional[PathLike]
    #: Cgroups below the container's that it joins.
    cgroups: Sequence[str]
    #: Allow a paused container; the process runs when it is resumed.
    ignore_paused: bool
    seccomp_receiver: Optional[PathLike]


class _CriuOptions(TypedDict, total=False):
    #: The directory of the log; by default that of the images.
    work_path: Optional[PathLike]
    #: Allow established TCP connections, connections to AF_UNIX sockets outside, a shell's session, file locks.
    tcp_established: bool
    ext_unix_sockets: bool
    shell_job: bool
    file_locks: bool
    #: Free image files of pages that others have.
    auto_dedup: bool
    #: Transfer memory pages when they are used.
    lazy_pages: bool
    #: "soft", "full", "strict" or "ignore"
    cgroups_mode: str
    #: "iptables", "nftables" or "skip"
    network_lock: Optional[str]


class CheckpointOptions(_CriuOptions, total=False):
    """Options of `Container.checkpoint`."""

    #: Images of a preceding pre-dump, relative to the directory of the images.
    parent_path: Optional[str]
    #: The container continues.
    leave_running: bool
    #: Dump only the memory; the container continues.
    pre_dump: bool
    tcp_skip_in_flight: bool
    link_remap: bool
    #: Address and port to which memory is sent.
    page_server: Optional[tuple[str, int]]
    #: Receives a NUL byte when pages can be requested.
    status_fd: Optional[File]
    #: The largest unlinked file that is dumped, in bytes; 0: 1 MiB.
    ghost_limit: int


class RestoreOptions(_CriuOptions, total=False):
    """Options of CRIU for `Runtime.restore`."""

    #: Close established TCP connections.
    tcp_close: bool
    #: AppArmor profile or SELinux label, TYPE:NAME, and SELinux label of mounts, instead of the dumped ones.
    lsm_profile: Optional[str]
    lsm_mount_context: Optional[str]


class MoteError(Exception):
    """An operation failed. There is a subclass for each kind of error."""

    #: The error number (errno(3)) of a system call that failed; 0 without one.
    errno: int = 0
    #: The field of the configuration that the error is about, such as "mounts[3]".
    field: Optional[str] = None


class InvalidError(MoteError):
    """An argument, a file or a field of the configuration is not valid."""


class UnsupportedError(MoteError):
    """A valid setting that mote, the kernel or CRIU does not support."""


class NotFoundError(MoteError):
    """There is no container with this ID."""


class ExistsError(MoteError):
    """The ID is in use."""


class StateError(MoteError):
    """The operation is not possible in the state of the container."""


class SystemCallError(MoteError):
    """A system call failed, with `errno`."""


class NoProgramError(MoteError):
    """The program to be run does not exist."""


class ProgramError(MoteError):
    """The program cannot be executed."""


class HookError(MoteError):
    """A hook failed."""


_KINDS = [
    MoteError,
    InvalidError,
    UnsupportedError,
    NotFoundError,
    ExistsError,
    StateError,
    SystemCallError,
    NoProgramError,
    ProgramError,
    HookError,
]


def _exception(error: Any) -> MoteError:
    """The exception for a `mote_error`, which is not freed."""
    kind = _native.error_kind(error)
    exception = (_KINDS[kind] if kind < len(_KINDS) else MoteError)(_text(_native.error_message(error)))
    exception.errno = _native.error_errno(error)
    exception.field = _text(_native.error_field(error)) or None
    return exception


def _call(function: Callable[..., int], *arguments: Any) -> int:
    """Calls a function whose last argument is the place for an error, and raises that."""
    error = c_void_p()
    returned = function(*arguments, byref(error))
    if error:
        exception = _exception(error)
        _native.error_free(error)
        raise exception
    return returned


def _result(function: Callable[..., int], *arguments: Any) -> c_void_p:
    """Calls a function that stores a handle before the error."""
    handle = c_void_p()
    _call(function, *arguments, byref(handle))
    return handle


def _text(text: Optional[bytes]) -> str:
    return (text or b"").decode(errors="surrogateescape")


def _bytes(text: Union[str, bytes, "_os.PathLike[str]", None]) -> Optional[bytes]:
    if text is None:
        return None
    encoded = _os.fsencode(text)
    if b"\0" in encoded:
        raise InvalidError(f"{text!r} contains a NUL byte")
    return encoded


def _document(json: Json) -> bytes:
    if isinstance(json, bytes):
        return json
    return (json if isinstance(json, str) else _json.dumps(json)).encode()


def _number(file: Optional[File]) -> int:
    if file is None:
        return -1
    return file if isinstance(file, int) else file.fileno()


def _array(texts: Optional[Sequence[Union[str, bytes]]]) -> Any:
    if texts is None:
        return None
    return (c_char_p * (len(texts) + 1))(*map(_bytes, texts), None)


def _numbers(files: Sequence[File]) -> Any:
    return (c_int * len(files))(*map(_number, files))


def version() -> str:
    """The version of the library."""
    return _text(_native.version())


@dataclass(frozen=True)
class ExitStatus:
    """How a process has ended."""

    #: The exit code; None if a signal killed the process.
    code: Optional[int]
    #: The signal that killed the process; None if it exited.
    signal: Optional[int]

    def __bool__(self) -> bool:
        """Whether the process has exited with code 0."""
        return self.code == 0

    @staticmethod
    def _of(status: _native.ExitStatus) -> ExitStatus:
        return ExitStatus(None, status.signal) if status.signal else ExitStatus(status.code, None)


@dataclass(frozen=True)
class State:
    """The state of a container (runtime.md of the OCI specification, "State")."""

    oci_version: str
    id: str
    #: "creating", "created", "running", "paused" or "stopped"
    status: str
    #: 0 if it has ended
    pid: int
    bundle: str
    rootfs: str
    #: The time of creation, as in RFC 3339.
    created: str
    #: The UID of the user that has created it.
    owner: int

    @staticmethod
    def _of(state: Any) -> State:
        return State(
            _text(_native.state_oci_version(state)),
            _text(_native.state_id(state)),
            _text(_native.status_name(_native.state_status(state))),
            _native.state_pid(state),
            _text(_native.state_bundle(state)),
            _text(_native.state_rootfs(state)),
            _text(_native.state_created(state)),
            _native.state_owner(state),
        )


@dataclass(frozen=True)
class Stats:
    """Resource statistics of a container's cgroup. Values that the kernel does not report are 0."""

    #: CPU time in nanoseconds.
    cpu_total: int
    cpu_kernel: int
    cpu_user: int
    cpu_throttled_periods: int
    #: Memory in bytes: in use, the limit (2**64 - 1: none), and the maximum that was in use.
    memory_usage: int
    memory_limit: int
    memory_max: int
    pids_current: int
    #: 0: none
    pids_limit: int
    #: All statistics, as `mote events` prints them.
    data: Mapping[str, Any]

    @staticmethod
    def _take(stats: Any) -> Stats:
        names = [name for name in Stats.__dataclass_fields__ if name != "data"]
        numbers = {name: getattr(_native, f"stats_{name}")(stats) for name in names}
        data = _json.loads(_native.stats_json(stats))["data"]
        _native.stats_free(stats)
        return Stats(data=data, **numbers)


@dataclass(frozen=True)
class OomKill:
    """An event: a process was killed because the cgroup of the container had no memory left."""


class _Handle:
    """A handle of the library, freed with the object."""

    _free: Callable[[Any], None]

    def __init__(self, handle: Any) -> None:
        self._as_parameter_ = handle

    def __del__(self) -> None:
        handle, self._as_parameter_ = getattr(self, "_as_parameter_", None), None
        if handle:
            type(self)._free(handle)


class _Waitable(_Handle):
    """A handle of a process, to be waited for."""

    _wait: Callable[..., int]
    _try_wait: Callable[..., int]
    _fd: Callable[[Any], int]

    def wait(self) -> ExitStatus:
        """Waits for the process to end. In a program that uses asyncio, see `mote_runtime.aio`.

        UnsupportedError before linux 6.15 if the process was not started by this object.
        """
        status = _native.ExitStatus()
        _call(type(self)._wait, self, byref(status))
        return ExitStatus._of(status)

    def try_wait(self) -> Optional[ExitStatus]:
        """The exit status, or None if the process has not ended."""
        status = _native.ExitStatus()
        return None if _call(type(self)._try_wait, self, byref(status)) == 1 else ExitStatus._of(status)

    def fileno(self) -> int:
        """A file descriptor that becomes readable when the process has ended; it belongs to this object."""
        return int(type(self)._fd(self))


class Process(_Waitable):
    """A process that was added to a container. It goes on if this object is deleted."""

    _free = _native.process_free
    _wait = _native.process_wait
    _try_wait = _native.process_try_wait
    _fd = _native.process_fd

    @property
    def pid(self) -> int:
        """Its PID in the pid namespace of the caller."""
        return int(_native.process_pid(self))

    def kill(self, signal: int = _signal.SIGTERM) -> None:
        """Sends it a signal."""
        _signal.pidfd_send_signal(_native.process_pidfd(self), signal)


def _create_options(
    config: Optional[Json] = None,
    *,
    stdin: Optional[File] = None,
    stdout: Optional[File] = None,
    stderr: Optional[File] = None,
    pass_fds: Sequence[File] = (),
    listen_fds: int = 0,
    console: Optional[File] = None,
    console_socket: Optional[PathLike] = None,
    pid_file: Optional[PathLike] = None,
    pidfd_socket: Optional[PathLike] = None,
    notify_socket: Optional[str] = None,
    seccomp_receiver: Optional[PathLike] = None,
    no_pivot: bool = False,
    no_new_keyring: bool = False,
) -> Any:
    text = None if config is None else _document(config)
    return _native.CreateOptions(
        size=sizeof(_native.CreateOptions),
        config=text,
        config_length=len(text or b""),
        stdin_fd=_number(stdin),
        stdout_fd=_number(stdout),
        stderr_fd=_number(stderr),
        fds=_numbers(pass_fds),
        fds_count=len(pass_fds),
        listen_fds=listen_fds,
        console_fd=_number(console),
        console_socket=_bytes(console_socket),
        pid_file=_bytes(pid_file),
        pidfd_socket=_bytes(pidfd_socket),
        notify_socket=_bytes(notify_socket),
        seccomp_receiver=_bytes(seccomp_receiver),
        no_pivot=no_pivot,
        no_new_keyring=no_new_keyring,
    )


def _exec_options(
    args: Sequence[str] = (),
    *,
    env: Optional[Mapping[str, str]] = None,
    cwd: Optional[str] = None,
    user: Union[int, tuple[int, int], None] = None,
    additional_gids: Sequence[int] = (),
    capabilities: Sequence[str] = (),
    no_new_privileges: bool = False,
    apparmor_profile: Optional[str] = None,
    selinux_label: Optional[str] = None,
    process: Optional[Json] = None,
    stdin: Optional[File] = None,
    stdout: Optional[File] = None,
    stderr: Optional[File] = None,
    pass_fds: Sequence[File] = (),
    terminal: bool = False,
    console: Optional[File] = None,
    console_socket: Optional[PathLike] = None,
    pid_file: Optional[PathLike] = None,
    pidfd_socket: Optional[PathLike] = None,
    cgroups: Sequence[str] = (),
    ignore_paused: bool = False,
    seccomp_receiver: Optional[PathLike] = None,
) -> Any:
    uid, gid = user if isinstance(user, tuple) else (user, None)
    text = None if process is None else _document(process)
    variables = [f"{name}={value}" for name, value in (env or {}).items()]
    return _native.ExecOptions(
        size=sizeof(_native.ExecOptions),
        args=_array(args),
        env=_array(variables),
        cwd=_bytes(cwd),
        set_uid=uid is not None,
        uid=uid or 0,
        set_gid=gid is not None,
        gid=gid or 0,
        additional_gids=(c_uint * len(additional_gids))(*additional_gids),
        additional_gids_count=len(additional_gids),
        capabilities=_array(capabilities),
        no_new_privileges=no_new_privileges,
        apparmor_profile=_bytes(apparmor_profile),
        selinux_label=_bytes(selinux_label),
        process=text,
        process_length=len(text or b""),
        stdin_fd=_number(stdin),
        stdout_fd=_number(stdout),
        stderr_fd=_number(stderr),
        fds=_numbers(pass_fds),
        fds_count=len(pass_fds),
        terminal=terminal,
        console_fd=_number(console),
        console_socket=_bytes(console_socket),
        pid_file=_bytes(pid_file),
        pidfd_socket=_bytes(pidfd_socket),
        cgroups=_array(cgroups),
        ignore_paused=ignore_paused,
        seccomp_receiver=_bytes(seccomp_receiver),
    )


_CGROUPS_MODES = {"soft": 0, "full": 1, "strict": 2, "ignore": 3}
_NETWORK_LOCKS = {None: 0, "iptables": 1, "nftables": 2, "skip": 3}


def _word(name: str, words: Mapping[Any, int], given: Any) -> int:
    if given not in words:
        raise InvalidError(f"{name}: unknown value {given!r}")
    return words[given]


def _criu_options(
    image_path: PathLike,
    *,
    work_path: Optional[PathLike] = None,
    parent_path: Optional[str] = None,
    cgroups_mode: str = "soft",
    network_lock: Optional[str] = None,
    page_server: Optional[tuple[str, int]] = None,
    status_fd: Optional[File] = None,
    ghost_limit: int = 0,
    lsm_profile: Optional[str] = None,
    lsm_mount_context: Optional[str] = None,
    **flags: bool,
) -> Any:
    address, port = page_server or (None, 0)
    known = {field[0]: field[1] for field in _native.CriuOptions._fields_}
    unknown = [name for name in flags if known.get(name) is not c_int]
    if unknown:
        raise TypeError(f"unexpected keyword argument {unknown[0]!r}")
    return _native.CriuOptions(
        size=sizeof(_native.CriuOptions),
        image_path=_bytes(image_path),
        work_path=_bytes(work_path),
        parent_path=_bytes(parent_path),
        cgroups_mode=_word("cgroups_mode", _CGROUPS_MODES, cgroups_mode),
        network_lock=_word("network_lock", _NETWORK_LOCKS, network_lock),
        page_server_address=_bytes(address),
        page_server_port=port,
        status_fd=_number(status_fd),
        ghost_limit=ghost_limit,
        lsm_profile=_bytes(lsm_profile),
        lsm_mount_context=_bytes(lsm_mount_context),
        **flags,
    )


def _start_options(notify_socket: Optional[str] = None, seccomp_receiver: Optional[PathLike] = None) -> Any:
    return _native.StartOptions(
        size=sizeof(_native.StartOptions),
        notify_socket=_bytes(notify_socket),
        seccomp_receiver=_bytes(seccomp_receiver),
    )


class Container(_Waitable):
    """A container. It goes on if this object is deleted.

    As a context manager it deletes the container at the end, with force: `with runtime.run(...) as container:`.
    """

    _free = _native.container_free
    _wait = _native.container_wait
    _try_wait = _native.container_try_wait
    _fd = _native.container_fd

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_: Any) -> None:
        self.delete(force=True)

    @property
    def id(self) -> str:
        """Its ID."""
        return _text(_native.container_id(self))

    @property
    def pid(self) -> int:
        """The PID of its process in the pid namespace of the caller; 0 if it had ended when the container was opened."""
        return int(_native.container_pid(self))

    @property
    def warnings(self) -> list[MoteError]:
        """The warnings of its creation: settings without effect."""
        found: list[MoteError] = []
        while warning := _native.container_warning(self, len(found)):
            found.append(_exception(warning))
        return found

    def start(self, **options: Unpack[StartOptions]) -> None:
        """Starts the program of a created container."""
        _call(_native.container_start, self, byref(_start_options(**options)))

    def exec(self, args: Sequence[str] = (), **options: Unpack[ExecOptions]) -> Process:
        """Runs a process in the container; returns when its program runs.

        It is `process` of the container's configuration, with `args` and the changes of the options.
        """
        return Process(_result(_native.container_exec, self, byref(_exec_options(args, **options))))

    def kill(self, signal: int = _signal.SIGTERM, *, all: bool = False) -> None:
        """Sends a signal to its process, or to all its processes."""
        _call(_native.container_kill_all if all else _native.container_kill, self, signal)

    def delete(self, *, force: bool = False) -> None:
        """Deletes the container. With `force` its processes are killed, and it is no error if it does not exist."""
        _call(_native.container_delete, self, force)

    def pause(self) -> None:
        """Suspends all its processes."""
        _call(_native.container_pause, self)

    def resume(self) -> None:
        """Lets its processes continue."""
        _call(_native.container_resume, self)

    def update(self, resources: Json, *, schemata: Optional[Sequence[str]] = None) -> None:
        """Changes resource limits: an object as `linux.resources` of config.json; lines for its resctrl group."""
        text = _document(resources)
        _call(_native.container_update, self, text, len(text), _array(schemata))

    def add_mounts(self, mounts: Json) -> None:
        """Adds mounts, all or none: an array as `mounts` of config.json."""
        text = _document(mounts)
        _call(_native.container_add_mounts, self, text, len(text))

    def remove_mounts(self, mounts: Json) -> None:
        """Unmounts the destinations of mounts."""
        text = _document(mounts)
        _call(_native.container_remove_mounts, self, text, len(text))

    def checkpoint(self, image_path: PathLike, **options: Unpack[CheckpointOptions]) -> None:
        """Dumps the container to image files by CRIU, and deletes it unless it is to continue."""
        _call(_native.container_checkpoint, self, byref(_criu_options(image_path, **options)))

    def state(self) -> State:
        """Its state."""
        state = _result(_native.container_state, self)
        try:
            return State._of(state)
        finally:
            _native.state_free(state)

    def processes(self) -> list[int]:
        """The PIDs of its processes in the pid namespace of the caller, sorted."""
        pids = _result(_native.container_pids, self)
        count = c_size_t()
        numbers = _native.pids_get(pids, byref(count))
        found: list[int] = numbers[: count.value]
        _native.pids_free(pids)
        return found

    def stats(self) -> Stats:
        """The resource statistics of its cgroup."""
        return Stats._take(_result(_native.container_stats, self))

    def events(self, interval: float = 5.0) -> Events:
        """Its events: Stats at an interval in seconds, and OomKill, until its process ends."""
        return Events(_result(_native.container_events, self, max(1, round(interval * 1000))))


class Events(_Handle):
    """An iterator over the events of a container."""

    _free = _native.events_free

    def __iter__(self) -> Iterator[Union[Stats, OomKill]]:
        return self

    def __next__(self) -> Union[Stats, OomKill]:
        stats = c_void_p()
        kind = _call(_native.events_next, self, byref(stats))
        if kind == 0:
            raise StopIteration
        return Stats._take(stats) if kind == 1 else OomKill()

    def fileno(self) -> int:
        """A file descriptor that becomes readable with the next event; -1 after the end."""
        return int(_native.events_fd(self))


_MANAGERS = {"cgroupfs": 0, "systemd": 1, "delegated": 2, "disabled": 3}


class Runtime(_Handle):
    """A directory for the state of containers, and settings.

    `root` is created when it is needed; the command `mote --root` with the same directory operates on the same containers.
    `cgroup_manager` is "cgroupfs", "systemd", "delegated" or "disabled". An unprivileged user gives with systemd the values of the
    environment variables DBUS_SESSION_BUS_ADDRESS and XDG_RUNTIME_DIR. `search_path` has the directories, as in PATH, in which
    criu(8) is looked up.
    """

    _free = _native.runtime_free

    def __init__(
        self,
        root: PathLike,
        *,
        cgroup_manager: str = "cgroupfs",
        dbus_session_bus_address: Optional[str] = None,
        xdg_runtime_dir: Optional[str] = None,
        dbus_system_bus_address: Optional[str] = None,
        search_path: Optional[str] = None,
        program: Optional[PathLike] = None,
    ) -> None:
        options = _native.RuntimeOptions(
            size=sizeof(_native.RuntimeOptions),
            cgroup_manager=_word("cgroup_manager", _MANAGERS, cgroup_manager),
            dbus_session_bus_address=_bytes(dbus_session_bus_address),
            xdg_runtime_dir=_bytes(xdg_runtime_dir),
            dbus_system_bus_address=_bytes(dbus_system_bus_address),
            search_path=_bytes(search_path),
            program=_bytes(program),
        )
        super().__init__(_result(_native.runtime_new, _bytes(root), byref(options)))

    def create(
        self, id: str, bundle: PathLike, config: Optional[Json] = None, **options: Unpack[CreateOptions]
    ) -> Container:
        """Creates a container from a bundle, whose process then waits for `Container.start`.

        `config` is the configuration, instead of the file config.json in the bundle.
        """
        return self._create(_native.create, id, bundle, config, options)

    def run(
        self, id: str, bundle: PathLike, config: Optional[Json] = None, **options: Unpack[CreateOptions]
    ) -> Container:
        """Creates a container and starts it. Arguments: as of `create`."""
        return self._create(_native.run, id, bundle, config, options)

    def _create(self, function: Any, id: str, bundle: PathLike, config: Any, options: Any) -> Container:
        given = byref(_create_options(config, **options))
        return Container(_result(function, self, _bytes(id), _bytes(bundle), given))

    def restore(
        self,
        id: str,
        bundle: PathLike,
        image_path: PathLike,
        config: Optional[Json] = None,
        *,
        criu: Optional[RestoreOptions] = None,
        **options: Unpack[CreateOptions],
    ) -> Container:
        """Creates a container from the image files of `Container.checkpoint`; it runs. Other arguments: as of `create`."""
        given = byref(_create_options(config, **options))
        images = byref(_criu_options(image_path, **(criu or {})))
        return Container(_result(_native.restore, self, _bytes(id), _bytes(bundle), given, images))

    def container(self, id: str) -> Container:
        """The container with this ID, whoever has created it."""
        return Container(_result(_native.container_open, self, _bytes(id)))

    def list(self) -> list[State]:
        """The states of all containers, sorted by ID."""
        states = _result(_native.list, self)
        try:
            return [State._of(_native.states_get(states, i)) for i in range(_native.states_count(states))]
        finally:
            _native.states_free(states)

    def features(self) -> Mapping[str, Any]:
        """The features (features.md of the OCI specification)."""
        found: dict[str, Any] = self._json(_result(_native.features, self))
        return found

    def template(self, *, rootless: bool = False) -> dict[str, Any]:
        """A template of config.json, which runs a shell in new namespaces."""
        found: dict[str, Any] = self._json(_result(_native.template, self, rootless))
        return found

    @staticmethod
    def _json(text: Any) -> Any:
        try:
            return _json.loads(_native.text_get(text))
        finally:
            _native.text_free(text)
