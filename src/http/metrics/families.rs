//! The families of metrics: for each figure of the master its name outside, its unit, and what it means.

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram as ProtoHistogram, LabelPair, Metric, MetricFamily, MetricType,
};

use crate::client::{Histogram, Measures, QueueMeasures, ScheduleMeasures};

/// What stands before each name.
const PREFIX: &str = "falconqueue_";

/// The label of the queues that have none of their own.
const OTHER: &str = "_other";

/// How a figure of the master is told outside.
struct Told {
    /// As the master names it.
    figure: &'static str,
    name: &'static str,
    /// A label that tells it from others of the same name.
    label: Option<(&'static str, &'static str)>,
    /// How many of the master's numbers make one outside.
    per_unit: f64,
    help: &'static str,
}

const fn told(figure: &'static str, name: &'static str, per_unit: f64, help: &'static str) -> Told {
    Told { figure, name, label: None, per_unit, help }
}

const fn part(
    figure: &'static str,
    name: &'static str,
    label: (&'static str, &'static str),
    help: &'static str,
) -> Told {
    Told { figure, name, label: Some(label), per_unit: 1.0, help }
}

const JOBS: &str = "Jobs by queue and where they stand.";
const DEAD: &str = "Jobs that died since the start, by why: attempts used up, failed for good, lease ran out.";
const WORKERS: &str = "Workers by what they do.";
const MEMORY: &str = "Bytes of memory by what is kept in them, as far as that is reckoned.";

/// Figures of queues. Those of one name stand together.
const OF_QUEUES: &[Told] = &[
    part("ready", "jobs", ("state", "ready"), JOBS),
    part("delayed", "jobs", ("state", "delayed"), JOBS),
    part("waiting", "jobs", ("state", "waiting"), JOBS),
    part("in_flight", "jobs", ("state", "in_flight"), JOBS),
    part("dead", "jobs", ("state", "dead"), JOBS),
    part("kept", "jobs", ("state", "kept"), JOBS),
    told("oldest_ready_ms", "oldest_ready_seconds", 1000.0, "For how long the oldest ready job waits."),
    told("oldest_running_ms", "oldest_running_seconds", 1000.0, "How long ago the oldest job in flight was delivered."),
    told("running_max", "queue_running_max", 1.0, "How many jobs of the queue may be in flight."),
    told("tokens", "queue_tokens", 1.0, "Jobs that the rate of the queue lets through now."),
    told("tokens_max", "queue_tokens_max", 1.0, "Jobs that the rate of the queue lets through at once at most."),
    told("workers", "queue_workers", 1.0, "Workers that poll the queue."),
    told("submitted", "jobs_submitted_total", 1.0, "Jobs that were submitted since the start."),
    told("delivered", "jobs_delivered_total", 1.0, "Deliveries since the start."),
    told("acked", "jobs_acked_total", 1.0, "Jobs that were completed since the start."),
    told("failed", "jobs_failed_total", 1.0, "Attempts that were reported as failed since the start."),
    told("retried", "jobs_retried_total", 1.0, "Attempts after which another one was due since the start."),
    part("dead_attempts", "jobs_dead_total", ("reason", "attempts"), DEAD),
    part("dead_for_good", "jobs_dead_total", ("reason", "for_good"), DEAD),
    part("dead_lease", "jobs_dead_total", ("reason", "lease"), DEAD),
    told("cancelled", "jobs_cancelled_total", 1.0, "Jobs that were cancelled since the start."),
    told("expired", "jobs_expired_total", 1.0, "Jobs that were not begun in time since the start."),
    told("released", "jobs_released_total", 1.0, "Deliveries that were given back since the start."),
    told("leases_lost", "leases_lost_total", 1.0, "Leases that ran out since the start."),
    told("requeued", "jobs_requeued_total", 1.0, "Jobs that were requeued since the start."),
    told("purged", "jobs_purged_total", 1.0, "Jobs that were purged since the start."),
];

