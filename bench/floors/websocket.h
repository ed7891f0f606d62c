/*
 * The client's side of RFC 6455, as little as a load generator needs: connect, upgrade, masked frames out, frames in.
 *
 * It must cost next to nothing, or the generator would be what is measured: a message that lies whole in the read buffer
 * is handed over where it lies; of one that does not, only its first KEPT bytes are kept. Frames go out with a mask of
 * zeros, which is a mask (§5.3) and leaves the bytes as they are; the other side unmasks it at the usual price.
 */
#ifndef WEBSOCKET_H
#define WEBSOCKET_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEPT 512
#define UPGRADE_BYTES_MAX 2048

enum { OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

struct reader {
  char *kept;        /* the first bytes of an answer to the upgrade, or of a message that came in pieces */
  uint32_t kept_len;
  uint64_t left;     /* bytes of the message still to come */
  uint64_t length;   /* of the message */
  uint8_t head[10], head_len, opcode, in_message, upgraded;
};

/* `text` has `kept` of the message's `length` bytes; it is not ended by a zero. */
typedef void (*on_message)(void *owner, int opcode, const char *text, uint32_t kept, uint64_t length);

static void die(const char *what, const char *more) {
  printf("{\"event\":\"failed\",\"reason\":\"%s", what);
  for (; more && *more; more++) {
    if (*more == '"' || *more == '\\') putchar('\\');
    if ((unsigned char)*more >= ' ') putchar(*more);
  }
  printf("\"}\n");
  fflush(stdout);
  exit(1);
}

static int open_socket(const char *host, int port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) die("no socket: ", strerror(errno));
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  if (inet_pton(AF_INET, host, &to.sin_addr) != 1) die("--host must be an IPv4 address, got ", host);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) die("no connection: ", strerror(errno));
  return fd;
}

static int connect_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

/* Writes all of it, waiting where the socket is full: what goes out here is small. */
static void send_all(int fd, const char *bytes, size_t length) {
  while (length > 0) {
    ssize_t n = send(fd, bytes, length, MSG_NOSIGNAL);
    if (n > 0) {
      bytes += n;
      length -= (size_t)n;
    } else if (errno == EAGAIN) {
      struct pollfd full = {.fd = fd, .events = POLLOUT};
      poll(&full, 1, 1000);
    } else if (errno != EINTR) {
      die("the server cut a connection: ", strerror(errno));
    }
  }
}

static void send_upgrade(int fd, const char *host, int port, const char *path, const char *protocol) {
  char request[1024];
  int n = snprintf(request, sizeof request,
                   "GET %s HTTP/1.1\r\nHost: %s:%d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                   "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s%s%s\r\n",
                   path, host, port, protocol[0] ? "Sec-WebSocket-Protocol: " : "", protocol, protocol[0] ? "\r\n" : "");
  if (n >= (int)sizeof request) die("--path is too long", "");
  send_all(fd, request, (size_t)n);
}

/* Writes the head of a masked frame; returns its size, at most 14. */
static size_t frame_head(char *to, int opcode, size_t length) {
  size_t at = 0;
  to[at++] = (char)(0x80 | opcode);
  if (length < 126) {
    to[at++] = (char)(0x80 | length);
  } else if (length < 65536) {
    to[at++] = (char)(0x80 | 126);
    to[at++] = (char)(length >> 8);
    to[at++] = (char)length;
  } else {
    to[at++] = (char)(0x80 | 127);
    for (int shift = 56; shift >= 0; shift -= 8) to[at++] = (char)((uint64_t)length >> shift);
  }
  memset(to + at, 0, 4);
  return at + 4;
}

static void send_frame(int fd, int opcode, const char *text, size_t length) {
  char small[4096], *frame = length + 14 <= sizeof small ? small : malloc(length + 14);
  size_t head = frame_head(frame, opcode, length);
  memcpy(frame + head, text, length);
  send_all(fd, frame, head + length);
  if (frame != small) free(frame);
}

static void keep(struct reader *r, const char *bytes, size_t length, size_t most) {
  if (!r->kept) r->kept = malloc(UPGRADE_BYTES_MAX + 1);
  size_t room = most - r->kept_len;
  if (length > room) length = room;
  memcpy(r->kept + r->kept_len, bytes, length);
  r->kept_len += (uint32_t)length;
}

/* Reads the answer to the upgrade; returns how many of the bytes it took. */
static size_t read_upgrade(struct reader *r, const char *bytes, size_t length) {
  size_t before = r->kept_len;
  keep(r, bytes, length, UPGRADE_BYTES_MAX);
  r->kept[r->kept_len] = 0;
  char *end = strstr(r->kept, "\r\n\r\n");
  if (!end) {
    if (r->kept_len == UPGRADE_BYTES_MAX) die("the answer to the upgrade is too long", "");
    return length;
  }
  if (strncmp(r->kept, "HTTP/1.1 101", 12) != 0) {
    *strstr(r->kept, "\r\n") = 0;
    die("the upgrade was refused: ", r->kept);
  }
  r->upgraded = 1;
  r->kept_len = 0;
  size_t taken = (size_t)(end + 4 - r->kept) - before;
  free(r->kept);
  r->kept = NULL;
  return taken;
}

static int head_bytes(const struct reader *r) {
  if (r->head_len < 2) return 2;
  int short_length = r->head[1] & 127;
  return short_length < 126 ? 2 : short_length == 126 ? 4 : 10;
}

/* Takes bytes as they came and calls back with each message whose last byte is among them. */
static void reader_take(struct reader *r, const char *bytes, size_t length, void *owner, on_message tell) {
  const char *end = bytes + length;
  if (!r->upgraded) {
    bytes += read_upgrade(r, bytes, length);
    if (r->upgraded) tell(owner, 0, NULL, 0, 0);
  }
  while (bytes < end) {
    if (!r->in_message) {
      int want = head_bytes(r);
      while (r->head_len < want && bytes < end) {
        r->head[r->head_len++] = (uint8_t)*bytes++;
        want = head_bytes(r);
      }
      if (r->head_len < want) return;
      r->length = 0;
      if (want == 2) r->length = r->head[1] & 127;
      for (int i = 2; i < want; i++) r->length = r->length << 8 | r->head[i];
      r->opcode = r->head[0] & 15;
      r->head_len = 0;
      if (r->length <= (size_t)(end - bytes)) {
        tell(owner, r->opcode, bytes, (uint32_t)r->length, r->length);
        bytes += r->length;
        continue;
      }
      r->in_message = 1;
      r->left = r->length;
      r->kept_len = 0;
    }
    size_t part = (size_t)(end - bytes) < r->left ? (size_t)(end - bytes) : (size_t)r->left;
    if (r->kept_len < KEPT) keep(r, bytes, part, KEPT);
    r->left -= part;
    bytes += part;
    if (r->left == 0) {
      r->in_message = 0;
      tell(owner, r->opcode, r->kept, r->kept_len, r->length);
    }
  }
}

#endif
