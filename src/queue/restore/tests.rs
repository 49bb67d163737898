//! A snapshot that no state has is refused, and named by the field that cannot be.

use super::*;
use bytes::BufMut;

use crate::codec::PutExt;

/// A block of queues: one of them, the next id 10, and 5 places in line given.
fn head(next_job: u64) -> Vec<u8> {
    let mut body = Vec::new();
    Head { next_job: JobId(next_job), back: 5, ..Head::default() }.write(&mut body);
    QueueState { name: "q", ..QueueState::default() }.write(&mut body);
    body
}

/// Jobs as the table of the format tells them, each by its numbers of variable length, and a key, which has an end
/// if it says so.
fn restored(jobs: &[(&[u64], Option<&str>)]) -> Result<(), DecodeError> {
    let (mut queues, mut restoring) = (Queues::default(), Restoring::up_to(Lsn(20)));
    restoring.block(&mut queues, KIND_QUEUES, &head(10))?;
    let mut body = Vec::new();
    for (numbers, key) in jobs {
        numbers.iter().for_each(|number| body.put_varint(*number));
        if let Some(key) = key {
            body.put_text(key);
            body.put_u64_le(7);
            body.put_u8(0);
            body.put_varint(u64::from(*key == "ends"));
        }
    }
    restoring.block(&mut queues, KIND_JOBS, &body)?;
    restoring.finish(&mut queues)?;
    queues.check();
    Ok(())
}

// Flags, id, queue and moment, then by the flags. Ids and orders are told as differences, twice the number.
const PENDING: u64 = 0;
const DEAD: u64 = 3;

#[test]
fn jobs_that_no_state_has_are_refused() {
    let field = |jobs: &[(&[u64], Option<&str>)]| restored(jobs).unwrap_err().to_string();
    assert_eq!(restored(&[(&[PENDING, 2, 0, 0, 8], None), (&[PENDING, 2, 0, 0, 2], None)]), Ok(()));
    assert!(field(&[(&[PENDING, 2, 0, 0, 8], None), (&[PENDING, 2, 0, 0, 0], None)]).contains("order"), "twice");
    assert!(field(&[(&[PENDING, 2, 0, 0, 12], None)]).contains("order"), "a place that was not given");
    assert!(field(&[(&[PENDING | TRIED, 2, 0, 0, 5, 8], None)]).contains("attempts"), "none is left");
    assert!(field(&[(&[DEAD, 2, 0, 0], None)]).contains("past"), "dead of nothing");
    assert!(field(&[(&[PENDING | PAYLOAD, 2, 0, 0, 2, 2, 0, 8], None)]).contains("payload"), "an empty one");
    assert!(field(&[(&[PENDING | KEY, 2, 0, 0, 8], Some(""))]).contains("key"), "none");
    assert!(field(&[(&[PENDING | KEY, 2, 0, 0, 8], Some("ends"))]).contains("until"), "of a job that waits");
    let twice: [(&[u64], _); 2] =
        [(&[PENDING | KEY, 2, 0, 0, 2], Some("k")), (&[PENDING | KEY, 2, 0, 0, 2], Some("k"))];
    assert!(field(&twice).contains("key"), "of two jobs");
}

#[test]
fn ids_far_above_the_records_are_refused_before_they_take_memory() {
    let next = |next_job| Restoring::up_to(Lsn(20)).block(&mut Queues::default(), KIND_QUEUES, &head(next_job));
    assert_eq!(next(20 + JOB_IDS_AHEAD_MAX), Ok(()));
    assert!(next(21 + JOB_IDS_AHEAD_MAX).unwrap_err().to_string().contains("next_job"));
}
