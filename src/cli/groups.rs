//! Groups of queues: `falcon-cli queue groups`, and what `queue set` settles for single ones.

use std::collections::BTreeMap;

use super::Stop;
use super::args::{Common, GroupArgs, Setting, rates};
use super::nearest::{Named, found_named};
use super::render::{Renderer, Row};
use super::table::{Column, number, text, thousands};
use crate::client::{Client, GroupSettings, GroupState, QueueSettings, Rate};
use crate::exit::{self, Failure};
use crate::shapes;

/// The columns of a list.
const COLUMNS: [Column; 5] = [text("GROUP"), number("JOBS"), number("IN-FLIGHT"), number("TOKEN-IN"), text("SETTINGS")];

/// What is changed: of the queue, and of groups by their names.
#[derive(Debug, Default)]
pub struct Changes {
    pub of_each: EachGroup,
    pub by_name: BTreeMap<String, OneGroup>,
}

/// What is changed for a queue, and for each of its groups.
#[derive(Debug, Default)]
pub struct EachGroup {
    rate: Option<Setting<Rate>>,
    group_rate: Option<Setting<Rate>>,
    running_max: Option<Setting<u32>>,
    strict: Option<Setting<bool>>,
}

/// What is changed for one group.
#[derive(Debug, Default)]
pub struct OneGroup {
    weight: Option<Setting<u16>>,
    running_max: Option<Setting<u32>>,
    rate: Option<Setting<Rate>>,
}

impl Changes {
    pub fn of(args: &GroupArgs) -> Result<Changes, Stop> {
        let read = |name: &str, words: &[String]| {
            rates(words).map_err(|text| Failure::new(exit::USAGE, format!("--{name}: {text}")))
        };
        let mut changes = Changes::default();
        changes.of_each.strict = args.strict;
        for (name, setting) in read("rate", &args.rate)? {
            if name.is_some() {
                return Err(Failure::new(exit::USAGE, "--rate is of the whole queue; --group-rate is of groups").into());
            }
            changes.of_each.rate = Some(setting);
        }
        for (name, setting) in read("group-rate", &args.group_rate)? {
            match name {
                Some(name) => changes.by_name.entry(name).or_default().rate = Some(setting),
                None => changes.of_each.group_rate = Some(setting),
            }
        }
        for (name, setting) in &args.group_running_max {
            match name {
                Some(name) => changes.by_name.entry(name.clone()).or_default().running_max = Some(*setting),
                None => changes.of_each.running_max = Some(*setting),
            }
        }
        for (name, setting) in &args.group_weight {
            changes.by_name.entry(name.clone().unwrap_or_default()).or_default().weight = Some(*setting);
        }
        Ok(changes)
    }
}

/// What was known, or what is named.
pub fn one<T, V>(known: Option<V>, named: Option<Setting<T>>, value: impl Fn(T) -> V) -> Option<V> {
    match named {
        None => known,
        Some(Setting::Default) => None,
        Some(Setting::Value(named)) => Some(value(named)),
    }
}

impl EachGroup {
    pub fn apply(&self, settings: QueueSettings) -> QueueSettings {
        QueueSettings {
            rate: one(settings.rate, self.rate, |rate| rate),
            group_rate: one(settings.group_rate, self.group_rate, |rate| rate),
            group_running_max: one(settings.group_running_max, self.running_max, |max| max),
            strict: one(settings.strict, self.strict, |strict| strict),
            ..settings
        }
    }
}

impl OneGroup {
    fn apply(&self, settings: GroupSettings) -> GroupSettings {
        GroupSettings {
            weight: one(settings.weight, self.weight, |weight| weight),
            running_max: one(settings.running_max, self.running_max, |max| max),
            rate: one(settings.rate, self.rate, |rate| rate),
        }
    }
}

/// Settles what is named for single groups; gives what then holds for each.
pub fn settle(client: &Client, queue: &str, changes: &Changes) -> Result<Vec<GroupState>, Stop> {
    let settled = changes.by_name.iter().map(|(name, change)| {
        let known = client.group(queue, name)?;
        client.set_group(queue, name, change.apply(known.settings))?;
        Ok(client.group(queue, name)?)
    });
    settled.collect()
}

/// Lists the groups of a queue: those that have settings, then others that have jobs.
pub fn list(common: &Common, client: &Client, queue: &str) -> Result<(), Stop> {
    let mut renderer = Renderer::of_table(common.output, &COLUMNS);
    let mut from = None;
    loop {
        let page = found_named(client, Named::Queue, queue, client.groups(queue, from))?;
        for group in &page.groups {
            let waits = group.token_in.map(|left| format!("{} ms", left.as_millis()));
            let cells = vec![
                group.name.clone(),
                thousands(group.jobs),
                thousands(group.in_flight),
                waits.unwrap_or_default(),
                settings_text(&group.settings),
            ];
            renderer.row(Row { cells, json: shapes::group(queue, group), quiet: group.name.clone() })?;
        }
        renderer.flush()?;
        from = page.next;
        if from.is_none() {
            return Ok(());
        }
    }
}

/// What is set for a group, as on the command line.
pub fn settings_text(settings: &GroupSettings) -> String {
    let GroupSettings { weight, running_max, rate } = settings;
    let set = [
        weight.map(|weight| format!("weight={weight}")),
        running_max.map(|max| format!("running-max={max}")),
        rate.map(|rate| format!("rate={rate}")),
    ];
    set.into_iter().flatten().collect::<Vec<_>>().join(" ")
}
