/*
 * Preloaded, it sets the system clock of one process, as far as that process can see: CLOCK_REALTIME, and with it the kernel's
 * stamps of arrival, are ahead by SET_CLOCK_MS in every other 50 ms.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static int (*system_gettime)(clockid_t, struct timespec *);
static ssize_t (*system_recvmsg)(int, struct msghdr *, int);
static long long ahead_ns;

__attribute__((constructor)) static void find(void) {
  const char *ms = getenv("SET_CLOCK_MS");
  ahead_ns = ms ? atoll(ms) * 1000000 : 0;
  system_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  system_recvmsg = (ssize_t(*)(int, struct msghdr *, int))dlsym(RTLD_NEXT, "recvmsg");
}

static long long read_clock(clockid_t clock) {
  struct timespec at;
  system_gettime(clock, &at);
  return at.tv_sec * 1000000000LL + at.tv_nsec;
}

/* By how much the clock is ahead at an instant of CLOCK_MONOTONIC. */
static long long ahead(long long monotonic_ns) { return monotonic_ns / 50000000 % 2 == 0 ? 0 : ahead_ns; }

static void add(struct timespec *at, long long ns) {
  ns += at->tv_sec * 1000000000LL + at->tv_nsec;
  at->tv_sec = ns / 1000000000;
  at->tv_nsec = ns % 1000000000;
}

int clock_gettime(clockid_t clock, struct timespec *at) {
  if (!system_gettime) find();
  int status = system_gettime(clock, at);
  if (clock == CLOCK_REALTIME && status == 0) add(at, ahead(read_clock(CLOCK_MONOTONIC)));
  return status;
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
  ssize_t got = system_recvmsg(fd, message, flags);
  if (got <= 0) return got;
  long long offset_ns, before_ns, after_ns;
  do {
    before_ns = read_clock(CLOCK_MONOTONIC);
    offset_ns = read_clock(CLOCK_REALTIME) - before_ns;
    after_ns = read_clock(CLOCK_MONOTONIC);
  } while (after_ns - before_ns > 1000);
  for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SO_TIMESTAMPING) continue;
    struct timespec stamp;
    memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
    add(&stamp, ahead(stamp.tv_sec * 1000000000LL + stamp.tv_nsec - offset_ns));
    memcpy(CMSG_DATA(c), &stamp, sizeof stamp);
  }
  return got;
}
