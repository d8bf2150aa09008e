/*
 * cpload - a load generator that plays many charge points of OCPP 1.6-J or
 * 2.0.1.
 *
 * One thread, one epoll set.  Opens N WebSocket connections to
 *     ws://HOST:PORT/PREFIX/CPnnnnnn        (subprotocol ocpp1.6 or ocpp2.0.1)
 * sends a BootNotification on each, and then keeps exactly one CALL
 * outstanding per connection, chosen by weight from a mix of messages.
 * Each answer must be a CALLRESULT [3,"<id>",...] with the id we sent.
 * After --seconds it prints one line: calls/s, latency in ms, errors.
 *
 *   gcc -O2 -Wall -o cpload cpload.c             without TLS
 *   gcc -O2 -Wall -DWITH_TLS -o cpload cpload.c -lssl -lcrypto
 *   ./cpload --port 9000 --connections 100 --seconds 10 --warmup 2
 *
 *   --host A         IPv4 address of the server       (127.0.0.1)
 *   --port P                                          (9000)
 *   --prefix S       path before the charge point id  (/ocpp/)
 *   --connections N                                   (100)
 *   --first I        number of the first charge point (0); lets several
 *                    generators share one server
 *   --seconds T      measured time                    (10)
 *   --warmup T       time before it, not counted      (2)
 *   --rate R         new connections per second       (2000)
 *   --mix S          weights                  (meter=60,heartbeat=20,
 *                                        status=10,start=5,stop=5)
 *   --ocpp V         1.6 or 2.0.1.  In 2.0.1 start and stop are the Started
 *                    and Ended of TransactionEvent, each with a token, and
 *                    meter is Updated, or MeterValues between transactions
 *                                                    (1.6)
 *   --pace R         R calls/s in all, spread over the connections, instead
 *                    of as many as the server will take.  Latency then counts
 *                    from the time a call was due, so a stalled server cannot
 *                    hide its stall (no coordinated omission).
 *   --idle           after the Boot just hold the connections for --seconds,
 *                    then close them all at once
 *   --hold T         before the load hold the idle connections this long, and
 *                    with --pid print what they cost the server's memory
 *   --compression    offer it.  Messages are sent as they are all the same, and
 *                    the answers are too short for it
 *   --tls            wss: a full handshake for each connection.  The server's
 *                    certificate is not verified
 *   --resume         with --tls: each handshake but the first resumes its session
 *   --pid P          the server's process: also print its CPU time per call,
 *                    or with --idle its memory before and after.  Given again,
 *                    for a server of several processes: the sum
 *
 * SIGTERM ends the time that was asked for at once, with the figures so far.
 * SIGUSR1 prints the figures of a load since the last such line, and starts
 * counting anew.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifdef WITH_TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
#endif

/* A fixed handshake key, so that the one right answer is known too (it is
 * the example of RFC 6455, section 1.3). */
#define WS_KEY    "dGhlIHNhbXBsZSBub25jZQ=="
#define WS_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

#define ID_LEN  36
#define MAX_OUT 2048      /* largest frame we send */
#define IN_SIZE 65536     /* largest answer we take */

enum state { CLOSED, CONNECTING, SECURING, UPGRADING, BOOTING, READY, WAITING };
enum call { BOOT, METER, HEARTBEAT, STATUS, START, STOP, NCALLS };

static const char *const call_name[NCALLS] = {
    "boot", "meter", "heartbeat", "status", "start", "stop" };

struct conn {
    int fd;
    uint8_t state, what;
    uint32_t seq;             /* of the outstanding CALL */
    int tx;                   /* transaction id the server gave us; in 2.0.1 its number */
    uint32_t event;           /* number of the next event of a transaction, 2.0.1 */
    int charging;             /* whether it is going on */
    uint64_t due;             /* when the outstanding CALL was due, ns */
    char *part;               /* bytes of an incomplete frame, or NULL */
    uint32_t part_len;
#ifdef WITH_TLS
    SSL *ssl;
#endif
};

/* -------------------------------------------------------------- options */

static const char *host = "127.0.0.1", *prefix = "/ocpp/";
static int port = 9000, nconns = 100, first = 0, idle = 0, v201 = 0, offer = 0;
static int server_pids[64], nservers = 0, tls = 0, resume = 0;
static double seconds = 10, warmup = 2, rate = 2000, pace = 0, hold = 0;
static int weight[NCALLS] = { 0, 60, 20, 10, 5, 5 };

/* ---------------------------------------------------------------- state */

