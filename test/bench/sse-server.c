/*
 * A calibrated sender of OpenAI-chat SSE for measuring clients: one thread, epoll, loopback only.
 *
 *   sse-server [--ttft-us N] [--step-us N] [--spread] [--burst K] [--cut one|each|byte] [--mark TOKENS] [--log FILE]
 *
 * Paced (--step-us above 0): event k of a stream is written TTFT + k * STEP after its request was read,
 * by absolute deadlines. --spread moves each stream's deadlines by its own part of a step, so that the
 * streams of one burst of requests do not stay in step with one another. With --burst K a step has K events, which go out in
 * one write (--cut one, as without it), in a write each (each), or byte by byte (byte).
 * Flooded (--step-us 0): K events per write, as fast as the socket takes them.
 *
 * Prints "port N", then serves until it is killed. The log has a line per event: request id, index, CLOCK_MONOTONIC
 * nanoseconds just before and just after the write that carried its last bytes (0: when they left is not known, since TCP held
 * some of them back); index -1 is the instant at which the request was read. GET /times tells when the
 * first POST, and the first that asks for --mark tokens, was read. Usage is sent where it is asked for.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define MAX_FD 65536
#define NONE (-1)

typedef struct {
  int fd, heap_at, wants_out;
  char *in;
  size_t in_len, in_size;
  char id[64];
  int tokens, prompt_tokens, due, written, active;
  size_t offset, event_len, tail_len, tail_offset;
  char *block;
  char tail[1024];
  long long next_ns;
} Conn;

static Conn *conns[MAX_FD];
static Conn *heap[MAX_FD];
static int heap_size, epoll_fd, timer_fd, burst = 1, mark = NONE, spread;
static enum { CUT_ONE, CUT_EACH, CUT_BYTE } cut = CUT_ONE;
static long long ttft_ns, step_ns, armed_ns, first_post_ns, first_mark_ns, posts, streams_done, events_written;
static FILE *truth;

static void die(const char *what) {
  perror(what);
  exit(2);
}

static long long now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void heap_place(Conn *conn, int at) {
  heap[at] = conn;
  conn->heap_at = at;
}

static void heap_sift(int at) {
  Conn *conn = heap[at];
  while (at > 0 && heap[(at - 1) / 2]->next_ns > conn->next_ns) {
    heap_place(heap[(at - 1) / 2], at);
    at = (at - 1) / 2;
  }
  for (;;) {
    int child = 2 * at + 1;
    if (child >= heap_size) break;
    if (child + 1 < heap_size && heap[child + 1]->next_ns < heap[child]->next_ns) child++;
    if (heap[child]->next_ns >= conn->next_ns) break;
    heap_place(heap[child], at);
    at = child;
  }
  heap_place(conn, at);
}

static void heap_push(Conn *conn) {
  heap_place(conn, heap_size++);
  heap_sift(conn->heap_at);
}

static void heap_remove(Conn *conn) {
  int at = conn->heap_at;
  if (at == NONE) return;
  conn->heap_at = NONE;
  Conn *last = heap[--heap_size];
  if (at == heap_size) return;
  heap_place(last, at);
  heap_sift(at);
}

static void drop(Conn *conn) {
  heap_remove(conn);
  conns[conn->fd] = NULL;
  close(conn->fd);
  free(conn->in);
  free(conn->block);
  free(conn);
}

static void want_out(Conn *conn, int wanted) {
  if (conn->wants_out == wanted) return;
  conn->wants_out = wanted;
  struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.fd = conn->fd};
  epoll_ctl(epoll_fd, EPOLL_CTL_MOD, conn->fd, &event);
}

/* Writes byte by byte; `*before` is the instant before the byte that ends the event, which three others follow. */
static ssize_t write_bytes(int fd, const char *bytes, size_t length, long long *before) {
  for (size_t i = 0; i < length; i++) {
    if (i + 3 == length) *before = now_ns();
    ssize_t took = write(fd, bytes + i, 1);
    if (took <= 0) return i > 0 ? (ssize_t)i : took;
  }
  return (ssize_t)length;
}

