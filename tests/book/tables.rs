//! The tables of the book have every exit status and every error code of the code.

use falconqueue::protocol::ErrorCode;

use crate::pages::{self, rows};

const STATUSES: &str = "docs/src/statuses.md";

/// The exit statuses that `src/exit.rs` names, and success.
fn statuses() -> Vec<String> {
    let code = pages::text("src/exit.rs");
    let numbers = code.lines().filter_map(|line| {
        let (_, number) = line.strip_prefix("pub const ")?.split_once(": u8 = ")?;
        Some(number.trim_end_matches(';').to_owned())
    });
    let all: Vec<String> = ["0".to_owned()].into_iter().chain(numbers).collect();
    assert!(all.len() > 10, "src/exit.rs is written in another way: {all:?}");
    all
}

#[test]
fn the_table_of_exit_statuses_is_that_of_the_code() {
    let statuses = statuses();
    let rows = rows(&pages::text(STATUSES));
    // The names of errors stand in backticks; the words for statuses do not.
    let rows = rows.iter().filter(|row| row.len() == 6 && !row[1].starts_with('`'));
    let told: Vec<&String> = rows.map(|row| &row[0]).collect();
    for status in &statuses {
        assert!(told.contains(&status), "{STATUSES} lacks the exit status {status}");
    }
    for status in told.iter().filter(|status| status.parse::<u8>().is_ok()) {
        assert!(statuses.contains(status), "{STATUSES} has the exit status {status}, which src/exit.rs has not");
    }
}

#[test]
fn the_table_of_errors_has_every_code_with_its_manners() {
    let rows = rows(&pages::text(STATUSES));
    let word = |is_so: bool| if is_so { "yes" } else { "no" };
    for code in ErrorCode::ALL {
        let name = format!("`{code:?}`");
        let row = rows.iter().find(|row| row.get(1) == Some(&name));
        let row = row.unwrap_or_else(|| panic!("{STATUSES} lacks {name}"));
        let manners = [code.code().to_string(), name, word(code.retry_may_help()).into(), word(code.closes()).into()];
        assert_eq!(row[..4], manners, "{STATUSES}");
        assert!(row.len() == 6 && row[4..].iter().all(|cell| !cell.is_empty()), "{STATUSES}: {row:?} says not all");
    }
}

#[test]
fn the_readme_and_the_manifest_name_the_same_rust() {
    let manifest = pages::text("Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")?.strip_suffix('"'));
    let version = version.expect("a rust-version");
    for page in ["README.md", "docs/src/tutorial.md", "CONTRIBUTING.md"] {
        assert!(pages::text(page).contains(&format!("Rust {version}")), "{page} does not name Rust {version}");
    }
}