static struct conn *conns;
static int ep;
static int nready;                        /* connections past their Boot */
static int measuring;
static volatile sig_atomic_t asked_to_end, asked_to_print;
static uint64_t calls, sent_bytes, call_errors, bad_answers, drops;
static uint64_t per_call[NCALLS];

/* Connections that wait for their turn when --pace is given. */
static int *turn;
static uint64_t turn_head, turn_tail;

static uint8_t deck[4096];                /* the mix, shuffled */
static unsigned deck_pos;

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("cpload: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    exit(1);
}

static uint32_t rnd(void)                 /* xorshift32 */
{
    static uint32_t x = 2463534242u;
    x ^= x << 13; x ^= x >> 17; x ^= x << 5;
    return x;
}

/* ---------------------------------------------------- latency histogram
 * 64 linear steps per power of two of microseconds: under 1.6 % error. */

#define SUB 64
static uint64_t hist[40 * SUB];
static uint64_t lat_max;

static void hist_add(uint64_t ns)
{
    uint64_t us = ns / 1000;
    if (ns > lat_max) lat_max = ns;
    int e = us < SUB ? 0 : 63 - __builtin_clzll(us) - 5;
    hist[e * SUB + (us >> e)]++;
}

static double hist_ms(double q)
{
    uint64_t total = 0, seen = 0;
    for (int i = 0; i < 40 * SUB; i++) total += hist[i];
    uint64_t want = (uint64_t)(q * total);
    for (int i = 0; i < 40 * SUB; i++)
        if ((seen += hist[i]) > want)
            return ((uint64_t)(i % SUB) << (i / SUB)) / 1000.0;
    return 0;
}

/* ------------------------------------------------------------- messages */

/* A charge point's clock and meter go on: a store must not find a message
 * that it has already. */
#define TS "\"%s\""

static const char boot_fmt[] =
    "[2,\"%s\",\"BootNotification\",{\"chargePointVendor\":\"Acme\","
    "\"chargePointModel\":\"Wallbox 22\",\"chargePointSerialNumber\":\"CP%06d\","
    "\"firmwareVersion\":\"1.4.2\"}]";
static const char meter_fmt[] =
    "[2,\"%s\",\"MeterValues\",{\"connectorId\":1,\"transactionId\":%d,"
    "\"meterValue\":[{\"timestamp\":" TS ",\"sampledValue\":["
    "{\"value\":\"%u\",\"measurand\":\"Energy.Active.Import.Register\",\"unit\":\"Wh\"},"
    "{\"value\":\"11040\",\"measurand\":\"Power.Active.Import\",\"unit\":\"W\"},"
    "{\"value\":\"16.02\",\"measurand\":\"Current.Import\",\"phase\":\"L1\",\"unit\":\"A\"},"
    "{\"value\":\"15.98\",\"measurand\":\"Current.Import\",\"phase\":\"L2\",\"unit\":\"A\"},"
    "{\"value\":\"16.00\",\"measurand\":\"Current.Import\",\"phase\":\"L3\",\"unit\":\"A\"},"
    "{\"value\":\"230.1\",\"measurand\":\"Voltage\",\"phase\":\"L1-N\",\"unit\":\"V\"},"
    "{\"value\":\"229.7\",\"measurand\":\"Voltage\",\"phase\":\"L2-N\",\"unit\":\"V\"},"
    "{\"value\":\"54\",\"measurand\":\"SoC\",\"unit\":\"Percent\",\"location\":\"EV\"}"
    "]}]}]";
static const char heartbeat_fmt[] = "[2,\"%s\",\"Heartbeat\",{}]";
static const char status_fmt[] =
    "[2,\"%s\",\"StatusNotification\",{\"connectorId\":1,\"errorCode\":\"NoError\","
    "\"status\":\"Charging\",\"timestamp\":" TS "}]";
static const char start_fmt[] =
    "[2,\"%s\",\"StartTransaction\",{\"connectorId\":1,\"idTag\":\"04A1B2C3D4\","
    "\"meterStart\":%u,\"timestamp\":" TS "}]";
static const char stop_fmt[] =
    "[2,\"%s\",\"StopTransaction\",{\"transactionId\":%d,\"idTag\":\"04A1B2C3D4\","
    "\"meterStop\":%u,\"timestamp\":" TS ",\"reason\":\"EVDisconnected\"}]";

/* The same in OCPP 2.0.1: in the place of a transaction's number there are that
 * of the charge point and of this run, which make it unique, and that of the
 * event. */
