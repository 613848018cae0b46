// usage: echo_load ADDRESS PORT NAME CONNECTIONS SECONDS
// Upgrades CONNECTIONS connections and sends 100 bytes to and fro on each, the next message when the last one is back.
// Prints: messages, 50th and 99th percentile in microseconds, failed connections.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE = 100, SLOWEST_US = 1000000 };

struct connection {
    int socket;
    size_t got;
    double sent_at;
};

static unsigned long long took[SLOWEST_US + 1];

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static unsigned long percentile(unsigned long long count, double share) {
    unsigned long long seen = 0;
    for (unsigned long us = 0; us <= SLOWEST_US; us++)
        if ((seen += took[us]) >= (unsigned long long)((double)count * share)) return us;
    return SLOWEST_US;
}

static int upgraded(const char *address, int port, const char *name) {
    char text[512];
    int one = 1, door = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    inet_pton(AF_INET, address, &there.sin_addr);
    if (door < 0 || connect(door, (struct sockaddr *)&there, sizeof there)) return -1;
    setsockopt(door, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    int length = snprintf(text, sizeof text,
                          "GET /echo HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
                          name);
    if (send(door, text, (size_t)length, MSG_NOSIGNAL) != length) return -1;
    // One byte at a time: what follows the head belongs to the echo.
    size_t filled = 0;
    while (filled < sizeof text - 1 && recv(door, text + filled, 1, 0) == 1) {
        text[++filled] = 0;
        if (filled >= 4 && !strcmp(text + filled - 4, "\r\n\r\n")) return strncmp(text, "HTTP/1.1 101", 12) ? -1 : door;
    }
    return -1;
}

int main(int count, char **words) {
    if (count != 6) return fprintf(stderr, "usage: echo_load ADDRESS PORT NAME CONNECTIONS SECONDS\n"), 2;
    int connections = atoi(words[4]), failed = 0, poll = epoll_create1(0);
    char message[MESSAGE], answer[65536];
    memset(message, 'm', sizeof message);
    struct connection *all = calloc((size_t)connections, sizeof *all);
    if (!all) return 1;
    for (int i = 0; i < connections; i++) {
        if ((all[i].socket = upgraded(words[1], atoi(words[2]), words[3])) < 0) {
            failed++;
            continue;
        }
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
        epoll_ctl(poll, EPOLL_CTL_ADD, all[i].socket, &event);
    }
    double end = now() + atof(words[5]) * 1e6;
    for (int i = 0; i < connections; i++) {
        if (all[i].socket < 0) continue;
        all[i].sent_at = now();
        if (send(all[i].socket, message, MESSAGE, MSG_NOSIGNAL) != MESSAGE) failed++;
    }
    unsigned long long messages = 0;
    struct epoll_event ready[64];
    for (double time = now(); time < end && failed < connections; time = now()) {
        int found = epoll_wait(poll, ready, 64, 100);
        for (int i = 0; i < found; i++) {
            struct connection *connection = ready[i].data.ptr;
            ssize_t got = recv(connection->socket, answer, sizeof answer, MSG_DONTWAIT);
            if (got < 0 && errno == EAGAIN) continue;
            if (got <= 0) {
                failed++;
                close(connection->socket);
                continue;
            }
            if ((connection->got += (size_t)got) < MESSAGE) continue;
            connection->got -= MESSAGE;
            double us = now() - connection->sent_at;
            took[us < SLOWEST_US ? (unsigned long)us : SLOWEST_US]++;
            messages++;
            connection->sent_at = now();
            if (send(connection->socket, message, MESSAGE, MSG_NOSIGNAL) != MESSAGE) failed++;
        }
    }
    printf("%llu %lu %lu %d\n", messages, percentile(messages, 0.5), percentile(messages, 0.99), failed);
    return 0;
}
