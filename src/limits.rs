//! Every bound of FalconQueue on one page: the unit is in the name, the reason beside it,
//! the relations between them are checked when the crate is compiled.
//!
//! Reaching one of these gives a named error, never growth and never silent clamping, but where it says so.

mod http;
mod relations;

pub use http::*;

/// Bytes of a frame's header on the wire.
pub const FRAME_HEADER_BYTES: usize = 16;

/// Longest body of a frame. Eight payloads of the largest size fit into one batch.
pub const FRAME_BODY_BYTES_MAX: usize = 8 << 20;

/// Longest body before Hello was answered: a stranger can make the master keep no more than this.
pub const HELLO_BODY_BYTES_MAX: usize = 4096;

/// Longest payload of a job. Larger things belong into a store of their own, with the job naming them.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 20;

/// Longest result of a job; it is written to the log with the ACK.
pub const RESULT_BYTES_MAX: usize = 64 << 10;

/// Longest error text of a Fail; it lies in the log while its job is there.
pub const ERROR_TEXT_BYTES_MAX: usize = 4096;

/// Most items in one request (jobs of a Submit, items of an Ack, …).
pub const ITEMS_MAX: usize = 1024;

/// Most jobs and batches that one job may wait for. Of a crowd make a batch, and wait for that.
pub const BEFORE_MAX: usize = 1000;

/// What they may take together in a request, if keys name them.
pub const BEFORE_BYTES_MAX: usize = 32 << 10;

/// Most batches that are known at once: open ones, those that run, and those that are over and not forgotten yet.
pub const BATCHES_MAX: usize = 10_000;

/// Most batches that one page of a list has.
pub const BATCHES_TOLD_MAX: u64 = 500;

/// Longest name of a batch.
pub const BATCH_NAME_BYTES_MAX: usize = 64;

/// How long a batch that is not sealed waits for somebody to fill it, when all who did are gone.
pub const BATCH_ALONE_MS: u64 = 60_000;

/// Jobs that wait for others of which so many are looked at in one turn: well below a millisecond each, with what they
/// write.
pub const LOOKS_PER_TURN: usize = 1000;

/// Most jobs that one ack may submit: with the ack they fit into a group.
pub const FOLLOW_UPS_MAX: usize = 1000;

/// Most queues that one Poll may name.
pub const POLL_QUEUES_MAX: usize = 32;

pub const QUEUE_NAME_BYTES_MAX: usize = 64;

pub const GROUP_NAME_BYTES_MAX: usize = 64;

/// Groups with jobs or with a bucket that is not full, over all queues: 200 bytes each.
pub const GROUPS_MAX: usize = 1 << 20;

/// Groups that have settings of their own, over all queues. A snapshot writes them when it is begun.
pub const GROUP_RULES_MAX: usize = 10_000;

/// How many jobs a group hands out in each of its turns, and at most by its weight: so long each other waits.
pub const GROUP_WEIGHT_DEFAULT: u16 = 1;
pub const GROUP_WEIGHT_MAX: u16 = 1000;

/// Tokens of a rate, and of its burst.
pub const RATE_TOKENS_MAX: u32 = 1_000_000;

/// The span in which so many tokens come: a day.
pub const RATE_SPAN_MS_MAX: u32 = 24 * 3600 * 1000;

pub const KEY_BYTES_MAX: usize = 128;

/// Longest name that a client gives itself in Hello.
pub const CLIENT_NAME_BYTES_MAX: usize = 64;

pub const TOKEN_BYTES_MAX: usize = 1024;

/// Most tokens of one master. Each Hello is held against all of them, which takes less than a millisecond.
pub const TOKENS_MAX: usize = 256;

/// Longest name of who holds a token.
pub const TOKEN_NAME_BYTES_MAX: usize = 64;

/// Longest name of a worker's host; a name in the DNS has at most 253.
pub const HOST_BYTES_MAX: usize = 255;

/// Longest name and version of a worker's program.
pub const SOFTWARE_BYTES_MAX: usize = 64;

/// Longest text about how far a job is. It is kept in memory.
pub const PROGRESS_TEXT_BYTES_MAX: usize = 200;

