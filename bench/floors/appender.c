/*
 * The appender: a few WebSocket connections that append records to a Tideway server, or to the append floor, and time
 * every answer. Three ways to send:
 *   --rate R      open loop: record i is due at start + i / R (--burst B: B records together), whatever the server does;
 *                 latency counts from that intended time, so a server that stalls cannot hide it;
 *   --window W    closed loop: every connection keeps W unanswered;
 *   --lockstep B  one batch of B, all its answers, the next batch.
 * A channel belongs to one connection; its records take turns with the connection's other channels.
 *
 * Commands on stdin: `go`, `lap` (report since the last lap), `stop` (finish what is open, then report and end).
 * An answer that is no `ok` ends the program: nothing is measured of a server that refuses.
 */
#define _GNU_SOURCE
#include <sys/timerfd.h>

#include "clock.h"
#include "generator.h"

#define RING (1u << 17)

struct connection {
  int fd;
  uint8_t connected, ready;
  uint32_t index, channels;
  uint64_t sent, answered, quota;
  uint64_t *due; /* intended times of unanswered records */
  char *out;
  size_t out_len, out_room;
  struct reader reader;
};

static struct {
  const char *host, *path, *protocol, *hello, *channel;
  int port, connections, channels, burst, numbered;
  long payload, window, lockstep, rate, records;
} with;

static struct connection *all;
static int epoll, timer, ready, going, stopping;
static uint64_t acked, lap_acked, planned, start_ns, lap_ns;
static double lap_cpu_ms;
static struct histogram latency;
static char pad[1 << 20], run[13];
static char (*cursors)[65];
static int timer_mark;

static void report(const char *event) {
  uint64_t now = now_ns(), behind = 0;
  for (int i = 0; i < with.connections; i++) behind += all[i].sent - all[i].answered;
  double wall_ms = (double)(now - lap_ns) / 1e6;
  printf("{\"event\":\"%s\",\"acked\":%llu,\"unanswered\":%llu,\"wallMs\":%.3f,\"perSecond\":%.1f,\"cpuMs\":%.3f", event,
         (unsigned long long)(acked - lap_acked), (unsigned long long)behind, wall_ms,
         (double)(acked - lap_acked) / wall_ms * 1e3, cpu_ms() - lap_cpu_ms);
  print_latency(&latency);
  printf("}\n");
  fflush(stdout);
  lap_acked = acked;
  lap_ns = now;
  lap_cpu_ms = cpu_ms();
  histogram_clear(&latency);
}

static void flush_out(struct connection *c) {
  size_t done = 0;
  while (done < c->out_len) {
    ssize_t n = send(c->fd, c->out + done, c->out_len - done, MSG_NOSIGNAL);
    if (n > 0) done += (size_t)n;
    else if (errno == EAGAIN) break;
    else if (errno != EINTR) die("the server cut a connection: ", strerror(errno));
  }
  memmove(c->out, c->out + done, c->out_len -= done);
  watch(epoll, EPOLL_CTL_MOD, c->fd, c->out_len > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN, c);
}

static void channel_name(char *to, size_t size, uint64_t number) {
  if (with.numbered) snprintf(to, size, "%s%llu", with.channel, (unsigned long long)number);
  else snprintf(to, size, "%s", with.channel);
}

/* Puts one append into the connection's buffer. "n" counts within the channel; it starts at 1,000,000,001 so that its width never changes. */
static void put_append(struct connection *c, uint64_t due_ns) {
  char text[1024], channel[256];
  uint64_t n = c->sent++;
  if (c->sent - c->answered > RING) die("the server is more than 131,072 records behind", "");
  c->due[n % RING] = due_ns;
  channel_name(channel, sizeof channel, c->index + n % c->channels * (uint64_t)with.connections);
  int head = snprintf(text, sizeof text, "{\"op\":\"append\",\"id\":%llu,\"channel\":\"%s\",\"rid\":\"%s%010llu\"}\n",
                      (unsigned long long)n + 1, channel, run, (unsigned long long)n * (uint64_t)with.connections + c->index);
  int body = snprintf(text + head, sizeof text - (size_t)head, "{\"n\":%llu,\"at\":\"%019llu\",\"pad\":\"",
                      1000000001ull + n / c->channels, (unsigned long long)due_ns);
  size_t fill = with.payload > body + 2 ? (size_t)(with.payload - body - 2) : 0, length = (size_t)(head + body) + fill + 2;
  if (c->out_len + length + 14 > c->out_room) c->out = realloc(c->out, c->out_room = c->out_room * 2 + length + 65536);
  char *to = c->out + c->out_len;
  size_t frame = frame_head(to, OP_TEXT, length);
  memcpy(to + frame, text, (size_t)(head + body));
  memcpy(to + frame + head + body, pad, fill);
  memcpy(to + frame + head + body + fill, "\"}", 2);
  c->out_len += frame + length;
}

