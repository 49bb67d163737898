//! Who is who: which operations belong to which job, and which submits may have made it.

use std::collections::{BTreeMap, HashMap};

use super::*;

/// An operation's span and one of its parts.
#[derive(Debug)]
pub struct At<'h, T> {
    pub start: Ns,
    pub end: Ns,
    pub what: &'h T,
}

impl<T> Clone for At<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for At<'_, T> {}

/// A submit and what was heard of it.
pub type Asked<'h> = (At<'h, Submit>, &'h Outcome<Submitted>);

pub struct Job<'h> {
    pub id: u64,
    /// All submits whose answer was this id, and all of the job's key.
    pub submits: Vec<Asked<'h>>,
    /// Those that may have made it; empty only where that is flagged.
    pub made_by: Vec<At<'h, Submit>>,
    /// In the order of their leases.
    pub deliveries: Vec<At<'h, Delivery>>,
    pub endings: Vec<(Lease, Ending, At<'h, Outcome<()>>)>,
    pub heartbeats: Vec<(Lease, At<'h, Outcome<bool>>)>,
    pub mends: Vec<(Change, At<'h, Outcome<()>>)>,
    pub reads: Vec<At<'h, Outcome<()>>>,
}

impl<'h> Job<'h> {
    fn new(id: u64) -> Job<'h> {
        let (submits, made_by, deliveries) = (Vec::new(), Vec::new(), Vec::new());
        let (endings, heartbeats, mends, reads) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Job { id, submits, made_by, deliveries, endings, heartbeats, mends, reads }
    }

    pub fn queue(&self) -> Option<&'h str> {
        let made = self.made_by.first().map(|at| at.what.queue.as_str());
        made.or(self.deliveries.first().map(|at| at.what.queue.as_str()))
    }

    /// The least and the greatest bound of attempts that it may have.
    pub fn attempts_max(&self) -> (u16, u16) {
        let updated = self.updates().filter_map(|(update, _)| update.max_attempts);
        let all = self.made_by.iter().map(|at| at.what.attempts_max()).chain(updated);
        (all.clone().min().unwrap_or(0), all.max().unwrap_or(u16::MAX))
    }

    /// The first delivery tells which of the submits it was, if they differ.
    fn narrow(&mut self) {
        let Some(first) = self.deliveries.first() else { return };
        if self.made_by.iter().any(|made| made.what.makes(first.what)) {
            self.made_by.retain(|made| made.what.makes(first.what));
        }
    }

    /// It had no delay, whoever made it, and nobody gave it another place in its line.
    pub fn prompt(&self) -> bool {
        self.updates().next().is_none() && self.made_by.iter().all(|at| at.what.delay_ms == 0)
    }

    /// The mends of this kind.
    pub fn mended(&self, wanted: impl Fn(Change) -> bool) -> impl Iterator<Item = At<'h, Outcome<()>>> {
        self.mends.iter().filter(move |(change, _)| wanted(*change)).map(|(_, at)| *at)
    }

    /// Updates that may have been done.
    pub fn updates(&self) -> impl Iterator<Item = (Update, At<'h, Outcome<()>>)> + Clone {
        let all = self.mends.iter().filter_map(|(change, at)| Some((change.update()?, *at)));
        all.filter(|(_, at)| at.what.possible())
    }

    /// It may have been purged by then.
    pub fn may_be_purged(&self, by: Ns) -> bool {
        self.mended(|change| change == Change::Purge).any(|at| at.what.possible() && at.start <= by)
    }

    /// Requeues that may have been done in this span; each when it began.
    pub fn requeued(&self, from: Ns, to: Ns) -> impl Iterator<Item = Ns> {
        let may = move |at: &At<Outcome<()>>| at.what.possible() && at.end >= from && at.start <= to;
        self.mended(|change| change == Change::Requeue).filter(may).map(|at| at.start)
    }

    /// It may have been cancelled or purged, or have expired.
    pub fn may_be_gone(&self) -> bool {
        let is_mortal = self.made_by.iter().any(|at| at.what.ttl_ms > 0);
        is_mortal || self.may_be_purged(Ns::MAX) || self.may_be_cancelled()
    }

    pub fn may_be_cancelled(&self) -> bool {
        self.mended(Change::is_cancel).any(|at| at.what.possible())
    }

    /// The first grant, if it was seen: one after a requeue has the same number.
    pub fn first_grant(&self) -> Option<At<'h, Delivery>> {
        let was_requeued = self.requeued(0, Ns::MAX).next().is_some();
        self.deliveries.first().copied().filter(|at| at.what.attempt == 1 && !was_requeued)
    }
}

