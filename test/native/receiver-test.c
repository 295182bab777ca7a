/*
 * The receiver under loads whose truth is known: receiver-test [--own-net] [--seed N] [CASE...]. Prints what each case
 * saw; ends with 1 where a claim does not hold. --own-net: in a network namespace made for it (run.sh).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench.h"
#include "peer.h"

enum { RING = 1 << 22, SMALL_RING = 1 << 16 };

/* Whether so many descriptors may be open at once. */
static int can_open(rlim_t count) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= count + 100) return 1;
  printf("  *** NOT RUN: at most %llu descriptors ***\n", (unsigned long long)limit.rlim_cur);
  return 0;
}

/* --- reads of all kinds ------------------------------------------------------------------------------------------ */

typedef struct {
  stream **streams;
  size_t count;
  int rounds;
  uint64_t seed;
  void (*write)(stream *s);
  int64_t longest_pause_us;
} load;

static void *serve(void *context) {
  load *l = context;
  seed(l->seed);
  for (int i = 0; i < l->rounds; i++) {
    for (size_t k = 0; k < l->count; k++) l->write(l->streams[k]);
    if (l->longest_pause_us > 0) pause_us(draw((uint32_t)l->longest_pause_us));
  }
  for (size_t k = 0; k < l->count; k++) settle(l->streams[k]);
  return NULL;
}

static void write_one(stream *s) { put(s, 1 + draw(3000)); }
static void write_long(stream *s) { put(s, 1 + draw(300000)); }
static void write_burst_at_once(stream *s) { put(s, 25 * (150 + draw(100))); }
static void write_byte(stream *s) { put(s, 1); }

static void write_burst(stream *s) {
  for (int i = 0; i < 25; i++) put(s, 150 + draw(100));
}

static void write_mixed(stream *s) {
  switch (draw(8)) {
  case 0:
    for (int i = 0; i < 25; i++) put(s, 1 + draw(250));
    break;
  case 1:
    for (int i = 0; i < 40; i++) put(s, 1);
    break;
  case 2:
    put(s, 1 + draw(200000));
    break;
  default:
    put(s, 1 + draw(400));
  }
}

static void read_load(const char *host, size_t streams, int rounds, void (*write)(stream *), int64_t longest_pause_us,
                      const char *name) {
  bench *b = bench_start(host, RING);
  for (size_t i = 0; i < streams; i++) open_stream(b);
  load l = {.streams = b->all,
            .count = streams,
            .rounds = rounds,
            .write = write,
            .longest_pause_us = longest_pause_us,
            .seed = draw(1 << 30)};
  beside(b, serve, &l);
  read_all(b);
  check_all(b, name);
  bench_stop(b);
}

static void case_single(void) {
  read_load("127.0.0.1", 1, 400, write_one, 2000, "IPv4");
  read_load("::1", 1, 400, write_one, 2000, "IPv6");
  read_load("127.0.0.1", 1, 2000, write_one, 100, "without pauses");
  read_load("127.0.0.1", 1, 200, write_long, 2000, "long writes");
}

static void case_bursts(void) {
  read_load("127.0.0.1", 1, 300, write_burst_at_once, 2000, "25 events in one write");
  read_load("127.0.0.1", 1, 300, write_burst, 2000, "25 events in 25 writes");
  read_load("127.0.0.1", 32, 60, write_burst, 2000, "of 32 streams");
  read_load("::1", 8, 100, write_burst, 2000, "IPv6");
}

static void case_bytes(void) {
  read_load("127.0.0.1", 1, 20000, write_byte, 0, "byte by byte");
  read_load("127.0.0.1", 1, 3000, write_byte, 200, "with pauses");
  read_load("127.0.0.1", 16, 1000, write_byte, 100, "of 16 streams");
}

typedef struct {
  load loads[2];
} loads;

static void *serve_second(void *context) { return serve(&((loads *)context)->loads[1]); }

static void *serve_both(void *context) {
  pthread_t second;
  CHECK(pthread_create(&second, NULL, serve_second, context) == 0, "no thread");
  serve(&((loads *)context)->loads[0]);
  pthread_join(second, NULL);
  return NULL;
}

static void case_mixed(void) {
  bench *b = bench_start("127.0.0.1", RING);
  for (int i = 0; i < 64; i++) open_stream(b);
  loads two;
  for (size_t i = 0; i < 2; i++) {
    two.loads[i] = (load){.streams = b->all + 32 * i,
                          .count = 32,
                          .rounds = 200,
                          .write = write_mixed,
                          .longest_pause_us = 3000,
                          .seed = draw(1 << 30)};
  }
  beside(b, serve_both, &two);
  read_all(b);
  check_all(b, "64 streams, two servers");
  bench_stop(b);
}

static void *serve_after_silence(void *context) {
  stream *s = context;
  for (int i = 0; i < 3; i++) {
    put(s, 500);
    pause_us(1300000);
    put(s, 200);
    pause_us(20);
    put(s, 200);
    put(s, 200);
  }
  settle(s);
  return NULL;
}

static void case_stall(void) {
  bench *b = bench_start("127.0.0.1", RING);
  beside(b, serve_after_silence, open_stream(b));
  read_all(b);
  check_all(b, "a server that stalls 1.3 s");
  bench_stop(b);
}

