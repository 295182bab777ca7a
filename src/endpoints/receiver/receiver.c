#define _GNU_SOURCE
#include "receiver.h"

#include <errno.h>
#include <linux/net_tstamp.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
  SLOTS = 65536,
  SLOTS_AT_ONCE = 1024,
  EVENTS = 512,
  READ_BYTES = 262144,
  READS_AT_ONCE = 4,
  SPLIT_SEGMENTS = 32,  /* no more segments are read one by one, */
  SPLIT_BYTES_LOG = 14, /* nor more bytes than two to the power of this */
  FLOOD_PART = 16, /* more than this part of the ring untaken: neither the thread nor the consumer rests */
  LEAST_ROOM = 4096,
  ALIGN = 16,
  COMMAND = -1, /* what epoll reports for the descriptor that wakes the thread */
};

/* What epoll is to report of a connection, once for each change. */
static const uint32_t READABLE = EPOLLIN | EPOLLRDHUP | EPOLLET;
/* While streams flow the thread looks this often, so that segments that merge unread have narrow intervals. */
static const int64_t TICK_NS = 500000;
/* So long after the last data the thread sleeps until something comes. */
static const int64_t IDLE_NS = 1000000000;
/* A look that finds so many sockets readable makes the thread sleep a whole tick before the next. */
static const int BUSY_READS = 3;
/* After so long a look has too much to do to read segments one by one. */
static const int64_t SPLIT_NS = 3000000;
/* When busy, the consumer is woken this often unless a response ends. */
static const int64_t WAKE_NS = 2000000;
/* Reading both clocks takes no longer, or it is done again. */
static const int64_t CLOCK_NS = 1000;
static const int CLOCK_TRIES = 4;
/* A segment lies at least so long between its stamp and its socket before it is an exception. */
static const int64_t DEFERRAL_NS = 20000;
/*
 * Where the clock was set back by more than SMALL_STEP_NS, a segment is taken to be on its way from its stamp to its socket for no
 * longer than this many times the longest that was seen, or than USUAL_DELIVERY_NS; in all other cases for no longer than
 * LONGEST_DELIVERY_NS.
 */
static const int64_t DELIVERIES = 4, USUAL_DELIVERY_NS = 1000000, SMALL_STEP_NS = 1000000;
static const int64_t LONGEST_DELIVERY_NS = 1000000000;
static const int64_t STALL_NS = 1000000;

enum state { FREE, CONNECTING, OPEN, LISTENING };

/* Of tcp_info.tcpi_state, whose names no header has beside that of tcp_info: in these the peer has not ended its side. */
enum { ESTABLISHED = 1, FIN_WAIT1 = 4, FIN_WAIT2 = 5 };

struct slot {
  int fd;
  uint16_t generation;
  uint8_t state;
  uint8_t accepted;
  uint8_t unseen; /* what came before epoll knew of it has not been read */
  uint8_t listed; /* it is in `undrained` */
  uint8_t ending; /* shut our side down once `out` is empty */
  uint8_t ended;  /* the peer's end has come: the last stamp may be that of it */
  uint8_t holes;  /* segments may wait for earlier ones: they arrived after `counted_ns`, unseen by a look */
  uint8_t *out;
  size_t out_at, out_length;
  int64_t since_ns;   /* nothing that is unread arrived before, but for what waited in `holes` */
  int64_t counted_ns; /* nothing that is unread arrived before */
  int64_t stamp_ns;   /* the last stamp */
  int64_t at_ns;      /* the latest instant that was reported: later bytes have no earlier one */
  uint64_t bytes;
  uint32_t segments, reordered;
};

struct due {
  int64_t at_ns;
  uint32_t handle;
  uint8_t *bytes;
  size_t length;
};

struct rx {
  rx_options options;
  uint8_t *ring;
  rx_control *shared;
  int epoll, command, keeper;
  pthread_t thread;
  pthread_mutex_t lock;
  _Atomic int stop;
  _Atomic uint32_t pending;
  /* Under the lock: slots as they are taken, given back, sent to and closed. */
  struct slot *blocks[SLOTS / SLOTS_AT_ONCE];
  uint32_t free_handles[SLOTS];
  uint32_t free_count;
  uint32_t used;
  struct due *due; /* a heap, the earliest first */
  size_t due_count, due_room;
  uint32_t *closing;
  size_t closing_count, closing_room;
  /* The thread's own. */
  uint32_t head;
  uint32_t head_woken; /* what the consumer was woken for */
  int64_t began_ns;  /* begin of the look that is under way */
  int64_t look_ns;   /* begin of the last look that saw all sockets */
  int64_t active_ns; /* when data came last */
  int64_t offset_ns, offset_error_ns;
  int64_t step_ns, stepped_by_ns; /* when the system clock was found to be set, and by how much; 0: never */
  int64_t deferral_ns;
  int64_t wake_ns; /* the consumer is to be woken by then; 0: nothing is waiting */
  int urgent, reads, incomplete;
  uint32_t undrained[2 * SLOTS]; /* handles that had more than one turn takes: epoll does not report them again */
  uint32_t undrained_count;
};

static int64_t system_now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t mono(rx_t *rx) { return rx->options.now_ns(CLOCK_MONOTONIC); }
static double ms(int64_t ns) { return (double)ns / 1e6; }

double rx_now_ms(rx_t *rx) { return ms(mono(rx)); }
uint8_t *rx_ring(rx_t *rx) { return rx->ring; }
rx_control *rx_shared(rx_t *rx) { return rx->shared; }
void rx_draining(rx_t *rx) { atomic_store(&rx->pending, 0); }

