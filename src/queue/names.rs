//! Names of workers, kept once each: a lease holds a number of four bytes instead of a text.
//!
//! A name that no lease uses any more stays until there are many such, so that nothing is allocated for a worker that
//! takes one job after the other.

use std::collections::HashMap;
use std::sync::Arc;

use slab::Slab;

/// Unused names that are kept whatever the number of used ones is.
const UNUSED_KEPT: usize = 64;

/// All names in use, and some that were.
#[derive(Debug, Default)]
pub struct Names {
    names: Slab<Name>,
    by_name: HashMap<Arc<str>, u32>,
    /// The name that was used last: often it is used again.
    recent: Option<u32>,
    unused: usize,
}

#[derive(Debug)]
struct Name {
    text: Arc<str>,
    uses: u32,
}

impl Names {
    /// The text of a name in use.
    pub fn text(&self, number: u32) -> &str {
        &self.names[number as usize].text
    }

    /// The number of a name, which is in use once more.
    pub fn take(&mut self, text: &str) -> u32 {
        let recent = self.recent.filter(|recent| *self.names[*recent as usize].text == *text);
        let number = recent.or_else(|| self.by_name.get(text).copied()).unwrap_or_else(|| self.add(text));
        self.recent = Some(number);
        let name = &mut self.names[number as usize];
        self.unused -= usize::from(name.uses == 0);
        name.uses += 1;
        number
    }

    /// A name is used once less.
    pub fn put_back(&mut self, number: u32) {
        let name = &mut self.names[number as usize];
        name.uses -= 1;
        self.unused += usize::from(name.uses == 0);
    }

    fn add(&mut self, text: &str) -> u32 {
        if self.unused > UNUSED_KEPT + self.names.len() / 2 {
            self.names.retain(|_, name| name.uses > 0);
            let names = &self.names;
            self.by_name.retain(|_, number| names.contains(*number as usize));
            self.unused = 0;
        }
        let text: Arc<str> = text.into();
        let number = self.names.insert(Name { text: Arc::clone(&text), uses: 0 });
        let number = u32::try_from(number).expect("fewer names than leases");
        self.by_name.insert(text, number);
        self.unused += 1;
        number
    }

    /// Whether the maps agree, and so many uses are counted.
    pub fn check(&self, uses: usize) {
        assert_eq!(self.names.len(), self.by_name.len(), "names in both directions");
        assert_eq!(self.names.iter().filter(|(_, name)| name.uses == 0).count(), self.unused, "unused names");
        let counted: usize = self.names.iter().map(|(_, name)| name.uses as usize).sum();
        assert_eq!(counted, uses, "uses of names");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_number_and_many_unused_ones_are_given_up() {
        let mut names = Names::default();
        let first = names.take("a");
        assert_eq!((names.take("a"), names.text(first)), (first, "a"));
        for other in 0..10_000 {
            let number = names.take(&format!("worker {other}"));
            assert_eq!(names.text(number), format!("worker {other}"));
            names.put_back(number);
        }
        assert!(names.names.len() < 300, "{} names", names.names.len());
        names.check(2);
        names.put_back(first);
        names.put_back(first);
        names.check(0);
        assert_eq!(names.take("a"), first, "an unused name is still there");
    }
}
