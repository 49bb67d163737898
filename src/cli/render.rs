//! The one door to stdout: rows as a table, as JSON, or quietly.

use std::io::{self, BufWriter, StdoutLock, Write};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde_json::Value;

use super::args::Output;

/// A writer to stdout in the way that was asked for.
pub struct Renderer {
    output: Output,
    stdout: BufWriter<StdoutLock<'static>>,
}

/// One row in its three ways.
pub struct Row<'a> {
    /// Cells with their least width.
    pub cells: &'a [(String, usize)],
    pub json: Value,
    /// What is left of it when quiet.
    pub quiet: String,
}

impl Renderer {
    pub fn new(output: Output) -> Renderer {
        Renderer { output, stdout: BufWriter::new(io::stdout().lock()) }
    }

    /// Writes a row on a line of its own.
    pub fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        match self.output {
            Output::Json => writeln!(self.stdout, "{}", row.json),
            Output::Quiet => writeln!(self.stdout, "{}", row.quiet),
            Output::Table => writeln!(self.stdout, "{}", line(row.cells)),
        }
    }

    /// The same, but quietly nothing.
    pub fn row_unless_quiet(&mut self, row: &Row<'_>) -> io::Result<()> {
        if self.output == Output::Quiet { Ok(()) } else { self.row(row) }
    }

    /// Writes a row of one cell.
    pub fn line(&mut self, text: String, json: Value, quiet: String) -> io::Result<()> {
        self.row(&Row { cells: &[(text, 0)], json, quiet })
    }

    /// Writes bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stdout.write_all(bytes)
    }

    /// In which way it writes.
    pub fn output(&self) -> Output {
        self.output
    }

    /// Writes the heading of a table, if it is to be one.
    pub fn heading(&mut self, columns: &[(&str, usize)]) -> io::Result<()> {
        if self.output != Output::Table {
            return Ok(());
        }
        let cells: Vec<(String, usize)> = columns.iter().map(|(name, width)| ((*name).to_owned(), *width)).collect();
        writeln!(self.stdout, "{}", line(&cells))
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
        self.stdout.flush()
    }
}

/// Writes an outcome that is all a command has to tell.
pub fn tell(output: Output, text: String, json: Value, quiet: String) -> io::Result<()> {
    let mut renderer = Renderer::new(output);
    renderer.line(text, json, quiet)?;
    renderer.flush()
}

fn line(cells: &[(String, usize)]) -> String {
    let cells: Vec<String> = cells.iter().map(|(text, width)| format!("{text:<width$}")).collect();
    cells.join("  ").trim_end().to_owned()
}

/// The lines of a table: columns, each with its heading and least width, and rows.
pub fn table(columns: &[(&str, usize)], rows: impl Iterator<Item = Vec<String>>) -> Vec<String> {
    let heading = columns.iter().map(|(heading, _)| (*heading).to_owned()).collect();
    let widths = || columns.iter().map(|(_, width)| *width);
    std::iter::once(heading)
        .chain(rows)
        .map(|texts| line(&texts.into_iter().zip(widths()).collect::<Vec<_>>()))
        .collect()
}

/// Bytes for JSON: as `NAME` if they are text, else as hexadecimal digits under `NAME_hex`.
pub fn put_bytes(object: &mut serde_json::Map<String, Value>, name: &str, bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        object.insert(name.to_owned(), text.into())
    } else {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        object.insert(format!("{name}_hex"), digits.into())
    };
}

/// Bytes for a table: one line, control characters escaped, not long.
pub fn shown(bytes: &[u8]) -> String {
    const CHARS_MAX: usize = 60;
    let text = String::from_utf8_lossy(bytes);
    let mut line = String::new();
    for c in text.chars().take(CHARS_MAX) {
        if c.is_control() { line.extend(c.escape_debug()) } else { line.push(c) }
    }
    if text.chars().count() > CHARS_MAX {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_text_are_told_in_digits() {
        let mut object = serde_json::Map::new();
        put_bytes(&mut object, "result", b"ok");
        put_bytes(&mut object, "payload", &[0xff, 0x00]);
        assert_eq!(Value::Object(object).to_string(), r#"{"result":"ok","payload_hex":"ff00"}"#);
    }

    #[test]
    fn what_is_shown_stays_on_one_line_and_short() {
        assert_eq!(shown(b"a\nb\x1b"), r"a\nb\u{1b}");
        assert_eq!(shown(&[b'x'; 100]).chars().count(), 61);
    }
}
