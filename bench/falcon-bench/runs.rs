//! One run of one scenario against one server, from its start in a fresh directory to the last check of its count.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::control;
use crate::engine;
use crate::load::{Figures, Load, PERCENTILES, Pace, Settle, Window};
use crate::machine;
use crate::place::Place;
use crate::scenario::{FIFTY, Kind, Scenario, Shape};
use crate::server::{Mode, Server};
use crate::wire::{COLD_QUEUE, QUEUE, Told};

/// How much is done.
pub struct Settings {
    pub is_quick: bool,
    pub warmup: Duration,
    pub window: Duration,
    /// Where the servers' directories are made.
    pub base: PathBuf,
    pub falcond: PathBuf,
}

const SYNC_DELAY: Duration = Duration::from_millis(5);
const IDLE_CONNECTIONS: usize = 10_000;
const FILL_CONNECTIONS: usize = 16;
/// Jobs of a request and open requests while a queue is filled, where requests may hold several jobs and where not.
const FILL_BATCH: u32 = 250;
const FILL_OPEN: usize = 64;
/// With large payloads a backlog would be gigabytes.
const PAYLOADS_BACKLOG_MAX: u64 = 64;
/// Long lists, and so many workers that one of them always has sent its next request.
const DRAIN_BATCH: u32 = 1024;
const DRAIN_WORKERS: usize = 4;
const STEADY: Duration = Duration::from_mins(1);
const PIECE: Duration = Duration::from_secs(5);
const QUICK_STEADY: Duration = Duration::from_secs(6);
const QUICK_PIECE: Duration = Duration::from_secs(1);
const SNAPSHOT_PAUSE: Duration = Duration::from_millis(100);
/// How long acks that are not answered may take to be done, and memory to be given back.
const QUIET_MAX: Duration = Duration::from_secs(3);

pub struct Run<'s> {
    pub scenario: &'static Scenario,
    pub variant: &'static str,
    pub mode: &'static Mode,
    pub settings: &'s Settings,
}