static struct slot *slot_at(rx_t *rx, uint32_t handle) {
  uint32_t index = handle & 0xffff;
  struct slot *block = rx->blocks[index / SLOTS_AT_ONCE];
  return block == NULL ? NULL : block + index % SLOTS_AT_ONCE;
}

/* The slot of a handle that is not gone. */
static struct slot *find(rx_t *rx, uint32_t handle) {
  struct slot *s = slot_at(rx, handle);
  return s != NULL && s->state != FREE && s->generation == handle >> 16 ? s : NULL;
}

static void command(rx_t *rx) {
  uint64_t one = 1;
  if (write(rx->command, &one, sizeof one) < 0) return; /* it is full of commands already */
}

/* --- slots, under the lock ----------------------------------------------------------------------------------- */

static int64_t take_slot(rx_t *rx, int fd, enum state state, int64_t since_ns) {
  uint32_t handle;
  if (rx->free_count > 0) handle = rx->free_handles[--rx->free_count];
  else {
    if (rx->used == SLOTS) return -EMFILE;
    if (rx->used % SLOTS_AT_ONCE == 0) {
      struct slot *block = calloc(SLOTS_AT_ONCE, sizeof *block);
      if (block == NULL) return -ENOMEM;
      rx->blocks[rx->used / SLOTS_AT_ONCE] = block;
    }
    handle = rx->used++;
  }
  struct slot *s = slot_at(rx, handle);
  uint16_t generation = s->generation;
  memset(s, 0, sizeof *s);
  s->generation = generation;
  s->fd = fd;
  s->state = (uint8_t)state;
  s->since_ns = s->counted_ns = since_ns;
  s->unseen = 1;
  return (int64_t)((uint32_t)generation << 16 | (handle & 0xffff));
}

static void drop(rx_t *rx, uint32_t handle, struct slot *s) {
  close(s->fd);
  free(s->out);
  s->out = NULL;
  s->out_length = 0;
  s->state = FREE;
  s->generation++;
  rx->free_handles[rx->free_count++] = handle & 0xffff;
}

static int watch(rx_t *rx, int operation, int fd, uint32_t events, uint32_t handle) {
  struct epoll_event event = {.events = events, .data.u64 = handle};
  return epoll_ctl(rx->epoll, operation, fd, &event);
}

static int stamp_arrivals(int fd) {
  int flags = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
  return setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof flags);
}

static int tcp_socket(int family) {
  int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
  if (fd < 0) return -errno;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  stamp_arrivals(fd);
  return fd;
}

static int64_t add(rx_t *rx, int fd, enum state state, uint32_t events, int64_t since_ns) {
  pthread_mutex_lock(&rx->lock);
  int64_t handle = take_slot(rx, fd, state, since_ns);
  if (handle >= 0 && watch(rx, EPOLL_CTL_ADD, fd, events, (uint32_t)handle) < 0) {
    int error = -errno;
    drop(rx, (uint32_t)handle, slot_at(rx, (uint32_t)handle));
    pthread_mutex_unlock(&rx->lock);
    return error;
  }
  pthread_mutex_unlock(&rx->lock);
  if (handle < 0) close(fd);
  return handle;
}

int64_t rx_connect(rx_t *rx, const struct sockaddr *address, socklen_t length) {
  int fd = tcp_socket(address->sa_family);
  if (fd < 0) return fd;
  int64_t since = mono(rx);
  if (connect(fd, address, length) < 0 && errno != EINPROGRESS) {
    int error = -errno;
    close(fd);
    return error;
  }
  return add(rx, fd, CONNECTING, EPOLLOUT, since);
}

int64_t rx_listen(rx_t *rx, const struct sockaddr *address, socklen_t length) {
  int fd = tcp_socket(address->sa_family), one = 1;
  if (fd < 0) return fd;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd, address, length) < 0 || listen(fd, 4096) < 0) {
    int error = -errno;
    close(fd);
    return error;
  }
  return add(rx, fd, LISTENING, EPOLLIN, mono(rx));
}

int rx_port(rx_t *rx, uint32_t handle) {
  struct sockaddr_storage address;
  socklen_t length = sizeof address;
  pthread_mutex_lock(&rx->lock);
  struct slot *s = find(rx, handle);
  int failed = s == NULL || getsockname(s->fd, (struct sockaddr *)&address, &length) < 0;
  pthread_mutex_unlock(&rx->lock);
  if (failed) return 0;
  return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                             : ((struct sockaddr_in *)&address)->sin_port);
}

/* --- sending -------------------------------------------------------------------------------------------------- */

/* Keeps bytes that the socket does not take yet. Under the lock. */
static void queue(rx_t *rx, uint32_t handle, struct slot *s, const uint8_t *bytes, size_t length) {
  size_t waiting = s->out_length - s->out_at;
  uint8_t *out = malloc(waiting + length);
  if (out == NULL) {
    shutdown(s->fd, SHUT_RDWR);
    return;
  }
  if (waiting > 0) memcpy(out, s->out + s->out_at, waiting);
  memcpy(out + waiting, bytes, length);
  free(s->out);
  s->out = out;
  s->out_at = 0;
  s->out_length = waiting + length;
  if (s->state == OPEN) watch(rx, EPOLL_CTL_MOD, s->fd, READABLE | EPOLLOUT, handle);
}

static void send_or_queue(rx_t *rx, uint32_t handle, struct slot *s, const uint8_t *bytes, size_t length) {
  ssize_t sent = 0;
  if (s->state == OPEN && s->out_length == s->out_at) {
    sent = send(s->fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) sent = 0; /* a broken connection is reported by its reading side */
  }
  if ((size_t)sent < length) queue(rx, handle, s, bytes + sent, length - (size_t)sent);
}