enum { GREETED = 500 };

typedef struct {
  int listener;
  stream *streams[GREETED];
  _Atomic int count;
} greeting;

/* A server that speaks first: its bytes may come before the thread knows that the connection is open. */
static void *greet(void *context) {
  greeting *g = context;
  for (int i = 0; i < GREETED; i++) {
    while (atomic_load(&g->count) <= i) pause_us(20);
    stream *s = g->streams[i];
    int one = 1;
    /* They are taken in the order in which they were made. */
    s->fd = accept4(g->listener, NULL, NULL, SOCK_CLOEXEC);
    CHECK(s->fd >= 0, "accept: %s", strerror(errno));
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    put(s, 100);
    if (i % 3 != 0) put(s, 100);
    if (i % 5 == 0) pause_us(300);
    put(s, 100);
    settle(s);
  }
  return NULL;
}

static void case_greeting(void) {
  bench *b = bench_start("127.0.0.1", RING);
  greeting g = {.listener = b->listener};
  pthread_t server;
  CHECK(pthread_create(&server, NULL, greet, &g) == 0, "no thread");
  for (int i = 0; i < GREETED; i++) {
    int error;
    g.streams[i] = begin_stream(b, (struct sockaddr *)&b->address, b->address_length, &error);
    CHECK(g.streams[i] != NULL, "%s", strerror(error));
    atomic_store(&g.count, i + 1);
    if (i % 7 == 0) pause_us(200);
    if (i % 9 == 0) pump(b, 0);
  }
  while (pthread_tryjoin_np(server, NULL) != 0) pump(b, 1);
  read_all(b);
  check_all(b, "a server that speaks first");
  bench_stop(b);
}

/* --- ends -------------------------------------------------------------------------------------------------------- */

static int is_done(void *context) {
  const stream *s = context;
  return s->ended || s->failed;
}

static int is_open(void *context) { return ((stream *)context)->opened; }

static void await_end(bench *b, stream *s) { CHECK(pump_until(b, is_done, s, 10000), "stream %u does not end", s->id); }

static void *write_some(void *context) {
  stream *s = context;
  for (int i = 0; i < 20; i++) put(s, 1 + draw(5000));
  settle(s);
  return NULL;
}

static void case_ends(void) {
  bench *b = bench_start("127.0.0.1", RING);
  for (int i = 0; i < 40; i++) {
    stream *s = open_stream(b);
    /* A connection that is reset before the thread has seen it open was never made, as far as a socket tells. */
    CHECK(pump_until(b, is_open, s, 5000), "stream %u is not open", s->id);
    beside(b, write_some, s);
    if (i % 2 == 0) read_all(b);
    if (i % 4 < 2) {
      reset_server(s);
      await_end(b, s);
      CHECK(s->failed == ECONNRESET, "%d", s->failed);
    } else {
      if (i % 8 < 4) shutdown(s->fd, SHUT_WR);
      else close_server(s);
      await_end(b, s);
      CHECK(s->ended, "%d", s->failed);
    }
    CHECK(s->got == s->sent, "stream %u: %llu of %llu bytes", s->id, (unsigned long long)s->got,
          (unsigned long long)s->sent);
    CHECK(rx_send(b->rx, s->handle, "x", 1) < 0, "a handle that is gone took bytes");
  }
  check_all(b, "reset, half-closed, closed");
  bench_stop(b);
}

enum { ENDING = 3000 };

/* Ends some µs after the last write, so that the end comes before, while or after the bytes are read. */
static void *write_and_end(void *context) {
  stream **streams = context;
  for (int i = 0; i < ENDING; i++) {
    stream *s = streams[i];
    for (uint32_t k = draw(3); k > 0; k--) {
      put(s, 1 + draw(300));
      pause_us(draw(60));
    }
    put(s, 1 + draw(300));
    settle(s);
    int64_t end = now_ns() + draw(30000);
    while (now_ns() < end) continue;
    if (i % 2 == 0) shutdown(s->fd, SHUT_WR);
    else reset_server(s);
  }
  return NULL;
}

static void case_end_races(void) {
  if (!can_open(2 * ENDING)) return;
  bench *b = bench_start("127.0.0.1", RING);
  for (int i = 0; i < ENDING; i++) {
    open_stream(b);
    if (i % 64 == 0) pump(b, 0);
  }
  for (int i = 0; i < ENDING; i++) CHECK(pump_until(b, is_open, b->all[i], 5000), "stream %d is not open", i);
  beside(b, write_and_end, b->all);
  for (int i = 0; i < ENDING; i++) {
    await_end(b, b->all[i]);
    CHECK(b->all[i]->got == b->all[i]->sent, "stream %u", b->all[i]->id);
  }
  check_all(b, "ended within 30 us");
  bench_stop(b);
}

static void *close_in_a_write(void *context) {
  stream *s = context;
  put(s, 50);
  settle(s);
  /* What the peer has sent is not read, so this is a reset. */
  put(s, 1 << 21);
  close_server(s);
  return NULL;
}