pub struct Index<'h> {
    pub jobs: BTreeMap<u64, Job<'h>>,
    /// Submits without an answer of which no job is known, those of one key together.
    pub loose: Vec<Vec<At<'h, Submit>>>,
    /// Each poll and its deliveries, in the order of their starts.
    pub polls: Vec<(At<'h, Poll>, &'h Outcome<Vec<Delivery>>)>,
    pub waits: Vec<(At<'h, Wait>, &'h Outcome<Ends>)>,
    pub gates: Vec<(At<'h, Gate>, &'h Outcome<()>)>,
    pub keeps: Vec<(At<'h, Keep>, &'h Outcome<()>)>,
    closed: HashMap<&'h str, Vec<(Ns, Ns)>>,
    unseen: HashMap<&'h str, Unseen>,
}

/// Starts and ends of the unknown polls of a queue, each in order.
#[derive(Default)]
struct Unseen {
    starts: Vec<Ns>,
    ends: Vec<Ns>,
}

impl<'h> Index<'h> {
    pub fn of(history: &'h History, found: &mut Vec<Violation>) -> Index<'h> {
        let (jobs, loose) = (BTreeMap::new(), Vec::new());
        let (polls, waits, gates, keeps) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (closed, unseen) = (HashMap::new(), HashMap::new());
        let mut index = Index { jobs, loose, polls, waits, gates, keeps, closed, unseen };
        let mut names = Names::default();
        for op in &history.ops {
            if let What::Submit(submit, outcome) = &op.what {
                names.take((At { start: op.start, end: op.end, what: submit }, outcome));
            }
        }
        names.answered(&mut index.jobs, found);
        for op in &history.ops {
            index.take(op);
        }
        names.delivered(&mut index, found);
        for job in index.jobs.values_mut() {
            job.deliveries.sort_by_key(|at| (at.what.lease, at.start));
            job.narrow();
        }
        index.polls.sort_by_key(|(poll, _)| poll.start);
        index.close();
        for unseen in index.unseen.values_mut() {
            unseen.starts.sort_unstable();
            unseen.ends.sort_unstable();
        }
        index
    }

    fn job(&mut self, id: u64) -> &mut Job<'h> {
        self.jobs.entry(id).or_insert_with(|| Job::new(id))
    }

    fn take(&mut self, op: &'h Op) {
        let (start, end) = (op.start, op.end);
        match &op.what {
            What::Submit(..) => {}
            What::Poll(poll, outcome) => {
                self.polls.push((At { start, end, what: poll }, outcome));
                for delivery in outcome.ok().into_iter().flatten() {
                    self.job(delivery.job).deliveries.push(At { start, end, what: delivery });
                }
                if matches!(outcome, Outcome::Unknown | Outcome::Silence) {
                    for queue in &poll.queues {
                        let unseen = self.unseen.entry(queue).or_default();
                        unseen.starts.push(start);
                        // A poll that was never answered may be granted something at any time.
                        unseen.ends.push(if *outcome == Outcome::Silence { Ns::MAX } else { end });
                    }
                }
            }
            What::End(ending, lease, outcome) => {
                self.job(lease.job).endings.push((*lease, *ending, At { start, end, what: outcome }));
            }
            What::Heartbeat(lease, outcome) => {
                self.job(lease.job).heartbeats.push((*lease, At { start, end, what: outcome }));
            }
            What::Mend(change, job, outcome) => {
                self.job(*job).mends.push((*change, At { start, end, what: outcome }));
            }
            What::Wait(wait, outcome) => self.waits.push((At { start, end, what: wait }, outcome)),
            What::Gate(gate, outcome) => self.gates.push((At { start, end, what: gate }, outcome)),
            What::Keep(keep, outcome) => self.keeps.push((At { start, end, what: keep }, outcome)),
            What::Read(job, outcome) => self.job(*job).reads.push(At { start, end, what: outcome }),
        }
    }