/// What a job that is all done has.
pub const PERCENT_MAX: u8 = 100;

/// Jobs of one worker that it is told of, and bytes of all workers in one reply.
pub const WORKER_JOBS_TOLD_MAX: usize = 1024;
pub const WORKERS_BYTES_MAX: usize = 4 << 20;

/// Most queues of one master; each costs about 2 KiB of memory.
pub const QUEUES_MAX: usize = 10_000;

/// Most requests for a snapshot that wait.
pub const SNAPSHOTS_ASKED_MAX: usize = 1024;

/// Most names that polls name although no queue of that name has or had jobs. Further ones are passed over: the poll
/// waits for its other queues, and finds the job when it comes again.
pub const POLLED_NAMES_MAX: usize = 10_000;

/// A queue without jobs, settings and waiting polls is forgotten after this time.
pub const QUEUE_IDLE_MS: u64 = 60 * 60 * 1000;

/// Attempts of a job that are remembered.
pub const ATTEMPTS_REMEMBERED: usize = 10;

/// The longest story of a job: its attempts, each with its worker's name, and an error.
pub const STORY_BYTES_MAX: usize = ATTEMPTS_REMEMBERED * (20 + CLIENT_NAME_BYTES_MAX) + ERROR_TEXT_BYTES_MAX + 16;

/// Bytes of payload after which a worker asks for no further job that it would only hold, and that one poll asks for.
pub const PREFETCH_BYTES_MAX: usize = 1 << 20;

/// Bytes of results and errors after which a worker begins no further job before it has reported some.
pub const UNREPORTED_BYTES_MAX: usize = 4 << 20;

/// Outcomes of jobs after which it begins none for the same reason.
pub const UNREPORTED_MAX: usize = 8 * ITEMS_MAX;

/// Polls that may wait on one connection before the master stops reading from it.
pub const WAITING_POLLS_MAX: usize = 1024;

/// Reply bytes that may wait in one connection before the master stops reading from it.
pub const REPLY_BYTES_WAITING_MAX: usize = 1 << 20;

/// Bytes read from one connection in one turn, so that a busy one cannot starve the rest.
pub const READ_BYTES_PER_TURN: usize = 64 << 10;

/// Log bytes after which a sync is asked for even while more is ready to be read: more jobs share a sync with a larger
/// one, but the disk is idle for longer.
pub const GROUP_BYTES_BOUND: usize = 64 << 10;

/// Time after which a sync is asked for even while more is ready to be read: requests that write nothing must not
/// keep the answers of others waiting.
pub const SYNC_WAIT_MS_MAX: u64 = 5;

/// How long the log has to be silent before a mark vouches for its newest record.
pub const MARK_IDLE_MS: u64 = 100;

/// How long a connection may take to say Hello.
pub const HELLO_MS_MAX: u64 = 5000;

/// Most connections at once, if the open-file limit allows it.
pub const CONNECTIONS_MAX: usize = 16_384;

/// Most connections that have not said a valid Hello; of fewer places in all they get a quarter. The oldest of them
/// makes room for the next, so that whoever does say Hello finds a place.
pub const STRANGERS_MAX: usize = 1024;

/// Bytes of unfinished frames, and of frames that wait because replies are not read, of all connections together.
pub const UNFINISHED_BYTES_MAX: usize = 64 << 20;

/// How long a frame that was begun may stand still.
pub const FRAME_PAUSE_MS_MAX: u64 = 10_000;

/// How long a worker's connection may be silent, on either side, unless the daemon is told otherwise.
pub const SILENCE_MS_DEFAULT: u64 = 15_000;

/// Shortest time for it: three signs of life have to fit into it.
pub const SILENCE_MS_MIN: u64 = 1000;

/// Longest time for it: 1 hour.
pub const SILENCE_MS_MAX: u64 = 3600 * 1000;

/// After how long the system gives up a connection whose other side confirms nothing.
pub const PEER_SILENCE_MS: u32 = 15_000;

