//! One daemon a test, from outside: its command line, its wire, its jobs and leases, and what it leaves on disk.

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../harness/logs.rs"]
mod logs;

mod after;
mod backup;
mod batches;
mod cli;
mod configuration;
mod doctor;
mod door;
mod explain;
mod faces;
mod follow_ups;
mod groups;
mod help;
mod http;
mod http_errors;
mod http_leases;
mod http_walk;
mod job_list;
mod job_log;
mod jobs;
mod jobs_file;
mod keys;
mod leases;
mod lines;
mod listening;
mod measures;
mod mending;
mod metrics;
mod packaging;
mod queues;
mod repair;
mod repair_replaced;
mod restart;
mod roles;
mod said;
mod schedules;
mod serving;
mod settings;
mod starting;
mod stats;
mod stream;
mod tables;
mod times;
mod told;
mod tools;
mod top;
mod waiting;
mod wal_cli;
mod wal_verify;
mod wire;
mod worker;
mod workers;