static void case_cut(void) {
  bench *b = bench_start("127.0.0.1", RING);
  uint64_t whole = 0;
  for (int i = 0; i < 20; i++) {
    stream *s = open_stream(b);
    CHECK(pump_until(b, is_open, s, 5000), "stream %u is not open", s->id);
    if (i % 2 == 0) CHECK(rx_send(b->rx, s->handle, "unread", 6) > 0, "stream %u", s->id);
    beside(b, close_in_a_write, s);
    await_end(b, s);
    if (i % 2 == 0) CHECK(s->failed == ECONNRESET, "%d", s->failed);
    else CHECK(s->ended && s->got == s->sent, "%llu of %llu", (unsigned long long)s->got, (unsigned long long)s->sent);
    whole += s->got == s->sent;
  }
  check_all(b, "closed in a write");
  printf("  %llu of 20 came whole\n", (unsigned long long)whole);
  bench_stop(b);
}

static void case_half_closed_by_us(void) {
  bench *b = bench_start("127.0.0.1", RING);
  for (int i = 0; i < 50; i++) {
    stream *s = open_stream(b);
    if (i % 2 == 0) CHECK(pump_until(b, is_open, s, 5000), "stream %u is not open", s->id);
    size_t length = i % 4 == 3 ? 3000000 : 1000;
    uint8_t *bytes = malloc(length);
    fill(s->id, 0, bytes, length);
    CHECK(rx_send(b->rx, s->handle, bytes, length) > 0, "stream %u", s->id);
    free(bytes);
    rx_end(b->rx, s->handle);
    uint8_t part[65536];
    uint64_t got = 0;
    for (ssize_t n; (n = read(s->fd, part, sizeof part)) != 0; got += (uint64_t)n) {
      CHECK(n > 0, "%s", strerror(errno));
      CHECK(same_bytes(s->id, got, part, (size_t)n), "after %llu", (unsigned long long)got);
    }
    CHECK(got == length, "%llu of %zu bytes before the end", (unsigned long long)got, length);
    beside(b, write_some, s);
    close_server(s);
    await_end(b, s);
    CHECK(s->ended && s->got == s->sent, "stream %u", s->id);
  }
  check_all(b, "our side ended first");
  bench_stop(b);
}

static void case_refused(void) {
  bench *b = bench_start("127.0.0.1", SMALL_RING);
  const char *hosts[] = {"127.0.0.1", "::1"};
  for (int i = 0; i < 100; i++) {
    struct sockaddr_storage address;
    socklen_t length;
    close(listen_on(hosts[i % 2], &address, &length));
    int error;
    stream *s = begin_stream(b, (struct sockaddr *)&address, length, &error);
    if (s == NULL) {
      CHECK(error == ECONNREFUSED, "%s", strerror(error));
      continue;
    }
    if (i % 3 == 0) rx_send(b->rx, s->handle, "early", 5);
    if (i % 3 == 1) rx_send_at(b->rx, s->handle, "later", 5, rx_now_ms(b->rx) + 1000);
    await_end(b, s);
    CHECK(s->failed == ECONNREFUSED && !s->opened, "%d", s->failed);
    free_stream(b, s);
  }
  struct sockaddr_storage address;
  socklen_t length = address_of("255.255.255.255", 9, &address);
  int error;
  stream *s = begin_stream(b, (struct sockaddr *)&address, length, &error);
  if (s != NULL) {
    await_end(b, s);
    error = s->failed;
  }
  CHECK(error == ENETUNREACH || error == EACCES, "%s", strerror(error));
  bench_stop(b);
}

/* --- handles ------------------------------------------------------------------------------------------------------ */

enum { CHURNED = 8 };

typedef struct {
  bench *b;
  pthread_mutex_t lock;
  stream *now[CHURNED];
  _Atomic int stop;
} churn;

static void *write_to_all(void *context) {
  churn *c = context;
  seed(7);
  while (!atomic_load(&c->stop)) {
    for (int i = 0; i < CHURNED; i++) {
      pthread_mutex_lock(&c->lock);
      if (c->now[i] != NULL) put(c->now[i], 1 + draw(2000));
      pthread_mutex_unlock(&c->lock);
    }
    pause_us(draw(100));
  }
  return NULL;
}

/* Streams are closed with bytes under way and new ones take their slots: no byte of one may be another's. */
static void case_reused(void) {
  churn c = {.b = bench_start("127.0.0.1", RING), .lock = PTHREAD_MUTEX_INITIALIZER};
  bench *b = c.b;
  pthread_t server;
  CHECK(pthread_create(&server, NULL, write_to_all, &c) == 0, "no thread");
  uint64_t bytes = 0, slots = 0;
  for (int i = 0; i < 4000; i++) {
    int at = (int)draw(CHURNED);
    stream *old = c.now[at];
    pthread_mutex_lock(&c.lock);
    c.now[at] = NULL;
    pthread_mutex_unlock(&c.lock);
    if (old != NULL) {
      while (!settled(old)) pump(b, 1);
      claims sum = {0};
      bytes += old->got;
      check_stream(old, &sum);
      free(sum.slack_us);
      free(sum.last_us);
      close_stream(b, old);
      if (draw(2) == 0) pump(b, 0);
      reset_server(old);
      free_stream(b, old);
    }
    stream *s = open_stream(b);
    fcntl(s->fd, F_SETFL, O_NONBLOCK);
    if ((s->handle >> 16) > 0) slots++;
    pthread_mutex_lock(&c.lock);
    c.now[at] = s;
    pthread_mutex_unlock(&c.lock);
    pump(b, draw(4) == 0 ? 1 : 0);
  }
  atomic_store(&c.stop, 1);
  while (pthread_tryjoin_np(server, NULL) != 0) pump(b, 1);
  for (int i = 0; i < CHURNED; i++) {
    while (!settled(c.now[i])) pump(b, 1);
  }
  read_all(b);
  check_all(b, "the last eight");
  printf("  4000 streams, %llu in a used slot, %llu bytes, %llu entries of streams that were closed\n",
         (unsigned long long)slots, (unsigned long long)bytes, (unsigned long long)b->unknown);
  bench_stop(b);
}

