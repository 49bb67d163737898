//! Values as people write them, on the command line and in JSON, held against their bounds.

use crate::ids::{JobId, check_group_name, check_key, parse_batch_name};
use crate::job::{Backoff, IfFailed, header_variable};
use crate::limits::{
    BACKOFF_MS_LONGEST, DELAY_MS_MAX, EVERY_MS_MAX, EVERY_MS_MIN, HEADER_NAME_BYTES_MAX, JITTER_MS_MAX, JOB_ID_END,
    KEEP_MS_MAX, KEY_WINDOW_MS_MAX, MISSED_TICKS_MAX, RATE_SPAN_MS_MAX, RATE_TOKENS_MAX, TIMEOUT_MS_MAX,
    TIMEOUT_MS_MIN,
};
use crate::protocol::After;
use crate::rules::Rate;
use crate::schedule::Missed;
use crate::time::{Millis, SpanError};

/// A setting of a queue: a value, or that which holds everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting<T> {
    Default,
    Value(T),
}

impl<T> Setting<T> {
    /// The value, if it is one.
    pub fn value(self) -> Option<T> {
        match self {
            Setting::Default => None,
            Setting::Value(value) => Some(value),
        }
    }
}

/// Reads `default`, or a value.
pub fn or_default<T: Clone + Send + Sync + 'static>(
    parse: fn(&str) -> Result<T, String>,
) -> impl Fn(&str) -> Result<Setting<T>, String> + Clone + Send + Sync + 'static {
    move |text| if text == "default" { Ok(Setting::Default) } else { parse(text).map(Setting::Value) }
}

pub fn key(text: &str) -> Result<String, String> {
    check_key(text).map(|()| text.to_owned()).map_err(|error| error.to_string())
}

pub fn group(text: &str) -> Result<String, String> {
    check_group_name(text).map(|()| text.to_owned()).map_err(|error| error.to_string())
}

/// A job that another one is to wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Earlier {
    Job(u64),
    Key(String),
    Batch(String),
    /// The one at this place of the same file, from 0 on.
    Item(usize),
}

impl Earlier {
    pub fn told(&self) -> After<'_> {
        match self {
            Earlier::Job(id) => After::job(JobId(*id)),
            Earlier::Key(key) => After::key(key),
            Earlier::Batch(batch) => After::batch(batch),
            Earlier::Item(place) => After::item(*place),
        }
    }
}

/// Reads `12`, `key:KEY`, `batch:NAME`.
pub fn earlier(text: &str) -> Result<Earlier, String> {
    if let Some(name) = text.strip_prefix("key:") {
        return key(name).map(Earlier::Key);
    }
    if let Some(name) = text.strip_prefix("batch:") {
        return parse_batch_name(name).map(Earlier::Batch).map_err(|error| error.to_string());
    }
    match number(text) {
        Ok(id) if (1..JOB_ID_END).contains(&id) => Ok(Earlier::Job(id)),
        _ => Err("it is a job's id, key:KEY for the job that holds a key, or batch:NAME".to_owned()),
    }
}

/// Reads `cancel`, `run`, `wait`.
pub fn if_failed(text: &str) -> Result<IfFailed, String> {
    let found = IfFailed::ALL.iter().find(|what| what.word() == text);
    found.copied().ok_or_else(|| "it takes cancel, run or wait".to_owned())
}

pub fn delay(text: &str) -> Result<Millis, String> {
    span_within(text, 0, DELAY_MS_MAX)
}

pub fn timeout(text: &str) -> Result<Millis, String> {
    span_within(text, TIMEOUT_MS_MIN, TIMEOUT_MS_MAX)
}

pub fn keep(text: &str) -> Result<Millis, String> {
    span_within(text, 0, KEEP_MS_MAX)
}

/// How long dead jobs are kept: not at all would be that none is ever dead.
pub fn dead_keep(text: &str) -> Result<Millis, String> {
    span_within(text, 1000, KEEP_MS_MAX)
}

