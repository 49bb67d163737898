//! Histograms with fixed bounds: to note a value is a search among a few numbers.

/// What a histogram is of.
#[derive(Debug)]
pub struct Kind {
    pub name: &'static str,
    /// How many of its numbers make one of the unit that its name says: 1000 for milliseconds in seconds.
    pub per_unit: u32,
    /// The largest number of each part but the last, ascending.
    pub bounds: &'static [u64],
}

/// The most bounds of any kind.
const BOUNDS_MAX: usize = 18;

/// From a millisecond to a day.
const JOB_MS: &[u64] = &[
    1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 1_800_000, 7_200_000,
    86_400_000,
];

/// From when a job was ready to its delivery.
pub const WAIT: Kind = Kind { name: "wait_seconds", per_unit: 1000, bounds: JOB_MS };

/// From when a job was begun to the report on it.
pub const RUN: Kind = Kind { name: "run_seconds", per_unit: 1000, bounds: JOB_MS };

/// From when a sync was asked for to when the loop took its outcome.
pub const SYNC: Kind = Kind {
    name: "sync_seconds",
    per_unit: 1_000_000,
    bounds: &[
        50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 5_000_000,
    ],
};

/// Records that one sync made durable.
pub const SYNC_RECORDS: Kind =
    Kind { name: "sync_records", per_unit: 1, bounds: &[1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000] };

/// From when the loop woke to when it waits again.
pub const TURN: Kind = Kind {
    name: "turn_seconds",
    per_unit: 1_000_000,
    bounds: &[
        10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000,
    ],
};

const _: () = {
    assert!(WAIT.bounds.len() <= BOUNDS_MAX && RUN.bounds.len() <= BOUNDS_MAX && TURN.bounds.len() <= BOUNDS_MAX);
    assert!(SYNC.bounds.len() <= BOUNDS_MAX && SYNC_RECORDS.bounds.len() <= BOUNDS_MAX);
};

#[derive(Debug)]
pub struct Histogram {
    kind: &'static Kind,
    counts: [u64; BOUNDS_MAX + 1],
    sum: u64,
}

impl Histogram {
    pub const fn of(kind: &'static Kind) -> Histogram {
        Histogram { kind, counts: [0; BOUNDS_MAX + 1], sum: 0 }
    }

    #[inline]
    pub fn note(&mut self, value: u64) {
        let part = self.kind.bounds.partition_point(|bound| *bound < value);
        self.counts[part] += 1;
        self.sum = self.sum.saturating_add(value);
    }

    pub fn kind(&self) -> &'static Kind {
        self.kind
    }

    /// How many values were up to each bound, and above the one before; the last count is of those above all.
    pub fn counts(&self) -> &[u64] {
        &self.counts[..=self.kind.bounds.len()]
    }

    pub fn sum(&self) -> u64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_where_it_is_at_most_the_bound() {
        let mut histogram = Histogram::of(&SYNC_RECORDS);
        for value in [0, 1, 2, 3, 5, 6, 10_000, 10_001, u64::MAX] {
            histogram.note(value);
        }
        assert_eq!(histogram.counts(), [2, 1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(histogram.counts().len(), SYNC_RECORDS.bounds.len() + 1);
        assert_eq!(histogram.sum(), u64::MAX, "it stays at its end");
    }

    #[test]
    fn bounds_ascend() {
        for kind in [&WAIT, &RUN, &SYNC, &SYNC_RECORDS, &TURN] {
            assert!(kind.bounds.is_sorted_by(|a, b| a < b), "{}", kind.name);
        }
    }
}