impl Run<'_> {
    pub fn run(&self) -> Result<Figures, String> {
        let with = self.variant == "with";
        match self.scenario.kind {
            Kind::Closed(shape) => self.measure(shape, |_| {}),
            Kind::Latency { shape, per_s } => self.measure(shape, |load| {
                load.pace = Pace::Open { per_s };
                load.window = Window::Time(2 * self.settings.window);
            }),
            Kind::Payloads => self.payloads(),
            Kind::Idle => self.measure(FIFTY, |load| load.idle = if with { IDLE_CONNECTIONS } else { 0 }),
            Kind::Unix => self.measure(FIFTY, |_| {}),
            Kind::SlowDisk => self.measure(Shape { producers: 500, workers: 500, ..FIFTY }, |_| {}),
            Kind::HalfLoad => self.half_load(),
            Kind::Drain => self.drain(),
            Kind::LongDrain => self.long_drain(),
            Kind::SteadyBacklog => self.steady_backlog(with),
            Kind::Backlog => self.backlog(with),
            Kind::UnderSnapshot => self.under_snapshot(with),
            Kind::Restart => self.restart(),
            Kind::Memory => self.memory(),
        }
    }

    fn start(&self) -> Result<Server, String> {
        let is_delayed = matches!(self.scenario.kind, Kind::SlowDisk) && self.variant == "with";
        let Settings { base, falcond, .. } = self.settings;
        Server::start(self.mode, base, falcond, is_delayed.then_some(SYNC_DELAY))
    }

    /// Figures of a window in which the work was done, not just begun.
    fn check_window(&self, figures: &Figures, shape: Shape) -> Result<(), String> {
        let key = if shape.workers == 0 { "submits_per_s" } else { "cycles_per_s" };
        // Each connection should have had a turn at least.
        let turns = figures[key] * figures["seconds"] / shape.producers as f64;
        if turns >= 1.0 || matches!(self.scenario.kind, Kind::Latency { .. }) {
            return Ok(());
        }
        Err(format!("too slow for this window: {turns:.1} turns of a connection in it"))
    }

    /// A load of this shape as the server can take it.
    fn load(&self, server: &Server, shape: Shape) -> Load {
        let mut load = Load::closed(self.mode.wire, server.address, shape.producers, shape.workers);
        if matches!(self.scenario.kind, Kind::Unix) && self.variant == "with" {
            load.place = Place::Unix(server.socket.clone());
        }
        (load.open, load.batch) = (shape.open, shape.batch);
        if !self.mode.wire.has_batches() {
            load.open *= shape.batch as usize;
            load.batch = 1;
        }
        if self.mode.is_echo() {
            load.producers += load.workers;
            load.workers = 0;
        }
        load.warmup = self.settings.warmup;
        load.window = Window::Time(self.settings.window);
        load.server_pid = Some(server.pid());
        load
    }

    fn measure(&self, shape: Shape, change: impl Fn(&mut Load)) -> Result<Figures, String> {
        let server = self.start()?;
        self.measure_on(&server, shape, change)
    }

    fn measure_on(&self, server: &Server, shape: Shape, change: impl Fn(&mut Load)) -> Result<Figures, String> {
        let mut load = self.load(server, shape);
        change(&mut load);
        let syncs_before = self.syncs(server)?;
        let mut figures = engine::run(&load)?;
        if let (Some(before), Some(after)) = (syncs_before, self.syncs(server)?) {
            let jobs = figures["jobs_in_all"] - load.waiting as f64;
            figures.insert("jobs_a_sync".into(), jobs / (after - before).max(1) as f64);
        }
        if self.mode.is_echo() && shape.workers > 0 {
            as_ceiling(&mut figures);
        } else if !self.mode.is_echo() && load.settle == Settle::All {
            let left = if shape.workers == 0 { figures["jobs_in_all"] as u64 } else { 0 };
            check_count(server, left)?;
        }
        self.check_window(&figures, shape)?;
        Ok(figures)
    }

    fn syncs(&self, server: &Server) -> Result<Option<u64>, String> {
        if !self.mode.is_falcon() {
            return Ok(None);
        }
        control::falcon(server.address).map(|told| Some(told["syncs"]))
    }

    /// Submits so many jobs as fast as that goes.
    fn fill(&self, server: &Server, queue: &'static str, jobs: u64) -> Result<Figures, String> {
        let mut load = Load::closed(self.mode.wire, server.address, FILL_CONNECTIONS, 0);
        if self.mode.wire.has_batches() {
            load.batch = FILL_BATCH;
        } else {
            load.open = FILL_OPEN;
        }
        load.queue = queue;
        load.window = Window::Submits(jobs);
        engine::run(&load).map_err(|why| format!("filling: {why}"))
    }

    /// Takes and acks all of so many jobs.
    fn empty(&self, server: &Server, jobs: u64, shape: Shape) -> Result<Figures, String> {
        let mut load = self.load(server, Shape { producers: 0, ..shape });
        load.waiting = jobs;
        load.warmup = Duration::ZERO;
        load.window = Window::Acks(jobs);
        let figures = engine::run(&load)?;
        check_count(server, 0)?;
        Ok(figures)
    }

    fn payloads(&self) -> Result<Figures, String> {
        let payload_bytes = self.number();
        let shape = Shape { producers: 10, workers: 10, ..FIFTY };
        let mut figures = self.measure(shape, |load| {
            load.payload_bytes = payload_bytes as usize;
            load.backlog_max = Some(PAYLOADS_BACKLOG_MAX);
        })?;
        let bytes_per_s = figures["cycles_per_s"] * payload_bytes as f64;
        figures.insert("payload_mib_per_s".into(), bytes_per_s / f64::from(1 << 20));
        Ok(figures)
    }

    /// The number that the variant is.
    fn number(&self) -> u64 {
        self.variant.parse().expect("the variants of this scenario are numbers")
    }

    fn half_load(&self) -> Result<Figures, String> {
        let whole = self.measure(FIFTY, |_| {})?;
        let whole_per_s = whole["cycles_per_s"];
        // A job of the echo server is one request, of which a cycle needs two.
        let per_s = if self.mode.is_echo() { whole_per_s } else { whole_per_s / 2.0 };
        let mut figures = self.measure(FIFTY, |load| load.pace = Pace::Open { per_s })?;
        figures.insert("wanted_per_s".into(), per_s);
        Ok(figures)
    }

    fn drain(&self) -> Result<Figures, String> {
        let jobs = if self.settings.is_quick { 50_000 } else { 1_000_000 };
        // The slowest would take minutes.
        let jobs = if self.mode.is_slow { jobs / 10 } else { jobs };
        let server = self.start()?;
        self.fill(&server, QUEUE, jobs)?;
        self.empty(&server, jobs, FIFTY)
    }

    fn long_drain(&self) -> Result<Figures, String> {
        let jobs = self.number();
        let server = self.start()?;
        self.fill(&server, QUEUE, jobs)?;
        let mut figures = self.empty(&server, jobs, Shape { batch: DRAIN_BATCH, workers: DRAIN_WORKERS, ..FIFTY })?;
        let told = control::falcon(server.address)?;
        // Each job needs three: its ENQUEUE, its DISPATCH, its ACK.
        figures.insert("records_over_needed".into(), told["records"] as f64 / (3 * jobs) as f64);
        add_written(&told, jobs as f64, &mut figures);
        Ok(figures)
    }

    fn steady_backlog(&self, with: bool) -> Result<Figures, String> {
        let (jobs, window, piece) =
            if self.settings.is_quick { (100_000, QUICK_STEADY, QUICK_PIECE) } else { (600_000, STEADY, PIECE) };
        let jobs = if with { jobs } else { 0 };
        let server = self.start()?;
        if jobs > 0 {
            self.fill(&server, QUEUE, jobs)?;
        }
        let before = control::falcon(server.address)?;
        let disk_before = machine::disk_bytes(server.pid())?;
        let mut figures = self.measure_on(&server, FIFTY, |load| {
            (load.waiting, load.settle) = (jobs, Settle::Nothing);
            (load.window, load.piece) = (Window::Time(window), Some(piece));
        })?;
        let mut told = control::falcon(server.address)?;
        let cycles = (told["completed"] - before["completed"]) as f64;
        for (name, value) in &mut told {
            *value -= before[name].min(*value);
        }
        add_written(&told, cycles, &mut figures);
        let disk_bytes = machine::disk_bytes(server.pid())? - disk_before;
        figures.insert("disk_bytes_a_job".into(), disk_bytes as f64 / cycles);
        Ok(figures)
    }

    fn backlog(&self, with: bool) -> Result<Figures, String> {
        let jobs = match (with, self.settings.is_quick) {
            (false, _) => 0,
            (true, true) => 300_000,
            (true, false) => 10_000_000,
        };
        let server = self.start()?;
        if jobs > 0 {
            self.fill(&server, QUEUE, jobs)?;
        }
        self.measure_on(&server, FIFTY, |load| {
            load.waiting = jobs;
            load.settle = if with { Settle::Nothing } else { Settle::All };
        })
    }

    fn under_snapshot(&self, with: bool) -> Result<Figures, String> {
        let server = self.start()?;
        let jobs = if self.settings.is_quick { 200_000 } else { 1_000_000 };
        self.fill(&server, COLD_QUEUE, jobs)?;
        let is_over = Arc::new(AtomicBool::new(!with));
        let (wire, address, is_falcon) = (self.mode.wire, server.address, self.mode.is_falcon());
        let asking = std::thread::spawn({
            let is_over = Arc::clone(&is_over);
            move || {
                let mut count = 0.0;
                while !is_over.load(Ordering::Relaxed) {
                    match control::snapshot(wire, address) {
                        Ok(()) => count += 1.0,
                        // Redis answers that the last one still goes on.
                        Err(why) if is_falcon => return Err(format!("a snapshot: {why}")),
                        Err(_) => {}
                    }
                    std::thread::sleep(SNAPSHOT_PAUSE);
                }
                Ok(count)
            }
        });
        let mut load = self.load(&server, FIFTY);
        load.queue = QUEUE;
        let figures = engine::run(&load);
        is_over.store(true, Ordering::Relaxed);
        let count = asking.join().map_err(|_| "the snapshots' thread panicked")??;
        let mut figures = figures?;
        figures.insert("snapshots".into(), count);
        Ok(figures)
    }

    fn restart(&self) -> Result<Figures, String> {
        let jobs = self.number();
        let mut server = self.start()?;
        self.fill(&server, QUEUE, jobs)?;
        let span = server.restart(jobs)?;
        let mut figures = Figures::new();
        figures.insert("restart_s".into(), span.as_secs_f64());
        figures.insert("disk_bytes_a_job".into(), server.disk_bytes() / jobs as f64);
        Ok(figures)
    }

    fn memory(&self) -> Result<Figures, String> {
        let jobs = self.number();
        let server = self.start()?;
        let anonymous = || machine::memory_bytes(server.pid(), "RssAnon");
        let before = anonymous()?;
        self.fill(&server, QUEUE, jobs)?;
        let mut figures = Figures::new();
        let mut put = |name: &str, value: f64| figures.insert(name.to_owned(), value);
        put("anonymous_bytes_a_job", (anonymous()? - before) / jobs as f64);
        put("resident_bytes_a_job", machine::memory_bytes(server.pid(), "VmRSS")? / jobs as f64);
        put("disk_bytes_a_job", server.disk_bytes() / jobs as f64);
        self.empty(&server, jobs, Shape { open: 16, ..FIFTY })?;
        std::thread::sleep(QUIET_MAX);
        put("anonymous_bytes_before", before);
        put("anonymous_bytes_after_drain", anonymous()?);
        Ok(figures)
    }
}

/// What echoes stand for where jobs are cycled: a cycle needs two requests, a delivery one.
fn as_ceiling(figures: &mut Figures) {
    figures.insert("cycles_per_s".into(), figures["submits_per_s"] / 2.0);
    for quantile in PERCENTILES.map(|(name, _)| name) {
        if let Some(us) = figures.get(&format!("submit_{quantile}_us")).copied() {
            figures.insert(format!("delivery_{quantile}_us"), us);
        }
    }
}

/// What was written to the log, and what of it was moved.
fn add_written(told: &Told, jobs: f64, figures: &mut Figures) {
    for (name, figure) in [("written_bytes", "written_bytes_a_job"), ("moved_bytes", "moved_bytes_a_job")] {
        figures.insert(figure.into(), told[name] as f64 / jobs.max(1.0));
    }
}

/// The server's own count must be ours. It may take a moment: not every peer answers an ack.
fn check_count(server: &Server, jobs: u64) -> Result<(), String> {
    let begun = std::time::Instant::now();
    loop {
        let found = server.jobs()?;
        if found == jobs {
            return Ok(());
        }
        if begun.elapsed() > QUIET_MAX {
            return Err(format!("the server has {found} jobs at the end instead of {jobs}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