/// How long a key is held from its submit on.
pub fn unique_for(text: &str) -> Result<Millis, String> {
    span_within(text, 1, KEY_WINDOW_MS_MAX)
}

pub fn ttl(text: &str) -> Result<Millis, String> {
    span_within(text, 1, KEEP_MS_MAX)
}

/// A number of this type, which has no sign.
pub fn number<N: TryFrom<u64>>(text: &str) -> Result<N, String> {
    let most = u64::MAX >> (u64::BITS - 8 * size_of::<N>() as u32);
    let read = text.parse::<u64>().ok().and_then(|number| N::try_from(number).ok());
    read.ok_or_else(|| format!("write a whole number up to {most}"))
}

pub fn at_least_one(text: &str) -> Result<u32, String> {
    number(text).and_then(|number| if number == 0 { Err("it takes 1 or more".to_owned()) } else { Ok(number) })
}

/// From one tick of a schedule to the next.
pub fn every(text: &str) -> Result<Millis, String> {
    span_within(text, EVERY_MS_MIN, EVERY_MS_MAX)
}

/// From one look to the next.
pub fn interval(text: &str) -> Result<Millis, String> {
    span_within(text, 100, 24 * 3_600_000)
}

pub fn jitter(text: &str) -> Result<Millis, String> {
    span_within(text, 0, JITTER_MS_MAX.into())
}

/// Reads `once`, `skip`, `all:10`.
pub fn missed(text: &str) -> Result<(Missed, u16), String> {
    let refused = || format!("write once, skip, or all:10 with a number from 1 to {MISSED_TICKS_MAX}");
    match (text, text.strip_prefix("all:")) {
        ("once", _) => Ok((Missed::Once, 0)),
        ("skip", _) => Ok((Missed::Skip, 0)),
        (_, Some(count)) => {
            let count = count.parse().ok().filter(|count| (1..=MISSED_TICKS_MAX).contains(count));
            count.map(|count| (Missed::All, count)).ok_or_else(refused)
        }
        _ => Err(refused()),
    }
}

fn span_within(text: &str, min: u64, max: u64) -> Result<Millis, String> {
    let span: Millis = text.parse().map_err(|error: SpanError| error.to_string())?;
    if (min..=max).contains(&span.0) {
        return Ok(span);
    }
    Err(format!("it takes {} to {}", Millis(min), Millis(max)))
}

/// Reads `fixed:10s`, `exponential:1s..1h`.
pub fn backoff(text: &str) -> Result<Backoff, String> {
    let (first, most) = match text.split_once(':') {
        Some(("fixed", span)) => (span, span),
        Some(("exponential", spans)) => spans.split_once("..").unwrap_or((spans, "")),
        _ => return Err("write fixed:10s, or exponential:1s..1h".to_owned()),
    };
    let millis = |text| span_within(text, 1, BACKOFF_MS_LONGEST).map(|span| span.0 as u32);
    let (first_ms, most_ms) = (millis(first)?, millis(most)?);
    if first_ms > most_ms {
        return Err("the first wait is longer than the longest".to_owned());
    }
    Ok(Backoff { first_ms, most_ms })
}

/// A backoff as it is written on the command line.
pub fn written(backoff: Backoff) -> String {
    let [first, most] = [backoff.first_ms, backoff.most_ms].map(|ms| Millis(ms.into()));
    if first == most { format!("fixed:{first}") } else { format!("exponential:{first}..{most}") }
}

/// Reads `NAME=VALUE`.
pub fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    check_header(name, value).map(|()| (name.to_owned(), value.to_owned()))
}

/// Whether this can be a header; the master looks at all headers of a job together.
pub fn check_header(name: &str, value: &str) -> Result<(), String> {
    let is_sane = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > HEADER_NAME_BYTES_MAX || !name.chars().all(is_sane) {
        let text = "a header's name has 1 to 64 letters, digits, '-', '_' or '.'";
        return Err(format!("{text}; {name:?} has not"));
    }
    if value.contains('\0') {
        return Err(format!("the value of header {name:?} has a NUL in it"));
    }
    Ok(())
}

