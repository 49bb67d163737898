//! Clients that settle what holds in a queue, forget queues, look at them, and drain the master; and what they may be
//! told.

use std::collections::{BTreeMap, BTreeSet};

use falconqueue::ids::JobId;
use falconqueue::job::{Backoff, Unique};
use falconqueue::limits::ATTEMPTS_DEFAULT;
use falconqueue::master::WalError;
use falconqueue::protocol::{DeleteQueue, Drain, Request, SetGroup, SetQueue, ShowQueue};
use falconqueue::queue::Queues;
use falconqueue::rules::{GroupSettings, QueueSettings, Rate};
use falconqueue::time::Millis;

use crate::frames::{NOT_FOUND, QUEUE_FULL, Reply, STORAGE_FULL, WRONG_STATE};

use super::Sim;
use super::client::What;
use super::load::QUEUES;
use super::told::Submission;
use super::ways::holds_ways;
use crate::dice::Dice;
use crate::truth::Fate;

/// A queue that has only settings, and so can be forgotten.
const WITHOUT_JOBS: &str = "d";

/// What the clients know of the settings of queues.
#[derive(Clone, Debug, Default)]
pub struct Settled {
    queues: BTreeMap<&'static str, Known>,
    /// Whether the master takes no jobs, and submits that it has to refuse for it.
    pub is_draining: bool,
    pub drained: BTreeSet<u64>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    /// How many changes were sent so far.
    sent: u64,
    /// What the newest one that was answered has come to, and which it was.
    told: Option<(u64, QueueSettings)>,
}

impl Settled {
    /// A change is sent; gives its number.
    fn sent(&mut self, queue: &'static str) -> u64 {
        let known = self.queues.entry(queue).or_default();
        known.sent += 1;
        known.sent
    }

    /// Whatever was told last holds, unless another change was sent since.
    pub fn holds(&self, queues: &Queues) {
        for (queue, known) in &self.queues {
            let Some((_, settings)) = known.told.filter(|(number, _)| *number == known.sent) else { continue };
            let found = queues.rules(queue).map(|rules| rules.settings).unwrap_or_default();
            assert_eq!(found, settings, "the settings of queue {queue} are not what was told");
        }
    }
}

/// A change of a queue's settings.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    queue: &'static str,
    number: u64,
    /// Nothing if the queue is to be forgotten.
    to: Option<QueueSettings>,
}

fn rate((tokens, per_ms, burst): (u32, u32, u32)) -> Rate {
    Rate { tokens, per_ms, burst }
}

/// The queue's settings are as a page of the protocol would have them.
fn is_same(ours: &QueueSettings, theirs: &crate::frames::QueueSettings) -> bool {
    let theirs = QueueSettings {
        keep_s: theirs.keep_s,
        dead_keep_s: theirs.dead_keep_s,
        backoff: theirs.backoff.map(|(first_ms, most_ms)| Backoff { first_ms, most_ms }),
        max_attempts: theirs.max_attempts,
        depth_max: theirs.depth_max,
        bytes_max: theirs.bytes_max,
        timeout_ms: theirs.timeout_ms,
        ttl_ms: theirs.ttl_ms,
        running_max: theirs.running_max,
        group_running_max: theirs.group_running_max,
        strict: theirs.strict,
        rate: theirs.rate.map(rate),
        group_rate: theirs.group_rate.map(rate),
    };
    theirs == *ours
}

fn drawn_rate(random: &mut Dice) -> Rate {
    let tokens = 1 + random.below(50) as u32;
    Rate { tokens, per_ms: 500 + random.below(10_000) as u32, burst: 1 + random.below(5) as u32 }
}

impl Sim {
    fn drawn_settings(&mut self) -> QueueSettings {
        let random = &mut self.random;
        let first_ms = 1 + random.below(2000) as u32;
        let most_ms = first_ms + if random.one_in(3) { 0 } else { random.below(20_000) as u32 };
        QueueSettings {
            keep_s: random.one_in(3).then(|| random.below(30) as u32),
            dead_keep_s: random.one_in(3).then(|| 1 + random.below(30) as u32),
            backoff: random.one_in(2).then_some(Backoff { first_ms, most_ms }),
            max_attempts: random.one_in(2).then(|| 1 + random.below(4) as u16),
            depth_max: random.one_in(3).then(|| 2 + random.below(20)),
            bytes_max: random.one_in(4).then(|| 1000 + random.below(20_000)),
            timeout_ms: random.one_in(4).then(|| 500 + random.below(20_000) as u32),
            ttl_ms: random.one_in(4).then(|| 500 + random.below(30_000)),
            running_max: random.one_in(3).then(|| 1 + random.below(4) as u32),
            group_running_max: random.one_in(3).then(|| 1 + random.below(3) as u32),
            strict: random.one_in(4).then_some(true),
            rate: random.one_in(4).then(|| drawn_rate(random)),
            group_rate: random.one_in(4).then(|| drawn_rate(random)),
        }
    }

