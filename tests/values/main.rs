//! All that drives the library as values, in this process: the model, the simulated disk, crash images, snapshots, the
//! judge of histories on histories that are made up, and the page of the protocol. No daemon, no socket.

#[path = "../harness/dice.rs"]
mod dice;
#[path = "../harness/frames/mod.rs"]
mod frames;
mod hand;
#[path = "../harness/history/mod.rs"]
mod history;
mod session;
mod sim;
#[path = "../harness/truth/mod.rs"]
mod truth;

mod after;
mod allocations;
mod batches;
mod begun;
mod bounds;
mod checker;
mod codec;
mod corners;
mod follow_ups;
mod groups;
mod lists;
mod log;
mod master;
mod measures;
mod meddling;
mod mending;
mod model;
mod prefetch;
mod protocol_doc;
mod protocol_tables;
mod recent;
mod scans;
mod schedules;
mod snapshot;
mod storage;
mod stories;
mod unread;
mod waiting;
mod wal_crash;
mod wal_damage;
mod wal_faults;
mod wal_fixtures;
mod wal_size;
mod workers;
