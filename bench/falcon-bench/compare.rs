//! Scenarios over servers, interleaved: each round goes through all servers, so that all share a busy moment.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::args::CompareArgs;
use crate::load::Figures;
use crate::report::{self, Row, shown};
use crate::runs::{Run, Settings};
use crate::scenario::{SCENARIOS, Scenario};
use crate::server::{MODES, Mode, version};
use crate::{machine, plot, sync};

const DISK: &str = "fdatasync";
const DISK_SPAN: Duration = Duration::from_millis(500);

pub struct Compare {
    settings: Settings,
    rounds: usize,
    servers: Vec<String>,
    not_run: Vec<(&'static str, String)>,
    about: Value,
    out: Option<PathBuf>,
}

/// Runs what was asked for; tells whether every row has figures.
pub fn compare(args: &CompareArgs) -> Result<bool, String> {
    let mut chosen = Vec::new();
    for name in &args.scenarios {
        chosen.push(Scenario::by_name(name).ok_or_else(|| {
            let names: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
            format!("no scenario {name}; there are {}", names.join(", "))
        })?);
    }
    machine::pin_self()?;
    let compare = Compare::new(args)?;
    let (mut whole, mut is_whole) = (compare.about.clone(), true);
    whole["scenarios"] = json!({});
    for scenario in chosen {
        let rows = compare.run(scenario);
        is_whole &= rows.iter().all(|row| row.refused.is_none());
        println!("\n{}", report::table(scenario, &rows));
        let json = report::scenario_json(scenario, &rows);
        compare.keep(scenario, &rows, &json)?;
        whole["scenarios"][scenario.name] = json;
        if let Some(path) = &args.json {
            // After each scenario: a run that is stopped keeps what it has.
            write_file(path, &format!("{whole:#}\n"))?;
        }
    }
    Ok(is_whole)
}

impl Compare {
    fn new(args: &CompareArgs) -> Result<Compare, String> {
        let settings = args.settings();
        if let Some(name) = args.servers.iter().find(|name| MODES.iter().all(|mode| mode.name != **name)) {
            let names: Vec<&str> = MODES.iter().map(|mode| mode.name).collect();
            return Err(format!("no server {name}; there are {}", names.join(", ")));
        }
        let missing = |mode: &'static Mode| Some((mode.name, mode.is_there(&settings.falcond).err()?));
        let not_run: Vec<_> = MODES.iter().filter_map(missing).collect();
        for (name, why) in &not_run {
            eprintln!("not run: {name}: {why}");
        }
        if let Some(dir) = &args.out {
            fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        }
        let versions = ["redis-server", "beanstalkd", "nats-server"].map(version);
        let about = json!({
            "machine": machine::line(&settings.base),
            "commit": machine::commit(),
            "unix_time": SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |span| span.as_secs()),
            "is_quick": settings.is_quick,
            "rounds": args.rounds(),
            "window_s": settings.window.as_secs_f64(),
            "warmup_s": settings.warmup.as_secs_f64(),
            "note": args.note,
            "versions": versions,
            "not_run": not_run.iter().map(|(name, why)| json!({"server": name, "why": why})).collect::<Vec<_>>(),
        });
        let (rounds, servers, out) = (args.rounds(), args.servers.clone(), args.out.clone());
        Ok(Compare { settings, rounds, servers, not_run, about, out })
    }

    fn caption(&self) -> String {
        let word = |name: &str| self.about[name].as_str().unwrap_or_default().to_owned();
        let note = word("note");
        format!(
            "{}; commit {}; {} rounds of {} s{}{note}",
            word("machine"),
            word("commit"),
            self.rounds,
            self.settings.window.as_secs_f64(),
            if note.is_empty() { "" } else { "; " },
        )
    }

    fn takes(&self, scenario: &Scenario, mode: &Mode) -> bool {
        let is_asked = self.servers.is_empty() || self.servers.iter().any(|name| name == mode.name);
        is_asked && scenario.takes(mode) && self.not_run.iter().all(|(name, _)| *name != mode.name)
    }

    fn run(&self, scenario: &'static Scenario) -> Vec<Row> {
        let mut rows = Vec::new();
        for variant in scenario.variants(self.settings.is_quick) {
            let row = |server, durability| Row { variant, server, durability, rounds: vec![], refused: None };
            let modes = MODES.iter().filter(|mode| self.takes(scenario, mode));
            rows.extend(modes.map(|mode| row(mode.name, mode.durability)));
            if scenario.has_disk_ceiling() {
                rows.push(row(DISK, "the ceiling: one sync after another"));
            }
        }
        for round in 1..=self.rounds {
            for row in &mut rows {
                self.round(scenario, row, round);
            }
        }
        rows
    }

    fn round(&self, scenario: &'static Scenario, row: &mut Row, round: usize) {
        if row.refused.is_some() {
            return;
        }
        let outcome = match MODES.iter().find(|mode| mode.name == row.server) {
            None => sync::run(&self.settings.base, DISK_SPAN, scenario.per_s()),
            Some(mode) => Run { scenario, variant: row.variant, mode, settings: &self.settings }.run(),
        };
        let what = format!("{} {} {} round {round}", scenario.name, row.variant, row.server);
        match outcome {
            Ok(figures) => {
                eprintln!("{what}: {}", brief(&figures, scenario.key));
                row.rounds.push(figures);
            }
            Err(why) => {
                eprintln!("{what}: FAILED: {why}");
                row.refused = Some(why);
            }
        }
    }

    /// Raw figures, picture and table of one scenario.
    fn keep(&self, scenario: &Scenario, rows: &[Row], json: &Value) -> Result<(), String> {
        let Some(dir) = &self.out else { return Ok(()) };
        let write = |name: String, text: String| write_file(&dir.join(name), &text);
        let mut whole = self.about.clone();
        whole["scenario"] = json.clone();
        write(format!("{}.json", scenario.name), format!("{whole:#}\n"))?;
        let table = report::table(scenario, rows);
        write(format!("{}.md", scenario.name), format!("{table}\n{}\n", self.caption()))?;
        write(format!("{}.svg", scenario.name), plot::svg(scenario, rows, &self.caption()))
    }
}

fn write_file(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn brief(figures: &Figures, key: &str) -> String {
    let names = [key, "delivery_p50_us", "delivery_p99_us", "sync_p50_us", "server_core", "generator_core"];
    let part = |name: &&str| Some(format!("{} {}", shown(*figures.get(*name)?), report::titled(name)));
    names.iter().filter_map(part).collect::<Vec<_>>().join(", ")
}