/// Figures of the master.
const OF_ALL: &[Told] = &[
    told("started_ms", "start_time_seconds", 1000.0, "When the master started, in seconds since 1970."),
    told("uptime_ms", "uptime_seconds", 1000.0, "For how long it has served."),
    told("connections", "connections", 1.0, "Connections that are open."),
    told("turned_away", "connections_turned_away_total", 1.0, "Connections without a valid Hello since the start."),
    told("waiting_polls", "waiting_polls", 1.0, "Polls that wait for a job."),
    part("workers_busy", "workers", ("state", "busy"), WORKERS),
    part("workers_idle", "workers", ("state", "idle"), WORKERS),
    part("workers_quiet", "workers", ("state", "quiet"), WORKERS),
    told("stale_reports", "stale_reports_total", 1.0, "Reports under a lease that was lost since the start."),
    told("queues", "queues", 1.0, "Queues that there are."),
    told("groups", "groups", 1.0, "Groups that there are."),
    told("draining", "draining", 1.0, "Whether no jobs are taken: 1 or 0."),
    told("records", "wal_records_total", 1.0, "Records that were appended since the start."),
    told("syncs", "wal_syncs_total", 1.0, "Syncs of the log since the start."),
    told("segments", "wal_segments", 1.0, "Segments of the log."),
    told("log_bytes", "wal_bytes", 1.0, "Bytes of the log on disk."),
    told("live_bytes", "wal_live_bytes", 1.0, "Bytes of the log that jobs need."),
    told("written_bytes", "wal_written_bytes_total", 1.0, "Bytes that were appended since the start."),
    told("moved_bytes", "wal_moved_bytes_total", 1.0, "Bytes of those that cleaning has moved."),
    told("snapshots", "snapshots_total", 1.0, "Snapshots that were taken since the start."),
    told("snapshot_age_ms", "snapshot_age_seconds", 1000.0, "How long ago the newest snapshot was taken."),
    told("memory_bytes", "memory_bytes", 1.0, "Memory of its own."),
    told("mapped_bytes", "mapped_bytes", 1.0, "Mapped parts of the log that are in memory."),
    told("memory_max_bytes", "memory_max_bytes", 1.0, "Memory past which no jobs are taken; 0 for no bound."),
    told("disk_bytes", "disk_bytes", 1.0, "Size of the file system that the log is on."),
    told("disk_free_bytes", "disk_free_bytes", 1.0, "Bytes that are free on it."),
    told("descriptors_max", "descriptors_max", 1.0, "How many descriptors the process may have."),
    part("jobs_memory_bytes", "memory_part_bytes", ("part", "jobs"), MEMORY),
    part("leases_memory_bytes", "memory_part_bytes", ("part", "leases"), MEMORY),
    part("sides_memory_bytes", "memory_part_bytes", ("part", "sides"), MEMORY),
    part("queues_memory_bytes", "memory_part_bytes", ("part", "queues"), MEMORY),
];

/// Histograms: as the master names them, as they are outside, and what they mean.
const HISTOGRAMS: &[(&str, &str, &str)] = &[
    ("wait_seconds", "job_wait_seconds", "From when a job was ready to its delivery."),
    ("run_seconds", "job_run_seconds", "From when a job was begun to the report on it."),
    ("sync_seconds", "sync_seconds", "How long syncs of the log took."),
    ("sync_records", "sync_records", "Records that one sync made durable."),
    ("turn_seconds", "turn_seconds", "How long turns of the loop took."),
];

/// All families, each with at least one metric. They are made one after the other, as they are asked for.
pub fn of(measures: &Measures) -> impl Iterator<Item = MetricFamily> {
    let of_queues = OF_QUEUES.chunk_by(|a, b| a.name == b.name).filter_map(|same| {
        let metrics = rows(measures).flat_map(|(queue, row)| {
            same.iter().filter_map(move |told| Some(simple(told, Some(queue), row.figure(told.figure)?)))
        });
        family(same[0].name, same[0].help, kind_of(same[0].name), metrics.collect())
    });
    let of_all = OF_ALL.chunk_by(|a, b| a.name == b.name).filter_map(|same| {
        let metrics = same.iter().filter_map(|told| Some(simple(told, None, measures.figure(told.figure)?)));
        family(same[0].name, same[0].help, kind_of(same[0].name), metrics.collect())
    });
    let histograms = HISTOGRAMS.iter().filter_map(|(figure, name, help)| {
        let of_queues = rows(measures).filter_map(|(queue, row)| Some(histogram(row.histogram(figure)?, Some(queue))));
        let own = measures.histogram(figure).map(|own| histogram(own, None));
        family(name, help, MetricType::HISTOGRAM, of_queues.chain(own).collect())
    });
    let first = std::iter::once_with(|| build_info(measures));
    first.chain(of_queues).chain(of_all).chain(histograms).chain(schedules(&measures.schedules))
}

