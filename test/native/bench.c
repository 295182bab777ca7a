#define _GNU_SOURCE
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { ALIGN = 16, SLOTS = 65536, LARGEST = 12 << 20, LARGEST_AT_ONCE = 60000 };

/* What has left another processor has arrived by then. */
static const int64_t DELIVERY_NS = 20000000;

/* Instants are doubles of ms in the ring: what they are rounded by. */
static const double ROUNDING_MS = 2e-6;

_Atomic int64_t step_to_ns, late_ns;
_Atomic int next_read;
/* The system clock: ahead by the one before `set_ns`, by the other since. `set_ns` is 0 as long as it was never set. */
static _Atomic int64_t set_ns, ahead_before_ns, ahead_since_ns;
static _Thread_local uint64_t state = 1;

void failed_check(const char *file, int line, const char *condition, const char *format, ...) {
  va_list values;
  va_start(values, format);
  fprintf(stderr, "%s:%d: %s does not hold: ", file, line, condition);
  vfprintf(stderr, format, values);
  fputc('\n', stderr);
  va_end(values);
  exit(1);
}

static int64_t read_clock(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t now_ns(void) { return read_clock(CLOCK_MONOTONIC); }

static int64_t ahead(int64_t at_ns) {
  return atomic_load(at_ns < atomic_load(&set_ns) ? &ahead_before_ns : &ahead_since_ns);
}

static void set_clock_at(int64_t at_ns, int64_t ahead_ns) {
  atomic_store(&ahead_before_ns, atomic_load(&ahead_since_ns));
  atomic_store(&set_ns, at_ns);
  atomic_store(&ahead_since_ns, ahead_ns);
}

void set_clock(int64_t ahead_ns) { set_clock_at(now_ns(), ahead_ns); }

static int64_t receiver_clock(clockid_t clock) {
  if (clock != CLOCK_REALTIME) return read_clock(clock);
  int64_t wall = read_clock(clock);
  return wall + ahead(now_ns());
}

/* CLOCK_REALTIME less CLOCK_MONOTONIC, as the system has them. */
static int64_t wall_less_mono(void) {
  int64_t before, wall, after;
  do {
    before = now_ns();
    wall = read_clock(CLOCK_REALTIME);
    after = now_ns();
  } while (after - before > 1000);
  return wall - before - (after - before) / 2;
}

ssize_t __real_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);

/* What the receiver calls: the kernel's stamps are of the clock that it is shown. */
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags) {
  ssize_t got = __real_recvmsg(fd, message, flags);
  if (got <= 0) return got;
  int how = flags & MSG_PEEK ? NOTHING : atomic_exchange(&next_read, NOTHING);
  if (how == NOTHING && atomic_load(&set_ns) == 0) return got;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SO_TIMESTAMPING) continue;
    struct timespec stamp;
    memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
    int64_t offset = wall_less_mono(), at = (int64_t)stamp.tv_sec * 1000000000 + stamp.tv_nsec - offset;
    if (how == SET_BEFORE_STAMP) set_clock_at(at - 5000, atomic_load(&step_to_ns));
    if (how == DELIVERED_LATE) atomic_store(&late_ns, at = atomic_load(&set_ns) - 100000);
    at += offset + ahead(at);
    stamp.tv_sec = at / 1000000000;
    stamp.tv_nsec = at % 1000000000;
    memcpy(CMSG_DATA(c), &stamp, sizeof stamp);
  }
  if (how == SET_AFTER_STAMP) set_clock(atomic_load(&step_to_ns));
  return got;
}

void until_ns(int64_t at_ns) {
  struct timespec t = {at_ns / 1000000000, at_ns % 1000000000};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) continue;
}

void pause_us(int64_t us) { until_ns(now_ns() + us * 1000); }

void seed(uint64_t value) { state = value * 2654435769u + 1; }

/* SplitMix64 */
uint32_t draw(uint32_t below) {
  uint64_t z = state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return (uint32_t)(((z ^ (z >> 31)) >> 32) * below >> 32);
}

static void *grown(void *old, size_t count, size_t *room, size_t size) {
  if (count < *room) return old;
  *room = *room == 0 ? 16 : *room * 2;
  void *larger = realloc(old, *room * size);
  CHECK(larger != NULL, "no memory");
  return larger;
}

/* Each stream is a part of one pattern, which begins anew after PERIOD bytes. */
enum { PERIOD = 65521 };
static uint8_t pattern[PERIOD + LARGEST];