/* Writes what is due and the socket takes; a flood yields after each block, so that all streams have their share. */
static int pump(Conn *conn) {
  for (int blocks = 0; conn->written < conn->due; blocks++) {
    if (blocks > 0 && step_ns == 0) {
      want_out(conn, 1);
      return 1;
    }
    size_t left = (size_t)(conn->due - conn->written) * conn->event_len - conn->offset;
    size_t whole = (size_t)burst * conn->event_len - conn->offset;
    size_t length = cut != CUT_ONE ? conn->event_len - conn->offset : left < whole ? left : whole;
    int fresh = conn->offset == 0;
    long long before = now_ns();
    ssize_t took = cut == CUT_BYTE ? write_bytes(conn->fd, conn->block + conn->offset, length, &before)
                                   : write(conn->fd, conn->block + conn->offset, length);
    int unsent = 1;
    if (took == (ssize_t)length) ioctl(conn->fd, SIOCOUTQNSD, &unsent);
    long long after = unsent == 0 ? now_ns() : 0;
    if (truth && fresh && took > 0)
      for (size_t i = 0; i < length / conn->event_len; i++)
        fprintf(truth, "%s %d %lld %lld\n", conn->id, conn->written + (int)i, before, after);
    if (took < 0) {
      if (errno != EAGAIN) return 0;
      want_out(conn, 1);
      return 1;
    }
    conn->offset += (size_t)took;
    int whole_events = (int)(conn->offset / conn->event_len);
    conn->written += whole_events;
    events_written += whole_events;
    conn->offset %= conn->event_len;
    if ((size_t)took < length) {
      want_out(conn, 1);
      return 1;
    }
  }
  if (conn->written == conn->tokens) {
    ssize_t took = write(conn->fd, conn->tail + conn->tail_offset, conn->tail_len - conn->tail_offset);
    if (took < 0 && errno != EAGAIN) return 0;
    if (took > 0) conn->tail_offset += (size_t)took;
    if (conn->tail_offset < conn->tail_len) {
      want_out(conn, 1);
      return 1;
    }
    conn->active = 0;
    streams_done++;
  }
  want_out(conn, 0);
  return 1;
}

static size_t put_chunk(char *to, const char *format, ...) {
  char data[512];
  va_list args;
  va_start(args, format);
  int length = vsnprintf(data, sizeof data, format, args);
  va_end(args);
  return (size_t)sprintf(to, "%x\r\n%s\r\n", (unsigned)length, data);
}

static int write_all(int fd, const char *text, size_t length) {
  return write(fd, text, length) == (ssize_t)length;
}

static int answer_get(Conn *conn, const char *path) {
  char body[512] = "", head[256];
  int status = 200;
  if (!strncmp(path, "/v1/models ", 11))
    strcpy(body, "{\"object\":\"list\",\"data\":[{\"id\":\"c-server\",\"object\":\"model\",\"created\":0,\"owned_by\":\"bench-c\"}]}");
  else if (!strncmp(path, "/health ", 8))
    strcpy(body, "{\"status\":\"ok\"}");
  else if (!strncmp(path, "/times ", 7)) {
    sprintf(body, "{\"firstPostNs\":%lld,\"firstMarkedNs\":%lld,\"posts\":%lld,\"streams\":%lld,\"events\":%lld}",
            first_post_ns, first_mark_ns, posts, streams_done, events_written);
  } else
    status = 404;
  int length = sprintf(head, "HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n",
                       status == 200 ? "200 OK" : "404 Not Found", strlen(body));
  return write_all(conn->fd, head, (size_t)length) && write_all(conn->fd, body, strlen(body));
}

/* Tokens of the prompt: words of the first "content". */
static int count_words(const char *body, const char *end) {
  static const char key[] = "\"content\":\"";
  const char *at = memmem(body, (size_t)(end - body), key, sizeof key - 1);
  if (!at) return 1;
  int words = 1;
  for (at += sizeof key - 1; at < end && *at != '"'; at++) {
    if (*at == '\\') at++;
    else if (*at == ' ') words++;
  }
  return words;
}

/* What follows a key of the body, which holds no other text like it; NULL without the key. */
static const char *value_of(const char *body, const char *end, const char *key) {
  const char *at = memmem(body, (size_t)(end - body), key, strlen(key));
  return at ? at + strlen(key) + strspn(at + strlen(key), " ") : NULL;
}

