//! Schedules: each tick makes one job, whatever becomes of the master, its disk and its clocks.

mod year;

use std::collections::BTreeMap;

use falconqueue::ids::SessionId;
use falconqueue::master::Config;
use falconqueue::queue::Event;
use falconqueue::time::{Millis, Timestamp};
use falconqueue::wal::MemoryDevice;

use crate::dice::Dice;
use crate::frames::{self, *};
use crate::hand::{Hand, START, config};

/// Hands a schedule in.
fn put(hand: &mut Hand, client: SessionId, name: &str, plan: &Plan) -> u64 {
    match hand.ask_frame(client, &put_schedule(name, plan, false)) {
        Reply::OfSchedules(OfSchedules::Put(_, next_at)) => next_at,
        other => panic!("{other:?}"),
    }
}

fn facts(hand: &mut Hand, client: SessionId, name: &str) -> frames::ScheduleFacts {
    match hand.ask_frame(client, &show_schedule(name)) {
        Reply::OfSchedules(OfSchedules::Show(facts)) => *facts,
        other => panic!("{other:?}"),
    }
}

fn outcomes(hand: &mut Hand, client: SessionId, name: &str) -> Vec<u8> {
    facts(hand, client, name).runs.iter().map(|run| run.outcome).collect()
}

/// The headers of a job that tell which tick it was made for.
fn of_tick(event: &Event<'_>) -> Option<(String, String)> {
    let Event::Enqueue(job) = event else { return None };
    let headers = job.headers?.read().expect("headers");
    let of = |name: &str| headers.iter().find(|header| header.name == name).map(|header| header.value.to_owned());
    Some((of("schedule")?, of("tick")?))
}

/// How many jobs were made for each tick.
fn made(hand: &Hand) -> BTreeMap<(String, String), usize> {
    let mut all = BTreeMap::new();
    for tick in hand.events(of_tick).into_iter().flatten() {
        *all.entry(tick).or_default() += 1;
    }
    all
}

/// The moments of all ticks that made a job, each of which made one.
#[track_caller]
fn ticks(hand: &Hand) -> Vec<String> {
    let made = made(hand);
    assert!(made.values().all(|count| *count == 1), "each tick once: {made:?}");
    made.into_keys().map(|(_, tick)| tick).collect()
}

/// So many milliseconds after the tests begin, as a header tells them.
fn at(ms: u64) -> String {
    START.plus(Millis(ms)).rfc3339()
}

#[test]
fn each_tick_makes_one_job_that_stands_beside_it_in_the_log() {
    let mut hand = Hand::new();
    let client = hand.connect();
    assert_eq!(put(&mut hand, client, "beat", &every("q", 1000)), START.0 + 1000);
    let plan = Plan { headers: vec![("kind".to_owned(), "x".to_owned())], priority: 7, ..cron("q", "* * * * *", "") };
    put(&mut hand, client, "minutes", &plan);
    for _ in 0..120 {
        hand.pass(500);
    }
    let ticks = ticks(&hand);
    assert_eq!(ticks.len(), 60 + 1, "{ticks:?}");
    assert!((1..=60).all(|second| ticks.contains(&at(second * 1000))));
    let log: Vec<&str> = hand.log().into_iter().map(|(name, _)| name).collect();
    assert_eq!(log[..2], ["SCHEDULE"; 2]);
    assert!(log[2..].chunks(2).all(|two| two == ["TICK", "ENQUEUE"]), "{log:?}");
    let minute = hand.poll(client, &["q"], 100).into_iter().find(|got| got.priority == 7).expect("the job of a minute");
    let headers: Vec<&str> = minute.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((headers, &minute.payload[..]), (vec!["kind", "schedule", "tick"], &b"payload"[..]));
    let facts = facts(&mut hand, client, "beat");
    assert_eq!(facts.runs.len(), 5, "the last five are remembered");
    assert_eq!(facts.ticks.iter().map(|(at, _)| at - hand.now.0).collect::<Vec<_>>(), [1000, 2000, 3000, 4000, 5000]);
}