    /// Whether this queue may have given nothing at some moment of this span, since somebody closed it.
    pub fn may_be_closed(&self, queue: &str, from: Ns, to: Ns) -> bool {
        let Some(closed) = self.closed.get(queue) else { return false };
        let begun = closed.partition_point(|(start, _)| *start <= to);
        closed[..begun].last().is_some_and(|(_, until)| *until >= from)
    }

    /// The starts of all spans in which each queue may have been closed, each with the latest end of all up to it. A
    /// span ends by its time, or when a later order has taken its place.
    fn close(&mut self) {
        let mut queues: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for (gate, outcome) in self.gates.iter().filter(|(_, outcome)| outcome.possible()) {
            queues.entry(&gate.what.queue).or_default().push((*gate, outcome.ok().is_some()));
        }
        for (queue, mut gates) in queues {
            gates.sort_by_key(|(gate, _)| gate.start);
            // The first end of all certain orders from each on.
            let mut ends = vec![Ns::MAX; gates.len() + 1];
            for (at, (gate, is_certain)) in gates.iter().enumerate().rev() {
                ends[at] = if *is_certain { ends[at + 1].min(gate.end) } else { ends[at + 1] };
            }
            let (mut closed, mut latest) = (Vec::new(), 0);
            for (gate, _) in gates.iter().filter(|(gate, _)| gate.what.closes()) {
                let over = gate.end.saturating_add(gate.what.for_ms.unwrap_or(0) * MS + CLOCK_SLACK);
                let replaced = ends[gates.partition_point(|(other, _)| other.start <= gate.end)];
                latest = over.min(replaced).max(latest);
                closed.push((gate.start, latest));
            }
            self.closed.insert(queue, closed);
        }
    }

    /// How many grants of a job of this queue may be hidden in this span: one for each unknown poll.
    pub fn hidden_grants(&self, queue: &str, from: Ns, to: Ns) -> usize {
        self.unseen.get(queue).map_or(0, |unseen| {
            let begun = unseen.starts.partition_point(|start| *start <= to);
            let over = unseen.ends.partition_point(|end| *end < from);
            begun.saturating_sub(over)
        })
    }
}

/// Submits by what they are known by.
#[derive(Default)]
struct Names<'h> {
    keys: BTreeMap<&'h str, Vec<Asked<'h>>>,
    key_ids: HashMap<&'h str, u64>,
    keyless: Vec<Asked<'h>>,
    /// Keyless submits by payload, with the job that each is known to have made.
    payloads: HashMap<Payload, (Asked<'h>, Option<u64>)>,
}

impl<'h> Names<'h> {
    fn take(&mut self, asked: Asked<'h>) {
        let submit = asked.0.what;
        if !submit.key.is_empty() {
            self.keys.entry(&submit.key).or_default().push(asked);
            return;
        }
        self.keyless.push(asked);
        let job = asked.1.ok().map(|answer| answer.job);
        let other = self.payloads.insert(submit.payload, (asked, job));
        assert!(other.is_none(), "each submit without a key has a payload of its own: {submit:?}");
    }

    /// Makes the jobs that answers tell of.
    fn answered(&mut self, jobs: &mut BTreeMap<u64, Job<'h>>, found: &mut Vec<Violation>) {
        for asked in &self.keyless {
            let Some(answer) = asked.1.ok() else { continue };
            if answer.duplicate {
                flag(found, Rule::FalseDuplicate, format!("job {} has no key: {:?}", answer.job, asked.0.what));
            }
            let job = jobs.entry(answer.job).or_insert_with(|| Job::new(answer.job));
            if !job.submits.is_empty() {
                flag(found, Rule::JobIdTwice, format!("job {} of {:?}", answer.job, asked.0.what));
            }
            job.submits.push(*asked);
            job.made_by.push(asked.0);
        }
        for (key, all) in &self.keys {
            let answers: Vec<Submitted> = all.iter().filter_map(|asked| asked.1.ok().copied()).collect();
            let Some(first) = answers.first() else { continue };
            if let Some(other) = answers.iter().find(|answer| answer.job != first.job) {
                let text = format!("key {key} has the jobs {} and {}", first.job, other.job);
                flag(found, Rule::TwoIdsForKey, text);
            }
            self.key_ids.insert(key, first.job);
            let job = jobs.entry(first.job).or_insert_with(|| Job::new(first.job));
            if !job.submits.is_empty() {
                flag(found, Rule::JobIdTwice, format!("job {} of key {key}", first.job));
            }
            adopt(job, all);
            false_duplicates(key, all, found);
        }
    }

