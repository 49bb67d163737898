//! What is shown: a table for each tab, whose rows know what they stand for.

use super::super::table::{Column, Table};
use crate::ids::JobId;

/// What can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tab {
    Queues,
    Running,
    Workers,
    Dead,
    Log,
}

impl Tab {
    pub const ALL: [Tab; 5] = [Tab::Queues, Tab::Running, Tab::Workers, Tab::Dead, Tab::Log];

    pub fn word(self) -> &'static str {
        match self {
            Tab::Queues => "queues",
            Tab::Running => "running",
            Tab::Workers => "workers",
            Tab::Dead => "dead",
            Tab::Log => "log",
        }
    }

    /// Where it stands among all, from 0.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The one so many places on, around the end.
    pub fn moved(self, by: usize) -> Tab {
        Tab::ALL[(self.index() + by) % Tab::ALL.len()]
    }

    /// What is said where it has no rows.
    pub fn nothing(self) -> &'static str {
        match self {
            Tab::Queues => "there are no queues yet",
            Tab::Running => "no worker that is connected has a job",
            Tab::Workers => "no worker is connected",
            Tab::Dead => "no dead jobs",
            Tab::Log => "the master tells no figures of its log",
        }
    }
}

/// What a row stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Queue(String),
    Job(JobId),
    /// Several workers may have one name: they are told apart by their instances.
    Worker {
        name: String,
        instance: u64,
        quiet: bool,
    },
    /// A kind of errors.
    Error {
        kind: u64,
        sample: String,
    },
    Figure(&'static str),
}

impl Target {
    /// Whether both stand for the same, however that is by now.
    pub fn is_same(&self, other: &Target) -> bool {
        match (self, other) {
            (Target::Worker { name, instance, .. }, Target::Worker { name: named, instance: of, .. }) => {
                (name, instance) == (named, of)
            }
            (Target::Error { kind, .. }, Target::Error { kind: other, .. }) => kind == other,
            (one, other) => one == other,
        }
    }
}

/// How a row looks, beside what its words say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Plain,
    /// Somebody closed or quieted it.
    Held,
    /// Something is dead, or late.
    Bad,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub target: Target,
    pub cells: Vec<String>,
    pub tone: Tone,
}

/// The table of a tab.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
    /// What is not in the rows.
    pub note: Option<String>,
}

impl Rows {
    /// Its lines, the headings first, no longer than this; what would move the cursor is told by its number.
    pub fn lines(&self, width: usize) -> Vec<String> {
        let mut table = Table::new(&self.columns);
        self.rows.iter().for_each(|row| table.add(row.cells.clone()));
        table.take_lines(Some(width))
    }

    /// Where the row stands that is the same as this.
    pub fn place_of(&self, target: &Target) -> Option<usize> {
        self.rows.iter().position(|row| row.target.is_same(target))
    }
}

/// What came of a look at the master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    pub tab: Tab,
    /// The master as a whole, in a line.
    pub summary: String,
    pub rows: Rows,
}

#[cfg(test)]
mod tests {
    use super::super::super::table::text;
    use super::*;

    #[test]
    fn tabs_go_around() {
        assert_eq!((Tab::Log.moved(1), Tab::Queues.moved(4), Tab::Queues.moved(1)), {
            (Tab::Queues, Tab::Log, Tab::Running)
        });
        assert!(Tab::ALL.iter().enumerate().all(|(index, tab)| tab.index() == index));
    }

    #[test]
    fn a_worker_is_the_same_whether_quiet_or_not() {
        let worker = |instance, quiet| Target::Worker { name: "w".to_owned(), instance, quiet };
        assert!(worker(1, true).is_same(&worker(1, false)) && !worker(1, true).is_same(&worker(2, true)));
        let error = |kind, sample: &str| Target::Error { kind, sample: sample.to_owned() };
        assert!(error(1, "job 7").is_same(&error(1, "job 8")) && !error(1, "a").is_same(&Target::Job(JobId(1))));
    }

    #[test]
    fn lines_do_nothing_to_a_terminal() {
        let cells = vec!["a\u{1b}[2J\nb".to_owned()];
        let row = Row { target: Target::Job(JobId(1)), cells, tone: Tone::Plain };
        let rows = Rows { columns: vec![text("ERROR")], rows: vec![row], note: None };
        assert_eq!(rows.lines(80), ["ERROR", r"a\u{1b}[2J\nb"]);
        assert_eq!(rows.lines(4)[1].chars().count(), 4);
        assert_eq!(rows.lines(0), ["", ""]);
    }
}
