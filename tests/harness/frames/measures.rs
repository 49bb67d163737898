//! Measure, and what answers it.

use std::collections::BTreeMap;

use super::reader::Reader;
use super::{Body, Reply, Request};

/// What was counted and measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    pub software: String,
    pub sync: String,
    pub figures: BTreeMap<String, u64>,
    pub histograms: BTreeMap<String, Histogram>,
    /// By name; that of all others is empty.
    pub queues: BTreeMap<String, MeasuredQueue>,
    /// Name, last, next, paused.
    pub schedules: Vec<(String, u64, u64, bool)>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeasuredQueue {
    /// Those that it has.
    pub figures: BTreeMap<String, u64>,
    pub histograms: BTreeMap<String, Histogram>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    pub per_unit: u32,
    pub bounds: Vec<u64>,
    pub counts: Vec<u64>,
    pub sum: u64,
}

impl Histogram {
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many values were up to this bound.
    pub fn up_to(&self, bound: u64) -> u64 {
        let within = self.bounds.iter().zip(&self.counts).filter(|(own, _)| **own <= bound);
        within.map(|(_, count)| count).sum()
    }
}

pub fn measure() -> Request {
    Request::new(48, Body::default().plain())
}

impl Reader<'_> {
    fn kind(&mut self) -> (String, Histogram) {
        let (name, per_unit, bounds) = (self.text(), self.u32(), self.list(Reader::u64));
        self.then_extras((name, Histogram { per_unit, bounds, ..Histogram::default() }))
    }

    fn counts(&mut self, mut into: Histogram) -> Histogram {
        (into.counts, into.sum) = (self.list(Reader::u64), self.u64());
        assert_eq!(into.counts.len(), into.bounds.len() + 1);
        self.then_extras(into)
    }

    fn named_figures(&mut self) -> BTreeMap<String, u64> {
        let figures = self.list(|r| {
            let figure = (r.text(), r.u64());
            r.then_extras(figure)
        });
        figures.into_iter().collect()
    }

    pub fn measured(&mut self) -> Reply {
        let (software, sync, figures) = (self.text(), self.text(), self.named_figures());
        let histograms = self.list(|r| {
            let (name, kind) = r.kind();
            let histogram = (name, r.counts(kind));
            r.then_extras(histogram)
        });
        let (names, kinds) = (self.list(Reader::text), self.list(Reader::kind));
        let queues = self.list(|r| {
            let (name, values) = (r.text(), r.list(Reader::u64));
            assert_eq!(values.len(), names.len());
            let figures = names.iter().cloned().zip(values).filter(|(_, value)| *value != u64::MAX).collect();
            let mut kinds = kinds.iter().cloned();
            let histograms = r.list(|r| {
                let (name, kind) = kinds.next().expect("no more than there are kinds");
                (name, r.counts(kind))
            });
            r.then_extras((name, MeasuredQueue { figures, histograms: histograms.into_iter().collect() }))
        });
        let schedules = self.list(|r| {
            let schedule = (r.text(), r.u64(), r.u64(), r.u8() != 0);
            r.then_extras(schedule)
        });
        let (histograms, queues) = (histograms.into_iter().collect(), queues.into_iter().collect());
        Reply::MeasureOk(Measured { software, sync, figures, histograms, queues, schedules })
    }
}
