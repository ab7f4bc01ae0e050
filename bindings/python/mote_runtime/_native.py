"""The functions and structures of mote.h, by ctypes, which releases the GIL in every call."""

import ctypes
from ctypes import (
    POINTER,
    Structure,
    c_char_p,
    c_int,
    c_size_t,
    c_uint,
    c_uint64,
    c_void_p,
)
from pathlib import Path
from typing import Any

_library = ctypes.CDLL(str(Path(__file__).with_name("libmote.so")))

Texts = POINTER(c_char_p)
Ints = POINTER(c_int)


class RuntimeOptions(Structure):
    _fields_ = [
        ("size", c_size_t),
        ("cgroup_manager", c_int),
        ("dbus_session_bus_address", c_char_p),
        ("xdg_runtime_dir", c_char_p),
        ("dbus_system_bus_address", c_char_p),
        ("search_path", c_char_p),
        ("program", c_char_p),
    ]


class CreateOptions(Structure):
    _fields_ = [
        ("size", c_size_t),
        ("config", c_char_p),
        ("config_length", c_size_t),
        ("config_file", c_char_p),
        ("stdin_fd", c_int),
        ("stdout_fd", c_int),
        ("stderr_fd", c_int),
        ("fds", Ints),
        ("fds_count", c_size_t),
        ("listen_fds", c_uint),
        ("console_fd", c_int),
        ("console_socket", c_char_p),
        ("pid_file", c_char_p),
        ("pidfd_socket", c_char_p),
        ("notify_socket", c_char_p),
        ("seccomp_receiver", c_char_p),
        ("no_pivot", c_int),
        ("no_new_keyring", c_int),
    ]


class StartOptions(Structure):
    _fields_ = [
        ("size", c_size_t),
        ("notify_socket", c_char_p),
        ("seccomp_receiver", c_char_p),
    ]


class ExecOptions(Structure):
    _fields_ = [
        ("size", c_size_t),
        ("args", Texts),
        ("env", Texts),
        ("cwd", c_char_p),
        ("set_uid", c_int),
        ("uid", c_uint),
        ("set_gid", c_int),
        ("gid", c_uint),
        ("additional_gids", POINTER(c_uint)),
        ("additional_gids_count", c_size_t),
        ("capabilities", Texts),
        ("no_new_privileges", c_int),
        ("apparmor_profile", c_char_p),
        ("selinux_label", c_char_p),
        ("process", c_char_p),
        ("process_length", c_size_t),
        ("process_file", c_char_p),
        ("stdin_fd", c_int),
        ("stdout_fd", c_int),
        ("stderr_fd", c_int),
        ("fds", Ints),
        ("fds_count", c_size_t),
        ("terminal", c_int),
        ("console_fd", c_int),
        ("console_socket", c_char_p),
        ("pid_file", c_char_p),
        ("pidfd_socket", c_char_p),
        ("cgroups", Texts),
        ("ignore_paused", c_int),
        ("seccomp_receiver", c_char_p),
    ]


class CriuOptions(Structure):
    _fields_ = [
        ("size", c_size_t),
        ("image_path", c_char_p),
        ("work_path", c_char_p),
        ("parent_path", c_char_p),
        ("leave_running", c_int),
        ("pre_dump", c_int),
        ("tcp_established", c_int),
        ("tcp_close", c_int),
        ("tcp_skip_in_flight", c_int),
        ("ext_unix_sockets", c_int),
        ("shell_job", c_int),
        ("file_locks", c_int),
        ("link_remap", c_int),
        ("auto_dedup", c_int),
        ("lazy_pages", c_int),
        ("cgroups_mode", c_int),
        ("network_lock", c_int),
        ("page_server_address", c_char_p),
        ("page_server_port", c_uint),
        ("status_fd", c_int),
        ("ghost_limit", c_uint),
        ("lsm_profile", c_char_p),
        ("lsm_mount_context", c_char_p),
    ]


class ExitStatus(Structure):
    _fields_ = [("code", c_int), ("signal", c_int)]