static int one_read(void *context) {
  const stream *s = context;
  return s->got == s->sent && s->opened;
}

/* As many connections as a slot has generations, and more. */
static void case_many(void) {
  enum { MANY = 66000 };
  bench *b = bench_start("127.0.0.1", SMALL_RING);
  int listeners[8];
  struct sockaddr_storage addresses[8];
  socklen_t length = 0;
  for (int i = 0; i < 8; i++) {
    char host[32];
    snprintf(host, sizeof host, "127.0.0.%d", i + 2);
    listeners[i] = listen_on(host, addresses + i, &length);
  }
  int64_t begin = now_ns();
  uint32_t most = 0, reads = 0;
  for (int i = 0; i < MANY; i++) {
    int error;
    stream *s = begin_stream(b, (struct sockaddr *)(addresses + i % 8), length, &error);
    CHECK(s != NULL, "connection %d: %s", i, strerror(error));
    if ((s->handle & 0xffff) > most) most = s->handle & 0xffff;
    s->fd = accept4(listeners[i % 8], NULL, NULL, SOCK_CLOEXEC);
    CHECK(s->fd >= 0, "%s", strerror(errno));
    put(s, 20);
    settle(s);
    if (i % 4 != 3) CHECK(pump_until(b, one_read, s, 10000), "connection %d", i);
    claims sum = {0};
    check_stream(s, &sum);
    reads += (uint32_t)sum.reads;
    free(sum.slack_us);
    free(sum.last_us);
    if (i % 2 == 0) {
      reset_server(s);
      await_end(b, s);
      CHECK(s->failed == ECONNRESET, "%d", s->failed);
    } else {
      rx_reset(b->rx, s->handle);
    }
    free_stream(b, s);
  }
  printf("  %d connections in %.1f s, %u reads, at most %u slots\n", MANY, (double)(now_ns() - begin) / 1e9, reads,
         most + 1);
  CHECK(most < 64, "%u slots for one connection after the other", most + 1);
  for (int i = 0; i < 8; i++) close(listeners[i]);
  bench_stop(b);
}

static void case_4096(void) {
  enum { STREAMS = 4096 };
  if (!can_open(2 * STREAMS)) return;
  bench *b = bench_start("127.0.0.1", 1 << 23);
  for (int i = 0; i < STREAMS; i++) {
    open_stream(b);
    if (i % 64 == 0) pump(b, 0);
  }
  load l = {.streams = b->all, .count = STREAMS, .rounds = 8, .write = write_one, .seed = draw(1 << 30)};
  beside(b, serve, &l);
  read_all(b);
  check_all(b, "4096 streams at once");
  bench_stop(b);
}

/* --- the ring ----------------------------------------------------------------------------------------------------- */

typedef struct {
  stream **streams;
  size_t count;
  uint64_t each;
} flood;

static void *write_much(void *context) {
  flood *f = context;
  seed(f->each);
  for (uint64_t left = f->each; left > 0;) {
    size_t part = 1 + draw(60000);
    if (part > left) part = left;
    for (size_t i = 0; i < f->count; i++) put(f->streams[i], part);
    left -= part;
  }
  for (size_t i = 0; i < f->count; i++) settle(f->streams[i]);
  return NULL;
}

static void case_full_ring(void) {
  uint32_t sizes[] = {SMALL_RING, 1 << 20};
  for (int i = 0; i < 2; i++) {
    bench *b = bench_start("127.0.0.1", sizes[i]);
    flood f = {.count = 4, .each = 4 << 20};
    for (size_t k = 0; k < f.count; k++) open_stream(b);
    f.streams = b->all;
    pthread_t server;
    CHECK(pthread_create(&server, NULL, write_much, &f) == 0, "no thread");
    for (int k = 0; k < 3; k++) {
      pause_us(300000);
      pump(b, 0);
    }
    while (pthread_tryjoin_np(server, NULL) != 0) pump(b, 1);
    read_all(b);
    rx_control *shared = rx_shared(b->rx);
    uint32_t stalls = atomic_load(&shared->stalls), us = atomic_load(&shared->stalled_us);
    char name[64];
    snprintf(name, sizeof name, "a ring of %u KiB", sizes[i] >> 10);
    check_all(b, name);
    printf("  %u stalls, %.1f ms all together\n", stalls, us / 1e3);
    CHECK(stalls >= 3 && us > 200000, "%u stalls of %u us", stalls, us);
    bench_stop(b);
  }
}

static void *write_until_refused(void *context) {
  stream *s = context;
  while (put(s, 50000) >= 0) continue;
  return NULL;
}

