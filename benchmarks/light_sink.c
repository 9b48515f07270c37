/* An SMTP server that takes every letter and does as little else as possible: one read and one write a flight.
 *
 *     light_sink PORT COUNTER
 *
 * COUNTER is a file of eight octets, mapped into memory: the number of letters taken, in the machine's byte order.
 * For measuring senders on a machine whose cores they share with it; nothing is checked, and nothing is kept.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM (256 * 1024)
#define SAY(text) (memcpy(answer + said, text, sizeof(text) - 1), said += sizeof(text) - 1)

struct line {
    int socket, in_letter;
    size_t held;          /* octets in `octets` that are not yet understood */
    char octets[ROOM];
};

static volatile uint64_t *counter;

/* What is in hand, answered in one write. Returns 0 when the connection is over. */
static int serve(struct line *line)
{
    static char answer[ROOM];
    size_t at = 0, said = 0;
    int over = 0;
    while (!over && said < ROOM - 256) {
        char *from = line->octets + at;
        size_t left = line->held - at;
        if (line->in_letter) {
            char *end = memmem(from, left, "\r\n.\r\n", 5);
            if (end == NULL) {  /* the end may be cut: keep what could be its beginning */
                at += left > 4 ? left - 4 : 0;
                break;
            }
            at += (size_t)(end - from) + 5;
            line->in_letter = 0;
            ++*counter;
            SAY("250 2.0.0 Ok: queued\r\n");
            continue;
        }
        char *end = memchr(from, '\n', left);
        if (end == NULL)
            break;
        at += (size_t)(end - from) + 1;
        switch (from[0] & ~0x20) {
        case 'E': SAY("250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n"); break;
        case 'D': SAY("354 go on\r\n"); line->in_letter = 1; break;
        case 'Q': SAY("221 2.0.0 bye\r\n"); over = 1; break;
        default: SAY("250 2.1.0 Ok\r\n");
        }
        if (line->in_letter)
            at -= 2;  /* the end of the command is the line break before a letter that is one dot */
    }
    memmove(line->octets, line->octets + at, line->held - at);
    line->held -= at;
    if (said && write(line->socket, answer, said) != (ssize_t)said)
        return 0;
    return !over;
}

static void welcome(int listener, int all)
{
    int on = 1, taken = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (taken < 0)
        return;
    struct line *line = malloc(sizeof *line);
    line->socket = taken, line->in_letter = 0, line->held = 0;
    setsockopt(taken, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event wish = {.events = EPOLLIN, .data.ptr = line};
    epoll_ctl(all, EPOLL_CTL_ADD, taken, &wish);
    if (write(taken, "220 sink.example ESMTP\r\n", 24) < 0)
        perror("greeting");
}

static void hear(struct line *line)
{
    ssize_t got = read(line->socket, line->octets + line->held, ROOM - line->held);
    if (got > 0) {
        line->held += (size_t)got;
        if (serve(line))
            return;
    }
    close(line->socket);
    free(line);
}

int main(int count, char **words)
{
    if (count != 3)
        return 64;
    int file = open(words[2], O_RDWR | O_CREAT, 0600), on = 1;
    if (file < 0 || ftruncate(file, 8) < 0)
        return perror(words[2]), 73;
    counter = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), all = epoll_create1(EPOLL_CLOEXEC);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(words[1]))};
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) < 0 || listen(listener, 1000) < 0)
        return perror("listen"), 69;
    struct epoll_event wish = {.events = EPOLLIN, .data.ptr = NULL}, ready[256];
    epoll_ctl(all, EPOLL_CTL_ADD, listener, &wish);
    for (;;) {
        int some = epoll_wait(all, ready, 256, -1);
        for (int at = 0; at < some; at++)
            ready[at].data.ptr == NULL ? welcome(listener, all) : hear(ready[at].data.ptr);
    }
}
