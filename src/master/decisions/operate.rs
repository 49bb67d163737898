//! What a person asks of jobs, queues and workers: which function decides it.

use super::super::Master;
use super::super::answers::{Answer, Decided};
use super::super::sessions::Session;
use super::{Scratch, explain, looks, mend, rules, scans, stopping, waits, workers};
use crate::ids::SessionId;
use crate::protocol::{Drain, Header, Order, Request};
use crate::time::Timestamp;

impl Master {
    /// Requests of those who look, wait and mend. All others are decided before.
    pub(super) fn operate<'s>(
        &mut self,
        (id, header): (SessionId, &Header),
        request: &Request<'_>,
        now: Timestamp,
        scratch: &'s mut Scratch,
    ) -> Decided<'s> {
        if let Request::Mend(mend) = request {
            let by = self.sessions.session(id).map(|session| &*session.name).unwrap_or_default();
            return mend::mend(&mut self.journal, (by, self.config.key_window), mend, now, scratch);
        }
        let written = &mut scratch.written;
        match request {
            Request::Workers(asked) => workers::workers(self, asked, now, written),
            Request::Order(order) => self.order(id, order, written),
            Request::Find(find) => looks::find(&self.journal, find, written),
            Request::Text(text) => looks::text(&self.journal, *text),
            Request::Groups(groups) => rules::groups(&self.journal, groups, now, written),
            Request::ShowQueue(show) => rules::show((&self.journal, &self.parked), show, now, written),
            Request::Explain(asked) => explain::job(self, *asked, now, written),
            Request::ExplainQueue(asked) => explain::queue(self, asked, now, written),
            Request::Drain(drain) => Ok(self.drain(id, *drain, written)),
            // What would be parked now would have no answer of its own.
            Request::Wait(_) | Request::Idle(_) if self.stopping => Err(stopping().into()),
            scan @ (Request::ListJobs(_) | Request::CountJobs(_) | Request::MendAll(_)) => {
                self.scan_asked((id, header), scan, now, written)
            }
            Request::Wait(wait) => {
                let waited = waits::wait((&mut self.journal, &mut self.parked), id, header, wait, now, written)?;
                Ok(self.waited(id, waited))
            }
            Request::Idle(idle) => {
                let waited = waits::idle((&mut self.journal, &mut self.parked), id, header, idle, now, written);
                Ok(self.waited(id, waited))
            }
            ruling => self.rule((id, header), ruling, now, written),
        }
    }

    /// Requests that change what holds in a queue, or are about schedules or batches; their events say who asked.
    fn rule<'s>(
        &mut self,
        (id, header): (SessionId, &Header),
        request: &Request<'_>,
        now: Timestamp,
        written: &'s mut Vec<u8>,
    ) -> Decided<'s> {
        let whom = self.whom(id);
        let by = self.sessions.session(id).map(|session| &*session.name).unwrap_or_default();
        let mut asked = rules::Asked { journal: &mut self.journal, by, whom: &whom, now };
        match request {
            Request::Pause(pause) => asked.pause(pause, written),
            Request::Resume(resume) => asked.resume(resume, written),
            Request::SetQueue(set) => asked.set(set, written),
            Request::SetGroup(set) => asked.set_group(set, written),
            Request::DeleteQueue(delete) => asked.delete(delete, written),
            of_batches @ (Request::BeginBatch(_)
            | Request::EndBatch(_)
            | Request::ShowBatch(_)
            | Request::CancelBatch(_)
            | Request::ListBatches(_)) => self.batches((id, header), of_batches, now, written),
            of_schedules => self.schedules(id, of_schedules, now, written),
        }
    }

    fn scan_asked<'s>(
        &mut self,
        (id, header): (SessionId, &Header),
        request: &Request<'_>,
        now: Timestamp,
        written: &'s mut Vec<u8>,
    ) -> Decided<'s> {
        if self.stopping {
            return Err(stopping().into());
        }
        if let Request::MendAll(mend) = request
            && mend.since == Timestamp(0)
        {
            return Ok(scans::first_page(mend, now, written));
        }
        let by = self.sessions.session(id).map(|session| &*session.name).unwrap_or_default();
        let parts = (&self.journal, &mut self.parked, &mut self.scans);
        let number = scans::begin(parts, (id, by, self.config.key_window), header, request, now)?;
        Ok(self.park(id, number))
    }

    /// Will tell workers what to do. Those that wait for jobs get none now: so they need not wait for their next sign
    /// of life to hear of it.
    fn order<'s>(&mut self, id: SessionId, order: &Order<'_>, written: &'s mut Vec<u8>) -> Decided<'s> {
        let whom = self.whom(id);
        let answer = workers::order(&mut self.workers, order, &whom, written)?;
        let sessions = self.workers.named(order.name).into_iter().flat_map(|worker| &worker.sessions);
        let parked = sessions.filter_map(|id| self.sessions.session(*id)).flat_map(|session| &session.parked);
        let polls: Vec<u32> = parked.copied().filter(|number| self.parked.ends_with_input(*number)).collect();
        for number in polls {
            self.answer_empty(number);
        }
        Ok(answer)
    }

    fn drain<'s>(&mut self, id: SessionId, drain: Drain, written: &'s mut Vec<u8>) -> Answer<'s> {
        let what = if drain.on { "draining: no more jobs are taken" } else { "jobs are taken again" };
        log::info!("{what}, by {}", self.whom(id));
        self.draining = drain.on;
        rules::done::<Drain>(written)
    }

    /// Who asks, for log lines.
    pub(super) fn whom(&self, id: SessionId) -> String {
        self.sessions.session(id).map(Session::whom).unwrap_or_default()
    }

    pub(super) fn waited<'s>(&mut self, id: SessionId, waited: waits::Waited<'s>) -> Answer<'s> {
        match waited {
            waits::Waited::Answered(answer) => answer,
            waits::Waited::Parked(number) => self.park(id, number),
        }
    }
}