#[test]
fn the_job_of_each_tick_is_in_the_group_that_the_plan_names() {
    let mut hand = Hand::new();
    let client = hand.connect();
    put(&mut hand, client, "beat", &Plan { group: "acme".to_owned(), ..every("q", 1000) });
    put(&mut hand, client, "beats", &every("q", 1000));
    assert_eq!(facts(&mut hand, client, "beat").plan.group, "acme");
    hand.pass(1000);
    hand = hand.restart(true);
    hand.pass(1000);
    let client = hand.connect();
    let mut groups: Vec<String> = hand.poll(client, &["q"], 100).into_iter().map(|got| got.group).collect();
    groups.sort_unstable();
    assert_eq!(groups, ["", "", "acme", "acme"]);
}

#[test]
fn a_kill_or_a_power_cut_at_the_moment_of_a_tick_takes_none_away_and_makes_none_twice() {
    let mut dice = Dice::new(7);
    for round in 0..60 {
        let mut hand = Hand::new();
        let client = hand.connect();
        // What one tick writes is more than a sector of the disk.
        let plan = Plan { payload: vec![b'x'; 1500], ..every("q", 1000) };
        put(&mut hand, client, "beat", &plan);
        for second in 1..=8 {
            hand.pass(1000);
            if second % 3 == 0 {
                hand.sync();
            }
            if second == 4 || second == 6 {
                let device = match round % 3 {
                    0 => hand.device.kill(),
                    1 => hand.device.crash(),
                    _ => hand.device.crash_with(&mut |below| dice.below(below)),
                };
                hand = Hand::open(config(), device, hand.now);
                hand.turn().unwrap();
            }
        }
        assert_eq!(ticks(&hand), [1, 2, 3, 4, 5, 6, 7, 8].map(|second| at(second * 1000)), "round {round}");
    }
}

/// What is there after so many seconds of downtime that end between two ticks.
fn after_downtime(plan: &Plan, seconds: u64) -> (Hand, SessionId) {
    let mut hand = Hand::new();
    let client = hand.connect();
    put(&mut hand, client, "beat", plan);
    hand.pass(1000);
    hand.sync();
    hand.now = hand.now.plus(Millis(1000 * seconds + 500));
    let mut hand = hand.restart(true);
    let client = hand.connect();
    hand.turn().unwrap();
    hand.turn().unwrap();
    (hand, client)
}

#[test]
fn ticks_that_were_missed_while_the_master_was_down_are_made_up_for_as_was_asked() {
    let every = every("q", 1000);
    let (mut hand, client) = after_downtime(&every, 20);
    assert_eq!(ticks(&hand), [at(1000), at(21_000)], "one for all");
    assert_eq!(outcomes(&mut hand, client, "beat"), [MADE, MADE]);
    hand.pass(500);
    assert_eq!(ticks(&hand).len(), 3, "it goes on as ever");

    let (mut hand, client) = after_downtime(&Plan { missed: MISSED_SKIP, ..every.clone() }, 20);
    assert_eq!(ticks(&hand), [at(1000)], "none");
    assert_eq!(outcomes(&mut hand, client, "beat"), [MADE, MISSED]);
    hand.pass(500);
    assert_eq!(ticks(&hand), [at(1000), at(22_000)]);

    let (hand, _) = after_downtime(&Plan { missed: MISSED_ALL, missed_max: 3, ..every.clone() }, 20);
    assert_eq!(ticks(&hand), [at(1000), at(19_000), at(20_000), at(21_000)], "the latest three");
    let (hand, _) = after_downtime(&Plan { missed: MISSED_ALL, missed_max: 1000, ..every }, 500);
    assert_eq!(ticks(&hand).len(), 501, "all, although that is more than one turn takes");
}

#[test]
fn a_master_that_stands_still_makes_up_for_what_is_little_and_takes_the_rest_for_missed() {
    let mut hand = Hand::new();
    let client = hand.connect();
    put(&mut hand, client, "beat", &every("q", 1000));
    hand.pass(9500);
    assert_eq!(ticks(&hand).len(), 9, "a short while costs nothing");
    hand.pass(60_000);
    assert_eq!(ticks(&hand).len(), 9 + 1 + 10, "one for those of long ago");
}

