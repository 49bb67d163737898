//! The frames of batches and follow-ups that the page shows.

use falconqueue::ids::JobId;
use falconqueue::protocol::*;

use super::{JOB, LEASE};

const NAME: &str = "night";

const FIGURE: Figure<'_> = Figure { name: "completed", value: 7 };

const ROW: BatchRow<'_> = BatchRow { name: NAME, sealed: true, called_off: false, members: 8, left: 1, failed: 0 };

pub fn requests() -> [Request<'static>; 6] {
    let item = AckItem { job: JOB, lease: LEASE, result: b"done", ..AckItem::default() };
    [
        BeginBatch { batch: NAME }.into(),
        EndBatch { batch: NAME }.into(),
        ShowBatch { batch: NAME, wait_ms: 30_000 }.into(),
        CancelBatch { batch: NAME }.into(),
        ListBatches { behind: "", limit: 100 }.into(),
        AckThen { item, jobs: List::lent(&[super::MAIL]) }.into(),
    ]
}

pub fn for_each_reply(mut take: impl FnMut(&'static str, Reply<'_>)) {
    take("BeginBatchOk", Reply::BeginBatchOk(BeginBatchOk { members: 0 }));
    take("EndBatchOk", Reply::EndBatchOk(Done {}));
    let figures = [FIGURE];
    let facts =
        BatchFacts { name: NAME, sealed: true, called_off: false, members: 8, left: 1, figures: List::lent(&figures) };
    take("ShowBatchOk", Reply::ShowBatchOk(facts));
    take("CancelBatchOk", Reply::CancelBatchOk(Done {}));
    take("ListBatchesOk", Reply::ListBatchesOk(ListBatchesOk { batches: List::lent(&[ROW]), more: false }));
    let jobs = [Submitted { job: JobId(8), ..Submitted::default() }];
    take("AckThenOk", Reply::AckThenOk(AckThenOk { status: 0, jobs: List::lent(&jobs) }));
}
