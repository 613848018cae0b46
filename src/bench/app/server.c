// The app that all measurements run: answers from memory, starts in no time, and needs no base image.
//   /      the text of the file /version
//   /1k    1 KiB        /100k  100 KiB        /10m  10 MiB
// A request with an Upgrade header is answered 101; from then on the connection sends back what it gets.
// A body with its length is read and thrown away.
// One thread and one listening socket per core, so that it is never what is measured.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct page {
    char *bytes;
    size_t length;
};

struct connection {
    int socket;
    int closes;         // whether the answer under way is the last one
    int echoes;         // whether the connection has been upgraded
    const char *answer; // what is left to send
    size_t left;
    size_t filled;
    size_t body;        // what is still to come of the body of a request, and is thrown away
    const struct page *page;
    char request[8192];
};

// Each page twice: on a connection that stays, and as the last answer of one.
static struct page version_page[2], small_page[2], large_page[2], huge_page[2];
// The answer to the one key that echo_load sends (RFC 6455 section 1.3): haproxy looks at it.
static const char switching[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                                "Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n";
static int port = 5000;

static void make_page(struct page pages[2], const char *body, size_t length) {
    for (int closes = 0; closes < 2; closes++) {
        struct page *page = &pages[closes];
        if (!(page->bytes = malloc(length + 128))) exit(1);
        int head = sprintf(page->bytes, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n%s\r\n",
                           length, closes ? "Connection: close\r\n" : "");
        memcpy(page->bytes + head, body, length);
        page->length = (size_t)head + length;
    }
}

static void fill_page(struct page pages[2], size_t length) {
    char *body = malloc(length);
    if (!body) exit(1);
    memset(body, 'x', length);
    make_page(pages, body, length);
    free(body);
}

static void end(struct connection *connection) {
    close(connection->socket);
    free(connection);
}

// Sends what is left. Returns 0 when the connection is gone.
static int send_answer(int poll, struct connection *connection) {
    while (connection->left) {
        ssize_t sent = send(connection->socket, connection->answer, connection->left, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            struct epoll_event event = {.events = EPOLLOUT, .data.ptr = connection};
            epoll_ctl(poll, EPOLL_CTL_MOD, connection->socket, &event);
            return 1;
        }
        if (sent <= 0) return end(connection), 0;
        connection->answer += sent;
        connection->left -= (size_t)sent;
    }
    if (connection->closes) return end(connection), 0;
    return 1;
}

static void begin_answer(int poll, struct connection *connection, const struct page *page) {
    connection->filled = 0;
    connection->answer = page[connection->closes].bytes;
    connection->left = page[connection->closes].length;
    send_answer(poll, connection);
}

static void receive(int poll, struct connection *connection) {
    ssize_t got = recv(connection->socket, connection->request + connection->filled,
                       sizeof connection->request - 1 - connection->filled, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return end(connection);
    connection->filled += (size_t)got;
    if (connection->echoes) {
        connection->answer = connection->request;
        connection->left = connection->filled;
        connection->filled = 0;
        send_answer(poll, connection);
        return;
    }
    if (connection->body) {
        // No pipelining: all that comes is of the body.
        connection->body -= connection->filled < connection->body ? connection->filled : connection->body;
        connection->filled = 0;
        if (!connection->body) begin_answer(poll, connection, connection->page);
        return;
    }
    connection->request[connection->filled] = 0;
    char *head_end = strstr(connection->request, "\r\n\r\n");
    if (!head_end) {
        if (connection->filled == sizeof connection->request - 1) end(connection);
        return;
    }
    if (strcasestr(connection->request, "\r\nupgrade: ")) {
        connection->echoes = 1;
        connection->filled = 0;
        connection->answer = switching;
        connection->left = sizeof switching - 1;
        send_answer(poll, connection);
        return;
    }
    const char *path = strchr(connection->request, ' ');
    const struct page *page = version_page;
    if (path && !strncmp(path, " /1k ", 5)) page = small_page;
    if (path && !strncmp(path, " /100k ", 7)) page = large_page;
    if (path && !strncmp(path, " /10m ", 6)) page = huge_page;
    connection->closes = strcasestr(connection->request, "\r\nconnection: close") != NULL;
    const char *length = strcasestr(connection->request, "\r\ncontent-length: ");
    if (length && length < head_end) {
        size_t body = strtoul(length + 18, NULL, 10), here = connection->filled - (size_t)(head_end + 4 - connection->request);
        connection->body = here < body ? body - here : 0;
        connection->page = page;
        connection->filled = 0;
        if (connection->body) return;
    }
    begin_answer(poll, connection, page);
}

static int listening(void) {
    int one = 1, zero = 0, door = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((unsigned short)port)};
    struct sockaddr_in any4 = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    if (door >= 0) {
        setsockopt(door, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
        setsockopt(door, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
        if (!bind(door, (struct sockaddr *)&any, sizeof any) && !listen(door, 1024)) return door;
        close(door);
    }
    door = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(door, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (bind(door, (struct sockaddr *)&any4, sizeof any4) || listen(door, 1024)) {
        perror("cannot listen");
        exit(1);
    }
    return door;
}

static void *serve(void *argument) {
    int one = 1, door = *(int *)argument, poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, ready[64];
    epoll_ctl(poll, EPOLL_CTL_ADD, door, &event);
    for (;;) {
        int count = epoll_wait(poll, ready, 64, -1);
        for (int i = 0; i < count; i++) {
            struct connection *connection = ready[i].data.ptr;
            if (!connection) {
                int socket = accept4(door, NULL, NULL, SOCK_NONBLOCK);
                if (socket < 0) continue;
                setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                if (!(connection = calloc(1, sizeof *connection))) exit(1);
                connection->socket = socket;
                event = (struct epoll_event){.events = EPOLLIN, .data.ptr = connection};
                epoll_ctl(poll, EPOLL_CTL_ADD, socket, &event);
            } else if (ready[i].events & EPOLLOUT) {
                if (send_answer(poll, connection) && !connection->left) {
                    event = (struct epoll_event){.events = EPOLLIN, .data.ptr = connection};
                    epoll_ctl(poll, EPOLL_CTL_MOD, connection->socket, &event);
                }
            } else {
                receive(poll, connection);
            }
        }
    }
    return NULL;
}

static void leave(int signal) {
    (void)signal;
    _exit(0);
}

int main(void) {
    char text[4096];
    int file = open("/version", O_RDONLY);
    ssize_t length = file < 0 ? 0 : read(file, text, sizeof text);
    if (getenv("PORT")) port = atoi(getenv("PORT"));
    signal(SIGTERM, leave);
    signal(SIGINT, leave);
    make_page(version_page, text, length > 0 ? (size_t)length : 0);
    fill_page(small_page, 1024);
    fill_page(large_page, 100 * 1024);
    fill_page(huge_page, 10 * 1024 * 1024);

    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (cores > 16) cores = 16;
    int doors[16];
    for (long i = 0; i < cores; i++) doors[i] = listening();
    for (long i = 1; i < cores; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, serve, &doors[i])) return 1;
    }
    serve(&doors[0]);
    return 0;
}
