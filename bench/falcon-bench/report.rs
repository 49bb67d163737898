//! What the rounds come to: medians, ratios, JSON and tables.

use serde_json::{Map, Value, json};

use crate::load::Figures;
use crate::scenario::Scenario;

/// All rounds of one server in one variant of a scenario.
pub struct Row {
    pub variant: &'static str,
    pub server: &'static str,
    pub durability: &'static str,
    pub rounds: Vec<Figures>,
    /// Why there is nothing to report. One failed round spoils a row.
    pub refused: Option<String>,
}

impl Row {
    /// The median of each figure over the rounds; nothing of a row that was refused.
    pub fn medians(&self) -> Figures {
        let Some(first) = self.rounds.first() else { return Figures::new() };
        if self.refused.is_some() {
            return Figures::new();
        }
        let of = |name: &String| {
            let mut values: Vec<f64> = self.rounds.iter().filter_map(|round| round.get(name).copied()).collect();
            values.sort_by(f64::total_cmp);
            (name.clone(), median(&values))
        };
        first.keys().map(of).collect()
    }

    /// The smallest and the largest of a figure.
    pub fn range(&self, name: &str) -> Option<(f64, f64)> {
        let values = || self.rounds.iter().filter_map(|round| round.get(name).copied());
        let found = self.refused.is_none().then(|| (values().fold(f64::MAX, f64::min), values().fold(0.0, f64::max)));
        found.filter(|(low, high)| low <= high)
    }
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { f64::midpoint(sorted[middle - 1], sorted[middle]) } else { sorted[middle] }
}

/// Figures of `ours` over those of `theirs`, where both have them.
fn ratios(ours: &Figures, theirs: &Figures) -> Map<String, Value> {
    let of = |(name, value): (&String, &f64)| {
        let other = theirs.get(name).filter(|other| **other > 0.0)?;
        Some((name.clone(), json!(rounded(value / other))))
    };
    ours.iter().filter_map(of).collect()
}

fn rounded(value: f64) -> f64 {
    let scale = if value.abs() >= 100.0 { 10.0 } else { 10_000.0 };
    (value * scale).round() / scale
}

fn figures_json(figures: &Figures) -> Value {
    figures.iter().map(|(name, value)| (name.clone(), json!(rounded(*value)))).collect::<Map<_, _>>().into()
}

fn variant_json(scenario: &Scenario, rows: &[Row], variant: &str, first_variant: &str) -> Value {
    let in_variant: Vec<&Row> = rows.iter().filter(|row| row.variant == variant).collect();
    let (mut servers, mut all_ratios) = (Map::new(), Map::new());
    for row in &in_variant {
        let mut entry = json!({
            "durability": row.durability,
            "medians": figures_json(&row.medians()),
            "rounds": row.rounds.iter().map(figures_json).collect::<Vec<_>>(),
        });
        if let Some(why) = &row.refused {
            entry["refused"] = json!(why);
            entry["rounds"] = json!([]);
        }
        let plain = rows.iter().find(|other| other.variant == first_variant && other.server == row.server);
        if let Some(plain) = plain.filter(|_| variant != first_variant) {
            entry["to_first_variant"] = ratios(&row.medians(), &plain.medians()).into();
        }
        servers.insert(row.server.into(), entry);
    }
    for ours in in_variant.iter().filter(|row| row.server.starts_with("falcon-")) {
        let others = in_variant.iter().filter(|row| row.server != ours.server);
        let of = |row: &&Row| (row.server.to_owned(), ratios(&ours.medians(), &row.medians()).into());
        all_ratios.insert(ours.server.into(), others.map(of).collect::<Map<_, _>>().into());
    }
    json!({ "compared": scenario.key, "servers": servers, "ratios": all_ratios })
}

/// A scenario's part of the JSON.
pub fn scenario_json(scenario: &Scenario, rows: &[Row]) -> Value {
    let mut variants = Map::new();
    let first = rows.first().map_or("", |row| row.variant);
    for row in rows {
        let name = if row.variant.is_empty() { "all" } else { row.variant };
        if !variants.contains_key(name) {
            variants.insert(name.into(), variant_json(scenario, rows, row.variant, first));
        }
    }
    json!({ "says": scenario.says, "more_is_better": scenario.more_is_better(), "variants": variants })
}

