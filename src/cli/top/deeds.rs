//! What can be done by key, and in which words it is asked back. Nothing is done here.

use super::super::table::thousands;
use super::rows::Target;
use crate::client::{Demand, QueueState};
use crate::ids::JobId;
use crate::job::Standing;
use crate::words::{by_number, counted};

/// What a person wants: what it would do is looked at before it is asked back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Pause a queue, or resume it.
    Turn {
        queue: String,
    },
    /// Requeue the dead jobs of a queue, or those with errors of a kind.
    Requeue(Dead),
    Cancel(JobId),
    /// Let the workers of this name be quiet, or take jobs again.
    Order {
        worker: String,
        what: Demand,
    },
}

/// Which dead jobs are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dead {
    OfQueue(String),
    OfKind { kind: u64, sample: String },
}

/// What is done once it was confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    Pause(String),
    Resume(String),
    Requeue(Dead),
    Cancel(JobId),
    Order { worker: String, what: Demand },
}

/// What is asked back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// As in "Pause queue mail?".
    pub title: String,
    /// What will happen.
    pub text: String,
    pub deed: Deed,
}

/// A question, or why there is nothing to ask.
pub type Prepared = Result<Question, String>;

impl Wish {
    /// What a key means for the row that is selected; or why it means nothing there.
    pub fn of(key: char, target: Option<&Target>) -> Result<Wish, &'static str> {
        match (key, target) {
            ('p', Some(Target::Queue(queue))) => Ok(Wish::Turn { queue: queue.clone() }),
            ('p', _) => Err("p pauses or resumes a queue: 1 shows the queues"),
            ('r', Some(Target::Queue(queue))) => Ok(Wish::Requeue(Dead::OfQueue(queue.clone()))),
            ('r', Some(Target::Error { kind, sample })) => {
                Ok(Wish::Requeue(Dead::OfKind { kind: *kind, sample: sample.clone() }))
            }
            ('r', _) => Err("r requeues dead jobs of a queue or with an error: 1 shows the queues, 4 the errors"),
            ('c', Some(Target::Job(job))) => Ok(Wish::Cancel(*job)),
            ('c', _) => Err("c cancels a job that runs: 2 shows them"),
            (_, Some(Target::Worker { name, quiet, .. })) if !name.is_empty() => {
                let what = if *quiet { Demand::Resume } else { Demand::Quiet };
                Ok(Wish::Order { worker: name.clone(), what })
            }
            (_, Some(Target::Worker { .. })) => Err("a worker without a name cannot be told anything"),
            _ => Err("Q quiets or resumes a worker: 3 shows them"),
        }
    }
}

impl Dead {
    fn words(&self) -> String {
        match self {
            Dead::OfQueue(queue) => format!("of queue {queue}"),
            Dead::OfKind { sample, .. } => format!("with errors like \"{sample}\""),
        }
    }
}

/// Pausing or resuming a queue that stands so.
pub fn turn(queue: &str, state: &QueueState) -> Question {
    let ready = thousands(state.figure("pending"));
    let running = thousands(state.figure("in_flight"));
    let reasons = [("in", &state.pause_in), ("out", &state.pause_out)].map(|(way, stop)| {
        let stop = stop.as_ref()?;
        Some(if stop.reason.is_empty() { way.to_owned() } else { format!("{way} ({})", stop.reason) })
    });
    let reasons: Vec<String> = reasons.into_iter().flatten().collect();
    if reasons.is_empty() {
        let title = format!("Pause queue {queue}?");
        let text = format!(
            "It hands out no jobs until it is resumed; it still takes them. Ready there: {ready}. Running: {running}; \
             those go on."
        );
        return Question { title, text, deed: Deed::Pause(queue.to_owned()) };
    }
    let paused = reasons.join(" and ");
    let text = format!("It is paused {paused}. It takes jobs and hands them out again. Ready there: {ready}.");
    Question { title: format!("Resume queue {queue}?"), text, deed: Deed::Resume(queue.to_owned()) }
}

/// Requeuing so many dead jobs.
pub fn requeue(dead: &Dead, count: u64) -> Prepared {
    if count == 0 {
        return Err(format!("there are no dead jobs {}", dead.words()));
    }
    let jobs = format!("{} dead {}", thousands(count), by_number(count, "job", "jobs"));
    let (gets, its) = (by_number(count, "It gets", "They get"), by_number(count, "its", "their"));
    let text = format!("{jobs} {}. {gets} all {its} attempts again.", dead.words());
    Ok(Question { title: format!("Requeue {jobs}?"), text, deed: Deed::Requeue(dead.clone()) })
}

