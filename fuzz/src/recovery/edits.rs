//! Edits of a log's files, of eight bytes each: the operation, the file, two numbers of 16 bits, a value, and another
//! file.

use falconqueue::ids::Lsn;
use falconqueue::wal::names;

use super::log::Files;
use crate::bytes::{RECORD_HEADER, records};

/// How many operations there are.
pub const OPS: u8 = 16;

#[derive(Clone, Copy)]
struct Edit {
    op: u8,
    a: usize,
    b: usize,
    value: u8,
}

pub fn carry_out(edits: &[u8], files: &mut Files) {
    for edit in edits.as_chunks::<8>().0 {
        let [op, file, a0, a1, b0, b1, value, other] = *edit;
        let number = |low, high| usize::from(u16::from_le_bytes([low, high]));
        let edit = Edit { op: op % OPS, a: number(a0, a1), b: number(b0, b1), value };
        let named = |file: u8| files.keys().nth(usize::from(file) % files.len().max(1)).cloned();
        let (Some(name), Some(other)) = (named(file), named(other)) else { return };
        match edit.op {
            0..=6 => edit.bytes(files.get_mut(&name).expect("it is there")),
            7..=11 => edit.names(files, &name, other),
            _ => edit.records(files.get_mut(&name).expect("it is there")),
        }
    }
}

/// The end of what is not zeros.
fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

impl Edit {
    fn bytes(self, bytes: &mut Vec<u8>) {
        let at = self.a % (used(bytes) + 64);
        let range = |count: usize| at.min(bytes.len())..(at + count).min(bytes.len());
        match self.op {
            0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (self.value % 8)),
            1 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = self.value),
            2 => {
                let range = range(self.b % 2048);
                bytes[range].fill(0);
            }
            3 => {
                let (range, mut noise) = (range(self.b % 600), self.value);
                for byte in &mut bytes[range] {
                    noise = noise.wrapping_mul(197).wrapping_add(91);
                    *byte ^= noise;
                }
            }
            4 => bytes.truncate(at),
            5 => bytes.resize(bytes.len().min(32 << 10) + self.b % 4096, self.value),
            _ => self.swap(bytes),
        }
    }

    /// Two sectors in each other's place.
    fn swap(self, bytes: &mut [u8]) {
        let sectors = bytes.len() / 512;
        if sectors > 0 {
            let (one, two) = (self.a % sectors * 512, self.b % sectors * 512);
            (0..512).for_each(|byte| bytes.swap(one + byte, two + byte));
        }
    }

    fn names(self, files: &mut Files, name: &str, other: String) {
        let content = files[name].clone();
        let lsn = Lsn(1200 + self.a as u64 % 512);
        let new_name = match self.value % 6 {
            0 => names::segment(lsn),
            1 => names::snapshot(lsn),
            2 => names::spare(self.b as u64),
            3 => names::room(self.b as u64),
            4 => names::being_made(name),
            _ => names::segment(Lsn(u64::MAX - self.b as u64 % 3)),
        };
        match self.op {
            7 => {
                let target = files.get_mut(&other).expect("it is there");
                let (from, to) = (self.a % (content.len() + 1), self.b % (target.len() + 1));
                let count = 512.min(content.len() - from).min(target.len() - to);
                target[to..to + count].copy_from_slice(&content[from..from + count]);
            }
            8 => drop(files.remove(name)),
            9 => drop(files.insert(other, content)),
            10 => drop(files.insert(new_name, content)),
            _ => {
                files.remove(name);
                files.insert(new_name, content);
            }
        }
    }

    /// Edits that leave records whole, or change one at a known place.
    fn records(self, bytes: &mut [u8]) {
        if bytes.len() < crate::bytes::SEGMENT_HEADER {
            return;
        }
        let (end, starts) = records(bytes);
        let Some(start) = starts.get(self.a % starts.len().max(1)).copied() else { return };
        let next = starts.iter().copied().find(|next| *next > start).unwrap_or(end).min(bytes.len());
        let end = end.min(bytes.len());
        match self.op {
            12 => bytes[start + self.b % RECORD_HEADER] = self.value,
            13 if end + next - start <= bytes.len() => bytes.copy_within(start..next, end),
            14 => {
                bytes.copy_within(next..end, start);
                bytes[end - (next - start)..end].fill(0);
            }
            15 => bytes[start..].fill(0),
            _ => {}
        }
    }
}
