/*
 * A TCP peer by hand: a tun device of this network namespace whose other side is this process. It sends segments in any
 * order, twice and overlapping, and knows when each byte first arrived: within the write to the device.
 */
#define _GNU_SOURCE
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bench.h"

enum { HEAD = 40, LARGEST = 1400, SEGMENTS = 60, AHEAD = 6, FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

static const char OURS[] = "10.77.0.1", THEIRS[] = "10.77.0.2";
static const double ROUNDING_MS = 2e-6;

typedef struct {
  int tun;
  stream *s;
  uint16_t port;
  uint32_t client_next, first; /* sequence numbers: what the client sends next, and that of our byte 0 */
  int64_t *before_ns, *after_ns; /* by byte: its first arrival; 0 before that */
  size_t length;
} peer;

static int open_tun(void) {
  int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK), control;
  struct ifreq wish = {.ifr_flags = IFF_TUN | IFF_NO_PI};
  struct sockaddr_in *address = (struct sockaddr_in *)&wish.ifr_addr;
  if (fd < 0) return -1;
  strcpy(wish.ifr_name, "rxpeer0");
  if (ioctl(fd, TUNSETIFF, &wish) < 0) {
    close(fd);
    return -1;
  }
  control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  address->sin_family = AF_INET;
  inet_pton(AF_INET, OURS, &address->sin_addr);
  CHECK(ioctl(control, SIOCSIFADDR, &wish) == 0, "%s", strerror(errno));
  inet_pton(AF_INET, "255.255.255.0", &address->sin_addr);
  CHECK(ioctl(control, SIOCSIFNETMASK, &wish) == 0, "%s", strerror(errno));
  wish.ifr_flags = IFF_UP | IFF_RUNNING;
  CHECK(ioctl(control, SIOCSIFFLAGS, &wish) == 0, "%s", strerror(errno));
  close(control);
  return fd;
}

static uint32_t sum_of(const uint8_t *bytes, size_t length) {
  uint32_t sum = 0;
  for (size_t i = 0; i < length; i++) sum += i % 2 == 0 ? (uint32_t)bytes[i] << 8 : bytes[i];
  return sum;
}

static void put16(uint8_t *at, uint32_t value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value) {
  put16(at, value >> 16);
  put16(at + 2, value & 0xffff);
}

