//! Which jobs are meant, as a query or an object says it.

use crate::client::Filter;
use crate::http::pairs::Pairs;
use crate::http::problem::Problem;
use crate::job::Standing;
use crate::shapes::bits;
use crate::shapes::values::error_kind;
use crate::time::Millis;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    queue: Option<String>,
    standings: Option<u8>,
    key_prefix: Option<String>,
    group: Option<String>,
    older_than: Option<Millis>,
    newer_than: Option<Millis>,
    error: Option<String>,
    error_kind: Option<u64>,
}

impl Filters {
    pub fn take(pairs: &mut Pairs) -> Result<Filters, Problem> {
        Ok(Filters {
            queue: pairs.text("queue")?,
            standings: pairs.list("state", states)?,
            key_prefix: pairs.text("key_prefix")?,
            group: pairs.text("group")?,
            older_than: pairs.read("older_than", span)?,
            newer_than: pairs.read("newer_than", span)?,
            error: pairs.text("error")?,
            error_kind: pairs.read("error_kind", error_kind)?,
        })
    }

    /// As the master is asked.
    pub fn as_filter(&self) -> Filter<'_> {
        Filter {
            queue: self.queue.as_deref(),
            standings: self.standings,
            key_prefix: self.key_prefix.as_deref(),
            group: self.group.as_deref(),
            older_than_ms: self.older_than.map(|span| span.0),
            younger_than_ms: self.newer_than.map(|span| span.0),
            error: self.error.as_deref(),
            error_kind: self.error_kind,
        }
    }
}

pub fn span(text: &str) -> Result<Millis, String> {
    text.parse::<Millis>().map_err(|error| error.to_string())
}

/// Reads `dead,pending`.
fn states(text: &str) -> Result<u8, String> {
    let word = |word: &str| {
        let found = Standing::ALL.iter().find(|standing| standing.word() == word);
        let all = || Standing::ALL.iter().map(|standing| standing.word()).collect::<Vec<_>>().join(", ");
        found.copied().ok_or_else(|| format!("{word:?} is no state; it takes {}", all()))
    };
    let all: Vec<Standing> = text.split(',').map(word).collect::<Result<_, _>>()?;
    bits(&all).ok_or_else(|| "no state is named".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_words_between_commas() {
        assert_eq!(states("pending,dead"), Ok(0b1001));
        assert!(states("").is_err() && states("pending,ded").is_err_and(|why| why.contains("pending, ")));
    }
}
