//! Tables: columns as wide as what is in them, and lines no longer than a terminal is wide. Nothing is written here.
//!
//! Rows are laid out some at a time, so that a long list begins before its end is known: a column only grows then.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Between two columns; the narrow one where the terminal is too narrow for all of them.
const GAPS: [&str; 2] = ["  ", " "];

/// What a column of texts keeps of itself, however narrow the terminal is.
const TEXT_LEAST: usize = 4;

/// Stands for what was cut off.
const CUT: char = '…';

/// A column: its heading, and at which side its cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    heading: &'static str,
    is_number: bool,
}

/// A column of texts.
pub const fn text(heading: &'static str) -> Column {
    Column { heading, is_number: false }
}

/// A column of numbers. They are never cut: half of one would be another one.
pub const fn number(heading: &'static str) -> Column {
    Column { heading, is_number: true }
}

/// A table that is laid out some rows at a time.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Column>,
    widths: Vec<usize>,
    rows: Vec<Vec<String>>,
    is_headed: bool,
}

impl Table {
    /// A table with these columns. Its first line is their headings, if they have some.
    pub fn new(columns: &[Column]) -> Table {
        let is_headed = columns.iter().all(|column| column.heading.is_empty());
        Table { columns: columns.to_vec(), widths: vec![0; columns.len()], rows: Vec::new(), is_headed }
    }

    pub fn add(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|cell| escaped(cell)).collect());
    }

    /// How many rows wait to be laid out.
    pub fn waiting(&self) -> usize {
        self.rows.len()
    }

    /// The lines of all rows that wait, no longer than this.
    pub fn take_lines(&mut self, width_max: Option<usize>) -> Vec<String> {
        let mut rows = std::mem::take(&mut self.rows);
        if !std::mem::replace(&mut self.is_headed, true) {
            rows.insert(0, self.columns.iter().map(|column| column.heading.to_owned()).collect());
        }
        for cells in &rows {
            for (width, cell) in self.widths.iter_mut().zip(cells) {
                *width = (*width).max(cell.width());
            }
        }
        let least = width_max.map_or(0, |_| self.least_width());
        let gap = GAPS[usize::from(width_max.is_some_and(|most| least > most))];
        let room = |most: usize| most.saturating_sub(gap.len() * self.columns.len().saturating_sub(1));
        let widths = width_max.map(|most| fitting(&self.widths, &self.columns, room(most)));
        let widths = widths.as_ref().unwrap_or(&self.widths);
        let lines = rows.iter().map(|cells| self.line(cells, widths, gap));
        lines.map(|line| width_max.map_or_else(|| line.clone(), |most| cut(&line, most))).collect()
    }

    /// How wide a line is at least, with wide gaps.
    fn least_width(&self) -> usize {
        let least = |(width, column): (&usize, &Column)| if column.is_number { *width } else { TEXT_LEAST.min(*width) };
        let columns: usize = self.widths.iter().zip(&self.columns).map(least).sum();
        columns + GAPS[0].len() * self.columns.len().saturating_sub(1)
    }

    fn line(&self, cells: &[String], widths: &[usize], gap: &str) -> String {
        let placed = cells.iter().zip(widths).zip(&self.columns).map(|((cell, width), column)| {
            let cell = cut(cell, *width);
            let space = " ".repeat(width.saturating_sub(cell.width()));
            if column.is_number { space + &cell } else { cell + &space }
        });
        placed.collect::<Vec<_>>().join(gap).trim_end().to_owned()
    }
}

/// The widths that have room together: what is too much is taken from the widest column of texts, then from the next.
fn fitting(widths: &[usize], columns: &[Column], most: usize) -> Vec<usize> {
    let mut widths = widths.to_vec();
    loop {
        let excess = widths.iter().sum::<usize>().saturating_sub(most);
        let texts = (0..widths.len()).filter(|index| !columns[*index].is_number && widths[*index] > TEXT_LEAST);
        let Some(widest) = texts.clone().max_by_key(|index| widths[*index]).filter(|_| excess > 0) else {
            return widths;
        };
        // Not below the next one: then it is that one's turn.
        let others = texts.filter(|index| *index != widest).map(|index| widths[index]);
        let spare = widths[widest] - others.max().unwrap_or(TEXT_LEAST).max(TEXT_LEAST);
        widths[widest] -= excess.min(spare.max(1));
    }
}

