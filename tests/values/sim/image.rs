//! Opening what a crash has left, and holding it against what was told.

use std::collections::BTreeMap;
use std::sync::Arc;

use falconqueue::ids::{JobId, SessionId};
use falconqueue::job::Standing;
use falconqueue::master::{Config, Input, Master, Progress, Urgency, WalError};
use falconqueue::protocol::{
    Ack, Change, DropSchedule, Hello, List, Mend, Request, Resume, SetQueue, Stats, Submit, Text, TextKind,
};
use falconqueue::queue::Queues;
use falconqueue::rules::{QueueSettings, Way};
use falconqueue::time::{Millis, Timestamp};
use falconqueue::wal::MemoryDevice;

use crate::frames::{Delivery, Reply, delivered, submitted};
use crate::session::{ack_of, heard, poll, tell};

use super::load::QUEUES;
use super::told::{Submission, Told};
use super::ways::SCHEDULES;
use super::{Image, KEY_WINDOW, Place, Sim};

/// Which of the crash images are worked on to the end.
const DEEP_EVERY: u64 = 20;

/// How lines of jobs begin that have ended, and what is in those of jobs that may end without being delivered: one that
/// waits for others may be cancelled with them.
const ENDED: [&str; 4] = ["Dead", "Completed", "Cancelled", "Expired"];
const EXCUSES: [&str; 3] = ["is_cancelled: true", "expires_at: Some", "Waiting"];

fn has_ended(line: &str) -> bool {
    ENDED.iter().any(|ended| line.starts_with(ended))
}

/// A master on what a crash has left.
pub struct Recovered {
    pub master: Master,
    pub device: MemoryDevice,
    pub now: Timestamp,
    /// Newest LSN that was recovered.
    pub last: u64,
    session: SessionId,
    correlation: u64,
}

/// The jobs of a description, with the rest of their lines.
pub fn jobs_of(queues: &Queues) -> BTreeMap<JobId, String> {
    let lines = queues.describe();
    let jobs = lines.iter().filter_map(|line| line.strip_prefix("job ")?.split_once(' '));
    jobs.map(|(id, rest)| (JobId(id.parse().expect("a number")), rest.to_owned())).collect()
}

impl Recovered {
    /// Opens; the state is handed to `look` as it was rebuilt, with the newest LSN and moment.
    pub fn open(
        device: &MemoryDevice,
        config: Config,
        now: Timestamp,
        look: impl FnOnce(u64, Timestamp, &Queues),
    ) -> Result<Recovered, WalError> {
        let opened = Master::open(config, Arc::new(device.clone()), &Progress::default())?;
        let mut master = opened.master;
        let session = master.connected_within(&Hello::new("crash", b""));
        let mut recovered = Recovered { master, device: device.clone(), now, last: 0, session, correlation: 0 };
        recovered.last = match recovered.send(&Request::Stats(Stats {})).pop() {
            Some(Reply::StatsOk(stats)) => stats.records,
            other => panic!("{other:?}"),
        };
        look(recovered.last, opened.last_at, recovered.master.queues());
        recovered.master.start(now.max(opened.last_at));
        recovered.master.queues().check();
        Ok(recovered)
    }

    fn send(&mut self, request: &Request<'_>) -> Vec<Reply> {
        self.correlation += 1;
        let told = tell(&mut self.master, self.session, self.correlation, request, self.now);
        told.expect("the log takes records");
        self.heard()
    }

    fn heard(&mut self) -> Vec<Reply> {
        heard(&mut self.master, self.session).into_iter().map(|(_, reply)| reply).collect()
    }

    /// Sends a request and waits for its answer.
    pub fn ask(&mut self, request: &Request<'_>) -> Reply {
        let mut all = self.send(request);
        self.turn(0);
        all.extend(self.heard());
        assert_eq!(all.len(), 1, "one answer: {all:?}");
        all.remove(0)
    }

    pub fn turn(&mut self, span: u64) {
        self.now = self.now.plus(Millis(span));
        self.master.begin_turn(self.now).expect("the log takes records");
        self.master.finish_turn(self.now).expect("the log takes records");
        if let Some(request) = self.master.sync_request(self.now, Urgency::Quiet) {
            self.master.synced(&request.run()).expect("the sync works");
        }
    }

    /// All jobs that are pending, by one poll.
    pub fn poll_all(&mut self) -> Vec<Delivery> {
        delivered(self.ask(&poll(&QUEUES, 1000, 0)))
    }

