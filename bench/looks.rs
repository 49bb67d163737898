//! How long the loop is held up while somebody looks at all jobs, or purges a million of them: the thread's CPU time of
//! each turn of a master in this process that has a slice to do, on a log in a temporary directory.
//!
//! Run by `cargo bench --bench looks [-- JOBS]`, 10,000,000 waiting jobs unless told otherwise. Time goes on by 20 ms a
//! turn while it looks and by 2 ms while it purges, so that each turn has a slice.

mod driver;

use driver::{Driver, reply};
use falconqueue::ids::JobId;
use falconqueue::job::Standing;
use falconqueue::protocol::{Change, CountJobs, Filter, ListJobs, MendAll, Reply, Submit, SubmitJob};
use falconqueue::time::Timestamp;

fn tell(driver: &mut Driver, what: &str) {
    let mut turns = std::mem::take(&mut driver.turns_us);
    turns.sort_unstable();
    let of = |per_mille: usize| turns[(turns.len() - 1) * per_mille / 1000];
    println!(
        "{what:>14}: {} turns, CPU p50 {} us, p99 {} us, p99.9 {} us, longest {} us",
        turns.len(),
        of(500),
        of(990),
        of(999),
        of(1000)
    );
}

fn main() {
    let jobs: usize = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(10_000_000);
    let mut driver = Driver::new();
    let batch = vec![SubmitJob { queue: "q", payload: &[b'x'; 16], ..SubmitJob::default() }; 1000];
    for _ in 0..jobs / 1000 {
        driver.send(&Submit::of(&batch).into());
        while driver.turn(1).is_empty() {}
    }
    println!("{jobs} waiting jobs");
    driver.turns_us.clear();
    let dead = Filter { standings: Some(1 << Standing::Dead.code()), ..Filter::default() };
    let mut from = JobId(0);
    loop {
        let sent = driver.ask(ListJobs { filter: dead, from, newest_first: true, limit: 100 }, 20);
        let Reply::ListJobsOk(page) = reply(&sent) else { panic!("a page") };
        from = page.next;
        if from == JobId(0) {
            break;
        }
    }
    tell(&mut driver, "list, no match");
    loop {
        let sent = driver.ask(CountJobs { filter: Filter::default(), from, by_error: false }, 20);
        let Reply::CountJobsOk(page) = reply(&sent) else { panic!("a page") };
        from = page.next;
        if from == JobId(0) {
            break;
        }
    }
    tell(&mut driver, "count, all");
    let (mut since, mut done) = (Timestamp(0), 0);
    while done < 1_000_000.min(jobs as u64) {
        let filter = Filter { queue: Some("q"), ..Filter::default() };
        let sent = driver.ask(MendAll { change: Change::Purge, filter, from, since, update: None }, 2);
        let Reply::MendAllOk(page) = reply(&sent) else { panic!("a page") };
        (from, since, done) = (page.next, page.since, done + page.done);
    }
    tell(&mut driver, "purge");
    println!("{done} jobs purged");
}
