//! `falcon-cli queue`: what holds in queues beside their jobs, and their end.

use serde_json::json;

use super::args::{Common, Delete, Pause, Purge, QueueCommand, Resume, Set};
use super::groups::{self, Changes, one};
use super::mend::{Mend, by_filter, purge_queue};
use super::nearest::{Named, found_named};
use super::queue_state::{COLUMNS, cells, facts, settings_text};
use super::render::{Renderer, Row, shown, tell};
use super::{Stop, connect, explain, found, unless_gone};
use crate::client::{Client, ClientError, Filter, QueueSettings, Way};
use crate::protocol::Stats;
use crate::shapes::{self, bits};
use crate::time::Millis;
use crate::words::counted;

pub fn run(common: &Common, command: &QueueCommand) -> Result<(), Stop> {
    let client = connect::client(common)?;
    match command {
        QueueCommand::List => list(common, &client),
        QueueCommand::Show { name } => show(common, &client, name),
        QueueCommand::Explain { name } => explain::queue(common, name),
        QueueCommand::Pause(args) => pause(common, &client, args),
        QueueCommand::Resume(args) => resume(common, &client, args),
        QueueCommand::Set(args) => set(common, &client, args),
        QueueCommand::Groups { name } => groups::list(common, &client, name),
        QueueCommand::Purge(args) => purge(common, &client, args),
        QueueCommand::Delete(args) => delete(common, &client, args),
    }
}

fn found_queue<T>(client: &Client, name: &str, outcome: Result<T, ClientError>) -> Result<T, Stop> {
    found_named(client, Named::Queue, name, outcome)
}

fn list(common: &Common, client: &Client) -> Result<(), Stop> {
    let answer = client.stats()?;
    let queues = answer.read::<Stats>()?.queues;
    let mut renderer = Renderer::of_table(common.output, &COLUMNS);
    for queue in queues.iter() {
        // It may have been forgotten since.
        let Some(state) = unless_gone(client.show_queue(queue.name))? else { continue };
        let cells = cells(queue.name, &state);
        renderer.row(Row { cells, json: shapes::queue(queue.name, &state), quiet: queue.name.to_owned() })?;
    }
    Ok(renderer.flush()?)
}

/// Shows a queue; exit status 3 if there is none of this name.
fn show(common: &Common, client: &Client, name: &str) -> Result<(), Stop> {
    let state = found_queue(client, name, client.show_queue(name))?;
    Ok(tell(common.output, facts(name, &state), shapes::queue(name, &state), name.to_owned())?)
}

fn pause(common: &Common, client: &Client, args: &Pause) -> Result<(), Stop> {
    let Pause { name, ways, lasts, reason } = args;
    let way = ways.or(Way::Out);
    client.pause(name, way, lasts.map(Into::into), reason)?;
    let what = match way {
        Way::In => "takes no jobs; those that are there are handed out",
        Way::Out => "hands out no jobs; it still takes them (--in and --both close that way, too)",
        Way::Both => "takes no jobs, and hands out none",
    };
    let until = lasts.map_or_else(|| format!("until `falcon-cli queue resume {name}`"), |lasts| format!("for {lasts}"));
    let json = json!({"queue": name, "paused": way.word(), "for_ms": lasts.map(|lasts| lasts.0)});
    Ok(tell(common.output, format!("queue {name} {what}, {until}"), json, name.clone())?)
}

fn resume(common: &Common, client: &Client, args: &Resume) -> Result<(), Stop> {
    let Resume { name, ways } = args;
    let way = ways.or(Way::Both);
    found_queue(client, name, client.resume(name, way))?;
    let what = match way {
        Way::In => "takes jobs",
        Way::Out => "hands out jobs",
        Way::Both => "takes jobs, and hands them out",
    };
    let json = json!({"queue": name, "resumed": way.word()});
    Ok(tell(common.output, format!("queue {name} {what}"), json, name.clone())?)
}

