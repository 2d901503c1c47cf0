/* Phones in a storm: fetches files from a TFTP server, many at once, and prints one line of JSON.
 *
 * cc -O2 -o storm storm.c
 * storm HOST PORT NOISE [key=value ...]
 *
 * Every phone has a socket on an address of its own in 127.1.0.0/16, opened before the clock runs, and every transfer is
 * another phone's, as far as descriptors suffice. With fewer `phones` than transfers the one that has rested longest asks
 * again, from the same port as Cisco phones do; then servers that begin a second transfer for a repeated request meet
 * phones that cannot tell its late first block from the answer to their next request, and `wrong` counts what a real
 * phone would have believed.
 *
 * A phone repeats what it said last after `timer` seconds, up to `tries` times without progress, confirms a repeated block
 * again, and answers whoever sends from a wrong port with error 5 (RFC 1350 section 4). `loss` drops what arrives, never
 * what is sent: a lost request costs a client's timer with any server, and would hide what the servers' timers do.
 *
 * NOISE is a file of PERIOD bytes: file i must contain them again and again, from the (i * STEP)th on. One thread; it ends
 * by itself after `deadline` seconds whatever the server does. `cpu` is what it computed while the clock ran: as long as it
 * is well below `seconds`, the server was what set the pace. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PERIOD = 65521, STEP = 37, LONGEST = 65468, EVENTS = 256, SPARE = 64 };
enum state { IDLE, ASKING, RECEIVING };

struct phone {
    int fd, tries, unacknowledged, has_told; /* has_told: the server knows of the gap */
    struct phone *next;                      /* in the queue of those that rest */
    enum state state;
    long file, blksize, window;
    uint64_t block, bytes; /* the last block in order, and all bytes so far */
    struct sockaddr_in tid;
    double began, heard;
};

static struct {
    const char *key;
    double value;
} settings[] = {
    {"n", 1},        /* transfers */
    {"at_once", 1},  /* of them */
    {"phones", 0},   /* that take turns; 0: one for each transfer */
    {"files", 1},    /* names run from 0 to files - 1 */
    {"size", 16384}, /* bytes of every file */
    {"blksize", 0},  {"windowsize", 0},
    {"missing", 0},  /* 1: ask for names that do not exist */
    {"firmware", 0}, /* 1: ask for images, not for configs */
    {"loss", 0},     /* of what arrives, in percent */
    {"timer", 1},    /* seconds until a phone repeats itself */
    {"tries", 6},    {"deadline", 60}, {"seed", 1},
};
enum { N, AT_ONCE, PHONES, FILES, SIZE, BLKSIZE, WINDOWSIZE, MISSING, FIRMWARE, LOSS, TIMER, TRIES, DEADLINE, SEED, SETTINGS };

static uint8_t noise[2 * PERIOD + LONGEST];
static struct sockaddr_in server;
static struct phone *phones, *first_resting, **last_resting = &first_resting;
static double *durations, present;
static long started, completed, failed, lost, retransmits, wrong, busy;
static uint64_t received, dice = 88172645463325252ull;

static double clock_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static int is_lost(void) {
    if (settings[LOSS].value == 0) return 0;
    dice ^= dice << 13, dice ^= dice >> 7, dice ^= dice << 17;
    return (dice >> 11) * (100.0 / 9007199254740992.0) < settings[LOSS].value;
}

static void transmit(struct phone *phone, const void *packet, size_t length, const struct sockaddr_in *to) {
    phone->heard = present;
    sendto(phone->fd, packet, length, 0, (const void *)to, sizeof *to);
}

static void turn_away(struct phone *phone, const struct sockaddr_in *stranger) {
    static const char error[] = "\0\5\0\5unknown transfer ID";
    sendto(phone->fd, error, sizeof error, 0, (const void *)stranger, sizeof *stranger);
}

