//! Events come back as they were, and what is no event is refused.

use super::*;

fn body(event: &Event<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    let tail = event.encode_head(&mut body);
    body.extend_from_slice(tail);
    body
}

#[test]
fn every_event_comes_back_and_any_shorter_head_is_refused() {
    for event in (0..4).flat_map(|seed| Event::samples(&mut { seed })) {
        let body = body(&event);
        assert_eq!(Event::decode(event.kind(), &body), Ok(event));
        for end in 0..body.len() - event.tail().len() {
            assert!(Event::decode(event.kind(), &body[..end]).is_err(), "{end} bytes of {event:?}");
        }
    }
}

#[test]
fn kinds_and_names_are_each_there_once() {
    for (index, (kind, name)) in Event::KINDS.iter().enumerate() {
        let twice = Event::KINDS[..index].iter().any(|(other, word)| other == kind || word == name);
        assert!(!twice, "{kind} {name}");
    }
}

#[test]
fn what_a_later_version_may_have_written_is_told_from_what_is_broken() {
    assert!(Event::decode(99, &[]).unwrap_err().is_unknown());
    let release = body(&Release { job: JobId(1), ..Release::default() }.into());
    let (plain, none) = release.split_at(release.len() - 1);
    assert_eq!(none, [0]);
    let with_extra = |tag: u8| [plain, &[1, tag, 0, 0]].concat();
    assert!(Event::decode(7, &with_extra(5)).is_ok(), "one that may be skipped");
    assert!(Event::decode(7, &with_extra(130)).unwrap_err().is_unknown());
    assert!(!Event::decode(7, plain).unwrap_err().is_unknown(), "cut off");
}

#[test]
fn events_are_about_a_job_or_about_many() {
    for event in Event::samples(&mut 0) {
        let of_queue = ["PAUSE", "RESUME", "FORGET", "SET", "SET_GROUP"].contains(&event.name())
            || (20..25).contains(&event.kind())
            || (26..30).contains(&event.kind());
        assert_eq!(event.job().is_none(), of_queue, "{event:?}");
    }
}

#[test]
fn an_event_is_found_by_its_job_and_by_no_other() {
    for event in (0..4).flat_map(|seed| Event::samples(&mut { seed })) {
        let (body, Some(job)) = (body(&event), event.job()) else { continue };
        assert_eq!(Event::about(job, event.kind(), &body), Some(event));
        assert_eq!(Event::about(JobId(job.0 + 1), event.kind(), &body), None);
    }
    let forget = body(&Forget { queue: "queue", by: None }.into());
    let as_id = u64::from_le_bytes(*forget.first_chunk().unwrap());
    assert_eq!(Event::about(JobId(as_id), 14, &forget), None, "it only looks like one");
}
