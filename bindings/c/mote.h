/*
 * mote.h: the C interface of mote, an OCI container runtime. See libmote(3).
 *
 * Every operation is carried out by another process, which runs mote's own program from a memfd that the library contains.
 * The calling process is not changed: not its signal mask and handlers, working directory, umask, limits or file descriptors
 * (a call may open some, which it closes again), and it gets no child that wait(2), without __WALL or __WCLONE, could find.
 * No environment variable is read, nothing is printed, and there is no global state.
 *
 * CONVENTIONS
 *
 * - A function that can fail returns 0, or -1 after it has stored an error at `error`, unless that is NULL. The caller frees it
 *   with mote_error_free(). After success, NULL is stored there.
 * - A handle is stored at the place that the caller gives, and freed by the function of its type. If the place is NULL, the result
 *   is freed at once. After an error, NULL is stored there. NULL as an argument for a handle or a required text is an
 *   error, MOTE_INVALID; functions that return a value return NULL, 0 or -1 for it; functions that free ignore it.
 * - Texts end with NUL. A text that a function returns belongs to the handle, and is valid until that is freed.
 * - Paths are absolute; a relative one is an error, MOTE_INVALID.
 * - File descriptors that are passed are duplicated: they remain the caller's. -1 stands for none.
 * - Options are structures that begin with their size. Initialize them with the macro of their type, and set the members that
 *   are to differ from the defaults; NULL instead of options stands for the defaults. What they point to need only stay
 *   until the function returns.
 * - JSON that is passed has a length in bytes; 0 if it ends with NUL.
 *
 * THREADS
 *
 * Functions can be called by any number of threads at once, with the same handles, except: mote_events_next() with any function of
 * the same events, mote_pending_finish*() with the same operation, and a function that frees a handle, with any that uses it. After
 * fork(2) in the calling program, handles must not be used in the child.
 */
#ifndef MOTE_H
#define MOTE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mote_error mote_error;         /* why a function failed, or a warning */
typedef struct mote_runtime mote_runtime;     /* a directory for the state of containers, and settings */
typedef struct mote_container mote_container; /* a container */
typedef struct mote_process mote_process;     /* a process that was added to a container */
typedef struct mote_state mote_state;         /* the state of a container */
typedef struct mote_states mote_states;       /* the states of all containers */
typedef struct mote_stats mote_stats;         /* resource statistics */
typedef struct mote_events mote_events;       /* events that follow each other */
typedef struct mote_pids mote_pids;           /* PIDs of processes */
typedef struct mote_pending mote_pending;     /* an operation that was begun */
typedef struct mote_text mote_text;           /* a text of its own */

/* The version of the library, as "0.1.0". */
const char *mote_version(void);

/* ERRORS */

/* Kinds of errors. There may be more in later versions. */
enum mote_kind {
	MOTE_INVALID = 1,     /* an argument, a file or a field of the configuration is not valid */
	MOTE_UNSUPPORTED = 2, /* a valid setting that mote, the kernel or CRIU does not support */
	MOTE_NOT_FOUND = 3,   /* there is no container with this ID */
	MOTE_EXISTS = 4,      /* the ID is in use */
	MOTE_STATE = 5,       /* not possible in the state of the container */
	MOTE_SYSTEM = 6,      /* a system call failed: see mote_error_errno() */
	MOTE_NO_PROGRAM = 7,  /* the program to be run does not exist */
	MOTE_PROGRAM = 8,     /* the program cannot be executed */
	MOTE_HOOK = 9,        /* a hook failed */
	MOTE_REMARK = 10      /* of a warning: of no importance */
};