static const char boot_fmt_201[] =
    "[2,\"%s\",\"BootNotification\",{\"reason\":\"PowerUp\",\"chargingStation\":{"
    "\"vendorName\":\"Acme\",\"model\":\"Wallbox 22\",\"serialNumber\":\"CP%06d\","
    "\"firmwareVersion\":\"1.4.2\"}}]";
#define SAMPLES_201 \
    "\"meterValue\":[{\"timestamp\":" TS ",\"sampledValue\":[" \
    "{\"value\":%u,\"measurand\":\"Energy.Active.Import.Register\",\"unitOfMeasure\":{\"unit\":\"Wh\"}}," \
    "{\"value\":11040,\"measurand\":\"Power.Active.Import\",\"unitOfMeasure\":{\"unit\":\"W\"}}," \
    "{\"value\":16.02,\"measurand\":\"Current.Import\",\"phase\":\"L1\",\"unitOfMeasure\":{\"unit\":\"A\"}}," \
    "{\"value\":15.98,\"measurand\":\"Current.Import\",\"phase\":\"L2\",\"unitOfMeasure\":{\"unit\":\"A\"}}," \
    "{\"value\":16.00,\"measurand\":\"Current.Import\",\"phase\":\"L3\",\"unitOfMeasure\":{\"unit\":\"A\"}}," \
    "{\"value\":230.1,\"measurand\":\"Voltage\",\"phase\":\"L1-N\",\"unitOfMeasure\":{\"unit\":\"V\"}}," \
    "{\"value\":229.7,\"measurand\":\"Voltage\",\"phase\":\"L2-N\",\"unitOfMeasure\":{\"unit\":\"V\"}}," \
    "{\"value\":54,\"measurand\":\"SoC\",\"location\":\"EV\",\"unitOfMeasure\":{\"unit\":\"Percent\"}}" \
    "]}]"
static const char meter_fmt_201[] =
    "[2,\"%s\",\"MeterValues\",{\"evseId\":1," SAMPLES_201 "}]";
static const char updated_fmt_201[] =
    "[2,\"%s\",\"TransactionEvent\",{\"eventType\":\"Updated\",\"timestamp\":" TS ","
    "\"triggerReason\":\"MeterValuePeriodic\",\"seqNo\":%u,"
    "\"transactionInfo\":{\"transactionId\":\"CP%06d-%08x-%d\",\"chargingState\":\"Charging\"}," SAMPLES_201 "}]";
static const char status_fmt_201[] =
    "[2,\"%s\",\"StatusNotification\",{\"timestamp\":" TS ",\"connectorStatus\":\"Occupied\","
    "\"evseId\":1,\"connectorId\":1}]";
#define READING_201(context) \
    "\"meterValue\":[{\"timestamp\":" TS ",\"sampledValue\":[{\"value\":%u,\"context\":\"" context "\"}]}]," \
    "\"idToken\":{\"idToken\":\"04A1B2C3D4\",\"type\":\"ISO14443\"}"
static const char started_fmt_201[] =
    "[2,\"%s\",\"TransactionEvent\",{\"eventType\":\"Started\",\"timestamp\":" TS ","
    "\"triggerReason\":\"Authorized\",\"seqNo\":%u,\"transactionInfo\":{\"transactionId\":\"CP%06d-%08x-%d\"},"
    "\"evse\":{\"id\":1,\"connectorId\":1}," READING_201("Transaction.Begin") "}]";
static const char ended_fmt_201[] =
    "[2,\"%s\",\"TransactionEvent\",{\"eventType\":\"Ended\",\"timestamp\":" TS ","
    "\"triggerReason\":\"StopAuthorized\",\"seqNo\":%u,"
    "\"transactionInfo\":{\"transactionId\":\"CP%06d-%08x-%d\",\"stoppedReason\":\"EVDisconnected\"},"
    READING_201("Transaction.End") "}]";

/* The id is a function of the connection and the call's number. */
static void make_id(char id[ID_LEN + 1], int cp, uint32_t seq)
{
    static const char hex[] = "0123456789abcdef";
    memcpy(id, "00000000-0000-4000-8000-00000c0ffee0", ID_LEN + 1);
    for (int i = 7; i >= 0; i--, seq >>= 4) id[i] = hex[seq & 15];
    for (int i = 34; i >= 29; i--, cp >>= 4) id[i] = hex[cp & 15];
}

static const char *clock_text(void)
{
    static char text[32];
    static time_t at;
    time_t t = time(NULL);
    if (t != at) {
        struct tm tm;
        at = t;
        gmtime_r(&t, &tm);
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    }
    return text;
}

