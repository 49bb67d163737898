//! The command line of the load generator.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::load::{Load, Pace, Settle, Window};
use crate::place::Place;
use crate::runs::Settings;
use crate::wire::WireKind;

/// Measures FalconQueue and its peers.
#[derive(Parser)]
#[command(name = "falcon-bench")]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run scenarios over all servers, round after round, and compare the medians
    Compare(CompareArgs),
    /// Load one server that runs already, and print the figures as JSON
    Load(LoadArgs),
    /// Be the echo server
    Echo {
        #[arg(long)]
        port: u16,
        /// Write and sync what came to this file before it is sent back
        #[arg(long, value_name = "FILE")]
        log: Option<PathBuf>,
    },
    /// Sync a file again and again, and print the figures as JSON
    Sync {
        #[arg(long, default_value = ".")]
        dir: PathBuf,
        #[arg(long, default_value_t = 2.0)]
        seconds: f64,
    },
}

#[derive(Args)]
pub struct CompareArgs {
    /// Names of scenarios, see bench/README.md
    #[arg(required = true)]
    pub scenarios: Vec<String>,
    /// Short windows, few rounds, small numbers
    #[arg(long)]
    pub quick: bool,
    /// Write all figures here
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write figures, pictures and tables into this directory
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Only these servers
    #[arg(long, value_delimiter = ',')]
    pub servers: Vec<String>,
    /// Rounds [default: 5, quick 3]
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds of a window [default: 10, quick 1.5]
    #[arg(long)]
    seconds: Option<f64>,
    /// Where servers keep their files; has to be on a disk
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
    /// The master to measure; the one that was built with this program
    #[arg(long, default_value_os_t = falcond_beside())]
    falcond: PathBuf,
    /// A word about the run, kept with its figures
    #[arg(long, default_value = "")]
    pub note: String,
}

/// Examples are built into a directory beside the programs.
fn falcond_beside() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.parent().and_then(Path::parent).unwrap_or(Path::new("")).join("falcond")
}

impl CompareArgs {
    pub fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 3 } else { 5 })
    }

    pub fn settings(&self) -> Settings {
        let (warmup, window) = if self.quick { (0.4, 1.5) } else { (2.0, 10.0) };
        Settings {
            is_quick: self.quick,
            warmup: Duration::from_secs_f64(warmup),
            window: Duration::from_secs_f64(self.seconds.unwrap_or(window)),
            base: self.dir.clone(),
            falcond: std::path::absolute(&self.falcond).unwrap_or_else(|_| self.falcond.clone()),
        }
    }
}

#[derive(Args)]
pub struct LoadArgs {
    #[arg(long, value_enum, default_value = "falcon")]
    wire: WireKind,
    /// IP:PORT or unix:PATH
    #[arg(long)]
    address: Place,
    #[arg(long, default_value_t = 50)]
    producers: usize,
    #[arg(long, default_value_t = 50)]
    workers: usize,
    /// Silent connections beside them
    #[arg(long, default_value_t = 0)]
    idle: usize,
    /// Open requests of a connection
    #[arg(long, default_value_t = 1)]
    open: usize,
    /// Jobs of a request
    #[arg(long, default_value_t = 1)]
    batch: u32,
    #[arg(long, default_value_t = 256)]
    payload_bytes: usize,
    /// Spread the jobs over so many groups, `g0` and on; the server has to know groups
    #[arg(long, default_value_t = 0)]
    groups: u64,
    /// Open loop: jobs a second
    #[arg(long)]
    per_s: Option<f64>,
    /// Jobs that wait there already, put there by `--jobs`
    #[arg(long, default_value_t = 0)]
    waiting: u64,
    /// Submit so many jobs, instead of for a time
    #[arg(long, conflicts_with = "seconds")]
    jobs: Option<u64>,
    #[arg(long, default_value_t = 0.5)]
    warmup: f64,
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// The server's process, for its processor time
    #[arg(long)]
    pid: Option<u32>,
}

impl LoadArgs {
    pub fn load(&self) -> Result<Load, String> {
        if !(16..=1 << 20).contains(&self.payload_bytes) {
            return Err("payloads have 16 bytes to 1 MiB".into());
        }
        if self.batch != 1 && !self.wire.has_batches() {
            return Err("this server takes one job a request".into());
        }
        if self.groups > 0 && !self.wire.has_groups() {
            return Err("this server knows no groups".into());
        }
        let mut load = Load::closed(self.wire, self.address.clone(), self.producers, self.workers);
        (load.idle, load.open, load.batch) = (self.idle, self.open, self.batch);
        load.payload_bytes = self.payload_bytes;
        load.pace = self.per_s.map_or(Pace::Closed, |per_s| Pace::Open { per_s });
        load.warmup = Duration::from_secs_f64(self.warmup);
        load.window = self.jobs.map_or(Window::Time(Duration::from_secs_f64(self.seconds)), Window::Submits);
        (load.waiting, load.groups) = (self.waiting, self.groups);
        load.settle = if self.waiting == 0 { Settle::All } else { Settle::HandedOut };
        load.server_pid = self.pid;
        Ok(load)
    }
}