/// As much of a text as has room, with a sign where it was cut.
fn cut(text: &str, most: usize) -> String {
    if text.width() <= most {
        return text.to_owned();
    }
    let (mut kept, mut width) = (String::new(), 0);
    for c in text.chars() {
        width += c.width().unwrap_or(0);
        if width + 1 > most {
            break;
        }
        kept.push(c);
    }
    // Some signs are wider together than one by one.
    while kept.width() + 1 > most && kept.pop().is_some() {}
    if most > 0 { kept + CUT.encode_utf8(&mut [0; 4]) } else { kept }
}

/// A text on one line of a terminal, which does nothing to that: control characters are told by their numbers, and so
/// are those that turn the direction of what is behind them.
pub fn escaped(text: &str) -> String {
    let is_sane = |c: char| !c.is_control() && !matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if text.chars().all(is_sane) {
        return text.to_owned();
    }
    let mut line = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_sane(c) { line.push(c) } else { line.extend(c.escape_default()) }
    }
    line
}

/// A count as people read it: 12,345.
pub fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [text("QUEUE"), number("READY"), text("ERROR")];

    fn lines(rows: &[[&str; 3]], width_max: Option<usize>) -> Vec<String> {
        let mut table = Table::new(&COLUMNS);
        for row in rows {
            table.add(row.map(str::to_owned).to_vec());
        }
        table.take_lines(width_max)
    }

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let told = lines(&[["mail", "12,345", "no route"], ["a", "7", ""]], None);
        assert_eq!(told, ["QUEUE   READY  ERROR", "mail   12,345  no route", "a           7"]);
    }

    #[test]
    fn the_widest_text_is_cut_where_a_line_ends_and_numbers_never_are() {
        let long = "connection refused by the relay of the day";
        let told = lines(&[["mail", "12,345", long]], Some(30));
        assert_eq!(told, ["QUEUE   READY  ERROR", "mail   12,345  connection ref…"]);
        assert_eq!(told[1].width(), 30);
        let told = lines(&[["a-queue-with-a-name", "12,345", long]], Some(30));
        assert_eq!(told[1], "a-queue-w…  12,345  connectio…");
        assert_eq!(lines(&[["mail", "12,345", long]], Some(17))[1], "mail  12,345 con…");
        assert_eq!(lines(&[["mail", "12,345", long]], Some(10))[1], "mail 12,3…");
        assert!(lines(&[["mail", "12,345", long]], None)[1].ends_with(long));
    }

    #[test]
    fn wide_and_joined_signs_take_the_room_that_they_take() {
        let told = lines(&[["日本", "1", "x"], ["e\u{301}te\u{301}", "2", "y"]], None);
        assert_eq!(told[1..], ["日本       1  x", "e\u{301}te\u{301}        2  y"]);
        assert_eq!(
            (cut("日本語", 5), cut("日本語", 4), cut("日本語", 6)),
            ("日本…".into(), "日…".into(), "日本語".into())
        );
        assert_eq!((cut("abc", 1), cut("abc", 0)), ("…".into(), String::new()));
    }

    #[test]
    fn what_would_move_the_cursor_is_told_by_its_number() {
        assert_eq!(lines(&[["q", "1", "a\nb\u{1b}[31m\u{202e}"]], None)[1], r"q          1  a\nb\u{1b}[31m\u{202e}");
    }

    #[test]
    fn a_table_goes_on_with_columns_that_only_grow() {
        let mut table = Table::new(&COLUMNS);
        table.add(["a-longer-name", "1", "x"].map(str::to_owned).to_vec());
        assert_eq!((table.waiting(), table.take_lines(None).len()), (1, 2));
        table.add(["a", "100", "y"].map(str::to_owned).to_vec());
        assert_eq!(table.take_lines(None), ["a                100  y"]);
        assert_eq!(table.take_lines(None), [""; 0]);
        assert_eq!(Table::new(&COLUMNS).take_lines(None), ["QUEUE  READY  ERROR"]);
        assert_eq!(Table::new(&[text("")]).take_lines(None), [""; 0]);
    }

    #[test]
    fn counts_are_told_in_thousands() {
        let told = [0, 999, 1000, 12_345, 1_234_567].map(thousands);
        assert_eq!(told, ["0", "999", "1,000", "12,345", "1,234,567"]);
    }
}