static const uint8_t *pattern_at(uint32_t id, uint64_t at) { return pattern + (id * UINT64_C(7919) + at) % PERIOD; }

static void make_pattern(void) {
  uint64_t kept = state;
  seed(0);
  for (int i = 0; i < PERIOD; i++) pattern[i] = (uint8_t)draw(256);
  for (size_t i = PERIOD; i < sizeof pattern; i++) pattern[i] = pattern[i - PERIOD];
  state = kept;
}

void fill(uint32_t id, uint64_t from, uint8_t *bytes, size_t length) {
  CHECK(length <= LARGEST, "%zu bytes", length);
  memcpy(bytes, pattern_at(id, from), length);
}

int same_bytes(uint32_t id, uint64_t from, const uint8_t *bytes, size_t length) {
  CHECK(length <= LARGEST, "%zu bytes", length);
  return memcmp(bytes, pattern_at(id, from), length) == 0;
}

/* --- the receiver and its consumer ---------------------------------------------------------------------------- */

static void wake(void *context) {
  bench *b = context;
  uint64_t one = 1;
  CHECK(write(b->wake, &one, sizeof one) == sizeof one, "%s", strerror(errno));
}

socklen_t address_of(const char *host, int port, struct sockaddr_storage *address) {
  memset(address, 0, sizeof *address);
  struct sockaddr_in *four = (struct sockaddr_in *)address;
  struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;
  if (inet_pton(AF_INET6, host, &six->sin6_addr) == 1) {
    six->sin6_family = AF_INET6;
    six->sin6_port = htons((uint16_t)port);
    return sizeof *six;
  }
  memset(address, 0, sizeof *address);
  CHECK(inet_pton(AF_INET, host, &four->sin_addr) == 1, "%s", host);
  four->sin_family = AF_INET;
  four->sin_port = htons((uint16_t)port);
  return sizeof *four;
}

int listen_on(const char *host, struct sockaddr_storage *address, socklen_t *length) {
  *length = address_of(host, 0, address);
  int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(fd >= 0, "%s", strerror(errno));
  CHECK(bind(fd, (struct sockaddr *)address, *length) == 0, "%s: %s", host, strerror(errno));
  CHECK(listen(fd, 4096) == 0, "%s", strerror(errno));
  CHECK(getsockname(fd, (struct sockaddr *)address, length) == 0, "%s", strerror(errno));
  return fd;
}

bench *bench_start(const char *host, uint32_t ring_bytes) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, make_pattern);
  bench *b = calloc(1, sizeof *b);
  CHECK(b != NULL, "no memory");
  b->streams = calloc(SLOTS, sizeof(stream *));
  CHECK(b->streams != NULL, "no memory");
  b->ring_bytes = ring_bytes;
  b->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  b->listener = listen_on(host, &b->address, &b->address_length);
  rx_options options = {.ring_bytes = ring_bytes, .wake = wake, .context = b, .now_ns = receiver_clock};
  b->rx = rx_new(&options);
  CHECK(b->rx != NULL, "%s", strerror(errno));
  return b;
}

void bench_stop(bench *b) {
  rx_free(b->rx);
  for (size_t i = 0; i < b->count; i++) {
    stream *s = b->all[i];
    if (s->fd >= 0) close(s->fd);
    free(s->writes);
    free(s->entries);
    free(s);
  }
  close(b->wake);
  close(b->listener);
  free(b->streams);
  free(b->all);
  free(b);
}

stream *adopt_stream(bench *b, uint32_t handle, int fd) {
  static uint32_t next_id;
  stream *s = calloc(1, sizeof *s);
  CHECK(s != NULL, "no memory");
  s->id = next_id++;
  s->fd = fd;
  s->handle = handle;
  b->all = grown(b->all, b->count, &b->room, sizeof *b->all);
  b->all[b->count++] = s;
  b->streams[handle & 0xffff] = s;
  return s;
}

stream *begin_stream(bench *b, const struct sockaddr *address, socklen_t length, int *error) {
  int64_t handle = rx_connect(b->rx, address, length);
  *error = handle < 0 ? (int)-handle : 0;
  return handle < 0 ? NULL : adopt_stream(b, (uint32_t)handle, -1);
}

