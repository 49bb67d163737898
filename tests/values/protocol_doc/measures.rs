//! The frames of measures and of the log's files that the page shows.

use falconqueue::ids::Lsn;
use falconqueue::protocol::*;
use falconqueue::time::Timestamp;

pub fn for_each_reply(mut take: impl FnMut(&'static str, Reply<'_>)) {
    let figures = [Figure { name: "syncs", value: 12 }];
    let sync = HistogramKind { name: "sync_seconds", per_unit: 1_000_000, bounds: List::lent(&[100]) };
    let values = HistogramCounts { counts: List::lent(&[11, 1]), sum: 1400 };
    let histograms = [MeasuredHistogram { kind: sync, values }];
    let kinds = [HistogramKind { name: "wait_seconds", per_unit: 1000, bounds: List::lent(&[5]) }];
    let (waited, none) = (
        [HistogramCounts { counts: List::lent(&[6, 1]), sum: 40 }],
        [HistogramCounts { counts: List::lent(&[0, 0]), sum: 0 }],
    );
    let queues = [
        MeasuredQueue { name: "mail", values: List::lent(&[7, 8]), histograms: List::lent(&waited) },
        MeasuredQueue { name: "", values: List::lent(&[0, NO_VALUE]), histograms: List::lent(&none) },
    ];
    let (last_at, next_at) = (Timestamp(1_000_000), Timestamp(1_060_000));
    let schedules = [MeasuredSchedule { name: "night", last_at, next_at, paused: false }];
    let told = MeasureOk {
        software: "falcond 0.1.0",
        sync: "always",
        figures: List::lent(&figures),
        histograms: List::lent(&histograms),
        queue_figures: List::lent(&["acked", "running_max"]),
        queue_histograms: List::lent(&kinds),
        queues: List::lent(&queues),
        schedules: List::lent(&schedules),
    };
    take("MeasureOk", Reply::MeasureOk(told));
    let segment = |first: u64, used_bytes, live_bytes, state| {
        let first = Lsn(first);
        SegmentFacts { first, bytes: 64 << 20, used_bytes, live_bytes, state }
    };
    let segments = [segment(30, 1 << 20, 4096, SegmentState::Active), segment(0, 0, 0, SegmentState::Spare)];
    let snapshots = [SnapshotFacts { lsn: Lsn(29), bytes: 260, made_at: Timestamp(1_000_000) }];
    let told = StorageOk { segments: List::lent(&segments), left_out: 0, snapshots: List::lent(&snapshots) };
    take("StorageOk", Reply::StorageOk(told));
}
