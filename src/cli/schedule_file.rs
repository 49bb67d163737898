//! `falcon-cli schedule apply`: a TOML or JSON file that says which schedules there are. All of it is looked at, by the
//! master, too, before anything is changed.

use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::{Map, Value, json};

use super::args::{
    Apply, Common, backoff, check_header, check_headers, every, group, jitter, keep, missed, timeout, ttl,
};
use super::input::InputFile;
use super::render::{Renderer, Row, beginning};
use super::schedule::all;
use super::table::text;
use super::{Stop, found, unless_gone};
use crate::client::{Client, ClientError, PutChange, ScheduleSpec, headers};
use crate::exit::{self, Failure};
use crate::ids::{parse_queue_name, parse_schedule_name};
use crate::job::{Backoff, Settings};
use crate::limits::{ATTEMPTS_MAX, PRIORITY_DEFAULT};
use crate::schedule::Missed;
use crate::shapes::told;
use crate::time::Millis;
use crate::words::counted;

/// Longest file: all schedules that there may be, and the words around them.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// The file: `[[schedule]]` tables, or `{"schedule": [...]}`.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ScheduleFile {
    #[serde(default)]
    schedule: Vec<Entry>,
}

/// One schedule, in the words of the command line.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(deserialize_with = "schedule_name")]
    name: String,
    #[serde(deserialize_with = "queue_name")]
    queue: String,
    payload: String,
    #[serde(default)]
    cron: Option<String>,
    #[serde(default, deserialize_with = "some_every")]
    every: Option<Millis>,
    #[serde(default)]
    tz: Option<String>,
    #[serde(default, deserialize_with = "some_jitter")]
    jitter: Option<Millis>,
    #[serde(default, deserialize_with = "some_missed")]
    missed: Option<(Missed, u16)>,
    #[serde(default, deserialize_with = "some_overlap")]
    overlap: Option<bool>,
    #[serde(default, deserialize_with = "some_group")]
    group: Option<String>,
    #[serde(default)]
    priority: Option<u8>,
    #[serde(default, deserialize_with = "some_attempts")]
    max_attempts: Option<u16>,
    #[serde(default, deserialize_with = "some_timeout")]
    timeout: Option<Millis>,
    #[serde(default, deserialize_with = "some_keep")]
    keep: Option<Millis>,
    #[serde(default, deserialize_with = "some_ttl")]
    ttl: Option<Millis>,
    #[serde(default, deserialize_with = "some_backoff")]
    backoff: Option<Backoff>,
    #[serde(default, deserialize_with = "some_headers")]
    headers: Vec<(String, String)>,
}

/// A text that is read as on the command line.
fn parsed<'de, D: Deserializer<'de>, T, E: std::fmt::Display>(
    deserializer: D,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).map_err(|error| D::Error::custom(format!("{text:?}: {error}")))
}

macro_rules! readers {
    ($($name:ident: $type:ty = $parse:expr;)*) => {$(
        fn $name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<$type>, D::Error> {
            parsed(deserializer, $parse).map(Some)
        }
    )*};
}

readers! {
    some_every: Millis = every;
    some_jitter: Millis = jitter;
    some_missed: (Missed, u16) = missed;
    some_overlap: bool = overlap;
    some_group: String = group;
    some_timeout: Millis = timeout;
    some_keep: Millis = keep;
    some_ttl: Millis = ttl;
    some_backoff: Backoff = backoff;
}

fn schedule_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    parsed(deserializer, parse_schedule_name)
}

fn queue_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    parsed(deserializer, parse_queue_name)
}

fn overlap(text: &str) -> Result<bool, &'static str> {
    match text {
        "allow" => Ok(false),
        "skip" => Ok(true),
        _ => Err("overlap is allow or skip"),
    }
}

fn some_attempts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    let attempts = u16::deserialize(deserializer)?;
    if (1..=ATTEMPTS_MAX).contains(&attempts) {
        return Ok(Some(attempts));
    }
    Err(D::Error::custom(format!("max_attempts is {attempts}; it takes 1 to {ATTEMPTS_MAX}")))
}

fn some_headers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
    let headers = BTreeMap::<String, String>::deserialize(deserializer)?;
    headers.iter().try_for_each(|(name, value)| check_header(name, value)).map_err(D::Error::custom)?;
    check_headers(headers.keys().map(String::as_str)).map_err(D::Error::custom)?;
    Ok(headers.into_iter().collect())
}

