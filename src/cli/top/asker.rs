//! The side that speaks with the master, on a thread of its own: the screen never waits for it.
//!
//! It looks again and again at what is watched, and no more than a sixth of the time: a look that takes long makes the
//! next one later. A master that is away is asked until it is back. What changes something is asked again only where
//! that does no harm.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use super::super::connect::again_if_away;
use super::super::list::Kinds;
use super::super::queue_state::paused;
use super::super::table::thousands;
use super::super::unless_gone;
use super::data::{self, Before, Running};
use super::deeds::{self, Dead, Deed, Prepared, Wish};
use super::rows::{Look, Rows, Tab};
use super::view::{Action, Told};
use crate::client::{Change, Client, ClientError, Demand, Filter, MendPage, Updated, Way};
use crate::ids::JobId;
use crate::job::Standing;
use crate::protocol::{ErrorCode, Get, Refusal, ShowQueue, Stats, StatsOk, Workers};
use crate::shapes::bits;
use crate::time::Millis;
use crate::words::{by_number, counted};

/// A master that is away is asked this often at least.
const AWAY_EVERY: Duration = Duration::from_secs(2);

/// Of how many queues, and of how many jobs, more is asked than comes with one answer.
const ASKED_MAX: usize = 200;

/// So many times as long as a look took nothing is looked at.
const PAUSE_FACTOR: u32 = 5;

/// The reason that is shown of a queue that was paused here.
const REASON: &str = "by falcon-cli top";

type Outcome<T> = Result<T, ClientError>;

pub struct Asker {
    pub client: Client,
    pub every: Duration,
    pub actions: Receiver<Action>,
    pub told: Sender<Told>,
}