    /// Finds the submits of jobs that are known by a delivery alone, and what no job is known of.
    fn delivered(&mut self, index: &mut Index<'h>, found: &mut Vec<Violation>) {
        for job in index.jobs.values_mut().filter(|job| job.submits.is_empty()) {
            // Without a delivery there is an ending of it, which is flagged as such.
            let Some(first) = job.deliveries.first().copied() else { continue };
            match self.made(job, first.what) {
                Ok(()) => {}
                Err(rule) => flag(found, rule, format!("job {} of no answer: {:?}", job.id, first.what)),
            }
        }
        let nameless = self.payloads.values().filter(|(asked, job)| job.is_none() && asked.1.possible());
        let mut loose: Vec<Vec<At<'h, Submit>>> = nameless.map(|(asked, _)| vec![asked.0]).collect();
        let keys = self.keys.iter().filter(|(key, _)| !self.key_ids.contains_key(*key));
        loose.extend(keys.map(|(_, all)| may_have_made(all)).filter(|all| !all.is_empty()));
        index.loose = loose;
    }

    fn made(&mut self, job: &mut Job<'h>, first: &'h Delivery) -> Result<(), Rule> {
        if !first.key.is_empty() {
            let Some(all) = self.keys.get(first.key.as_str()) else { return Err(Rule::NeverSubmitted) };
            if *self.key_ids.entry(&first.key).or_insert(job.id) != job.id {
                return Err(Rule::TwoIdsForKey);
            }
            adopt(job, all);
            return if job.made_by.is_empty() { Err(Rule::NeverSubmitted) } else { Ok(()) };
        }
        if let Some((asked, known)) = self.payloads.get_mut(&first.payload) {
            if known.is_some() {
                return Err(Rule::SubmittedTwice);
            }
            *known = Some(job.id);
            job.submits.push(*asked);
            job.made_by = may_have_made(&job.submits);
            return if job.made_by.is_empty() { Err(Rule::NeverSubmitted) } else { Ok(()) };
        }
        let akin = self.keyless.iter().any(|asked| asked.0.what.payload.head == first.payload.head);
        Err(if akin { Rule::WrongContent } else { Rule::NeverSubmitted })
    }
}

fn adopt<'h>(job: &mut Job<'h>, all: &[Asked<'h>]) {
    job.submits.extend(all);
    job.made_by.extend(may_have_made(all));
}

/// The submit that was told so; if that answer was lost, each whose answer was lost.
fn may_have_made<'h>(all: &[Asked<'h>]) -> Vec<At<'h, Submit>> {
    let told = all.iter().filter(|asked| asked.1.ok().is_some_and(|answer| !answer.duplicate));
    let told: Vec<_> = told.map(|asked| asked.0).collect();
    if !told.is_empty() {
        return told;
    }
    let lost = all.iter().filter(|asked| asked.1.ok().is_none() && asked.1.possible());
    lost.map(|asked| asked.0).collect()
}

fn false_duplicates(key: &str, all: &[Asked<'_>], found: &mut Vec<Violation>) {
    let first_time = |asked: &&Asked| asked.1.ok().is_some_and(|answer| !answer.duplicate);
    if all.iter().filter(first_time).count() > 1 {
        flag(found, Rule::FalseDuplicate, format!("key {key} was new twice"));
    }
    let makers = may_have_made(all);
    for (at, _) in all.iter().filter(|asked| asked.1.ok().is_some_and(|answer| answer.duplicate)) {
        if !makers.iter().any(|maker| maker.start <= at.end) {
            flag(found, Rule::FalseDuplicate, format!("key {key} was a duplicate of nothing"));
        }
    }
}
