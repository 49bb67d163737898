use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::super::super::table::{number, text};
use super::super::deeds::Deed;
use super::super::keys::Key;
use super::super::rows::{Look, Row, Target};
use super::super::view::{Action, Told};
use super::*;
use crate::ids::JobId;

/// A row of each tab, the names of two of which would do something to a terminal.
fn view() -> View {
    let mut view = View::new("127.0.0.1:3252".to_owned(), true);
    for tab in Tab::ALL {
        let row =
            |name: String, job, tone| Row { target: Target::Job(JobId(job)), cells: vec![name, "1,234".into()], tone };
        let name = format!("{}\u{1b}[31m", tab.word());
        let rows = vec![row(name, 1, Tone::Held), row("second".to_owned(), 2, Tone::Bad)];
        let rows = Rows { columns: vec![text("NAME"), number("READY")], rows, note: Some("and more".to_owned()) };
        view.take(Told::Look(Look { tab, summary: "ready 1,234  dead 1".to_owned(), rows }));
    }
    view
}

fn screen(view: &View, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(view, frame)).unwrap();
    lines(&terminal)
}

fn lines(terminal: &Terminal<TestBackend>) -> Vec<String> {
    let buffer = terminal.backend().buffer();
    let line = |y| (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..buffer.area.height).map(line).collect()
}

#[test]
fn each_tab_has_its_table_and_its_keys() {
    let mut view = view();
    for (width, height) in [(80, 24), (60, 20)] {
        for tab in Tab::ALL {
            view.key(Key::Char(char::from(b'1' + tab.index() as u8)));
            let lines = screen(&view, width, height);
            assert_eq!(lines[0], "falcon-cli top  127.0.0.1:3252  ready 1,234  dead 1");
            assert!(lines[1].contains(&format!("[{} {}]", tab.index() + 1, tab.word())), "{lines:#?}");
            assert!(lines[3].starts_with("  NAME") && lines[3].ends_with("READY"), "{lines:#?}");
            assert_eq!(lines[4], format!("> {}\\u{{1b}}[31m  1,234", tab.word()));
            assert!(lines[5].starts_with("  second"), "{lines:#?}");
            assert_eq!(lines[usize::from(height) - 2], "and more");
            assert!(lines[usize::from(height) - 1].ends_with("? help  q leave"), "{lines:#?}");
        }
    }
}

#[test]
fn facts_come_before_the_name_where_both_have_no_room() {
    let mut view = view();
    view.summary = "ready 999,993  delayed 0  running 4  dead 3  workers 2".to_owned();
    assert_eq!(screen(&view, 80, 24)[0], format!("127.0.0.1:3252  {}", view.summary));
    assert_eq!(screen(&view, 100, 24)[0], format!("falcon-cli top  127.0.0.1:3252  {}", view.summary));
}

#[test]
fn any_size_is_drawn_and_a_resize_is_seen() {
    let mut view = view();
    for over in 0..3 {
        match over {
            1 => drop(view.key(Key::Char('?'))),
            2 => view.over = Over::Question(question()),
            _ => {}
        }
        for width in [0, 1, 2, 3, 10, 40, 300] {
            for height in [0, 1, 2, 3, 4, 5, 6, 7, 30] {
                screen(&view, width, height);
            }
        }
    }
    view.over = Over::Nothing;
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    terminal.draw(|frame| draw(&view, frame)).unwrap();
    terminal.backend_mut().resize(30, 6);
    terminal.draw(|frame| draw(&view, frame)).unwrap();
    let lines = lines(&terminal);
    assert_eq!(lines.len(), 6);
    assert!(lines[3].starts_with("  NAME") && lines[4] == "and more" && lines[5].starts_with("p pause"), "{lines:#?}");
}

fn question() -> Question {
    let text =
        "It hands out no jobs until it is resumed; it still takes them. Ready there: 12. Running: 2; those go on.";
    Question { title: "Pause queue a\nb?".to_owned(), text: text.to_owned(), deed: Deed::Pause("a\nb".to_owned()) }
}

#[test]
fn a_question_is_asked_in_a_box_with_what_will_happen() {
    let mut view = view();
    view.over = Over::Question(question());
    for (width, height) in [(80, 24), (60, 20), (30, 12)] {
        let all = screen(&view, width, height).join("\n");
        assert!(all.contains(r"Pause queue a\nb?") && all.contains("y do it   n leave it"), "{all}");
        assert!(all.contains("those go") && all.contains("on."), "{all}");
    }
    view.key(Key::Char('n'));
    assert!(screen(&view, 80, 24).join("\n").contains("nothing was changed"));
}

#[test]
fn help_tells_all_keys() {
    let mut view = view();
    view.key(Key::Char('?'));
    let all = screen(&view, 80, 24).join("\n");
    assert!(HELP.iter().all(|(keys, does)| all.contains(keys) && all.contains(does)), "{all}");
}

#[test]
fn a_master_that_is_away_is_told_in_a_line_over_what_was_known() {
    let mut view = view();
    view.take(Told::Away("cannot reach\u{1b} it".to_owned()));
    let lines = screen(&view, 80, 24);
    assert!(lines[22].starts_with(r"the master is away, it is asked again and again: cannot reach\u{1b} it"));
    assert!(lines[4].starts_with("> queues"), "{lines:#?}");
    let lines = screen(&View::new("there".to_owned(), true), 80, 24);
    assert_eq!(lines[3], "the master is asked");
}

#[test]
fn without_colours_there_are_none() {
    let colours = |view: &View| {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| draw(view, frame)).unwrap();
        terminal.backend().buffer().content.iter().any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
    };
    let mut view = view();
    view.take(Told::Away("gone".to_owned()));
    assert!(colours(&view));
    view.colours = false;
    assert!(!colours(&view));
}

#[test]
fn the_selected_row_is_in_sight_in_a_long_table() {
    assert_eq!([first_shown(0, 100, 10), first_shown(50, 100, 10), first_shown(99, 100, 10)], [0, 45, 90]);
    assert_eq!((first_shown(2, 3, 10), first_shown(5, 100, 0)), (0, 5));
    let rows = (0..100).map(|job| Row {
        target: Target::Job(JobId(job)),
        cells: vec![format!("job {job}")],
        tone: Tone::Plain,
    });
    let rows = Rows { columns: vec![text("JOB")], rows: rows.collect(), note: None };
    let mut view = view();
    view.take(Told::Look(Look { tab: Tab::Queues, summary: String::new(), rows }));
    assert_eq!(view.key(Key::End), None::<Action>);
    let lines = screen(&view, 80, 24);
    assert_eq!((lines[4].as_str(), lines[21].as_str()), ("  job 82", "> job 99"));
}
