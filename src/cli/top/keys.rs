//! Keys: what a terminal tells of them, and what is told of them in the help.

use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// A key that means something somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Tab,
    BackTab,
    Escape,
    /// Ctrl-C, which leaves wherever one is.
    Interrupt,
    Char(char),
}

/// What the help says: keys, and what they do.
pub const HELP: [(&str, &str); 10] = [
    ("1-5, Tab", "queues, running jobs, workers, dead by error, log"),
    ("arrows, j, k", "select; PageUp, PageDown, Home, End go further"),
    ("p", "pause the selected queue, or resume it"),
    ("r", "requeue the dead jobs of the selected queue or error"),
    ("c", "cancel the selected job"),
    ("Q", "quiet the selected worker, or resume it"),
    ("y, n", "do what is asked back, or not"),
    ("?", "this help"),
    ("q, Esc", "leave"),
    ("Ctrl-C", "leave, wherever one is"),
];

impl Key {
    /// The key of an event, if it is one.
    pub fn of(event: &Event) -> Option<Key> {
        let Event::Key(KeyEvent { code, modifiers, kind, .. }) = event else { return None };
        if *kind == KeyEventKind::Release {
            return None;
        }
        let is_plain = !modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
        match code {
            KeyCode::Char('c' | 'C') if modifiers.contains(KeyModifiers::CONTROL) => Some(Key::Interrupt),
            KeyCode::Char(c) if is_plain => Some(Key::Char(*c)),
            KeyCode::Up => Some(Key::Up),
            KeyCode::Down => Some(Key::Down),
            KeyCode::PageUp => Some(Key::PageUp),
            KeyCode::PageDown => Some(Key::PageDown),
            KeyCode::Home => Some(Key::Home),
            KeyCode::End => Some(Key::End),
            KeyCode::Tab => Some(Key::Tab),
            KeyCode::BackTab => Some(Key::BackTab),
            KeyCode::Esc => Some(Key::Escape),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_apart_by_their_modifiers() {
        let key = |code, modifiers| Key::of(&Event::Key(KeyEvent::new(code, modifiers)));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Key::Interrupt));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::NONE), Some(Key::Char('c')));
        assert_eq!(key(KeyCode::Char('Q'), KeyModifiers::SHIFT), Some(Key::Char('Q')));
        assert_eq!(key(KeyCode::Char('r'), KeyModifiers::CONTROL), None);
        assert_eq!((key(KeyCode::Esc, KeyModifiers::NONE), Key::of(&Event::FocusLost)), (Some(Key::Escape), None));
        let code = KeyCode::Down;
        let released = KeyEvent::new_with_kind(code, KeyModifiers::NONE, KeyEventKind::Release);
        assert_eq!((key(code, KeyModifiers::NONE), Key::of(&Event::Key(released))), (Some(Key::Down), None));
    }
}
