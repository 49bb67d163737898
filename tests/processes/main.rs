//! Processes that are killed, disks that fail or fill, masters that hang, and load: what holds when things go wrong.

#[path = "../harness/dice.rs"]
mod dice;
#[path = "../harness/faults.rs"]
mod faults;
#[path = "../harness/mod.rs"]
mod harness;
#[path = "../harness/history/mod.rs"]
mod history;
mod load;
// Of the ways to spoil a log one is needed here.
#[allow(dead_code)]
#[path = "../harness/logs.rs"]
mod logs;
#[path = "../harness/truth/mod.rs"]
mod truth;

mod barren;
mod bytes_per_sync;
mod chaos;
mod commands_end;
mod commands_hang;
mod disk_full;
mod embedded;
mod failover;
mod graph;
mod kill9;
mod memory;
mod one_daemon;
mod outage;
mod prefetch;
mod repair_stops;
mod reuse;
mod schedules;
mod signals;
mod silence;
mod stderr;
mod sync_fails;
mod time;
mod trouble;
mod turns;