static uint32_t run;                      /* differs from run to run */

static int make_call_201(struct conn *c, char *out, int what, const char *id, const char *now)
{
    int cp = c - conns + first;
    uint32_t wh = 1000000 + c->seq;
    switch (what) {
    case BOOT:      return sprintf(out, boot_fmt_201, id, cp);
    case HEARTBEAT: return sprintf(out, heartbeat_fmt, id);
    case STATUS:    return sprintf(out, status_fmt_201, id, now);
    case METER:
        if (!c->charging) return sprintf(out, meter_fmt_201, id, now, wh);
        return sprintf(out, updated_fmt_201, id, now, c->event++, cp, run, c->tx, now, wh);
    case START:
        c->event = 0;
        return sprintf(out, started_fmt_201, id, now, c->event++, cp, run, ++c->tx, now, wh);
    default:
        return sprintf(out, ended_fmt_201, id, now, c->event++, cp, run, c->tx, now, wh);
    }
}

static int make_call(struct conn *c, char *out, int what)
{
    char id[ID_LEN + 1];
    int cp = c - conns + first;
    make_id(id, cp, c->seq);
    const char *now = clock_text();
    uint32_t wh = 1000000 + c->seq;
    if (v201) return make_call_201(c, out, what, id, now);
    switch (what) {
    case BOOT:      return sprintf(out, boot_fmt, id, cp);
    case METER:     return sprintf(out, meter_fmt, id, c->tx, now, wh);
    case HEARTBEAT: return sprintf(out, heartbeat_fmt, id);
    case STATUS:    return sprintf(out, status_fmt, id, now);
    case START:     return sprintf(out, start_fmt, id, wh, now);
    default:        return sprintf(out, stop_fmt, id, c->tx, wh, now);
    }
}

/* ------------------------------------------------------------------ TLS */

#ifdef WITH_TLS
static SSL_CTX *tls_context;
static unsigned char *tls_session;        /* of the first connection, with --resume */
static int tls_session_len;

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    if (resume && !tls_session) tls_session_len = i2d_SSL_SESSION(session, &tls_session);
    return 0;
}

/* A copy for each connection: OpenSSL changes a session that is used. */
static void take_session(SSL *ssl)
{
    const unsigned char *at = tls_session;
    SSL_SESSION *session = at ? d2i_SSL_SESSION(NULL, &at, tls_session_len) : NULL;
    if (session) SSL_set_session(ssl, session);
    SSL_SESSION_free(session);
}