#[test]
fn ticks_that_the_queue_refuses_follow_the_same_rule() {
    for (missed, missed_max, expected) in [(MISSED_ONCE, 0, 1), (MISSED_SKIP, 0, 0), (MISSED_ALL, 2, 2)] {
        let mut hand = Hand::new();
        let client = hand.connect();
        put(&mut hand, client, "beat", &Plan { missed, missed_max, ..every("q", 1000) });
        hand.ask_frame(client, &pause("q", WAY_IN, 0, "full up"));
        for _ in 0..5 {
            hand.pass(1000);
        }
        assert_eq!(ticks(&hand).len(), 0);
        let facts = facts(&mut hand, client, "beat");
        if missed == MISSED_SKIP {
            assert_eq!(facts.runs.iter().map(|run| run.outcome).collect::<Vec<_>>(), [REFUSED; 5]);
        } else {
            assert!(facts.put_off.expect("a reason").contains("full up"));
        }
        // What is due is not forgotten by a change of something else.
        put(&mut hand, client, "beat", &Plan { priority: 9, missed, missed_max, ..every("q", 1000) });
        hand.ask_frame(client, &resume("q", WAY_IN));
        hand.pass(500);
        assert_eq!(ticks(&hand).len(), expected, "missed {missed}");
        hand.pass(500);
        assert_eq!(ticks(&hand).len(), expected + 1, "it goes on");
        assert_eq!(self::facts(&mut hand, client, "beat").put_off, None);
    }
}

#[test]
fn a_full_disk_puts_ticks_off_until_there_is_room() {
    let mut hand = Hand::new();
    let client = hand.connect();
    put(&mut hand, client, "beat", &Plan { payload: vec![b'x'; 4000], ..every("q", 1000) });
    hand.sync();
    hand.device.limit_space(Some(0));
    for _ in 0..40 {
        hand.pass(1000);
        hand.sync();
    }
    let before = ticks(&hand).len();
    assert!(before < 35, "{before} ticks found room");
    assert!(facts(&mut hand, client, "beat").put_off.expect("a reason").contains("no room"));
    assert!(is_error(&hand.ask_frame(client, &run_schedule("beat")), STORAGE_FULL));
    hand.device.limit_space(None);
    for _ in 0..8 {
        hand.pass(250);
        hand.sync();
    }
    let after = ticks(&hand).len();
    assert!(after > before && after <= before + 3, "one for all that were put off: {before} before, {after} after");
}

#[test]
fn none_is_made_beside_one_that_has_not_ended_if_that_was_asked_for() {
    let mut hand = Hand::new();
    let client = hand.connect();
    put(&mut hand, client, "beat", &Plan { skip_overlap: true, ..every("q", 1000) });
    hand.pass(1000);
    hand.pass(1000);
    let got = hand.take(client, "q");
    hand.pass(1000);
    assert_eq!(outcomes(&mut hand, client, "beat"), [MADE, OVERLAP, OVERLAP], "it waits, and then runs");
    assert!(is_error(&hand.ask_frame(client, &run_schedule("beat")), WRONG_STATE));
    assert!(hand.fail(client, got.job, got.lease, false));
    hand.pass(500);
    assert_eq!(ticks(&hand).len(), 1, "it is tried again");
    let mut hand = hand.restart(false);
    let client = hand.connect();
    hand.pass(500);
    assert_eq!(ticks(&hand).len(), 1, "a restart knows of it, too");
    let again = hand.poll(client, &["q"], 1);
    let again = again.first().cloned().unwrap_or_else(|| {
        hand.pass(2000);
        hand.take(client, "q")
    });
    assert!(hand.ack(client, again.job, again.lease));
    hand.pass(1000);
    assert_eq!(ticks(&hand).len(), 2);
}

