/*
 * The limit for a client: does what any reader must and no more. It reads streams with epoll, takes the time of each
 * read, undoes the chunks of HTTP, finds where events end and keeps a stamp of each. It does not look into an event.
 *
 *   sse-reader [--kernel] PORT STREAMS REQUESTS TOKENS [LOG]
 *
 * With --kernel the stamp of a read is the kernel's, of the last segment in it.
 * REQUESTS are sent in all, at most STREAMS at once, one connection per stream. Prints one line of JSON: events seen
 * (the stream's last three, without a token, included), seconds from first send to last byte, and the CPU
 * seconds that this took. LOG gets the stamps afterwards, as the server's log has its instants: request id, index of
 * the event, CLOCK_MONOTONIC nanoseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/net_tstamp.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>


#define READ_SIZE 65536

/* Where a stream is in its answer. SIZE_END and DATA_END wait for a line feed; TRAILER for the empty line. */
enum State { HEAD, SIZE, SIZE_END, DATA, DATA_END, TRAILER };

typedef struct {
  int fd, request, events;
  enum State state;
  size_t left;
  /* The last bytes of the head, and whether the last byte of data was a line feed. */
  unsigned tail;
  char feed;
} Stream;

static char buffer[READ_SIZE];
static long long *stamps;
static int tokens, per_request, sent;
static const char *host_and_type;
static char body[512];
static int body_len;

static long long now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static double cpu_seconds(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void die(const char *what) {
  perror(what);
  exit(2);
}

static void send_request(Stream *stream) {
  char request[1024];
  stream->request = sent++;
  stream->events = 0;
  stream->state = HEAD;
  stream->tail = 0;
  stream->feed = 0;
  int length = sprintf(request, "POST /v1/chat/completions HTTP/1.1\r\n%sx-request-id: r%d\r\ncontent-length: %d\r\n\r\n%s",
                       host_and_type, stream->request, body_len, body);
  if (write(stream->fd, request, (size_t)length) != length) die("write");
}

/* Stamps the ends of events in data. */
static void take_data(Stream *stream, const char *at, const char *end, long long now) {
  long long *own = stamps + (size_t)stream->request * (size_t)per_request;
  while (at < end) {
    const char *line = memchr(at, '\n', (size_t)(end - at));
    if (!line) {
      stream->feed = 0;
      return;
    }
    if (line > at) stream->feed = 0;
    if (stream->feed) {
      if (stream->events == per_request) die("more events than asked for");
      own[stream->events++] = now;
      stream->feed = 0;
    } else
      stream->feed = 1;
    at = line + 1;
  }
}

static int hex(char byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  byte |= 0x20;
  return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* Reads bytes of one answer; 1 when it has ended with them. */
static int take_bytes(Stream *stream, const char *at, const char *end, long long now) {
  while (at < end) {
    switch (stream->state) {
    case HEAD:
      stream->tail = stream->tail << 8 | (unsigned char)*at++;
      if (stream->tail == 0x0d0a0d0a) {
        stream->state = SIZE;
        stream->left = 0;
      }
      break;
    case SIZE: {
      int digit = hex(*at);
      if (digit < 0) {
        stream->state = SIZE_END;
        break;
      }
      stream->left = stream->left * 16 + (size_t)digit;
      at++;
      break;
    }
    case SIZE_END:
      if (*at++ == '\n') stream->state = stream->left > 0 ? DATA : TRAILER;
      break;
    case DATA: {
      size_t take = (size_t)(end - at) < stream->left ? (size_t)(end - at) : stream->left;
      take_data(stream, at, at + take, now);
      at += take;
      stream->left -= take;
      if (stream->left == 0) stream->state = DATA_END;
      break;
    }
    case DATA_END:
      if (*at++ == '\n') stream->state = SIZE;
      break;
    case TRAILER:
      if (*at++ == '\n') return 1;
      break;
    }
  }
  return 0;
}

static void write_log(const char *path, int requests) {
  FILE *log = fopen(path, "w");
  if (!log) die(path);
  for (int i = 0; i < requests; i++)
    for (int k = 0; k < tokens; k++) fprintf(log, "r%d %d %lld\n", i, k, stamps[(size_t)i * (size_t)per_request + (size_t)k]);
  if (fclose(log)) die(path);
}

/* Reads, and says when the last of it arrived: by the kernel's stamp, which is CLOCK_REALTIME, or by the clock now. */
static ssize_t read_stamped(int fd, int kernel, long long *at) {
  union {
    char bytes[256];
    struct cmsghdr align;
  } control;
  struct iovec part = {buffer, READ_SIZE};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  ssize_t got = kernel ? recvmsg(fd, &message, MSG_DONTWAIT) : recv(fd, buffer, READ_SIZE, MSG_DONTWAIT);
  *at = now_ns();
  if (!kernel || got <= 0) return got;
  struct timespec wall;
  clock_gettime(CLOCK_REALTIME, &wall);
  long long offset = wall.tv_sec * 1000000000LL + wall.tv_nsec - now_ns();
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SO_TIMESTAMPING) continue;
    memcpy(&wall, CMSG_DATA(c), sizeof wall);
    *at = wall.tv_sec * 1000000000LL + wall.tv_nsec - offset;
  }
  return got;
}

