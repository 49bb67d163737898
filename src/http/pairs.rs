//! Names with texts, as a query has them, or an object in JSON whose values are read as the command line reads them.
//! Each is taken by its name; what nobody has taken in the end is a mistake, and told.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde_json::{Map, Value};
use std::sync::Arc;

use super::App;
use super::problem::Problem;
use crate::nearest::did_you_mean;
use crate::shapes::values::Setting;

/// Most names of one query or object.
const PAIRS_MAX: usize = 100;

#[derive(Debug, Default)]
pub struct Pairs {
    left: BTreeMap<String, Vec<Option<String>>>,
    /// Names that came with several values at once.
    lists: BTreeSet<String>,
    /// Names that were asked for.
    known: Vec<&'static str>,
}

impl Pairs {
    /// Those of an object; null says that a value is to be as everywhere.
    pub fn of(object: Map<String, Value>) -> Result<Pairs, Problem> {
        let mut pairs = Pairs::default();
        for (name, value) in object {
            let texts = match value {
                Value::Null => vec![None],
                Value::String(text) => vec![Some(text)],
                Value::Array(all) => {
                    pairs.lists.insert(name.clone());
                    vec![Some(all.iter().map(text_of).collect::<Vec<_>>().join(","))]
                }
                Value::Object(_) => return Err(Problem::bad(format!("{name}: a text or a number belongs here"))),
                value => vec![Some(value.to_string())],
            };
            pairs.left.insert(name, texts);
        }
        Ok(pairs)
    }

    /// The text of a name, if it is there.
    pub fn text(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        Ok(self.taken(name)?.flatten())
    }

    /// All texts of a name.
    pub fn texts(&mut self, name: &'static str) -> Vec<String> {
        self.known.push(name);
        self.left.remove(name).unwrap_or_default().into_iter().flatten().collect()
    }

    /// What several texts say between commas, or as an array.
    pub fn list<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Problem> {
        self.lists.remove(name);
        self.read(name, read)
    }

    /// What a text says that is there.
    pub fn read<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Problem> {
        self.text(name)?.map(|text| said(name, &text, &read)).transpose()
    }

    /// What a text says that is there, or null, that it is to be as everywhere.
    pub fn setting<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<Setting<T>>, Problem> {
        let setting = |text: Option<String>| match text {
            None => Ok(Setting::Default),
            Some(text) => said(name, &text, &read).map(Setting::Value),
        };
        self.taken(name)?.map(setting).transpose()
    }

    /// Whether a flag is there, and not `false`.
    pub fn flag(&mut self, name: &'static str) -> Result<bool, Problem> {
        let read = |text: &str| match text {
            "" | "1" | "true" => Ok(true),
            "0" | "false" => Ok(false),
            _ => Err("it takes true or false".to_owned()),
        };
        Ok(self.read(name, read)?.unwrap_or(false))
    }

    /// Nothing more is asked for: whatever is left was a mistake.
    pub fn end(self) -> Result<(), Problem> {
        let Some(name) = self.left.keys().next() else { return Ok(()) };
        let meant = did_you_mean(name, self.known.iter().copied());
        Err(Problem::bad(format!("{name:?} is not known here{meant}")))
    }

    /// The text of a name, or null, if it is there.
    #[expect(clippy::option_option, reason = "null is not the same as nothing")]
    fn taken(&mut self, name: &'static str) -> Result<Option<Option<String>>, Problem> {
        self.known.push(name);
        let mut texts = self.left.remove(name).unwrap_or_default();
        if self.lists.contains(name) {
            return Err(Problem::bad(format!("{name}: one text or number belongs here, and no array")));
        }
        if texts.len() > 1 {
            return Err(Problem::bad(format!("{name} is there {} times; it is taken once", texts.len())));
        }
        Ok(texts.pop())
    }
}

fn said<T>(name: &str, text: &str, read: &impl Fn(&str) -> Result<T, String>) -> Result<T, Problem> {
    read(text).map_err(|why| Problem::bad(format!("{name} {text:?}: {why}")))
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl FromRequestParts<Arc<App>> for Pairs {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _app: &Arc<App>) -> Result<Pairs, Problem> {
        let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let Query(all) = query.map_err(|error| Problem::bad(format!("the query: {error}")))?;
        if all.len() > PAIRS_MAX {
            return Err(Problem::bad(format!("the query has {} names; it takes up to {PAIRS_MAX}", all.len())));
        }
        let mut pairs = Pairs::default();
        for (name, text) in all {
            pairs.left.entry(name).or_default().push(Some(text));
        }
        Ok(pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pairs(value: Value) -> Pairs {
        let Value::Object(object) = value else { panic!("an object") };
        Pairs::of(object).unwrap()
    }

    #[test]
    fn each_is_taken_once_and_what_is_left_is_a_mistake() {
        let mut all = pairs(json!({"queue": "mail", "limit": 5, "state": ["dead", "pending"], "quue": "x"}));
        assert_eq!(all.text("queue").unwrap().as_deref(), Some("mail"));
        let words = |text: &str| Ok::<_, String>(text.to_owned());
        assert_eq!(all.list("state", words).unwrap().as_deref(), Some("dead,pending"));
        assert!(pairs(json!({"reason": ["a"]})).text("reason").unwrap_err().detail.contains("no array"));
        assert_eq!(all.read("limit", crate::shapes::values::number::<u8>).unwrap(), Some(5));
        assert!(all.end().unwrap_err().detail.contains("did you mean \"queue\"?"));
    }

    #[test]
    fn null_is_the_default_and_nothing_is_no_change() {
        let mut all = pairs(json!({"keep": null, "ttl": "1h", "bad": "soon"}));
        let span = |text: &str| text.parse::<crate::time::Millis>().map_err(|error| error.to_string());
        assert_eq!(all.setting("keep", span).unwrap(), Some(Setting::Default));
        assert_eq!(all.setting("ttl", span).unwrap(), Some(Setting::Value(crate::time::Millis(3_600_000))));
        assert_eq!(all.setting("timeout", span).unwrap(), None);
        assert!(all.setting("bad", span).unwrap_err().detail.starts_with("bad \"soon\": "));
        all.end().unwrap();
        assert!(Pairs::of(json!({"a": {}}).as_object().unwrap().clone()).is_err());
    }
}
