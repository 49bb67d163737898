//! What the programs say of themselves stands in the book: settings, commands, figures.

use std::process::Command;

use serde_json::Value;

use crate::harness::{FALCON_CLI, FALCOND, Master};
use crate::pages::{self, rows};

const RUNNING: &str = "docs/src/running.md";
const MONITORING: &str = "docs/src/monitoring.md";

fn said(program: &str, args: &[&str]) -> String {
    let mut command = Command::new(program);
    let settings = std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("FALCON"));
    for name in settings {
        command.env_remove(name);
    }
    let output = command.args(args).output().expect(program);
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The words in backticks of a cell.
fn names(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_setting_is_in_the_table_with_its_default() {
    let rows = rows(&pages::text(RUNNING));
    for line in said(FALCOND, &["--print-config"]).lines() {
        let (name, value) = line.trim_start_matches("# ").split_once('=').expect("NAME = VALUE");
        let (name, value) = (name.trim(), value.split('#').next().unwrap_or(value).trim());
        // The command is told in the row of what runs it.
        if name == "command" {
            continue;
        }
        let row = rows.iter().find(|row| names(&row[0]).contains(&name));
        let row = row.unwrap_or_else(|| panic!("{RUNNING} lacks the setting {name}"));
        let value = value.trim_matches(['[', ']', '"']);
        let is_told = match value {
            "" => row[1].contains("none"),
            "false" => row[1] == "off",
            value => names(&row[1]).contains(&value),
        };
        assert!(is_told, "{RUNNING}: the default of {name} is {value:?}, not {}", row[1]);
    }
}

/// The commands that the help of this command lists.
fn commands(args: &[&str]) -> Vec<String> {
    let help = said(FALCON_CLI, &[args, &["--help"]].concat());
    let Some((_, listed)) = help.split_once("\nCommands:\n") else { return Vec::new() };
    let lines = listed.lines().take_while(|line| !line.trim().is_empty());
    let words = lines.filter_map(|line| {
        let line = line.strip_prefix("  ").filter(|line| !line.starts_with(' '))?;
        line.split_whitespace().next().map(str::to_owned)
    });
    words.filter(|word| word != "help").collect()
}

#[test]
fn every_command_is_told_somewhere() {
    let pages: String = pages::all().iter().map(|page| pages::text(page)).collect();
    let top = commands(&[]);
    assert!(top.len() > 5, "the help is written in another way: {top:?}");
    for command in top {
        let inner = commands(&[&command]);
        let whole = inner.iter().map(|word| format!("{command} {word}"));
        for name in if inner.is_empty() { vec![command.clone()] } else { whole.collect() } {
            // A command is shown as it is typed, or named as part of one.
            let is_told = [format!("falcon-cli {name}"), format!("`{name}")].iter().any(|form| pages.contains(form));
            assert!(is_told, "no page tells of falcon-cli {name}");
        }
    }
}

fn leaves(value: &Value, names: &mut Vec<String>) {
    for (name, inner) in value.as_object().into_iter().flatten() {
        if inner.is_number() { names.push(name.clone()) } else { leaves(inner, names) }
    }
}

#[test]
fn every_figure_is_in_the_table() {
    let master = Master::fresh(&[]);
    master.submit(&["mail", "one"]);
    let stats = master.cli(&["--output", "json", "stats"]).expect(0).json();
    let mut figures = Vec::new();
    for stats in &stats {
        leaves(stats, &mut figures);
    }
    assert!(figures.len() > 20, "{figures:?}");
    let rows = rows(&pages::text(MONITORING));
    for figure in figures {
        let is_told = rows.iter().any(|row| names(&row[0]).contains(&figure.as_str()));
        assert!(is_told, "{MONITORING} lacks the figure {figure}");
    }
}
