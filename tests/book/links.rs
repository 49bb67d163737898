//! Links and anchors between pages, and to files of the repository.

use std::path::{Component, Path, PathBuf};

use crate::pages;

/// A link of a page, and the line in which it stands.
struct Link {
    line: usize,
    target: String,
}

/// The targets of `[words](target)` and `<img src="target">` outside of blocks and inline code.
fn links(text: &str) -> Vec<Link> {
    let (_, lines) = pages::cut(text);
    let mut found = Vec::new();
    for (line, text) in lines {
        let plain = without_code(&text);
        for (opening, closing) in [("](", ')'), ("src=\"", '"'), ("srcset=\"", '"')] {
            let targets = plain.split(opening).skip(1).filter_map(|rest| rest.split_once(closing));
            found.extend(targets.map(|(target, _)| Link { line, target: target.to_owned() }));
        }
    }
    found
}

/// The line without what stands between backticks.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// `docs/src/../../README.md` as `README.md`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            assert!(plain.pop(), "{} leads out of the repository", path.display());
        } else {
            plain.push(part);
        }
    }
    plain
}

/// What is wrong with a link, if anything is.
fn fault(page: &str, target: &str) -> Option<String> {
    if target.starts_with("https://") || target.starts_with("http://") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() { PathBuf::from(page) } else { plain(&Path::new(page).with_file_name(file)) };
    if !pages::root().join(&path).exists() {
        return Some(format!("there is no {}", path.display()));
    }
    let name = path.to_str().expect("a plain path");
    let is_in_book = page.starts_with("docs/src/");
    if is_in_book && pages::is_markdown(name) && !name.starts_with("docs/src/") {
        return Some(format!("mdBook makes a page of links to {name}: link to its directory or to a page of the book"));
    }
    // The book has these pages from the root.
    let from = match name {
        "docs/src/protocol.md" => "protocol.md",
        "docs/src/security.md" => "SECURITY.md",
        name => name,
    };
    let is_there = anchor.is_empty() || pages::anchors(&pages::text(from)).iter().any(|found| found == anchor);
    (!is_there).then(|| format!("{from} has no heading #{anchor}"))
}

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = Vec::new();
    for page in pages::all() {
        for link in links(&pages::text(&page)) {
            if let Some(fault) = fault(&page, &link.target) {
                wrong.push(format!("{page}:{}: {}: {fault}", link.line, link.target));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Pages that the book takes from the root have no links to files: these would lead elsewhere from there.
#[test]
fn included_pages_link_to_headings_alone() {
    for page in ["protocol.md", "SECURITY.md"] {
        let links = links(&pages::text(page));
        let others: Vec<String> = links.into_iter().map(|link| link.target).filter(|t| !t.starts_with('#')).collect();
        assert!(others.is_empty(), "{page}: {others:?}");
    }
}

#[test]
fn the_summary_has_every_page_of_the_book() {
    let summary = pages::text("docs/src/SUMMARY.md");
    let linked: Vec<String> = links(&summary).into_iter().map(|link| format!("docs/src/{}", link.target)).collect();
    for page in pages::all().iter().filter(|page| page.starts_with("docs/src/") && !page.ends_with("SUMMARY.md")) {
        assert!(linked.contains(page), "SUMMARY.md lacks {page}");
    }
}

#[test]
fn paths_that_pages_and_code_name_are_there() {
    let mut wrong = Vec::new();
    for page in pages::all() {
        let (_, lines) = pages::cut(&pages::text(&page));
        for (line, text) in lines {
            for name in text.split('`').skip(1).step_by(2).filter(|name| is_path(name)) {
                if !pages::root().join(name).exists() {
                    wrong.push(format!("{page}:{line}: there is no {name}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whether a word in backticks names a file of the repository from its root.
fn is_path(name: &str) -> bool {
    let begins = ["docs/", "src/", "tests/", "examples/", "tools/", "bench/"];
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "./_-".contains(c));
    let is_pattern = name.contains("DATE-HOST");
    is_plain && !is_pattern && begins.iter().any(|begin| name.starts_with(begin))
}
