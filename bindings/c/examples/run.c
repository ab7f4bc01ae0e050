/*
 * Runs the bundle in a directory and exits as its program does:
 *
 *     cc -o run run.c $(pkg-config --cflags --libs mote) && ./run /path/to/bundle
 */
#include <mote.h>
#include <stdio.h>
#include <unistd.h>

/* Prints an error and frees it. */
static int failed(const char *what, mote_error *error)
{
	fprintf(stderr, "%s: %s\n", what, mote_error_message(error));
	mote_error_free(error);
	return 125;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: run BUNDLE [STATE-DIRECTORY]\n");
		return 125;
	}
	mote_runtime *runtime;
	mote_container *container;
	mote_error *error;
	if (mote_runtime_new(argc > 2 ? argv[2] : "/run/mote-example", NULL, &runtime, &error))
		return failed("mote_runtime_new", error);

	char id[32];
	snprintf(id, sizeof id, "run-%d", getpid());
	if (mote_run(runtime, id, argv[1], NULL, &container, &error)) {
		mote_runtime_free(runtime);
		return failed("mote_run", error);
	}
	for (size_t i = 0; mote_container_warning(container, i); i++)
		fprintf(stderr, "warning: %s\n", mote_error_message(mote_container_warning(container, i)));

	mote_exit_status status;
	int code = 125;
	if (mote_container_wait(container, &status, &error))
		failed("mote_container_wait", error);
	else
		code = status.signal ? 128 + status.signal : status.code;
	if (mote_container_delete(container, 1, &error))
		failed("mote_container_delete", error);
	mote_container_free(container);
	mote_runtime_free(runtime);
	return code;
}
