/*
 * clock.c
 *	  A clock that a test sets, preloaded into a server: the time of day is that
 *	  of the machine, moved by as many microseconds as the file named by IU_CLOCK
 *	  says. Clocks that nobody can set, CLOCK_MONOTONIC and the like, run on. See
 *	  Clock.pm.
 *
 * The file is mapped, so that a step is seen by every process at once and costs
 * nothing where the time is asked for, in a signal handler too.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

typedef int (*ClockGettime) (clockid_t, struct timespec *);

static volatile const int64_t *moved;
static ClockGettime real_clock_gettime;

__attribute__((constructor))
static void
find_clock(void)
{
	const char *path = getenv("IU_CLOCK");
	int			fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	void	   *mapped = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);

	real_clock_gettime = (ClockGettime) dlsym(RTLD_NEXT, "clock_gettime");
	if (mapped == MAP_FAILED || real_clock_gettime == NULL)
		abort();				/* a test must not pass because the clock was never moved */
	close(fd);
	moved = mapped;
}

static int
moved_time(clockid_t clock, struct timespec *now)
{
	int			result = real_clock_gettime(clock, now);
	int64_t		ns = now->tv_nsec + *moved % 1000000 * 1000;

	now->tv_sec += *moved / 1000000 + (ns < 0 ? -1 : ns / 1000000000);
	now->tv_nsec = ns < 0 ? ns + 1000000000 : ns % 1000000000;
	return result;
}

int
clock_gettime(clockid_t clock, struct timespec *now)
{
	if (moved != NULL && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		return moved_time(clock, now);
	if (real_clock_gettime == NULL)
		real_clock_gettime = (ClockGettime) dlsym(RTLD_NEXT, "clock_gettime");
	return real_clock_gettime(clock, now);
}

int
gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec time;
	int			result = clock_gettime(CLOCK_REALTIME, &time);

	(void) zone;
	now->tv_sec = time.tv_sec;
	now->tv_usec = time.tv_nsec / 1000;
	return result;
}

time_t
time(time_t *to)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (to != NULL)
		*to = now.tv_sec;
	return now.tv_sec;
}
