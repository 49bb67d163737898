//! What the master tells of what it counts and measures.

use super::Figure;
use crate::codec::{List, message};
use crate::time::Timestamp;

message! {
    /// What was counted and measured since the master's start. Names stand once, and each queue has its values in
    /// their order.
    MeasureOk<'a> {
        /// Name and version of the master.
        software: &'a str;
        /// When it makes its log durable: `always`, `never`, or how often.
        sync: &'a str;
        /// The figures of the master, by name.
        figures: List<'a, Figure<'a>>;
        /// What it measured of itself.
        histograms: List<'a, MeasuredHistogram<'a>>;
        /// The figures that each queue has.
        queue_figures: List<'a, &'a str>;
        /// What is measured of each queue.
        queue_histograms: List<'a, HistogramKind<'a>>;
        /// The queues that have measures of their own; and last, without a name, all others as one.
        queues: List<'a, MeasuredQueue<'a>>;
        /// The first schedules by name.
        schedules: List<'a, MeasuredSchedule<'a>>;
    }
}

/// A value of a queue that it does not have: it has no such limit, or no job of which this could be told.
pub const NO_VALUE: u64 = u64::MAX;

message! {
    /// What a histogram is of.
    HistogramKind<'a> {
        name: &'a str;
        /// How many of its numbers make one of the unit that its name ends with: 1000 for milliseconds in `_seconds`.
        per_unit: u32;
        /// The largest number of each part but the last, ascending.
        bounds: List<'a, u64>;
    }
}

message! {
    HistogramCounts<'a> {
        /// How many values were up to each bound, and above the one before; the last of those above all bounds.
        counts: List<'a, u64>;
        sum: u64;
    }
}

message! {
    MeasuredHistogram<'a> {
        kind: HistogramKind<'a>;
        values: HistogramCounts<'a>;
    }
}

message! {
    MeasuredQueue<'a> {
        name: &'a str;
        /// As many as there are names, [`NO_VALUE`] where it has none.
        values: List<'a, u64>;
        /// As many as there are kinds.
        histograms: List<'a, HistogramCounts<'a>>;
    }
}

message! {
    /// When a schedule made a job, and when it will, by the clock on the wall; 0 for never.
    MeasuredSchedule<'a> {
        name: &'a str;
        last_at: Timestamp;
        next_at: Timestamp;
        paused: bool;
    }
}
