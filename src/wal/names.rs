//! What the files of a log are called.
//!
//! | name | what |
//! | --- | --- |
//! | `lock` | locked while a daemon runs; holds its process id |
//! | `00000000000000000001.wal` | a segment, named by its first LSN |
//! | `00000000000000000001.snap` | a snapshot, named by the newest LSN that it holds |
//! | `00000001.spare` | a segment ready to be named: zeros, or a segment that nothing needs any more |
//! | `00000001.room` | allocated, not written yet: room that is kept for waiting jobs, and becomes a spare |
//! | `….tmp` | a spare or a snapshot that is being made |
//! | `….cut` | bytes that recovery took out of the log, kept for a person |

use crate::ids::Lsn;

pub const LOCK: &str = "lock";
const SEGMENT: &str = ".wal";
const SNAPSHOT: &str = ".snap";
const SPARE: &str = ".spare";
const ROOM: &str = ".room";
const BEING_MADE: &str = ".tmp";

pub fn segment(first: Lsn) -> String {
    format!("{first:020}{SEGMENT}")
}

pub fn snapshot(lsn: Lsn) -> String {
    format!("{lsn:020}{SNAPSHOT}")
}

pub fn spare(number: u64) -> String {
    format!("{number:08}{SPARE}")
}

/// The name of a spare that is allocated and not written yet.
pub fn room(number: u64) -> String {
    format!("{number:08}{ROOM}")
}

pub fn being_made(name: &str) -> String {
    format!("{name}{BEING_MADE}")
}

/// The LSNs of the segments among these names, ascending.
pub fn segments(names: &[String]) -> Vec<Lsn> {
    lsns(names, SEGMENT)
}

/// The LSNs of the snapshots among these names, ascending.
pub fn snapshots(names: &[String]) -> Vec<Lsn> {
    lsns(names, SNAPSHOT)
}

/// Whether a daemon that is gone was making this, so that nothing in it counts.
pub fn is_being_made(name: &str) -> bool {
    name.ends_with(BEING_MADE)
}

pub fn spare_number(name: &str) -> Option<u64> {
    name.strip_suffix(SPARE)?.parse().ok().filter(|number| spare(*number) == name)
}

/// The number of a spare that is allocated and not written yet.
pub fn room_number(name: &str) -> Option<u64> {
    name.strip_suffix(ROOM)?.parse().ok().filter(|number| room(*number) == name)
}

fn lsns(names: &[String], suffix: &str) -> Vec<Lsn> {
    let mut all: Vec<Lsn> = names.iter().filter_map(|name| lsn(name, suffix)).collect();
    all.sort_unstable();
    all
}

fn lsn(name: &str, suffix: &str) -> Option<Lsn> {
    let digits = name.strip_suffix(suffix)?;
    let is_number = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number).map(Lsn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_lsns_and_others_are_not_taken_for_them() {
        let names: Vec<String> = [
            "lock",
            "x.wal",
            "5.wal",
            "+0000000000000000005.wal",
            "00000000000000000001.wal.bak",
            "00000000000000000003.wal",
            "00000000000000000002.wal",
            "00000000000000000003.snap",
            "00000000000000000003-64-0.cut",
        ]
        .map(str::to_owned)
        .into();
        assert_eq!(segments(&names), [Lsn(2), Lsn(3)]);
        assert_eq!(snapshots(&names), [Lsn(3)]);
        assert_eq!(segments(&[segment(Lsn(7))]), [Lsn(7)]);
        assert_eq!(snapshots(&[snapshot(Lsn(7))]), [Lsn(7)]);
    }

    #[test]
    fn what_was_being_made_is_told_from_what_is_done() {
        assert!(is_being_made(&being_made(&spare(3))) && is_being_made(&being_made(&snapshot(Lsn(1)))));
        for name in [LOCK.to_owned(), segment(Lsn(1)), snapshot(Lsn(1)), spare(1)] {
            assert!(!is_being_made(&name), "{name}");
        }
    }

    #[test]
    fn a_spare_is_known_by_its_number() {
        assert_eq!(spare_number(&spare(3)), Some(3));
        assert_eq!((room_number(&room(3)), room_number(&spare(3)), spare_number(&room(3))), (Some(3), None, None));
        assert_eq!(spare_number(&spare(123_456_789)), Some(123_456_789));
        for name in ["3.spare", "x.spare", "00000003.spare.tmp", "+0000003.spare"] {
            assert_eq!(spare_number(name), None, "{name}");
        }
    }
}
