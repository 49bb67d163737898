//! The frames of batches that the page shows.

use falconqueue::protocol::*;

const NAME: &str = "night";

const FIGURE: Figure<'_> = Figure { name: "completed", value: 7 };

const ROW: BatchRow<'_> = BatchRow { name: NAME, sealed: true, called_off: false, members: 8, left: 1, failed: 0 };

pub fn requests() -> [Request<'static>; 5] {
    [
        BeginBatch { batch: NAME }.into(),
        EndBatch { batch: NAME }.into(),
        ShowBatch { batch: NAME, wait_ms: 30_000 }.into(),
        CancelBatch { batch: NAME }.into(),
        ListBatches { behind: "", limit: 100 }.into(),
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
}
