//! A scenario as a picture: a bar for each server, from the first variant to the last, with the range of the rounds.

use crate::report::{Row, shown, titled};
use crate::scenario::Scenario;

const WIDTH: f64 = 820.0;
const LABELS: f64 = 230.0;
const NUMBERS: f64 = 110.0;
const LINE: f64 = 22.0;
const TOP: f64 = 58.0;

fn colour(server: &str) -> &'static str {
    match server {
        "falcon-always" => "#c2410c",
        "falcon-never" => "#fdba74",
        "echo" | "fdatasync" => "#9ca3af",
        _ => "#64748b",
    }
}

fn text(x: f64, y: f64, anchor: &str, size: u32, words: &str) -> String {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\">{words}</text>\n")
}

pub fn svg(scenario: &Scenario, rows: &[Row], caption: &str) -> String {
    let shown_rows: Vec<(&Row, f64, (f64, f64))> = rows
        .iter()
        .filter_map(|row| Some((row, *row.medians().get(scenario.key)?, row.range(scenario.key)?)))
        .collect();
    let most = shown_rows.iter().map(|(_, _, (_, high))| *high).fold(f64::MIN_POSITIVE, f64::max);
    let scale = (WIDTH - LABELS - NUMBERS) / most;
    let height = TOP + LINE * (shown_rows.len() as f64 + 1.5);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" font-family=\"sans-serif\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    out.push_str(&text(12.0, 24.0, "start", 16, &format!("{}: {}", scenario.name, scenario.says)));
    let better = if scenario.more_is_better() { "longer is better" } else { "shorter is better" };
    let line = format!("{}, {better}; median, and range of the rounds", titled(scenario.key));
    out.push_str(&text(12.0, 43.0, "start", 12, &line));
    for (index, (row, median, (low, high))) in shown_rows.iter().enumerate() {
        let y = TOP + LINE * index as f64;
        let label = if row.variant.is_empty() { row.server.into() } else { format!("{} {}", row.server, row.variant) };
        out.push_str(&text(LABELS - 8.0, y + 14.0, "end", 12, &label));
        out.push_str(&format!(
            "<rect x=\"{LABELS}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{}\" fill=\"{}\"/>\n",
            y + 3.0,
            median * scale,
            LINE - 7.0,
            colour(row.server),
        ));
        let (from, to, middle) = (LABELS + low * scale, LABELS + high * scale, y + LINE / 2.0 - 0.5);
        out.push_str(&format!(
            "<path d=\"M{from:.1} {middle:.1}H{to:.1}M{from:.1} {:.1}v8M{to:.1} {:.1}v8\" stroke=\"black\"/>\n",
            middle - 4.0,
            middle - 4.0,
        ));
        out.push_str(&text(to + 6.0, y + 14.0, "start", 12, &shown(*median)));
    }
    out.push_str(&text(12.0, height - 10.0, "start", 10, caption));
    out.push_str("</svg>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Figures;

    #[test]
    fn each_server_with_figures_has_a_bar() {
        let row = |server, refused: Option<&str>| Row {
            variant: "",
            server,
            durability: "",
            rounds: vec![Figures::from([("cycles_per_s".to_owned(), 5.0)])],
            refused: refused.map(str::to_owned),
        };
        let rows = [row("falcon-always", None), row("peer", None), row("liar", Some("it lied"))];
        let picture = svg(Scenario::by_name("cycles-50").unwrap(), &rows, "a < b");
        assert_eq!(picture.matches("<rect").count(), 3);
        assert!(picture.contains(">peer</text>") && !picture.contains("liar") && picture.contains("a &lt; b"));
    }
}