static void prepare_tls(void)
{
    tls_context = SSL_CTX_new(TLS_client_method());
    if (!tls_context) die("no TLS context");
    SSL_CTX_set_verify(tls_context, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_mode(tls_context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(tls_context,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(tls_context, keep_session);
}
#endif

/* The others wait for the session of the first one. */
static int may_open(int number)
{
#ifdef WITH_TLS
    return !resume || number == 0 || tls_session != NULL;
#else
    (void)number;
    return 1;
#endif
}

static int put(struct conn *c, const void *data, int len)
{
#ifdef WITH_TLS
    if (c->ssl) return SSL_write(c->ssl, data, len);
#endif
    return send(c->fd, data, len, MSG_NOSIGNAL);
}

/* As recv: -1 with errno EAGAIN if there is nothing, 0 at the end. */
static int get(struct conn *c, char *data, int size)
{
#ifdef WITH_TLS
    if (c->ssl) {
        int got = 0, n = 1;
        while (got < size && (n = SSL_read(c->ssl, data + got, size - got)) > 0) got += n;
        if (got) return got;
        if (SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_READ) return 0;
        errno = EAGAIN;
        return -1;
    }
#endif
    return recv(c->fd, data, size, 0);
}

static void shut(struct conn *c)
{
#ifdef WITH_TLS
    if (c->ssl) SSL_free(c->ssl);
    c->ssl = NULL;
#endif
    close(c->fd);
}

/* ------------------------------------------------------------ WebSocket */

static void drop(struct conn *c, const char *why)
{
    if (c->state == CLOSED) return;
    if (c->state == READY || c->state == WAITING) nready--;
    if (++drops <= 5)
        fprintf(stderr, "cpload: connection %d lost: %s\n",
                (int)(c - conns) + first, why);
    shut(c);
    free(c->part);
    c->part = NULL;
    c->state = CLOSED;
}

/* Mask and send one frame.  One call is outstanding at a time, so the
 * socket buffer has room and a short write means something is wrong. */
static void send_frame(struct conn *c, int opcode, const char *data, int len)
{
    uint8_t f[MAX_OUT + 16];
    int h = 2;
    uint32_t mask = rnd();

    f[0] = 0x80 | opcode;
    if (len < 126) {
        f[1] = 0x80 | len;
    } else {
        f[1] = 0x80 | 126;
        f[2] = len >> 8;
        f[3] = len;
        h = 4;
    }
    memcpy(f + h, &mask, 4);
    h += 4;
    uint64_t mask8 = mask | (uint64_t)mask << 32;
    for (int i = 0; i < len; i += 8) {     /* data has slack behind it */
        uint64_t w;
        memcpy(&w, data + i, 8);
        w ^= mask8;
        memcpy(f + h + i, &w, 8);
    }
    if (put(c, f, h + len) != h + len)
        drop(c, "short write");
    else if (measuring)
        sent_bytes += h + len;
}

static void send_call(struct conn *c, int what, uint64_t due)
{
    char text[MAX_OUT];
    c->seq++;
    int len = make_call(c, text, what);
    c->what = what;
    c->due = due;
    if (c->state == READY) c->state = WAITING;
    send_frame(c, 1, text, len);
}

static void next_call(struct conn *c, uint64_t due)
{
    int what = deck[deck_pos++ % sizeof deck];
    /* A transaction ends before the next one starts: others would pile up. */
    if (what == START && c->charging) what = STOP;
    else if (what == STOP && !c->charging) what = START;
    if (what == STOP) c->charging = 0;
    send_call(c, what, due);
}

static const char *skip_ws(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) p++;
    return p;
}

static void handle_text(struct conn *c, const char *p, int len)
{
    const char *end = p + len;
    char id[ID_LEN + 1], type = 0;

    p = skip_ws(p, end);
    if (p < end && *p == '[') p = skip_ws(p + 1, end);
    if (p < end) type = *p++;
    p = skip_ws(p, end);
    if (p < end && *p == ',') p = skip_ws(p + 1, end);

    if (type == '2') {                    /* a CALL to us: refuse it */
        const char *q = p < end ? memchr(p + 1, '"', end - p - 1) : NULL;
        char text[MAX_OUT];
        if (!q || q - p > 200) { bad_answers++; return; }
        int n = sprintf(text, "[4,%.*s,\"NotSupported\",\"\",{}]",
                        (int)(q + 1 - p), p);
        send_frame(c, 1, text, n);
        return;
    }

    make_id(id, c - conns + first, c->seq);
    if ((c->state != BOOTING && c->state != WAITING) ||
        (type != '3' && type != '4') || end - p < ID_LEN + 2 || *p != '"' ||
        memcmp(p + 1, id, ID_LEN) != 0 || p[ID_LEN + 1] != '"') {
        if (++bad_answers <= 3)
            fprintf(stderr, "cpload: bad answer: %.*s\n", len, end - len);
        return;
    }
    if (type == '4' && ++call_errors <= 3)
        fprintf(stderr, "cpload: call error: %.*s\n", len, end - len);

    if (c->state == BOOTING) {
        c->state = READY;
        nready++;
        return;
    }

    uint64_t now = now_ns();
    if (measuring) {
        hist_add(now - c->due);
        calls++;
        per_call[c->what]++;
    }
    if (c->what == START && v201) {
        c->charging = 1;
    } else if (c->what == START) {
        const char *t = memmem(p, end - p, "\"transactionId\":", 16);
        if (t) {
            c->tx = atoi(t + 16);
            c->charging = 1;
        }
    }
    c->state = READY;
    if (pace > 0)
        turn[turn_tail++ % nconns] = c - conns;
    else
        next_call(c, now);
}

/* Handle one whole frame at p; returns its length, 0 if it is not all there,
 * -1 if the connection went away. */
static int handle_frame(struct conn *c, char *p, int have)
{
    const uint8_t *u = (uint8_t *)p;
    int h = 2;
    uint64_t len;

    if (have < 2) return 0;
    len = u[1] & 127;
    if (len == 126) {
        if (have < 4) return 0;
        len = u[2] << 8 | u[3];
        h = 4;
    } else if (len == 127) {
        drop(c, "frame over 64 KiB");
        return -1;
    }
    if (u[1] & 0x80) { drop(c, "masked frame from the server"); return -1; }
    if ((uint64_t)have < h + len) return 0;

    switch (u[0]) {
    case 0x81: handle_text(c, p + h, len); break;
    case 0x89: {                          /* ping */
        char buf[136] = { 0 };
        memcpy(buf, p + h, len < 126 ? len : 125);
        send_frame(c, 10, buf, len < 126 ? len : 125);
        break;
    }
    case 0x8a: break;                     /* pong */
    case 0x88: drop(c, "server closed"); return -1;
    default:   drop(c, "unexpected frame"); return -1;
    }
    return c->state == CLOSED ? -1 : (int)(h + len);
}

static int handle_upgrade(struct conn *c, char *p, int have)
{
    char *end = memmem(p, have, "\r\n\r\n", 4);
    if (!end) return 0;
    int len = end + 4 - p;
    if (strncmp(p, "HTTP/1.1 101", 12) || !memmem(p, len, WS_ACCEPT, 28)) {
        fprintf(stderr, "cpload: %.*s\n", len > 300 ? 300 : len, p);
        drop(c, "upgrade refused");
        return -1;
    }
    c->state = BOOTING;
    send_call(c, BOOT, now_ns());
    return c->state == CLOSED ? -1 : len;
}

static void on_readable(struct conn *c)
{
    static char in[IN_SIZE + 8];
    int have = c->part_len;

    if (have) memcpy(in, c->part, have);
    int n = get(c, in + have, IN_SIZE - have);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) { drop(c, n ? strerror(errno) : "end of file"); return; }
    have += n;
    in[have] = 0;

    int at = 0, used;
    do {
        used = c->state == UPGRADING ? handle_upgrade(c, in + at, have - at)
                                     : handle_frame(c, in + at, have - at);
        if (used < 0) return;
        at += used;
    } while (used > 0 && at < have);

    c->part_len = have - at;
    if (c->part_len) {
        if (c->part_len >= IN_SIZE) { drop(c, "answer too long"); return; }
        c->part = realloc(c->part, c->part_len);
        memcpy(c->part, in + at, c->part_len);
    } else if (c->part) {
        free(c->part);
        c->part = NULL;
    }
}

static void ask_upgrade(struct conn *c)
{
    char req[512];
    int n = snprintf(req, sizeof req,
        "GET %sCP%06d HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: " WS_KEY "\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: ocpp%s\r\n%s\r\n",
        prefix, (int)(c - conns) + first, host, port, v201 ? "2.0.1" : "1.6",
        offer ? "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" : "");
    c->state = UPGRADING;
    if (put(c, req, n) != n) drop(c, "short write");
}

static void secure(struct conn *c)
{
#ifdef WITH_TLS
    int done = SSL_do_handshake(c->ssl);
    if (done == 1) {
        if (resume && c != conns && !SSL_session_reused(c->ssl)) {
            drop(c, "the server did not resume the session");
            return;
        }
        ask_upgrade(c);
    } else if (SSL_get_error(c->ssl, done) != SSL_ERROR_WANT_READ) {
        const char *why = ERR_reason_error_string(ERR_get_error());
        drop(c, why ? why : "TLS handshake failed");
    }
#else
    drop(c, "built without TLS");
#endif
}

static void on_connected(struct conn *c)
{
    int err = 0;
    socklen_t sl = sizeof err;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &sl);
    if (err) { drop(c, strerror(err)); return; }
    struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
    epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev);
    if (!tls) { ask_upgrade(c); return; }
