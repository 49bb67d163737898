//! Explanations: why a job does not run now, or what holds in a queue, and what would change that. Read-only.

use super::super::Master;
use super::super::answers::{Answer, Decided};
use super::explain_group;
use super::looks::no_job;
use super::rules::no_queue;
use crate::ids::QueueId;
use crate::job::{Awaited, IfFailed, Standing};
use crate::protocol::{Cause, Explain, ExplainOk, ExplainQueue, List, Reason};
use crate::queue::counters::Counters;
use crate::queue::{JobFacts, LeaseView, Paused, Queues};
use crate::time::{Millis, Timestamp};
use crate::words::{by_number, counted, is};

/// Jobs in line that are counted at most: well below a millisecond.
pub(super) const COUNTED_MAX: usize = 10_000;

/// Reasons that are being found.
pub(super) struct Reasons {
    pub(super) now: Timestamp,
    found: Vec<Found>,
}

struct Found {
    cause: Cause,
    count: Option<u64>,
    left_ms: Option<u64>,
    text: String,
}

impl Reasons {
    fn new(now: Timestamp) -> Reasons {
        Reasons { now, found: Vec::new() }
    }

    pub(super) fn add(&mut self, cause: Cause, text: impl Into<String>) {
        self.found.push(Found { cause, count: None, left_ms: None, text: text.into() });
    }

    pub(super) fn count(&mut self, cause: Cause, count: u64, text: impl Into<String>) {
        self.found.push(Found { cause, count: Some(count), left_ms: None, text: text.into() });
    }

    pub(super) fn until(&mut self, cause: Cause, at: Timestamp, text: impl Into<String>) {
        let left_ms = Some(at.since(self.now).0);
        self.found.push(Found { cause, count: None, left_ms, text: text.into() });
    }

    fn told(&self) -> Vec<Reason<'_>> {
        let told = self.found.iter();
        told.map(|Found { cause, count, left_ms, text }| Reason {
            cause: cause.code(),
            text,
            count: *count,
            left_ms: *left_ms,
        })
        .collect()
    }
}

/// A span for people: whole seconds where it has some.
pub(super) fn span(span: Millis) -> String {
    if span.0 < 1000 { span.to_string() } else { Millis(span.0 / 1000 * 1000).to_string() }
}

/// Why a job does not run now.
pub(super) fn job<'s>(master: &Master, explain: Explain, now: Timestamp, written: &'s mut Vec<u8>) -> Decided<'s> {
    let facts = master.journal.queues.facts(explain.job).ok_or_else(|| no_job(explain.job))?;
    let mut reasons = Reasons::new(now);
    match facts.standing {
        Standing::Pending => pending(master, &facts, &mut reasons),
        Standing::Delayed => delayed(&facts, &mut reasons),
        Standing::Waiting => waiting(&master.journal.queues, &facts, &mut reasons),
        Standing::InFlight => {
            if let Some(lease) = &facts.lease {
                in_flight(master, &facts, lease, &mut reasons);
            }
        }
        Standing::Dead => {
            let text = format!(
                "it is dead after {}; `falcon-cli job requeue {}` gives it all its attempts again",
                counted(facts.view.attempts.into(), "attempt"),
                facts.view.id
            );
            reasons.add(Cause::Dead, text);
        }
        ended => {
            let until = facts.more.kept_until.unwrap_or_default();
            let text = format!("it has ended: it is {}, and is kept for {} more", ended.word(), span(until.since(now)));
            reasons.until(Cause::Ended, until, text);
        }
    }
    if let Some(at) = facts.more.expires_at.filter(|_| facts.standing.is_queued() && facts.view.attempts == 0) {
        reasons.until(Cause::Expires, at, format!("unless it is handed out within {} it expires", span(at.since(now))));
    }
    let told = reasons.told();
    Ok(Answer::told::<Explain>(&ExplainOk { reasons: List::lent(&told) }, written))
}

fn delayed(facts: &JobFacts<'_>, reasons: &mut Reasons) {
    let at = facts.due_at.unwrap_or_default();
    let left = span(at.since(reasons.now));
    let id = facts.view.id;
    if facts.view.attempts > 0 {
        let text = format!(
            "attempt {} of {} did not do its work; the next is due in {left}; `falcon-cli job update {id} --delay 0s` \
             makes it due now",
            facts.view.attempts, facts.view.settings.max_attempts
        );
        return reasons.until(Cause::Retry, at, text);
    }
    let text = format!("it is delayed for {left} more; `falcon-cli job update {id} --delay 0s` makes it due now");
    reasons.until(Cause::Delayed, at, text);
}