impl Entry {
    fn spec(self) -> (String, ScheduleSpec) {
        let pairs: Vec<(&str, &str)> = self.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let headers = if pairs.is_empty() { Vec::new() } else { headers(&pairs) };
        let (missed, missed_max) = self.missed.unwrap_or_default();
        let spec = ScheduleSpec {
            queue: self.queue,
            cron: self.cron.unwrap_or_default(),
            every_ms: self.every.map_or(0, |every| every.0),
            zone: self.tz.unwrap_or_default(),
            jitter_ms: self.jitter.map_or(0, |jitter| jitter.0 as u32),
            missed,
            missed_max,
            skip_overlap: self.overlap.unwrap_or(false),
            settings: Settings {
                priority: self.priority.unwrap_or(PRIORITY_DEFAULT),
                max_attempts: self.max_attempts.unwrap_or(0),
                timeout_ms: self.timeout.map_or(0, |timeout| timeout.0 as u32),
            },
            keep_ms: self.keep.map(|keep| keep.0),
            backoff: self.backoff,
            ttl_ms: self.ttl.map(|ttl| ttl.0),
            headers,
            group: self.group.unwrap_or_default(),
            payload: self.payload.into_bytes(),
        };
        (self.name, spec)
    }
}

/// Reads a file's text.
///
/// # Errors
/// A sentence with the line and the field.
fn parse(text: &str, is_toml: bool) -> Result<Vec<(String, ScheduleSpec)>, String> {
    let file: ScheduleFile = if is_toml {
        toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?
    } else {
        serde_json::from_str(text).map_err(|error| error.to_string())?
    };
    let mut names = HashSet::new();
    for entry in &file.schedule {
        if !names.insert(entry.name.clone()) {
            return Err(format!("{}: there are two schedules of the name {:?}", place(text, &entry.name), entry.name));
        }
    }
    Ok(file.schedule.into_iter().map(Entry::spec).collect())
}

/// Where a schedule stands in the file: the last line that has its name.
fn place(text: &str, name: &str) -> String {
    let quoted = [format!("\"{name}\""), format!("'{name}'")];
    let names_it = |line: &str| line.contains("name") && quoted.iter().any(|name| line.contains(name.as_str()));
    let line = text.lines().collect::<Vec<_>>().iter().rposition(|line| names_it(line));
    line.map_or_else(|| format!("schedule {name:?}"), |line| format!("line {}", line + 1))
}