#ifdef WITH_TLS
    c->ssl = SSL_new(tls_context);
    SSL_set_fd(c->ssl, c->fd);
    SSL_set_connect_state(c->ssl);
    take_session(c->ssl);
#endif
    c->state = SECURING;
    secure(c);
}

static void open_conn(struct conn *c)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
    int one = 1;
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1) die("bad address %s", host);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket: %s", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->state = CONNECTING;
    c->tx = 1;
    struct epoll_event ev = { .events = EPOLLOUT, .data.ptr = c };
    epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev);
    if (connect(c->fd, (void *)&a, sizeof a) < 0 && errno != EINPROGRESS)
        drop(c, strerror(errno));
}

static void poll_once(int ms)
{
    struct epoll_event ev[512];
    int n = epoll_wait(ep, ev, 512, ms);
    for (int i = 0; i < n; i++) {
        struct conn *c = ev[i].data.ptr;
        if (c->state == CLOSED) continue;
        if (c->state == CONNECTING) on_connected(c);
        else if (c->state == SECURING) secure(c);
        else on_readable(c);
    }
}

/* ----------------------------------------------------------------- main */

static void build_deck(void)
{
    int total = 0, n = 0;
    for (int i = 0; i < NCALLS; i++) total += weight[i];
    if (total <= 0) die("empty mix");
    for (int i = 0, sum = 0; i < NCALLS; i++) {
        sum += weight[i];
        while (n < (int)sizeof deck * (double)sum / total) deck[n++] = i;
    }
    for (int i = sizeof deck - 1; i > 0; i--) {
        int j = rnd() % (i + 1);
        uint8_t t = deck[i]; deck[i] = deck[j]; deck[j] = t;
    }
}