/* Sends what waited, or what is left to do once nothing does. Under the lock. */
static void flush(rx_t *rx, uint32_t handle, struct slot *s) {
  while (s->out_at < s->out_length) {
    ssize_t sent = send(s->fd, s->out + s->out_at, s->out_length - s->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent <= 0) {
      if (sent < 0 && errno != EAGAIN && errno != EINTR) s->out_at = s->out_length;
      break;
    }
    s->out_at += (size_t)sent;
  }
  if (s->out_at < s->out_length) return;
  free(s->out);
  s->out = NULL;
  s->out_at = s->out_length = 0;
  watch(rx, EPOLL_CTL_MOD, s->fd, READABLE, handle);
  if (s->ending) shutdown(s->fd, SHUT_WR);
}

double rx_send(rx_t *rx, uint32_t handle, const void *bytes, size_t length) {
  pthread_mutex_lock(&rx->lock);
  struct slot *s = find(rx, handle);
  int64_t at = s == NULL ? -1000000 : mono(rx);
  if (s != NULL) send_or_queue(rx, handle, s, bytes, length);
  pthread_mutex_unlock(&rx->lock);
  return ms(at);
}

int rx_send_at(rx_t *rx, uint32_t handle, const void *bytes, size_t length, double at_ms) {
  uint8_t *copy = malloc(length + 1);
  if (copy == NULL) return -1;
  memcpy(copy, bytes, length);
  pthread_mutex_lock(&rx->lock);
  if (rx->due_count == rx->due_room) {
    size_t room = rx->due_room == 0 ? 64 : rx->due_room * 2;
    struct due *due = realloc(rx->due, room * sizeof *due);
    if (due == NULL) {
      pthread_mutex_unlock(&rx->lock);
      free(copy);
      return -1;
    }
    rx->due = due;
    rx->due_room = room;
  }
  struct due one = {(int64_t)(at_ms * 1e6), handle, copy, length};
  size_t at = rx->due_count++;
  for (; at > 0 && rx->due[(at - 1) / 2].at_ns > one.at_ns; at = (at - 1) / 2) rx->due[at] = rx->due[(at - 1) / 2];
  rx->due[at] = one;
  pthread_mutex_unlock(&rx->lock);
  if (at == 0) command(rx);
  return 0;
}

static struct due pop_due(rx_t *rx) {
  struct due first = rx->due[0], last = rx->due[--rx->due_count];
  size_t at = 0;
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= rx->due_count) break;
    if (child + 1 < rx->due_count && rx->due[child + 1].at_ns < rx->due[child].at_ns) child++;
    if (rx->due[child].at_ns >= last.at_ns) break;
    rx->due[at] = rx->due[child];
    at = child;
  }
  if (rx->due_count > 0) rx->due[at] = last;
  return first;
}

size_t rx_unsent(rx_t *rx, uint32_t handle) {
  pthread_mutex_lock(&rx->lock);
  struct slot *s = find(rx, handle);
  size_t unsent = s == NULL ? 0 : s->out_length - s->out_at;
  pthread_mutex_unlock(&rx->lock);
  return unsent;
}

void rx_end(rx_t *rx, uint32_t handle) {
  pthread_mutex_lock(&rx->lock);
  struct slot *s = find(rx, handle);
  if (s != NULL) {
    s->ending = 1;
    if (s->state == OPEN && s->out_at == s->out_length) shutdown(s->fd, SHUT_WR);
  }
  pthread_mutex_unlock(&rx->lock);
}

void rx_close(rx_t *rx, uint32_t handle) {
  pthread_mutex_lock(&rx->lock);
  struct slot *s = find(rx, handle);
  if (s != NULL && rx->closing_count == rx->closing_room) {
    size_t room = rx->closing_room == 0 ? 64 : rx->closing_room * 2;
    uint32_t *closing = realloc(rx->closing, room * sizeof *closing);
    if (closing == NULL) s = NULL; /* it stays open until the peer ends it */
    else {
      rx->closing = closing;
      rx->closing_room = room;
    }
  }
  if (s != NULL) rx->closing[rx->closing_count++] = handle;
  pthread_mutex_unlock(&rx->lock);
  if (s != NULL) command(rx);
}

void rx_reset(rx_t *rx, uint32_t handle) {
  struct linger none = {.l_onoff = 1, .l_linger = 0};
  pthread_mutex_lock(&rx->lock);
  struct slot *s = find(rx, handle);
  if (s != NULL) setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
  pthread_mutex_unlock(&rx->lock);
  rx_close(rx, handle);
}

/* --- the ring, the thread's side -------------------------------------------------------------------------------- */

static void show(rx_t *rx) { atomic_store(&rx->shared->head, rx->head); }

static void wake(rx_t *rx) {
  show(rx);
  rx->head_woken = rx->head;
  rx->wake_ns = 0;
  rx->urgent = 0;
  if (!atomic_exchange(&rx->pending, 1)) rx->options.wake(rx->options.context);
}

static uint32_t padded(uint32_t bytes) { return (bytes + ALIGN - 1) & ~(uint32_t)(ALIGN - 1); }

