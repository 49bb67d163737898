//! FalconQueue: a durable, distributed job queue.
//!
//! One master (`falcond`) owns every job in a write-ahead log and hands jobs to workers that poll for them over TCP. This
//! page is the map: what is promised, what is always true, and who may know whom. The wire is described in
//! `protocol.md`, a log's bytes at [`wal`], events at [`queue::event`].
//!
//! # Promises
//!
//! Each names tests that show it. What each means, and where it ends, is told in `docs/guarantees.md`;
//! `tests/processes/kill9.rs` holds most of them against real processes that are killed, `tests/values/wal_crash.rs`
//! against simulated power cuts at every storage operation.
//!
//! 1. A job whose Submit was answered OK is never lost: it stays until it is acked, dead or cancelled
//!    (`tests/daemon/restart.rs`, `tests/values/model.rs`).
//! 2. A job whose Ack was answered OK is never delivered again
//!    (`tests/values/model.rs`, `tests/processes/failover.rs`).
//! 3. At most one live lease per job. An ack, fail or release with another lease id is refused (`LeaseLost`) and
//!    changes nothing (`tests/daemon/leases.rs`, `tests/values/model.rs`).
//! 4. Delivery is at least once: an attempt whose worker went silent is repeated after its lease ran out
//!    (`tests/processes/failover.rs`).
//! 5. First in, first out inside one queue and priority, for jobs that were never delayed, retried or released
//!    (`tests/daemon/jobs.rs`, `tests/values/model.rs`).
//! 6. No job runs more than `max_attempts` times; then it is dead, with its last error kept (`tests/daemon/leases.rs`).
//! 7. A job is never delivered before its time (`tests/values/master.rs`, `tests/values/model.rs`).
//! 8. Two Submits with one key, inside its window, give one job and the same id, also across a crash of the master
//!    (`tests/daemon/restart.rs`, `tests/values/master.rs`).
//! 9. With `--sync always` the above hold across a power cut; with an interval, up to that interval is at risk; in
//!    every mode they hold across `kill -9` of the master
//!    (`tests/values/master.rs`, `tests/values/model.rs`, `tests/daemon/restart.rs`).
//! 10. The state rebuilt from disk equals the state before the crash, up to the last durable record
//!     (`tests/values/model.rs`).
//! 11. A worker that keeps its job through a master restart, and comes back within the lease, can ack it
//!     (`tests/processes/failover.rs`, `tests/values/master.rs`).
//!
//! # Invariants
//!
//! * **One door.** A job leaves `pending` for `in-flight` in one function of [`master`], only to answer a poll that
//!   waits. Workers in the master's own process poll through it like all others.
//! * **One writer of state.** [`queue::Queues::apply`] is the only function that changes what is durable; recovery
//!   calls it in a loop. (`falcon-cli wal repair` alone takes jobs out by hand, of a state that no master holds.)
//! * **One gate.** A reply that tells of the state carries the LSN that it depends on and leaves when that is durable.
//! * **One clock**, in [`reactor`]. It never goes back, not even across a restart: it starts at the newest record's
//!   moment if the system's clock is behind that.
//! * **The first failed write or sync is the last.** The daemon stops with exit status 74 and sends nothing more.
//!
//! # Who may know whom
//!
//! ```text
//!  bin/falcond          bin/falcon-worker      bin/falcon-cli
//!       │                     │                      │
//!    daemon ─────────────▶ worker                   cli
//!       │                  │     │                 │   │
//!    reactor               │   client ◀─────────────   │
//!       │                  │     │                     │
//!    master ◀──(local)─────┘     │                     │
//!     │    \                     │                     │
//!  rebuilt  protocol ◀───────────┘         rebuilt ◀───┘
//!   /   \     │
//! queue wal   │
//!    \   │   /
//!   limits  ids  time  codec  block  exit  planted
//! ```
//!
//! An arrow means "may use", and what is further down may be used directly. Nothing is used upward; `queue`, `wal` and
//! `protocol` do not know each other.
//! `tests/tidy.rs` holds this against the code, and the outside crates of each module with it.
//!
//! # Where the design was changed
//!
//! * A record's checksum stands before its length, so that it covers one run of bytes ([`wal`], `record`).
//! * Every record names a durable LSN, not only every group: 4 bytes each, and no record of another kind at a group's
//!   start, so that LSN 1 is the first event. The empty group that is written when the log falls silent is a mark, which
//!   takes no LSN.
//! * "A segment that a later one continues" is not refused as such: the loop does not wait for the old segment's sync
//!   before it begins the next, so after a power cut a hole may lie in front of a valid new segment though nothing
//!   durable is lost. Whether something durable is lost is told by the durable LSNs, there as everywhere (`recover`).
//! * A sync is also asked for when a group has reached 64 KiB, in the midst of a turn, too, if none is under way: with many open
//!   requests the disk then works while the rest is read (1.2 times the cycles with 16 open requests or batches of 16 at 50+50,
//!   1.4 times with payloads of 64 KiB, against a bound of 1 MiB that was looked at after each turn).
//! * A payload of up to 4 KiB that was appended a moment ago is copied into its reply: one run of bytes costs the kernel less
//!   than pieces do. Longer and older ones are sent from where they lie.
//! * A sync is also asked for 5 ms after the first record of a group, quiet or not: clients that write nothing to the log
//!   could otherwise keep the loop from falling quiet, and the answers of others waiting without end.
//! * A snapshot is not fuzzy but exact: a job that is about to change is written first, as it is (copy on update). The replay goes
//!   on right behind it and skips nothing, and the order of lines needs no replay of its own. It costs an 8-byte place in
//!   line in each entry, in the room of the LSN that last touched it, and about 9 bytes a job on disk (`queue::snapshot`).
//! * The segments that a snapshot covers are read at each start, beside its loading: a damaged payload is found before the
//!   daemon serves, and not when it is delivered.
//! * A spare is made when the newest segment is half full, not right away: a segment that is given up in time takes its place.
//!   One spare more than is wanted is kept while the log has at most four files, so that a busy log whose jobs are done soon is
//!   written round and round. With 64 KiB a job, writing new spares took a third of the daemon's processor time before.
//!   Spares outlive a restart; epochs that they may have had are skipped.
//! * Of several spares only one is written with zeros, and the others are allocated (`fallocate`): with 10 million jobs waiting
//!   2.8 GB of zeros were written that nobody needed, and 50+50 did 0.41 of the cycles that they did without these jobs. A sync in a
//!   segment that was only allocated costs more (0.83 of the submits at 50 connections), so the next one is always written.
//! * Room is kept for each accepted job (224 bytes while it waits, 104 in flight), in spare segments when it is much. That room is
//!   not counted in "twice the live bytes plus four segments": for small payloads it is more than these.
//! * A master that reads its log leaves those who connect waiting for 250 ms before it tells them how far it is.
//! * `unsafe` stands in a second file, `block`: the table of jobs keeps its entries in mappings of their own, because the
//!   allocator kept the memory of a drained backlog (77 of 71 MB after 1 million jobs, 746 of 691 after 10 million).
//! * A command that cannot be started gives its job back, uncounted, instead of failing it: one bad deployment would
//!   else empty a queue into the dead.
//! * `worker` uses `clap` for its command line, which keeps `bin/falcon-worker` thin; `exit` holds the exit statuses of
//!   all three programs; `cli` uses `queue` to show events.
//! * `falcon-cli wal repair` does not stop at the damage: what stands behind it is whole by its own checksum, so it is kept as
//!   far as it fits, and fewer jobs are lost than by a cut.
//! * `falcon-cli wait` is there beyond the asked-for commands: it shows the progress bar of the demo, and a script can
//!   wait by it.

#![warn(clippy::unwrap_used)]

pub mod block;
pub mod cli;
pub mod client;
pub mod codec;
pub mod daemon;
pub mod exit;
pub mod ids;
pub mod job;
pub mod limits;
pub mod master;
pub mod planted;
pub mod protocol;
pub mod queue;
pub mod reactor;
pub mod rebuilt;
pub mod time;
pub mod wal;
pub mod worker;
