//! A crew of no threads: what each of them would do next.

use super::*;
use crate::client::BootTime;

fn held(number: u64, now: Instant) -> HeldJob {
    let (id, lease, payload) = (JobId(number), LeaseId(number), vec![0; 10]);
    let job = Job { id, lease, payload, ..Job::sample() };
    let cancel = Arc::new(Cancel::new(BootTime::now(), Duration::ZERO));
    HeldJob { job, cancel, give_back_at: now + Duration::from_secs(5) }
}

fn crew(concurrency: usize, prefetch: u16, jobs: u64) -> (Crew, Instant) {
    let now = Instant::now();
    let mut crew = Crew::new(concurrency, Some(prefetch), &[]);
    crew.take_in((0..jobs).map(|number| held(number, now)).collect(), Wanted { free: 1, extra: 0 });
    (crew, now)
}

fn polls(task: Task) -> Option<Wanted> {
    if let Task::Poll(wanted) = task { Some(wanted) } else { None }
}

#[test]
fn an_idle_crew_polls_for_all_its_slots_once() {
    let (mut crew, now) = crew(4, 6, 0);
    assert_eq!(polls(crew.next(now)), Some(Wanted { free: 4, extra: 6 }));
    assert!(matches!(crew.next(now), Task::Wait(None)));
}

#[test]
fn jobs_are_begun_together_as_far_as_slots_are_free_and_run_one_by_one() {
    let (mut crew, now) = crew(2, 0, 3);
    let Task::Begin(begun) = crew.next(now) else { panic!("it begins") };
    assert_eq!(begun.len(), 2, "a third would wait for a slot");
    assert!(!matches!(crew.next(now), Task::Begin(_)), "also while it is said that these are begun");
    crew.begun(begun, 2, now);
    assert!(matches!(crew.next(now), Task::Run(_)) && matches!(crew.next(now), Task::Run(_)));
    assert!(matches!(crew.next(now), Task::Wait(_)), "both slots are taken, and no job is to be held");
    crew.ran(None);
    assert!(matches!(crew.next(now), Task::Begin(begun) if begun.len() == 1));
}

#[test]
fn jobs_to_be_held_are_asked_for_when_half_of_them_are_gone_and_not_again_where_there_were_none() {
    let (mut crew, now) = crew(1, 4, 1);
    let Task::Begin(begun) = crew.next(now) else { panic!("it begins") };
    crew.begun(begun, 1, now);
    assert!(matches!(crew.next(now), Task::Run(_)));
    let wanted = Wanted { free: 0, extra: 4 };
    assert_eq!(polls(crew.next(now)), Some(wanted));
    crew.is_polling = false;
    crew.take_in(Vec::new(), wanted);
    assert!(matches!(crew.next(now), Task::Wait(None)));
    crew.take_in((2..5).map(|number| held(number, now)).collect(), wanted);
    assert!(matches!(crew.next(now), Task::Wait(_)), "three of four are there");
}

#[test]
fn one_thread_reports_and_takes_all_that_ended_meanwhile() {
    let (mut crew, now) = crew(2, 0, 2);
    let Task::Begin(begun) = crew.next(now) else { panic!("it begins") };
    crew.begun(begun, 2, now);
    let done = |number| Ended { job: JobId(number), lease: LeaseId(number), outcome: Outcome::Done(vec![0; 9]) };
    assert!(matches!(crew.next(now), Task::Run(_)) && matches!(crew.next(now), Task::Run(_)));
    crew.ran(Some(done(0)));
    assert!(matches!(crew.next(now), Task::Report(first) if first.len() == 1));
    crew.ran(Some(done(1)));
    assert!(!crew.has_to_report(now));
    crew.reported(Vec::new(), false, now);
    assert!(matches!(crew.next(now), Task::Report(second) if second[0].job == JobId(1)));
    assert_eq!(crew.ended_bytes, 0);
}

