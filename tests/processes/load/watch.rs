//! One who waits for ends: what was not answered, or was answered since its time was over, is asked anew, until all of
//! the jobs have ended.

use std::sync::atomic::Ordering;

use super::link::Client;
use crate::harness::frames::{self, Reply};
use crate::history::{Ends, Op, Outcome, Wait, What};

/// A job that has ended stands at this number or above.
const ENDED: u8 = 3;

pub fn run(mut client: Client) -> Vec<Op> {
    let shared = client.shared.clone();
    let mut open = Vec::new();
    while shared.working.load(Ordering::Relaxed) {
        if !client.connected() {
            continue;
        }
        if open.is_empty() {
            let count = client.dice.within(1..6);
            open = shared.known.some(count, &mut client.dice);
        }
        if open.is_empty() {
            client.rest(2..8);
        } else if let Some(ends) = ask(&mut client, &open) {
            open.retain(|job| !ends.iter().any(|(told, standing)| told == job && *standing >= ENDED));
        }
    }
    client.ops
}

fn ask(client: &mut Client, jobs: &[u64]) -> Option<Ends> {
    let any = client.dice.percent(40);
    let wait_ms = client.dice.within(10..400) as u32;
    let answer = client.ask(&frames::wait(jobs, any, wait_ms));
    let outcome = answer.heard.outcome(|reply| match reply {
        Reply::WaitOk(ends) if ends.iter().map(|(job, _)| job).eq(jobs) => Outcome::Ok(ends.clone()),
        other => panic!("a WaitOk of {jobs:?}, not {other:?}"),
    });
    let ends = outcome.ok().cloned();
    client.record(&answer, What::Wait(Wait { jobs: jobs.to_vec(), any, wait_ms }, outcome));
    ends
}
