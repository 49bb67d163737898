//! FalconQueue: a durable, distributed job queue.
//!
//! One master (`falcond`) owns every job in a write-ahead log and hands jobs to workers that poll for them over
//! TCP. This page is the map: what is promised, what is always true, and who may know whom. The wire is described
//! in `protocol.md`, a log's bytes at [`wal`], events at [`queue::events`].
//!
//! # Promises
//!
//! Each names tests that show it. What each means, and where it ends, is told in `docs/src/guarantees.md`;
//! `tests/processes/kill9.rs` holds most of them against real processes that are killed, `tests/values/wal_crash.rs`
//! against simulated power cuts at every storage operation.
//!
//! 1. A job whose Submit was answered OK is never lost: it stays until it is acked, dead, cancelled or expired
//!    (`tests/daemon/restart.rs`, `tests/values/model.rs`).
//! 2. A job whose Ack was answered OK is never delivered again
//!    (`tests/values/model.rs`, `tests/processes/failover.rs`).
//! 3. At most one live lease per job. An ack, fail or release with another lease id is refused (`LeaseLost`) and
//!    changes nothing (`tests/daemon/leases.rs`, `tests/values/model.rs`).
//! 4. Delivery is at least once: an attempt whose worker went silent is repeated after its lease ran out
//!    (`tests/processes/failover.rs`).
//! 5. First in, first out inside one queue, group and priority, for jobs that were never delayed, retried or released
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
//! 12. A job that is kept, and its result, can be read until its time is over (`tests/values/model.rs`).
//! 13. A job whose cancelling was answered OK is not delivered again, and its ack is refused
//!     (`tests/values/model.rs`).
//! 14. A wait is answered once, with the true end of each of its jobs (`tests/values/model.rs`).
//! 15. A job that was begun never expires (`tests/values/model.rs`).
//! 16. A queue that is paused hands nothing out (`tests/values/model.rs`).
//! 17. What a person changes is changed job by job: each as a whole or not at all
//!     (`tests/values/model.rs`, `tests/values/snapshot.rs`).
//! 18. Each tick of a schedule makes exactly one job while the master serves, and what was missed follows its rule
//!     (`tests/values/schedules.rs`, `tests/processes/schedules.rs`).
//! 19. Groups of a queue have their turns: one that has jobs to hand out waits for one turn of each other at most, and
//!     has as many jobs in its own as its weight says (`tests/values/groups.rs`, `tests/values/model.rs`).
//! 20. A limit on jobs in flight is never passed, and a place is free in the turn in which a lease ends
//!     (`tests/values/groups.rs`, `tests/values/model.rs`, `tests/values/meddling.rs`).
//! 21. In any window at most the burst and rate × window of jobs are handed out, also across restarts
//!     (`tests/values/groups.rs`, `tests/values/model.rs`, unit tests of `queue::groups::bucket`).
//! 22. In strict order a group has one job in flight, and none of its priority passes the one that is tried again
//!     (`tests/values/groups.rs`, `tests/values/model.rs`, `tests/values/meddling.rs`).
//! 23. A key is held as long as its submit said, and a second submit returns, is refused or replaces as it said, exact
//!     across crashes (`tests/daemon/keys.rs`, `tests/values/model.rs`).
//! 24. A job that waits for others is handed out after all of them have completed, or does what its submit said when
//!     one did not; none waits for ever for what has ended (`tests/processes/graph.rs`, `tests/values/after.rs`,
//!     `tests/values/model.rs`, `tests/values/meddling.rs`).
//! 25. No member of a batch is handed out before it is ended, and a batch that nobody fills is cancelled
//!     (`tests/values/batches.rs`, `tests/values/model.rs`).
//! 26. An ack and the jobs that follow from it are there together, or neither is (`tests/values/follow_ups.rs`).
//!
//! # What is always true
//!
//! * **One door.** A job leaves `pending` for `in-flight` in one function ([`master`], `door`), only to answer a
//!   poll that waits. Workers in the master's own process poll through it like all others.
//! * **One writer of state.** [`queue::Queues::apply`] is the only function that changes what is durable, and
//!   [`master`]'s journal the only caller of it in a running daemon; recovery calls it in a loop. (`falcon-cli wal
//!   repair` alone takes jobs out by hand, of a state that no master holds.)
//! * **One gate.** A reply that tells of the state leaves when all that it tells is durable.
//! * **One clock**, in [`reactor`]. It never goes back, not even across a restart: it starts at the newest record's
//!   moment if the system's clock is behind that.
//! * **The first failed write or sync is the last.** The daemon stops with exit status 74 and sends nothing more.
//! * **What is not known is not ignored.** A kind, flag or tag that only a later version knows stops the start, and a
//!   repair; from a client it is answered by an error of its own.
//!
//! # Who may know whom
//!
//! ```text
//!  bin/falcond          bin/falcon-worker      bin/falcon-cli
//!       │                     │                      │
//!    daemon ─────────────▶ worker                   cli
//!       │                     │                    │   │
//!     http ─▶ shapes          │       (cli ─▶ shapes)   │   │
//!    embedded ──────────▶ client ◀─────────────────┘   │
//!       │                     │                        │
//!    reactor                  │                        │
//!       │                     │                        │
//!    master                   │                        │
//!     │    \                  │                        │
//!  rebuilt  protocol ◀────────┘            rebuilt ◀───┘
//!   /   \     │
//! queue wal   │
//!    \   │   /
//!   job  rules  roles  schedule  codec  ids  time  limits  block  exit  planted  words  address  nearest
//!                                                                            stderr: log lines of the programs
//! ```
//!
//! An arrow means "may use", and what is further down may be used directly. Nothing is used upward; `queue`, `wal` and
//! `protocol` do not know each other. [`timing`], which knows cron and time zones, is the master's alone. What the
//! parts of the master may know is told in [`master`]. `tests/tidy.rs` holds both against the code, and the outside
//! crates of each module with it.
//!
//! # Features
//!
//! | feature | has | pulls in |
//! | --- | --- | --- |
//! | `client` | [`client`]: submit, poll, report | 5 crates in all, this one among them |
//! | `worker` | [`worker`]: pools that run jobs | serde, base64, signal-hook |
//! | `embedded` | [`embedded`]: a master in a program, and all that it is made of | mio, memmap2, croner, jiff |
//! | `daemon` | [`daemon`]: `falcond` | clap |
//! | `cli` | [`cli`]: `falcon-cli`; with `worker` `falcon-worker`, too | clap, indicatif, toml |
//! | `http` | [`http`]: `falcond --http` | axum, hyper, tokio, prometheus |
//! | `top` | `falcon-cli top`, with `cli` | ratatui |
//!
//! All are on by default. A program that only submits takes `default-features = false, features = ["client"]`.
//!
//! # Where to put something
//!
//! A new event is one entry in [`queue::events`] and its arm in `apply`. A new request is its messages in
//! [`protocol::requests`] and [`protocol::replies`], one line in [`protocol::table`] with its role, and a function in
//! `master/decisions`; what a look needs of the log is asked for in `master/reading`, and never read in the loop. A new
//! field of something that is there is an extra in its message (see [`codec`]): older readers pass over it.