#[test]
fn a_report_that_is_refused_does_not_hold_up_the_others() {
    let (mut crew, now) = crew(2, 0, 0);
    crew.is_polling = true;
    let outcome = || Outcome::Done(vec![0; 9]);
    let ended = |number| Ended { job: JobId(number), lease: LeaseId(number), outcome: outcome() };
    crew.running = 3;
    crew.ran(Some(ended(1)));
    let Task::Report(first) = crew.next(now) else { panic!("it reports") };
    assert!(crew.reported(first, false, now), "the disk is full for it");
    assert_eq!(crew.ended_bytes, 9, "what waits takes memory, too");
    crew.ran(Some(ended(2)));
    let Task::Report(second) = crew.next(now) else { panic!("it reports") };
    assert_eq!((second.len(), second[0].job), (1, JobId(2)));
    assert!(!crew.reported(second, true, now), "the master is not there");
    crew.ran(Some(ended(3)));
    crew.stopping = true;
    assert!(matches!(crew.next(now), Task::Wait(Some(_))), "nobody leaves before all is told");
    let later = now + RETRY_PAUSE_MAX;
    assert!(matches!(crew.next(later), Task::Report(all) if all.len() == 3));
    assert_eq!(crew.ended_bytes, 0);
}

#[test]
fn a_crew_that_stops_gives_back_what_it_has_not_run() {
    let (mut crew, now) = crew(1, 0, 3);
    let Task::Begin(begun) = crew.next(now) else { panic!("it begins") };
    crew.begin_stop();
    crew.begun(begun, 1, now);
    crew.take_in(vec![held(9, now)], Wanted { free: 1, extra: 0 });
    let Task::Report(ended) = crew.next(now) else { panic!("it reports") };
    assert_eq!((ended.len(), ended.iter().all(|ended| ended.outcome == Outcome::Stopped)), (4, true));
    assert!(matches!(crew.next(now), Task::Leave));
}

#[test]
fn a_quiet_crew_runs_what_was_begun_gives_back_what_is_only_held_and_takes_nothing_until_it_resumes() {
    let (mut crew, now) = crew(1, 0, 3);
    let Task::Begin(begun) = crew.next(now) else { panic!("it begins") };
    crew.set_quiet(true);
    crew.begun(begun, 1, now);
    crew.take_in(vec![held(9, now)], Wanted { free: 1, extra: 0 });
    let Task::Report(ended) = crew.next(now) else { panic!("it reports") };
    assert_eq!((ended.len(), ended.iter().all(|ended| ended.outcome == Outcome::Stopped)), (3, true));
    assert_eq!(crew.held_bytes, 0);
    crew.reported(Vec::new(), false, now);
    assert!(matches!(crew.next(now), Task::Run(_)));
    crew.ran(None);
    assert!(matches!(crew.next(now), Task::Wait(None)) && !crew.has_work(now));
    crew.set_quiet(false);
    assert_eq!(polls(crew.next(now)), Some(Wanted { free: 1, extra: 0 }));
}

#[test]
fn what_is_held_for_too_long_is_given_back_and_no_more_is_held_until_a_job_ends() {
    let (mut crew, now) = crew(1, 9, 5);
    let Task::Begin(begun) = crew.next(now) else { panic!("it begins") };
    crew.begun(begun, 1, now);
    assert!(matches!(crew.next(now), Task::Run(_)));
    crew.is_polling = true;
    let later = now + Duration::from_secs(5);
    crew.give_back_overdue(now);
    assert!(matches!(crew.next(now), Task::Wait(None)));
    crew.is_polling = false;
    crew.give_back_overdue(later);
    assert!(matches!(crew.next(later), Task::Report(ended) if ended.len() == 4));
    assert_eq!(crew.held_bytes, 0);
    assert!(matches!(crew.next(later), Task::Wait(None)), "it would hold them for as long again");
    crew.ran(None);
    assert_eq!(polls(crew.next(later)), Some(Wanted { free: 1, extra: 9 }));
}

#[test]
fn nothing_is_begun_or_polled_for_while_it_rests() {
    let (mut crew, now) = crew(1, 0, 1);
    let since = crew.was_barren(now);
    assert!(matches!(crew.next(now), Task::Wait(Some(_))) && !crew.has_work(now));
    let later = now + Duration::from_secs(1);
    assert!(crew.has_work(later));
    assert_eq!(crew.was_barren(later), since);
    let much_later = later + Duration::from_hours(1);
    assert_eq!(crew.was_barren(much_later), much_later, "one an hour is no reason to leave");
    crew.was_fruitful();
    assert_eq!(crew.was_barren(much_later), much_later);
}
