//! How a run goes on: cycles at its beginning, at its end, and in pieces of equal length. A rate that falls hides in an
//! average.

use std::time::Duration;

use crate::load::Figures;

/// How far apart two notes are at least.
const APART_NS: u64 = 1_000_000;

/// How many jobs the beginning and the end of a counted run are, but at most three tenths of it.
const END_JOBS: u64 = 300_000;

/// Moments, and how many jobs were acked by then.
#[derive(Debug, Default)]
pub struct Progress {
    notes: Vec<(u64, u64)>,
}

impl Progress {
    pub fn begin(&mut self, now_ns: u64, acked: u64) {
        self.notes = vec![(now_ns, acked)];
    }

    pub fn note(&mut self, now_ns: u64, acked: u64) {
        if self.notes.last().is_some_and(|(last_ns, _)| now_ns >= last_ns + APART_NS) {
            self.notes.push((now_ns, acked));
        }
    }

    /// The rates at the beginning and at the end of a run of so many jobs, and the one over the other.
    pub fn add_ends(&self, jobs: u64, figures: &mut Figures) {
        let part = END_JOBS.min(jobs * 3 / 10);
        let rate = |from: u64, to: u64| {
            let at = |count: u64| self.notes.iter().find(|(_, acked)| *acked >= count);
            let (Some(begin), Some(end)) = (at(from), at(to).or(self.notes.last())) else { return 0.0 };
            (end.1 - begin.1) as f64 * 1e9 / (end.0 - begin.0).max(1) as f64
        };
        let (first, last) = (rate(0, part), rate(jobs - part, jobs));
        figures.insert("first_per_s".into(), first);
        figures.insert("last_per_s".into(), last);
        figures.insert("last_over_first".into(), last / first.max(1.0));
    }

    /// The median and the least rate of the whole pieces.
    pub fn add_pieces(&self, piece: Duration, figures: &mut Figures) {
        let piece_ns = piece.as_nanos() as u64;
        let Some((begun_ns, mut before)) = self.notes.first().copied() else { return };
        let mut rates = Vec::new();
        let mut end_ns = begun_ns + piece_ns;
        for (at_ns, acked) in &self.notes {
            if *at_ns >= end_ns {
                rates.push((acked - before) as f64 / piece.as_secs_f64());
                (before, end_ns) = (*acked, end_ns + piece_ns);
            }
        }
        rates.sort_unstable_by(f64::total_cmp);
        if let (Some(least), Some(median)) = (rates.first(), rates.get(rates.len() / 2)) {
            figures.insert("piece_least_per_s".into(), *least);
            figures.insert("piece_median_per_s".into(), *median);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten jobs each millisecond of the first second, five of the next two.
    fn slowing() -> Progress {
        let mut progress = Progress::default();
        progress.begin(0, 0);
        let mut acked = 0;
        for ms in 1..=3000 {
            acked += if ms <= 1000 { 10 } else { 5 };
            progress.note(ms * 1_000_000, acked);
        }
        progress
    }

    #[test]
    fn a_rate_that_falls_is_seen() {
        let mut figures = Figures::new();
        slowing().add_ends(20_000, &mut figures);
        assert!((figures["first_per_s"] - 10_000.0).abs() < 1.0, "{figures:?}");
        assert!((figures["last_over_first"] - 0.5).abs() < 0.01, "{figures:?}");
        slowing().add_pieces(Duration::from_secs(1), &mut figures);
        assert!((figures["piece_least_per_s"] - 5000.0).abs() < 1.0, "{figures:?}");
        assert!((figures["piece_median_per_s"] - 5000.0).abs() < 1.0, "{figures:?}");
    }
}
