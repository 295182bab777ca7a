/*
 * Preloaded, it sets the system clock of one process, as far as that process can see: CLOCK_REALTIME is ahead by SET_CLOCK_MS
 * in every other 50 ms. The kernel's stamps are not, so each step puts them that far from the clock.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *at) {
  static int (*system_gettime)(clockid_t, struct timespec *);
  static long long ahead_ns;
  if (!system_gettime) {
    const char *ms = getenv("SET_CLOCK_MS");
    ahead_ns = ms ? atoll(ms) * 1000000 : 0;
    system_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  }
  int status = system_gettime(clock, at);
  if (clock != CLOCK_REALTIME || status != 0) return status;
  struct timespec now;
  system_gettime(CLOCK_MONOTONIC, &now);
  if (now.tv_nsec / 50000000 % 2 == 0) return status;
  long long ns = at->tv_sec * 1000000000LL + at->tv_nsec + ahead_ns;
  at->tv_sec = ns / 1000000000;
  at->tv_nsec = ns % 1000000000;
  return status;
}
