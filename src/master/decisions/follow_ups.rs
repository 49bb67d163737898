//! An ack with follow-ups: the job is done and they exist, by one group of records, or neither.

use super::super::Master;
use super::super::answers::{Answer, Decided, Unanswered};
use super::reports::{self, ack};
use super::submit::{Room, take_in};
use super::{Scratch, cancelled};
use crate::ids::SessionId;
use crate::limits::{RECORD_OVERHEAD_BYTES_MAX, RESULT_BYTES_MAX};
use crate::planted::{Bug, is_planted};
use crate::protocol::{AckThen, AckThenOk, ErrorCode, List, Refusal, Submit};
use crate::time::Timestamp;

impl Master {
    pub(super) fn ack_then<'s>(
        &mut self,
        id: SessionId,
        request: &AckThen<'_>,
        now: Timestamp,
        scratch: &'s mut Scratch,
    ) -> Decided<'s> {
        let item = request.item;
        let Some(live) = reports::live(&self.journal, item.job, item.lease) else {
            self.journal.measures.stale_reports += 1;
            return Ok(told(ErrorCode::LeaseLost.code(), scratch));
        };
        if live.is_cancelled {
            let event = cancelled(&live, item.job, self.config.key_window, now);
            self.journal.record_alone(now, &event).map_err(Unanswered::Fatal)?;
            return Ok(told(ErrorCode::Cancelled.code(), scratch));
        }
        reports::hold_against_length(&item)?;
        self.write_both(request, now, scratch)?;
        log::debug!("session {id}: job {} is done, with {} behind it", item.job, request.jobs.len());
        Ok(told(0, scratch))
    }

    /// The jobs and the ack of a job that is live, in one group.
    fn write_both(&mut self, request: &AckThen<'_>, now: Timestamp, scratch: &mut Scratch) -> Result<(), Unanswered> {
        let item = request.item;
        let submit = Submit { jobs: request.jobs, batch: None };
        let held_back = self.admit_while_draining(&submit, now)?;
        let own = RECORD_OVERHEAD_BYTES_MAX + item.result.len();
        let group_bytes = own + submit.jobs.bytes() + submit.jobs.len() * RECORD_OVERHEAD_BYTES_MAX;
        let with_waits = group_bytes + held_back * RECORD_OVERHEAD_BYTES_MAX;
        if !self.journal.has_room(with_waits, submit.jobs.len(), now)? {
            let text = "no room in the log for these jobs: no log segment can be made; acks without jobs go on";
            return Err(Refusal::new(ErrorCode::StorageFull, text).into());
        }
        self.journal.begin_group(group_bytes)?;
        let apart = is_planted(Bug::FollowUpApart);
        let room = if apart { Room::GroupThatEnds } else { Room::GroupThatGoesOn };
        take_in(&mut self.journal, &self.config, &submit, now, (&mut scratch.submitted, room))?;
        if apart {
            self.journal.begin_group(own)?;
        }
        // It was live, and nothing here has ended it.
        let live = reports::live(&self.journal, item.job, item.lease);
        let lost = item.result.len() > RESULT_BYTES_MAX;
        if let Some(event) = live.map(|live| ack(&item, &live, lost, (self.config.key_window, now))) {
            self.journal.record(now, &event, false)?;
        }
        Ok(())
    }
}

/// What became of it, and of the jobs if it was done.
fn told(status: u16, scratch: &mut Scratch) -> Answer<'_> {
    let Scratch { submitted, written, .. } = scratch;
    if status != 0 {
        submitted.clear();
    }
    Answer::told::<AckThen<'_>>(&AckThenOk { status, jobs: List::lent(submitted) }, written)
}