int main(int argc, char **argv) {
  int kernel = argc > 1 && !strcmp(argv[1], "--kernel");
  if (kernel) argc--, argv++;
  if (argc < 5 || argc > 6) {
    fprintf(stderr, "usage: sse-reader [--kernel] PORT STREAMS REQUESTS TOKENS [LOG]\n");
    return 2;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  int port = atoi(argv[1]), streams = atoi(argv[2]), requests = atoi(argv[3]);
  tokens = atoi(argv[4]);
  /* The end of the text, the usage and the end mark. */
  per_request = tokens + 3;
  if (requests < streams) streams = requests;
  body_len = sprintf(body,
      "{\"model\":\"c-server\",\"messages\":[{\"role\":\"user\",\"content\":\"a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f\"}],"
      "\"temperature\":0,\"max_tokens\":%d,\"stream\":true,\"stream_options\":{\"include_usage\":true}}", tokens);
  char fixed[128];
  sprintf(fixed, "host: 127.0.0.1:%d\r\ncontent-type: application/json\r\n", port);
  host_and_type = fixed;

  int epoll_fd = epoll_create1(0);
  Stream *all = calloc((size_t)streams, sizeof *all);
  stamps = calloc((size_t)requests * (size_t)per_request, sizeof *stamps);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  for (int i = 0; i < streams; i++) {
    int fd = all[i].fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address)) die("connect");
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    int stamps_wanted = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
    if (kernel) setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &stamps_wanted, sizeof stamps_wanted);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
  }

  double cpu_from = cpu_seconds();
  long long from = now_ns();
  int done = 0;
  long long events = 0;
  for (int i = 0; i < streams; i++) send_request(&all[i]);
  struct epoll_event ready[512];
  while (done < requests) {
    int count = epoll_wait(epoll_fd, ready, 512, -1);
    for (int i = 0; i < count; i++) {
      Stream *stream = ready[i].data.ptr;
      long long now;
      ssize_t got = read_stamped(stream->fd, kernel, &now);
      if (got < 0 && errno == EAGAIN) continue;
      if (got <= 0) die("stream cut");
      if (!take_bytes(stream, buffer, buffer + got, now)) continue;
      events += stream->events;
      done++;
      if (sent < requests) send_request(stream);
    }
  }
  double took = (double)(now_ns() - from) / 1e9, cpu = cpu_seconds() - cpu_from;
  printf("{\"events\":%lld,\"elapsedS\":%.6f,\"cpuS\":%.6f}\n", events, took, cpu);
  if (argc == 6) write_log(argv[5], requests);
  return 0;
}