/* An entry with room for `*room` bytes or fewer behind it, at least LEAST_ROOM; NULL when the thread is to stop. */
static rx_record *reserve(rx_t *rx, uint32_t *room) {
  const uint32_t size = rx->options.ring_bytes, least = sizeof(rx_record) + LEAST_ROOM;
  int64_t stalled_ns = 0;
  for (;;) {
    uint32_t used = rx->head - atomic_load_explicit(&rx->shared->tail, memory_order_acquire);
    uint32_t left = size - used, at = rx->head & (size - 1), run = size - at;
    if (run < least && left > run) {
      /* Entries lie in one piece, so what is left before the end is passed over. */
      if (run >= sizeof(rx_record)) {
        rx_record *pad = (rx_record *)(rx->ring + at);
        pad->kind = RX_PAD;
        pad->length = (int32_t)(run - sizeof(rx_record));
      }
      rx->head += run;
      continue;
    }
    if (run >= least && left >= least + ALIGN) {
      uint32_t free_bytes = (run < left - ALIGN ? run : left - ALIGN) - sizeof(rx_record);
      if (*room > free_bytes) *room = free_bytes;
      if (stalled_ns > 0) {
        rx->incomplete = 1;
        atomic_fetch_add(&rx->shared->stalled_us, (uint32_t)((mono(rx) - stalled_ns) / 1000));
      }
      return (rx_record *)(rx->ring + at);
    }
    if (stalled_ns == 0) {
      stalled_ns = mono(rx);
      atomic_fetch_add(&rx->shared->stalls, 1);
    }
    wake(rx);
    if (atomic_load(&rx->stop)) return NULL;
    struct timespec rest = {0, STALL_NS};
    nanosleep(&rest, NULL);
  }
}

static void commit(rx_t *rx, rx_record *record, uint32_t handle, enum rx_kind kind, int32_t length) {
  record->handle = handle;
  record->kind = (uint16_t)kind;
  record->length = length;
  rx->head += padded((uint32_t)sizeof *record + (kind == RX_DATA ? (uint32_t)length : 0));
}

/* An entry without bytes, of an instant that lies between `since_ns` and `at_ns`. */
static int note(rx_t *rx, uint32_t handle, enum rx_kind kind, int32_t detail, int64_t since_ns, int64_t at_ns) {
  uint32_t room = 0;
  rx_record *record = reserve(rx, &room);
  if (record == NULL) return -1;
  record->flags = 0;
  record->segments = 0;
  record->at_ms = record->read_ms = ms(at_ns);
  record->lower_ms = record->since_ms = ms(since_ns);
  commit(rx, record, handle, kind, detail);
  return 0;
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

/* The monotonic instant, once both clocks were compared. Returns 0 in `*sure` when they could not be. */
static int64_t compare_clocks(rx_t *rx, int *sure) {
  int64_t now = 0, offset = 0, error = INT64_MAX;
  for (int i = 0; i < CLOCK_TRIES && error > CLOCK_NS; i++) {
    int64_t before = mono(rx), wall = rx->options.now_ns(CLOCK_REALTIME), after = mono(rx);
    if (i == 0) now = before;
    if (after - before < error) {
      error = after - before;
      offset = wall - before - error / 2;
    }
  }
  int64_t apart = offset - rx->offset_ns;
  *sure = error <= CLOCK_NS;
  if (apart > error + rx->offset_error_ns || -apart > error + rx->offset_error_ns) {
    atomic_fetch_add(&rx->shared->steps, 1);
    rx->step_ns = now;
    rx->stepped_by_ns = apart;
    rx->offset_ns = offset;
    rx->offset_error_ns = error;
  } else if (error < rx->offset_error_ns) {
    rx->offset_ns = offset;
    rx->offset_error_ns = error;
  }
  return now;
}

/* What lies unread in a socket. */
struct unread {
  uint32_t bytes;    /* 0 where that is not known */
  uint32_t segments; /* no fewer than they consist of */
  uint32_t counted;  /* segments of the connection so far */
};

/* What the socket says of its segments, and notes whether some came out of order or the peer's end; 0: the system is too old. */
static int ask_socket(struct slot *s, struct tcp_info *info) {
  socklen_t length = sizeof *info;
  memset(info, 0, sizeof *info);
  if (getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, info, &length) < 0) return 0;
  s->ended = info->tcpi_state != ESTABLISHED && info->tcpi_state != FIN_WAIT1 && info->tcpi_state != FIN_WAIT2;
  if (length < offsetof(struct tcp_info, tcpi_rcv_ooopack) + sizeof info->tcpi_rcv_ooopack) return 0;
  if (info->tcpi_rcv_ooopack != s->reordered) s->holes = 1;
  s->reordered = info->tcpi_rcv_ooopack;
  return 1;
}

/* Asks the socket before it is read: a read of just as many bytes is of the segments that were counted. */
static struct unread count_unread(struct slot *s) {
  const struct unread unknown = {0, 0, 0};
  struct tcp_info info;
  if (!ask_socket(s, &info)) return unknown;
  /* The peer's end may count as one byte. */
  uint64_t bytes = info.tcpi_bytes_received - s->bytes;
  if (s->ended || bytes == 0 || bytes > READ_BYTES) return unknown;
  return (struct unread){(uint32_t)bytes, info.tcpi_data_segs_in - s->segments, info.tcpi_data_segs_in};
}

/* Whether the socket holds no byte, not even one that waits for others. */
static int holds_nothing(int fd) {
  uint32_t memory[SK_MEMINFO_VARS];
  socklen_t length = sizeof memory;
  return getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &length) == 0 && memory[SK_MEMINFO_RMEM_ALLOC] == 0;
}

static int64_t stamp_of(struct msghdr *message) {
  for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SO_TIMESTAMPING) continue;
    struct timespec t;
    memcpy(&t, CMSG_DATA(c), sizeof t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
  }
  return 0;
}

static int64_t unread_since(rx_t *rx, struct slot *s) {
  return s->unseen || s->since_ns > rx->look_ns ? s->since_ns : rx->look_ns;
}

