/*
 * The floor of fan-out: what it costs to hand one ready frame to N sockets, and nothing else. It accepts N WebSocket
 * connections with the least of an upgrade and then, tick by tick, calls `send` once per connection: for each frame
 * (`single`), or for all frames of a tick joined (`joined`). No server can be cheaper on this kernel without a
 * different way into it.
 *
 * Commands on stdin: `run TICKS HZ BURST FRAME_BYTES CHANNELS single|joined`. HZ 0 is as fast as it goes. Connection c
 * follows channel c % CHANNELS; the records of all ticks go to the channels in turn (`joined` is for one channel).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

static const char answer[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

static void fail(const char *what) {
  printf("{\"event\":\"failed\",\"reason\":\"%s: %s\"}\n", what, strerror(errno));
  exit(1);
}

static void send_whole(int fd, const char *bytes, size_t length) {
  while (length > 0) {
    ssize_t n = send(fd, bytes, length, MSG_NOSIGNAL);
    if (n < 0 && errno != EINTR) fail("send");
    if (n > 0) bytes += n, length -= (size_t)n;
  }
}

static int accept_one(int listener) {
  char request[4096];
  size_t have = 0;
  int one = 1, fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  if (fd < 0) fail("accept");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  do {
    ssize_t n = recv(fd, request + have, sizeof request - 1 - have, 0);
    if (n <= 0) fail("upgrade");
    have += (size_t)n;
    request[have] = 0;
  } while (!strstr(request, "\r\n\r\n") && have < sizeof request - 1);
  send_whole(fd, answer, sizeof answer - 1);
  return fd;
}

/* A text frame whose message has `bytes` bytes and carries the record's number and intended time. */
static size_t make_frame(char *to, size_t bytes, unsigned long long n, uint64_t at) {
  size_t head = 2;
  to[0] = (char)0x81;
  if (bytes < 126) {
    to[1] = (char)bytes;
  } else if (bytes < 65536) {
    to[1] = 126, to[2] = (char)(bytes >> 8), to[3] = (char)bytes, head = 4;
  } else {
    to[1] = 127, head = 10;
    for (int i = 0; i < 8; i++) to[2 + i] = (char)((uint64_t)bytes >> (56 - 8 * i));
  }
  memset(to + head, 'x', bytes);
  int text = sprintf(to + head, "{\"op\":\"record\"}\n{\"n\":%llu,\"at\":\"%019llu\",\"pad\":\"", 1000000000ull + n,
                     (unsigned long long)at);
  to[head + (size_t)text] = 'x';
  memcpy(to + head + bytes - 2, "\"}", 2);
  return head + bytes;
}

static void wait_until(uint64_t at) {
  struct timespec t = {(time_t)(at / 1000000000ull), (long)(at % 1000000000ull)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) continue;
}

static void run(const int *fds, int connections, long ticks, long hz, int burst, size_t bytes, int channels, int joined) {
  static unsigned long long n;
  char *frames = malloc((size_t)burst * (bytes + 10));
  uint64_t start = now_ns();
  for (long tick = 0; tick < ticks; tick++) {
    uint64_t at = hz > 0 ? start + (uint64_t)tick * 1000000000ull / (uint64_t)hz : now_ns();
    if (hz > 0) wait_until(at);
    size_t total = 0, each = 0;
    unsigned long long first = n;
    for (int i = 0; i < burst; i++, n++)
      total += each = make_frame(frames + total, bytes, 1 + n / (unsigned long long)channels, at);
    if (joined) {
      for (int c = 0; c < connections; c++) send_whole(fds[c], frames, total);
    } else {
      for (int i = 0; i < burst; i++)
        for (int c = (int)((first + (unsigned)i) % (unsigned)channels); c < connections; c += channels)
          send_whole(fds[c], frames + (size_t)i * each, each);
    }
  }
  free(frames);
}

int main(int argc, char **argv) {
  int connections = argc > 1 ? atoi(argv[1]) : 0, burst, channels, on = 1;
  if (connections < 1) {
    fprintf(stderr, "usage: fan-out-sender CONNECTIONS\n");
    return 2;
  }
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof here;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&here, sizeof here) < 0 || listen(listener, 4096) < 0) fail("listen");
  getsockname(listener, (struct sockaddr *)&here, &size);
  printf("{\"event\":\"ready\",\"port\":%d}\n", ntohs(here.sin_port));
  fflush(stdout);

  int *fds = malloc((size_t)connections * sizeof *fds);
  for (int i = 0; i < connections; i++) fds[i] = accept_one(listener);
  char line[256], how[16];
  long ticks, hz;
  unsigned long bytes;
  while (fgets(line, sizeof line, stdin)) {
    if (sscanf(line, "run %ld %ld %d %lu %d %15s", &ticks, &hz, &burst, &bytes, &channels, how) != 6 || bytes < 80) {
      fprintf(stderr, "not understood: %s", line);
      return 2;
    }
    run(fds, connections, ticks, hz, burst, bytes, channels, strcmp(how, "joined") == 0);
    printf("{\"event\":\"done\"}\n");
    fflush(stdout);
  }
  return 0;
}
