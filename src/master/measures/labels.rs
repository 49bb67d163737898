//! Which queues have measures of their own: the first ones that were active, for good. A queue that is deleted keeps
//! its place, and has it again when it comes back, so that no series of it ever falls or passes to another.

use std::collections::HashMap;

use crate::ids::QueueId;
use crate::limits::MEASURED_QUEUES_MAX;

/// The number of what is measured for a queue; that of all others is [`OTHER`].
pub type Label = u8;

/// What is measured of all queues that have none of their own.
pub const OTHER: Label = 0;

/// A queue whose label was not looked up yet.
const UNKNOWN: Label = Label::MAX;

const _: () = assert!(MEASURED_QUEUES_MAX < UNKNOWN as usize);

#[derive(Debug, Default)]
pub struct Labels {
    /// By the number of the queue.
    of: Vec<Label>,
    by_name: HashMap<Box<str>, Label>,
    /// By label, from 1 on.
    names: Vec<Box<str>>,
}

impl Labels {
    /// The label of a queue; it has one of its own from now on, if there is one left.
    #[inline]
    pub fn of<'q>(&mut self, queue: QueueId, name: impl FnOnce() -> &'q str) -> Label {
        match self.of.get(queue.0 as usize) {
            Some(label) if *label != UNKNOWN => *label,
            _ => self.give(queue, name()),
        }
    }

    #[cold]
    fn give(&mut self, queue: QueueId, name: &str) -> Label {
        let place = queue.0 as usize;
        if place >= self.of.len() {
            self.of.resize(place + 1, UNKNOWN);
        }
        let label = match self.by_name.get(name) {
            Some(label) => *label,
            None if self.names.len() >= MEASURED_QUEUES_MAX => OTHER,
            None => {
                self.names.push(name.into());
                let label = Label::try_from(self.names.len()).expect("fewer labels than 255");
                self.by_name.insert(name.into(), label);
                label
            }
        };
        self.of[place] = label;
        label
    }

    /// A queue is known no more: its number may be given to another one.
    pub fn forget(&mut self, queue: QueueId) {
        if let Some(label) = self.of.get_mut(queue.0 as usize) {
            *label = UNKNOWN;
        }
    }

    /// The queues that have a label of their own, by label from 1 on.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// How many labels there are, with that of all others.
    pub fn count(&self) -> usize {
        self.names.len() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_have_labels_for_good_and_all_others_one() {
        let mut labels = Labels::default();
        let names: Vec<String> = (0..300).map(|number| format!("q{number}")).collect();
        for (number, name) in (0..).zip(&names) {
            let label = labels.of(QueueId(number), || name);
            let own = usize::try_from(number).unwrap() < MEASURED_QUEUES_MAX;
            assert_eq!(usize::from(label), if own { number as usize + 1 } else { 0 });
        }
        assert_eq!(labels.of(QueueId(7), || panic!("it is known")), 8);
        labels.forget(QueueId(7));
        assert_eq!(labels.of(QueueId(7), || "q250"), OTHER, "its number is that of another queue now");
        assert_eq!(labels.of(QueueId(400), || "q7"), 8, "it came back by another number");
        assert_eq!((labels.count(), labels.names().nth(7)), (MEASURED_QUEUES_MAX + 1, Some("q7")));
        labels.forget(QueueId(1000));
    }
}