#[test]
fn a_schedule_is_paused_changed_run_and_taken_away() {
    let mut hand = Hand::new();
    let client = hand.connect();
    put(&mut hand, client, "beat", &every("q", 1000));
    hand.pass(1000);
    hand.ask_frame(client, &pause_schedule("beat"));
    hand.pass(5000);
    assert_eq!(ticks(&hand), [at(1000)]);
    let mut hand = hand.restart(false);
    let client = hand.connect();
    hand.pass(1000);
    put(&mut hand, client, "beat", &Plan { priority: 9, ..every("q", 1000) });
    hand.pass(0);
    assert_eq!(ticks(&hand), [at(1000)], "it is paused over a restart, and over a change");
    hand.ask_frame(client, &resume_schedule("beat"));
    hand.pass(1000);
    assert_eq!(ticks(&hand), [at(1000), at(8000)], "what was due meanwhile is over");

    let Reply::OfSchedules(OfSchedules::Run(job)) = hand.ask_frame(client, &run_schedule("beat")) else { panic!() };
    let known = facts(&mut hand, client, "beat");
    let last = known.runs.last().expect("a run");
    assert_eq!((last.job, last.asked, known.ticks[0].0), (job, true, START.0 + 9000), "its ticks are left alone");

    let other = Plan { payload: b"other".to_vec(), ..every("q", 1000) };
    assert_eq!(put(&mut hand, client, "beat", &other), START.0 + 9000, "due as before");
    let records = hand.log().len();
    put(&mut hand, client, "beat", &other);
    let dry = hand.ask_frame(client, &put_schedule("beat", &every("q", 5000), true));
    assert!(matches!(dry, Reply::OfSchedules(OfSchedules::Put(2, _))), "{dry:?}");
    assert_eq!(hand.log().len(), records, "nothing was changed");
    assert_eq!(facts(&mut hand, client, "beat").runs.len(), 3, "what became of ticks stays");

    hand.ask_frame(client, &drop_schedule("beat"));
    hand.pass(5000);
    assert_eq!(hand.poll(client, &["q"], 10).len(), 3, "the jobs are left alone");
    for request in [drop_schedule, show_schedule, pause_schedule, resume_schedule, run_schedule] {
        assert!(is_error(&hand.ask_frame(client, &request("beat")), NOT_FOUND));
    }
}

#[test]
fn a_clock_that_is_set_back_makes_no_tick_twice_and_holds_no_span_up() {
    let mut hand = Hand::open(config(), MemoryDevice::default(), Timestamp(1_800_000_000_000));
    let client = hand.connect();
    put(&mut hand, client, "minutes", &cron("q", "* * * * *", ""));
    put(&mut hand, client, "spans", &every("q", 60_000));
    let hour = |hand: &mut Hand, lead: i64| {
        for _ in 0..60 {
            hand.now = hand.now.plus(Millis(60_000));
            hand.master.note_wall(Timestamp(hand.now.0.saturating_add_signed(lead)), hand.now);
            hand.turn().unwrap();
        }
    };
    let count = |hand: &Hand, of: &str| made(hand).keys().filter(|(name, _)| name == of).count();
    hour(&mut hand, 0);
    assert_eq!([count(&hand, "minutes"), count(&hand, "spans")], [60, 60]);
    // Neither a pause nor another expression lets it come to a tick again.
    hand.master.note_wall(Timestamp(hand.now.0 - 3_600_000), hand.now);
    hand.ask_frame(client, &pause_schedule("minutes"));
    hand.ask_frame(client, &resume_schedule("minutes"));
    put(&mut hand, client, "minutes", &cron("q", "*/1 * * * *", ""));
    hour(&mut hand, -3_600_000);
    assert_eq!([count(&hand, "minutes"), count(&hand, "spans")], [60, 120], "the same hour again on the wall");
    hour(&mut hand, -3_600_000);
    assert_eq!([count(&hand, "minutes"), count(&hand, "spans")], [120, 180]);
    // Forward over two hours: one for all that it was set over, and the one that is due right then.
    hour(&mut hand, 7_200_000 - 3_600_000);
    assert_eq!([count(&hand, "minutes"), count(&hand, "spans")], [181, 240]);
    assert!(made(&hand).values().all(|count| *count == 1));
    // Wrong by ten days before: whoever pauses and resumes it goes by what the clock shows now.
    hour(&mut hand, -864_000_000);
    assert_eq!(count(&hand, "minutes"), 181);
    hand.ask_frame(client, &pause_schedule("minutes"));
    hand.ask_frame(client, &resume_schedule("minutes"));
    hour(&mut hand, -864_000_000);
    assert!(count(&hand, "minutes") >= 240, "{}", count(&hand, "minutes"));
}

