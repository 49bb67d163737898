//! The scenarios by name: what each means, which servers take part, which figure counts.

use crate::server::Mode;

/// Connections, open requests and jobs of a request.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub producers: usize,
    pub workers: usize,
    pub open: usize,
    pub batch: u32,
}

const fn pairs(count: usize) -> Shape {
    Shape { producers: count, workers: count, open: 1, batch: 1 }
}

pub const FIFTY: Shape = pairs(50);

/// How a scenario is run.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// So many jobs a second, in an open loop.
    Latency {
        shape: Shape,
        per_s: f64,
    },
    /// As many as there can be.
    Closed(Shape),
    Drain,
    LongDrain,
    SteadyBacklog,
    Payloads,
    HalfLoad,
    Idle,
    Backlog,
    UnderSnapshot,
    Restart,
    Memory,
    SlowDisk,
    /// Over TCP, and then at a Unix socket.
    Unix,
}

pub struct Scenario {
    pub name: &'static str,
    /// One line for tables and plots.
    pub says: &'static str,
    pub kind: Kind,
    /// The figure that is compared.
    pub key: &'static str,
}

const CYCLES: &str = "cycles_per_s";

const fn scenario(name: &'static str, says: &'static str, kind: Kind, key: &'static str) -> Scenario {
    Scenario { name, says, kind, key }
}

/// All scenarios, the ones that matter most first.
pub static SCENARIOS: &[Scenario] = &[
    scenario("cycles-50", "50 producers and 50 workers, closed loop", Kind::Closed(FIFTY), CYCLES),
    scenario(
        "submits-50",
        "50 producers, no workers, closed loop",
        Kind::Closed(Shape { workers: 0, ..FIFTY }),
        "submits_per_s",
    ),
    scenario("cycles-1", "1 producer and 1 worker, closed loop", Kind::Closed(pairs(1)), CYCLES),
    scenario(
        "latency-1",
        "1 producer and 1 worker, 200 jobs a second, open loop",
        Kind::Latency { shape: pairs(1), per_s: 200.0 },
        "delivery_p50_us",
    ),
    scenario(
        "pipelined-50",
        "50+50, 16 open requests a connection, closed loop",
        Kind::Closed(Shape { open: 16, ..FIFTY }),
        CYCLES,
    ),
    scenario(
        "batched-50",
        "50+50, 16 jobs a request (peers: 16 open requests), closed loop",
        Kind::Closed(Shape { batch: 16, ..FIFTY }),
        CYCLES,
    ),
    scenario("cycles-10", "10 producers and 10 workers, closed loop", Kind::Closed(pairs(10)), CYCLES),
    scenario("cycles-500", "500 producers and 500 workers, closed loop", Kind::Closed(pairs(500)), CYCLES),
    scenario("half-load", "50+50 at half of what each does in a closed loop", Kind::HalfLoad, "delivery_p99_us"),
    scenario("drain", "50 workers empty a queue that nobody fills", Kind::Drain, CYCLES),
    scenario("long-drain", "lists of 1,024 empty a long queue", Kind::LongDrain, "last_over_first"),
    scenario(
        "steady-backlog",
        "50+50 with 600,000 jobs waiting before them, for a minute",
        Kind::SteadyBacklog,
        "piece_median_per_s",
    ),
    scenario("payloads", "10+10 with payloads of other sizes", Kind::Payloads, CYCLES),
    scenario("idle-10k", "50+50 beside 10,000 silent connections", Kind::Idle, CYCLES),
    scenario("backlog-10m", "50+50 with many jobs waiting before them", Kind::Backlog, CYCLES),
    scenario(
        "under-snapshot",
        "50+50 while snapshots (Redis: log rewrites) follow one another",
        Kind::UnderSnapshot,
        "submit_p999_us",
    ),
    scenario("restart", "killed with many jobs waiting and started again", Kind::Restart, "restart_s"),
    scenario("memory", "many jobs wait", Kind::Memory, "anonymous_bytes_a_job"),
    scenario("unix-50", "50+50, closed loop, over TCP and at a Unix socket", Kind::Unix, CYCLES),
    scenario("slow-disk", "500+500, each sync takes 5 ms longer", Kind::SlowDisk, CYCLES),
];

impl Scenario {
    pub fn by_name(name: &str) -> Option<&'static Scenario> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }

    /// Whether more of the figure is better.
    pub fn more_is_better(&self) -> bool {
        self.key.ends_with("_per_s") || self.key == "last_over_first"
    }

    /// The variants that a run goes through; the first is what the others are compared with.
    pub fn variants(&self, is_quick: bool) -> &'static [&'static str] {
        match self.kind {
            Kind::Payloads if is_quick => &["256", "16", "4096", "65536"],
            Kind::Payloads => &["256", "16", "4096", "65536", "1048576"],
            Kind::LongDrain if is_quick => &["100000"],
            Kind::SteadyBacklog | Kind::Idle | Kind::Backlog | Kind::UnderSnapshot | Kind::SlowDisk | Kind::Unix => {
                &["without", "with"]
            }
            Kind::Restart | Kind::Memory if is_quick => &["100000", "300000"],
            Kind::LongDrain | Kind::Restart | Kind::Memory => &["1000000", "10000000"],
            _ => &[""],
        }
    }

    /// Whether a server takes part unless servers are named.
    pub fn takes(&self, mode: &Mode) -> bool {
        match self.kind {
            Kind::Latency { .. } | Kind::Closed(_) | Kind::Payloads | Kind::HalfLoad | Kind::Idle => true,
            Kind::Drain => !mode.is_echo(),
            Kind::LongDrain | Kind::SteadyBacklog => mode.name == "falcon-always",
            Kind::Backlog | Kind::Memory => !mode.is_echo() && !mode.is_slow,
            Kind::UnderSnapshot => ["falcon-always", "redis-list-always", "redis-list-everysec"].contains(&mode.name),
            Kind::Restart => mode.keeps && !mode.is_slow && mode.name != "falcon-never",
            Kind::SlowDisk => mode.keeps && mode.name != "falcon-never",
            Kind::Unix => mode.has_socket(),
        }
    }

    /// Jobs a second, where that is given.
    pub fn per_s(&self) -> Option<f64> {
        match self.kind {
            Kind::Latency { per_s, .. } => Some(per_s),
            _ => None,
        }
    }

    /// Whether what a sync costs stands beside it.
    pub fn has_disk_ceiling(&self) -> bool {
        matches!(self.kind, Kind::Latency { .. } | Kind::Closed(_))
    }
}