static void case_never_drained(void) {
  for (int i = 0; i < 5; i++) {
    bench *b = bench_start("127.0.0.1", SMALL_RING);
    stream *s = open_stream(b);
    pthread_t server;
    CHECK(pthread_create(&server, NULL, write_until_refused, s) == 0, "no thread");
    pause_us(200000);
    for (int k = 0; k < 100; k++) rx_send_at(b->rx, s->handle, "late", 4, rx_now_ms(b->rx) + k);
    if (i % 2 == 1) rx_close(b->rx, s->handle);
    int64_t begin = now_ns();
    rx_free(b->rx);
    double ms = (double)(now_ns() - begin) / 1e6;
    CHECK(ms < 2000, "rx_free took %.1f ms", ms);
    pthread_join(server, NULL);
    if (i == 0) printf("  freed in %.2f ms\n", ms);
    rx_options options = {.ring_bytes = SMALL_RING, .wake = (void (*)(void *))free, .context = NULL};
    b->rx = rx_new(&options);
    CHECK(b->rx != NULL, "%s", strerror(errno));
    bench_stop(b);
  }
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

typedef struct {
  stream *s;
  uint64_t length, got;
} slow_reader;

static void *read_slowly(void *context) {
  slow_reader *r = context;
  static _Thread_local uint8_t part[65536];
  while (r->got < r->length) {
    ssize_t n = read(r->s->fd, part, 1 + draw(sizeof part - 1));
    CHECK(n > 0, "%s after %llu bytes", n == 0 ? "the end" : strerror(errno), (unsigned long long)r->got);
    CHECK(same_bytes(r->s->id, r->got, part, (size_t)n), "after %llu", (unsigned long long)r->got);
    r->got += (uint64_t)n;
    if (draw(4) == 0) pause_us(1000);
  }
  return NULL;
}

static void case_send(void) {
  bench *b = bench_start("127.0.0.1", RING);
  for (int i = 0; i < 4; i++) {
    stream *s = open_stream(b);
    /* Every second is sent to before the connection is open. */
    if (i % 2 == 0) CHECK(pump_until(b, is_open, s, 5000), "stream %u", s->id);
    size_t length = 12 << 20, at = 0;
    uint8_t *bytes = malloc(length);
    fill(s->id, 0, bytes, length);
    while (at < length) {
      size_t part = at == 0 ? 8 << 20 : 1 + draw(600000);
      if (part > length - at) part = length - at;
      double sent = rx_send(b->rx, s->handle, bytes + at, part);
      CHECK(sent > 0 && sent <= rx_now_ms(b->rx), "%f", sent);
      at += part;
    }
    free(bytes);
    size_t unsent = rx_unsent(b->rx, s->handle);
    CHECK(unsent > 0, "the socket took %zu bytes", length);
    slow_reader reader = {.s = s, .length = length};
    beside(b, read_slowly, &reader);
    CHECK(rx_unsent(b->rx, s->handle) == 0, "%zu", rx_unsent(b->rx, s->handle));
    if (i == 0) printf("  %zu of %zu bytes waited\n", unsent, length);
  }
  bench_stop(b);
}

enum { SENDS = 400, SENDERS = 20 };

typedef struct {
  double due_ms[SENDS / SENDERS];
  int sent;
  double late_ms[SENDS / SENDERS];
} schedule;

static schedule schedules[SENDERS];
static stream *senders[SENDERS];

static void on_sent(stream *s, double at_ms) {
  schedule *one = NULL;
  for (int i = 0; i < SENDERS; i++) {
    if (senders[i] == s) one = schedules + i;
  }
  CHECK(one != NULL && one->sent < SENDS / SENDERS, "stream %u", s->id);
  double due = one->due_ms[one->sent];
  CHECK(at_ms >= due - 1e-6, "sent at %.6f, due at %.6f", at_ms, due);
  one->late_ms[one->sent++] = at_ms - due;
}

static int by_due(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static int all_sent(void *context) {
  (void)context;
  for (int i = 0; i < SENDERS; i++) {
    if (schedules[i].sent < SENDS / SENDERS) return 0;
  }
  return 1;
}

/* One thread for each connection would be a load of its own: all of them are looked at in turn. */
static void *read_sends(void *context) {
  (void)context;
  int got[SENDERS] = {0}, open = SENDERS;
  while (open > 0) {
    for (int i = 0; i < SENDERS; i++) {
      if (got[i] == SENDS / SENDERS) continue;
      uint8_t place;
      if (recv(senders[i]->fd, &place, 1, MSG_DONTWAIT) != 1) continue;
      double now = (double)now_ns() / 1e6;
      CHECK(place == got[i], "send %u came as number %d", place, got[i]);
      double due = schedules[i].due_ms[place];
      CHECK(now >= due, "send %u came at %.6f, due at %.6f", place, now, due);
      if (++got[i] == SENDS / SENDERS) open--;
    }
    pause_us(200);
  }
  return NULL;
}

static void case_send_at(void) {
  bench *b = bench_start("127.0.0.1", RING);
  memset(schedules, 0, sizeof schedules);
  for (int i = 0; i < SENDERS; i++) {
    senders[i] = open_stream(b);
    senders[i]->on_sent = on_sent;
    CHECK(pump_until(b, is_open, senders[i], 5000), "stream %u", senders[i]->id);
  }
  double begin = rx_now_ms(b->rx) + 20;
  for (int i = 0; i < SENDERS; i++) {
    schedule *one = schedules + i;
    for (int k = 0; k < SENDS / SENDERS; k++) one->due_ms[k] = begin + draw(1500000) / 1e3;
    qsort(one->due_ms, SENDS / SENDERS, sizeof(double), by_due);
  }
  /* Not in the order in which they are due. */
  for (int k = SENDS / SENDERS - 1; k >= 0; k--) {
    for (int i = 0; i < SENDERS; i++) {
      uint8_t place = (uint8_t)k;
      CHECK(rx_send_at(b->rx, senders[i]->handle, &place, 1, schedules[i].due_ms[k]) == 0, "no memory");
    }
  }
  /* Of a connection that is gone by then nothing comes. */
  stream *gone = open_stream(b);
  rx_send_at(b->rx, gone->handle, "x", 1, begin + 300);
  rx_close(b->rx, gone->handle);
  beside(b, read_sends, NULL);
  CHECK(pump_until(b, all_sent, NULL, 10000), "not all was sent");
  CHECK(gone->sents == 0, "%d", gone->sents);
  double late_us[SENDS];
  for (int i = 0; i < SENDS; i++) late_us[i] = schedules[i % SENDERS].late_ms[i / SENDERS] * 1000;
  print_spread("sent after it was due", "us", late_us, SENDS);
  /* At once where it is due already. */
  stream *s = open_stream(b);
  CHECK(pump_until(b, is_open, s, 5000), "stream %u", s->id);
  rx_send_at(b->rx, s->handle, "x", 1, rx_now_ms(b->rx) - 1000);
  char byte;
  CHECK(read(s->fd, &byte, 1) == 1, "%s", strerror(errno));
  bench_stop(b);
}

/* --- the system clock --------------------------------------------------------------------------------------------- */

typedef struct {
  stream *s, *other;
  int64_t step_ns;
  int how;
  int64_t late_ns[50]; /* stamps of segments that are delivered late */
} stepped;

/* The clock is set just before the stamp of each write's segment, or between that and the look at the clock after the read. */
static void *step_and_write(void *context) {
  stepped *one = context;
  stream *s = one->s;
  for (int i = 0; i < 100; i++) {
    atomic_store(&step_to_ns, i % 2 == 0 ? one->step_ns : 0);
    atomic_store(&next_read, one->how);
    put(s, 1 + draw(500));
    settle(s);
    while (atomic_load(&s->got) < s->sent) pause_us(500);
    pause_us(draw(2000));
  }
  return NULL;
}

static void *write_singles(void *context) {
  stream *s = ((stepped *)context)->s;
  for (int i = 0; i < 50; i++) {
    put(s, 1 + draw(500));
    pause_us(1000);
  }
  settle(s);
  return NULL;
}

static void steps_of(int64_t step_ns, int how, const char *name) {
  bench *b = bench_start("127.0.0.1", RING);
  stepped one = {.s = open_stream(b), .step_ns = step_ns, .how = how};
  beside(b, step_and_write, &one);
  read_all(b);
  size_t during = one.s->entry_count, stamped = 0, flagged = 0;
  for (size_t i = 0; i < during; i++) flagged += (one.s->entries[i].record.flags & RX_STEPPED) != 0;
  uint32_t seen = atomic_load(&rx_shared(b->rx)->steps);
  beside(b, write_singles, &one);
  read_all(b);
  for (size_t i = during; i < one.s->entry_count; i++) stamped += one.s->entries[i].record.flags & RX_STAMPED;
  check_all(b, name);
  printf("  %u of 100 steps seen, %zu of %zu reads flagged; then %zu of %zu stamped\n", seen, flagged, during, stamped,
         one.s->entry_count - during);
  CHECK(seen >= 90 && flagged >= 90, "%u steps seen, %zu flagged", seen, flagged);
  CHECK(stamped >= 20, "%zu of %zu stamped once the clock was left alone", stamped, one.s->entry_count - during);
  bench_stop(b);
}

/* After which sets of the clock a segment is delivered late. */
enum { SET_FORWARD, SET_BACK };

/*
 * The clock is set, and that is seen with the read of another socket, while a segment is on its way to its own: its stamp is of
 * the clock before, but no look of before the step is left that did not find it.
 */
static void *step_while_delivered(void *context) {
  stepped *one = context;
  for (int i = 0; i < 50; i++) {
    set_clock(i % 2 == 0 ? one->step_ns : 0);
    put(one->other, 1 + draw(500));
    while (atomic_load(&one->other->got) < one->other->sent) pause_us(20);
    pause_us(1500);
    int is_late = i % 2 == 0 || one->how == SET_BACK;
    atomic_store(&next_read, is_late ? DELIVERED_LATE : NOTHING);
    put(one->s, 1 + draw(500));
    while (atomic_load(&one->s->got) < one->s->sent) pause_us(20);
    one->late_ns[i] = is_late ? atomic_load(&late_ns) : now_ns();
    settle(one->s);
    settle(one->other);
  }
  return NULL;
}

static void delivered_of(int64_t step_ns, int how, size_t least_flagged, const char *name) {
  bench *b = bench_start("127.0.0.1", RING);
  stepped one = {.s = open_stream(b), .other = open_stream(b), .step_ns = step_ns, .how = how};
  beside(b, step_while_delivered, &one);
  read_all(b);
  size_t flagged = 0;
  for (size_t i = 0; i < one.s->entry_count; i++) {
    const rx_record *r = &one.s->entries[i].record;
    flagged += (r->flags & RX_STEPPED) != 0;
    /* The stamp was made from CLOCK_MONOTONIC with an error of this at most. */
    double late_ms = (double)(one.late_ns[i] + 500) / 1e6;
    CHECK(r->since_ms <= late_ms, "%s: read %zu is of a stamp %.6f ms before its interval", name, i, r->since_ms - late_ms);
  }
  check_all(b, name);
  CHECK(flagged >= least_flagged, "%s: %zu of %zu reads flagged", name, flagged, one.s->entry_count);
  bench_stop(b);
}

static void case_step_while_delivered(void) {
  delivered_of(500000000, SET_BACK, 50, "500 ms, while a segment is delivered");
  delivered_of(500000, SET_BACK, 50, "500 us, while a segment is delivered");
  delivered_of(50000, SET_BACK, 50, "50 us, while a segment is delivered");
  /* So long a delivery when the clock is set back as far would have to have been seen before. */
  delivered_of(2000000, SET_FORWARD, 25, "2 ms forward, while a segment is delivered");
}

static void case_steps(void) {
  static const int64_t steps[] = {1000000, -1000000, 50000, -50000, 3600000000000, -3600000000000};
  static const char *const names[] = {"1 ms forward",  "1 ms back",   "50 us forward",
                                      "50 us back",    "1 h forward", "1 h back"};
  for (int i = 0; i < 6; i++) {
    char name[64];
    steps_of(steps[i], SET_BEFORE_STAMP, names[i]);
    snprintf(name, sizeof name, "%s, before the read", names[i]);
    steps_of(steps[i], SET_AFTER_STAMP, name);
  }
}

/* --- new and free ------------------------------------------------------------------------------------------------- */

static int entries_of(const char *folder) {
  DIR *all = opendir(folder);
  int count = 0;
  CHECK(all != NULL, "%s: %s", folder, strerror(errno));
  while (readdir(all) != NULL) count++;
  closedir(all);
  return count;
}

static void made_and_freed(int times) {
  for (int i = 0; i < times; i++) {
    bench *b = bench_start("127.0.0.1", SMALL_RING);
    if (i % 10 == 0) {
      for (int k = 0; k < 3; k++) {
        stream *s = open_stream(b);
        put(s, 1000);
        rx_send_at(b->rx, s->handle, "late", 4, rx_now_ms(b->rx) + 1e6);
        if (k == 1) rx_close(b->rx, s->handle);
        if (k == 2) {
          uint8_t *bytes = calloc(1, 4 << 20);
          rx_send(b->rx, s->handle, bytes, 4 << 20);
          free(bytes);
        }
      }
      if (i % 20 == 0) pump(b, 1);
    }
    bench_stop(b);
  }
}

static void case_made_and_freed(void) {
  made_and_freed(20);
  int fds = entries_of("/proc/self/fd"), tasks = entries_of("/proc/self/task");
  size_t bytes = mallinfo2().uordblks;
  made_and_freed(1000);
  /* A thread that was joined may still be listed for a moment. */
  for (int i = 0; i < 100 && entries_of("/proc/self/task") > tasks; i++) pause_us(10000);
  CHECK(entries_of("/proc/self/fd") == fds, "%d descriptors, before %d", entries_of("/proc/self/fd"), fds);
  CHECK(entries_of("/proc/self/task") == tasks, "%d threads, before %d", entries_of("/proc/self/task"), tasks);
  size_t now = mallinfo2().uordblks;
  printf("  1000 receivers: %+lld bytes, not a descriptor or thread more\n", (long long)now - (long long)bytes);
  /* Sanitizers have an allocator of their own, and find leaks themselves. */
  CHECK(now < bytes + 100000, "%zu bytes more", now - bytes);
}

/* --- the receiver as a server ------------------------------------------------------------------------------------ */

static bench *accepting;

static void on_accept(uint32_t handle) {
  stream *s = adopt_stream(accepting, handle, -1);
  s->opened = 1;
}

static int twenty_accepted(void *context) { return ((bench *)context)->count >= 20; }

static void *write_all(void *context) {
  bench *b = context;
  for (int i = 0; i < 50; i++) {
    for (size_t k = 0; k < 20; k++) put(b->all[k], 1 + draw(1000));
    pause_us(500);
  }
  for (size_t k = 0; k < 20; k++) settle(b->all[k]);
  return NULL;
}

static void case_listen(void) {
  bench *b = accepting = bench_start("127.0.0.1", RING);
  b->on_accept = on_accept;
  struct sockaddr_storage address;
  socklen_t length = address_of("127.0.0.1", 0, &address);
  int64_t listener = rx_listen(b->rx, (struct sockaddr *)&address, length);
  CHECK(listener >= 0, "%s", strerror((int)-listener));
  length = address_of("127.0.0.1", rx_port(b->rx, (uint32_t)listener), &address);
  int fds[20];
  for (int i = 0; i < 20; i++) {
    fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(fds[i], (struct sockaddr *)&address, length) == 0, "%s", strerror(errno));
  }
  CHECK(pump_until(b, twenty_accepted, b, 10000), "%zu accepted", b->count);
  for (size_t i = 0; i < 20; i++) b->all[i]->fd = fds[i];
  beside(b, write_all, b);
  read_all(b);
  check_all(b, "20 that were accepted");
  for (size_t i = 0; i < 20; i++) {
    char text[5] = {0};
    CHECK(rx_send(b->rx, b->all[i]->handle, "hello", 5) > 0, "%zu", i);
    CHECK(recv(fds[i], text, 5, MSG_WAITALL) == 5 && memcmp(text, "hello", 5) == 0, "%zu: %.5s", i, text);
  }
  rx_reset(b->rx, b->all[0]->handle);
  char byte;
  CHECK(read(fds[0], &byte, 1) < 0 && errno == ECONNRESET, "%s", strerror(errno));
  bench_stop(b);
}

static int ten_accepted(void *context) { return ((bench *)context)->count >= 10; }

/* Connections wait while no descriptor is left; the thread does not ask for them without a rest. */
static void case_no_descriptors(void) {
  bench *b = accepting = bench_start("127.0.0.1", RING);
  b->on_accept = on_accept;
  struct sockaddr_storage address;
  socklen_t length = address_of("127.0.0.1", 0, &address);
  int64_t listener = rx_listen(b->rx, (struct sockaddr *)&address, length);
  length = address_of("127.0.0.1", rx_port(b->rx, (uint32_t)listener), &address);
  int fds[10], highest = 0;
  for (int i = 0; i < 10; i++) {
    fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fds[i] > highest) highest = fds[i];
  }
  struct rlimit kept, none;
  getrlimit(RLIMIT_NOFILE, &kept);
  none = kept;
  none.rlim_cur = (rlim_t)highest + 1;
  CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0, "%s", strerror(errno));
  for (int i = 0; i < 10; i++) {
    CHECK(connect(fds[i], (struct sockaddr *)&address, length) == 0, "%s", strerror(errno));
  }
  struct timespec before, after;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
  pause_us(400000);
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
  pump(b, 0);
  CHECK(b->count == 0, "%zu accepted", b->count);
  double ms = (double)(after.tv_sec - before.tv_sec) * 1e3 + (double)(after.tv_nsec - before.tv_nsec) / 1e6;
  printf("  %.1f ms of CPU in 400 ms\n", ms);
  CHECK(ms < 200, "%.1f ms of CPU", ms);
  setrlimit(RLIMIT_NOFILE, &kept);
  CHECK(pump_until(b, ten_accepted, b, 5000), "%zu accepted", b->count);
  for (size_t i = 0; i < 10; i++) {
    b->all[i]->fd = fds[i];
    put(b->all[i], 100);
    settle(b->all[i]);
  }
  read_all(b);
  check_all(b, "accepted later");
  bench_stop(b);
}