/// Cancelling a job that stands there.
pub fn cancel(job: JobId, queue: &str, standing: u8, worker: Option<&str>) -> Prepared {
    let happens = match Standing::from_code(standing) {
        Some(Standing::InFlight) => {
            let worker = worker.filter(|worker| !worker.is_empty()).unwrap_or("its worker");
            format!("It runs with {worker}, which is told to stop it; it ends when that says so.")
        }
        Some(Standing::Pending | Standing::Delayed | Standing::Waiting | Standing::Dead) => {
            "It does not run now, and will not.".to_owned()
        }
        _ => return Err(format!("job {job} has ended already")),
    };
    let text = format!("1 job of queue {queue}. {happens}");
    Ok(Question { title: format!("Cancel job {job}?"), text, deed: Deed::Cancel(job) })
}

/// Telling so many workers of a name, who run so many jobs.
pub fn order(worker: &str, what: Demand, workers: u64, running: u64) -> Prepared {
    if workers == 0 {
        return Err(format!("worker {worker} is not connected any more"));
    }
    let takes = by_number(workers, "It takes", "They take");
    let running = match running {
        0 => "no job runs there now".to_owned(),
        1 => "1 job that runs goes on".to_owned(),
        _ => format!("{} that run go on", counted(running, "job")),
    };
    let of_name = if workers == 1 { String::new() } else { format!("{} have this name. ", counted(workers, "worker")) };
    let (verb, happens) = match what {
        Demand::Resume => ("Resume", format!("{takes} jobs again.")),
        _ => ("Quiet", format!("{takes} no new jobs; {running}.")),
    };
    let deed = Deed::Order { worker: worker.to_owned(), what };
    Ok(Question { title: format!("{verb} worker {worker}?"), text: of_name + &happens, deed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::QueueStop;

    #[test]
    fn a_queue_is_paused_or_resumed_by_how_it_stands() {
        let mut state = QueueState { figures: vec![("pending".to_owned(), 1234)], ..QueueState::default() };
        let question = turn("mail", &state);
        assert_eq!((question.title.as_str(), question.deed), ("Pause queue mail?", Deed::Pause("mail".to_owned())));
        assert!(question.text.contains("Ready there: 1,234. Running: 0"), "{}", question.text);
        state.pause_out = Some(QueueStop { left: None, reason: "relay down".to_owned() });
        let question = turn("mail", &state);
        assert_eq!(question.deed, Deed::Resume("mail".to_owned()));
        assert!(question.text.starts_with("It is paused out (relay down)."), "{}", question.text);
    }

    #[test]
    fn nothing_is_asked_where_nothing_would_happen() {
        let dead = Dead::OfQueue("mail".to_owned());
        assert_eq!(requeue(&dead, 0), Err("there are no dead jobs of queue mail".to_owned()));
        assert_eq!(requeue(&dead, 1).unwrap().title, "Requeue 1 dead job?");
        let kind = Dead::OfKind { kind: 1, sample: "no route".to_owned() };
        let text = "1,200 dead jobs with errors like \"no route\". They get all their attempts again.";
        assert_eq!(requeue(&kind, 1200).unwrap().text, text);
        assert!(cancel(JobId(7), "q", Standing::Completed.code(), None).is_err());
        assert!(order("w", Demand::Quiet, 0, 0).is_err());
    }

    #[test]
    fn what_becomes_of_jobs_that_run_is_said() {
        let text = cancel(JobId(7), "q", Standing::InFlight.code(), Some("box")).unwrap().text;
        assert!(text.contains("It runs with box, which is told to stop it"), "{text}");
        let told = |workers, running| order("box", Demand::Quiet, workers, running).unwrap().text;
        assert_eq!(told(1, 1), "It takes no new jobs; 1 job that runs goes on.");
        assert_eq!(told(1, 0), "It takes no new jobs; no job runs there now.");
        assert_eq!(told(2, 3), "2 workers have this name. They take no new jobs; 3 jobs that run go on.");
        assert_eq!(order("box", Demand::Resume, 1, 0).unwrap().text, "It takes jobs again.");
    }

    #[test]
    fn a_key_goes_by_what_is_selected() {
        let worker = |name: &str| Target::Worker { name: name.to_owned(), instance: 1, quiet: true };
        let order = Wish::Order { worker: "w".to_owned(), what: Demand::Resume };
        assert_eq!(Wish::of('Q', Some(&worker("w"))), Ok(order));
        assert!(Wish::of('Q', Some(&worker(""))).is_err() && Wish::of('p', Some(&worker("w"))).is_err());
        assert!(Wish::of('c', None).is_err_and(|why| why.contains("2 shows them")));
    }
}