static void ask(struct phone *phone) {
    char request[256];
    const char *form = settings[MISSING].value ? "CTLSEP%012lX.tlv" : settings[FIRMWARE].value ? "image%ld.bin" : "SEP%012lX.cnf.xml";
    int length = 2 + sprintf(request + 2, form, phone->file) + 1;
    request[0] = 0, request[1] = 1;
    length += sprintf(request + length, "octet") + 1;
    for (int option = BLKSIZE; option <= WINDOWSIZE; option++)
        if (settings[option].value) {
            length += sprintf(request + length, "%s", settings[option].key) + 1;
            length += sprintf(request + length, "%.0f", settings[option].value) + 1;
        }
    transmit(phone, request, length, &server);
}

static void acknowledge(struct phone *phone) {
    uint8_t packet[4] = {0, 4, phone->block >> 8 & 255, phone->block & 255};
    phone->unacknowledged = 0;
    transmit(phone, packet, sizeof packet, &phone->tid);
}

static void rest(struct phone *phone) {
    phone->state = IDLE, phone->next = NULL;
    *last_resting = phone, last_resting = &phone->next;
}

static void begin(void) {
    struct phone *phone = first_resting;
    if (!phone || started == (long)settings[N].value) return;
    if (!(first_resting = phone->next)) last_resting = &first_resting;
    phone->file = started++ % (long)settings[FILES].value;
    phone->state = ASKING, phone->blksize = 512, phone->window = 1;
    phone->block = phone->bytes = phone->tries = phone->unacknowledged = phone->has_told = 0;
    phone->began = present;
    busy++;
    ask(phone);
}

static void end(struct phone *phone, long *count) {
    if (count == &completed) durations[completed] = present - phone->began;
    ++*count, busy--;
    rest(phone);
    begin();
}

static void agree(struct phone *phone, const char *option, const char *packet_end) {
    while (option < packet_end) {
        const char *value = option + strnlen(option, packet_end - option) + 1;
        if (value >= packet_end) return;
        if (!strcasecmp(option, "blksize")) phone->blksize = atol(value);
        if (!strcasecmp(option, "windowsize")) phone->window = atol(value);
        option = value + strnlen(value, packet_end - value) + 1;
    }
}

static void take_block(struct phone *phone, const uint8_t *payload, long length) {
    const uint8_t *expected = noise + (phone->file * STEP + phone->bytes) % PERIOD;
    if (length > phone->blksize || memcmp(expected, payload, length)) {
        wrong++;
        end(phone, &failed);
        return;
    }
    phone->block++, phone->bytes += length, phone->tries = phone->has_told = 0, received += length;
    phone->heard = present;
    if (length < phone->blksize) {
        acknowledge(phone);
        if (phone->bytes != (uint64_t)settings[SIZE].value) wrong++;
        end(phone, phone->bytes == (uint64_t)settings[SIZE].value ? &completed : &failed);
    } else if (++phone->unacknowledged >= phone->window) {
        acknowledge(phone);
    }
}

static void take(struct phone *phone, const uint8_t *packet, long length, const struct sockaddr_in *from) {
    if (length < 4 || is_lost()) return;
    uint16_t number = packet[2] << 8 | packet[3];
    int is_known = from->sin_port == phone->tid.sin_port, is_error = packet[1] == 5;
    int is_answer = is_error || (!is_known && (packet[1] == 6 || (packet[1] == 3 && number == 1)));
    if (phone->state == ASKING && is_answer)
        phone->tid = *from;
    else if (phone->state != RECEIVING || !is_known) { /* late, for the file before, or a second answer */
        if (!is_error) turn_away(phone, from);
        return;
    }
    if (is_error) {
        end(phone, settings[MISSING].value && number == 1 ? &completed : &failed);
        return;
    }
    phone->state = RECEIVING;
    if (packet[1] == 6 && phone->block == 0) {
        agree(phone, (const char *)packet + 2, (const char *)packet + length);
        acknowledge(phone);
    } else if (packet[1] == 3) {
        if (number == ((phone->block + 1) & 0xFFFF))
            take_block(phone, packet + 4, length - 4);
        else if (phone->window > 1 ? !phone->has_told : number == (phone->block & 0xFFFF)) {
            phone->has_told = 1;
            acknowledge(phone); /* a gap, or our acknowledgement was lost */
        }
    }
}

