/*
 * The receiver: N WebSocket connections to any server of the bench, in one thread with epoll. It opens them, says on
 * each what its script says, and then counts. It is the same program for every contender, so that what it costs is the
 * same for all, and is cheap enough to leave a core to the server.
 *
 * Every --sample-every-th connection is read closely: its records carry "n" (a number that goes up by one) and "at"
 * (the intended time), from which come lost and repeated records and the latency.
 *
 * Commands on stdin: `reset` (count from zero), `report`, `until N` (report when N messages have been counted).
 */
#define _GNU_SOURCE
#include "clock.h"
#include "generator.h"

struct connection {
  int fd;
  uint8_t connected, ready, scripted, sampled;
  uint16_t readies;
  uint32_t index;
  uint64_t counted, last_n;
  struct reader reader;
};

static struct {
  const char *host, *path, *protocol, *ready_prefix, *count_prefix, *ping_prefix, *pong, *fail_prefix;
  int port, ready_count, wait_for_greeting, opening;
  long connections;
} with;

static struct connection *all;
static char **scripts;
static long scripts_count, opened, ready;
static uint64_t counted, counted_bytes, until, lost, repeated, first_open_ns, reset_ns;
static double reset_cpu_ms;
static struct histogram latency;
static int epoll;

static void reset(void) {
  counted = counted_bytes = lost = repeated = until = 0;
  for (long i = 0; i < with.connections; i++) all[i].counted = all[i].last_n = 0;
  histogram_clear(&latency);
  reset_ns = now_ns();
  reset_cpu_ms = cpu_ms();
}

static void report(const char *event) {
  uint64_t least = UINT64_MAX, most = 0, now = now_ns();
  for (long i = 0; i < with.connections; i++) {
    if (all[i].counted < least) least = all[i].counted;
    if (all[i].counted > most) most = all[i].counted;
  }
  printf("{\"event\":\"%s\",\"connections\":%ld,\"counted\":%llu,\"bytes\":%llu,\"least\":%llu,\"most\":%llu,\"lost\":%llu,"
         "\"repeated\":%llu,\"wallMs\":%.3f,\"sinceOpenMs\":%.3f,\"cpuMs\":%.3f",
         event, ready, (unsigned long long)counted, (unsigned long long)counted_bytes, (unsigned long long)least,
         (unsigned long long)most, (unsigned long long)lost, (unsigned long long)repeated, (double)(now - reset_ns) / 1e6,
         (double)(now - first_open_ns) / 1e6, cpu_ms() - reset_cpu_ms);
  print_latency(&latency);
  printf("}\n");
  fflush(stdout);
}

static void check_until(void) {
  if (until == 0 || counted < until) return;
  until = 0;
  report("reached");
}

static void obey(char *line) {
  if (strcmp(line, "reset") == 0) reset();
  else if (strcmp(line, "report") == 0) report("report");
  else if (strncmp(line, "until ", 6) == 0) until = strtoull(line + 6, NULL, 10), check_until();
  else die("unknown command ", line);
}

static void open_more(void) {
  while (opened < with.connections && opened - ready < with.opening) {
    struct connection *c = &all[opened];
    c->index = (uint32_t)opened++;
    c->fd = open_socket(with.host, with.port);
    watch(epoll, EPOLL_CTL_ADD, c->fd, EPOLLOUT, c);
  }
}

static void become_ready(struct connection *c) {
  c->ready = 1;
  ready++;
  if (ready == with.connections) report("ready");
}

/* A script is the frames to send, with a tab between them; connections beyond the last line begin again at the first. */
static void say_script(struct connection *c) {
  c->scripted = 1;
  if (scripts_count > 0) {
    char *line = scripts[c->index % scripts_count];
    for (char *frame = line; frame;) {
      char *end = strchrnul(frame, '\t');
      send_frame(c->fd, OP_TEXT, frame, (size_t)(end - frame));
      frame = *end ? end + 1 : NULL;
    }
  }
  if (with.ready_count == 0) become_ready(c);
}

/* The number behind `name` among the kept bytes, or 0. */
static uint64_t number_after(const char *text, uint32_t kept, const char *name) {
  const char *found = memmem(text, kept, name, strlen(name));
  uint64_t value = 0;
  if (!found) return 0;
  for (found += strlen(name); found < text + kept && *found >= '0' && *found <= '9'; found++)
    value = value * 10 + (uint64_t)(*found - '0');
  return value;
}

static void look_closely(struct connection *c, const char *text, uint32_t kept) {
  if (kept > KEPT) kept = KEPT;
  uint64_t n = number_after(text, kept, "\"n\":"), at = number_after(text, kept, "\"at\":\"");
  uint64_t now = now_ns();
  if (at > 0) histogram_add(&latency, now > at ? now - at : 0);
  if (n == 0) return;
  if (c->last_n > 0 && n > c->last_n + 1) lost += n - c->last_n - 1;
  if (n <= c->last_n) repeated++;
  else c->last_n = n;
}