fn waiting(queues: &Queues, facts: &JobFacts<'_>, reasons: &mut Reasons) {
    let id = facts.view.id;
    if let Some(batch) = facts.batch.filter(|batch| !batch.is_sealed) {
        let name = &batch.name;
        let text = format!("it is a member of batch {name:?}, which is open; `falcon-cli batch end {name}` ends it");
        reasons.add(Cause::Batch, text);
    }
    let Some((first, count)) = queues.first_awaited(id) else { return };
    let (named, stands) = match first.what() {
        Awaited::Job(job) => (format!("job {job}"), queues.standing(job).map_or("gone", Standing::word)),
        Awaited::Batch(id) => {
            let name = queues.batch(id).map(|batch| &*batch.name).unwrap_or_default();
            (format!("batch {name:?}"), "not done")
        }
    };
    let more = if count > 1 { format!(", and for {} more", count - 1) } else { String::new() };
    let mends = match (facts.waits.map(|waits| waits.if_failed), first.what()) {
        (Some(IfFailed::Wait), Awaited::Job(job)) if stands == Standing::Dead.word() => {
            format!("; `falcon-cli job requeue {job}` lets that run again")
        }
        _ => format!("; `falcon-cli job show {id}` names all"),
    };
    reasons.count(Cause::Waits, count as u64, format!("it waits for {named}, which is {stands}{more}{mends}"));
}

fn in_flight(master: &Master, facts: &JobFacts<'_>, lease: &LeaseView<'_>, reasons: &mut Reasons) {
    let now = reasons.now;
    let worker = lease.worker;
    if facts.more.is_cancelled {
        let text = format!(
            "it is cancelled; it ends when worker {worker:?} reports, or its lease ends; \
             `falcon-cli job cancel --force {}` ends it now",
            facts.view.id
        );
        reasons.add(Cause::Cancelled, text);
    }
    let text = match lease.begun_at {
        Some(at) => format!("worker {worker:?} runs it since {}", span(now.since(at))),
        None => format!("worker {worker:?} has it since {} and has not begun it", span(now.since(lease.given_at))),
    };
    let cause = if lease.begun_at.is_some() { Cause::Running } else { Cause::Held };
    reasons.until(cause, lease.deadline, text);
    let session = master.sessions.session(lease.holder);
    let known = session.and_then(|session| session.worker).and_then(|worker| master.workers.get(worker));
    let left = span(lease.deadline.since(now));
    match known {
        _ if session.is_none() => {
            let text =
                format!("it has no connection; unless it extends the lease or reports within {left}, the lease ends");
            reasons.until(Cause::WorkerGone, lease.deadline, text);
        }
        Some(known) if now.since(known.heard_at) > SILENT => {
            let silent = span(now.since(known.heard_at));
            let text = format!("worker {worker:?} is silent since {silent}; unless it speaks the lease ends in {left}");
            reasons.until(Cause::WorkerSilent, lease.deadline, text);
        }
        _ => {}
    }
}

/// A worker that said nothing for so long is worth a word: each sends a sign of life every second while it has jobs.
const SILENT: Millis = Millis(3000);

fn pending(master: &Master, facts: &JobFacts<'_>, reasons: &mut Reasons) {
    let queues = &master.journal.queues;
    let Some(queue) = queues.queue(facts.view.queue) else { return };
    out_of_queue(master, queue, reasons);
    if queues.has_turns(queue) {
        explain_group::group(queues, queue, facts.view.group, reasons);
    }
    let (before, is_all) = queues.jobs_before(facts.view.id, COUNTED_MAX);
    if before > 0 {
        let more = if is_all { "" } else { "more than " };
        let line = if queues.has_turns(queue) { "in the line of its group" } else { "in line" };
        reasons.count(Cause::JobsBefore, before, format!("jobs before it {line}: {more}{before}"));
    }
    if reasons.found.is_empty() {
        reasons.add(Cause::Next, "it is the first in line and a worker waits: it is handed out now");
    }
}

/// Why no job leaves a queue now.
fn out_of_queue(master: &Master, queue: QueueId, reasons: &mut Reasons) {
    let queues = &master.journal.queues;
    let name = queues.queue_name(queue);
    if master.stopping {
        reasons.add(Cause::Stopping, "the master is stopping");
    }
    if let Some(paused) = queues.rules(name).and_then(|rules| rules.pause_out.as_ref()) {
        paused_way(paused, Cause::Paused, "hands out nothing", name, reasons);
    }
    limited(queues, queue, reasons);
    throttled(queues, queue, reasons);
    if master.parked.first(queue).is_some() {
        return;
    }
    if master.parked.is_polled(queue) {
        let text = "the workers that wait for it leave unread what they were handed before";
        return reasons.add(Cause::Unread, text);
    }
    let serve: Vec<_> = master.workers.named("").into_iter().filter(|worker| worker.serves(name)).collect();
    let quiet = serve.iter().filter(|worker| worker.quiet).count();
    if serve.is_empty() {
        let polled = queues.polled_at(queue).map(|at| span(reasons.now.since(at)));
        let last = polled.map_or("none has since the master began".to_owned(), |ago| format!("the last did {ago} ago"));
        return reasons.add(Cause::NoWorker, format!("no worker polls queue {name:?}; {last}"));
    }
    let count = serve.len() as u64;
    if quiet == serve.len() {
        let text =
            format!("every worker of queue {name:?} is quiet ({count}); `falcon-cli worker resume all` ends that");
        return reasons.count(Cause::Quiet, count, text);
    }
    let and_quiet = if quiet > 0 { format!(", {quiet} of them quiet") } else { String::new() };
    let text = format!("no worker of queue {name:?} has a free slot ({count} there{and_quiet})");
    reasons.count(Cause::Busy, count, text);
}

