//! Workers that ack a job with others that follow from it: all of that is done, or nothing.

use std::collections::BTreeSet;

use falconqueue::ids::{JobId, SessionId};
use falconqueue::master::WalError;
use falconqueue::protocol::{AckItem, AckThen, After, List, Request, SubmitJob};

use crate::frames::Reply;

use super::client::{Sentence, What};
use super::told::{Submission, payload};
use super::{Held, Sim};

/// An ack that was sent with jobs.
#[derive(Debug)]
pub struct Then {
    pub held: Held,
    pub said: Sentence,
    pub jobs: Vec<Submission>,
    /// Whether it was done, and the jobs that it has made.
    is_done: bool,
    made: Vec<u64>,
}

impl Sim {
    /// Acks a job that a worker holds, with some that follow from it.
    pub fn ack_with_others(&mut self, worker: SessionId) -> Result<(), WalError> {
        let Some(held) = self.draw_held(1).pop() else { return Ok(()) };
        let count = 1 + self.random.below(3);
        let mut jobs: Vec<Submission> = (0..count).map(|_| self.drawn_job()).collect();
        self.draw_ways(&mut jobs);
        if self.random.one_in(4) {
            jobs[0].after.push(After::job(held.job));
        }
        let bytes = if self.random.one_in(2) { 0 } else { self.random.below(self.load.text_max + 1) };
        let said = Sentence { result: payload(2, bytes as usize), is_optional: self.random.one_in(2), at: self.now };
        self.send_then(worker, held, said, jobs)
    }

    /// Sends it, and looks what has come of it: both, or nothing.
    pub fn send_then(
        &mut self,
        worker: SessionId,
        held: Held,
        said: Sentence,
        jobs: Vec<Submission>,
    ) -> Result<(), WalError> {
        self.follow();
        let before = self.history.truth.last_job();
        let was_live = self.history.truth.of(held.job.0).is_some_and(|fate| fate.lease == Some(held.lease));
        self.told.submitting(&jobs);
        self.told.ending(held.job, self.now);
        let (lent, result) = (jobs.clone(), said.result.clone());
        let lent: Vec<SubmitJob<'_>> = lent.iter().map(Submission::lent).collect();
        let text_optional = said.is_optional.then_some(true);
        let item = AckItem { job: held.job, lease: held.lease, text_optional, result: &result };
        let then = Then { held, said, jobs, is_done: false, made: Vec::new() };
        let request = Request::AckThen(AckThen { item, jobs: List::lent(&lent) });
        let number = self.send(worker, &request, What::AckThen(then))?;
        if self.net.is_broken(worker) {
            return Ok(());
        }
        self.follow();
        let truth = &self.history.truth;
        let is_done = was_live && truth.of(held.job.0).is_some_and(|fate| fate.acked == Some(held.lease));
        let made: Vec<u64> = (before + 1..=truth.last_job()).collect();
        assert!(is_done || made.is_empty(), "job {} was not acked, and {made:?} follow from it", held.job);
        assert!(made.is_empty() || truth.follow_ups.of(held.job) == made, "{made:?} do not stand with {held:?}");
        if !made.is_empty() {
            self.told.follow_ups += made.len() as u64;
            self.told.followed.push((held.job, made.clone()));
        }
        if let Some(What::AckThen(then)) = self.sent.get_mut(&number).map(|sent| &mut sent.what) {
            (then.is_done, then.made) = (is_done, made);
        }
        Ok(())
    }

    /// The answer to such an ack.
    pub fn told_of_then(&mut self, then: Then, reply: Reply) {
        let Then { held, said, jobs, is_done, made } = then;
        let (status, ids) = match reply {
            Reply::AckThenOk(status, ids) => (status, ids),
            Reply::Error { code, .. } => {
                assert!(!is_done, "{held:?} was acked, and refused by {code}");
                self.told.ended(held.job, None);
                self.submit_refused(&jobs, (None, code));
                self.held.push(held);
                return;
            }
            other => panic!("an ack was answered by {other:?}"),
        };
        assert_eq!(status == 0, is_done, "whether {held:?} was acked");
        assert_eq!(ids.len(), if is_done { jobs.len() } else { 0 }, "the jobs that follow from {held:?}");
        self.is_reported(&[held], &[(held.job.0, status)]);
        self.told.ended(held.job, is_done.then_some(&said));
        let mut fresh: BTreeSet<u64> = made.into_iter().collect();
        for (job, id) in jobs.into_iter().zip(ids) {
            let duplicate = !fresh.remove(&id);
            self.told.submitted(job.clone(), JobId(id), duplicate);
            self.accepted_as_asked(&job, JobId(id), duplicate);
        }
        assert!(fresh.is_empty(), "jobs that nobody was told of follow from {held:?}: {fresh:?}");
    }
}
