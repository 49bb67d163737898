//! The pages: Markdown as far as these tests need it, which is fenced blocks, headings and links.

use std::fs;
use std::path::{Path, PathBuf};

/// Files of the repository that are held against the code beside those of the book.
const BESIDE: [&str; 8] = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "protocol.md",
    "bench/README.md",
    "bench/frameworks/README.md",
    "docs/README.md",
];

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every page, as paths from the root.
pub fn all() -> Vec<String> {
    let book = fs::read_dir(root().join("docs/src")).expect("the book");
    let names = book.map(|entry| entry.expect("a page").file_name().into_string().expect("a plain name"));
    let pages = names.filter(|name| is_markdown(name)).map(|name| format!("docs/src/{name}"));
    let mut all: Vec<String> = pages.chain(BESIDE.map(str::to_owned)).collect();
    all.sort();
    all
}

pub fn is_markdown(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "md")
}

pub fn text(page: &str) -> String {
    fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// A fenced block.
pub struct Block {
    /// Of its first line, from 1 on.
    pub line: usize,
    /// What stands behind the fence: `sh`, `sh,norun`, `text` and the like.
    pub kind: String,
    pub text: String,
}

/// A page, cut into its fenced blocks and the lines between them, with their numbers.
pub fn cut(text: &str) -> (Vec<Block>, Vec<(usize, String)>) {
    let (mut blocks, mut lines): (Vec<Block>, Vec<(usize, String)>) = (Vec::new(), Vec::new());
    let mut is_inside = false;
    for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line)) {
        if let Some(kind) = line.trim_start().strip_prefix("```") {
            if !is_inside {
                blocks.push(Block { line: number + 1, kind: kind.trim().to_owned(), text: String::new() });
            }
            is_inside = !is_inside;
        } else if is_inside {
            let block = blocks.last_mut().expect("a block that was begun");
            block.text.push_str(line);
            block.text.push('\n');
        } else {
            lines.push((number, line.to_owned()));
        }
    }
    assert!(!is_inside, "a block without an end");
    (blocks, lines)
}

/// The anchors of a page: its headings as both mdBook and code hosts name them.
pub fn anchors(text: &str) -> Vec<String> {
    let (_, lines) = cut(text);
    let headings = lines.iter().filter_map(|(_, line)| {
        let heading = line.trim_start_matches('#');
        (heading.len() < line.len()).then(|| heading.strip_prefix(' ')).flatten()
    });
    headings.map(anchor).collect()
}

fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// The lines of the table rows of a page.
pub fn rows(text: &str) -> Vec<Vec<String>> {
    let (_, lines) = cut(text);
    let rows = lines.iter().filter(|(_, line)| line.starts_with("| "));
    rows.map(|(_, row)| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}
