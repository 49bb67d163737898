//! Groups have their turns, their limits and their tokens, whatever happens in between.

use std::collections::BTreeMap;

use falconqueue::ids::SessionId;
use falconqueue::protocol::SubmitJob;
use falconqueue::queue::Event;

use crate::frames::{self, GroupRow, GroupSettings, QueueSettings, Reply};
use crate::hand::*;

fn in_group(group: &str) -> SubmitJob<'_> {
    SubmitJob { group: Some(group), ..job("q") }
}

fn begun() -> (Hand, SessionId) {
    let mut hand = Hand::new();
    let client = hand.connect();
    (hand, client)
}

/// In groups of records that a small segment takes.
fn submit_all(hand: &mut Hand, client: SessionId, jobs: &[SubmitJob<'_>]) {
    for some in jobs.chunks(100) {
        hand.submit(client, some);
    }
}

fn set(hand: &mut Hand, client: SessionId, settings: &QueueSettings) {
    assert_eq!(hand.ask_frame(client, &frames::set_queue("q", settings)), Reply::Settled(0x8018));
}

fn set_group(hand: &mut Hand, client: SessionId, group: &str, settings: &GroupSettings) {
    assert_eq!(hand.ask_frame(client, &frames::set_group("q", group, settings)), Reply::Settled(0x8021));
}

/// Takes so many jobs one by one, and acks each; gives their groups.
fn run(hand: &mut Hand, client: SessionId, count: usize) -> Vec<String> {
    let mut groups = Vec::new();
    for _ in 0..count {
        let got = hand.take(client, "q");
        assert!(hand.ack(client, got.job, got.lease));
        groups.push(got.group);
    }
    groups
}

#[test]
fn a_group_with_many_jobs_delays_each_other_by_one_turn_at_most() {
    let (mut hand, client) = begun();
    let many: Vec<_> = (0..500).map(|_| in_group("large")).collect();
    submit_all(&mut hand, client, &many);
    let others: Vec<String> = (0..20).map(|number| format!("small {number}")).collect();
    for other in &others {
        hand.submit(client, &[in_group(other), in_group(other), in_group(other)]);
    }
    hand.put(client, job("q"));
    let groups = run(&mut hand, client, 3 * 21 + 1);
    let large = groups.iter().filter(|group| *group == "large").count();
    assert_eq!(large, 3, "one in each round: {groups:?}");
    assert_eq!(groups.iter().filter(|group| group.is_empty()).count(), 1, "those in none have their turns, too");
    assert_eq!(hand.master.queues().groups(), 1, "a group without jobs is gone");
}

#[test]
fn weights_give_their_shares_also_across_a_restart() {
    let (mut hand, mut client) = begun();
    set_group(&mut hand, client, "three", &GroupSettings { weight: Some(3), ..GroupSettings::default() });
    let jobs: Vec<_> = (0..400).flat_map(|_| [in_group("one"), in_group("three")]).collect();
    submit_all(&mut hand, client, &jobs);
    let mut count = BTreeMap::new();
    for _ in 0..10 {
        for group in run(&mut hand, client, 21) {
            *count.entry(group).or_insert(0) += 1;
        }
        hand = hand.restart(true);
        client = hand.connect();
    }
    assert_eq!((count["one"], count["three"]), (53, 157), "of 210 each fourth, and the last turn is not over");
}

#[test]
fn a_new_weight_holds_in_the_turn_that_is_under_way_whether_or_not_the_queue_had_turns_before() {
    let weigh = |hand: &mut Hand, client, weight| {
        set_group(hand, client, "", &GroupSettings { weight: Some(weight), ..GroupSettings::default() });
    };
    for has_turns in [false, true] {
        let (mut hand, client) = begun();
        submit_all(&mut hand, client, &[job("q"), job("q"), job("q"), job("q")]);
        if has_turns {
            weigh(&mut hand, client, 3);
            run(&mut hand, client, 1);
        }
        weigh(&mut hand, client, 2);
        submit_all(&mut hand, client, &[in_group("one")]);
        hand = hand.restart(true);
        let client = hand.connect();
        assert_eq!(run(&mut hand, client, 4), ["", "", "one", ""]);
    }
}

#[test]
fn a_limit_that_is_lowered_takes_no_lease_back_and_a_place_is_free_in_the_same_turn() {
    let (mut hand, client) = begun();
    let all: Vec<_> = (0..4).flat_map(|_| [in_group("a"), in_group("b")]).collect();
    hand.submit(client, &all);
    set(&mut hand, client, &QueueSettings { group_running_max: Some(2), ..QueueSettings::default() });
    let held = hand.poll(client, &["q"], 8);
    let of = |name: &str| held.iter().filter(|got| got.group == name).count();
    assert_eq!((of("a"), of("b")), (2, 2));
    set(&mut hand, client, &QueueSettings { group_running_max: Some(1), ..QueueSettings::default() });
    let a: Vec<_> = held.iter().filter(|got| got.group == "a").collect();
    assert!(hand.ack(client, a[0].job, a[0].lease), "its lease lives");
    assert_eq!(hand.poll(client, &["q"], 8), [], "one is in flight still, and one may be");
    // The poll waits, and the ack answers it.
    hand.send(client, &poll(&["q"], 8, 1000));
    hand.send_frame(client, &frames::ack(&[(a[1].job, a[1].lease, b"")]));
    hand.turn().unwrap();
    hand.sync();
    let heard = hand.heard(client);
    let given = heard.iter().find_map(|reply| if let Reply::PollOk(jobs) = reply { Some(jobs) } else { None });
    assert_eq!(given.map(|jobs| (jobs.len(), &*jobs[0].group)), Some((1, "a")), "{heard:?}");
    // An exception holds for its group alone.
    set_group(&mut hand, client, "b", &GroupSettings { running_max: Some(4), ..GroupSettings::default() });
    let more = hand.poll(client, &["q"], 8);
    assert_eq!(more.iter().map(|got| &*got.group).collect::<Vec<_>>(), ["b", "b"]);
}

#[test]
fn in_strict_order_a_job_that_is_tried_again_is_passed_by_none_of_its_group() {
    let (mut hand, client) = begun();
    set(
        &mut hand,
        client,
        &QueueSettings { strict: Some(true), backoff: Some((500, 500)), ..QueueSettings::default() },
    );
    // One that is delayed by its submit holds nobody back.
    hand.put(client, SubmitJob { delay_ms: 60_000, ..in_group("a") });
    let ids = [hand.put(client, in_group("a")), hand.put(client, in_group("a")), hand.put(client, in_group("b"))];
    let got = hand.poll(client, &["q"], 8);
    assert_eq!(got.iter().map(|got| got.job).collect::<Vec<_>>(), [ids[0], ids[2]]);
    assert!(hand.fail(client, got[0].job, got[0].lease, false));
    assert_eq!(hand.poll(client, &["q"], 8), [], "it awaits its retry");
    hand.pass(500);
    let again = hand.poll(client, &["q"], 8);
    assert_eq!(again.iter().map(|got| (got.job, got.attempt)).collect::<Vec<_>>(), [(ids[0], 2)]);
    // Nor after its lease ran out: it waits half of its backoff at least.
    hand.pass(11_000);
    hand.pass(1000);
    assert_eq!(hand.poll(client, &["q"], 8).first().map(|got| (got.job, got.attempt)), Some((ids[0], 3)));
}

#[test]
fn any_window_has_what_its_rate_gives_and_a_restart_neither_fills_nor_empties_the_bucket() {
    let (mut hand, mut client) = begun();
    // 40 a second, 4 at once.
    set(&mut hand, client, &QueueSettings { rate: Some((40, 1000, 4)), ..QueueSettings::default() });
    let jobs: Vec<_> = (0..1000).map(|_| job("q")).collect();
    submit_all(&mut hand, client, &jobs);
    let begun = hand.now;
    let mut given = Vec::new();
    for turn in 0..2000 {
        for got in hand.poll(client, &["q"], 8) {
            assert!(hand.ack(client, got.job, got.lease));
            given.push(hand.now.since(begun).0);
        }
        if turn % 97 == 0 {
            hand = hand.restart(turn % 2 == 0);
            client = hand.connect();
        }
        hand.pass(turn % 17);
    }
    for (index, from) in given.iter().enumerate() {
        for (more, to) in given[index..].iter().enumerate() {
            assert!((more as u64 + 1) * 1000 <= 4000 + (to - from + 1) * 40, "{more} in {from}..{to}");
            assert!(more < 100 || (more as u64 + 1) * 1000 >= (to - from) * 40 * 98 / 100, "{more} in {from}..{to}");
        }
    }
    assert!(given.len() > 500, "{}", given.len());
}

#[test]
fn who_waits_for_a_token_is_woken_when_it_comes_and_not_before() {
    let (mut hand, client) = begun();
    set(&mut hand, client, &QueueSettings { group_rate: Some((1, 1000, 1)), ..QueueSettings::default() });
    hand.submit(client, &[in_group("a"), in_group("a"), in_group("b")]);
    assert_eq!(hand.poll(client, &["q"], 8).len(), 2, "one of each");
    hand.send(client, &poll(&["q"], 1, 10_000));
    hand.turn().unwrap();
    let begun = hand.now;
    let next = hand.master.next_deadline().expect("a token comes");
    assert!(next <= begun.plus(falconqueue::time::Millis(1000)));
    hand.pass(998);
    hand.sync();
    assert_eq!(hand.heard(client), []);
    hand.pass(2);
    hand.sync();
    assert!(matches!(&hand.heard(client)[..], [Reply::PollOk(jobs)] if jobs[0].group == "a"));
    // What is throttled is told, with the moment.
    hand.put(client, in_group("a"));
    let groups = hand.ask_frame(client, &frames::groups("q", 0, Some("a")));
    let expected = GroupRow {
        name: "a".to_owned(),
        settings: GroupSettings::default(),
        jobs: 3,
        in_flight: 2,
        before: None,
        token_in_ms: Some(1000),
    };
    assert_eq!(groups, Reply::GroupsOk(vec![expected], 0));
}

#[test]
fn a_bucket_goes_on_by_another_rate_and_is_none_once_it_is_full() {
    let (mut hand, client) = begun();
    set(&mut hand, client, &QueueSettings { group_rate: Some((1, 60_000, 1)), ..QueueSettings::default() });
    hand.submit(client, &[in_group("a"), in_group("a")]);
    run(&mut hand, client, 1);
    assert_eq!(hand.poll(client, &["q"], 1), []);
    set_group(&mut hand, client, "a", &GroupSettings { rate: Some((1, 100, 1)), ..GroupSettings::default() });
    assert_eq!(hand.poll(client, &["q"], 1), [], "the whole token is missing still");
    hand.pass(100);
    run(&mut hand, client, 1);
    assert_eq!(hand.master.queues().groups(), 1, "its bucket is not full");
    hand.pass(100);
    assert_eq!(hand.master.queues().groups(), 0);
}

#[test]
fn nothing_is_held_ahead_where_a_limit_holds() {
    for settings in [
        QueueSettings { group_running_max: Some(9), ..QueueSettings::default() },
        QueueSettings { strict: Some(true), ..QueueSettings::default() },
        QueueSettings { rate: Some((900, 1000, 900)), ..QueueSettings::default() },
        QueueSettings { group_rate: Some((900, 1000, 900)), ..QueueSettings::default() },
    ] {
        let (mut hand, client) = begun();
        hand.submit(client, &[in_group("a"), in_group("b"), in_group("c"), in_group("d")]);
        set(&mut hand, client, &settings);
        assert_eq!(hand.poll_ahead(client, &["q"], 4).len(), 2, "{settings:?}");
    }
    let (mut hand, client) = begun();
    hand.submit(client, &[in_group("a"), in_group("b"), in_group("c"), in_group("d")]);
    assert_eq!(hand.poll_ahead(client, &["q"], 4).len(), 4, "turns alone bound nothing");
}

#[test]
fn a_queue_that_is_forgotten_takes_its_groups_with_it() {
    let (mut hand, client) = begun();
    set(&mut hand, client, &QueueSettings { group_rate: Some((1, 60_000, 2)), ..QueueSettings::default() });
    set_group(&mut hand, client, "a", &GroupSettings { weight: Some(2), ..GroupSettings::default() });
    hand.put(client, in_group("a"));
    run(&mut hand, client, 1);
    assert_eq!(hand.ask_frame(client, &frames::delete_queue("q")), Reply::Settled(0x8019));
    assert_eq!((hand.master.queues().groups(), hand.master.queues().group_rules()), (0, 0));
    hand.put(client, in_group("a"));
    let written = hand.events(|event| matches!(event, Event::SetGroup(_))).into_iter().filter(|is| *is).count();
    assert_eq!(written, 1);
    let before = hand.master.queues().describe();
    assert_eq!(hand.restart(false).master.queues().describe(), before);
}

#[test]
fn groups_are_told_page_by_page_those_with_settings_first() {
    let (mut hand, client) = begun();
    set_group(&mut hand, client, "zeta", &GroupSettings { weight: Some(2), ..GroupSettings::default() });
    set_group(&mut hand, client, "", &GroupSettings { weight: Some(3), ..GroupSettings::default() });
    hand.submit(client, &[in_group("b"), in_group("zeta"), job("q")]);
    let (mut names, mut from) = (Vec::new(), 0);
    loop {
        let Reply::GroupsOk(rows, next) = hand.ask_frame(client, &frames::groups("q", from, None)) else { panic!() };
        names.extend(rows.into_iter().map(|row| (row.name, row.jobs)));
        from = next;
        if next == 0 {
            break;
        }
    }
    assert_eq!(names, [("", 1), ("zeta", 1), ("b", 1)].map(|(name, jobs)| (name.to_owned(), jobs)));
    let unknown = hand.ask_frame(client, &frames::groups("other", 0, None));
    assert!(frames::is_error(&unknown, frames::NOT_FOUND), "{unknown:?}");
}