/* Whether a segment may have been stamped before the system clock was set, though its stamp is compared with the clock since. */
struct doubt {
  int is_there;
  int64_t earliest_ns; /* of the instants that the stamp may mean */
};

/*
 * A segment may be on its way to its socket while the clock is set, and be read much later. Its stamp may be of the clock before
 * if the instant that it then means lies before the set was noticed, and of the clock since unless it lies behind the read.
 */
static struct doubt doubt_of(rx_t *rx, int64_t since_ns, int64_t stamp_ns, int64_t read_ns) {
  if (rx->step_ns == 0) return (struct doubt){0, stamp_ns};
  int64_t by_ns = rx->stepped_by_ns, before_ns = stamp_ns + by_ns, error_ns = rx->offset_error_ns;
  int64_t usual_ns = DELIVERIES * rx->deferral_ns > USUAL_DELIVERY_NS ? DELIVERIES * rx->deferral_ns : USUAL_DELIVERY_NS;
  int64_t soonest_ns = since_ns - LONGEST_DELIVERY_NS;
  int may_be_before =
      before_ns <= rx->step_ns + error_ns && before_ns >= (by_ns <= -SMALL_STEP_NS ? since_ns - usual_ns : soonest_ns);
  int may_be_since = stamp_ns <= read_ns + error_ns;
  int64_t earliest_ns = since_ns;
  if ((may_be_before || !may_be_since) && before_ns >= soonest_ns && before_ns < earliest_ns) earliest_ns = before_ns;
  if (may_be_since && stamp_ns >= soonest_ns && stamp_ns < earliest_ns) earliest_ns = stamp_ns;
  return (struct doubt){since_ns < rx->step_ns || may_be_before || !may_be_since, earliest_ns};
}

/* Fills in when the bytes of a read arrived. `is_last`: no byte behind the last one has the same stamp. */
static void date(rx_t *rx, struct slot *s, rx_record *record, int64_t wall_ns, int is_last, int64_t read_ns, int sure) {
  int64_t since = s->holes ? s->counted_ns : unread_since(rx, s);
  int64_t stamp = wall_ns - rx->offset_ns, error = rx->offset_error_ns;
  struct doubt doubt = wall_ns != 0 ? doubt_of(rx, since, stamp, read_ns) : (struct doubt){since < rx->step_ns, since};
  if (doubt.is_there) record->flags |= RX_STEPPED;
  /* A segment is stamped before it reaches its socket, so it may lie before the look that did not see it yet. */
  int64_t deferral = since - stamp;
  int usable = wall_ns != 0 && sure && !(record->flags & (RX_STEPPED | RX_REORDERED | RX_FULL)) &&
               stamp <= read_ns + error && stamp >= s->stamp_ns;
  if (usable && deferral > rx->deferral_ns) {
    rx->deferral_ns = deferral;
    atomic_store(&rx->shared->deferral_ns, deferral > UINT32_MAX ? UINT32_MAX : (uint32_t)deferral);
  }
  int64_t lower = since - 2 * (rx->deferral_ns > DEFERRAL_NS ? rx->deferral_ns : DEFERRAL_NS);
  if (!doubt.is_there && s->stamp_ns > lower) lower = s->stamp_ns;
  if (doubt.is_there && doubt.earliest_ns - error < lower) lower = doubt.earliest_ns - error;
  int64_t at = read_ns;
  if (usable) {
    record->flags |= RX_STAMPED;
    if (is_last) s->stamp_ns = stamp;
    if (stamp + error < read_ns) at = stamp + error;
    if (lower > stamp - error) lower = stamp - error;
  }
  if (at < s->at_ns) at = s->at_ns;
  s->at_ns = at;
  record->at_ms = ms(at);
  record->lower_ms = ms(usable && is_last && !s->ended ? stamp - error : lower);
  record->since_ms = ms(lower);
  record->read_ms = ms(read_ns);
}

static int ends_response(const uint8_t *bytes, ssize_t length) {
  return length >= 5 && memcmp(bytes + length - 5, "0\r\n\r\n", 5) == 0;
}

enum outcome { DRAINED, MORE, GONE, STOPPED };

/* Room for the control messages of a read. */
union control {
  char bytes[256];
  struct cmsghdr align;
};

/* The kernel's stamp of the segment that holds an unread byte, 0 for none; nothing is read. */
static int64_t stamp_at(struct slot *s, uint8_t *room, uint32_t byte) {
  union control control;
  struct iovec part = {room, byte + 1};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  ssize_t got = recvmsg(s->fd, &message, MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC);
  return got == (ssize_t)byte + 1 ? stamp_of(&message) : 0;
}

/* One segment of those that lie unread: the byte behind it, and the kernel's stamp. */
struct piece {
  uint32_t end;
  int64_t stamp_ns;
};

/*
 * Where the unread segments end, in bytes: their number, or 0 when the kernel has merged some of them. Bytes of different stamps
 * are of different segments, and stamps do not fall, so they are distinguished when there are as many stamps as segments.
 */