static void fill_window(struct connection *c) {
  uint64_t now = now_ns(), open = c->sent - c->answered;
  if (!going || stopping || with.rate > 0) return;
  if (with.lockstep > 0) {
    if (open > 0) return;
    for (long i = 0; i < with.lockstep && c->sent < c->quota; i++) put_append(c, now);
  } else if (with.window > 0) {
    for (; open < (uint64_t)with.window && c->sent < c->quota; open++) put_append(c, now);
  }
}

static void set_timer(void) {
  uint64_t due = start_ns + planned * 1000000000ull / (uint64_t)with.rate;
  struct itimerspec at = {.it_value = {(time_t)(due / 1000000000ull), (long)(due % 1000000000ull)}};
  timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
}

/* Sends what is due by now; the appends of one burst go to one connection, in one write. */
static void send_due(void) {
  uint64_t now = now_ns(), due, most = with.records > 0 ? (uint64_t)with.records : UINT64_MAX, expired;
  if (read(timer, &expired, sizeof expired) < 0 && errno != EAGAIN) die("timer: ", strerror(errno));
  while (!stopping && planned < most && (due = start_ns + planned * 1000000000ull / (uint64_t)with.rate) <= now) {
    struct connection *c = &all[planned / (uint64_t)with.burst % (uint64_t)with.connections];
    for (int i = 0; i < with.burst; i++) put_append(c, due);
    planned += (uint64_t)with.burst;
  }
  for (int i = 0; i < with.connections; i++)
    if (all[i].out_len > 0) flush_out(&all[i]);
  if (!stopping && planned < most) set_timer();
}

static void go(void) {
  going = 1;
  start_ns = now_ns();
  lap_ns = start_ns;
  lap_cpu_ms = cpu_ms();
  if (with.rate > 0) {
    set_timer();
    return;
  }
  for (int i = 0; i < with.connections; i++) {
    fill_window(&all[i]);
    flush_out(&all[i]);
  }
}

static void obey(char *line) {
  if (strcmp(line, "go") == 0) go();
  else if (strcmp(line, "lap") == 0) report("lap");
  else if (strcmp(line, "stop") == 0) stopping = 1;
  else die("unknown command ", line);
}

static void remember_cursor(struct connection *c, uint64_t n, const char *text, uint32_t kept) {
  if (!cursors || n >= c->channels) return;
  const char *from = memmem(text, kept, "\"cursor\":\"", 10), *end = from ? memchr(from + 10, '"', text + kept - from - 10) : NULL;
  if (!end || end - from - 10 > 64) die("an ok without cursor", "");
  memcpy(cursors[c->index + n * (uint64_t)with.connections], from + 10, (size_t)(end - from - 10));
}

static void take_message(void *owner, int opcode, const char *text, uint32_t kept, uint64_t length) {
  struct connection *c = owner;
  (void)length;
  if (opcode == 0) {
    if (with.hello[0]) send_frame(c->fd, OP_TEXT, with.hello, strlen(with.hello));
    else c->ready = 1, ready++;
    return;
  }
  if (opcode == OP_PING) return send_frame(c->fd, OP_PONG, text, kept);
  if (opcode == OP_CLOSE) die("the server closed a connection", "");
  if (starts(text, kept, "{\"op\":\"ping\"")) return send_frame(c->fd, OP_TEXT, "{\"op\":\"pong\"}", 13);
  if (!starts(text, kept, "{\"op\":\"ok\"")) {
    if (starts(text, kept, "{\"op\":\"error\"")) die("the server said ", strndup(text, kept < 300 ? kept : 300));
    return;
  }
  if (!c->ready) {
    c->ready = 1;
    ready++;
    return;
  }
  const char *id = memmem(text, kept, "\"id\":", 5);
  uint64_t n = id ? strtoull(id + 5, NULL, 10) - 1 : UINT64_MAX;
  if (n >= c->sent) die("an ok for an append that was not sent", "");
  uint64_t *due = &c->due[n % RING];
  if (*due == 0) die("an append was answered twice", "");
  uint64_t now = now_ns();
  histogram_add(&latency, now > *due ? now - *due : 0);
  *due = 0;
  c->answered++;
  acked++;
  remember_cursor(c, n, text, kept);
  fill_window(c);
}