    /// So many at once as have a place in the smallest segment, each with its whole overhead.
    pub fn ack(&mut self, jobs: &[Delivery]) {
        for jobs in jobs.chunks(16) {
            let items: Vec<_> = jobs.iter().map(|got| ack_of(got, b"")).collect();
            match self.ask(&Request::Ack(Ack { items: List::lent(&items) })) {
                Reply::Done(_, items) => assert!(items.iter().all(|(_, status)| *status == 0)),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Holds the state against what was told up to `now`.
    pub fn holds(&self, told: &Told) {
        let queues = self.master.queues();
        assert!(queues.next_job().0 > told.last_job, "job {} would be given again", told.last_job);
        assert!(self.last >= told.last_lease, "lease {} would be given again", told.last_lease);
        let jobs = jobs_of(queues);
        for (id, fact) in &told.jobs {
            let may_be_gone = fact.endings > 0 || fact.expires;
            assert!(may_be_gone || jobs.contains_key(id), "job {id} was accepted and is gone");
        }
        for (id, line) in &jobs {
            let is_kept = !told.acked.contains(id) || line.starts_with("Completed");
            assert!(is_kept, "job {id} was acked and is there: {line}");
            let stays = line.starts_with("Cancelled") || line.contains("is_cancelled: true");
            assert!(stays || !told.cancelled.contains(id), "job {id} was cancelled and is there: {line}");
            assert!(!told.purged.contains(id), "job {id} was purged and is there: {line}");
        }
        for (id, kept) in told.kept.iter().filter(|(_, kept)| kept.until > self.now) {
            assert!(jobs.contains_key(id), "job {id} is to be kept until {} and is gone", kept.until);
        }
        for (job, others) in &told.followed {
            let is_done = jobs.get(job).is_none_or(|line| !line.starts_with("InFlight"));
            let there = others.iter().filter(|other| **other < queues.next_job().0).count();
            let expected = if is_done { others.len() } else { 0 };
            assert_eq!(there, expected, "job {job} is done: {is_done}, and of {others:?} so many are there");
        }
        for (name, fact) in told.batches.iter().filter(|(_, fact)| fact.until > self.now) {
            let batch = queues.batch_named(name).and_then(|id| queues.batch(id));
            let batch = batch.unwrap_or_else(|| panic!("batch {name} was begun and is gone: {fact:?}"));
            let is_so = (batch.is_sealed || !fact.has_ended) && (batch.is_called_off || !fact.is_cancelled);
            assert!(is_so, "what was told of batch {name}: {fact:?}, {batch:?}");
        }
        for (key, id) in told.bound_keys(self.now) {
            // A job that is dead has begun its key's window, perhaps without any client having heard so.
            let past = queues.facts(id).filter(|facts| facts.standing == Standing::Dead).and_then(|facts| facts.past);
            if past.is_none_or(|past| past.ended_at.plus(KEY_WINDOW) > self.now) {
                assert_eq!(queues.job_of_key(key), Some(id), "key {key}");
            }
        }
    }

    /// Polls what is pending and holds it against what was told.
    pub fn holds_deliveries(&mut self, told: &Told) -> Vec<Delivery> {
        // What was not begun in time expires.
        self.turn(0);
        let queues = self.master.queues();
        let is_open = |name: &str| queues.rules(name).is_none_or(|rules| rules.pause_out.is_none());
        let is_plain = |name: &str| queues.queue(name).is_none_or(|id| !queues.is_bounded(id) && !queues.has_turns(id));
        let plain = |name: &str| is_open(name) && is_plain(name);
        let pending =
            queues.counters().into_iter().filter(|(_, name, _)| plain(name)).map(|(_, _, counters)| counters.pending);
        let (pending, plain) = (pending.sum::<u64>(), QUEUES.map(plain));
        let jobs = self.poll_all();
        let is_of_plain = |got: &&Delivery| QUEUES.iter().zip(plain).any(|(name, plain)| *name == got.queue && plain);
        assert_eq!(jobs.iter().filter(is_of_plain).count() as u64, pending, "a poll gets all that may go");
        // Where there are bounds and turns, nothing is left that may go.
        let queues = self.master.queues();
        let left = QUEUES.iter().filter_map(|name| queues.front(queues.queue(name)?));
        assert_eq!(left.map(|job| job.id).collect::<Vec<_>>(), [], "jobs that may go");
        for got in &jobs {
            told.may_run(JobId(got.job));
            assert!(got.lease > told.last_lease, "lease {} was given before", got.lease);
            told.holds_payload(got);
        }
        jobs
    }

    /// Reads every result that is to be kept.
    fn holds_kept(&mut self, told: &Told) {
        let now = self.now;
        for (job, kept) in told.kept.iter().filter(|(_, kept)| kept.until > now) {
            let reply = self.ask(&Request::Text(Text { job: *job, what: TextKind::Result }));
            let Reply::TextOk(result) = reply else { panic!("the result of job {job}: {reply:?}") };
            assert!(kept.result.as_ref().is_none_or(|kept| *kept == result), "the result of job {job}");
        }
    }

    /// As [`Self::holds_deliveries`], where the end of what was told may have been cut off: payloads are right.
    pub fn holds_deliveries_of_damaged(&mut self, told: &Told) {
        for got in self.poll_all() {
            told.holds_payload(&got);
        }
    }

    /// Ends every job that was told, wherever it stands, and checks each payload.
    pub fn drain(&mut self, told: &Told) {
        let mut told = told.clone();
        let mut left = jobs_of(self.master.queues());
        left.retain(|_, line| !has_ended(line) && !EXCUSES.iter().any(|excuse| line.contains(excuse)));
        for _ in 0..80 {
            let jobs = self.holds_deliveries(&told);
            for got in &jobs {
                left.remove(&JobId(got.job));
            }
            self.ack(&jobs);
            if self.master.queues().unfinished() == (0, 0) {
                break;
            }
            self.requeue_dead(&mut told);
            self.turn(300_000);
        }
        assert_eq!(self.master.queues().unfinished(), (0, 0), "every job comes to an end");
        let dead = jobs_of(self.master.queues());
        left.retain(|id, _| !dead.contains_key(id));
        assert!(left.is_empty(), "jobs that were not delivered: {left:?}");
    }

    /// Lets dead jobs run again for which others wait.
    fn requeue_dead(&mut self, told: &mut Told) {
        if self.master.queues().totals().waiting == 0 {
            return;
        }
        let dead: Vec<JobId> = self.master.queues().dead().collect();
        for job in &dead {
            told.mending(*job, Change::Requeue);
        }
        for jobs in dead.chunks(16) {
            self.ask(&Request::Mend(Mend { change: Change::Requeue, jobs: List::lent(jobs), update: None }));
        }
    }

    /// What was opened goes on working, also after another crash.
    pub fn goes_on(mut self, told: &Told, config: &Config) {
        self.holds_kept(told);
        for queue in QUEUES {
            self.ask(&Request::SetQueue(SetQueue { queue, settings: QueueSettings::default() }));
            self.ask(&Request::Resume(Resume { queue, way: Way::Both }));
        }
        for name in SCHEDULES {
            self.ask(&Request::DropSchedule(DropSchedule { name }));
        }
        let job = Submission {
            queue: QUEUES[0],
            max_attempts: 3,
            payload: super::told::payload(self.now.0, 300),
            ..Submission::default()
        };
        let lent = [job.lent()];
        let id = submitted(self.ask(&Request::Submit(Submit::of(&lent))))[0].job;
        assert!(id > told.last_job);
        self.drain(told);
        let again = self.device.crash();
        let last = self.last;
        let mut after = Recovered::open(&again, config.clone(), self.now, |now_last, _, _| {
            assert!(now_last > last);
        })
        .expect("it opens once more");
        assert_eq!(after.master.queues().unfinished(), (0, 0), "what was acked stays acked");
        assert_eq!(after.poll_all().len(), 0);
    }
}

impl Image {
    /// Says at a failure before which operation the crash was.
    pub fn place(&self) -> Place {
        let Image { number, operation, .. } = self;
        Place(format!("the crash was before operation {number}: {} {}", operation.verb, operation.name))
    }
}

impl Sim {
    /// Opens a crash image and holds it against everything that is known; `deep` is to go on with it, too.
    pub fn holds_image(&self, image: &MemoryDevice, deep: bool) {
        let config = self.config.clone();
        let mut recovered = Recovered::open(image, config.clone(), self.now, |last, at, queues| {
            // A replay takes as long as all else; of a short run each other state is enough.
            if self.history.has_states || last.is_multiple_of(2) {
                self.history.holds_recovered((last, at), self.now, queues);
            }
        })
        .unwrap_or_else(|error| panic!("a crash image is refused: {error}"));
        recovered.holds(&self.told);
        self.settled.holds(recovered.master.queues());
        if deep {
            recovered.goes_on(&self.told, &config);
        } else {
            recovered.holds_deliveries(&self.told);
        }
    }

    /// The power is cut, or a sync has failed and the process stopped: another one opens what is left, and the run goes
    /// on with that.
    pub fn reopen(&mut self, device: MemoryDevice) {
        self.follow();
        self.forget_process();
        let mut newest = (0, Timestamp(0));
        let mut recovered = Recovered::open(&device, self.config.clone(), self.now, |last, at, queues| {
            self.history.holds_recovered((last, at), self.now, queues);
            newest = (last, at);
        })
        .unwrap_or_else(|error| panic!("what is left is refused: {error}"));
        recovered.holds(&self.told);
        self.settled.holds(recovered.master.queues());
        recovered.master.take(recovered.session, Input::Gone, self.now).expect("it writes nothing");
        (self.master, self.device) = (recovered.master, device);
        self.history.cut(newest.0, newest.1);
        self.history.truth.take_abandoned();
        let next_job = self.history.truth.last_job() + 1;
        self.told.followed.retain(|(_, others)| others.iter().all(|other| *other < next_job));
        self.connect();
    }

    /// The crash images that were taken and not looked at.
    pub fn take_images(&self) -> Vec<Image> {
        std::mem::take(&mut *self.images.lock().expect("one thread"))
    }

    /// Looks at all crash images that were taken, some deeply.
    pub fn hold_images(&mut self) {
        for image in self.take_images() {
            let _place = image.place();
            self.looked_at += 1;
            self.holds_image(&image.device, self.looked_at.is_multiple_of(DEEP_EVERY));
        }
    }
}