static uint32_t find_segments(struct slot *s, struct unread unread, uint8_t *room, struct piece *pieces) {
  struct {
    uint32_t from, to;
    int64_t from_ns, to_ns;
  } stack[2 * SPLIT_BYTES_LOG], span = {0, unread.bytes - 1, stamp_at(s, room, 0), stamp_at(s, room, unread.bytes - 1)};
  uint32_t depth = 0, found = 0;
  for (;;) {
    if (span.from_ns == 0 || span.to_ns < span.from_ns) return 0;
    if (span.from_ns != span.to_ns && span.to - span.from > 1) {
      uint32_t middle = span.from + (span.to - span.from) / 2;
      int64_t middle_ns = stamp_at(s, room, middle);
      stack[depth].from = middle;
      stack[depth].from_ns = middle_ns;
      stack[depth].to = span.to;
      stack[depth++].to_ns = span.to_ns;
      span.to = middle;
      span.to_ns = middle_ns;
      continue;
    }
    if (span.from_ns != span.to_ns) {
      if (found == unread.segments) return 0;
      pieces[found].end = span.to;
      pieces[found++].stamp_ns = span.from_ns;
    }
    if (depth == 0) break;
    depth--;
    span.from = stack[depth].from;
    span.from_ns = stack[depth].from_ns;
    span.to = stack[depth].to;
    span.to_ns = stack[depth].to_ns;
  }
  if (found + 1 != unread.segments) return 0;
  pieces[found].end = unread.bytes;
  pieces[found].stamp_ns = span.to_ns;
  return unread.segments;
}

/* What a read is expected to bring. Later segments may have been merged with the last of those that were counted. */
struct expected {
  uint32_t bytes, segments;
  int64_t stamp_ns; /* 0: any */
  int more;         /* segments that were counted as well follow: no further bytes are read */
};

/* Reads as much as there is room for, or as is expected where more follows. */
static enum outcome take(rx_t *rx, uint32_t handle, struct slot *s, struct expected expected) {
  union control control;
  uint32_t room = READ_BYTES;
  rx_record *record = reserve(rx, &room);
  if (record == NULL) return STOPPED;
  uint8_t *bytes = (uint8_t *)(record + 1);
  struct iovec part = {bytes, expected.more && expected.bytes < room ? expected.bytes : room};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  int64_t before = mono(rx);
  ssize_t got = recvmsg(s->fd, &message, MSG_DONTWAIT);
  int error = errno, sure;
  if (got < 0 && error == EAGAIN && s->unseen) {
    s->since_ns = before;
    s->unseen = 0;
  }
  if (got < 0 && (error == EAGAIN || error == EINTR)) return DRAINED;
  if (got <= 0) {
    int64_t now = mono(rx), since = unread_since(rx, s);
    int failed = note(rx, handle, got == 0 ? RX_END : RX_FAIL, got == 0 ? 0 : error, since, now);
    rx->urgent = 1;
    return failed ? STOPPED : GONE;
  }
  int64_t now = compare_clocks(rx, &sure);
  int full = (uint32_t)got == room;
  /* What is read may have the stamp of the peer's end, if that has come since. */
  struct tcp_info info;
  int in_order = ask_socket(s, &info) && !s->holes;
  record->flags = (uint16_t)((full ? RX_FULL : 0) | (in_order ? 0 : RX_REORDERED));
  s->bytes += (uint64_t)got;
  int64_t stamp = stamp_of(&message);
  int is_expected = (uint32_t)got == expected.bytes && (expected.stamp_ns == 0 || expected.stamp_ns == stamp);
  record->segments = is_expected && !s->ended ? expected.segments : 0;
  date(rx, s, record, stamp, is_expected || !expected.more, now, sure);
  commit(rx, record, handle, RX_DATA, (int32_t)got);
  rx->reads++;
  rx->active_ns = now;
  if (s->accepted || ends_response(bytes, got)) rx->urgent = 1;
  if (expected.more) return (uint32_t)got == expected.bytes ? DRAINED : MORE;
  return full ? MORE : DRAINED;
}

/* Segments that lay unread together are read one by one where they can be distinguished, so that each has its own stamp. */
static enum outcome take_segments(rx_t *rx, uint32_t handle, struct slot *s, struct unread unread) {
  struct piece pieces[SPLIT_SEGMENTS];
  uint32_t room = READ_BYTES, count = 0, from = 0;
  rx_record *record = reserve(rx, &room);
  if (record == NULL) return STOPPED;
  if (room >= unread.bytes) count = find_segments(s, unread, (uint8_t *)(record + 1), pieces);
  if (count == 0) return take(rx, handle, s, (struct expected){unread.bytes, unread.segments, 0, 0});
  enum outcome outcome = DRAINED;
  for (uint32_t i = 0; i < count && outcome == DRAINED; i++) {
    struct piece piece = pieces[i];
    outcome = take(rx, handle, s, (struct expected){piece.end - from, 1, piece.stamp_ns, i + 1 < count});
    from = piece.end;
  }
  return outcome;
}

static enum outcome read_once(rx_t *rx, uint32_t handle, struct slot *s) {
  int64_t before = mono(rx);
  struct unread unread = count_unread(s);
  int can_split = unread.segments > 1 && unread.segments <= SPLIT_SEGMENTS && unread.bytes <= 1 << SPLIT_BYTES_LOG &&
                  before - rx->began_ns < SPLIT_NS && !s->holes;
  uint64_t counted_bytes = s->bytes + unread.bytes;
  enum outcome outcome = can_split ? take_segments(rx, handle, s, unread)
                                   : take(rx, handle, s, (struct expected){unread.bytes, unread.segments, 0, 0});
  if (outcome == DRAINED) {
    s->since_ns = before;
    s->unseen = 0;
    if (unread.bytes > 0 && s->bytes == counted_bytes) s->segments = unread.counted;
    if (s->holes) s->holes = !holds_nothing(s->fd);
    if (!s->holes) s->counted_ns = before;
  }
  return outcome;
}