static void look_at_timers(void) {
    for (long i = 0; i < (long)settings[PHONES].value; i++) {
        struct phone *phone = &phones[i];
        if (phone->state == IDLE || present < phone->heard + settings[TIMER].value) continue;
        if (++phone->tries > settings[TRIES].value) {
            end(phone, &lost);
            continue;
        }
        retransmits++, phone->has_told = 0;
        if (phone->state == ASKING)
            ask(phone);
        else
            acknowledge(phone);
    }
}

static void open_phones(int poll) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (settings[PHONES].value > limit.rlim_cur - SPARE) settings[PHONES].value = limit.rlim_cur - SPARE;
    long count = settings[PHONES].value;
    phones = calloc(count, sizeof *phones);
    for (long i = 0; i < count; i++) {
        struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f010000 + i / 250 * 256 + i % 250 + 1)};
        int queue = 1 << 20;
        phones[i].fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        setsockopt(phones[i].fd, SOL_SOCKET, SO_RCVBUF, &queue, sizeof queue);
        if (phones[i].fd < 0 || bind(phones[i].fd, (void *)&own, sizeof own)) perror("socket"), exit(2);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        epoll_ctl(poll, EPOLL_CTL_ADD, phones[i].fd, &event);
        rest(&phones[i]);
    }
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double computed(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void report(double seconds, double cpu) {
    qsort(durations, completed, sizeof *durations, ascending);
    double p50 = completed ? durations[completed / 2] : 0, p99 = completed ? durations[(long)(completed * 0.99)] : 0;
    printf("{\"completed\":%ld,\"failed\":%ld,\"lost\":%ld,\"wrong\":%ld,\"retransmits\":%ld,\"seconds\":%.4f,\"rate\":%.1f,"
           "\"megabytes\":%.2f,\"p50\":%.5f,\"p99\":%.5f,\"cpu\":%.3f}\n",
           completed, failed, lost + busy + (long)settings[N].value - started, wrong, retransmits, seconds, completed / seconds,
           received / seconds / 1e6, p50, p99, cpu);
}

int main(int count, char **words) {
    if (count < 4) return fprintf(stderr, "storm HOST PORT NOISE [key=value ...]\n"), 2;
    for (int i = 4; i < count; i++) {
        char *value = strchr(words[i], '=');
        int key = 0;
        if (value) *value = 0;
        while (value && key < SETTINGS && strcmp(words[i], settings[key].key)) key++;
        if (!value || key == SETTINGS) return fprintf(stderr, "unknown: %s\n", words[i]), 2;
        settings[key].value = atof(value + 1);
    }
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(words[2]))};
    int file = open(words[3], O_RDONLY), poll = epoll_create1(0);
    if (inet_pton(AF_INET, words[1], &server.sin_addr) != 1 || read(file, noise, PERIOD) != PERIOD)
        return fprintf(stderr, "bad address or noise\n"), 2;
    for (size_t i = PERIOD; i < sizeof noise; i++) noise[i] = noise[i - PERIOD];
    dice ^= (uint64_t)settings[SEED].value * 0x9E3779B97F4A7C15ull;
    durations = malloc((size_t)settings[N].value * sizeof *durations);
    if (!settings[PHONES].value) settings[PHONES].value = settings[N].value;
    open_phones(poll);

    static uint8_t packet[LONGEST + 1];
    struct epoll_event events[EVENTS];
    double first = present = clock_now(), timers = first, cpu = computed();
    for (long i = 0; i < (long)settings[AT_ONCE].value; i++) begin();
    while (busy && present < first + settings[DEADLINE].value) {
        int ready = epoll_wait(poll, events, EVENTS, 10);
        present = clock_now();
        for (int i = 0; i < ready; i++) {
            struct phone *phone = &phones[events[i].data.u32];
            /* One datagram in lock-step; a window is read as long as there is some of it. */
            for (long most = phone->window; most > 0; most--) {
                struct sockaddr_in from;
                socklen_t size = sizeof from;
                long length = recvfrom(phone->fd, packet, sizeof packet, 0, (void *)&from, &size);
                if (length < 0) break;
                take(phone, packet, length, &from);
            }
        }
        if (present >= timers) timers = present + 0.01, look_at_timers();
    }
    report(present - first, computed() - cpu);
    return 0;
}