/// How long a master that stops goes on to answer what comes, and then waits for its clients to close.
pub const LAST_ANSWERS_MS: u64 = 200;
pub const LAST_CLOSE_MS: u64 = 2000;

/// Priority of a job for which none was given. 0 is the most urgent, 255 the least.
pub const PRIORITY_DEFAULT: u8 = 128;

/// Attempts of a job for which no number was given.
pub const ATTEMPTS_DEFAULT: u16 = 5;

/// Most attempts that may be asked for.
pub const ATTEMPTS_MAX: u16 = 1000;

/// Longest delay: 365 days.
pub const DELAY_MS_MAX: u64 = 365 * 24 * 3600 * 1000;

/// Longest time that a job may be kept after its end, or may wait to be begun: 365 days.
pub const KEEP_MS_MAX: u64 = 365 * 24 * 3600 * 1000;

/// Most bytes of all headers of a job together, as they stand on the wire.
pub const HEADERS_BYTES_MAX: usize = 4096;

/// Longest name of a header.
pub const HEADER_NAME_BYTES_MAX: usize = 64;

/// Longest reason for a pause.
pub const REASON_BYTES_MAX: usize = 200;

/// Most schedules, and bytes of all of them together: they are kept in memory, payloads and all.
pub const SCHEDULES_MAX: usize = 10_000;
pub const SCHEDULES_BYTES_MAX: usize = 64 << 20;

/// Longest name of a schedule.
pub const SCHEDULE_NAME_BYTES_MAX: usize = 64;

/// Longest payload of the jobs that a schedule makes.
pub const SCHEDULE_PAYLOAD_BYTES_MAX: usize = 16 << 10;

/// Longest cron expression, and longest name of a time zone.
pub const CRON_BYTES_MAX: usize = 256;
pub const ZONE_BYTES_MAX: usize = 64;

/// Shortest and longest span from one tick to the next: 1 second, 365 days.
pub const EVERY_MS_MIN: u64 = 1000;
pub const EVERY_MS_MAX: u64 = 365 * 24 * 3600 * 1000;

/// By how much a tick may come later at most, as is drawn for it: 24 hours.
pub const JITTER_MS_MAX: u32 = 24 * 3600 * 1000;

/// Most missed ticks for which jobs are made later, of `all:N`.
pub const MISSED_TICKS_MAX: u16 = 1000;

/// Ticks of a schedule that it remembers, and that a look at it tells to come.
pub const SCHEDULE_RUNS_REMEMBERED: usize = 5;
pub const TICKS_TOLD_MAX: usize = 5;

/// Ticks that are carried out in one turn: some milliseconds.
pub const TICKS_PER_TURN: usize = 256;

/// A tick that could not be carried out within this time, since the master stood still or the clock was set forward,
/// is taken for missed.
pub const TICK_LATE_MS_MAX: u64 = 10_000;

/// A clock that is set back by more than this was wrong before: a schedule that is paused and resumed then goes by
/// what it shows now. 24 hours.
pub const CLOCK_SET_BACK_MS_MAX: u64 = 24 * 3600 * 1000;

/// Most schedules of one page of a list.
pub const SCHEDULES_TOLD_MAX: u64 = 1000;

/// What the headers of a job that a schedule made take beside its own: two names, two values, their lengths.
pub const TICK_HEADERS_BYTES: usize = SCHEDULE_NAME_BYTES_MAX + 64;

/// Most jobs or keys that one Wait names.
pub const WAITED_JOBS_MAX: usize = ITEMS_MAX;

/// Jobs that all waits together may name: some 30 MB.
pub const WAITED_JOBS_ALL_MAX: usize = 1 << 18;

/// Jobs of which one answer to a wait tells how far they are: people read it.
pub const WAITED_PROGRESS_MAX: usize = 64;

/// How long it takes at least from one such answer to the next.
pub const PROGRESS_TOLD_MS: u64 = 1000;

/// Jobs that one page of a list, a count or a change by filter looks at.
pub const SCANNED_ENTRIES_MAX: u32 = 100_000;

/// Jobs that a slice of it looks at, between two turns: well below a millisecond, also of ten million jobs.
pub const SCAN_SLICE_ENTRIES: u64 = 4000;

