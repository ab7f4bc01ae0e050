/*
 * Times `create` and `start` from within a program: by libmote, by the command mote (posix_spawn), and by libcrun if CRUN is defined.
 *
 *     library ROUNDS MEGABYTES BUNDLE STATE-DIRECTORY MOTE
 *
 * MEGABYTES are resident in the program. Prints a line for each measurement: its name, and nanoseconds.
 */
#include <errno.h>
#include <mote.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef CRUN
#include <libcrun/container.h>
#include <libcrun/error.h>
#endif

extern char **environ;
static const char *bundle, *root, *program;
static char id[64];

static long long now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void report(const char *what, long long start)
{
	printf("%s %lld\n", what, now() - start);
}

static void check(int status, mote_error *error)
{
	if (!status)
		return;
	fprintf(stderr, "libmote: %s\n", mote_error_message(error));
	exit(1);
}

static void by_libmote(const mote_runtime *runtime)
{
	mote_container *container;
	mote_error *error;
	long long start = now();
	check(mote_create(runtime, id, bundle, NULL, &container, &error), error);
	check(mote_container_start(container, NULL, &error), error);
	report("libmote", start);
	check(mote_container_wait(container, NULL, &error), error);
	check(mote_container_delete(container, 1, &error), error);
	mote_container_free(container);
}

static void run(char *const *words)
{
	pid_t child;
	int status = posix_spawn(&child, program, NULL, NULL, words, environ);
	if (status || waitpid(child, &status, 0) < 0 || status) {
		fprintf(stderr, "%s %s: status %d\n", program, words[3], status);
		exit(1);
	}
}

static void by_command(void)
{
	char *create[] = { "mote", "--root", (char *)root, "create", "--bundle", (char *)bundle, id, NULL };
	char *begin[] = { "mote", "--root", (char *)root, "start", id, NULL };
	char *delete[] = { "mote", "--root", (char *)root, "delete", "--force", id, NULL };
	long long start = now();
	run(create);
	run(begin);
	report("command", start);
	run(delete);
}

#ifdef CRUN
static void check_crun(int status, libcrun_error_t *error)
{
	if (status >= 0)
		return;
	fprintf(stderr, "libcrun: %s\n", *error ? (*error)->msg : "?");
	exit(1);
}

static void by_libcrun(void)
{
	char config[4096], state[4096];
	libcrun_error_t error = NULL;
	/* It resolves root.path in the working directory. */
	if (chdir(bundle))
		exit(1);
	snprintf(config, sizeof config, "%s/config.json", bundle);
	snprintf(state, sizeof state, "%s/crun", root);
	libcrun_context_t context = { .id = id, .state_root = state, .bundle = bundle, .fifo_exec_wait_fd = -1 };
	long long start = now();
	libcrun_container_t *container = libcrun_container_load_from_file(config, &error);
	check_crun(container ? 0 : -1, &error);
	check_crun(libcrun_container_create(&context, container, LIBCRUN_RUN_OPTIONS_PREFORK, &error), &error);
	check_crun(libcrun_container_start(&context, id, &error), &error);
	report("libcrun", start);
	check_crun(libcrun_container_delete(&context, NULL, id, true, &error), &error);
	libcrun_container_free(container);
}
#endif

int main(int argc, char **argv)
{
	if (argc < 6)
		return 2;
	int rounds = atoi(argv[1]);
	size_t size = (size_t)atoi(argv[2]) << 20;
	bundle = argv[3], root = argv[4], program = argv[5];
	if (size) {
		char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		/* In pages of the usual size, as the memory of most programs. */
		madvise(memory, size, MADV_NOHUGEPAGE);
		memset(memory, 1, size);
	}
	snprintf(id, sizeof id, "mote-bench-%d", getpid());
	long long start = now();
	mote_runtime *runtime;
	mote_error *error;
	check(mote_runtime_new(root, NULL, &runtime, &error), error);
	report("mote_runtime_new", start);
	for (int i = 0; i < rounds; i++) {
		by_libmote(runtime);
		by_command();
#ifdef CRUN
		by_libcrun();
#endif
	}
	mote_runtime_free(runtime);
	return 0;
}
