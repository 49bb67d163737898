//! `falcon-cli wal repair`: makes a log that falcond refuses one that it serves. It first tells the ids of the jobs
//! that are lost, and asks. Every original file is kept aside. What a later falcond wrote is refused and left as it
//! is.
//!
//! The saved state is written as a fresh log beside the damaged one. Then the originals get a second name in
//! `repair-N`, the new segments are named, the snapshot is, and at last the old names go. At each step
//! falcond either refuses the directory as before or serves the repaired log.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::salvage::{Saved, save, take_wanted, wanted};
use super::watched::Watched;
use super::{dir, verify};
use crate::cli::Stop;
use crate::cli::args::{Common, Repair};
use crate::cli::ask::confirm;
use crate::cli::render::Renderer;
use crate::exit::{self, Failure};
use crate::ids::Lsn;
use crate::limits::{GROUP_BYTES_BOUND, RECORD_OVERHEAD_BYTES_MAX};
use crate::queue::events::Move;
use crate::queue::{Event, Slice};
use crate::rebuilt::Rebuilt;
use crate::wal::{
    DirDevice, DirLock, LogDevice, NewRecord, SegmentIo, SnapshotOutcome, Verified, Wal, WalError, begin_behind, names,
    record_bytes, visit_whole,
};
use crate::words::counted;

/// Slots visited for a block of the snapshot.
const SLOTS_PER_SLICE: u32 = 4096;

/// How it goes on where it was stopped before the files were exchanged.
const UNCHANGED: &str = "the log is as it was, and the same command begins anew";

pub fn run(common: &Common, args: &Repair) -> Result<(), Stop> {
    let (device, _) = dir::open(&args.dir)?;
    let _lock = DirLock::take(&args.dir)?;
    let watched = Watched::new(device)?;
    let verified = verify::look(&watched);
    watched.look_at_ctrl_c(UNCHANGED)?;
    let mut verified = verified?;
    // Who does not know a format cannot say what is lost with it.
    if let Some(later) = verified.faults.iter().position(WalError::is_later) {
        return Err(verified.faults.swap_remove(later).into());
    }
    let mut renderer = Renderer::new(common.output);
    if verified.is_served {
        watched.end();
        return tell_served(&mut renderer, &verified, &args.dir);
    }
    // The events, and then what they need of the log.
    watched.expect_all(2);
    let saved = save(&watched, known_last(&verified));
    watched.look_at_ctrl_c(UNCHANGED)?;
    watched.end();
    let saved = saved?;
    tell(&mut renderer, &verified, &saved)?;
    renderer.flush()?;
    confirm("The original files are kept.", args.yes, exit::FAILED)?;
    let originals = repair(&watched, &args.dir, saved)?;
    let shown = originals.display();
    let text = format!("repaired; the original files are in {shown}");
    renderer.line(text, json!({"repaired": true, "originals": shown.to_string()}), shown.to_string())?;
    Ok(renderer.flush()?)
}

/// There is nothing to do: falcond starts on it.
fn tell_served(renderer: &mut Renderer, verified: &Verified, dir: &Path) -> Result<(), Stop> {
    for fault in &verified.faults {
        exit::say(&format!("falcon-cli: {fault}; falcond does without it, and nothing is lost"));
    }
    let text = format!("{} needs no repair: falcond starts on it, and no job is lost", dir.display());
    let json = json!({"repaired": false, "faults": verified.faults.len(), "lost": []});
    renderer.line(text, json, String::new())?;
    Ok(renderer.flush()?)
}

/// The newest LSN that the log itself says was there.
fn known_last(verified: &Verified) -> Option<Lsn> {
    let last = |fault: &WalError| match fault {
        WalError::Damaged { lsn, durable, .. } => Some(*lsn.max(durable)),
        WalError::Missing { to, .. } => Some(*to),
        WalError::Header { segment, .. } | WalError::Segment { segment, .. } => Some(*segment),
        _ => None,
    };
    verified.faults.iter().filter_map(last).max()
}

fn tell(renderer: &mut Renderer, verified: &Verified, saved: &Saved) -> Result<(), Stop> {
    let faults: Vec<String> = verified.faults.iter().map(ToString::to_string).collect();
    let unread: Vec<[u64; 2]> = saved.unread.iter().map(|(first, last)| [first.0, last.0]).collect();
    let mut lines: Vec<String> = faults.iter().map(|fault| format!("damaged: {fault}")).collect();
    lines.extend(unread.iter().map(|[first, last]| {
        format!("records {first} to {last} cannot be read; a job whose ack was among them runs again")
    }));
    let lists = [
        ("lost, since their payload cannot be read", &saved.lost_payloads),
        ("lost unless they had ended, since their ENQUEUE cannot be read", &saved.lost_enqueues),
        ("in flight at the damage, and run again", &saved.may_run_again),
    ];
    for (what, jobs) in lists {
        if jobs.count() > 0 {
            lines.push(format!("{what}: {}: {jobs}", counted(jobs.count(), "job")));
        }
    }
    if let Some((first, at_most)) = saved.unnamed {
        lines.push(format!("lost with the log's end: jobs with ids from {first} on, {at_most} at most"));
    } else if saved.lost_payloads.count() + saved.lost_enqueues.count() == 0 {
        lines.push("no job is known to be lost".to_owned());
    }
    let kept = saved.state.queues.count();
    lines.push(format!("kept: {}", counted(kept as u64, "job")));
    let json = json!({
        "faults": faults,
        "unread": unread,
        "lost_payloads": saved.lost_payloads.0,
        "lost_enqueues": saved.lost_enqueues.0,
        "unnamed": saved.unnamed.map(|(first, at_most)| json!({"first": first, "at_most": at_most})),
        "may_run_again": saved.may_run_again.0,
        "kept": kept,
    });
    let quiet = format!("{} {}", saved.lost_payloads, saved.lost_enqueues).trim().to_owned();
    Ok(renderer.line(lines.join("\n"), json, quiet)?)
}