static void serve(struct connection *c, uint32_t events) {
  static char buffer[256 * 1024];
  if (!c->connected) {
    int error = connect_error(c->fd);
    if (error) die("no connection: ", strerror(error));
    c->connected = 1;
    send_upgrade(c->fd, with.host, with.port, with.path, with.protocol);
    watch(epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
    return;
  }
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
    ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);
    if (n > 0) reader_take(&c->reader, buffer, (size_t)n, c, take_message);
    else if (n == 0) die("the server cut a connection", "");
    else if (errno != EAGAIN && errno != EINTR) die("the server cut a connection: ", strerror(errno));
  }
  if (c->out_len > 0) flush_out(c);
}

static void print_cursors(const char *path) {
  FILE *file = fopen(path, "w");
  if (!file) die("--cursors cannot be written: ", path);
  for (int i = 0; i < with.channels; i++) fprintf(file, "%s\n", cursors[i]);
  fclose(file);
}

static int finished(void) {
  int all_sent = stopping || (with.records > 0 && acked == (uint64_t)with.records);
  for (int i = 0; i < with.connections && all_sent; i++) all_sent = all[i].sent == all[i].answered;
  return going && all_sent;
}

int main(int argc, char **argv) {
  with.host = option(argc, argv, "host", "127.0.0.1");
  with.port = (int)option_number(argc, argv, "port", 0);
  with.path = option(argc, argv, "path", "/");
  with.protocol = option(argc, argv, "protocol", "");
  with.hello = option(argc, argv, "hello", "");
  with.channel = option(argc, argv, "channel", "bench:append");
  with.channels = (int)option_number(argc, argv, "channels", 0);
  with.numbered = with.channels > 0;
  with.connections = (int)option_number(argc, argv, "connections", 1);
  with.payload = option_number(argc, argv, "payload-bytes", 200);
  with.window = option_number(argc, argv, "window", 1);
  with.lockstep = option_number(argc, argv, "lockstep", 0);
  with.rate = option_number(argc, argv, "rate", 0);
  with.burst = (int)option_number(argc, argv, "burst", 1);
  with.records = option_number(argc, argv, "records", 0);
  const char *cursors_path = option(argc, argv, "cursors", NULL);
  if (with.channels < with.connections) with.channels = with.connections;
  if (with.payload > (long)sizeof pad) die("--payload-bytes must be at most 1,048,576", "");
  if (cursors_path) cursors = calloc((size_t)with.channels, sizeof *cursors);
  memset(pad, 'x', sizeof pad);
  snprintf(run, sizeof run, "%012llx", (unsigned long long)((now_ns() ^ (uint64_t)getpid() << 32) & 0xffffffffffffull));

  epoll = epoll_create1(EPOLL_CLOEXEC);
  timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  all = calloc((size_t)with.connections, sizeof *all);
  for (int i = 0; i < with.connections; i++) {
    struct connection *c = &all[i];
    c->index = (uint32_t)i;
    c->channels = (uint32_t)((with.channels - i + with.connections - 1) / with.connections);
    c->quota = with.records > 0 ? (uint64_t)((with.records - i + with.connections - 1) / with.connections) : UINT64_MAX;
    c->due = calloc(RING, sizeof *c->due);
    c->fd = open_socket(with.host, with.port);
    watch(epoll, EPOLL_CTL_ADD, c->fd, EPOLLOUT, c);
  }
  watch(epoll, EPOLL_CTL_ADD, 0, EPOLLIN, NULL);
  watch(epoll, EPOLL_CTL_ADD, timer, EPOLLIN, &timer_mark);

  for (int said_ready = 0; !finished();) {
    struct epoll_event events[64];
    int n = epoll_wait(epoll, events, 64, -1);
    for (int i = 0; i < n; i++) {
      if (events[i].data.ptr == &timer_mark) send_due();
      else if (events[i].data.ptr) serve(events[i].data.ptr, events[i].events);
      else if (!take_commands(obey)) return 0;
    }
    if (!said_ready && ready == with.connections) {
      said_ready = 1;
      printf("{\"event\":\"ready\"}\n");
      fflush(stdout);
    }
  }
  if (cursors) print_cursors(cursors_path);
  report("done");
  /* Stays until stdin ends, so that its CPU can be read. */
  while (take_commands(obey)) continue;
  return 0;
}
