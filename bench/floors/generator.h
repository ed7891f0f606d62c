/*
 * What the two generators (receiver, appender) share: options, and commands that come as lines on stdin.
 * The end of stdin is the end of the program, so that none of them outlives the bench.
 */
#ifndef GENERATOR_H
#define GENERATOR_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "websocket.h"

static const char *option(int argc, char **argv, const char *name, const char *otherwise) {
  for (int i = 1; i + 1 < argc; i += 2)
    if (strcmp(argv[i] + 2, name) == 0) return argv[i + 1];
  return otherwise;
}

static long option_number(int argc, char **argv, const char *name, long otherwise) {
  const char *text = option(argc, argv, name, NULL);
  if (!text) return otherwise;
  char *end;
  long value = strtol(text, &end, 10);
  if (*end || end == text) die("an option must be a whole number, got ", text);
  return value;
}

static int starts(const char *text, size_t length, const char *prefix) {
  size_t want = strlen(prefix);
  return length >= want && memcmp(text, prefix, want) == 0;
}

static void watch(int epoll, int operation, int fd, uint32_t events, void *owner) {
  struct epoll_event event = {.events = events, .data.ptr = owner};
  if (epoll_ctl(epoll, operation, fd, &event) < 0) die("epoll: ", strerror(errno));
}

/* Reads what stdin has and calls back with each whole line; 0 when stdin has ended. */
static int take_commands(void (*obey)(char *line)) {
  static char line[256];
  static size_t have;
  ssize_t n = read(0, line + have, sizeof line - 1 - have);
  if (n == 0) return 0;
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  have += (size_t)n;
  line[have] = 0;
  for (char *end; (end = memchr(line, '\n', have));) {
    *end = 0;
    obey(line);
    size_t used = (size_t)(end + 1 - line);
    memmove(line, end + 1, have -= used);
  }
  return 1;
}

#endif
