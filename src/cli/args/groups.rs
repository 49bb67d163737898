//! The options of `falcon-cli queue set` that are about groups and rates.

use super::headings::GROUPS;
use super::values::{Setting, at_least_one, group, number, rate};
use crate::limits::GROUP_WEIGHT_MAX;
use crate::rules::Rate;

/// A setting of one group, or of each.
pub type OfGroup<T> = (Option<String>, Setting<T>);

#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = GROUPS)]
pub struct GroupArgs {
    /// How often jobs may be handed out, over all workers: 100/s, 30/m burst 5. The burst is what may go at once after
    /// a pause; without it, what comes in a second, and at least one.
    #[arg(long, value_name = "RATE", num_args = 1..=3)]
    pub rate: Vec<String>,
    /// How often jobs of each group may; with GROUP= those of this one.
    #[arg(long, value_name = "[GROUP=]RATE", num_args = 1..=3)]
    pub group_rate: Vec<String>,
    /// How many jobs of each group may be in flight at once; with GROUP= of this one.
    #[arg(long, value_name = "[GROUP=]N", value_parser = of_group)]
    pub group_running_max: Vec<OfGroup<u32>>,
    /// How many jobs a group hands out in each of its turns; 1 if nothing is said.
    #[arg(long, value_name = "GROUP=N", value_parser = weight)]
    pub group_weight: Vec<OfGroup<u16>>,
    /// While a job of a group is in flight, or waits for another attempt, hand out no other of the group; --strict=off
    /// takes that back.
    #[arg(long, value_name = "on|off", num_args = 0..=1, require_equals = true, default_missing_value = "on")]
    #[arg(value_parser = on_or_off)]
    pub strict: Option<Setting<bool>>,
}

/// What is before the last `=`, and what is behind it.
fn split(text: &str) -> Result<(Option<String>, &str), String> {
    match text.rsplit_once('=') {
        None => Ok((None, text)),
        // Those that are in no group.
        Some(("", value)) => Ok((Some(String::new()), value)),
        Some((name, value)) => Ok((Some(group(name)?), value)),
    }
}

fn setting<T>(text: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Setting<T>, String> {
    if text == "default" { Ok(Setting::Default) } else { parse(text).map(Setting::Value) }
}

fn of_group(text: &str) -> Result<OfGroup<u32>, String> {
    let (name, value) = split(text)?;
    Ok((name, setting(value, at_least_one)?))
}

fn weight(text: &str) -> Result<OfGroup<u16>, String> {
    let (Some(name), value) = split(text)? else { return Err("write GROUP=N".to_owned()) };
    let in_bounds = |weight: u16| (1..=GROUP_WEIGHT_MAX).contains(&weight).then_some(weight);
    let parse = |text: &str| in_bounds(number(text)?).ok_or_else(|| format!("a weight is 1 to {GROUP_WEIGHT_MAX}"));
    Ok((Some(name), setting(value, parse)?))
}

fn on_or_off(text: &str) -> Result<Setting<bool>, String> {
    match text {
        "on" => Ok(Setting::Value(true)),
        "off" | "default" => Ok(Setting::Default),
        _ => Err("write on or off".to_owned()),
    }
}

/// Reads the words of rates: each begins anew but for `burst` and the number behind it.
pub fn rates(words: &[String]) -> Result<Vec<OfGroup<Rate>>, String> {
    let mut texts: Vec<String> = Vec::new();
    let mut is_burst = false;
    for word in words {
        match texts.last_mut().filter(|_| is_burst || word == "burst") {
            Some(text) => *text = format!("{text} {word}"),
            None => texts.push(word.clone()),
        }
        is_burst = word == "burst";
    }
    let read = |text: &String| {
        let (name, value) = split(text)?;
        Ok((name, setting(value, rate)?))
    };
    texts.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(',').map(str::to_owned).collect()
    }

    #[test]
    fn rates_are_read_with_their_bursts_and_groups() {
        let rate = |tokens, per_ms, burst| Setting::Value(Rate { tokens, per_ms, burst });
        assert_eq!(rates(&words("100/s")), Ok(vec![(None, rate(100, 1000, 100))]));
        assert_eq!(rates(&words("30/m,burst,5")), Ok(vec![(None, rate(30, 60_000, 5))]));
        assert_eq!(rates(&words("30/m burst 5")), Ok(vec![(None, rate(30, 60_000, 5))]));
        let two = vec![(Some("a=b c".to_owned()), rate(5, 10_000, 1)), (Some(String::new()), Setting::Default)];
        assert_eq!(rates(&words("a=b c=5/10s,=default")), Ok(two));
        for wrong in ["5", "5/x", "0/s", "x/s", "5/s burst", "5/s burst x", "5/s peak 3", "5/25h", "5/0s", "5/s,burst"]
        {
            assert!(rates(&words(wrong)).is_err(), "{wrong}");
        }
        assert!(rates(&words("5000000000/s")).is_err_and(|why| why.contains("1 to 1000000 jobs")));
    }

    #[test]
    fn weights_and_limits_name_their_groups() {
        assert_eq!(weight("acme=3"), Ok((Some("acme".to_owned()), Setting::Value(3))));
        assert_eq!(of_group("acme=default"), Ok((Some("acme".to_owned()), Setting::Default)));
        assert_eq!(of_group("7"), Ok((None, Setting::Value(7))));
        for wrong in ["3", "acme=0", "acme=1001", "acme=", "a\nb=1"] {
            assert!(weight(wrong).is_err(), "{wrong:?}");
        }
    }
}