impl Asker {
    /// Goes on until nobody listens.
    pub fn run(self) {
        let (mut tab, mut before) = (Tab::Queues, None);
        loop {
            let begun = Instant::now();
            let (told, is_away) = match self.look(tab, &mut before) {
                Ok(look) => (Told::Look(look), false),
                Err(error) => (Told::Away(error.to_string()), true),
            };
            if self.told.send(told).is_err() {
                return;
            }
            let pause = self.every.max(begun.elapsed() * PAUSE_FACTOR);
            let until = Instant::now() + if is_away { pause.min(AWAY_EVERY) } else { pause };
            loop {
                match self.actions.recv_timeout(until.saturating_duration_since(Instant::now())) {
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) | Ok(Action::Leave) => return,
                    Ok(Action::Watch(other)) => {
                        tab = other;
                        break;
                    }
                    Ok(Action::Prepare(number, wish)) => self.tell(self.prepare(number, &wish)),
                    Ok(Action::Do(deed)) => {
                        self.tell(self.carry_out(&deed).map(Told::Done));
                        break;
                    }
                }
            }
        }
    }

    fn tell(&self, outcome: Outcome<Told>) {
        let told = outcome.unwrap_or_else(|error| Told::Failed(format!("that did not work: {error}")));
        // Where nobody listens any more, the next look ends it.
        let _ = self.told.send(told);
    }

    fn look(&self, tab: Tab, before: &mut Option<Before>) -> Outcome<Look> {
        let answer = self.client.stats()?;
        let stats = answer.read::<Stats>()?;
        let rows = match tab {
            Tab::Queues => data::queues(&stats, &self.closed(&stats)?),
            Tab::Running => self.running(stats.figure("in_flight"))?,
            Tab::Workers => data::workers(&self.client.workers("")?.read::<Workers<'_>>()?),
            Tab::Dead => self.dead()?,
            Tab::Log => data::log(&stats, before.as_ref()),
        };
        *before = Some(Before::of(&stats));
        Ok(Look { tab, summary: data::summary(&stats), rows })
    }

    /// Which ways of the first queues are closed, by their names.
    fn closed(&self, stats: &StatsOk<'_>) -> Outcome<HashMap<String, &'static str>> {
        let names: Vec<&str> = stats.queues.iter().map(|queue| queue.name).take(ASKED_MAX).collect();
        let ask = |queue: &&str| self.client.begin(ShowQueue { queue }, Duration::ZERO);
        let asked = names.iter().map(ask).collect::<Outcome<Vec<_>>>()?;
        let mut closed = HashMap::new();
        for (name, pending) in names.iter().zip(asked) {
            let answer = pending.wait()?;
            // It may have been forgotten since.
            if let Some(told) = unless_gone(answer.read::<ShowQueue<'_>>())? {
                closed.insert((*name).to_owned(), paused(told.pause_in.is_some(), told.pause_out.is_some()));
            }
        }
        Ok(closed)
    }

    fn running(&self, in_flight: u64) -> Outcome<Rows> {
        let answer = self.client.workers("")?;
        let told = answer.read::<Workers<'_>>()?;
        let jobs = data::jobs(&told).into_iter().map(|(job, _)| job.job).take(ASKED_MAX);
        let ask = |job: JobId| self.client.begin(Get { job }, Duration::ZERO).map(|pending| (job, pending));
        let asked = jobs.map(ask).collect::<Outcome<Vec<_>>>()?;
        let mut known = HashMap::new();
        for (job, pending) in asked {
            let answer = pending.wait()?;
            // It may have ended since.
            let Some(told) = unless_gone(answer.read::<Get>())? else { continue };
            let timeout = told.settings.timeout_ms;
            let progress = told.progress.map(|progress| format!("{}% {}", progress.percent, progress.text));
            let one = Running {
                queue: told.queue.to_owned(),
                attempts: told.attempts,
                max_attempts: told.settings.max_attempts,
                lease: told.lease.map(|lease| Millis(lease.remaining_ms)),
                timeout: (timeout > 0).then_some(Millis(timeout.into())),
                progress: progress.unwrap_or_default(),
            };
            known.insert(job, one);
        }
        Ok(data::running(&told, &known, in_flight))
    }

    fn dead(&self) -> Outcome<Rows> {
        let filter = Filter { standings: bits(&[Standing::Dead]), ..Filter::default() };
        let (mut kinds, mut from) = (Kinds::default(), None);
        loop {
            let page = self.client.count(filter, from, true)?;
            kinds.add(page.count, page.errors);
            from = page.next;
            if from.is_none() {
                return Ok(data::dead(kinds));
            }
        }
    }

    /// Looks at what a wish would do: nothing is changed.
    fn prepare(&self, number: u64, wish: &Wish) -> Outcome<Told> {
        Ok(Told::Prepared(number, self.prepared(wish)?))
    }

    fn prepared(&self, wish: &Wish) -> Outcome<Prepared> {
        Ok(match wish {
            Wish::Turn { queue } => match unless_gone(self.client.show_queue(queue))? {
                Some(state) => Ok(deeds::turn(queue, &state)),
                None => Err(format!("there is no queue {queue} any more")),
            },
            Wish::Requeue(dead) => {
                let (mut count, mut from) = (0, None);
                loop {
                    let page = self.client.count(filter_of(dead), from, false)?;
                    count += page.count;
                    from = page.next;
                    if from.is_none() {
                        break;
                    }
                }
                deeds::requeue(dead, count)
            }
            Wish::Cancel(job) => match unless_gone(self.client.ask(Get { job: *job })?.read::<Get>())? {
                Some(told) => deeds::cancel(*job, told.queue, told.standing, told.lease.map(|lease| lease.worker)),
                None => Err(format!("job {job} has ended, and is not kept")),
            },
            Wish::Order { worker, what } => {
                let answer = self.client.workers(worker)?;
                let told = unless_gone(answer.read::<Workers<'_>>())?;
                let (count, running) = told.map_or((0, 0), |told| {
                    let begun = told.workers.iter().map(|known| u64::from(known.begun)).sum();
                    (told.workers.iter().count() as u64, begun)
                });
                deeds::order(worker, *what, count, running)
            }
        })
    }

    /// Does what was confirmed, and says what came of it.
    fn carry_out(&self, deed: &Deed) -> Outcome<String> {
        match deed {
            Deed::Pause(queue) => {
                again_if_away(|| self.client.pause(queue, Way::Out, None, REASON))?;
                Ok(format!("queue {queue} is paused: it hands out no jobs until it is resumed"))
            }
            Deed::Resume(queue) => {
                again_if_away(|| self.client.resume(queue, Way::Both))?;
                Ok(format!("queue {queue} is resumed: it takes jobs, and hands them out"))
            }
            Deed::Requeue(which) => self.requeue(which),
            Deed::Cancel(job) => {
                let statuses = self.client.mend(Change::Cancel, Updated::default(), &[*job])?;
                match statuses.iter().find_map(crate::client::ItemStatus::refused) {
                    None => Ok(format!("job {job} is cancelled, or its worker is told to stop it")),
                    Some(ErrorCode::NotFound | ErrorCode::WrongState) => Ok(format!("job {job} had ended before")),
                    Some(code) => Err(ClientError::Refused(Refusal { code, text: format!("{code:?}") })),
                }
            }
            Deed::Order { worker, what } => {
                let count = u64::from(again_if_away(|| self.client.order(worker, *what))?);
                let verb = if *what == Demand::Resume { "take jobs again" } else { "be quiet" };
                let its = by_number(count, "its next sign", "their next signs");
                Ok(format!("{} told to {verb}, with {its} of life", counted(count, "worker")))
            }
        }
    }

    /// Page by page; each can be asked for again.
    fn requeue(&self, dead: &Dead) -> Outcome<String> {
        let mut before: Option<MendPage> = None;
        let (mut done, mut refused) = (0, 0);
        loop {
            let ask = || self.client.mend_all(Change::Requeue, Updated::default(), filter_of(dead), before);
            let page = again_if_away(ask)?;
            done += page.done;
            refused += page.refused;
            let could_not = if refused == 0 { String::new() } else { format!(", {} could not be", thousands(refused)) };
            let text = format!("{} {} requeued{could_not}", thousands(done), by_number(done, "job", "jobs"));
            if page.next.is_none() {
                return Ok(text);
            }
            self.tell(Ok(Told::Underway(format!("{text} so far"))));
            before = Some(page);
        }
    }
}

fn filter_of(dead: &Dead) -> Filter<'_> {
    let all = Filter { standings: bits(&[Standing::Dead]), ..Filter::default() };
    match dead {
        Dead::OfQueue(queue) => Filter { queue: Some(queue), ..all },
        Dead::OfKind { kind, .. } => Filter { error_kind: Some(*kind), ..all },
    }
}

/// Begins to ask; it ends with the program.
pub fn begin(asker: Asker) -> std::io::Result<()> {
    thread::Builder::new().name("asker".to_owned()).spawn(|| asker.run()).map(drop)
}