/* The kind, enum mote_kind; 0 for NULL. */
int mote_error_kind(const mote_error *error);
/* The error number (errno(3)) of a system call that failed; 0 without one. */
int mote_error_errno(const mote_error *error);
/* The field of the configuration that the error is about, as "mounts[3]"; NULL without one. */
const char *mote_error_field(const mote_error *error);
/* One line of text, with the field or the system call, and the reason. Never NULL. */
const char *mote_error_message(const mote_error *error);
/* Frees an error; not one of mote_container_warning(). */
void mote_error_free(mote_error *error);

/* RUNTIME */

enum mote_cgroup_manager {
	MOTE_CGROUPFS = 0,         /* mote itself creates the cgroups of containers, by mkdir(2) */
	MOTE_CGROUP_SYSTEMD = 1,   /* systemd creates a scope for each container (systemd.scope(5)) */
	MOTE_CGROUP_DELEGATED = 2, /* as MOTE_CGROUPFS, below the cgroup that was delegated to the caller */
	MOTE_CGROUP_DISABLED = 3   /* containers get no cgroup */
};

typedef struct mote_runtime_options {
	size_t size;
	int cgroup_manager; /* enum mote_cgroup_manager */
	/* Where an unprivileged user's systemd is reached; values as of the environment variables of these names. For root:
	 * NULL. */
	const char *dbus_session_bus_address;
	const char *xdg_runtime_dir;
	const char *dbus_system_bus_address;
	/* The directories, as in PATH, in which criu(8) is looked up for checkpoint and restore; NULL: none. */
	const char *search_path;
	/* The path of a program `mote` of the same version, to be used instead of that in the library; NULL: none. */
	const char *program;
} mote_runtime_options;

#define MOTE_RUNTIME_OPTIONS_INIT { .size = sizeof(mote_runtime_options) }

/* Makes a runtime whose containers have their state below the directory `root`, which is created when it is needed. The command
 * `mote --root` with the same directory operates on the same containers. It holds a file descriptor.
 * Errors: MOTE_SYSTEM, EACCES: memfds must not be executed (sysctl vm.memfd_noexec). */
int mote_runtime_new(const char *root, const mote_runtime_options *options, mote_runtime **runtime, mote_error **error);
/* Frees a runtime. Containers remain, and handles of containers can still be used. */
void mote_runtime_free(mote_runtime *runtime);

/* The features (features.md of the specification), as an object in JSON. */
int mote_features(const mote_runtime *runtime, mote_text **text, mote_error **error);
/* A template of config.json, which runs a shell in new namespaces; `rootless`: for an unprivileged user. */
int mote_template(const mote_runtime *runtime, int rootless, mote_text **text, mote_error **error);
/* The text; NULL for NULL. */
const char *mote_text_get(const mote_text *text);
void mote_text_free(mote_text *text);

/* CREATING CONTAINERS */

typedef struct mote_create_options {
	size_t size;
	/* The configuration, in JSON, instead of the file config.json in the bundle; or the path of another file. */
	const char *config;
	size_t config_length;
	const char *config_file;
	/* The standard streams of the container's process; -1: those of the caller. */
	int stdin_fd, stdout_fd, stderr_fd;
	/* The file descriptors from 3 on that it inherits; the last `listen_fds` are passed as by socket activation
	 * (sd_listen_fds(3)). */
	const int *fds;
	size_t fds_count;
	unsigned int listen_fds;
	/* Receives the PTY master (SCM_RIGHTS), required if and only if process.terminal is set: a connected AF_UNIX stream socket, or
	 * the path of a listening one. */
	int console_fd;
	const char *console_socket;
	/* A file to which the PID is written, and the path of an AF_UNIX stream socket that receives a pidfd. */
	const char *pid_file;
	const char *pidfd_socket;
	/* The path, or @NAME, of the socket for readiness notification (sd_notify(3)); mote_run() and mote_container_start() then
	 * return when the container is ready. Pass it to both mote_create() and mote_container_start(). */
	const char *notify_socket;
	/* The socket that receives the seccomp listener fd, if linux.seccomp.listenerPath is not set. */
	const char *seccomp_receiver;
	int no_pivot;       /* change the root by chroot(2) */
	int no_new_keyring; /* keep the session keyring of the caller */
} mote_create_options;

