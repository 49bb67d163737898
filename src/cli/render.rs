//! The one door to stdout: rows as a table, as JSON, or quietly.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::tcgetwinsize;
use serde_json::Value;

use super::args::Output;
use super::table::{Column, Table, escaped, text};

/// Rows of a table that are laid out together.
const ROWS_AT_ONCE: usize = 500;

/// A writer to stdout in the way that was asked for.
pub struct Renderer {
    output: Output,
    stdout: BufWriter<StdoutLock<'static>>,
    table: Table,
    width_max: Option<usize>,
}

/// One row in its three ways.
pub struct Row {
    pub cells: Vec<String>,
    pub json: Value,
    /// What is left of it when quiet.
    pub quiet: String,
}

impl Renderer {
    /// A writer of single lines.
    pub fn new(output: Output) -> Renderer {
        Renderer::of_table(output, &[])
    }

    /// A writer of rows with these columns.
    pub fn of_table(output: Output, columns: &[Column]) -> Renderer {
        let stdout = BufWriter::new(io::stdout().lock());
        Renderer { output, stdout, table: Table::new(columns), width_max: terminal_width() }
    }

    /// Writes a row on a line of its own; in a table at the latest with the next `flush`.
    pub fn row(&mut self, row: Row) -> io::Result<()> {
        match self.output {
            Output::Json => writeln!(self.stdout, "{}", row.json),
            Output::Quiet => writeln!(self.stdout, "{}", row.quiet),
            Output::Table => {
                self.table.add(row.cells);
                if self.table.waiting() >= ROWS_AT_ONCE { self.lay_out() } else { Ok(()) }
            }
        }
    }

    /// The same, but quietly nothing.
    pub fn row_unless_quiet(&mut self, row: Row) -> io::Result<()> {
        if self.output == Output::Quiet { Ok(()) } else { self.row(row) }
    }

    /// Writes a text that is no row.
    pub fn line(&mut self, text: String, json: Value, quiet: String) -> io::Result<()> {
        match self.output {
            Output::Json => writeln!(self.stdout, "{json}"),
            Output::Quiet => writeln!(self.stdout, "{quiet}"),
            Output::Table => writeln!(self.stdout, "{text}"),
        }
    }

    /// Writes bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stdout.write_all(bytes)
    }

    /// In which way it writes.
    pub fn output(&self) -> Output {
        self.output
    }

    fn lay_out(&mut self) -> io::Result<()> {
        let lines = self.table.take_lines(self.width_max);
        lines.iter().try_for_each(|line| writeln!(self.stdout, "{line}"))
    }

    /// Waits this long; says whether nobody reads any more.
    pub fn is_closed_within(&self, wait: Duration) -> io::Result<bool> {
        let wait = Timespec::try_from(wait).map_err(io::Error::other)?;
        let mut fds = [PollFd::new(self.stdout.get_ref(), PollFlags::empty())];
        match poll(&mut fds, Some(&wait)) {
            Err(Errno::INTR) => Ok(false),
            outcome => Ok(outcome? > 0),
        }
    }

    /// Lets everything out that was written; to be called before success is claimed.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.output == Output::Table {
            self.lay_out()?;
        }
        self.stdout.flush()
    }
}

/// Writes an outcome that is all a command has to tell.
pub fn tell(output: Output, text: String, json: Value, quiet: String) -> io::Result<()> {
    let mut renderer = Renderer::new(output);
    renderer.line(text, json, quiet)?;
    renderer.flush()
}

/// The lines of a table as wide as stdout.
pub fn table(columns: &[Column], rows: impl Iterator<Item = Vec<String>>) -> Vec<String> {
    let mut table = Table::new(columns);
    rows.for_each(|row| table.add(row));
    table.take_lines(terminal_width())
}

/// The lines of facts: a name and what is to be told of it, whole; a fact without a name belongs to the one before.
pub fn facts<N: AsRef<str>>(facts: &[(N, String)]) -> String {
    let mut table = Table::new(&[text(""), text("")]);
    for (name, value) in facts {
        table.add(vec![name.as_ref().replace('_', " "), value.clone()]);
    }
    table.take_lines(None).join("\n")
}

/// How wide the terminal is that stdout is, if it is one.
fn terminal_width() -> Option<usize> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let told = std::env::var("COLUMNS").ok().and_then(|columns| columns.trim().parse().ok());
    let asked = || tcgetwinsize(&stdout).ok().map(|size| usize::from(size.ws_col));
    told.or_else(asked).filter(|width| *width > 0)
}

/// Bytes for a table: one line, control characters escaped.
pub fn shown(bytes: &[u8]) -> String {
    escaped(&String::from_utf8_lossy(bytes))
}

/// The beginning of bytes that may be many.
pub fn beginning(bytes: &[u8]) -> String {
    const CHARS_MAX: usize = 60;
    let text = String::from_utf8_lossy(bytes);
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => escaped(&text[..end]) + "…",
        None => escaped(&text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_stays_on_one_line_and_short() {
        assert_eq!(shown(b"a\nb\x1b"), r"a\nb\u{1b}");
        assert_eq!(beginning(&[b'x'; 100]).chars().count(), 61);
    }

    #[test]
    fn facts_stand_behind_their_names() {
        let told = facts(&[("job", "7".to_owned()), ("kept_until", "noon".to_owned()), ("", "\n".to_owned())]);
        assert_eq!(told, "job         7\nkept until  noon\n            \\n");
    }
}