stream *open_stream(bench *b) {
  int error, one = 1;
  stream *s = begin_stream(b, (struct sockaddr *)&b->address, b->address_length, &error);
  CHECK(s != NULL, "connect: %s", strerror(error));
  s->fd = accept4(b->listener, NULL, NULL, SOCK_CLOEXEC);
  CHECK(s->fd >= 0, "accept: %s", strerror(errno));
  setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return s;
}

void free_stream(bench *b, stream *s) {
  if (b->streams[s->handle & 0xffff] == s) b->streams[s->handle & 0xffff] = NULL;
  for (size_t i = 0; i < b->count; i++) {
    if (b->all[i] != s) continue;
    b->all[i] = b->all[--b->count];
    break;
  }
  if (s->fd >= 0) close(s->fd);
  free(s->writes);
  free(s->entries);
  free(s);
}

void close_stream(bench *b, stream *s) {
  rx_close(b->rx, s->handle);
  if (b->streams[s->handle & 0xffff] == s) b->streams[s->handle & 0xffff] = NULL;
}

static void take(bench *b, const rx_record *record) {
  b->entries++;
  if (record->kind == RX_ACCEPT) {
    CHECK(b->on_accept != NULL, "a connection was accepted");
    b->on_accept(record->handle);
    return;
  }
  stream *s = b->streams[record->handle & 0xffff];
  if (s == NULL || s->handle != record->handle) {
    b->unknown++;
    return;
  }
  CHECK(!s->ended && !s->failed, "stream %u: an entry of kind %u came after its last", s->id, record->kind);
  CHECK(record->since_ms <= record->lower_ms && record->lower_ms <= record->at_ms && record->at_ms <= record->read_ms,
        "stream %u: %.6f %.6f %.6f %.6f", s->id, record->since_ms, record->lower_ms, record->at_ms, record->read_ms);
  CHECK(record->read_ms <= (double)now_ns() / 1e6 + ROUNDING_MS, "stream %u: read in the future", s->id);
  switch (record->kind) {
  case RX_OPEN:
    CHECK(!s->opened, "stream %u: opened twice", s->id);
    s->opened = 1;
    break;
  case RX_DATA:
    CHECK(s->opened, "stream %u: bytes before it was opened", s->id);
    CHECK(record->length > 0, "stream %u: a read of %d bytes", s->id, record->length);
    if (s->ignored) {
      s->got += (uint64_t)record->length;
      break;
    }
    s->entries = grown(s->entries, s->entry_count, &s->entry_room, sizeof *s->entries);
    s->entries[s->entry_count++] = (entry){*record, s->got};
    CHECK(same_bytes(s->id, s->got, (const uint8_t *)(record + 1), (size_t)record->length),
          "stream %u: bytes %llu to %llu are others", s->id, (unsigned long long)s->got,
          (unsigned long long)s->got + (unsigned)record->length);
    s->got += (uint64_t)record->length;
    break;
  case RX_END:
    s->ended = 1;
    s->done_ns = now_ns();
    break;
  case RX_FAIL:
    CHECK(record->length > 0, "stream %u: failed with %d", s->id, record->length);
    s->failed = record->length;
    s->done_ns = now_ns();
    break;
  case RX_SENT:
    s->sents++;
    if (s->on_sent != NULL) s->on_sent(s, record->at_ms);
    break;
  default:
    CHECK(0, "stream %u: an entry of kind %u", s->id, record->kind);
  }
}

void pump(bench *b, int ms) {
  struct pollfd wait = {.fd = b->wake, .events = POLLIN};
  uint64_t times;
  if (poll(&wait, 1, ms) > 0) CHECK(read(b->wake, &times, sizeof times) > 0, "%s", strerror(errno));
  rx_draining(b->rx);
  rx_control *shared = rx_shared(b->rx);
  for (;;) {
    uint32_t head = atomic_load_explicit(&shared->head, memory_order_acquire);
    if (b->tail == head) return;
    while (b->tail != head) {
      uint32_t at = b->tail & (b->ring_bytes - 1);
      if (b->ring_bytes - at < sizeof(rx_record)) {
        b->tail += b->ring_bytes - at;
        continue;
      }
      const rx_record *record = (const rx_record *)(rx_ring(b->rx) + at);
      int bytes = record->kind == RX_PAD || record->kind == RX_DATA;
      if (record->kind != RX_PAD) take(b, record);
      b->tail += (uint32_t)((sizeof *record + (bytes ? (size_t)record->length : 0) + ALIGN - 1) & ~(size_t)(ALIGN - 1));
      atomic_store_explicit(&shared->tail, b->tail, memory_order_release);
    }
  }
}