/* --- segments in any order --------------------------------------------------------------------------------------- */

static int own_net;

static void case_reordered(void) {
  if (own_net) reordered_segments();
  else printf("  *** NOT RUN: this is no network namespace of its own ***\n");
}

/* ----------------------------------------------------------------------------------------------------------------- */

static const struct {
  const char *name;
  void (*run)(void);
} cases[] = {
    {"single", case_single},
    {"bursts", case_bursts},
    {"bytes", case_bytes},
    {"mixed", case_mixed},
    {"stall", case_stall},
    {"greeting", case_greeting},
    {"ends", case_ends},
    {"end-races", case_end_races},
    {"cut", case_cut},
    {"half-closed", case_half_closed_by_us},
    {"refused", case_refused},
    {"reused", case_reused},
    {"many", case_many},
    {"4096", case_4096},
    {"full-ring", case_full_ring},
    {"never-drained", case_never_drained},
    {"send", case_send},
    {"send-at", case_send_at},
    {"steps", case_steps},
    {"step-while-delivered", case_step_while_delivered},
    {"made-and-freed", case_made_and_freed},
    {"listen", case_listen},
    {"no-descriptors", case_no_descriptors},
    {"reordered", case_reordered},
};

/* The loopback of a new network namespace is down. */
static void bring_up_loopback(void) {
  struct ifreq wish = {.ifr_name = "lo"};
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  CHECK(ioctl(fd, SIOCGIFFLAGS, &wish) == 0, "%s", strerror(errno));
  wish.ifr_flags |= IFF_UP;
  CHECK(ioctl(fd, SIOCSIFFLAGS, &wish) == 0, "%s", strerror(errno));
  close(fd);
}

int main(int count, char **words) {
  uint64_t start = 1;
  int first = 1;
  for (; first < count && words[first][0] == '-'; first++) {
    if (strcmp(words[first], "--own-net") == 0) {
      bring_up_loopback();
      own_net = 1;
    } else if (strcmp(words[first], "--seed") == 0 && first + 1 < count) start = strtoull(words[++first], NULL, 10);
    else CHECK(0, "%s", words[first]);
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int wanted = first == count;
    for (int k = first; k < count; k++) wanted |= strcmp(words[k], cases[i].name) == 0;
    if (!wanted) continue;
    seed(start + i);
    int64_t begin = now_ns();
    printf("%s\n", cases[i].name);
    cases[i].run();
    printf("  ok, %.1f s\n", (double)(now_ns() - begin) / 1e9);
  }
  return 0;
}
