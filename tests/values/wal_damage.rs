//! Damage of a log that was stopped, and what recycled segments still hold: what opens is what was, up to an end that
//! nothing whole vouches for; anything else is refused with its place.
//!
//! The long run: `FQ_SIM_SEEDS=10 FQ_SIM_DAMAGES=2000 cargo test --release --test values wal_damage`

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::dice::Dice;
use crate::sim::bytes::{Forged, Namer, content, forge, mark_used, namers, newest, records, u32_at};
use crate::sim::image::Recovered;
use crate::sim::{Place, Sim, each_seed, size};
use falconqueue::master::WalError;
use falconqueue::wal::{LogDevice, MemoryDevice, names};

/// A log that was stopped in the midst of its life, `silent` if it had time to vouch for its newest record.
fn stopped(seed: u64, silent: bool) -> Sim {
    let mut sim = Sim::watched(seed, 0);
    let mut lifted_at = 0;
    // Until a segment that was given up is in use again.
    loop {
        sim.step().expect("the disk works");
        let operations = sim.device.operations();
        let recycled = is_recycled(&sim.device);
        if operations > 3000 && (recycled || operations > 12_000) {
            break;
        }
        if operations > lifted_at + 1500 {
            lifted_at = operations;
            sim.device.limit_space(None);
        } else if operations > lifted_at + 200 {
            sim.full_at_spare.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }
    sim.device.limit_space(None);
    if silent {
        sim.rest().expect("the disk works");
    } else {
        sim.sync().expect("the disk works");
    }
    sim
}

fn is_recycled(device: &MemoryDevice) -> bool {
    device.segments().iter().any(|first| content(device, &names::segment(*first))[64] & 1 == 1)
}

fn holds_nothing(name: &str) -> bool {
    names::is_being_made(name) || names::spare_number(name).is_some() || names::room_number(name).is_some()
}

/// Damages a file; says how.
fn damage(device: &MemoryDevice, random: &mut Dice) -> String {
    let mut files = device.names().expect("a memory device lists");
    files.retain(|name| !holds_nothing(name));
    let file = files[random.index(files.len())].clone();
    let way = random.below(6);
    let mut how = String::new();
    device.damage_file(&file, |bytes| {
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
        if bytes.is_empty() {
            return;
        }
        let at = random.index(used);
        match way {
            0..=2 => {
                bytes[at] ^= 1 << random.below(8);
                how = format!("a bit at {at}");
            }
            3 => {
                bytes.truncate(at);
                how = format!("cut at {at}");
            }
            4 => {
                let start = at / 512 * 512;
                let end = (start + 512 * (1 + random.index(3))).min(bytes.len());
                bytes[start..end].fill(0);
                how = format!("zeros from {start} to {end}");
            }
            _ => {
                let end = (at + 1 + random.index(600)).min(bytes.len());
                bytes[at..end].iter_mut().for_each(|byte| *byte = random.below(256) as u8);
                how = format!("noise from {at} to {end}");
            }
        }
    });
    format!("{how} of {file}")
}

/// The newest LSN that what is still whole vouches for.
fn vouched(namers: &[Namer], before: &MemoryDevice, after: &MemoryDevice) -> u64 {
    let all = |device: &MemoryDevice| -> BTreeMap<String, Vec<u8>> {
        let listed = device.names().expect("a memory device lists").into_iter();
        listed.map(|name| (name.clone(), content(device, &name))).collect()
    };
    let (old, new) = (all(before), all(after));
    let is_whole = |namer: &&Namer| {
        let place = namer.from..namer.to;
        old[&namer.file].get(place.clone()) == new[&namer.file].get(place)
    };
    namers.iter().filter(is_whole).map(|namer| namer.durable).max().unwrap_or(0)
}

/// Whether a refusal says where.
fn names_its_place(error: &WalError) -> bool {
    let text = error.to_string();
    match error {
        WalError::Damaged { .. } | WalError::Snapshot { .. } => text.contains("byte"),
        WalError::Io { .. } | WalError::Replay { .. } | WalError::Full | WalError::Locked { .. } => false,
        // A flipped bit of a version cannot be told from a later version.
        WalError::Later { .. } => text.contains(".wal") || text.contains(".snap"),
        _ => text.contains(".wal"),
    }
}

#[test]
fn damage_is_refused_or_harmless() {
    let count = size("FQ_SIM_DAMAGES", 1000);
    let outcomes: Mutex<BTreeMap<String, u64>> = Mutex::default();
    each_seed("wal_damage", "damage_is_refused_or_harmless", 2, |seed| {
        let sim = stopped(seed, seed.is_multiple_of(2));
        let clean = sim.device.kill();
        let all = namers(&clean);
        let mut random = Dice::new(seed);
        for number in 0..count {
            let damaged = clean.kill();
            // Sometimes in several places, so that both snapshots are hit, too.
            let places = if random.one_in(5) { 3 } else { 1 };
            let told: Vec<String> = (0..places).map(|_| damage(&damaged, &mut random)).collect();
            let floor = vouched(&all, &clean, &damaged);
            let place = Place(format!("damage {number}: {}", told.join(", ")));
            let outcome = judge(&sim, &damaged, floor);
            *outcomes.lock().expect("no test fails with it").entry(outcome).or_default() += 1;
            drop(place);
        }
    });
    eprintln!("{:#?}", outcomes.into_inner().expect("no test failed with it"));
}

/// Opens a damaged log; says what came of it.
fn judge(sim: &Sim, damaged: &MemoryDevice, floor: u64) -> String {
    let last = sim.history.last();
    let opened = Recovered::open(damaged, sim.config.clone(), sim.now, |last, at, queues| {
        assert!(last >= floor, "cut after {last}, and {floor} is vouched for");
        sim.history.holds_recovered((last, at), sim.now, queues);
    });
    match opened {
        Ok(mut recovered) => {
            recovered.holds_deliveries_of_damaged(&sim.told);
            let cut = if recovered.last < last { "cut" } else { "whole" };
            format!("opened, {cut}")
        }
        Err(error) => {
            assert!(names_its_place(&error), "a refusal without a place: {error}");
            let kind = format!("{error:?}");
            format!("refused, {}", kind.split([' ', '(']).next().unwrap_or_default())
        }
    }
}

#[test]
fn no_record_of_an_older_epoch_is_ever_taken() {
    let accepted = Mutex::new(0u64);
    each_seed("wal_damage", "no_record_of_an_older_epoch", 1, |seed| {
        let sim = stopped(seed, true);
        let clean = sim.device.kill();
        let first = newest(&clean);
        let bytes = content(&clean, &names::segment(first));
        let (end, starts) = records(&bytes);
        let (log_id, epoch, last) = (bytes[16..32].to_vec(), u32_at(&bytes, 32), sim.history.last());
        let last_group = last_group(&bytes, &starts);
        let mut random = Dice::new(seed);
        for shift in 0..size("FQ_SIM_SHIFTS", if cfg!(debug_assertions) { 72 } else { 520 }) as usize {
            for torn in [false, true] {
                let filled = clean.kill();
                let last_record = starts.last().copied().unwrap_or(end);
                filled.damage(first, |bytes| {
                    mark_used(bytes);
                    if torn {
                        bytes[last_record + 20..end].fill(0x5A);
                    }
                    fill(bytes, end + shift, &log_id, epoch, last, &mut random);
                });
                let floor = if torn { last - last_group } else { last };
                let outcome = Recovered::open(&filled, sim.config.clone(), sim.now, |found, at, queues| {
                    assert!((floor..=last).contains(&found), "at {shift}: LSN {found} and not {last}");
                    sim.history.holds_recovered((found, at), sim.now, queues);
                });
                match outcome {
                    Ok(_) => *accepted.lock().expect("no test fails with it") += 1,
                    // What was torn may have been vouched for by a mark that stands behind it.
                    Err(WalError::Damaged { .. }) if torn => {}
                    Err(error) => panic!("at {shift}: left-over records are refused: {error}"),
                }
            }
        }
    });
    let accepted = accepted.into_inner().expect("whole");
    eprintln!("{accepted} logs opened with left-over records, none of which was taken");
}

/// How many records the last group has. It is valid as a whole: with its last record all of it is gone.
fn last_group(bytes: &[u8], starts: &[usize]) -> u64 {
    let goes_on = |start: &&usize| bytes[**start + 37] & 1 == 1;
    1 + starts.iter().rev().skip(1).take_while(goes_on).count() as u64
}

/// Fills a segment from a place on with valid records of older epochs, those first that would be next.
fn fill(bytes: &mut [u8], from: usize, log_id: &[u8], epoch: u32, last: u64, random: &mut Dice) {
    let mut at = from;
    let mut lsn = last + 1;
    while at < bytes.len() {
        let fields = Forged {
            lsn: if random.one_in(4) { 1 + random.below(last + 100) } else { lsn },
            epoch: 1 + random.below(u64::from(epoch) - 1) as u32,
            lag: [0, 1, 5, u32::MAX][random.index(4)],
            kind: [0, 1, 3, 13][random.index(4)],
            more: random.one_in(3),
            body_bytes: random.index(200),
        };
        let record = forge(log_id, fields);
        let end = (at + record.len()).min(bytes.len());
        bytes[at..end].copy_from_slice(&record[..end - at]);
        at += record.len();
        lsn += 1;
    }
}