/// Most such requests under way.
pub const SCANS_MAX: usize = 64;

/// How long one may take.
pub const SCAN_MS_MAX: u64 = 60_000;

/// Jobs that a slice of it changes.
pub const SCAN_SLICE_MENDED: usize = 128;

/// Jobs that one page changes.
pub const MENDED_JOBS_MAX: u64 = 10_000;

/// Bytes of an error that a list shows.
pub const LISTED_ERROR_BYTES_MAX: usize = 200;

/// Shortest time that an attempt may be given; below it a process hardly starts.
pub const TIMEOUT_MS_MIN: u64 = 100;

/// Longest time that an attempt may be given: 7 days.
pub const TIMEOUT_MS_MAX: u64 = 7 * 24 * 3600 * 1000;

/// How far past its `timeout_ms` an attempt may be extended by heartbeats; the worker has this long
/// to stop the job and say so.
pub const TIMEOUT_GRACE_MS: u64 = 5000;

/// Longest wait of a Poll: 5 minutes.
pub const WAIT_MS_MAX: u32 = 300_000;

/// Shortest lease; a heartbeat has to fit into it.
pub const LEASE_MS_MIN: u32 = 100;

/// Longest lease: 24 hours.
pub const LEASE_MS_MAX: u32 = 24 * 3600 * 1000;

/// First backoff after a failed attempt; doubled with each further one.
pub const BACKOFF_MS_FIRST: u64 = 1000;

/// Longest backoff: 1 hour.
pub const BACKOFF_MS_MAX: u64 = 3600 * 1000;

/// Longest backoff that may be asked for: 7 days.
pub const BACKOFF_MS_LONGEST: u64 = 7 * 24 * 3600 * 1000;

/// How long a key is remembered after its job ended, unless the daemon is told otherwise: 1 hour.
pub const KEY_WINDOW_MS_DEFAULT: u64 = 3600 * 1000;

/// Longest key window: 30 days. Each remembered key costs memory.
pub const KEY_WINDOW_MS_MAX: u64 = 30 * 24 * 3600 * 1000;

/// What is left of the leases of a connection that broke: time to come back, short enough for
/// a killed worker's jobs to move on within 5 s.
pub const GRACE_MS_DEFAULT: u64 = 2000;

/// A worker names its leases this often, so that they belong to the connection of its heartbeats, and a broken
/// connection is noticed, well within the grace.
pub const HEARTBEAT_MS: u64 = 1000;

/// Most jobs that one worker, or the workers in the master's process, run at once; each has a thread.
pub const CONCURRENCY_MAX: u64 = 1024;

pub const GRACE_MS_MAX: u64 = 60 * 60 * 1000;

/// Longest interval of `--sync DURATION`: 1 minute.
pub const SYNC_INTERVAL_MS_MAX: u64 = 60_000;

/// Job ids stay below this, so that a shard number fits above them.
pub const JOB_ID_END: u64 = 1 << 48;

/// How far a job's id may be above the LSN. Each id takes a record, so it never is by itself; a repair leaves out the
/// ids that records may have had which are lost.
pub const JOB_IDS_AHEAD_MAX: u64 = 1 << 28;

/// Most bytes of a file that one Read is answered with.
pub const READ_BYTES_MAX: u32 = 1 << 20;

/// Most events that one Log is answered with, and about how many bytes they may have; the first is there whatever it
/// has.
pub const LOG_EVENTS_MAX: usize = 1000;
pub const LOG_PAGE_BYTES_MAX: usize = 1 << 20;

/// About how many bytes of the log are read for one Log, in how many segments at most: those that wait behind it are
/// served soon, and no more segments are kept from being given up. This takes the disk a second or less.
pub const LOG_READ_BYTES_MAX: u64 = 256 << 20;
pub const LOG_READ_SEGMENTS_MAX: usize = 1024;

/// The log is read in pieces of this size: long enough for a disk to be at its fastest.
pub const READ_PIECE_BYTES: u32 = 1 << 20;

