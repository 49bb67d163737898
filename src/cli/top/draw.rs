//! The screen, drawn from a view: as much of it as has room. Each state is told by a word; colours only repeat it, and
//! the row that is selected has a sign in front.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};
use unicode_width::UnicodeWidthStr;

use super::super::table::escaped;
use super::deeds::Question;
use super::keys::HELP;
use super::rows::{Rows, Tab, Tone};
use super::view::{Over, View};

/// Stands in front of the row that is selected, and of others.
const MARKS: [&str; 2] = ["  ", "> "];

/// How wide a box is at most, its border included.
const BOX_WIDTH: u16 = 70;

pub fn draw(view: &View, frame: &mut Frame<'_>) {
    let area = frame.area();
    let line = |from_top: u16| row_of(area, from_top);
    let bold = Style::new().add_modifier(Modifier::BOLD);
    put(frame, line(0), &title(view, area.width), bold);
    frame.render_widget(Line::from(tabs(view)), line(1));
    let below = area.height.saturating_sub(2);
    // Two lines at the end: what is said, and the keys.
    let table = Rect { y: area.y + area.height.min(3), height: below.saturating_sub(3), ..area };
    draw_table(view, frame, table);
    let (text, style) = said(view);
    if area.height > 4 {
        put(frame, line(below), &text, style);
        put(frame, line(below + 1), keys(view.tab), Style::new().add_modifier(Modifier::DIM));
    } else if area.height > 2 {
        put(frame, line(area.height - 1), &text, style);
    }
    match &view.over {
        Over::Nothing => {}
        Over::Help => draw_help(frame, area),
        Over::Question(question) => draw_question(question, frame, area),
    }
}

/// Where the master is and how much there is; the program's name only where that leaves room for it.
fn title(view: &View, width: u16) -> String {
    let facts = format!("{}  {}", view.master, view.summary);
    let title = format!("falcon-cli top  {facts}");
    if title.width() <= usize::from(width) { title } else { facts }
}

/// One line of an area; one without height where it has no such line.
fn row_of(area: Rect, from_top: u16) -> Rect {
    let y = area.y + from_top.min(area.height);
    Rect { y, height: u16::from(from_top < area.height), ..area }
}

/// A text on a line; it does nothing to the terminal.
fn put(frame: &mut Frame<'_>, line: Rect, text: &str, style: Style) {
    frame.render_widget(Line::styled(escaped(text), style), line);
}

fn tabs(view: &View) -> Vec<Span<'static>> {
    let span = |tab: Tab| {
        let name = format!("{} {}", tab.index() + 1, tab.word());
        if tab == view.tab {
            return Span::styled(format!("[{name}]"), Style::new().add_modifier(Modifier::BOLD | Modifier::REVERSED));
        }
        Span::raw(format!(" {name} "))
    };
    Tab::ALL.into_iter().map(span).collect()
}

fn keys(tab: Tab) -> &'static str {
    match tab {
        Tab::Queues => "p pause/resume  r requeue dead  1-5 switch  ? help  q leave",
        Tab::Running => "c cancel  1-5 switch  ? help  q leave",
        Tab::Workers => "Q quiet or resume  1-5 switch  ? help  q leave",
        Tab::Dead => "r requeue  1-5 switch  ? help  q leave",
        Tab::Log => "1-5 switch  ? help  q leave",
    }
}

/// The line that is said: the most urgent there is.
fn said(view: &View) -> (String, Style) {
    let colour = |colour| if view.colours { Style::new().fg(colour) } else { Style::new() };
    if let Some(why) = &view.away {
        let text = format!("the master is away, it is asked again and again: {why}");
        return (text, colour(Color::Red).add_modifier(Modifier::BOLD));
    }
    if let Some(text) = &view.underway {
        return (text.clone(), colour(Color::Yellow));
    }
    if view.is_waiting() {
        return ("looking at what that would do; Esc leaves it".to_owned(), Style::new());
    }
    let note = view.rows().and_then(|rows| rows.note.clone());
    (view.notice.clone().or(note).unwrap_or_default(), Style::new())
}

fn draw_table(view: &View, frame: &mut Frame<'_>, area: Rect) {
    let Some(rows) = view.rows() else {
        return put(frame, row_of(area, 0), "the master is asked", Style::new());
    };
    let width = usize::from(area.width).saturating_sub(MARKS[0].len());
    let lines = rows.lines(width);
    let mut lines = lines.iter();
    if let Some(heading) = lines.next() {
        put(frame, row_of(area, 0), &format!("{}{heading}", MARKS[0]), Style::new().add_modifier(Modifier::BOLD));
    }
    if rows.rows.is_empty() {
        return put(frame, row_of(area, 1), &format!("{}{}", MARKS[0], view.tab.nothing()), Style::new());
    }
    let room = usize::from(area.height.saturating_sub(1));
    let first = first_shown(view.selected(), rows.rows.len(), room);
    for (shown, (place, line)) in lines.enumerate().skip(first).take(room).enumerate() {
        let is_selected = place == view.selected();
        let mut style = tone(rows, place, view.colours);
        if is_selected {
            style = style.add_modifier(Modifier::REVERSED);
        }
        let at = row_of(area, 1 + shown as u16);
        put(frame, at, &format!("{}{line}", MARKS[usize::from(is_selected)]), style);
        frame.buffer_mut().set_style(at, style);
    }
}

/// The first row that is shown, so that the selected one is in the middle where it can be.
fn first_shown(selected: usize, count: usize, room: usize) -> usize {
    selected.saturating_sub(room / 2).min(count.saturating_sub(room))
}

fn tone(rows: &Rows, place: usize, colours: bool) -> Style {
    match rows.rows.get(place).map(|row| row.tone) {
        Some(Tone::Held) if colours => Style::new().fg(Color::Yellow),
        Some(Tone::Bad) if colours => Style::new().fg(Color::Red),
        _ => Style::new(),
    }
}

/// A box in the middle with so many lines of text.
fn box_of(area: Rect, lines: usize) -> Rect {
    let width = BOX_WIDTH.min(area.width);
    let height = u16::try_from(lines + 2).unwrap_or(u16::MAX).min(area.height);
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

fn draw_help(frame: &mut Frame<'_>, area: Rect) {
    let lines: Vec<Line<'_>> = HELP.iter().map(|(keys, does)| Line::raw(format!("{keys:15}{does}"))).collect();
    let place = box_of(area, HELP.len());
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title("keys, any of them closes this")), place);
}

fn draw_question(question: &Question, frame: &mut Frame<'_>, area: Rect) {
    let text = escaped(&question.text);
    let inside = usize::from(BOX_WIDTH.min(area.width)).saturating_sub(2).max(1);
    // Words that do not end with a line take some more.
    let place = box_of(area, text.width() * 5 / 4 / inside + 1);
    let title = escaped(&question.title);
    // The answers are on the border, where they are seen in a small box, too.
    let block = Block::bordered().title(title).title_bottom("y do it   n leave it");
    let block = block.border_style(Style::new().add_modifier(Modifier::BOLD));
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }).block(block), place);
}

#[cfg(test)]
mod tests;