static uint32_t get32(const uint8_t *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint32_t folded(uint32_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

/* One segment; the instants around its arrival. */
static void segment(peer *p, int flags, uint32_t sequence, const uint8_t *bytes, size_t length, int64_t *before,
                    int64_t *after) {
  uint8_t packet[HEAD + LARGEST] = {0x45}, *tcp = packet + 20;
  put16(packet + 2, (uint32_t)(HEAD + length));
  packet[8] = 64;
  packet[9] = IPPROTO_TCP;
  inet_pton(AF_INET, THEIRS, packet + 12);
  inet_pton(AF_INET, OURS, packet + 16);
  put16(packet + 10, folded(sum_of(packet, 20)));
  put16(tcp, 80);
  put16(tcp + 2, p->port);
  put32(tcp + 4, sequence);
  put32(tcp + 8, p->client_next);
  tcp[12] = 5 << 4;
  tcp[13] = (uint8_t)flags;
  put16(tcp + 14, 65535);
  if (length > 0) memcpy(packet + HEAD, bytes, length);
  put16(tcp + 16, folded(sum_of(packet + 12, 8) + IPPROTO_TCP + (uint32_t)(20 + length) + sum_of(tcp, 20 + length)));
  *before = now_ns();
  ssize_t wrote = write(p->tun, packet, HEAD + length);
  *after = now_ns();
  CHECK(wrote == (ssize_t)(HEAD + length), "%s", strerror(errno));
}

static void data(peer *p, size_t from, size_t to) {
  uint8_t bytes[LARGEST];
  int64_t before, after;
  fill(p->s->id, from, bytes, to - from);
  segment(p, ACK | PSH, p->first + (uint32_t)from, bytes, to - from, &before, &after);
  for (size_t at = from; at < to; at++) {
    if (p->before_ns[at] != 0) continue;
    p->before_ns[at] = before;
    p->after_ns[at] = after;
  }
}

/* Answers the client's SYN and passes over what else comes before it. */
static void answer(peer *p) {
  uint8_t packet[2048];
  int64_t before, after;
  for (;;) {
    struct pollfd wait = {.fd = p->tun, .events = POLLIN};
    CHECK(poll(&wait, 1, 5000) == 1, "no SYN");
    ssize_t length = read(p->tun, packet, sizeof packet);
    if (length < HEAD || packet[0] != 0x45 || packet[9] != IPPROTO_TCP || packet[33] != SYN) continue;
    p->port = (uint16_t)(packet[20] << 8 | packet[21]);
    p->client_next = get32(packet + 24) + 1;
    segment(p, SYN | ACK, p->first - 1, NULL, 0, &before, &after);
    return;
  }
}

static void *handshake(void *context) {
  answer(context);
  return NULL;
}

typedef struct {
  peer *p;
  size_t ends[SEGMENTS + 1]; /* segment i is [ends[i], ends[i + 1]) */
  int order; /* 0: the case that is easiest to get wrong */
} play;

static void nap(void) {
  if (draw(3) == 0) pause_us(1 + draw(1500));
}

static void *send_in_order_of(void *context) {
  play *one = context;
  peer *p = one->p;
  int64_t before, after;
  size_t *ends = one->ends;
  if (one->order == 4) {
    /* Two at once, the later first, at any moment of the thread's. */
    for (int i = 0; i + 1 < SEGMENTS; i += 2) {
      int64_t end = now_ns() + draw(100000);
      while (now_ns() < end) continue;
      data(p, ends[i + 1], ends[i + 2]);
      data(p, ends[i], ends[i + 1]);
    }
  } else if (one->order == 0) {
    /* The first is read while the third waits for the second. */
    for (int i = 0; i + 2 < SEGMENTS; i += 3) {
      data(p, ends[i], ends[i + 1]);
      if (i % 2 == 0) pause_us(3000);
      data(p, ends[i + 2], ends[i + 3]);
      if (i % 2 == 1) pause_us(3000);
      pause_us(3000);
      data(p, ends[i + 1], ends[i + 2]);
      pause_us(3000);
    }
  } else {
    int sent[SEGMENTS] = {0}, first = 0, fin = 0;
    while (first < SEGMENTS) {
      int at = first + (int)draw(one->order == 1 ? 1 : AHEAD);
      if (at >= SEGMENTS) at = first;
      if (!sent[at]) data(p, ends[at], ends[at + 1]);
      sent[at] = 1;
      while (first < SEGMENTS && sent[first]) first++;
      nap();
      if (one->order < 3) continue;
      if (draw(5) == 0 && at > 0) {
        /* Once more, and what lies before it too. */
        size_t from = ends[at - 1] + draw((uint32_t)(ends[at] - ends[at - 1]));
        if (sent[at - 1] && sent[at] && ends[at + 1] - from <= LARGEST) data(p, from, ends[at + 1]);
      }
      if (first > SEGMENTS - 4 && first < SEGMENTS && !fin) {
        fin = 1;
        segment(p, ACK | FIN, p->first + (uint32_t)p->length, NULL, 0, &before, &after);
      }
    }
  }
  segment(p, ACK | FIN, p->first + (uint32_t)p->length, NULL, 0, &before, &after);
  return NULL;
}

static int is_over(void *context) { return ((stream *)context)->ended || ((stream *)context)->failed; }

static void check_peer(const peer *p, claims *sum) {
  for (size_t i = 0; i < p->s->entry_count; i++) {
    const entry *e = p->s->entries + i;
    const rx_record *r = &e->record;
    double since = r->segments == 1 ? r->lower_ms : r->since_ms;
    for (size_t at = e->from; at < e->from + (size_t)r->length; at++) {
      double before = (double)p->before_ns[at] / 1e6, after = (double)p->after_ns[at] / 1e6;
      int last = at + 1 == e->from + (size_t)r->length;
      CHECK(r->at_ms >= before - ROUNDING_MS && (last ? r->lower_ms : since) <= after + ROUNDING_MS,
            "stream %u, bytes %llu to %llu: byte %zu arrived within [%.6f, %.6f] ms "
            "(flags %u, %u segments, since %.6f, lower %.6f, at %.6f, read %.6f)",
            p->s->id, (unsigned long long)e->from, (unsigned long long)e->from + (unsigned)r->length, at, before, after,
            r->flags, r->segments, r->since_ms, r->lower_ms, r->at_ms, r->read_ms);
    }
    sum->reads++;
    sum->stamped += (r->flags & RX_STAMPED) != 0;
    sum->single += r->segments == 1;
    sum->unknown_segments += r->segments == 0;
    sum->reordered += (r->flags & RX_REORDERED) != 0;
  }
}

static void one_peer(int tun, int order, claims *sum) {
  bench *b = bench_start("127.0.0.1", 1 << 20);
  struct sockaddr_storage address;
  int error;
  socklen_t length = address_of(THEIRS, 80, &address);
  uint8_t drained[2048];
  while (read(tun, drained, sizeof drained) > 0) continue;
  stream *s = begin_stream(b, (struct sockaddr *)&address, length, &error);
  CHECK(s != NULL, "%s", strerror(error));
  peer p = {.tun = tun, .s = s, .first = draw(UINT32_MAX)};
  play one = {.p = &p, .order = order};
  for (int i = 0; i < SEGMENTS; i++) {
    size_t size = draw(3) == 0 ? 1 : draw(4) == 0 ? 1 + draw(LARGEST) : 1 + draw(60);
    one.ends[i + 1] = one.ends[i] + size;
  }
  p.length = one.ends[SEGMENTS];
  p.before_ns = calloc(p.length, sizeof(int64_t));
  p.after_ns = calloc(p.length, sizeof(int64_t));
  beside(b, handshake, &p);
  beside(b, send_in_order_of, &one);
  CHECK(pump_until(b, is_over, s, 10000), "stream %u: %llu of %zu bytes", s->id, (unsigned long long)s->got, p.length);
  CHECK(s->ended && s->got == p.length, "stream %u: %llu of %zu bytes, %d", s->id, (unsigned long long)s->got, p.length,
        s->failed);
  check_peer(&p, sum);
  int64_t before, after;
  segment(&p, RST, p.first + (uint32_t)p.length + 1, NULL, 0, &before, &after);
  free(p.before_ns);
  free(p.after_ns);
  bench_stop(b);
}

void reordered_segments(void) {
  static const char *const names[] = {"read beside a hole", "in order", "out of order", "twice and overlapping",
                                      "two at once"};
  int tun = open_tun();
  if (tun < 0) {
    printf("  *** NOT RUN: no tun device (%s) ***\n", strerror(errno));
    return;
  }
  for (int order = 0; order < 5; order++) {
    static const int peers[] = {4, 30, 30, 30, 200};
    claims sum = {0};
    for (int i = 0; i < peers[order]; i++) one_peer(tun, order, &sum);
    print_claims(names[order], &sum);
  }
  close(tun);
}