/// A number as a person reads it.
pub fn shown(value: f64) -> String {
    if value.abs() >= 100.0 {
        let digits = format!("{value:.0}");
        let mut out = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) && !out.ends_with('-') {
                out.push(',');
            }
            out.push(digit);
        }
        out
    } else if value.abs() >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// A name of a figure without its unit's underscores.
pub fn titled(key: &str) -> String {
    key.replace("_per_s", "/s").replace("_us", " us").replace('_', " ")
}

/// The columns of a table: the figure that is compared, then what tells most beside it.
const COLUMNS: &[&str] = &[
    "submit_p50_us",
    "delivery_p50_us",
    "delivery_p99_us",
    "server_us_a_job",
    "server_core",
    "generator_core",
    "jobs_a_sync",
    "anonymous_bytes_before",
    "anonymous_bytes_after_drain",
    "sync_p50_us",
    "paced_sync_p50_us",
];

pub fn table(scenario: &Scenario, rows: &[Row]) -> String {
    let is_there = |column: &&str| rows.iter().any(|row| row.medians().contains_key(*column));
    let columns = COLUMNS.iter().copied().filter(|column| *column != scenario.key);
    let columns: Vec<&str> = columns.filter(is_there).collect();
    let mut out = format!(
        "\n## {}: {}\n\n| variant | server | what a reply means | {} | falcon-always is × |",
        scenario.name,
        scenario.says,
        titled(scenario.key)
    );
    for column in &columns {
        out.push_str(&format!(" {} |", titled(column)));
    }
    out.push_str("\n| --- | --- | --- | ---: | ---: |");
    out.push_str(&" ---: |".repeat(columns.len()));
    out.push('\n');
    for row in rows {
        out.push_str(&format!("| {} | {} | {} |", row.variant, row.server, row.durability));
        if let Some(why) = &row.refused {
            out.push_str(&format!(" no figures: {why} |\n"));
            continue;
        }
        let medians = row.medians();
        let cell = |name: &str| medians.get(name).map_or("–".to_owned(), |value| shown(*value));
        let ours = rows.iter().find(|other| other.variant == row.variant && other.server == "falcon-always");
        let ratio = ours
            .and_then(|ours| Some(ours.medians().get(scenario.key)? / medians.get(scenario.key)?))
            .map_or("–".to_owned(), |ratio| format!("{ratio:.2}"));
        out.push_str(&format!(" {} | {ratio} |", cell(scenario.key)));
        for column in &columns {
            out.push_str(&format!(" {} |", cell(column)));
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(server: &'static str, values: &[f64]) -> Row {
        let rounds = values.iter().map(|value| Figures::from([("cycles_per_s".to_owned(), *value)])).collect();
        Row { variant: "", server, durability: "", rounds, refused: None }
    }

    #[test]
    fn ratios_are_those_of_medians() {
        let rows = [row("falcon-always", &[10.0, 40.0, 30.0]), row("peer", &[15.0, 5.0, 900.0])];
        let scenario = Scenario::by_name("cycles-50").unwrap();
        let json = scenario_json(scenario, &rows);
        let ratio = &json["variants"]["all"]["ratios"]["falcon-always"]["peer"]["cycles_per_s"];
        assert_eq!(ratio.as_f64(), Some(2.0));
        assert!(table(scenario, &rows).contains("| peer |  | 15.0 | 2.00 |"), "{}", table(scenario, &rows));
    }

    #[test]
    fn nothing_is_reported_of_a_row_with_an_error() {
        let mut rows = [row("falcon-always", &[10.0]), row("peer", &[15.0])];
        rows[1].refused = Some("it lied".into());
        let scenario = Scenario::by_name("cycles-50").unwrap();
        let json = scenario_json(scenario, &rows);
        let variant = &json["variants"]["all"];
        assert_eq!(variant["servers"]["peer"]["rounds"], json!([]));
        assert_eq!(variant["ratios"]["falcon-always"]["peer"], json!({}));
        assert!(table(scenario, &rows).contains("no figures: it lied"));
    }

    #[test]
    fn numbers_have_their_thousands_apart() {
        assert_eq!(shown(1_234_567.8), "1,234,568");
        assert_eq!(shown(123.0), "123");
        assert_eq!(shown(12.34), "12.3");
        assert_eq!(shown(1.234), "1.23");
    }
}