#![warn(clippy::unwrap_used)]
#![cfg_attr(docsrs, feature(doc_cfg))]

// Which feature of the crate has what; what stands below has no condition.
#[cfg(any(feature = "cli", feature = "embedded"))]
pub mod block;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "daemon")]
pub mod daemon;
#[cfg(feature = "embedded")]
pub mod embedded;
#[cfg(any(feature = "cli", feature = "daemon"))]
pub mod exit;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "embedded")]
pub mod master;
#[cfg(any(feature = "cli", feature = "daemon"))]
pub mod nearest;
#[cfg(any(feature = "cli", feature = "embedded"))]
pub mod queue;
#[cfg(feature = "embedded")]
pub mod reactor;
#[cfg(any(feature = "cli", feature = "embedded"))]
pub mod rebuilt;
#[cfg(any(feature = "cli", feature = "http"))]
pub mod shapes;
#[cfg(any(feature = "cli", feature = "daemon"))]
pub mod stderr;
#[cfg(feature = "embedded")]
pub mod timing;
#[cfg(any(feature = "cli", feature = "embedded"))]
pub mod wal;
#[cfg(feature = "worker")]
pub mod worker;

pub mod address;
pub mod codec;
pub mod ids;
pub mod job;
pub mod limits;
pub mod planted;
pub mod protocol;
pub mod roles;
pub mod rules;
pub mod schedule;
pub mod time;
pub mod words;