#define MOTE_CREATE_OPTIONS_INIT \
	{ .size = sizeof(mote_create_options), .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1, .console_fd = -1 }

/* Creates a container from the bundle in a directory; its process waits for mote_container_start(). After an error nothing
 * remains of it. Errors: MOTE_EXISTS, MOTE_INVALID, MOTE_UNSUPPORTED, MOTE_NO_PROGRAM, MOTE_PROGRAM, MOTE_HOOK, MOTE_SYSTEM. */
int mote_create(const mote_runtime *runtime, const char *id, const char *bundle, const mote_create_options *options,
	mote_container **container, mote_error **error);
/* The same, and starts it. */
int mote_run(const mote_runtime *runtime, const char *id, const char *bundle, const mote_create_options *options,
	mote_container **container, mote_error **error);

/* Options of CRIU: of mote_container_checkpoint() (C) and mote_restore() (R); others are ignored. */
typedef struct mote_criu_options {
	size_t size;
	const char *image_path;  /* CR: the directory of the image files, required */
	const char *work_path;   /* CR: the directory of the log; NULL: that of the images */
	const char *parent_path; /* C: images of a preceding pre-dump, relative to image_path */
	int leave_running;       /* C: the container continues */
	int pre_dump;            /* C: dump only the memory; the container continues */
	int tcp_established;     /* CR: allow established TCP connections */
	int tcp_close;           /* R: close them */
	int tcp_skip_in_flight;  /* C: skip TCP connections that are being established */
	int ext_unix_sockets;    /* CR: allow connections to AF_UNIX sockets outside of the container */
	int shell_job;           /* CR: allow processes of the session of a shell outside of the container */
	int file_locks;          /* CR: allow file locks */
	int link_remap;          /* C: link files back that have been unlinked */
	int auto_dedup;          /* CR: free image files of pages that others have */
	int lazy_pages;          /* CR: transfer memory pages when they are used (userfaultfd(2)) */
	int cgroups_mode;        /* CR: 0 soft, 1 full, 2 strict, 3 ignore: see criu(8), --manage-cgroups-mode */
	int network_lock;        /* CR: 0 that of CRIU, 1 iptables, 2 nftables, 3 skip */
	const char *page_server_address; /* C: where memory is sent */
	unsigned int page_server_port;
	int status_fd;           /* C: receives a NUL byte when pages can be requested; -1: none */
	unsigned int ghost_limit;      /* C: the largest unlinked file that is dumped, in bytes; 0: 1 MiB */
	const char *lsm_profile;       /* R: TYPE:NAME, AppArmor profile or SELinux label instead of the dumped one */
	const char *lsm_mount_context; /* R: SELinux label of mounts instead of the dumped one */
} mote_criu_options;

#define MOTE_CRIU_OPTIONS_INIT { .size = sizeof(mote_criu_options), .status_fd = -1 }

/* Creates a container from the image files of mote_container_checkpoint(); it runs. Errors: as mote_create();
 * MOTE_UNSUPPORTED if CRIU is not found, too old, or lacks an option. */
int mote_restore(const mote_runtime *runtime, const char *id, const char *bundle, const mote_create_options *options,
	const mote_criu_options *criu, mote_container **container, mote_error **error);

/* The container with this ID, whoever has created it. Errors: MOTE_NOT_FOUND. */
int mote_container_open(const mote_runtime *runtime, const char *id, mote_container **container, mote_error **error);
/* Frees the handle; the container remains. */
void mote_container_free(mote_container *container);

/* CONTAINERS */

