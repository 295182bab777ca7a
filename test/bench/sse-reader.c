/*
 * The limit for a client: reads streams with epoll and counts events by scanning for "data: ", no JSON.
 *
 *   sse-reader PORT STREAMS REQUESTS TOKENS
 *
 * REQUESTS are sent in all, at most STREAMS at once, one connection per stream. Prints one line of JSON: events seen
 * (the stream's last three, without a token, included), seconds from first send to last byte, and the CPU
 * seconds that this took.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
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

#define TAIL 5
#define READ_SIZE 65536

static char request[1024], buffer[TAIL + READ_SIZE];
static size_t request_len;

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
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

static void send_request(int fd) {
  if (write(fd, request, request_len) != (ssize_t)request_len) die("write");
}

int main(int argc, char **argv) {
  if (argc != 5) {
    fprintf(stderr, "usage: sse-reader PORT STREAMS REQUESTS TOKENS\n");
    return 2;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  int port = atoi(argv[1]), streams = atoi(argv[2]), requests = atoi(argv[3]), tokens = atoi(argv[4]);
  if (requests < streams) streams = requests;
  char body[512];
  int body_len = sprintf(body,
      "{\"model\":\"c-server\",\"messages\":[{\"role\":\"user\",\"content\":\"a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f\"}],"
      "\"temperature\":0,\"max_tokens\":%d,\"stream\":true,\"stream_options\":{\"include_usage\":true}}", tokens);
  request_len = (size_t)sprintf(request,
      "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:%d\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s",
      port, body_len, body);

  int epoll_fd = epoll_create1(0);
  int *fds = calloc((size_t)streams, sizeof *fds);
  char(*tails)[TAIL] = calloc((size_t)streams, TAIL);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  for (int i = 0; i < streams; i++) {
    fds[i] = socket(AF_INET, SOCK_STREAM, 0);
    if (fds[i] < 0 || connect(fds[i], (struct sockaddr *)&address, sizeof address)) die("connect");
    int on = 1;
    setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = i};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fds[i], &event);
  }

  double cpu_from = cpu_seconds(), from = seconds();
  int sent = 0, done = 0;
  long long events = 0;
  for (; sent < streams; sent++) send_request(fds[sent]);
  struct epoll_event ready[512];
  while (done < requests) {
    int count = epoll_wait(epoll_fd, ready, 512, -1);
    for (int i = 0; i < count; i++) {
      int stream = ready[i].data.fd;
      /* The last bytes before stand in front of the new ones, so that no mark is cut in two. */
      memcpy(buffer, tails[stream], TAIL);
      ssize_t got = recv(fds[stream], buffer + TAIL, READ_SIZE, MSG_DONTWAIT);
      if (got <= 0) die("stream cut");
      char *at = buffer, *end = buffer + TAIL + got;
      while ((at = memmem(at, (size_t)(end - at), "data: ", 6))) {
        events++;
        at += 6;
      }
      memcpy(tails[stream], end - TAIL, TAIL);
      if (memcmp(end - 5, "0\r\n\r\n", 5)) continue;
      done++;
      memset(tails[stream], 0, TAIL);
      if (sent < requests) {
        send_request(fds[stream]);
        sent++;
      }
    }
  }
  double took = seconds() - from;
  printf("{\"events\":%lld,\"elapsedS\":%.6f,\"cpuS\":%.6f}\n", events, took, cpu_seconds() - cpu_from);
  return 0;
}
