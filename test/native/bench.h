/*
 * What the cases of receiver-test.c stand on: one receiver with its consumer (the calling thread), streams from a
 * server of plain sockets that logs each write, and the check that each interval overlaps that of its write.
 */
#ifndef BENCH_NATIVE_BENCH_H
#define BENCH_NATIVE_BENCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#include "../../src/endpoints/receiver/receiver.h"

#define CHECK(condition, ...)                                                                                 \
  do {                                                                                                        \
    if (!(condition)) failed_check(__FILE__, __LINE__, #condition, __VA_ARGS__);                              \
  } while (0)

/* Ends the process. */
void failed_check(const char *file, int line, const char *condition, const char *format, ...)
    __attribute__((noreturn, format(printf, 4, 5)));

int64_t now_ns(void);
/* Sleeps until an instant of `now_ns`. */
void until_ns(int64_t at_ns);
void pause_us(int64_t us);
/* The same numbers for the same seed. */
void seed(uint64_t value);
uint32_t draw(uint32_t below);

/* Bytes [from, to) arrived within [before_ns, after_ns]. */
typedef struct {
  uint64_t from, to;
  int64_t before_ns, after_ns;
  int is_held; /* by the kernel, until there is room: `after_ns` is late */
} written;

/* An entry of the ring. */
typedef struct {
  rx_record record;
  uint64_t from; /* its first byte's place in the stream */
} entry;

/* One connection, from both its ends. */
typedef struct stream {
  uint32_t id;
  uint32_t handle;
  int fd; /* the server's end, -1 once closed */
  /* The server's thread. */
  written *writes;
  size_t count, room, settled;
  uint64_t sent;
  int retransmitted;
  /* The consumer. */
  entry *entries;
  size_t entry_count, entry_room;
  _Atomic uint64_t got;
  int opened, sents, ended, failed; /* `failed`: the errno */
  int64_t done_ns;
  int ignored; /* what comes is neither kept nor checked */
  void (*on_sent)(struct stream *s, double at_ms);
} stream;

typedef struct {
  rx_t *rx;
  uint32_t ring_bytes, tail;
  int wake; /* an eventfd */
  int listener;
  struct sockaddr_storage address;
  socklen_t address_length;
  stream **streams; /* by slot */
  stream **all;
  size_t count, room;
  void (*on_accept)(uint32_t handle);
  uint64_t entries, unknown;
} bench;

/* What the next read that brings bytes does to the system clock, or to its own stamp. */
enum {
  NOTHING,
  SET_BEFORE_STAMP, /* the clock is ahead by `step_to_ns` from just before the stamp on */
  SET_AFTER_STAMP,  /* from after the read on: the stamp is of the clock before */
  DELIVERED_LATE    /* the stamp is from just before the clock was set last: from `late_ns` */
};
extern _Atomic int next_read;
extern _Atomic int64_t step_to_ns, late_ns;
/* CLOCK_REALTIME, and with it the kernel's stamps, are ahead by this from now on. */
void set_clock(int64_t ahead_ns);

/* A receiver and a server on `host` ("127.0.0.1", "::1"). */
bench *bench_start(const char *host, uint32_t ring_bytes);
/* Ends both and checks that no stream has anything left to check. */
void bench_stop(bench *b);
/* A server's address on a port. */
socklen_t address_of(const char *host, int port, struct sockaddr_storage *address);
int listen_on(const char *host, struct sockaddr_storage *address, socklen_t *length);

/* Connects and accepts. */
stream *open_stream(bench *b);
/* As `open_stream`, of a connection that is accepted elsewhere; NULL where it is refused at once. */
stream *begin_stream(bench *b, const struct sockaddr *address, socklen_t length, int *error);
/* The stream of a handle, which was got in another way. */
stream *adopt_stream(bench *b, uint32_t handle, int fd);
/* Closes a stream of the caller, and forgets it. */
void close_stream(bench *b, stream *s);
void free_stream(bench *b, stream *s);

/* Takes what is in the ring; waits up to `ms` where there is nothing. */
void pump(bench *b, int ms);
/* Takes entries until `done` holds, at most `ms`. Returns whether it does. */
int pump_until(bench *b, int (*done)(void *), void *context, int ms);
/* Runs `work` beside the consumer, until it has returned. */
void beside(bench *b, void *(*work)(void *), void *context);
/* All that the server wrote has been read. */
int all_read(void *context);
void read_all(bench *b);

/* --- the server --- */

/* Bytes from `from` on of a stream. */
void fill(uint32_t id, uint64_t from, uint8_t *bytes, size_t length);
int same_bytes(uint32_t id, uint64_t from, const uint8_t *bytes, size_t length);
/* Writes `length` bytes in one call; returns what the kernel took, negative when the connection is gone. */
ssize_t put(stream *s, size_t length);
/* Whether nothing is held back any more, so that all writes have an end. */
int settled(stream *s);
/* Waits until it is. */
void settle(stream *s);
void close_server(stream *s);
void reset_server(stream *s);

/* --- the check --- */

typedef struct {
  uint64_t reads, bytes, held, stamped, single, reordered, stepped, full, unknown_segments, late, unsettled;
  double *slack_us, *last_us;
  size_t count, room;
} claims;

/* Compares each read of a stream with the log. Adds to `sum`. */
void check_stream(const stream *s, claims *sum);
void check_all(bench *b, const char *name);
void print_claims(const char *name, claims *sum);
void print_spread(const char *name, const char *unit, double *values, size_t count);

#endif