static void parse_mix(char *s)
{
    memset(weight, 0, sizeof weight);
    for (char *tok = strtok(s, ","); tok; tok = strtok(NULL, ",")) {
        char *eq = strchr(tok, '=');
        int i;
        if (!eq) die("bad mix '%s'", tok);
        *eq = 0;
        for (i = 0; i < NCALLS && strcmp(tok, call_name[i]); i++) ;
        if (i == NCALLS) die("unknown call '%s'", tok);
        weight[i] = atoi(eq + 1);
    }
}

static long rss_kib(void)
{
    char path[64], line[256];
    long sum = 0, kib;
    for (int i = 0; i < nservers; i++) {
        snprintf(path, sizeof path, "/proc/%d/status", server_pids[i]);
        FILE *f = fopen(path, "r");
        if (!f) continue;
        while (fgets(line, sizeof line, f))
            if (sscanf(line, "VmRSS: %ld", &kib) == 1) { sum += kib; break; }
        fclose(f);
    }
    return sum;
}

static double server_cpu_seconds(void)
{
    char path[64], line[1024];
    unsigned long user, sys, sum = 0;
    for (int i = 0; i < nservers; i++) {
        snprintf(path, sizeof path, "/proc/%d/stat", server_pids[i]);
        FILE *f = fopen(path, "r");
        if (!f) continue;
        char *p = fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
        if (p && sscanf(p, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys) == 2)
            sum += user + sys;
        fclose(f);
    }
    return (double)sum / sysconf(_SC_CLK_TCK);
}