def __getattr__(name: str) -> Any:
    """For type checkers: the functions below."""
    raise AttributeError(name)


def _declare() -> None:
    """Declares the types of all functions; those that can fail end in a place for the error."""
    handle, place, text = c_void_p, POINTER(c_void_p), c_char_p
    create, start, criu = POINTER(CreateOptions), POINTER(StartOptions), POINTER(CriuOptions)
    execute, status = POINTER(ExecOptions), POINTER(ExitStatus)
    # What they return, and their arguments. A list, since types such as size_t and uint64_t may be the same.
    functions: list[tuple[Any, dict[str, list[Any]]]] = [
        (c_int, {
            "error_kind": [handle],
            "error_errno": [handle],
            "runtime_new": [text, POINTER(RuntimeOptions), place, place],
            "features": [handle, place, place],
            "template": [handle, c_int, place, place],
            "create": [handle, text, text, create, place, place],
            "run": [handle, text, text, create, place, place],
            "restore": [handle, text, text, create, criu, place, place],
            "begin_create": [handle, text, text, create, place, place],
            "begin_run": [handle, text, text, create, place, place],
            "begin_restore": [handle, text, text, create, criu, place, place],
            "begin_start": [handle, start, place, place],
            "begin_delete": [handle, c_int, place, place],
            "begin_exec": [handle, execute, place, place],
            "begin_checkpoint": [handle, criu, place, place],
            "pending_fd": [handle],
            "pending_finish_container": [handle, place, place],
            "pending_finish_process": [handle, place, place],
            "pending_finish": [handle, place],
            "container_open": [handle, text, place, place],
            "container_pid": [handle],
            "container_pidfd": [handle],
            "container_fd": [handle],
            "container_start": [handle, start, place],
            "container_kill": [handle, c_int, place],
            "container_kill_all": [handle, c_int, place],
            "container_delete": [handle, c_int, place],
            "container_pause": [handle, place],
            "container_resume": [handle, place],
            "container_update": [handle, text, c_size_t, Texts, place],
            "container_add_mounts": [handle, text, c_size_t, place],
            "container_remove_mounts": [handle, text, c_size_t, place],
            "container_checkpoint": [handle, criu, place],
            "container_wait": [handle, status, place],
            "container_try_wait": [handle, status, place],
            "container_state": [handle, place, place],
            "container_pids": [handle, place, place],
            "container_stats": [handle, place, place],
            "container_events": [handle, c_uint, place, place],
            "container_exec": [handle, execute, place, place],
            "list": [handle, place, place],
            "state_status": [handle],
            "state_pid": [handle],
            "events_next": [handle, place, place],
            "events_fd": [handle],
            "process_pid": [handle],
            "process_pidfd": [handle],
            "process_fd": [handle],
            "process_wait": [handle, status, place],
            "process_try_wait": [handle, status, place],
        }),
        (text, {
            "version": [],
            "error_field": [handle],
            "error_message": [handle],
            "text_get": [handle],
            "container_id": [handle],
            "state_oci_version": [handle],
            "state_id": [handle],
            "state_bundle": [handle],
            "state_rootfs": [handle],
            "state_created": [handle],
            "status_name": [c_int],
            "stats_json": [handle],
        }),
        (c_void_p, {"container_warning": [handle, c_size_t], "states_get": [handle, c_size_t]}),
        (c_size_t, {"states_count": [handle]}),
        (c_uint, {"state_owner": [handle]}),
        (Ints, {"pids_get": [handle, POINTER(c_size_t)]}),
        (c_uint64, {
            f"stats_{name}": [handle]
            for name in (
                "cpu_total cpu_kernel cpu_user cpu_throttled_periods "
                "memory_usage memory_limit memory_max pids_current pids_limit"
            ).split()
        }),
        (None, {
            f"{name}_free": [handle]
            for name in "error runtime text container state states stats events pids process pending".split()
        }),
    ]
    for result, those in functions:
        for name, arguments in those.items():
            function = getattr(_library, f"mote_{name}")
            function.restype, function.argtypes = result, arguments
            globals()[name] = function


_declare()