static void take_message(void *owner, int opcode, const char *text, uint32_t kept, uint64_t length) {
  struct connection *c = owner;
  if (opcode == 0) { /* upgraded */
    if (!with.wait_for_greeting) say_script(c);
    return;
  }
  if (opcode == OP_PING) {
    send_frame(c->fd, OP_PONG, text, kept);
    return;
  }
  if (opcode == OP_CLOSE) {
    char code[16];
    snprintf(code, sizeof code, "%d", kept >= 2 ? (uint8_t)text[0] << 8 | (uint8_t)text[1] : 1005);
    die("the server closed a connection with ", code);
  }
  if (opcode == OP_PONG) return;
  if (!c->scripted) say_script(c);
  if (c->ready && starts(text, kept, with.count_prefix)) goto count;
  if (with.ping_prefix[0] && starts(text, kept, with.ping_prefix)) {
    send_frame(c->fd, OP_TEXT, with.pong, strlen(with.pong));
    return;
  }
  if (with.fail_prefix[0] && starts(text, kept, with.fail_prefix)) {
    char *said = strndup(text, kept < 300 ? kept : 300);
    die("the server said ", said);
  }
  if (!c->ready && with.ready_count > 0 && starts(text, kept, with.ready_prefix)) {
    if (++c->readies == with.ready_count) become_ready(c);
    return;
  }
  if (!starts(text, kept, with.count_prefix)) return;
count:
  c->counted++;
  counted++;
  counted_bytes += length;
  if (c->sampled) look_closely(c, text, kept);
}

static void read_scripts(const char *path) {
  FILE *file = fopen(path, "r");
  if (!file) die("--script cannot be read: ", path);
  size_t room = 0, capacity = 0;
  ssize_t length;
  for (char *line = NULL; (length = getline(&line, &room, file)) > 0; line = NULL, room = 0) {
    if (line[length - 1] == '\n') line[length - 1] = 0;
    if ((size_t)scripts_count == capacity) scripts = realloc(scripts, (capacity = capacity * 2 + 16) * sizeof *scripts);
    scripts[scripts_count++] = line;
  }
  fclose(file);
}

static void serve(struct connection *c) {
  static char buffer[256 * 1024];
  if (!c->connected) {
    int error = connect_error(c->fd);
    if (error) die("no connection: ", strerror(error));
    c->connected = 1;
    send_upgrade(c->fd, with.host, with.port, with.path, with.protocol);
    watch(epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN | EPOLLET, c);
    return;
  }
  /* Edge-triggered: a socket that was read to its end is not asked again, which halves what a record costs here. */
  ssize_t n;
  do {
    n = recv(c->fd, buffer, sizeof buffer, 0);
    if (n > 0) reader_take(&c->reader, buffer, (size_t)n, c, take_message);
  } while (n == (ssize_t)sizeof buffer);
  if (n > 0) return;
  if (n == 0) die("the server cut a connection", "");
  else if (errno != EAGAIN && errno != EINTR) die("the server cut a connection: ", strerror(errno));
}

int main(int argc, char **argv) {
  with.host = option(argc, argv, "host", "127.0.0.1");
  with.port = (int)option_number(argc, argv, "port", 0);
  with.path = option(argc, argv, "path", "/");
  with.protocol = option(argc, argv, "protocol", "");
  with.connections = option_number(argc, argv, "connections", 1);
  with.opening = (int)option_number(argc, argv, "opening", 128);
  with.wait_for_greeting = (int)option_number(argc, argv, "wait-for-greeting", 0);
  with.ready_prefix = option(argc, argv, "ready-prefix", "");
  with.ready_count = (int)option_number(argc, argv, "ready-count", 0);
  with.count_prefix = option(argc, argv, "count-prefix", "");
  with.ping_prefix = option(argc, argv, "ping-prefix", "");
  with.pong = option(argc, argv, "pong", "");
  with.fail_prefix = option(argc, argv, "fail-prefix", "");
  long sample_every = option_number(argc, argv, "sample-every", 50);
  const char *script = option(argc, argv, "script", NULL);
  if (script) read_scripts(script);

  epoll = epoll_create1(EPOLL_CLOEXEC);
  all = calloc((size_t)with.connections, sizeof *all);
  for (long i = 0; i < with.connections; i++) all[i].sampled = i % sample_every == 0;
  watch(epoll, EPOLL_CTL_ADD, 0, EPOLLIN, NULL);
  reset();
  first_open_ns = now_ns();
  open_more();

  for (;;) {
    struct epoll_event events[512];
    int n = epoll_wait(epoll, events, 512, -1);
    for (int i = 0; i < n; i++) {
      if (events[i].data.ptr) serve(events[i].data.ptr);
      else if (!take_commands(obey)) return 0;
    }
    if (opened < with.connections) open_more();
    check_until();
  }
}
