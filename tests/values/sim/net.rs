//! Connections that break: frames and replies are lost with them, the client and the master each hear of it at a
//! moment of its own, and who has connected again asks again. And workers whose connections are open and silent.

use std::collections::{BTreeMap, BTreeSet};

use falconqueue::ids::SessionId;
use falconqueue::master::{Input, WalError};
use falconqueue::protocol::{
    Ack, AckItem, Change, Fail, FailItem, Hello, List, Mend, Release, ReleaseItem, Request, Updated,
};
use falconqueue::time::{Millis, Timestamp};

use super::batches::{Ask, AskedOf};
use super::client::{Sentence, What};
use super::{Held, Sim};

/// What is known of the connections.
#[derive(Default)]
pub struct Net {
    /// Those that are broken, and when their clients find out.
    broken: BTreeMap<SessionId, Timestamp>,
    /// When the master finds out about one.
    gone_at: BTreeMap<SessionId, Timestamp>,
    /// Workers that say and read nothing, until when.
    silent: BTreeMap<SessionId, Timestamp>,
    /// What is heard of them may be old.
    pub late: BTreeSet<SessionId>,
    /// When something was last taken from each.
    heard_at: BTreeMap<SessionId, Timestamp>,
    /// What is to be asked again.
    again: Vec<What>,
    /// Requests that were asked again, and connections that the master ended for their silence.
    pub asked_again: u64,
    pub silenced: u64,
}

impl Net {
    pub fn is_broken(&self, session: SessionId) -> bool {
        self.broken.contains_key(&session)
    }

    /// Whether its client takes part.
    pub fn is_there(&self, session: SessionId) -> bool {
        !self.is_broken(session) && !self.silent.contains_key(&session)
    }

    pub fn is_silent(&self, session: SessionId) -> bool {
        self.silent.contains_key(&session)
    }

    /// A connection is closed, and both sides know it.
    pub fn closed(&mut self, session: SessionId) {
        for known in [&mut self.broken, &mut self.gone_at, &mut self.silent, &mut self.heard_at] {
            known.remove(&session);
        }
        self.late.remove(&session);
    }

    /// Something was taken from it.
    pub fn heard(&mut self, session: SessionId, now: Timestamp) {
        self.heard_at.insert(session, now);
    }

    /// The master is another process, to which nobody is connected yet; this was not answered.
    pub fn restarted(&mut self, unanswered: impl Iterator<Item = What>) {
        let again = std::mem::take(&mut self.again);
        let counts = (self.asked_again, self.silenced);
        *self = Net { again, asked_again: counts.0, silenced: counts.1, ..Net::default() };
        self.again.extend(unanswered);
    }

    /// Time in which nobody could be heard.
    pub fn forgive(&mut self, gap: Millis) {
        self.heard_at.values_mut().for_each(|at| *at = at.plus(gap));
    }
}

/// What of these is over by now.
fn take_due(waiting: &mut BTreeMap<SessionId, Timestamp>, now: Timestamp) -> Vec<SessionId> {
    let due: Vec<SessionId> = waiting.iter().filter(|(_, at)| **at <= now).map(|(session, _)| *session).collect();
    waiting.retain(|_, at| *at > now);
    due
}

impl Sim {
    /// All that happens to connections by itself, after the turn has begun.
    pub fn go_on_connecting(&mut self) -> Result<(), WalError> {
        for place in std::mem::take(&mut self.crew.stops) {
            self.replace_worker(place);
        }
        for session in take_due(&mut self.net.broken, self.now) {
            self.reconnect(session);
        }
        for session in take_due(&mut self.net.silent, self.now) {
            self.net.late.insert(session);
        }
        for session in take_due(&mut self.net.gone_at, self.now) {
            self.gone(session);
        }
        self.end_silent();
        for what in std::mem::take(&mut self.net.again) {
            if self.random.percent(80) {
                self.net.asked_again += 1;
                self.ask_again(what)?;
            }
        }
        Ok(())
    }

    /// As the loop does with connections: a worker that says nothing is taken for dead.
    fn end_silent(&mut self) {
        let is_over = |at: &Timestamp| at.plus(self.master.silence()) <= self.now;
        let over: Vec<SessionId> =
            self.net.heard_at.iter().filter(|(_, at)| is_over(at)).map(|(session, _)| *session).collect();
        for session in over {
            if !self.master.may_not_be_silent(session) {
                continue;
            }
            self.net.silenced += 1;
            self.net.gone_at.remove(&session);
            self.gone(session);
            if !self.net.is_broken(session) {
                self.reconnect(session);
            }
        }
    }

    fn gone(&mut self, session: SessionId) {
        self.master.take(session, Input::Gone, self.now).expect("it writes nothing");
        self.net.heard_at.remove(&session);
        self.crew.workers.remove(&session);
        self.filling.gone(session, self.now);
    }