static double cpu_seconds(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return r.ru_utime.tv_sec + r.ru_stime.tv_sec +
           (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static void on_signal(int number)
{
    if (number == SIGTERM) asked_to_end = 1;
    else asked_to_print = 1;
}

/* Figures since the last time, with errors since the start; then count anew. */
static uint64_t counted_from;
static double own_cpu, server_cpu;

static void start_counting(void)
{
    calls = sent_bytes = lat_max = 0;
    memset(hist, 0, sizeof hist);
    own_cpu = cpu_seconds();
    server_cpu = server_cpu_seconds();
    counted_from = now_ns();
}

static void print_figures(void)
{
    double took = (now_ns() - counted_from) / 1e9;
    printf("calls/s=%.0f p50=%.3f p90=%.3f p99=%.3f p99.9=%.3f max=%.3f ms "
           "calls=%lu callerrors=%lu bad=%lu lost=%lu in_MB/s=%.1f gen_cpu=%.0f%% "
           "server_us/call=%.2f\n",
           calls / took, hist_ms(.5), hist_ms(.9), hist_ms(.99), hist_ms(.999),
           lat_max / 1e6, calls, call_errors, bad_answers, drops,
           sent_bytes / took / 1e6, 100 * (cpu_seconds() - own_cpu) / took,
           calls ? 1e6 * (server_cpu_seconds() - server_cpu) / calls : 0);
    start_counting();
}

static void hold_idle(double time, long rss_before)
{
    uint64_t end = now_ns() + (uint64_t)(time * 1e9);
    while (!asked_to_end && now_ns() < end) poll_once(20);
    if (nservers) {
        long rss = rss_kib();
        printf("idle n=%d rss_before_kib=%ld rss_after_kib=%ld per_connection_kib=%.2f lost=%lu\n",
               nready, rss_before, rss, (double)(rss - rss_before) / nready, drops);
    }
}

/* Run the load until `end`. */
static void run_until(uint64_t end, uint64_t *pace_next)
{
    uint64_t step = pace > 0 ? (uint64_t)(1e9 / pace) : 0, t;
    while (!asked_to_end && (t = now_ns()) < end) {
        if (asked_to_print) {
            asked_to_print = 0;
            print_figures();
        }
        if (pace > 0) {
            while (*pace_next <= t && turn_head < turn_tail) {
                struct conn *c = &conns[turn[turn_head++ % nconns]];
                if (c->state == READY) { next_call(c, *pace_next); *pace_next += step; }
            }
            poll_once(*pace_next > t + 1000000 ? 1 : 0);
        } else {
            poll_once(10);
        }
    }
}

int main(int argc, char **argv)
{
    static const struct option opts[] = {
        { "host", 1, 0, 'h' }, { "port", 1, 0, 'p' }, { "prefix", 1, 0, 'x' },
        { "connections", 1, 0, 'n' }, { "first", 1, 0, 'f' },
        { "seconds", 1, 0, 't' }, { "warmup", 1, 0, 'w' }, { "rate", 1, 0, 'r' },
        { "mix", 1, 0, 'm' }, { "pace", 1, 0, 'P' }, { "idle", 0, 0, 'i' },
        { "hold", 1, 0, 'H' }, { "pid", 1, 0, 'd' }, { "ocpp", 1, 0, 'o' },
        { "compression", 0, 0, 'c' }, { "tls", 0, 0, 's' }, { "resume", 0, 0, 'S' },
        { 0 } };
    for (int o; (o = getopt_long(argc, argv, "h:p:n:t:w:r:m:i", opts, 0)) != -1; )
        switch (o) {
        case 'h': host = optarg; break;
        case 'p': port = atoi(optarg); break;
        case 'x': prefix = optarg; break;
        case 'n': nconns = atoi(optarg); break;
        case 'f': first = atoi(optarg); break;
        case 't': seconds = atof(optarg); break;
        case 'w': warmup = atof(optarg); break;
        case 'r': rate = atof(optarg); break;
        case 'm': parse_mix(optarg); break;
        case 'P': pace = atof(optarg); break;
        case 'i': idle = 1; break;
        case 'c': offer = 1; break;
        case 'H': hold = atof(optarg); break;
        case 'd':
            if (nservers == 64) die("too many --pid");
            server_pids[nservers++] = atoi(optarg);
            break;
        case 's': tls = 1; break;
        case 'S': resume = 1; break;
        case 'o':
            v201 = !strcmp(optarg, "2.0.1");
            if (!v201 && strcmp(optarg, "1.6")) die("--ocpp is 1.6 or 2.0.1");
            break;
        default:  die("see the top of cpload.c for usage");
        }

    struct rlimit rl;
    getrlimit(RLIMIT_NOFILE, &rl);
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);
    if (rl.rlim_cur < (rlim_t)nconns + 16) die("open files limit too low: %ld", (long)rl.rlim_cur);

#ifdef WITH_TLS
    if (tls) prepare_tls();
#else
    if (tls) die("built without TLS");
#endif
    run = now_ns() / 1000;
    setvbuf(stdout, NULL, _IOLBF, 0);
    conns = calloc(nconns, sizeof *conns);
    turn = calloc(nconns, sizeof *turn);
    ep = epoll_create1(EPOLL_CLOEXEC);
    build_deck();

    /* Connect, at --rate, and wait for every Boot to be answered. */
    long rss0 = rss_kib();
    uint64_t t0 = now_ns(), progress = t0;
    int opened = 0, last = 0;
    while (nready + (int)drops < nconns) {
        uint64_t t = now_ns();
        while (opened < nconns && (t - t0) / 1e9 * rate >= opened && may_open(opened))
            open_conn(&conns[opened++]);
        poll_once(1);
        if (nready != last) { last = nready; progress = t; }
        if (t - progress > 30000000000ull) die("stuck with %d of %d connected", nready, nconns);
    }
    signal(SIGTERM, on_signal);
    signal(SIGUSR1, on_signal);
    printf("connected %d of %d in %.2f s (lost %lu)\n", nready, nconns,
           (now_ns() - t0) / 1e9, drops);
    if (idle) {
        hold_idle(seconds, rss0);
        int lost = drops || bad_answers;
        for (int i = 0; i < nconns; i++)
            if (conns[i].state != CLOSED) shut(&conns[i]);
        return lost;
    }
    if (hold > 0) hold_idle(hold, rss0);

    uint64_t start = now_ns(), pace_next = start;
    for (int i = 0; i < nconns; i++) {
        if (conns[i].state != READY) continue;
        if (pace > 0) turn[turn_tail++ % nconns] = i;
        else next_call(&conns[i], now_ns());
    }
    run_until(start + (uint64_t)(warmup * 1e9), &pace_next);
    measuring = 1;
    start_counting();
    pace_next = counted_from;    /* what fell behind while warming up is forgiven */
    run_until(counted_from + (uint64_t)(seconds * 1e9), &pace_next);
    print_figures();
    return call_errors || bad_answers || drops;
}