static int start_stream(Conn *conn, const char *head, const char *body, const char *end) {
  long long at = now_ns();
  if (posts++ == 0) first_post_ns = at;
  const char *max = value_of(body, end, "\"max_completion_tokens\":");
  if (!max) max = value_of(body, end, "\"max_tokens\":");
  conn->tokens = max ? atoi(max) : 16;
  const char *asks_usage = value_of(body, end, "\"include_usage\":");
  if (conn->tokens == mark && first_mark_ns == 0) first_mark_ns = at;
  conn->prompt_tokens = count_words(body, end);
  const char *id = strcasestr(head, "\r\nx-request-id:");
  snprintf(conn->id, sizeof conn->id, "%lld", posts);
  if (id && id < body) sscanf(id + 15, " %63[^\r\n]", conn->id);
  if (truth) fprintf(truth, "%s -1 %lld\n", conn->id, at);

  char event[512];
  conn->event_len = put_chunk(event,
      "data: {\"id\":\"chatcmpl-%016llx\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
      "\"model\":\"c-server\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},"
      "\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n", posts);
  conn->block = realloc(conn->block, conn->event_len * (size_t)burst);
  for (int i = 0; i < burst; i++) memcpy(conn->block + (size_t)i * conn->event_len, event, conn->event_len);
  conn->tail_len = put_chunk(conn->tail,
      "data: {\"id\":\"chatcmpl-%016llx\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
      "\"model\":\"c-server\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}],\"usage\":null}\n\n", posts);
  if (asks_usage && *asks_usage == 't') conn->tail_len += put_chunk(conn->tail + conn->tail_len,
      "data: {\"id\":\"chatcmpl-%016llx\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"c-server\","
      "\"choices\":[],\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":%d,\"total_tokens\":%d}}\n\n",
      posts, conn->prompt_tokens, conn->tokens, conn->prompt_tokens + conn->tokens);
  conn->tail_len += put_chunk(conn->tail + conn->tail_len, "data: [DONE]\n\n");
  conn->tail_len += (size_t)sprintf(conn->tail + conn->tail_len, "0\r\n\r\n");
  conn->tail_offset = conn->offset = 0;
  conn->written = 0;
  conn->active = 1;

  static const char ok[] =
      "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";
  if (!write_all(conn->fd, ok, sizeof ok - 1)) return 0;
  if (step_ns == 0 && ttft_ns == 0) {
    conn->due = conn->tokens;
    return pump(conn);
  }
  conn->due = 0;
  conn->next_ns = at + ttft_ns;
  /* Steps of the golden ratio cover a step evenly, however many streams there are. */
  if (spread) conn->next_ns += (long long)((double)step_ns * (posts * 0.6180339887498949 - (double)(long long)(posts * 0.6180339887498949)));
  heap_push(conn);
  return 1;
}

/* Handles whole requests in the input buffer; 0 when the connection is to be dropped. */
static int take_requests(Conn *conn) {
  while (!conn->active && conn->in_len > 0) {
    conn->in[conn->in_len] = 0;
    char *end_of_head = memmem(conn->in, conn->in_len, "\r\n\r\n", 4);
    if (!end_of_head) return 1;
    *end_of_head = 0;
    const char *length_at = strcasestr(conn->in, "\r\ncontent-length:");
    size_t body_len = length_at ? strtoul(length_at + 17, NULL, 10) : 0;
    int refused = strcasestr(conn->in, "\r\ntransfer-encoding:") != NULL;
    *end_of_head = '\r';
    char *body = end_of_head + 4;
    size_t whole = (size_t)(body - conn->in) + body_len;
    if (refused) {
      static const char wanted[] = "HTTP/1.1 411 Length Required\r\ncontent-length: 0\r\n\r\n";
      write_all(conn->fd, wanted, sizeof wanted - 1);
      return 0;
    }
    if (conn->in_len < whole) return 1;
    int kept = !strncmp(conn->in, "GET ", 4)    ? answer_get(conn, conn->in + 4)
               : !strncmp(conn->in, "POST ", 5) ? start_stream(conn, conn->in, body, conn->in + whole)
                                                : 0;
    if (!kept) return 0;
    conn->in_len -= whole;
    memmove(conn->in, conn->in + whole, conn->in_len);
  }
  return 1;
}

