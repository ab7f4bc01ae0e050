/* Calls every function of mote.h with arguments that are not valid: MISUSE BUNDLE ROOT. Exits with code 0 if each is an error, and
 * nothing else happens. */
#include <mote.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

/* The call has to fail with an error of this kind, whose text contains a word. */
#define FAILS(kind, word, call)                                                                                        \
	do {                                                                                                           \
		mote_error *error = NULL;                                                                              \
		if ((call) != -1)                                                                                      \
			printf("%s: no error\n", #call), failures++;                                                   \
		else if (mote_error_kind(error) != (kind) || !strstr(mote_error_message(error), word))                 \
			printf("%s: %d %s\n", #call, mote_error_kind(error), mote_error_message(error)), failures++; \
		mote_error_free(error);                                                                                \
	} while (0)

#define HOLDS(condition) ((condition) ? (void)0 : (void)(printf("not true: %s\n", #condition), failures++))

#define NULLS(call) FAILS(MOTE_INVALID, " is NULL", call)

static void values_of_null(void)
{
	size_t count = 7;
	HOLDS(mote_error_kind(NULL) == 0);
	HOLDS(mote_error_errno(NULL) == 0);
	HOLDS(!mote_error_field(NULL));
	HOLDS(mote_error_message(NULL));
	HOLDS(!mote_text_get(NULL));
	HOLDS(!mote_container_id(NULL));
	HOLDS(mote_container_pid(NULL) == 0);
	HOLDS(mote_container_pidfd(NULL) == -1);
	HOLDS(mote_container_fd(NULL) == -1);
	HOLDS(!mote_container_warning(NULL, 0));
	HOLDS(!mote_state_oci_version(NULL) && !mote_state_id(NULL) && !mote_state_bundle(NULL));
	HOLDS(!mote_state_rootfs(NULL) && !mote_state_created(NULL) && !mote_state_annotation(NULL, "a"));
	HOLDS(mote_state_status(NULL) == -1 && mote_state_pid(NULL) == 0 && mote_state_owner(NULL) == 0);
	HOLDS(!mote_status_name(-1) && !mote_status_name(5) && !strcmp(mote_status_name(MOTE_STOPPED), "stopped"));
	HOLDS(mote_states_count(NULL) == 0 && !mote_states_get(NULL, 0));
	HOLDS(!mote_pids_get(NULL, NULL) && !mote_pids_get(NULL, &count) && count == 0);
	HOLDS(mote_stats_cpu_total(NULL) == 0 && mote_stats_cpu_kernel(NULL) == 0 && mote_stats_cpu_user(NULL) == 0);
	HOLDS(mote_stats_cpu_throttled_periods(NULL) == 0 && mote_stats_memory_usage(NULL) == 0);
	HOLDS(mote_stats_memory_limit(NULL) == 0 && mote_stats_memory_max(NULL) == 0);
	HOLDS(mote_stats_pids_current(NULL) == 0 && mote_stats_pids_limit(NULL) == 0 && !mote_stats_json(NULL));
	HOLDS(mote_events_fd(NULL) == -1 && mote_pending_fd(NULL) == -1);
	HOLDS(mote_process_pid(NULL) == 0 && mote_process_pidfd(NULL) == -1 && mote_process_fd(NULL) == -1);
	mote_error_free(NULL);
	mote_runtime_free(NULL);
	mote_text_free(NULL);
	mote_container_free(NULL);
	mote_state_free(NULL);
	mote_states_free(NULL);
	mote_stats_free(NULL);
	mote_events_free(NULL);
	mote_pids_free(NULL);
	mote_process_free(NULL);
	mote_pending_free(NULL);
}

static void calls_with_null(const mote_runtime *runtime)
{
	mote_container *container;
	mote_exit_status status;
	mote_events *events;
	mote_pending *pending;
	mote_process *process;
	mote_runtime *made;
	mote_states *states;
	mote_state *state;
	mote_stats *stats;
	mote_pids *pids;
	mote_text *text;
	NULLS(mote_runtime_new(NULL, NULL, &made, &error));
	HOLDS(!made);
	NULLS(mote_features(NULL, &text, &error));
	NULLS(mote_template(NULL, 0, &text, &error));
	NULLS(mote_create(NULL, "a", "/", NULL, &container, &error));
	NULLS(mote_create(runtime, NULL, "/", NULL, &container, &error));
	NULLS(mote_create(runtime, "a", NULL, NULL, &container, &error));
	HOLDS(!container);
	NULLS(mote_run(NULL, "a", "/", NULL, &container, &error));
	NULLS(mote_restore(NULL, "a", "/", NULL, NULL, &container, &error));
	NULLS(mote_restore(runtime, "a", "/", NULL, NULL, &container, &error));
	NULLS(mote_container_open(NULL, "a", &container, &error));
	NULLS(mote_container_open(runtime, NULL, &container, &error));
	NULLS(mote_list(NULL, &states, &error));
	NULLS(mote_container_start(NULL, NULL, &error));
	NULLS(mote_container_kill(NULL, 9, &error));
	NULLS(mote_container_kill_all(NULL, 9, &error));
	NULLS(mote_container_delete(NULL, 1, &error));
	NULLS(mote_container_pause(NULL, &error));
	NULLS(mote_container_resume(NULL, &error));
	NULLS(mote_container_update(NULL, "{}", 0, NULL, &error));
	NULLS(mote_container_add_mounts(NULL, "[]", 0, &error));
	NULLS(mote_container_remove_mounts(NULL, "[]", 0, &error));
	NULLS(mote_container_checkpoint(NULL, NULL, &error));
	NULLS(mote_container_wait(NULL, &status, &error));
	NULLS(mote_container_try_wait(NULL, &status, &error));
	NULLS(mote_container_state(NULL, &state, &error));
	NULLS(mote_container_pids(NULL, &pids, &error));
	NULLS(mote_container_stats(NULL, &stats, &error));
	NULLS(mote_container_events(NULL, 1, &events, &error));
	NULLS(mote_events_next(NULL, &stats, &error));
	NULLS(mote_container_exec(NULL, NULL, &process, &error));
	NULLS(mote_process_wait(NULL, &status, &error));
	NULLS(mote_process_try_wait(NULL, &status, &error));
	NULLS(mote_begin_create(NULL, "a", "/", NULL, &pending, &error));
	NULLS(mote_begin_run(NULL, "a", "/", NULL, &pending, &error));
	NULLS(mote_begin_restore(NULL, "a", "/", NULL, NULL, &pending, &error));
	NULLS(mote_begin_start(NULL, NULL, &pending, &error));
	NULLS(mote_begin_delete(NULL, 0, &pending, &error));
	NULLS(mote_begin_exec(NULL, NULL, &pending, &error));
	NULLS(mote_begin_checkpoint(NULL, NULL, &pending, &error));
	NULLS(mote_pending_finish(NULL, &error));
	NULLS(mote_pending_finish_container(NULL, &container, &error));
	NULLS(mote_pending_finish_process(NULL, &process, &error));
	/* Without a place for the error, or the result. */
	HOLDS(mote_container_kill(NULL, 9, NULL) == -1);
	HOLDS(mote_features(runtime, NULL, NULL) == 0);
	HOLDS(mote_list(runtime, NULL, NULL) == 0);
}

static void options(mote_runtime *runtime, const char *bundle)
{
	mote_container *container;
	mote_runtime *made;
	mote_create_options create = MOTE_CREATE_OPTIONS_INIT;
	int bad = 1000000;
	create.size = 3;
	FAILS(MOTE_INVALID, "too small", mote_create(runtime, "a", bundle, &create, &container, &error));
	/* As of a newer header: members that are not used are accepted, others not. */
	struct {
		mote_create_options known;
		long more[4];
	} newer = { MOTE_CREATE_OPTIONS_INIT, { 0 } };
	newer.known.size = sizeof newer;
	newer.known.config = "{";
	FAILS(MOTE_INVALID, "config.json:1:2", mote_create(runtime, "a", bundle, &newer.known, &container, &error));
	newer.more[2] = 1;
	FAILS(MOTE_UNSUPPORTED, "newer", mote_create(runtime, "a", bundle, &newer.known, &container, &error));
	/* As of an older header, which ends before the standard streams. */
	create = (mote_create_options){ .size = offsetof(mote_create_options, stdin_fd), .config = "[]" };
	FAILS(MOTE_INVALID, "config.json:1:1", mote_create(runtime, "a", bundle, &create, &container, &error));
	create = (mote_create_options)MOTE_CREATE_OPTIONS_INIT;
	create.stdout_fd = bad;
	FAILS(MOTE_INVALID, "1000000", mote_create(runtime, "a", bundle, &create, &container, &error));
	create = (mote_create_options)MOTE_CREATE_OPTIONS_INIT;
	create.fds = &bad;
	create.fds_count = 1;
	FAILS(MOTE_INVALID, "1000000", mote_create(runtime, "a", bundle, &create, &container, &error));
	create = (mote_create_options)MOTE_CREATE_OPTIONS_INIT;
	create.listen_fds = 1;
	FAILS(MOTE_INVALID, "listen_fds: 1", mote_create(runtime, "a", bundle, &create, &container, &error));
	create = (mote_create_options)MOTE_CREATE_OPTIONS_INIT;
	create.pid_file = "relative";
	FAILS(MOTE_INVALID, "pid_file", mote_create(runtime, "a", bundle, &create, &container, &error));
	/* The last member. */
	mote_criu_options criu = MOTE_CRIU_OPTIONS_INIT;
	criu.image_path = "/none";
	criu.cgroups_mode = 4;
	FAILS(MOTE_INVALID, "cgroups_mode", mote_restore(runtime, "a", bundle, NULL, &criu, &container, &error));
	FAILS(MOTE_INVALID, "\"../a\"", mote_create(runtime, "../a", bundle, NULL, &container, &error));
	FAILS(MOTE_INVALID, "not UTF-8", mote_create(runtime, "\xff", bundle, NULL, &container, &error));
	FAILS(MOTE_INVALID, "absolute", mote_create(runtime, "a", "relative", NULL, &container, &error));
	FAILS(MOTE_NOT_FOUND, "does not exist", mote_container_open(runtime, "none", &container, &error));
	mote_runtime_options settings = MOTE_RUNTIME_OPTIONS_INIT;
	settings.cgroup_manager = 9;
	FAILS(MOTE_INVALID, "cgroup_manager", mote_runtime_new("/run/none", &settings, &made, &error));
	settings = (mote_runtime_options)MOTE_RUNTIME_OPTIONS_INIT;
	settings.program = "relative";
	FAILS(MOTE_INVALID, "program: \"relative\"", mote_runtime_new("/run/none", &settings, &made, &error));
	settings.program = "/none";
	FAILS(MOTE_SYSTEM, "/none", mote_runtime_new("/run/none", &settings, &made, &error));
}

static void wrong_result(mote_runtime *runtime, const char *bundle)
{
	mote_container *container;
	mote_pending *pending;
	mote_process *process;
	mote_create_options create = MOTE_CREATE_OPTIONS_INIT;
	create.config = "{}";
	HOLDS(mote_begin_create(runtime, "a", bundle, &create, &pending, NULL) == 0);
	FAILS(MOTE_INVALID, "another result", mote_pending_finish_process(pending, &process, &error));
	HOLDS(mote_begin_create(runtime, "a", bundle, &create, &pending, NULL) == 0);
	FAILS(MOTE_INVALID, "config.json", mote_pending_finish(pending, &error));
	HOLDS(mote_begin_create(runtime, "a", bundle, &create, &pending, NULL) == 0);
	FAILS(MOTE_INVALID, "config.json", mote_pending_finish_container(pending, &container, &error));
	HOLDS(mote_begin_create(runtime, "a", bundle, &create, &pending, NULL) == 0);
	mote_pending_free(pending);
}

int main(int argc, char **argv)
{
	mote_runtime *runtime;
	if (argc < 3 || mote_runtime_new(argv[2], NULL, &runtime, NULL))
		return 2;
	values_of_null();
	calls_with_null(runtime);
	options(runtime, argv[1]);
	wrong_result(runtime, argv[1]);
	mote_runtime_free(runtime);
	return failures ? 1 : 0;
}
