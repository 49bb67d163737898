//! What the master counts and measures, for charts and alarms.

use std::sync::Arc;

use crate::client::{Client, ClientError};
use crate::protocol::{
    Figure, HistogramCounts, HistogramKind, Measure, MeasureOk, MeasuredQueue, MeasuredSchedule, NO_VALUE,
};
use crate::time::Timestamp;

/// What was counted and measured since the master's start. No count of it falls while the master lives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measures {
    /// Name and version of the master.
    pub software: String,
    /// When it makes its log durable: `always`, `never`, or how often.
    pub sync: String,
    /// The figures of the master, by name.
    pub figures: Vec<(String, u64)>,
    /// What it measured of itself.
    pub histograms: Vec<Histogram>,
    /// The queues that have measures of their own: the first that were there, or active.
    pub queues: Vec<QueueMeasures>,
    /// All other queues as one; its name is empty.
    pub others: QueueMeasures,
    /// The first schedules by name.
    pub schedules: Vec<ScheduleMeasures>,
}

/// What was counted and measured of a queue.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueueMeasures {
    /// Its name.
    pub name: String,
    /// Its figures by name, those that it has.
    pub figures: Vec<(Arc<str>, u64)>,
    /// What was measured of its jobs.
    pub histograms: Vec<Histogram>,
}

/// How often values were how large.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// What was measured, and last its unit: `wait_seconds`.
    pub name: Arc<str>,
    /// The largest value of each part but the last, in that unit, ascending.
    pub bounds: Arc<[f64]>,
    /// How many values were up to each bound, and above the one before; the last of those above all bounds.
    pub counts: Vec<u64>,
    /// All values together, in that unit.
    pub sum: f64,
}

/// When a schedule makes jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScheduleMeasures {
    /// Its name.
    pub name: String,
    /// Its last tick by the clock on the wall, if there was one.
    pub last_at: Option<Timestamp>,
    /// Its next one, if there will be one.
    pub next_at: Option<Timestamp>,
    /// Whether it makes none for now.
    pub paused: bool,
}

/// The name, the bounds, and the numbers of a unit of histograms of one kind, which they share.
struct Kind {
    name: Arc<str>,
    bounds: Arc<[f64]>,
    per_unit: f64,
}

impl Measures {
    /// The figure of this name, if the master tells it.
    pub fn figure(&self, name: &str) -> Option<u64> {
        self.figures.iter().find(|(named, _)| named == name).map(|(_, value)| *value)
    }

    /// What the master measured of itself by this name.
    pub fn histogram(&self, name: &str) -> Option<&Histogram> {
        self.histograms.iter().find(|histogram| *histogram.name == *name)
    }

    /// The measures of this queue, if it has some of its own.
    pub fn queue(&self, name: &str) -> Option<&QueueMeasures> {
        self.queues.iter().find(|queue| queue.name == name)
    }
}

impl QueueMeasures {
    /// The figure of this name, if the queue has it.
    pub fn figure(&self, name: &str) -> Option<u64> {
        self.figures.iter().find(|(named, _)| **named == *name).map(|(_, value)| *value)
    }

    /// What was measured of its jobs by this name.
    pub fn histogram(&self, name: &str) -> Option<&Histogram> {
        self.histograms.iter().find(|histogram| *histogram.name == *name)
    }
}

