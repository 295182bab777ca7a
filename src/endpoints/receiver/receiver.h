/*
 * Reads TCP streams in a thread of its own and stamps them with the kernel's arrival time (SO_TIMESTAMPING).
 * What it reads goes into a ring with one producer, the thread, and one consumer, the caller. Free of Node-API.
 *
 * All instants are CLOCK_MONOTONIC, in ms as doubles (0.2 ns of resolution in a month of uptime). The kernel stamps in
 * CLOCK_REALTIME; the distance of both clocks is read with each read of a socket, so that a step of the system clock
 * is seen and the stamps around it are not used.
 */
#ifndef BENCH_RECEIVER_H
#define BENCH_RECEIVER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

enum rx_kind {
  RX_PAD = 0,    /* nothing: the rest of the ring before it wraps */
  RX_OPEN = 1,   /* a connection was made */
  RX_DATA = 2,   /* `length` bytes follow */
  RX_END = 3,    /* the peer ended its side; the handle is gone */
  RX_FAIL = 4,   /* `length` is the errno; the handle is gone */
  RX_SENT = 5,   /* a send that was due at an instant began at `at_ms` */
  RX_ACCEPT = 6, /* a connection was accepted by the listener in `segments` */
};

enum rx_flag {
  RX_STAMPED = 1,   /* `at_ms` is the kernel's stamp, not the reading time */
  RX_FULL = 2,      /* the read filled its buffer */
  RX_REORDERED = 4, /* segments came out of order since the last read */
  RX_STEPPED = 8,   /* the system clock was set since the last read */
};

/* One entry of the ring, padded with its bytes to 16. */
typedef struct {
  uint32_t handle;
  uint16_t kind;
  uint16_t flags;
  int32_t length;
  uint32_t segments; /* TCP segments that the read consists of; 0: not known */
  double at_ms;      /* the last byte arrived no later than this */
  double lower_ms;   /* the last byte of the last segment arrived no earlier */
  double since_ms;   /* no byte of the read arrived earlier */
  double read_ms;    /* when it was read */
} rx_record;

/* Shared with the consumer. Positions count bytes modulo 2^32; the ring's size divides that. */
typedef struct {
  _Alignas(64) _Atomic uint32_t head; /* written by the thread */
  _Alignas(64) _Atomic uint32_t tail; /* written by the consumer */
  _Alignas(64) _Atomic uint32_t stalls; /* times that the thread waited for room in the ring */
  _Atomic uint32_t stalled_us;          /* for how long, all together */
  _Atomic uint32_t deferral_ns;         /* how long a segment lay at most between its stamp and its socket */
  _Atomic uint32_t steps;               /* times that the system clock was set */
} rx_control;

typedef struct {
  uint32_t ring_bytes; /* a power of two from 2^16 to 2^30 */
  void (*wake)(void *context); /* called by the thread: there are entries to be taken */
  void *context;
  int64_t (*now_ns)(clockid_t clock); /* NULL: clock_gettime */
} rx_options;

typedef struct rx rx_t;

/* NULL and errno when the system refuses a thread, memory or a descriptor. */
rx_t *rx_new(const rx_options *options);
/* Stops the thread and closes all sockets. */
void rx_free(rx_t *rx);

uint8_t *rx_ring(rx_t *rx);
rx_control *rx_shared(rx_t *rx);
/* The consumer is about to take what there is; the thread wakes it again for what comes later. */
void rx_draining(rx_t *rx);
double rx_now_ms(rx_t *rx);

/* Begins to connect; RX_OPEN or RX_FAIL follows. The handle, or -errno. */
int64_t rx_connect(rx_t *rx, const struct sockaddr *address, socklen_t length);
/* Listens; RX_ACCEPT follows for each connection. The handle, or -errno. */
int64_t rx_listen(rx_t *rx, const struct sockaddr *address, socklen_t length);
/* The port that a listener got, 0 for none. */
int rx_port(rx_t *rx, uint32_t handle);
/* Sends now, what does not fit as soon as it does. The instant just before, negative for a handle that is gone. */
double rx_send(rx_t *rx, uint32_t handle, const void *bytes, size_t length);
/* Has the bytes sent at an instant; RX_SENT follows. Nothing comes of it when the handle is gone by then. -1: no memory. */
int rx_send_at(rx_t *rx, uint32_t handle, const void *bytes, size_t length, double at_ms);
/* Bytes of `rx_send` that the socket has not taken yet; 0 for a handle that is gone. */
size_t rx_unsent(rx_t *rx, uint32_t handle);
/* Ends our side once all is sent. */
void rx_end(rx_t *rx, uint32_t handle);
/* Closes at once. Entries of the handle may still come. */
void rx_close(rx_t *rx, uint32_t handle);
/* As `rx_close`, and the peer gets a reset. */
void rx_reset(rx_t *rx, uint32_t handle);

#endif