/// Writes the saved state as a fresh log and puts it in the place of the damaged one; returns where that is kept.
fn repair(device: &Watched, dir: &Path, saved: Saved) -> Result<PathBuf, Stop> {
    let aside = make_aside(dir)?;
    let fresh = aside.join("new");
    let written = fs::create_dir(&fresh).map_err(io_failure("making a directory")).and_then(|()| {
        write_log(device, &fresh, saved)?;
        Ok(())
    });
    if let Err(error) = written {
        if let Err(error) = fs::remove_dir_all(&aside) {
            exit::say(&format!("falcon-cli: removing {}: {error}", aside.display()));
        }
        return Err(error);
    }
    exchange(device, dir, &aside, &fresh).map_err(io_failure("exchanging the files"))?;
    Ok(aside)
}

fn io_failure(doing: &'static str) -> impl Fn(io::Error) -> Stop {
    move |error| Failure::new(exit::IO, format!("{doing} failed: {error}")).into()
}

fn make_aside(dir: &Path) -> Result<PathBuf, Stop> {
    for number in 1.. {
        let aside = dir.join(format!("repair-{number}"));
        match fs::create_dir(&aside) {
            Ok(()) => return Ok(aside),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io_failure("making a directory")(error)),
        }
    }
    unreachable!("there is always another number")
}

/// Every job's payload and story as a MOVE, then a snapshot of the state.
fn write_log(damaged: &Watched, fresh: &Path, saved: Saved) -> Result<(), Stop> {
    let device = DirDevice::open(fresh, SegmentIo::Auto).map_err(io_failure("opening a directory"))?;
    let mut wal = begin_behind(Arc::new(device), &saved.salvage)?;
    let mut state = saved.state;
    let mut wanted = wanted(&state);
    let mut unsynced = 0;
    damaged.expect_all(1);
    let visited = visit_whole(damaged, |record| {
        for (job, part, bytes) in take_wanted(&mut wanted, record) {
            unsynced += write_text(&mut wal, &mut state, Move { job, part, bytes })?;
        }
        if unsynced >= GROUP_BYTES_BOUND {
            unsynced = 0;
            wal.sync_now()?;
        }
        Ok(())
    });
    damaged.look_at_ctrl_c(UNCHANGED)?;
    damaged.end();
    visited?;
    wal.sync_now()?;
    write_snapshot(&wal, &mut state)
}

/// Appends a payload or story of a job; returns the bytes of its record.
fn write_text(wal: &mut Wal, state: &mut Rebuilt, moved: Move<'_>) -> Result<usize, WalError> {
    let (at, event) = (state.last_at, Event::from(moved));
    let mut head = Vec::new();
    let tail = event.encode_head(&mut head);
    let bytes = record_bytes(tail.len() + RECORD_OVERHEAD_BYTES_MAX);
    wal.begin_group(bytes)?;
    let appended = wal.append(&NewRecord { at, kind: event.kind(), head: &head, tail, more: false })?;
    let applied = state.queues.apply(appended.lsn, at, &event, appended.tail_at);
    applied.map_err(|broken| WalError::Replay { why: broken.to_string() })?;
    Ok(bytes)
}

fn write_snapshot(wal: &Wal, state: &mut Rebuilt) -> Result<(), Stop> {
    let mut snapshot = wal.begin_snapshot(state.last_at)?;
    let mut slice = state.queues.begin_snapshot();
    loop {
        match slice {
            Slice::Block(kind, body) => snapshot.block(kind, body),
            Slice::Nothing => {}
            Slice::Done => break,
        }
        slice = state.queues.snapshot_slice(SLOTS_PER_SLICE);
    }
    snapshot.finish();
    if let Some(SnapshotOutcome::Failed(error)) = snapshot.outcome() {
        return Err(error.into());
    }
    snapshot.publish();
    match snapshot.outcome() {
        Some(SnapshotOutcome::Published(_)) => Ok(()),
        Some(SnapshotOutcome::Failed(error)) => Err(error.into()),
        _ => unreachable!("without a thread each step is done at once"),
    }
}

/// Puts the fresh files in the place of the damaged ones.
fn exchange(device: &Watched, dir: &Path, aside: &Path, fresh: &Path) -> io::Result<()> {
    let of_a_log = |listed: &[String]| -> Vec<String> {
        let segments = names::segments(listed).into_iter().map(names::segment);
        segments.chain(names::snapshots(listed).into_iter().map(names::snapshot)).collect()
    };
    let old = of_a_log(&device.names()?);
    for name in &old {
        fs::hard_link(dir.join(name), aside.join(name))?;
    }
    File::open(aside)?.sync_all()?;
    device.sync_names()?;
    // Segments first, the snapshot last: with it the new log is the one that counts.
    for name in of_a_log(&DirDevice::open(fresh, SegmentIo::Auto)?.names()?) {
        fs::rename(fresh.join(&name), dir.join(&name))?;
        device.sync_names()?;
    }
    for name in &old {
        device.remove(name)?;
    }
    device.sync_names()?;
    fs::remove_dir_all(fresh)
}