const char *mote_container_id(const mote_container *container);
/* The PID of the container's process in the pid namespace of the caller; 0 if it had ended when the container was opened. */
int mote_container_pid(const mote_container *container);
/* A pidfd of it (pidfd_open(2)), which belongs to the handle; -1 as above. */
int mote_container_pidfd(const mote_container *container);
/* The warning `index` of its creation, which belongs to the handle; NULL if there are no more. */
const mote_error *mote_container_warning(const mote_container *container, size_t index);

typedef struct mote_start_options {
	size_t size;
	const char *notify_socket;    /* see mote_create_options */
	const char *seccomp_receiver; /* see mote_create_options */
} mote_start_options;

#define MOTE_START_OPTIONS_INIT { .size = sizeof(mote_start_options) }

/* Starts the program of a created container. Errors: MOTE_STATE, MOTE_HOOK, MOTE_NO_PROGRAM, MOTE_PROGRAM. */
int mote_container_start(const mote_container *container, const mote_start_options *options, mote_error **error);
/* Sends a signal (signal(7)) to the container's process. Errors: MOTE_STATE if it does not run. */
int mote_container_kill(const mote_container *container, int signal, mote_error **error);
/* Sends a signal to all processes of the container. */
int mote_container_kill_all(const mote_container *container, int signal, mote_error **error);
/* Deletes a container that has ended or was not started. With `force` any: its processes are killed, and it is no error if it
 * does not exist. The handle remains to be freed. Errors: MOTE_STATE, MOTE_NOT_FOUND. */
int mote_container_delete(const mote_container *container, int force, mote_error **error);
/* Suspends all processes, and lets them continue. Errors: MOTE_STATE; it has no cgroup. */
int mote_container_pause(const mote_container *container, mote_error **error);
int mote_container_resume(const mote_container *container, mote_error **error);
/* Changes the limits that are given in `resources`, an object in JSON as linux.resources of config.json. `schemata`: NULL, or lines
 * for its resctrl group (linux.intelRdt), ended by NULL. Errors: MOTE_STATE, MOTE_INVALID, MOTE_SYSTEM. */
int mote_container_update(const mote_container *container, const char *resources, size_t length,
	const char *const *schemata, mote_error **error);
/* Adds mounts, all or none, or unmounts their destinations: an array in JSON as mounts of config.json. */
int mote_container_add_mounts(const mote_container *container, const char *mounts, size_t length, mote_error **error);
int mote_container_remove_mounts(const mote_container *container, const char *mounts, size_t length, mote_error **error);
/* Dumps the container by CRIU, and deletes it unless it is to continue. After an error it continues. Errors: MOTE_STATE,
 * MOTE_UNSUPPORTED, MOTE_SYSTEM. */
int mote_container_checkpoint(const mote_container *container, const mote_criu_options *options, mote_error **error);

/* WAITING */

typedef struct mote_exit_status {
	int code;   /* the exit code; -1 if a signal killed the process */
	int signal; /* the signal that killed it; 0 if it exited */
} mote_exit_status;

/* Waits for the container's process to end, and stores its exit status. Errors: MOTE_STATE if it had ended when the container was
 * opened; MOTE_UNSUPPORTED before linux 6.15 if the handle is not that of its creation. */
int mote_container_wait(const mote_container *container, mote_exit_status *status, mote_error **error);
/* The same without waiting; returns 1 if it has not ended. */
int mote_container_try_wait(const mote_container *container, mote_exit_status *status, mote_error **error);
/* A file descriptor that becomes readable (poll(2)) when it has ended; it belongs to the handle. -1 as for its PID. */
int mote_container_fd(const mote_container *container);

/* STATE */

enum mote_status {
	MOTE_CREATING = 0, /* it is being created, or its creation was interrupted */
	MOTE_CREATED = 1,  /* its process waits to be started */
	MOTE_RUNNING = 2,
	MOTE_PAUSED = 3,
	MOTE_STOPPED = 4
};