/// Whether no two of these are one variable of an environment.
pub fn check_headers<'h>(names: impl Iterator<Item = &'h str>) -> Result<(), String> {
    let mut variables = Vec::new();
    for name in names {
        let variable = header_variable(name);
        if variables.contains(&variable) {
            return Err(format!("header {name:?} is there twice, but for its case or its signs"));
        }
        variables.push(variable);
    }
    Ok(())
}

/// Reads the number of a kind of errors, as `job list --by error` tells it.
pub fn error_kind(text: &str) -> Result<u64, String> {
    u64::from_str_radix(text, 16).map_err(|_| "it is told by `job list --by error`, as 16 digits".to_owned())
}

/// Reads `100/s`, `5/10s`, `30/m burst 5`.
pub fn rate(text: &str) -> Result<Rate, String> {
    let how = || format!("{text:?} is no rate: write 100/s, 5/10s, or 30/m burst 5");
    let words: Vec<&str> = text.split_whitespace().collect();
    let (rate, burst) = match words[..] {
        [rate] => (rate, None),
        [rate, "burst", burst] => (rate, Some(burst)),
        _ => return Err(how()),
    };
    let (tokens, span) = rate.split_once('/').ok_or_else(how)?;
    let span = if span.starts_with(|c: char| c.is_ascii_digit()) { span.to_owned() } else { format!("1{span}") };
    let span: Millis = span.parse().map_err(|_| how())?;
    // What is too large is out of bounds below.
    let most = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let number = |text: &str| text.parse().map(most).map_err(|_| how());
    let (tokens, per_ms) = (number(tokens)?, most(span.0));
    let burst = match burst {
        Some(burst) => number(burst)?,
        None => Rate::usual_burst(tokens, per_ms.max(1)),
    };
    let rate = Rate { tokens, per_ms, burst };
    let bounds = || {
        let span = Millis(RATE_SPAN_MS_MAX.into());
        format!("{text:?}: a rate has 1 to {RATE_TOKENS_MAX} jobs, and as large a burst, in up to {span}")
    };
    if rate.is_sane() { Ok(rate) } else { Err(bounds()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoffs_are_read_as_they_are_written() {
        for (text, first_ms, most_ms) in [
            ("fixed:10s", 10_000, 10_000),
            ("exponential:1s..1h", 1000, 3_600_000),
            ("exponential:250ms..168h", 250, 604_800_000),
        ] {
            assert_eq!(backoff(text), Ok(Backoff { first_ms, most_ms }));
            assert_eq!(written(Backoff { first_ms, most_ms }), text);
        }
        assert_eq!(backoff("exponential:5s..5s"), backoff("fixed:5s"));
    }

    #[test]
    fn what_is_no_backoff_is_refused_in_a_sentence() {
        for (text, why) in [
            ("10s", "write fixed:"),
            ("fixed:", "not a duration"),
            ("fixed:0s", "it takes 1ms"),
            ("fixed:1s..2s", "not a duration"),
            ("exponential:1s", "not a duration"),
            ("exponential:2s..1s", "longer than the longest"),
            ("exponential:1s..169h", "it takes 1ms to 168h"),
        ] {
            let error = backoff(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn headers_have_a_name_and_a_value() {
        assert_eq!(header("Trace-Id=a=b"), Ok(("Trace-Id".to_owned(), "a=b".to_owned())));
        assert_eq!(header("empty="), Ok(("empty".to_owned(), String::new())));
        for bad in ["", "name", "=value", "a b=c", "Größe=1"] {
            assert!(header(bad).is_err(), "{bad:?}");
        }
        assert!(check_headers(["a-b", "a.b"].into_iter()).is_err());
    }

    #[test]
    fn a_setting_is_a_value_or_the_default() {
        let keep = or_default(keep);
        assert_eq!(keep("default"), Ok(Setting::Default));
        assert_eq!(keep("10m"), Ok(Setting::Value(Millis(600_000))));
        assert!(keep("8761h").is_err());
    }
}