/// What becomes of a schedule of the file, or of one that is not in it.
struct Step {
    name: String,
    change: &'static str,
    /// Fields that differ, before and after.
    differs: Vec<(&'static str, Option<Value>, Option<Value>)>,
}

pub fn apply(common: &Common, client: &Client, args: &Apply) -> Result<(), Stop> {
    let (text, is_toml) = read(&args.file)?;
    let name = args.file.display();
    let refused = |why: String| Failure::new(exit::USAGE, format!("{name}: {why}; nothing was changed"));
    let specs = parse(&text, is_toml).map_err(refused)?;
    let mut steps = Vec::new();
    for (schedule, spec) in &specs {
        let (change, _) = client.put_schedule(schedule, spec, true).map_err(|error| match error {
            ClientError::Refused(refusal) => {
                let why = format!("{}: schedule {schedule:?}: {}", place(&text, schedule), refusal.text);
                Failure::new(exit::REFUSED, format!("{name}: {why}; nothing was changed")).into()
            }
            error => Stop::from(error),
        })?;
        let before = if change == PutChange::Added { None } else { unless_gone(client.show_schedule(schedule))? };
        let differs = before.map_or(Vec::new(), |before| differences(&before.spec, spec));
        steps.push(Step { name: schedule.clone(), change: change.word(), differs });
    }
    if args.prune {
        let named: HashSet<&str> = specs.iter().map(|(name, _)| name.as_str()).collect();
        let others = all(client)?.into_iter().filter(|schedule| !named.contains(schedule.name.as_str()));
        steps.extend(others.map(|schedule| Step { name: schedule.name, change: REMOVED, differs: Vec::new() }));
    }
    if !args.dry_run {
        carry_out(client, &specs, &steps)?;
    }
    show(common, &steps, args.dry_run)
}

const REMOVED: &str = "removed";
const SAME: &str = PutChange::Same.word();

fn carry_out(client: &Client, specs: &[(String, ScheduleSpec)], steps: &[Step]) -> Result<(), Stop> {
    // Those that go make room for those that come.
    for step in steps.iter().filter(|step| step.change == REMOVED) {
        unless_gone(client.drop_schedule(&step.name))?;
    }
    for ((name, spec), _) in specs.iter().zip(steps).filter(|(_, step)| step.change != SAME) {
        found(client.put_schedule(name, spec, false))?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<(String, bool), Failure> {
    let is_toml = match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => true,
        Some("json") => false,
        _ => {
            let text = format!("{}: the name of a file of schedules ends in .toml or .json", path.display());
            return Err(Failure::new(exit::USAGE, text));
        }
    };
    let mut input = InputFile::open(path)?;
    let mut bytes = Vec::new();
    input.reader.by_ref().take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(|error| input.failure(&error))?;
    let text = super::jobs_file::text(&bytes);
    let text = text.map_err(|why| Failure::new(exit::USAGE, format!("{}: {why}", input.name)))?;
    Ok((text.to_owned(), is_toml))
}

fn differences(before: &ScheduleSpec, after: &ScheduleSpec) -> Vec<(&'static str, Option<Value>, Option<Value>)> {
    let fields = |spec| -> BTreeMap<&'static str, Value> {
        told(spec).into_iter().map(|(name, _, value)| (name, value)).collect()
    };
    let (before, after) = (fields(before), fields(after));
    let names: std::collections::BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
    let pairs = names.into_iter().map(|name| (name, before.get(name).cloned(), after.get(name).cloned()));
    pairs.filter(|(_, before, after)| before != after).collect()
}

fn show(common: &Common, steps: &[Step], dry_run: bool) -> Result<(), Stop> {
    let mut renderer = Renderer::of_table(common.output, &[text(""), text(""), text("")]);
    for step in steps.iter().filter(|step| step.change != SAME) {
        let told = |value: &Option<Value>| match value {
            None => "(default)".to_owned(),
            Some(Value::String(text)) => beginning(text.as_bytes()),
            Some(value) => beginning(value.to_string().as_bytes()),
        };
        let each =
            step.differs.iter().map(|(name, before, after)| format!("{name}: {} -> {}", told(before), told(after)));
        let differs: Vec<String> = each.collect();
        let values = step.differs.iter().map(|(name, before, after)| ((*name).to_owned(), json!([before, after])));
        let differs_json: Map<String, Value> = values.collect();
        let json = json!({
            "schedule": step.name, "change": step.change, "differs": differs_json, "dry_run": dry_run,
        });
        let cells = vec![step.change.to_owned(), step.name.clone(), differs.join(", ")];
        renderer.row(Row { cells, json, quiet: step.name.clone() })?;
    }
    renderer.flush()?;
    let count = |change: &str| steps.iter().filter(|step| step.change == change).count();
    let [added, changed] = [PutChange::Added, PutChange::Changed].map(|change| count(change.word()));
    let (would, removed, same) = (if dry_run { "would be " } else { "" }, count(REMOVED), count(SAME));
    let of = counted(steps.len() as u64, "schedule");
    exit::say(&format!("{of}: {added} {would}added, {changed} changed, {removed} removed, {same} as they were"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOML: &str = r#"
[[schedule]]
name = "report"
cron = "0 7 * * *"
tz = "Europe/Berlin"
queue = "reports"
payload = "daily"
missed = "all:3"
overlap = "skip"
headers = { kind = "daily" }
group = "acme"

[[schedule]]
name = "sweep"
every = "90s"
queue = "sweeps"
payload = ""
"#;

    #[test]
    fn toml_and_json_say_the_same() {
        let json = r#"{"schedule": [
            {"name": "report", "cron": "0 7 * * *", "tz": "Europe/Berlin", "queue": "reports", "payload": "daily",
             "missed": "all:3", "overlap": "skip", "headers": {"kind": "daily"}, "group": "acme"},
            {"name": "sweep", "every": "90s", "queue": "sweeps", "payload": ""}
        ]}"#;
        let (of_toml, of_json) = (parse(TOML, true).unwrap(), parse(json, false).unwrap());
        assert_eq!(of_toml, of_json);
        let (name, report) = &of_toml[0];
        assert_eq!((name.as_str(), report.missed, report.missed_max), ("report", Missed::All, 3));
        assert_eq!(report.group, "acme");
        assert!(report.skip_overlap && report.settings.priority == PRIORITY_DEFAULT);
        assert_eq!(of_toml[1].1.every_ms, 90_000);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_field() {
        for (from, to, line, why) in [
            ("overlap = \"skip\"", "overlap = \"maybe\"", "line 9", "allow or skip"),
            ("every = \"90s\"", "every = \"90\"", "line 15", "duration"),
            ("every = \"90s\"", "evry = \"90s\"", "line 15", "evry"),
            ("missed = \"all:3\"", "missed = \"all\"", "line 8", "all:10"),
            ("name = \"sweep\"", "name = \"report\"", "line 14", "two schedules"),
            ("group = \"acme\"", "group = \"\"", "line 11", "group name"),
        ] {
            let error = parse(&TOML.replace(from, to), true).unwrap_err();
            assert!(error.contains(line) && error.contains(why), "{to}: {error}");
        }
        let error = parse("{\"schedule\": [\n{\"name\": \"x\", \"queue\": \"q\"}]}", false).unwrap_err();
        assert!(error.contains("payload") && error.contains("line 2"), "{error}");
    }

    #[test]
    fn what_differs_is_told_by_its_field() {
        let mut specs = parse(TOML, true).unwrap();
        let before = specs.remove(0).1;
        let after = ScheduleSpec { cron: "0 8 * * *".to_owned(), keep_ms: Some(60_000), ..before.clone() };
        let differs = differences(&before, &after);
        let of = |value: &str| Some(Value::from(value));
        assert_eq!(differs, [("cron", of("0 7 * * *"), of("0 8 * * *")), ("keep", None, of("1m"))]);
        assert_eq!(differences(&before, &before), []);
    }
}