    /// A client finds its connection broken, and makes another one. What it has asked may have been done or not.
    fn reconnect(&mut self, session: SessionId) {
        let lost: Vec<u64> =
            self.sent.iter().filter(|(_, sent)| sent.session == session).map(|(number, _)| *number).collect();
        for number in lost {
            let sent = self.sent.remove(&number).expect("it is there");
            self.net.again.push(sent.what);
        }
        self.net.silent.remove(&session);
        self.net.late.remove(&session);
        for (place, name) in [(0, "worker-1"), (1, "worker-2")] {
            if self.workers[place] == session {
                let hello = Hello { says_begun: Some(place == 1), ..Hello::new(name, b"") };
                self.workers[place] = self.master.connected_within(&hello);
                self.is_worker(self.workers[place], name);
                self.crew.is_quiet[place] = false;
            }
        }
        if self.producer == session {
            self.producer = self.master.connected_within(&Hello::new("producer", b""));
        }
        if self.watcher == session {
            self.watcher = self.master.connected_within(&Hello::new("watcher", b""));
        }
    }

    /// A connection breaks at this moment: what its client sends from now on is lost, and what was to be sent to it.
    pub fn break_one(&mut self) {
        let all = [self.producer, self.watcher, self.workers[0], self.workers[1]];
        let session = all[self.random.index(4)];
        if self.net.is_broken(session) {
            return;
        }
        let moments = [0, self.random.below(2000), self.random.below(20_000)];
        let (client, master) = (moments[self.random.index(3)], moments[self.random.index(3)]);
        self.net.broken.insert(session, self.now.plus(Millis(client)));
        // A half of a connection may be closed long before the other.
        if self.random.one_in(4) {
            self.master.take(session, Input::Ended, self.now).expect("it writes nothing");
        }
        self.net.gone_at.insert(session, self.now.plus(Millis(master)));
    }

    /// A worker stops, and its connection stays open.
    pub fn silence_one(&mut self) {
        let session = self.workers[self.random.index(2)];
        if self.net.is_there(session) {
            let until = self.now.plus(Millis(self.random.below(30_000)));
            self.net.silent.insert(session, until);
        }
    }

    /// Asks what was not answered before the connection broke.
    fn ask_again(&mut self, what: What) -> Result<(), WalError> {
        match what {
            What::Submit(jobs, into) => drop(self.submit_to(jobs, into.map(|into| into.name))?),
            What::OfBatch(AskedOf { name, what, .. }) if !matches!(what, Ask::Show(_)) => {
                self.ask_of_batch(name, what)?;
            }
            What::Mend(change, jobs) => {
                let priority = Some(128).filter(|_| change == Change::Update);
                let update = priority.map(|_| Updated { priority, ..Updated::default() });
                for job in &jobs {
                    self.told.mending(*job, change);
                }
                let mend = Mend { change, jobs: List::lent(&jobs), update };
                self.send(self.producer, &Request::Mend(mend), What::Mend(change, jobs.clone()))?;
            }
            What::Wait(asked) => self.wait_again(&asked)?,
            report => self.report_again(report)?,
        }
        Ok(())
    }

    /// The same, of what workers report.
    fn report_again(&mut self, what: What) -> Result<(), WalError> {
        let worker = self.workers[self.random.index(2)];
        match what {
            What::Ack(held, said) => {
                let text_optional = said.is_optional.then_some(true);
                let item =
                    |held: &Held| AckItem { job: held.job, lease: held.lease, text_optional, result: &said.result };
                let items: Vec<AckItem<'_>> = held.iter().map(item).collect();
                for held in &held {
                    self.told.ending(held.job, self.now);
                }
                let again = Sentence { at: self.now, ..said.clone() };
                self.send(worker, &Request::Ack(Ack { items: List::lent(&items) }), What::Ack(held, again))?;
            }
            What::AckThen(then) => {
                let said = Sentence { at: self.now, ..then.said };
                self.send_then(worker, then.held, said, then.jobs)?;
            }
            What::Fail(held) => {
                let item = |held: &Held| FailItem { job: held.job, lease: held.lease, ..FailItem::default() };
                let items: Vec<FailItem<'_>> = held.iter().map(item).collect();
                self.send(worker, &Request::Fail(Fail { items: List::lent(&items) }), What::Fail(held))?;
            }
            What::Release(held) => {
                let item = |held: &Held| ReleaseItem { job: held.job, lease: held.lease, delay_ms: 0 };
                let items: Vec<ReleaseItem> = held.iter().map(item).collect();
                self.send(worker, &Request::Release(Release { items: List::lent(&items) }), What::Release(held))?;
            }
            _ => {}
        }
        Ok(())
    }
}