/// Most texts that are read from the log at once, and the bytes that they may have together.
pub const TEXTS_MAX: usize = 1024;
pub const TEXTS_BYTES_MAX: usize = 4 << 20;

/// Most requests that wait for something to be read from the log, in all and of one connection.
pub const READINGS_MAX: usize = 1024;
pub const READINGS_OF_ONE_MAX: usize = 64;

/// How long they wait at most.
pub const READING_WAIT_MS_MAX: u64 = 60_000;

/// Bytes of a log segment unless the daemon is told otherwise.
pub const SEGMENT_BYTES_DEFAULT: u32 = 64 << 20;

/// Smallest segment: the largest group fits into a fresh one with the reserve beside it.
pub const SEGMENT_BYTES_MIN: u32 = 16 << 20;

/// Largest segment; recovery reads one as a whole.
pub const SEGMENT_BYTES_MAX: u32 = 256 << 20;

/// Segments are multiples of this, and are filled with zeros in pieces of this size: with larger
/// pieces the page cache holds the file in large folios, and each sync then writes a megabyte.
pub const SEGMENT_PAGE_BYTES: usize = 4096;

/// What is written beside the loop, spare segments and snapshots, is made durable each time it has grown by this. The
/// sync that replies wait for goes behind all that the disk was given before: 64 MiB given at once held replies up
/// for 0.2 s.
pub const BESIDE_BYTES_PER_SYNC: usize = 256 << 10;

/// The port of a master where none is named.
pub const PORT_DEFAULT: u16 = 3252;

/// The longest path of a Unix socket: Linux has 108 bytes for it, and the last one is 0.
pub const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Sockets that a master listens on: one for each network of a host with many, and some.
pub const LISTENERS_MAX: usize = 16;

/// Queues that have measures of their own, for as long as the master lives: the first ones that were there, or active.
/// What is measured in all others is told as one. Each costs 1 KiB, and up to 16 KiB where many jobs run for long.
pub const MEASURED_QUEUES_MAX: usize = 200;

/// Events that are kept for whoever watches, 72 bytes each, and how many of them an answer tells.
pub const RECENT_EVENTS_MAX: usize = 8192;
pub const RECENT_TOLD_MAX: usize = 1000;
/// How long they are kept once nobody asks.
pub const RECENT_IDLE_MS: u64 = 30_000;

/// Schedules whose times are told among the measures, the first by name.
pub const MEASURED_SCHEDULES_MAX: usize = 200;

/// Segments of the log that are told one by one, the newest first.
pub const STORAGE_SEGMENTS_MAX: usize = 1000;

/// Leases that are looked at to tell which workers are busy: less than a tenth of a millisecond.
pub const MEASURED_LEASES_MAX: usize = 4096;

/// Moments at which jobs became ready that are remembered, 16 bytes each. Those of long ago are merged: the time that a
/// job has waited is known to a sixty-fourth of it.
pub const READY_MOMENTS_MAX: usize = 4096;

/// Moments at which the jobs that run were delivered, for each measured queue, merged to a sixteenth of their age.
pub const RUNNING_MOMENTS_MAX: usize = 1024;

/// Room kept back in the last segment when no further one can be made: Submit is refused,
/// polls and acks go on in it.
pub const RESERVE_BYTES: u32 = 4 << 20;

/// What a log record adds to the fields that came over the wire, at most: record header, padding,
/// job id, times, the worker's name.
pub const RECORD_OVERHEAD_BYTES_MAX: usize = 256;

/// The longest record: a payload (or a result, or an error text) with its head.
pub const RECORD_BYTES_MAX: usize = {
    let names = QUEUE_NAME_BYTES_MAX + GROUP_NAME_BYTES_MAX + KEY_BYTES_MAX;
    PAYLOAD_BYTES_MAX + HEADERS_BYTES_MAX + names + RECORD_OVERHEAD_BYTES_MAX
};

/// The longest group: one request's records, which become valid together. An item of a Fail adds the story of its job,
/// and its words are short.
pub const GROUP_BYTES_MAX: usize = FRAME_BODY_BYTES_MAX + ITEMS_MAX * RECORD_OVERHEAD_BYTES_MAX;