/* The state of a container (runtime.md of the specification, "State"). Errors: MOTE_NOT_FOUND. */
int mote_container_state(const mote_container *container, mote_state **state, mote_error **error);
const char *mote_state_oci_version(const mote_state *state);
const char *mote_state_id(const mote_state *state);
/* enum mote_status; -1 for NULL */
int mote_state_status(const mote_state *state);
/* "running" and so on; NULL for an unknown number */
const char *mote_status_name(int status);
/* 0 if it has ended */
int mote_state_pid(const mote_state *state);
const char *mote_state_bundle(const mote_state *state);
const char *mote_state_rootfs(const mote_state *state);
/* the time of creation, as in RFC 3339 */
const char *mote_state_created(const mote_state *state);
/* the UID of the user that has created it */
unsigned int mote_state_owner(const mote_state *state);
/* the value of an annotation of its configuration; NULL if there is none of this name */
const char *mote_state_annotation(const mote_state *state, const char *name);
/* Frees a state; not one of mote_states_get(). */
void mote_state_free(mote_state *state);

/* The states of all containers, sorted by ID. */
int mote_list(const mote_runtime *runtime, mote_states **states, mote_error **error);
size_t mote_states_count(const mote_states *states);
/* State `index`, which belongs to the list; NULL if there are no more. */
const mote_state *mote_states_get(const mote_states *states, size_t index);
void mote_states_free(mote_states *states);

/* The PIDs of a container's processes in the pid namespace of the caller, sorted. */
int mote_container_pids(const mote_container *container, mote_pids **pids, mote_error **error);
/* The first, and their number; NULL if there is none. */
const int *mote_pids_get(const mote_pids *pids, size_t *count);
void mote_pids_free(mote_pids *pids);

/* STATISTICS AND EVENTS */

/* The statistics of its cgroup. Errors: MOTE_STATE if it does not run or has no cgroup. */
int mote_container_stats(const mote_container *container, mote_stats **stats, mote_error **error);
uint64_t mote_stats_cpu_total(const mote_stats *stats);  /* nanoseconds */
uint64_t mote_stats_cpu_kernel(const mote_stats *stats); /* nanoseconds */
uint64_t mote_stats_cpu_user(const mote_stats *stats);   /* nanoseconds */
uint64_t mote_stats_cpu_throttled_periods(const mote_stats *stats);
uint64_t mote_stats_memory_usage(const mote_stats *stats); /* bytes */
uint64_t mote_stats_memory_limit(const mote_stats *stats); /* bytes; UINT64_MAX: none */
uint64_t mote_stats_memory_max(const mote_stats *stats);   /* bytes: the maximum that was in use */
uint64_t mote_stats_pids_current(const mote_stats *stats);
uint64_t mote_stats_pids_limit(const mote_stats *stats); /* 0: none */
/* All of them, as `mote events` prints them: an object in JSON. */
const char *mote_stats_json(const mote_stats *stats);
void mote_stats_free(mote_stats *stats);

/* Begins to report statistics, at an interval of at least 1 ms, and OOM kills, until the container's process ends. */
int mote_container_events(const mote_container *container, unsigned int milliseconds, mote_events **events,
	mote_error **error);
/* Waits for the next event. Returns MOTE_EVENT_..., or -1 for an error. Only statistics are stored at `stats`. */
enum { MOTE_EVENT_END = 0, MOTE_EVENT_STATS = 1, MOTE_EVENT_OOM_KILL = 2 };
int mote_events_next(mote_events *events, mote_stats **stats, mote_error **error);
/* A file descriptor that becomes readable with the next event; it belongs to the handle. -1 after the end. */
int mote_events_fd(const mote_events *events);
void mote_events_free(mote_events *events);

/* PROCESSES */