static void accept_all(rx_t *rx, uint32_t listener, struct slot *s) {
  int64_t since = unread_since(rx, s);
  for (;;) {
    int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
    if (fd < 0) {
      s->unseen = errno != EAGAIN;
      /* Without a descriptor for it the connection stays there: the thread looks again after a tick, not at once. */
      if (s->unseen) {
        rx->reads += BUSY_READS;
        rx->active_ns = rx->began_ns;
      }
      return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    pthread_mutex_lock(&rx->lock);
    int64_t handle = take_slot(rx, fd, OPEN, since);
    if (handle < 0) {
      pthread_mutex_unlock(&rx->lock);
      close(fd);
      continue;
    }
    slot_at(rx, (uint32_t)handle)->accepted = 1;
    pthread_mutex_unlock(&rx->lock);
    uint32_t room = 0;
    rx_record *record = reserve(rx, &room);
    if (record == NULL) return;
    memset(record, 0, sizeof *record);
    record->segments = listener;
    record->at_ms = record->read_ms = ms(mono(rx));
    commit(rx, record, (uint32_t)handle, RX_ACCEPT, 0);
    rx->urgent = 1;
    watch(rx, EPOLL_CTL_ADD, fd, READABLE, (uint32_t)handle);
  }
}

/* A connection that was under way is made, or is not. Returns whether it is. */
static int finish_connect(rx_t *rx, uint32_t handle, struct slot *s) {
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &length);
  int64_t now = mono(rx);
  rx->urgent = 1;
  if (note(rx, handle, error == 0 ? RX_OPEN : RX_FAIL, error, now, now) < 0) return 0;
  pthread_mutex_lock(&rx->lock);
  if (error != 0) drop(rx, handle, s);
  else {
    s->state = OPEN;
    watch(rx, EPOLL_CTL_MOD, s->fd, READABLE | EPOLLOUT, handle);
    flush(rx, handle, s);
  }
  pthread_mutex_unlock(&rx->lock);
  return error == 0;
}

static void serve(rx_t *rx, uint32_t handle, uint32_t events) {
  /* An event of a handle that was closed in this look may be left, while the caller takes the slot anew. */
  pthread_mutex_lock(&rx->lock);
  struct slot *s = find(rx, handle);
  if (s != NULL && s->state == OPEN && (events & EPOLLOUT)) flush(rx, handle, s);
  pthread_mutex_unlock(&rx->lock);
  if (s == NULL) return;
  if (s->state == LISTENING) {
    accept_all(rx, handle, s);
    return;
  }
  /* The peer may have spoken first, so the stream is read at once: from then on a look sees what comes. */
  if (s->state == CONNECTING) {
    if (!finish_connect(rx, handle, s)) return;
    events |= EPOLLIN;
  }
  if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP))) return;
  enum outcome outcome = read_once(rx, handle, s);
  for (int reads = 1; outcome == MORE && reads < READS_AT_ONCE; reads++) outcome = read_once(rx, handle, s);
  /* What is left arrived whenever it did: the next look begins after that. */
  if (outcome == MORE) {
    s->unseen = 1;
    if (!s->listed) rx->undrained[rx->undrained_count++] = handle;
    s->listed = 1;
  }
  if (outcome == DRAINED && (events & EPOLLRDHUP)) outcome = read_once(rx, handle, s);
  if (outcome != GONE) return;
  pthread_mutex_lock(&rx->lock);
  drop(rx, handle, s);
  pthread_mutex_unlock(&rx->lock);
}

/* --- the thread -------------------------------------------------------------------------------------------------- */

static void close_asked(rx_t *rx) {
  pthread_mutex_lock(&rx->lock);
  for (size_t i = 0; i < rx->closing_count; i++) {
    struct slot *s = find(rx, rx->closing[i]);
    if (s != NULL) drop(rx, rx->closing[i], s);
  }
  rx->closing_count = 0;
  pthread_mutex_unlock(&rx->lock);
}

/* Sends what is due; returns when the next is, 0 for none. */
static int64_t send_due(rx_t *rx) {
  for (;;) {
    pthread_mutex_lock(&rx->lock);
    if (rx->due_count == 0 || rx->due[0].at_ns > mono(rx)) {
      int64_t next = rx->due_count == 0 ? 0 : rx->due[0].at_ns;
      pthread_mutex_unlock(&rx->lock);
      return next;
    }
    struct due due = pop_due(rx);
    struct slot *s = find(rx, due.handle);
    int64_t at = mono(rx);
    if (s != NULL) send_or_queue(rx, due.handle, s, due.bytes, due.length);
    pthread_mutex_unlock(&rx->lock);
    free(due.bytes);
    if (s != NULL && note(rx, due.handle, RX_SENT, 0, at, at) < 0) return 0;
  }
}

static void serve_undrained(rx_t *rx) {
  uint32_t count = rx->undrained_count;
  for (uint32_t i = 0; i < count; i++) {
    uint32_t handle = rx->undrained[i];
    pthread_mutex_lock(&rx->lock);
    struct slot *s = find(rx, handle);
    if (s != NULL) s->listed = 0;
    pthread_mutex_unlock(&rx->lock);
    serve(rx, handle, EPOLLIN | EPOLLRDHUP);
  }
  memmove(rx->undrained, rx->undrained + count, (rx->undrained_count - count) * sizeof *rx->undrained);
  rx->undrained_count -= count;
}

