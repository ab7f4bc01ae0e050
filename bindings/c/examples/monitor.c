/*
 * A tiny monitor: keeps ten containers of one bundle running, and starts one that has ended again, until each has ended so
 * many times. It has one thread, and waits for everything by poll(2).
 *
 *     cc -o monitor monitor.c $(pkg-config --cflags --libs mote) && ./monitor /path/to/bundle 3
 */
#include <mote.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum { COUNT = 10 };

struct slot {
	char id[32];
	mote_pending *starting;    /* while it is being created */
	mote_container *container; /* while it runs */
	int ended;                 /* how many times it has ended */
};

static mote_runtime *runtime;

static void check(const char *what, int status, mote_error *error)
{
	if (!status)
		return;
	fprintf(stderr, "%s: %s\n", what, mote_error_message(error));
	exit(1);
}

static void begin(struct slot *slot, const char *bundle)
{
	mote_error *error;
	check(slot->id, mote_begin_run(runtime, slot->id, bundle, NULL, &slot->starting, &error), error);
}

/* Its file descriptor is readable: it was created, or has ended. */
static void advance(struct slot *slot, const char *bundle, int times)
{
	mote_error *error;
	if (slot->starting) {
		check(slot->id, mote_pending_finish_container(slot->starting, &slot->container, &error), error);
		slot->starting = NULL;
		return;
	}
	mote_exit_status status;
	check(slot->id, mote_container_try_wait(slot->container, &status, &error), error);
	printf("%s has ended: code %d, signal %d\n", slot->id, status.code, status.signal);
	check(slot->id, mote_container_delete(slot->container, 0, &error), error);
	mote_container_free(slot->container);
	slot->container = NULL;
	if (++slot->ended < times)
		begin(slot, bundle);
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: monitor BUNDLE TIMES [STATE-DIRECTORY]\n");
		return 1;
	}
	const char *bundle = argv[1];
	int times = atoi(argv[2]);
	mote_error *error;
	check("mote_runtime_new",
		mote_runtime_new(argc > 3 ? argv[3] : "/run/mote-example", NULL, &runtime, &error), error);

	static struct slot slots[COUNT];
	for (int i = 0; i < COUNT; i++) {
		snprintf(slots[i].id, sizeof slots[i].id, "monitored-%d", i);
		begin(&slots[i], bundle);
	}
	for (;;) {
		struct pollfd fds[COUNT];
		int active = 0;
		for (int i = 0; i < COUNT; i++) {
			int fd = slots[i].starting ? mote_pending_fd(slots[i].starting) : mote_container_fd(slots[i].container);
			fds[i] = (struct pollfd){ .fd = fd, .events = POLLIN };
			active += fd >= 0;
		}
		if (!active)
			break;
		if (poll(fds, COUNT, -1) < 0)
			continue;
		for (int i = 0; i < COUNT; i++)
			if (fds[i].revents)
				advance(&slots[i], bundle, times);
	}
	mote_runtime_free(runtime);
	return 0;
}