int pump_until(bench *b, int (*done)(void *), void *context, int ms) {
  int64_t end = now_ns() + (int64_t)ms * 1000000;
  while (!done(context)) {
    if (now_ns() > end) return 0;
    pump(b, 20);
  }
  return 1;
}

struct job {
  void *(*work)(void *);
  void *context;
  _Atomic int over;
};

static void *run_job(void *context) {
  struct job *job = context;
  job->work(job->context);
  atomic_store(&job->over, 1);
  return NULL;
}

static int job_over(void *context) { return atomic_load(&((struct job *)context)->over); }

void beside(bench *b, void *(*work)(void *), void *context) {
  struct job job = {.work = work, .context = context};
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, run_job, &job) == 0, "no thread");
  CHECK(pump_until(b, job_over, &job, 120000), "the server is not done");
  pthread_join(thread, NULL);
}

int all_read(void *context) {
  const bench *b = context;
  for (size_t i = 0; i < b->count; i++) {
    if (b->all[i]->got < b->all[i]->sent && !b->all[i]->ignored) return 0;
  }
  return 1;
}

void read_all(bench *b) { CHECK(pump_until(b, all_read, b, 30000), "bytes were lost"); }

/* --- the server ------------------------------------------------------------------------------------------------ */

static int held_back(const stream *s) {
  int bytes = 0;
  return ioctl(s->fd, SIOCOUTQNSD, &bytes) == 0 ? bytes : 0;
}

/*
 * Whether a write is sent within its own call: over loopback it has arrived by the end of it. What has to wait for an
 * acknowledgement is sent by the processor that this comes to, and may still be on its way when nothing is held back.
 */
static int has_room(const stream *s, size_t length) {
  struct tcp_info info;
  socklen_t size = sizeof info;
  int unacked = 0;
  memset(&info, 0, sizeof info);
  if (s->settled < s->count || length > LARGEST_AT_ONCE) return 0;
  if (getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0 || ioctl(s->fd, SIOCOUTQ, &unacked) < 0) return 0;
  if (size < offsetof(struct tcp_info, tcpi_snd_wnd) + sizeof info.tcpi_snd_wnd) return 0;
  return info.tcpi_unacked + 2 <= info.tcpi_snd_cwnd && (size_t)unacked + length <= info.tcpi_snd_wnd;
}

/* All that was written has left. */
static void all_left(stream *s, int64_t within_ns) {
  int64_t after = now_ns() + within_ns;
  for (; s->settled < s->count; s->settled++) s->writes[s->settled].after_ns = after;
}

ssize_t put(stream *s, size_t length) {
  CHECK(length <= LARGEST, "a write of %zu bytes", length);
  s->writes = grown(s->writes, s->count, &s->room, sizeof *s->writes);
  written *w = s->writes + s->count;
  int is_at_once = has_room(s, length);
  w->before_ns = now_ns();
  w->after_ns = INT64_MAX;
  ssize_t took = send(s->fd, pattern_at(s->id, s->sent), length, MSG_NOSIGNAL);
  if (took < 0) return -1;
  w->from = s->sent;
  w->to = s->sent += (uint64_t)took;
  s->count++;
  w->is_held = !is_at_once;
  if (held_back(s) == 0) all_left(s, is_at_once ? 0 : DELIVERY_NS);
  return took;
}

int settled(stream *s) {
  struct tcp_info info;
  socklen_t length = sizeof info;
  if (s->settled < s->count) {
    if (held_back(s) > 0) return 0;
    all_left(s, DELIVERY_NS);
  }
  if (getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0) s->retransmitted = (int)info.tcpi_total_retrans;
  return 1;
}

void settle(stream *s) {
  while (!settled(s)) pause_us(50);
}

void close_server(stream *s) {
  if (s->fd >= 0) close(s->fd);
  s->fd = -1;
}

void reset_server(stream *s) {
  struct linger none = {.l_onoff = 1, .l_linger = 0};
  setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
  close_server(s);
}

/* --- the check --------------------------------------------------------------------------------------------------- */