static void look(rx_t *rx) {
  static const int most = SLOTS / EVENTS;
  struct epoll_event events[EVENTS];
  rx->began_ns = mono(rx);
  int count, rounds = 0;
  rx->incomplete = 0;
  serve_undrained(rx);
  do {
    count = epoll_wait(rx->epoll, events, EVENTS, 0);
    for (int i = 0; i < count; i++) {
      if (events[i].data.u64 == (uint64_t)COMMAND) {
        uint64_t commands;
        if (read(rx->command, &commands, sizeof commands) < 0) continue;
        close_asked(rx);
      } else serve(rx, (uint32_t)events[i].data.u64, events[i].events);
    }
  } while (count == EVENTS && ++rounds < most);
  /* What was not seen in this look arrived after it began. */
  if (count < EVENTS && !rx->incomplete) rx->look_ns = rx->began_ns;
}

static int64_t earlier(int64_t a, int64_t b) { return a == 0 || (b != 0 && b < a) ? b : a; }

/* Sleeps until `until_ns` (0: without end); a socket or a command ends it, unless `deaf`. */
static void rest(rx_t *rx, int64_t until_ns, int deaf) {
  struct timespec t = {0, 0};
  if (until_ns != 0) {
    int64_t left = until_ns - mono(rx);
    if (left <= 0) return;
    t.tv_sec = (time_t)(left / 1000000000);
    t.tv_nsec = (long)(left % 1000000000);
  }
  struct pollfd wait = {.fd = rx->epoll, .events = POLLIN};
  if (deaf) nanosleep(&t, NULL);
  else ppoll(&wait, 1, until_ns == 0 ? NULL : &t, NULL);
}

/*
 * The thread needs little time but soon: where others want the core as well, a short slice has it run before them (Linux 6.12),
 * and a lower nice value more often (where that is allowed). Without either it is scheduled like any other.
 */
static void ask_for_little_latency(void) {
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t slice_ns, deadline, period;
  } wish = {.size = sizeof wish, .nice = -10, .slice_ns = 100000};
  if (syscall(SYS_sched_setattr, 0, &wish, 0) == 0) return;
  wish.nice = getpriority(PRIO_PROCESS, 0);
  syscall(SYS_sched_setattr, 0, &wish, 0);
}

static void *run(void *context) {
  rx_t *rx = context;
  prctl(PR_SET_NAME, "bench-receiver");
  prctl(PR_SET_TIMERSLACK, 1);
  ask_for_little_latency();
  while (!atomic_load(&rx->stop)) {
    send_due(rx);
    rx->reads = 0;
    look(rx);
    int64_t due = send_due(rx);
    show(rx);
    int64_t now = mono(rx);
    uint32_t untaken = rx->head - atomic_load_explicit(&rx->shared->tail, memory_order_relaxed);
    int flooded = untaken > rx->options.ring_bytes / FLOOD_PART, busy = !flooded && rx->reads >= BUSY_READS;
    if (flooded) rx->urgent = 1;
    if (rx->head != rx->head_woken) rx->wake_ns = earlier(rx->wake_ns, busy ? now + WAKE_NS : now);
    if (rx->urgent || (rx->wake_ns != 0 && now >= rx->wake_ns)) wake(rx);
    int64_t tick = now - rx->active_ns < IDLE_NS ? rx->began_ns + TICK_NS : 0;
    /* The look may have taken the command that comes with `stop`. */
    int rests = rx->undrained_count == 0 && !atomic_load(&rx->stop);
    if (rests) rest(rx, earlier(earlier(due, rx->wake_ns), tick), busy);
  }
  return NULL;
}

static void discard(rx_t *rx) {
  for (uint32_t i = 0; i < rx->used; i++) {
    struct slot *s = slot_at(rx, i);
    if (s->state == FREE) continue;
    close(s->fd);
    free(s->out);
  }
  for (size_t i = 0; i < rx->due_count; i++) free(rx->due[i].bytes);
  for (size_t i = 0; i < SLOTS / SLOTS_AT_ONCE; i++) free(rx->blocks[i]);
  free(rx->due);
  free(rx->closing);
  free(rx->ring);
  free(rx->shared);
  if (rx->epoll >= 0) close(rx->epoll);
  if (rx->command >= 0) close(rx->command);
  if (rx->keeper >= 0) close(rx->keeper);
  pthread_mutex_destroy(&rx->lock);
  free(rx);
}

rx_t *rx_new(const rx_options *options) {
  rx_t *rx = calloc(1, sizeof *rx);
  if (rx == NULL) return NULL;
  rx->options = *options;
  if (rx->options.now_ns == NULL) rx->options.now_ns = system_now;
  pthread_mutex_init(&rx->lock, NULL);
  rx->ring = aligned_alloc(64, options->ring_bytes);
  rx->shared = aligned_alloc(64, sizeof *rx->shared);
  rx->epoll = epoll_create1(EPOLL_CLOEXEC);
  rx->command = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  /* The kernel stamps segments only while some socket wants it, and takes a moment to begin: this one does from now on. */
  rx->keeper = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (rx->ring != NULL && rx->shared != NULL && rx->epoll >= 0 && rx->command >= 0 && rx->keeper >= 0) {
    memset(rx->shared, 0, sizeof *rx->shared);
    stamp_arrivals(rx->keeper);
    int sure = 0;
    for (int i = 0; i < CLOCK_TRIES && !sure; i++) compare_clocks(rx, &sure);
    rx->step_ns = 0;
    atomic_store(&rx->shared->steps, 0);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)COMMAND};
    if (epoll_ctl(rx->epoll, EPOLL_CTL_ADD, rx->command, &event) == 0) {
      int error = pthread_create(&rx->thread, NULL, run, rx);
      if (error == 0) return rx;
      errno = error;
    }
  }
  int error = errno;
  discard(rx);
  errno = error;
  return NULL;
}

void rx_free(rx_t *rx) {
  atomic_store(&rx->stop, 1);
  command(rx);
  pthread_join(rx->thread, NULL);
  discard(rx);
}
