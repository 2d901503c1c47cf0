/* The least a TFTP server can do: what the kernel and a socket for each transfer allow, to measure others against.
 *
 * cc -O2 -o floor floor.c
 * floor ADDRESS PORT DIRECTORY
 *
 * Read requests in octet with blksize and windowsize; files stay in memory once read. No limits, no log, no mercy. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 1 << 16, EVENTS = 256, REPEAT = 1, TRIES = 5 };

struct file {
    char name[256];
    uint8_t *content;
    int64_t size;
    struct file *next;
};
struct transfer {
    int fd, tries;
    long blksize, window;
    int64_t acknowledged, sent, total; /* blocks; sent is 0 while the OACK is on its way */
    struct file *file;
    double due;
    char oack[128];
    int oack_length;
    struct transfer *before, *after; /* by the time they are due */
};

static struct file *files[SLOTS];
static struct transfer queue = {.before = &queue, .after = &queue}, *unused;
static int poll, requests;
static double present;

static double clock_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static struct file *find(const char *name) {
    uint32_t hash = 2166136261u;
    for (const char *c = name; *c; c++) hash = (hash ^ (uint8_t)*c) * 16777619u;
    struct file **slot = &files[hash % SLOTS], *file;
    for (file = *slot; file; file = file->next)
        if (!strcmp(file->name, name)) return file;
    struct stat status;
    int fd = strchr(name, '/') || strlen(name) > 255 ? -1 : open(name, O_RDONLY);
    if (fd < 0 || fstat(fd, &status) || !S_ISREG(status.st_mode)) return fd < 0 ? NULL : (close(fd), NULL);
    file = malloc(sizeof *file);
    strcpy(file->name, name);
    file->size = status.st_size, file->content = malloc(file->size + 1);
    for (int64_t at = 0, got; at < file->size && (got = read(fd, file->content + at, file->size - at)) > 0; at += got) {}
    close(fd);
    file->next = *slot;
    return *slot = file;
}

static void wait_anew(struct transfer *t) {
    if (t->after) t->before->after = t->after, t->after->before = t->before;
    t->due = present + REPEAT, t->before = queue.before, t->after = &queue;
    queue.before->after = t, queue.before = t;
}

static void end(struct transfer *t) {
    t->before->after = t->after, t->after->before = t->before;
    close(t->fd);
    t->after = unused, unused = t;
}

static void transmit(struct transfer *t) {
    wait_anew(t);
    if (t->oack_length) {
        send(t->fd, t->oack, t->oack_length, 0);
        return;
    }
    int64_t last = t->acknowledged + t->window < t->total ? t->acknowledged + t->window : t->total;
    for (int64_t block = t->acknowledged + 1; block <= last; block++) {
        uint8_t header[4] = {0, 3, block >> 8 & 255, block & 255};
        int64_t start = (block - 1) * t->blksize, left = t->file->size - start;
        struct iovec parts[2] = {{header, 4}, {t->file->content + start, left < t->blksize ? left : t->blksize}};
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        sendmsg(t->fd, &message, MSG_DONTWAIT);
    }
    t->sent = last;
}

static void take(struct transfer *t, const uint8_t *packet, long length) {
    if (length < 4 || packet[1] != 4) {
        if (length >= 2 && packet[1] == 5) end(t);
        return;
    }
    uint16_t ahead = (packet[2] << 8 | packet[3]) - t->acknowledged;
    if (ahead > t->sent - t->acknowledged || (!ahead && !t->oack_length && t->window == 1)) return;
    t->oack_length = 0, t->tries = 0, t->acknowledged += ahead;
    if (t->acknowledged == t->total)
        end(t);
    else
        transmit(t);
}

static void begin(char *packet, long length, const struct sockaddr_in *peer) {
    char *limit = packet + length, *name = packet + 2, *word;
    if (length < 6 || packet[1] != 1 || limit[-1] || (word = name + strlen(name) + 1) >= limit) return;
    struct file *file = find(name);
    struct transfer *t = unused;
    if (t) unused = t->after;
    if (!t) t = malloc(sizeof *t);
    *t = (struct transfer){.file = file, .blksize = 512, .window = 1};
    t->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (t->fd < 0 || connect(t->fd, (const void *)peer, sizeof *peer) || !file) {
        if (!file) send(t->fd, "\0\5\0\1File not found", 19, 0);
        close(t->fd);
        t->after = unused, unused = t;
        return;
    }
    int used = 2;
    t->oack[1] = 6;
    for (word += strlen(word) + 1; word < limit;) {
        char *value = word + strlen(word) + 1;
        long *wanted = !strcasecmp(word, "blksize") ? &t->blksize : !strcasecmp(word, "windowsize") ? &t->window : NULL;
        if (value >= limit) break;
        if (wanted) {
            *wanted = atol(value);
            used += sprintf(t->oack + used, "%s", wanted == &t->blksize ? "blksize" : "windowsize") + 1;
            used += sprintf(t->oack + used, "%ld", *wanted) + 1;
        }
        word = value + strlen(value) + 1;
    }
    t->oack_length = used > 2 ? used : 0;
    t->total = file->size / t->blksize + 1;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = t};
    epoll_ctl(poll, EPOLL_CTL_ADD, t->fd, &event);
    transmit(t);
}

int main(int count, char **words) {
    if (count != 4 || chdir(words[3])) return fprintf(stderr, "floor ADDRESS PORT DIRECTORY\n"), 2;
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(atoi(words[2]))};
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int room = 4 << 20;
    requests = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    setsockopt(requests, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (inet_pton(AF_INET, words[1], &own.sin_addr) != 1 || bind(requests, (void *)&own, sizeof own)) return perror("bind"), 1;
    poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN}, events[EVENTS];
    epoll_ctl(poll, EPOLL_CTL_ADD, requests, &event);
    static char packet[2048];
    for (;;) {
        int ready = epoll_wait(poll, events, EVENTS, 100);
        present = clock_now();
        for (int i = 0; i < ready; i++) {
            struct transfer *t = events[i].data.ptr;
            struct sockaddr_in peer;
            socklen_t size = sizeof peer;
            long length;
            if (t) {
                if ((length = recv(t->fd, packet, sizeof packet, 0)) >= 0) take(t, (uint8_t *)packet, length);
                continue;
            }
            for (int most = 64; most-- && (length = recvfrom(requests, packet, sizeof packet, 0, (void *)&peer, &size)) >= 0;)
                begin(packet, length, &peer);
        }
        while (queue.after != &queue && queue.after->due <= present)
            if (++queue.after->tries > TRIES)
                end(queue.after);
            else
                transmit(queue.after);
    }
}
