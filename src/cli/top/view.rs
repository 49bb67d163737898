//! What is on the screen, as a value: what the master told and keys go in, and what is to be asked of it comes out.
//!
//! Nothing is changed but by `y` in answer to a question, and a question that comes when it is not waited for any more
//! is not shown.

use super::deeds::{Deed, Prepared, Question, Wish};
use super::keys::Key;
use super::rows::{Look, Row, Rows, Tab, Target};

/// How many rows a page goes.
const PAGE: usize = 10;

/// What the other side is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// From now on, look at this, and at once.
    Watch(Tab),
    /// Look at what a wish would do, and ask under this number.
    Prepare(u64, Wish),
    Do(Deed),
    Leave,
}

/// What the other side tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Look(Look),
    /// The master does not answer, and why.
    Away(String),
    Prepared(u64, Prepared),
    /// How far a deed is.
    Underway(String),
    Done(String),
    /// What was asked for could not be looked at, or done.
    Failed(String),
}

/// What lies over the table, if anything does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Over {
    Nothing,
    Help,
    Question(Question),
}

/// What is known of a tab.
#[derive(Clone, Debug, Default)]
struct Page {
    rows: Option<Rows>,
    selected: usize,
}

pub struct View {
    /// Where the master is.
    pub master: String,
    /// Whether there may be colours.
    pub colours: bool,
    pub tab: Tab,
    pub summary: String,
    /// Why the master does not answer, while it does not.
    pub away: Option<String>,
    /// What was said last.
    pub notice: Option<String>,
    pub over: Over,
    /// What is being done, and how far it is.
    pub underway: Option<String>,
    pages: [Page; Tab::ALL.len()],
    /// The number of the question that is waited for, and of the last one.
    awaited: Option<u64>,
    questions: u64,
}

impl View {
    pub fn new(master: String, colours: bool) -> View {
        View {
            master,
            colours,
            tab: Tab::Queues,
            summary: String::new(),
            away: None,
            notice: None,
            over: Over::Nothing,
            underway: None,
            pages: Default::default(),
            awaited: None,
            questions: 0,
        }
    }

    /// The table that is shown, once it is known.
    pub fn rows(&self) -> Option<&Rows> {
        self.pages[self.tab.index()].rows.as_ref()
    }

    /// The place of the row that is selected.
    pub fn selected(&self) -> usize {
        self.pages[self.tab.index()].selected
    }

    fn selected_row(&self) -> Option<&Row> {
        self.rows()?.rows.get(self.selected())
    }

    /// Whether a question is waited for.
    pub fn is_waiting(&self) -> bool {
        self.awaited.is_some()
    }

    /// Takes what was told.
    pub fn take(&mut self, told: Told) {
        match told {
            Told::Look(look) => self.take_look(look),
            Told::Away(why) => self.away = Some(why),
            Told::Prepared(number, prepared) => self.take_prepared(number, prepared),
            Told::Underway(text) => self.underway = Some(text),
            Told::Done(text) | Told::Failed(text) => {
                (self.underway, self.awaited) = (None, None);
                self.notice = Some(text);
            }
        }
    }

    /// The row that was selected stays so wherever it stands now; where it is gone, its place is.
    fn take_look(&mut self, look: Look) {
        self.away = None;
        self.summary = look.summary;
        let page = &mut self.pages[look.tab.index()];
        let target = page.rows.as_ref().and_then(|rows| rows.rows.get(page.selected)).map(|row| &row.target);
        let place = target.and_then(|target| look.rows.place_of(target)).unwrap_or(page.selected);
        page.selected = place.min(look.rows.rows.len().saturating_sub(1));
        page.rows = Some(look.rows);
    }

    fn take_prepared(&mut self, number: u64, prepared: Prepared) {
        if self.awaited != Some(number) {
            return;
        }
        self.awaited = None;
        match prepared {
            Ok(question) => self.over = Over::Question(question),
            Err(why) => self.notice = Some(why),
        }
    }

    /// Takes a key.
    pub fn key(&mut self, key: Key) -> Option<Action> {
        if key == Key::Interrupt {
            return Some(Action::Leave);
        }
        match std::mem::replace(&mut self.over, Over::Nothing) {
            Over::Question(question) => self.answer(question, key),
            // Any key takes the help away.
            Over::Help => None,
            Over::Nothing => self.plain_key(key),
        }
    }

    fn answer(&mut self, question: Question, key: Key) -> Option<Action> {
        match key {
            Key::Char('y') => {
                self.underway = Some("being done".to_owned());
                return Some(Action::Do(question.deed));
            }
            Key::Char('n' | 'q') | Key::Escape => self.notice = Some("nothing was changed".to_owned()),
            // Neither yes nor no.
            _ => self.over = Over::Question(question),
        }
        None
    }

    fn plain_key(&mut self, key: Key) -> Option<Action> {
        self.notice = None;
        // Whoever goes on does not wait for a question any more.
        let was_waiting = self.awaited.take().is_some();
        match key {
            Key::Escape if was_waiting => return None,
            Key::Escape | Key::Char('q') => return Some(Action::Leave),
            Key::Tab => return Some(self.switch(self.tab.moved(1))),
            Key::BackTab => return Some(self.switch(self.tab.moved(Tab::ALL.len() - 1))),
            Key::Char(c @ '1'..='5') => return Some(self.switch(Tab::ALL[c as usize - '1' as usize])),
            Key::Char('?') => self.over = Over::Help,
            Key::Char(c @ ('p' | 'r' | 'c' | 'Q')) => return self.wish(c),
            Key::Up | Key::Char('k') => self.select(|place| place.saturating_sub(1)),
            Key::Down | Key::Char('j') => self.select(|place| place + 1),
            Key::PageUp => self.select(|place| place.saturating_sub(PAGE)),
            Key::PageDown => self.select(|place| place + PAGE),
            Key::Home => self.select(|_| 0),
            Key::End => self.select(|_| usize::MAX),
            Key::Interrupt | Key::Char(_) => {}
        }
        None
    }

    fn switch(&mut self, tab: Tab) -> Action {
        self.tab = tab;
        Action::Watch(tab)
    }

    fn select(&mut self, place: impl Fn(usize) -> usize) {
        let page = &mut self.pages[self.tab.index()];
        let last = page.rows.as_ref().map_or(0, |rows| rows.rows.len().saturating_sub(1));
        page.selected = place(page.selected).min(last);
    }

    fn wish(&mut self, key: char) -> Option<Action> {
        if self.underway.is_some() {
            self.notice = Some("one thing after the other: something is being done".to_owned());
            return None;
        }
        let target: Option<&Target> = self.selected_row().map(|row| &row.target);
        match Wish::of(key, target) {
            Err(why) => {
                self.notice = Some(why.to_owned());
                None
            }
            Ok(wish) => {
                self.questions += 1;
                self.awaited = Some(self.questions);
                Some(Action::Prepare(self.questions, wish))
            }
        }
    }
}

#[cfg(test)]
mod tests;