#[test]
fn each_tick_comes_a_little_later_and_before_the_next_one() {
    let mut hand = Hand::new();
    let client = hand.connect();
    put(&mut hand, client, "beat", &Plan { jitter_ms: 3_600_000, ..every("q", 10_000) });
    for _ in 0..4000 {
        hand.pass(100);
    }
    let runs: Vec<(u64, u64)> = hand.events(|event| match event {
        Event::Schedule(schedule) => (schedule.next_at.0, schedule.due_at.0),
        Event::Tick(tick) => (tick.next_at.0, tick.due_at.0),
        _ => (0, 0),
    });
    let drawn: Vec<u64> = runs.iter().filter(|(at, _)| *at > 0).map(|(at, due_at)| due_at - at).collect();
    assert!(drawn.len() >= 39 && drawn.iter().all(|late| *late < 10_000), "{drawn:?}");
    assert!(drawn.iter().max() > Some(&5000) && drawn.iter().min() < Some(&5000), "{drawn:?}");
    assert!(ticks(&hand).len() >= 38);
}

#[test]
fn ten_thousand_schedules_of_one_moment_do_not_hold_the_master_up() {
    let config = Config { segment_bytes: 16 << 20, ..config() };
    let mut hand = Hand::open(config, MemoryDevice::default(), START);
    let client = hand.connect();
    let plan = every("q", 60_000);
    for number in 0..10_000 {
        hand.send_frame(client, &put_schedule(&format!("s{number:05}"), &plan, false));
    }
    hand.turn().unwrap();
    hand.sync();
    hand.heard(client);
    let one_more = hand.ask_frame(client, &put_schedule("one-more", &plan, false));
    assert!(expect_error(one_more, BAD_VALUE).contains("10000 schedules already"));
    hand.now = hand.now.plus(Millis(60_000));
    let mut turns = 0;
    while hand.master.next_deadline().is_some_and(|at| at <= hand.now) && turns < 100 {
        let before = hand.master.queues().next_job().0;
        hand.master.begin_turn(hand.now).unwrap();
        assert!(hand.master.queues().next_job().0 - before <= 256, "bounded in each turn");
        hand.master.finish_turn(hand.now).unwrap();
        hand.sync();
        turns += 1;
    }
    assert_eq!((hand.master.queues().next_job().0 - 1, turns < 60), (10_000, true), "{turns} turns");
    hand.master.queues().check();
}

#[test]
fn what_cannot_be_a_schedule_is_refused() {
    let mut hand = Hand::new();
    let client = hand.connect();
    let good = every("q", 1000);
    let header = |name: &str| vec![(name.to_owned(), "x".to_owned())];
    for (plan, why) in [
        (Plan { every_ms: 999, ..good.clone() }, "every_ms"),
        (Plan { every_ms: 0, ..good.clone() }, "neither"),
        (Plan { cron: "* * * * *".to_owned(), ..good.clone() }, "both"),
        (Plan { zone: "UTC".to_owned(), ..good.clone() }, "no time zone"),
        (Plan { missed: MISSED_ALL, ..good.clone() }, "missed_max"),
        (Plan { missed_max: 3, ..good.clone() }, "missed_max"),
        (Plan { jitter_ms: 86_400_001, ..good.clone() }, "jitter_ms"),
        (Plan { payload: vec![0; (16 << 10) + 1], ..good.clone() }, "payload bytes"),
        (Plan { headers: header("Tick"), ..good.clone() }, "set by the schedule itself"),
        (Plan { group: "g".repeat(65), ..good.clone() }, "group name"),
        (cron("q", "61 * * * *", ""), "61 * * * *"),
        (cron("q", "* * * * *", "Mars/Olympus"), "Mars/Olympus"),
        (cron("q", "0 0 12 1 1 * 1969", ""), "1969"),
    ] {
        let text = expect_error(hand.ask_frame(client, &put_schedule("s", &plan, false)), BAD_VALUE);
        assert!(text.contains(why), "{text}");
    }
    let text = expect_error(hand.ask_frame(client, &put_schedule("a b", &good, false)), BAD_VALUE);
    assert!(text.contains("schedule name"), "{text}");
}