    /// One thing of all that is asked about the rules.
    pub fn send_rule(&mut self) -> Result<(), WalError> {
        let queue = if self.random.one_in(5) { WITHOUT_JOBS } else { QUEUES[self.random.index(3)] };
        match self.random.below(12) {
            _ if self.settled.is_draining && self.random.one_in(2) => self.send_drain(false),
            0 => self.send_drain(true),
            1 => self.send_setting(queue, None),
            9..=10 => self.send_group(queue),
            2..=3 => self.send_setting(queue, Some(QueueSettings::default())),
            4..=8 => {
                let settings = self.drawn_settings();
                self.send_setting(queue, Some(settings))
            }
            _ => self.send_show(queue),
        }
    }

    fn send_setting(&mut self, queue: &'static str, to: Option<QueueSettings>) -> Result<(), WalError> {
        let number = self.settled.sent(queue);
        let request = match to {
            Some(settings) => Request::SetQueue(SetQueue { queue, settings }),
            None => Request::DeleteQueue(DeleteQueue { queue }),
        };
        self.send(self.producer, &request, What::Set(Setting { queue, number, to }))?;
        Ok(())
    }

    fn send_group(&mut self, queue: &'static str) -> Result<(), WalError> {
        let random = &mut self.random;
        let settings = GroupSettings {
            weight: random.one_in(2).then(|| 1 + random.below(4) as u16),
            running_max: random.one_in(3).then(|| 1 + random.below(3) as u32),
            rate: random.one_in(3).then(|| drawn_rate(random)),
        };
        let group = ["", "x", "y", "z"][random.index(4)];
        let settings = if random.one_in(3) { GroupSettings::default() } else { settings };
        self.send(self.producer, &Request::SetGroup(SetGroup { queue, group, settings }), What::SetGroup)?;
        Ok(())
    }

    fn send_show(&mut self, queue: &'static str) -> Result<(), WalError> {
        self.follow();
        let settings = self.history.truth.settings(queue);
        self.send(self.producer, &Request::ShowQueue(ShowQueue { queue }), What::Show(settings))?;
        Ok(())
    }

    fn send_drain(&mut self, on: bool) -> Result<(), WalError> {
        self.send(self.producer, &Request::Drain(Drain { on }), What::Drain)?;
        // It takes effect when it is taken, if it was.
        if !self.net.is_broken(self.producer) {
            self.settled.is_draining = on;
        }
        Ok(())
    }

    /// The answer to one of these.
    pub fn take_in_rule(&mut self, what: What, reply: Reply) {
        match (what, reply) {
            (What::Set(setting), Reply::Settled(_)) => {
                let known = self.settled.queues.entry(setting.queue).or_default();
                known.told = Some((setting.number, setting.to.unwrap_or_default()));
            }
            (What::Set(setting), Reply::Error { code, .. }) => {
                let may_be = if setting.to.is_some() { code == STORAGE_FULL } else { code != QUEUE_FULL };
                assert!(may_be && [STORAGE_FULL, NOT_FOUND, WRONG_STATE].contains(&code), "{setting:?}: {code}");
            }
            (What::Show(settings), Reply::ShowQueueOk(facts)) => {
                assert!(is_same(&settings, &facts.settings), "{settings:?} was shown as {facts:?}");
            }
            (What::Show(settings), Reply::Error { code: NOT_FOUND, .. }) => {
                assert_eq!(settings, QueueSettings::default(), "a queue with settings is not known");
            }
            (What::Drain | What::SetGroup, Reply::Settled(_))
            | (What::SetGroup, Reply::Error { code: STORAGE_FULL, .. }) => {}
            (what, reply) => panic!("{what:?} was answered by {reply:?}"),
        }
    }

    /// A job was accepted: with what its queue says where it says nothing itself.
    pub fn accepted_as_asked(&mut self, job: &Submission, id: JobId, duplicate: bool) {
        let Some(fate) = self.history.truth.of(id.0) else { return };
        assert_eq!(fate.accepted.key, job.key, "job {id} was accepted for another key");
        let (may_vanish, unique) = (fate.may_vanish, fate.accepted.unique);
        if !duplicate {
            holds_defaults(job, fate);
            holds_ways(job, fate);
        }
        if unique != Unique::ToEnd {
            self.told.frees(id);
        }
        if may_vanish {
            self.told.vanishes(id);
        }
    }
}

fn holds_defaults(job: &Submission, fate: &Fate) {
    let of_queue = &fate.accepted.of_queue;
    assert_eq!((&*fate.queue, &*fate.group), (job.queue, job.group));
    let max_attempts = match job.max_attempts {
        0 => of_queue.max_attempts.unwrap_or(ATTEMPTS_DEFAULT),
        asked => asked,
    };
    let settings = fate.accepted.settings;
    assert_eq!((settings.max_attempts, settings.priority), (max_attempts, job.priority), "{fate:?}");
    assert_eq!(settings.timeout_ms, of_queue.timeout_ms.unwrap_or(0), "{fate:?}");
    let ttl_ms = job.ttl_ms.or(of_queue.ttl_ms);
    assert_eq!(fate.accepted.expires_at, ttl_ms.map(|ttl_ms| fate.accepted.at.plus(Millis(ttl_ms))), "{fate:?}");
}
