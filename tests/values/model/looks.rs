//! What the master tells of its jobs, held against the lists.

use super::batches::BATCHES;
use super::{KEYS, QUEUES, Run};
use crate::frames::{Known, More, NOT_FOUND, Reply, is_error};
use crate::lists::*;
use falconqueue::time::Timestamp;

impl Run {
    /// Everything that is known of a job, as the lists have it.
    pub fn get(&mut self, client: usize, pick: usize) {
        let ids: Vec<u64> = self.model.jobs.keys().copied().collect();
        let Some(id) = ids.get(pick % ids.len().max(1)).copied() else { return };
        let reply = self.hand.ask_frame(self.clients[client], &crate::frames::get(id));
        let job = &self.model.jobs[&id];
        if job.is_gone {
            return assert!(is_error(&reply, NOT_FOUND), "{reply:?}");
        }
        let (due_at, lease) = match job.state {
            State::Delayed(at) => (at.0, None),
            State::InFlight { lease, until, begun_at, .. } => {
                let begun_at = begun_at.map_or(0, |at| at.0);
                (0, Some((lease, "hand".to_owned(), begun_at, until.since(self.hand.now).0)))
            }
            _ => (0, None),
        };
        let Reply::GetOk(known) = reply else { panic!("{reply:?}") };
        let stands = standing(&job.state);
        assert_eq!((known.job, known.standing, known.due_at, &known.lease), (id, stands, due_at, &lease));
        let key = if self.model.holds_key(job) { KEYS[job.key] } else { "" };
        assert_eq!((known.queue.as_str(), known.key.as_str()), (QUEUES[job.queue], key));
        assert_eq!((known.priority, known.max_attempts), (job.priority, job.max_attempts));
        assert_eq!((known.attempts, known.submitted_at), (job.attempts, job.submitted_at.0));
        assert_eq!(known.more, more(&self.model, id), "job {id}");
        hold_past(&known, job);
    }

    pub fn compare(&self) {
        self.hand.master.queues().check();
        let totals = self.hand.master.queues().totals();
        let Model { tally, .. } = self.model;
        let count = |wanted: fn(&State) -> bool| self.model.count(|job| wanted(&job.state));
        let is_delayed = |state: &State| matches!(state, State::Delayed(_));
        assert_eq!(totals.pending, count(|state| *state == State::Pending));
        assert_eq!(totals.delayed, count(is_delayed));
        assert_eq!(totals.waiting, count(|state| *state == State::Waiting));
        assert_eq!(totals.retrying, self.model.count(|job| is_delayed(&job.state) && job.attempts > 0));
        assert_eq!(totals.in_flight, count(State::is_in_flight));
        assert_eq!(totals.dead, count(|state| *state == State::Dead));
        assert_eq!(totals.kept, count(|state| state.has_ended() && *state != State::Dead));
        let counted = [totals.completed, totals.cancelled, totals.expired, totals.purged, totals.died];
        let died = tally.died.iter().sum();
        assert_eq!(counted, [tally.completed, tally.cancelled, tally.expired, tally.purged, died]);
        let next = self.hand.master.next_deadline();
        if let Some(earliest) = self.moments().into_iter().filter(|at| *at != NEVER).min() {
            assert!(next.is_some_and(|next| next <= earliest), "{next:?} comes before {earliest}");
        }
    }

    /// When something happens by itself.
    fn moments(&self) -> Vec<Timestamp> {
        let Model { jobs, waits, idle, rules, .. } = &self.model;
        let of_job = |job: &Job| match job.state {
            State::Delayed(at) | State::InFlight { until: at, .. } => at,
            State::Pending | State::Waiting => NEVER,
            _ => job.kept_until,
        };
        let expires = |job: &&Job| job.state.is_waiting() && job.attempts == 0;
        let there = || jobs.values().filter(|job| !job.is_gone);
        let all = there().map(of_job).chain(there().filter(expires).filter_map(|job| job.expires_at));
        let alone = self.model.batches.iter().filter(|batch| !batch.is_sealed).filter_map(|batch| batch.alone_until);
        let all = all.chain(alone).chain(rules.iter().flat_map(Rules::pauses)).chain(self.model.token_moments());
        all.chain(waits.iter().map(|wait| wait.until)).chain(idle.iter().map(|(_, _, until)| *until)).collect()
    }
}

fn more(model: &Model, id: u64) -> More {
    let job = &model.jobs[&id];
    let is_kept = job.state.has_ended() && job.kept_until != NEVER;
    let is_open = !job.state.has_ended() || job.state == State::Dead;
    let wants = !job.waits.is_empty() && (job.state == State::Waiting || job.waits.with_results && is_open);
    let has_result = job.state == State::Completed && !job.result.is_empty();
    More {
        keep_s: job.keep_s,
        kept_until: is_kept.then_some(job.kept_until.0),
        backoff: job.backoff,
        expires_at: job.expires_at.map(|at| at.0),
        headers_bytes: (!job.headers.is_empty()).then(|| headers_bytes(&job.headers)),
        result_bytes: has_result.then_some(job.result.len() as u32),
        is_cancelled: job.is_marked,
        group: GROUPS[job.group].to_owned(),
        after: if wants { job.waits.named() } else { Vec::new() },
        if_failed: wants.then_some(job.waits.if_failed.code()),
        with_results: wants && job.waits.with_results,
        batch: model.batch_of(id).map_or_else(String::new, |batch| BATCHES[model.batches[batch].name].to_owned()),
        delay_ms: Some(job.waits.delay_ms).filter(|delay_ms| job.state == State::Waiting && *delay_ms > 0),
    }
}

/// Its attempts; of a completed job they are forgotten.
fn hold_past(known: &Known, job: &Job) {
    let past: &[_] = if job.state == State::Completed { &[] } else { &job.past };
    let ending = past.last().map_or(0, |(_, _, ending)| *ending);
    assert_eq!(known.past, job.ended_at.map(|at| (at.0, ending)));
    let history = known.history.iter().map(|past| (past.begun_at, past.ended_at, past.ending));
    assert_eq!(history.collect::<Vec<_>>(), past[past.len().saturating_sub(10)..], "attempts of job {}", known.job);
    assert!(known.history.iter().all(|past| past.worker == "hand"));
    assert_eq!(known.error.is_empty(), past.is_empty());
}

/// Of a list of two bytes of count, with two bytes before each text and a byte for no extras.
fn headers_bytes(headers: &[(String, String)]) -> u32 {
    let bytes = headers.iter().map(|(name, value)| name.len() + value.len() + 5).sum::<usize>();
    u32::try_from(2 + bytes).expect("few headers")
}