/// Whether as many jobs of a queue are in flight as may be.
fn limited(queues: &Queues, queue: QueueId, reasons: &mut Reasons) {
    let name = queues.queue_name(queue);
    let in_flight = queues.counters_of(name).unwrap_or_default().in_flight;
    if let Some(max) = queues.running_max(queue).filter(|max| in_flight >= u64::from(*max)) {
        let (jobs, are) = (counted(in_flight, "job"), is(in_flight));
        let text = format!(
            "{jobs} of queue {name:?} {are} in flight and {max} may; the next goes when one ends; \
             `falcon-cli queue set {name} --running-max default` lifts that"
        );
        reasons.count(Cause::Limited, in_flight, text);
    }
}

/// Whether a queue waits for a token.
fn throttled(queues: &Queues, queue: QueueId, reasons: &mut Reasons) {
    let (Some(at), name) = (queues.token_at(queue), queues.queue_name(queue)) else { return };
    let rate = queues.rules(name).and_then(|rules| rules.settings.rate).unwrap_or_default();
    let text = format!(
        "queue {name:?} hands out {rate}; its next token comes in {}; \
         `falcon-cli queue set {name} --rate default` lifts that",
        span(at.since(reasons.now))
    );
    reasons.until(Cause::Throttled, at, text);
}

fn paused_way(paused: &Paused, cause: Cause, what: &str, name: &str, reasons: &mut Reasons) {
    let why = if paused.reason.is_empty() { String::new() } else { format!(" ({})", paused.reason) };
    if paused.until.0 == u64::MAX {
        let text = format!("queue {name:?} is paused and {what}{why}; `falcon-cli queue resume {name}` ends it");
        return reasons.add(cause, text);
    }
    let left = span(paused.until.since(reasons.now));
    reasons.until(cause, paused.until, format!("queue {name:?} is paused and {what} for {left} more{why}"));
}

/// Why a queue takes no jobs now.
fn into_queue(master: &Master, name: &str, counters: &Counters, reasons: &mut Reasons) {
    if master.draining {
        reasons.add(Cause::Drained, "the master drains and takes no jobs; `falcon-cli drain --off` ends it");
    }
    let Some(rules) = master.journal.queues.rules(name) else { return };
    if let Some(paused) = &rules.pause_in {
        paused_way(paused, Cause::PausedIn, "takes no jobs", name, reasons);
    }
    let settings = rules.settings;
    if let Some(max) = settings.depth_max.filter(|max| counters.queued() >= *max) {
        let (jobs, wait) = (counted(counters.queued(), "job"), by_number(counters.queued(), "waits", "wait"));
        let text = format!("it is full: {jobs} {wait}, {max} may");
        reasons.count(Cause::Full, counters.queued(), text);
    }
    if let Some(max) = settings.bytes_max.filter(|max| counters.waiting_bytes >= *max) {
        let text = format!("it is full: {} bytes of payload wait, {max} may", counters.waiting_bytes);
        reasons.count(Cause::Full, counters.waiting_bytes, text);
    }
}

/// What holds in a queue now.
pub(super) fn queue<'s>(
    master: &Master,
    explain: &ExplainQueue<'_>,
    now: Timestamp,
    written: &'s mut Vec<u8>,
) -> Decided<'s> {
    let (queues, name) = (&master.journal.queues, explain.queue);
    let counters = queues.counters_of(name).ok_or_else(|| no_queue(name))?;
    let mut reasons = Reasons::new(now);
    if let Some(queue) = queues.queue(name) {
        out_of_queue(master, queue, &mut reasons);
    }
    into_queue(master, name, &counters, &mut reasons);
    for (cause, count, what) in [
        (Cause::JobsBefore, counters.pending, "pending"),
        (Cause::Running, counters.in_flight, "in flight"),
        (Cause::Retry, counters.retrying, "waiting for another attempt"),
        (Cause::Delayed, counters.delayed - counters.retrying, "delayed"),
        (Cause::Dead, counters.dead, "dead"),
    ] {
        if count > 0 {
            reasons.count(cause, count, format!("jobs that are {what}: {count}"));
        }
    }
    if let Some(queue) = queues.queue(name).filter(|queue| queues.has_turns(*queue)) {
        let count = queues.groups_in_turn(queue);
        reasons.count(Cause::GroupsBefore, count, format!("groups that may hand out a job, in turn: {count}"));
    }
    if reasons.found.is_empty() {
        reasons.add(Cause::Next, "nothing is there, and a worker waits");
    }
    let told = reasons.told();
    Ok(Answer::told::<ExplainQueue<'_>>(&ExplainOk { reasons: List::lent(&told) }, written))
}
