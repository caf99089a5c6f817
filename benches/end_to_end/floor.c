/* The floor: little more than the system calls of an ordinary event loop. One thread, epoll, one recv and
 * one send for each wake-up; no limits, no deadlines, no counters, no log, no UTF-8 validation. Frames, which must fit
 * into KIB KiB with their headers, are converted to upper case in place, as if they were ASCII. A call moves at most KIB KiB: 256 by default.
 *
 * floor PORT echo|frame|discard|chargen [KIB] */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LARGEST_BUFFER = 256 * 1024, EVENTS = 256, HEADER = 4 };
/* chargen, RFC 864: lines of 72 of the 95 printable characters, each line beginning one later; then it repeats. */
enum { PRINTABLE = 95, LINE = 74, PERIOD = PRINTABLE * LINE };

/* `kept` holds replies that are not sent yet, and then an incomplete frame; it is NULL for an idle client. `sent` is
 * the position in the period of chargen. */
struct client { int fd; unsigned char *kept; size_t length, unsent, sent; };

static enum { ECHO, FRAME, DISCARD, CHARGEN } protocol;
static const char *const protocols[] = {"echo", "frame", "discard", "chargen"};
static int poller;
static size_t buffer_size = LARGEST_BUFFER;
static unsigned char read_buffer[LARGEST_BUFFER], pattern[LARGEST_BUFFER + PERIOD];

static void fail(const char *what) { perror(what); exit(1); }

static void watch(int operation, int fd, uint32_t events, struct client *client) {
  struct epoll_event event = {.events = events, .data.ptr = client};
  if (epoll_ctl(poller, operation, fd, &event) != 0) fail("epoll_ctl");
}

static void accept_client(int listener) {
  int on = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct client *client = calloc(1, sizeof *client);
  client->fd = fd;
  watch(EPOLL_CTL_ADD, fd, protocol == CHARGEN ? EPOLLOUT : EPOLLIN, client);
}

static void close_client(struct client *client) {
  close(client->fd);
  free(client->kept);
  free(client);
}

/* Replies in place to the complete frames at the front; returns their length in bytes. */
static size_t reply(unsigned char *bytes, size_t length) {
  size_t at = 0;
  while (protocol == FRAME && length - at >= HEADER) {
    uint32_t header;
    memcpy(&header, bytes + at, HEADER);
    size_t size = ntohl(header) & 0x7ffffff;
    if (length - at - HEADER < size) break;
    header = htonl((uint32_t)size);
    memcpy(bytes + at, &header, HEADER);
    at += HEADER;
    for (size_t end = at + size; at < end; at++) bytes[at] -= (unsigned char)(bytes[at] - 'a') < 26 ? 32 : 0;
  }
  return protocol == FRAME ? at : length;
}

static void keep(struct client *client, const unsigned char *bytes, size_t length) {
  if (length && !client->kept) client->kept = malloc(buffer_size);
  if (length) memmove(client->kept, bytes, length);
  else free(client->kept), client->kept = NULL;
  client->length = length;
}

/* Sends the first `unsent` bytes, as far as that goes, and keeps the others. */
static int push(struct client *client, unsigned char *bytes, size_t length, size_t unsent) {
  ssize_t sent = unsent ? send(client->fd, bytes, unsent, MSG_NOSIGNAL) : 0;
  if (sent < 0 && errno != EAGAIN) return -1;
  if (sent < 0) sent = 0;
  unsent -= sent;
  keep(client, bytes + sent, length - sent);
  if (!client->unsent != !unsent) watch(EPOLL_CTL_MOD, client->fd, unsent ? EPOLLOUT : EPOLLIN, client);
  client->unsent = unsent;
  return 0;
}

static void prepare_pattern(void) {
  for (size_t i = 0; i < sizeof pattern; i++) {
    size_t line = i / LINE % PRINTABLE, column = i % LINE;
    pattern[i] = column == LINE - 2 ? '\r' : column == LINE - 1 ? '\n' : ' ' + (line + column) % PRINTABLE;
  }
}

static int generate(struct client *client) {
  ssize_t sent = send(client->fd, pattern + client->sent, buffer_size, MSG_NOSIGNAL);
  if (sent < 0) return errno == EAGAIN ? 0 : -1;
  client->sent = (client->sent + sent) % PERIOD;
  return 0;
}

static int serve(struct client *client) {
  if (protocol == CHARGEN) return generate(client);
  if (client->unsent) return push(client, client->kept, client->length, client->unsent);
  unsigned char *bytes = client->kept ? client->kept : read_buffer;
  ssize_t got = recv(client->fd, bytes + client->length, buffer_size - client->length, 0);
  if (got <= 0) return -1;
  if (protocol == DISCARD) return 0;
  size_t length = client->length + got;
  return push(client, bytes, length, reply(bytes, length));
}

static int usage(void) { return fprintf(stderr, "usage: floor PORT echo|frame|discard|chargen [KIB]\n"), 2; }

int main(int count, char **words) {
  if (count < 3 || count > 4) return usage();
  while (strcmp(words[2], protocols[protocol]) != 0)
    if (protocol++ == CHARGEN) return usage();
  if (count == 4) buffer_size = 1024 * strtoul(words[3], NULL, 10);
  if (!buffer_size || buffer_size > LARGEST_BUFFER) return usage();
  prepare_pattern();
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(words[1]))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 4096) != 0) fail("listen");
  poller = epoll_create1(EPOLL_CLOEXEC);
  watch(EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
  for (struct epoll_event events[EVENTS];;) {
    int ready = epoll_wait(poller, events, EVENTS, -1);
    for (int i = 0; i < ready; i++) {
      struct client *client = events[i].data.ptr;
      if (!client) accept_client(listener);
      else if (serve(client) != 0) close_client(client);
    }
  }
}