/// Settles what is named; a queue that is not there yet is made.
fn set(common: &Common, client: &Client, args: &Set) -> Result<(), Stop> {
    let changes = Changes::of(&args.groups)?;
    let known = unless_gone(client.show_queue(&args.name))?.unwrap_or_default();
    let settings = changes.of_each.apply(changed(known.settings, args));
    client.set_queue(&args.name, settings)?;
    let settled = groups::settle(client, &args.name, &changes)?;
    let state = found(client.show_queue(&args.name))?;
    let mut lines = vec![format!("queue {}: {}", args.name, settings_text(&state.settings, "all as everywhere"))];
    let as_each = |text: String| if text.is_empty() { "as each".to_owned() } else { text };
    lines.extend(settled.iter().map(|group| {
        let name = if group.name.is_empty() { "\"\"".to_owned() } else { shown(group.name.as_bytes()) };
        format!("group {name} of queue {}: {}", args.name, as_each(groups::settings_text(&group.settings)))
    }));
    let mut json = shapes::queue(&args.name, &state);
    if !settled.is_empty() {
        json["groups"] = settled.iter().map(|group| shapes::group(&args.name, group)).collect();
    }
    Ok(tell(common.output, lines.join("\n"), json, args.name.clone())?)
}

/// The settings that a queue has, with those that are named.
fn changed(settings: QueueSettings, args: &Set) -> QueueSettings {
    /// Seconds, rounded up; they are within bounds.
    fn seconds(span: Millis) -> u32 {
        span.0.div_ceil(1000) as u32
    }
    QueueSettings {
        keep_s: one(settings.keep_s, args.keep, seconds),
        dead_keep_s: one(settings.dead_keep_s, args.dead_keep, seconds),
        backoff: one(settings.backoff, args.backoff, |backoff| backoff),
        max_attempts: one(settings.max_attempts, args.max_attempts, |attempts| attempts),
        depth_max: one(settings.depth_max, args.depth_max, |depth| depth),
        bytes_max: one(settings.bytes_max, args.bytes_max, |bytes| bytes),
        timeout_ms: one(settings.timeout_ms, args.timeout, |timeout| timeout.0 as u32),
        ttl_ms: one(settings.ttl_ms, args.ttl, |ttl| ttl.0),
        running_max: one(settings.running_max, args.running_max, |max| max),
        ..settings
    }
}

fn purge(common: &Common, client: &Client, args: &Purge) -> Result<(), Stop> {
    found_queue(client, &args.name, client.show_queue(&args.name))?;
    let filter = Filter { queue: Some(&args.name), standings: bits(&args.states), ..Filter::default() };
    by_filter(common, client, &Mend::purge(), filter, (args.yes, false))
}

/// Forgets a queue; one that still has jobs is refused.
fn delete(common: &Common, client: &Client, args: &Delete) -> Result<(), Stop> {
    let Delete { name, purge } = args;
    let purged = if *purge { purge_queue(client, name)? } else { 0 };
    found_queue(client, name, client.delete_queue(name))?;
    let with = if *purge { format!(", with {}", counted(purged, "job")) } else { String::new() };
    let json = json!({"queue": name, "deleted": true, "purged": purged});
    Ok(tell(common.output, format!("queue {name} is forgotten{with}"), json, name.clone())?)
}

#[cfg(test)]
mod tests {
    use super::super::args::{GroupArgs, Setting};
    use super::*;

    #[test]
    fn what_is_not_named_stays_and_a_default_takes_back() {
        let known = QueueSettings { keep_s: Some(60), ttl_ms: Some(1000), ..QueueSettings::default() };
        let named = Set {
            name: "q".to_owned(),
            keep: None,
            dead_keep: Some(Setting::Value(Millis(1500))),
            backoff: None,
            max_attempts: Some(Setting::Value(3)),
            timeout: None,
            ttl: Some(Setting::Default),
            depth_max: None,
            bytes_max: Some(Setting::Value(10)),
            running_max: Some(Setting::Value(4)),
            groups: GroupArgs::default(),
        };
        let expected = QueueSettings {
            keep_s: Some(60),
            dead_keep_s: Some(2),
            max_attempts: Some(3),
            bytes_max: Some(10),
            running_max: Some(4),
            ..QueueSettings::default()
        };
        assert_eq!(changed(known, &named), expected);
    }
}
