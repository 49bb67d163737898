//! Bounds of the HTTP server.

use super::PORT_DEFAULT;

/// Where HTTP is answered if no port is named: the next after the queue's own.
pub const HTTP_PORT_DEFAULT: u16 = PORT_DEFAULT + 1;

/// Calls of the HTTP server that are under way in the master at once, each on a thread.
pub const HTTP_CALLS_MAX: usize = 32;

/// Polls and waits of HTTP clients, each on a thread with a small stack.
pub const HTTP_WAITS_MAX: usize = 256;

/// Connections of HTTP clients; with event streams among them, each holds two buffers.
pub const HTTP_CONNECTIONS_MAX: usize = 1024;

/// The head of an HTTP request, in bytes and in lines; the least that hyper takes.
pub const HTTP_HEAD_BYTES_MAX: usize = 8192;
pub const HTTP_HEADERS_MAX: usize = 64;

/// How long the head of an HTTP request may take, and its body.
pub const HTTP_HEAD_MS_MAX: u64 = 10_000;
pub const HTTP_BODY_MS_MAX: u64 = 10_000;

/// Event streams, of the connections that there may be.
pub const HTTP_STREAMS_MAX: usize = 512;

/// Events of a quarter of a second that are told one by one; of more, only that something happened. Each takes some 150
/// bytes.
pub const HTTP_STREAM_EVENTS_MAX: usize = 200;

/// Quarters of a second that all streams together keep for those that are slow.
pub const HTTP_STREAM_BACKLOG_MAX: usize = 16;

/// Sessions of the page; each holds its token.
pub const HTTP_SESSIONS_MAX: usize = 1024;

/// How long a session lasts without a request.
pub const HTTP_SESSION_IDLE_MS_MAX: u64 = 12 * 3_600_000;

/// Wrong tokens that are answered at once, each after a pause: so many guesses a second.
pub const HTTP_WRONG_TOKENS_MAX: usize = 4;

/// Samples of totals that are kept for charts, and how often one is taken: the last hour, in 23 KiB.
pub const HTTP_HISTORY_SAMPLES_MAX: usize = 360;
pub const HTTP_HISTORY_EVERY_MS: u64 = 10_000;

/// The body of an HTTP request.
pub const HTTP_BODY_BYTES_MAX: usize = 1 << 20;

/// What the kernel takes for an HTTP client beyond what it has sent. Left to itself it keeps up to 4 MiB for each one
/// that does not read (`net.ipv4.tcp_wmem`).
pub const HTTP_UNSENT_BYTES_MAX: u32 = 128 << 10;

/// Results of earlier jobs that one answer of a poll tells, and after how many bytes of them it tells no more: each is
/// asked of the master by itself, and the answer lies in memory.
pub const HTTP_RESULTS_MAX: usize = 1024;
pub const HTTP_RESULTS_BYTES_MAX: usize = 1 << 20;

/// How long an HTTP client may take nothing of what it asked for.
pub const HTTP_WRITE_PAUSE_MS_MAX: u64 = 30_000;