static int read_some(Conn *conn) {
  if (conn->in_size - conn->in_len < 4096) {
    conn->in_size = conn->in_size ? conn->in_size * 2 : 8192;
    conn->in = realloc(conn->in, conn->in_size + 1);
  }
  ssize_t got = read(conn->fd, conn->in + conn->in_len, conn->in_size - conn->in_len);
  if (got < 0) return errno == EAGAIN;
  if (got == 0) return 0;
  conn->in_len += (size_t)got;
  return take_requests(conn);
}

static void run_deadlines(void) {
  while (heap_size > 0 && heap[0]->next_ns <= now_ns()) {
    Conn *conn = heap[0];
    conn->due = step_ns > 0 && conn->due + burst < conn->tokens ? conn->due + burst : conn->tokens;
    if (conn->due < conn->tokens) {
      conn->next_ns += step_ns;
      heap_sift(0);
    } else {
      heap_remove(conn);
    }
    if (!pump(conn) || !take_requests(conn)) drop(conn);
  }
  long long next = heap_size > 0 ? heap[0]->next_ns : 0;
  if (next == armed_ns) return;
  armed_ns = next;
  struct itimerspec at = {.it_value = {.tv_sec = next / 1000000000LL, .tv_nsec = next % 1000000000LL}};
  timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static int listen_on_loopback(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096)) die("listen");
  socklen_t size = sizeof address;
  getsockname(fd, (struct sockaddr *)&address, &size);
  printf("port %d\n", ntohs(address.sin_port));
  fflush(stdout);
  return fd;
}

static void accept_all(int listener) {
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    if (fd >= MAX_FD) {
      close(fd);
      return;
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    Conn *conn = calloc(1, sizeof *conn);
    conn->fd = fd;
    conn->heap_at = NONE;
    conns[fd] = conn;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
  }
}

static void read_options(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    const char *name = argv[i];
    if (!strcmp(name, "--spread")) {
      spread = 1;
      continue;
    }
    const char *value = ++i < argc ? argv[i] : NULL;
    if (!value) {
      fprintf(stderr, "%s needs a value\n", name);
      exit(2);
    }
    if (!strcmp(name, "--ttft-us")) ttft_ns = atoll(value) * 1000;
    else if (!strcmp(name, "--step-us")) step_ns = atoll(value) * 1000;
    else if (!strcmp(name, "--burst")) burst = atoi(value);
    else if (!strcmp(name, "--cut")) cut = *value == 'e' ? CUT_EACH : *value == 'b' ? CUT_BYTE : CUT_ONE;
    else if (!strcmp(name, "--mark")) mark = atoi(value);
    else if (!strcmp(name, "--log")) {
      if (!(truth = fopen(value, "w"))) die(value);
      setvbuf(truth, NULL, _IOFBF, 1 << 20);
    } else {
      fprintf(stderr, "unknown option %s\n", name);
      exit(2);
    }
  }
}

static void finish(int signal_number) {
  (void)signal_number;
  if (truth) fflush(truth);
  _exit(0);
}

int main(int argc, char **argv) {
  read_options(argc, argv);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGPIPE, SIG_IGN);
  int listener = listen_on_loopback();
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  int own[] = {listener, timer_fd};
  for (int i = 0; i < 2; i++) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = own[i]};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, own[i], &event);
  }
  /* The log is flushed outside of the signal's interruption: signals come in only while waiting. */
  sigset_t term, none;
  sigemptyset(&none);
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  sigprocmask(SIG_BLOCK, &term, NULL);
  signal(SIGTERM, finish);
  struct epoll_event events[512];
  for (;;) {
    int count = epoll_pwait(epoll_fd, events, 512, -1, &none);
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) accept_all(listener);
      else if (fd == timer_fd) {
        unsigned long long ticks;
        if (read(timer_fd, &ticks, sizeof ticks) < 0 && errno != EAGAIN) die("timer");
        armed_ns = 0;
      } else if (conns[fd]) {
        Conn *conn = conns[fd];
        int kept = 1;
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) kept = read_some(conn);
        if (kept && (events[i].events & EPOLLOUT) && conn->active) kept = pump(conn) && take_requests(conn);
        if (!kept) drop(conn);
      }
    }
    run_deadlines();
  }
}
