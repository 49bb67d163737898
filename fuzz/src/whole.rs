//! Makes checksums right again, so that what stands behind them is tried.

use crate::bytes::{RECORD_HEADER, SEGMENT_HEADER, u32_at};

const SNAPSHOT_HEADER: usize = 48;
const BLOCK_HEADER: usize = 16;

fn put(bytes: &mut [u8], at: usize, number: u32) {
    bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
}

fn crc(seed: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(bytes);
    hasher.finalize()
}

/// Mends a segment's header, and each record that the lengths lead to. With `renumber` they also get the LSNs and the
/// epoch that are next.
pub fn segment(bytes: &mut [u8], renumber: bool) {
    if bytes.len() < SEGMENT_HEADER {
        return;
    }
    let sum = crc32fast::hash(&bytes[16..SEGMENT_HEADER]);
    put(bytes, 12, sum);
    let seed = crc32fast::hash(&bytes[16..32]);
    let (epoch, mut lsn) = (u32_at(bytes, 32), crate::bytes::u64_at(bytes, 40));
    let mut at = SEGMENT_HEADER;
    while at + RECORD_HEADER <= bytes.len() {
        let length = u32_at(bytes, at + 4) as usize;
        let Some(end) = at.checked_add(length).filter(|end| length >= RECORD_HEADER && *end <= bytes.len()) else {
            return;
        };
        if renumber {
            put(bytes, at + 28, epoch);
            bytes[at + 8..at + 16].copy_from_slice(&lsn.to_le_bytes());
            lsn = lsn.wrapping_add(1);
        }
        let sum = crc(seed, &bytes[at + 4..end]);
        put(bytes, at, sum);
        at = end.next_multiple_of(8);
    }
}

/// Mends a snapshot's header, and each block that the lengths lead to.
pub fn snapshot(bytes: &mut [u8]) {
    if bytes.len() < SNAPSHOT_HEADER {
        return;
    }
    let sum = crc32fast::hash(&bytes[16..SNAPSHOT_HEADER]);
    put(bytes, 12, sum);
    let seed = crc32fast::hash(&bytes[16..40]);
    let (mut at, mut number) = (SNAPSHOT_HEADER, 0);
    while at + BLOCK_HEADER <= bytes.len() {
        let end = at + BLOCK_HEADER + u32_at(bytes, at + 4) as usize;
        if end > bytes.len() {
            return;
        }
        put(bytes, at + 8, number);
        let sum = crc(seed, &bytes[at + 4..end]);
        put(bytes, at, sum);
        (at, number) = (end, number + 1);
    }
}

#[cfg(test)]
mod tests {
    use crate::seeds;

    #[test]
    fn what_is_whole_stays_as_it_is_and_what_is_not_becomes_whole() {
        for (name, clean) in seeds::fixture() {
            let mend: fn(&mut [u8]) =
                if name.contains(".wal") { |bytes| super::segment(bytes, false) } else { super::snapshot };
            let mut bytes = clean.clone();
            mend(&mut bytes);
            assert!(bytes == clean, "{name}");
            bytes[12..16].fill(7);
            mend(&mut bytes);
            assert!(bytes == clean, "{name}");
        }
    }
}