/// The queues with a label of their own, and the others as one.
fn rows(measures: &Measures) -> impl Iterator<Item = (&str, &QueueMeasures)> {
    let of_their_own = measures.queues.iter().map(|queue| (queue.name.as_str(), queue));
    of_their_own.chain([(OTHER, &measures.others)])
}

fn kind_of(name: &str) -> MetricType {
    if name.ends_with("_total") { MetricType::COUNTER } else { MetricType::GAUGE }
}

pub(super) fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> Option<MetricFamily> {
    if metrics.is_empty() {
        return None;
    }
    let mut family = MetricFamily::default();
    family.set_name(format!("{PREFIX}{name}"));
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    Some(family)
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has no other numbers")]
fn simple(told: &Told, queue: Option<&str>, value: u64) -> Metric {
    let labels = queue.map(|queue| ("queue", queue)).into_iter().chain(told.label);
    metric(labels, kind_of(told.name), value as f64 / told.per_unit)
}

pub(super) fn metric<'l>(labels: impl IntoIterator<Item = (&'l str, &'l str)>, kind: MetricType, value: f64) -> Metric {
    let mut metric = Metric::from_label(labels.into_iter().map(label).collect());
    if kind == MetricType::COUNTER {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    metric
}

fn label((name, value): (&str, &str)) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

pub(super) fn histogram(of: &Histogram, queue: Option<&str>) -> Metric {
    let mut sum_so_far = 0;
    let buckets = of.bounds.iter().zip(&of.counts).map(|(bound, count)| {
        sum_so_far += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(sum_so_far);
        bucket
    });
    let mut histogram = ProtoHistogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(of.count());
    histogram.set_sample_sum(of.sum);
    let mut metric = Metric::from_label(queue.map(|queue| label(("queue", queue))).into_iter().collect());
    metric.set_histogram(histogram);
    metric
}

fn build_info(measures: &Measures) -> MetricFamily {
    let version = measures.software.rsplit(' ').next().unwrap_or_default();
    let labels = [("version", version), ("sync", measures.sync.as_str())];
    let metrics = vec![metric(labels, MetricType::GAUGE, 1.0)];
    family("build_info", "Version of the master, and when it syncs; always 1.", MetricType::GAUGE, metrics)
        .unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has no other numbers")]
fn schedules(schedules: &[ScheduleMeasures]) -> impl Iterator<Item = MetricFamily> {
    let of = |value: fn(&ScheduleMeasures) -> Option<f64>| {
        let metrics = schedules.iter().filter_map(|schedule| {
            Some(metric([("schedule", schedule.name.as_str())], MetricType::GAUGE, value(schedule)?))
        });
        metrics.collect::<Vec<_>>()
    };
    let last = of(|schedule| schedule.last_at.map(|at| at.0 as f64 / 1000.0));
    let next = of(|schedule| schedule.next_at.map(|at| at.0 as f64 / 1000.0));
    let paused = of(|schedule| Some(f64::from(u8::from(schedule.paused))));
    [
        ("schedule_last_timestamp_seconds", "The last tick of a schedule, in seconds since 1970.", last),
        ("schedule_next_timestamp_seconds", "Its next one.", next),
        ("schedule_paused", "Whether it makes no jobs: 1 or 0.", paused),
    ]
    .into_iter()
    .filter_map(|(name, help, metrics)| family(name, help, MetricType::GAUGE, metrics))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_name_is_that_of_one_family() {
        let runs = |all: &[Told]| all.chunk_by(|a, b| a.name == b.name).map(|same| same[0].name).collect::<Vec<_>>();
        let names: Vec<&str> = [runs(OF_QUEUES), runs(OF_ALL)].concat();
        let names = names.into_iter().chain(HISTOGRAMS.iter().map(|(_, name, _)| *name)).collect::<Vec<_>>();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "those of one name stand together");
    }
}