typedef struct mote_exec_options {
	size_t size;
	/* The program and its arguments, ended by NULL. What follows changes `process` of the container's configuration. */
	const char *const *args;
	const char *const *env; /* NAME=VALUE, added; ended by NULL */
	const char *cwd;
	int set_uid; /* whether `uid` is given */
	unsigned int uid;
	int set_gid; /* whether `gid` is given; only with a UID */
	unsigned int gid;
	const unsigned int *additional_gids; /* added */
	size_t additional_gids_count;
	const char *const *capabilities; /* CAP_..., added; ended by NULL */
	int no_new_privileges;
	const char *apparmor_profile;
	const char *selinux_label;
	/* Instead of all the above: an object in JSON as process of config.json, or the path of a file with one. */
	const char *process;
	size_t process_length;
	const char *process_file;
	/* See mote_create_options. */
	int stdin_fd, stdout_fd, stderr_fd;
	const int *fds;
	size_t fds_count;
	int terminal; /* allocate a terminal */
	int console_fd;
	const char *console_socket;
	const char *pid_file;
	const char *pidfd_socket;
	const char *const *cgroups; /* cgroups below the container's that it joins; ended by NULL */
	int ignore_paused;          /* allow a paused container; the process runs when it is resumed */
	const char *seccomp_receiver;
} mote_exec_options;

#define MOTE_EXEC_OPTIONS_INIT \
	{ .size = sizeof(mote_exec_options), .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1, .console_fd = -1 }

/* Runs a process in a container; returns when its program runs. Errors: MOTE_STATE, MOTE_INVALID, MOTE_NO_PROGRAM, MOTE_PROGRAM. */
int mote_container_exec(const mote_container *container, const mote_exec_options *options, mote_process **process,
	mote_error **error);
/* Its PID in the pid namespace of the caller. */
int mote_process_pid(const mote_process *process);
/* As the functions for a container. */
int mote_process_pidfd(const mote_process *process);
int mote_process_fd(const mote_process *process);
int mote_process_wait(const mote_process *process, mote_exit_status *status, mote_error **error);
int mote_process_try_wait(const mote_process *process, mote_exit_status *status, mote_error **error);
/* Frees the handle; the process goes on. */
void mote_process_free(mote_process *process);

/* WITHOUT WAITING
 *
 * mote_begin_X() begins what the function X does. mote_pending_fd() becomes readable with the result, which
 * mote_pending_finish*() then returns without waiting; it frees the operation, also if it fails. */
int mote_begin_create(const mote_runtime *runtime, const char *id, const char *bundle, const mote_create_options *options,
	mote_pending **pending, mote_error **error);
int mote_begin_run(const mote_runtime *runtime, const char *id, const char *bundle, const mote_create_options *options,
	mote_pending **pending, mote_error **error);
int mote_begin_restore(const mote_runtime *runtime, const char *id, const char *bundle, const mote_create_options *options,
	const mote_criu_options *criu, mote_pending **pending, mote_error **error);
int mote_begin_start(const mote_container *container, const mote_start_options *options, mote_pending **pending,
	mote_error **error);
int mote_begin_delete(const mote_container *container, int force, mote_pending **pending, mote_error **error);
int mote_begin_exec(const mote_container *container, const mote_exec_options *options, mote_pending **pending,
	mote_error **error);
int mote_begin_checkpoint(const mote_container *container, const mote_criu_options *options, mote_pending **pending,
	mote_error **error);
/* It belongs to the operation. */
int mote_pending_fd(const mote_pending *pending);
/* Of mote_begin_create(), mote_begin_run() and mote_begin_restore(). */
int mote_pending_finish_container(mote_pending *pending, mote_container **container, mote_error **error);
/* Of mote_begin_exec(). */
int mote_pending_finish_process(mote_pending *pending, mote_process **process, mote_error **error);
/* Of the others; also of these, without the handle. */
int mote_pending_finish(mote_pending *pending, mote_error **error);
/* Waits for the operation, whose result is lost: a container that was created is deleted, a process killed. */
void mote_pending_free(mote_pending *pending);

#ifdef __cplusplus
}
#endif

#endif