impl Histogram {
    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl Client {
    /// What was counted and measured since the master's start. It costs the master the same however many jobs and
    /// queues it has.
    pub fn measures(&self) -> Result<Measures, ClientError> {
        let answer = self.ask(Measure {})?;
        answer.read::<Measure>().map(Measures::from)
    }
}

impl From<MeasureOk<'_>> for Measures {
    fn from(told: MeasureOk<'_>) -> Self {
        let names: Vec<Arc<str>> = told.queue_figures.iter().map(Arc::from).collect();
        let kinds: Vec<Kind> = told.queue_histograms.iter().map(Kind::from).collect();
        let mut queues: Vec<QueueMeasures> = told.queues.iter().map(|queue| of_queue(queue, &names, &kinds)).collect();
        let others = queues.pop_if(|last| last.name.is_empty()).unwrap_or_default();
        Measures {
            software: told.software.to_owned(),
            sync: told.sync.to_owned(),
            figures: told.figures.iter().map(|Figure { name, value }| (name.to_owned(), value)).collect(),
            histograms: told.histograms.iter().map(|of| Kind::from(of.kind).with(of.values)).collect(),
            queues,
            others,
            schedules: told.schedules.iter().map(ScheduleMeasures::from).collect(),
        }
    }
}

fn of_queue(told: MeasuredQueue<'_>, names: &[Arc<str>], kinds: &[Kind]) -> QueueMeasures {
    let values = names.iter().cloned().zip(told.values.iter());
    QueueMeasures {
        name: told.name.to_owned(),
        figures: values.filter(|(_, value)| *value != NO_VALUE).collect(),
        histograms: kinds.iter().zip(told.histograms.iter()).map(|(kind, values)| kind.with(values)).collect(),
    }
}

impl From<HistogramKind<'_>> for Kind {
    fn from(told: HistogramKind<'_>) -> Self {
        let per_unit = f64::from(told.per_unit.max(1));
        let bounds: Vec<f64> = told.bounds.iter().map(|bound| float(bound) / per_unit).collect();
        Kind { name: told.name.into(), bounds: bounds.into(), per_unit }
    }
}

/// Exact up to 2^53, which as microseconds are 285 years.
#[expect(clippy::cast_precision_loss)]
fn float(number: u64) -> f64 {
    number as f64
}

impl Kind {
    fn with(&self, told: HistogramCounts<'_>) -> Histogram {
        let (name, bounds) = (Arc::clone(&self.name), Arc::clone(&self.bounds));
        Histogram { name, bounds, counts: told.counts.iter().collect(), sum: float(told.sum) / self.per_unit }
    }
}

impl From<MeasuredSchedule<'_>> for ScheduleMeasures {
    fn from(told: MeasuredSchedule<'_>) -> Self {
        let [last_at, next_at] = [told.last_at, told.next_at].map(|at| (at != Timestamp(0)).then_some(at));
        ScheduleMeasures { name: told.name.to_owned(), last_at, next_at, paused: told.paused }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::List;

    #[test]
    fn values_are_told_in_their_units_and_what_a_queue_has_not_is_left_out() {
        let wait = HistogramKind { name: "wait_seconds", per_unit: 1000, bounds: List::lent(&[5, 250]) };
        let waited = [HistogramCounts { counts: List::lent(&[7, 2, 1]), sum: 1500 }];
        let mail = MeasuredQueue { name: "mail", values: List::lent(&[3, NO_VALUE]), histograms: List::lent(&waited) };
        let others = MeasuredQueue { name: "", values: List::lent(&[1, 0]), ..MeasuredQueue::default() };
        let (kinds, queues) = ([wait], [mail, others]);
        let told = MeasureOk {
            queue_figures: List::lent(&["ready", "tokens"]),
            queue_histograms: List::lent(&kinds),
            queues: List::lent(&queues),
            ..MeasureOk::default()
        };
        let measures = Measures::from(told);
        let mail = measures.queue("mail").unwrap();
        assert_eq!((mail.figure("ready"), mail.figure("tokens"), mail.figure("new")), (Some(3), None, None));
        let waited = mail.histogram("wait_seconds").unwrap();
        assert_eq!((&waited.bounds[..], &waited.counts[..]), (&[0.005, 0.25][..], &[7, 2, 1][..]));
        assert_eq!((waited.sum, waited.count()), (1.5, 10));
        assert_eq!((measures.others.figure("tokens"), measures.queues.len()), (Some(0), 1));
    }
}
