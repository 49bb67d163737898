use super::super::super::table::text;
use super::super::deeds::Dead;
use super::super::rows::Tone;
use super::*;
use crate::client::Demand;
use crate::ids::JobId;

fn look(tab: Tab, targets: Vec<Target>) -> Told {
    let row = |target: Target| Row { cells: vec![format!("{target:?}")], target, tone: Tone::Plain };
    let rows = targets.into_iter().map(row).collect();
    Told::Look(Look {
        tab,
        summary: "ready 1".to_owned(),
        rows: Rows { columns: vec![text("WHAT")], rows, note: None },
    })
}

fn queue(name: &str) -> Target {
    Target::Queue(name.to_owned())
}

/// A view that was told a row for each tab, and three queues.
fn view() -> View {
    let mut view = View::new("here".to_owned(), true);
    view.take(look(Tab::Queues, ["a", "b", "c"].map(queue).to_vec()));
    view.take(look(Tab::Running, vec![Target::Job(JobId(7))]));
    view.take(look(Tab::Workers, vec![Target::Worker { name: "w".to_owned(), instance: 1, quiet: false }]));
    view.take(look(Tab::Dead, vec![Target::Error { kind: 9, sample: "no".to_owned() }]));
    view.take(look(Tab::Log, vec![Target::Figure("syncs")]));
    view
}

fn typed(view: &mut View, keys: &str) -> Option<Action> {
    keys.chars().map(|c| view.key(Key::Char(c))).last().flatten()
}

fn question(deed: Deed) -> Question {
    Question { title: "Really?".to_owned(), text: "All of it.".to_owned(), deed }
}

#[test]
fn each_tab_is_reached_by_its_number_and_in_turn() {
    let mut view = view();
    for (key, tab) in ('1'..='5').zip(Tab::ALL) {
        assert_eq!((view.key(Key::Char(key)), view.tab), (Some(Action::Watch(tab)), tab));
    }
    assert_eq!(view.key(Key::Tab), Some(Action::Watch(Tab::Queues)));
    assert_eq!(view.key(Key::BackTab), Some(Action::Watch(Tab::Log)));
}

#[test]
fn the_selection_moves_and_stays_within_the_rows() {
    let mut view = view();
    let mut after = |key| {
        view.key(key);
        view.selected()
    };
    assert_eq!([Key::Down, Key::Char('j'), Key::Down].map(&mut after), [1, 2, 2]);
    assert_eq!([Key::Up, Key::Char('k'), Key::Up].map(&mut after), [1, 0, 0]);
    assert_eq!([Key::End, Key::Home, Key::PageDown, Key::PageUp].map(&mut after), [2, 0, 2, 0]);
    let mut empty = View::new(String::new(), false);
    empty.key(Key::End);
    assert_eq!((empty.selected(), typed(&mut empty, "p")), (0, None));
    assert!(empty.notice.is_some());
}

#[test]
fn what_is_selected_stays_so_wherever_it_stands() {
    let mut view = view();
    view.key(Key::Down);
    view.take(look(Tab::Queues, ["a", "aa", "ab", "b", "c"].map(queue).to_vec()));
    assert_eq!(view.selected(), 3);
    view.take(look(Tab::Queues, vec![queue("a")]));
    assert_eq!(view.selected(), 0);
}

#[test]
fn each_key_means_what_is_selected() {
    let mut view = view();
    let prepared = |view: &mut View, keys| match typed(view, keys) {
        Some(Action::Prepare(_, wish)) => wish,
        other => panic!("{other:?}"),
    };
    assert_eq!(prepared(&mut view, "jp"), Wish::Turn { queue: "b".to_owned() });
    assert_eq!(prepared(&mut view, "r"), Wish::Requeue(Dead::OfQueue("b".to_owned())));
    assert_eq!(prepared(&mut view, "2c"), Wish::Cancel(JobId(7)));
    assert_eq!(prepared(&mut view, "3Q"), Wish::Order { worker: "w".to_owned(), what: Demand::Quiet });
    let kind = Dead::OfKind { kind: 9, sample: "no".to_owned() };
    assert_eq!(prepared(&mut view, "4r"), Wish::Requeue(kind));
    for elsewhere in ["1c", "1Q", "2p", "2r", "3c", "4p", "5p", "5r", "5c", "5Q", "x"] {
        assert_eq!(typed(&mut view, elsewhere), None, "{elsewhere}");
    }
}

#[test]
fn nothing_is_done_but_by_yes() {
    let deed = Deed::Pause("a".to_owned());
    let mut view = view();
    let asked = |view: &mut View| {
        let Some(Action::Prepare(number, _)) = typed(view, "1p") else { panic!("not asked") };
        assert!(view.is_waiting());
        view.take(Told::Prepared(number, Ok(question(deed.clone()))));
        assert!(matches!(view.over, Over::Question(_)) && !view.is_waiting());
    };
    for no in [Key::Char('n'), Key::Char('q'), Key::Escape] {
        asked(&mut view);
        for neither in [Key::Char('p'), Key::Down, Key::Tab, Key::Char('Y')] {
            assert_eq!(view.key(neither), None);
            assert!(matches!(view.over, Over::Question(_)), "{neither:?}");
        }
        assert_eq!(view.key(no), None);
        assert_eq!(view.over, Over::Nothing);
        assert_eq!(view.notice.as_deref(), Some("nothing was changed"));
    }
    asked(&mut view);
    assert_eq!(view.key(Key::Char('y')), Some(Action::Do(Deed::Pause("a".to_owned()))));
    assert_eq!(typed(&mut view, "r"), None, "one deed after the other");
    view.take(Told::Done("paused".to_owned()));
    assert_eq!((view.underway.clone(), view.notice.as_deref()), (None, Some("paused")));
    asked(&mut view);
    assert_eq!(view.key(Key::Interrupt), Some(Action::Leave));
}

#[test]
fn a_question_that_is_not_waited_for_any_more_is_not_asked() {
    let mut view = view();
    let Some(Action::Prepare(first, _)) = typed(&mut view, "p") else { panic!("not asked") };
    assert_eq!(view.key(Key::Escape), None, "it leaves the question, not the view");
    view.take(Told::Prepared(first, Ok(question(Deed::Pause("a".to_owned())))));
    assert_eq!(view.over, Over::Nothing);
    let Some(Action::Prepare(second, _)) = typed(&mut view, "p") else { panic!("not asked") };
    view.take(Told::Prepared(first, Ok(question(Deed::Pause("a".to_owned())))));
    assert_eq!(view.over, Over::Nothing);
    view.take(Told::Prepared(second, Err("there is none".to_owned())));
    assert_eq!((&view.over, view.notice.as_deref()), (&Over::Nothing, Some("there is none")));
}

#[test]
fn a_master_that_is_away_is_told_until_it_is_back() {
    let mut view = view();
    view.take(Told::Away("refused".to_owned()));
    assert_eq!((view.away.as_deref(), view.rows().map(|rows| rows.rows.len())), (Some("refused"), Some(3)));
    view.take(look(Tab::Queues, Vec::new()));
    assert_eq!(view.away, None);
}

#[test]
fn help_goes_with_any_key_and_leaving_is_leaving() {
    let mut view = view();
    typed(&mut view, "?");
    assert_eq!(view.over, Over::Help);
    assert_eq!(view.key(Key::Char('q')), None);
    for key in [Key::Char('q'), Key::Escape, Key::Interrupt] {
        assert_eq!(view.key(key), Some(Action::Leave));
    }
}