static void overlaps(const stream *s, const entry *e, const written *w, const char *what, double from_ms,
                     double at_ms) {
  const rx_record *r = &e->record;
  int early = at_ms < (double)w->before_ns / 1e6 - ROUNDING_MS;
  int late = w->after_ns != INT64_MAX && from_ms > (double)w->after_ns / 1e6 + ROUNDING_MS;
  CHECK(!early && !late,
        "stream %u, bytes %llu to %llu: %s is claimed [%.6f, %.6f] ms and was written within [%.6f, %.6f] "
        "(bytes %llu to %llu; flags %u, %u segments, since %.6f, lower %.6f, at %.6f, read %.6f, %d retransmitted)",
        s->id, (unsigned long long)e->from, (unsigned long long)e->from + (unsigned)r->length, what, from_ms, at_ms,
        (double)w->before_ns / 1e6, (double)w->after_ns / 1e6, (unsigned long long)w->from, (unsigned long long)w->to,
        r->flags, r->segments, r->since_ms, r->lower_ms, r->at_ms, r->read_ms, s->retransmitted);
}

void check_stream(const stream *s, claims *sum) {
  size_t first = 0;
  for (size_t i = 0; i < s->entry_count; i++) {
    const entry *e = s->entries + i;
    const rx_record *r = &e->record;
    uint64_t end = e->from + (uint64_t)r->length;
    while (s->writes[first].to <= e->from) first++;
    size_t last = first;
    for (size_t at = first; at < s->count && s->writes[at].from < end; at++) {
      const written *w = s->writes + at;
      last = at;
      overlaps(s, e, w, "a byte", r->since_ms, r->at_ms);
      if (r->segments == 1) overlaps(s, e, w, "the one segment", r->lower_ms, r->at_ms);
      if (w->after_ns == INT64_MAX) sum->unsettled++;
      sum->held += w->is_held;
    }
    overlaps(s, e, s->writes + last, "the last byte", r->lower_ms, r->at_ms);
    sum->reads++;
    sum->bytes += (uint64_t)r->length;
    sum->stamped += (r->flags & RX_STAMPED) != 0;
    sum->single += r->segments == 1;
    sum->unknown_segments += r->segments == 0;
    sum->reordered += (r->flags & RX_REORDERED) != 0;
    sum->stepped += (r->flags & RX_STEPPED) != 0;
    sum->full += (r->flags & RX_FULL) != 0;
    size_t room = sum->room;
    sum->slack_us = grown(sum->slack_us, sum->count, &sum->room, sizeof(double));
    sum->last_us = grown(sum->last_us, sum->count, &room, sizeof(double));
    sum->slack_us[sum->count] = (r->at_ms - (r->segments == 1 ? r->lower_ms : r->since_ms)) * 1000;
    sum->last_us[sum->count++] = (r->at_ms - r->lower_ms) * 1000;
  }
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

void print_spread(const char *name, const char *unit, double *values, size_t count) {
  if (count == 0) return;
  qsort(values, count, sizeof *values, by_size);
  printf("  %-28s p50 %.3f  p99 %.3f  max %.3f %s\n", name, values[count / 2], values[count - 1 - count / 100],
         values[count - 1], unit);
}

void print_claims(const char *name, claims *sum) {
  double share = sum->reads == 0 ? 0 : 100.0 / (double)sum->reads;
  printf("  %-28s %llu reads, %.1f%% stamped, %.1f%% of one segment, %.1f%% of segments unknown", name,
         (unsigned long long)sum->reads, (double)sum->stamped * share, (double)sum->single * share,
         (double)sum->unknown_segments * share);
  if (sum->full > 0) printf(", %llu full", (unsigned long long)sum->full);
  if (sum->stepped > 0) printf(", %llu stepped", (unsigned long long)sum->stepped);
  if (sum->reordered > 0) printf(", %llu reordered", (unsigned long long)sum->reordered);
  if (sum->held > 0) printf(", %llu held back", (unsigned long long)sum->held);
  if (sum->unsettled > 0) printf(", %llu of writes without an end", (unsigned long long)sum->unsettled);
  putchar('\n');
  print_spread("  interval of all bytes", "us", sum->slack_us, sum->count);
  print_spread("  interval of the last byte", "us", sum->last_us, sum->count);
  free(sum->slack_us);
  free(sum->last_us);
}

void check_all(bench *b, const char *name) {
  claims sum = {0};
  int retransmitted = 0;
  for (size_t i = 0; i < b->count; i++) {
    if (b->all[i]->ignored) continue;
    check_stream(b->all[i], &sum);
    retransmitted += b->all[i]->retransmitted;
  }
  if (retransmitted > 0) printf("  %d segments were retransmitted\n", retransmitted);
  print_claims(name, &sum);
}
