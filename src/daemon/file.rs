//! The file with settings, `--config`: TOML, one value or a list for each option, named as on the command line.

use std::fs;
use std::path::Path;

use toml::de::{DeTable, DeValue};

/// What a file says of one option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    /// As they would be written on the command line.
    pub values: Vec<String>,
    /// From 1 on.
    pub line: usize,
}

/// Reads a file. What is wrong is told with its line.
pub fn read(path: &Path) -> Result<Vec<Entry>, String> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| format!("the file {shown} cannot be read: {error}"))?;
    parse(&text).map_err(|(line, why)| format!("{shown}:{line}: {why}"))
}

fn parse(text: &str) -> Result<Vec<Entry>, (usize, String)> {
    let line_of = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        (line_of(at), error.message().to_owned())
    })?;
    let entries = table.get_ref().iter().map(|(name, value)| {
        let line = line_of(name.span().start);
        let values = values(value.get_ref()).map_err(|why| (line, format!("{}: {why}", name.get_ref())))?;
        Ok(Entry { name: name.get_ref().to_string(), values, line })
    });
    let mut entries = entries.collect::<Result<Vec<Entry>, _>>()?;
    entries.sort_by_key(|entry| entry.line);
    Ok(entries)
}

fn values(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    match value {
        DeValue::Array(values) => values.iter().map(|value| one(value.get_ref())).collect(),
        value => one(value).map(|value| vec![value]),
    }
}

fn one(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().to_owned()),
        DeValue::Boolean(is_so) => Ok(is_so.to_string()),
        other => {
            Err(format!("a text, a number, true, false or a list of them belongs here, not a {}", other.type_str()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entry_has_its_values_and_its_line() {
        let text = "# where\ndata-dir = \"/var/lib/falcon\"\n\nlisten = [\"127.0.0.1\", \"unix:/run/f.sock\"]\n\
                    memory-max = 1_000\ninsecure = true\n";
        let entry = |name: &str, values: &[&str], line| Entry {
            name: name.to_owned(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
            line,
        };
        let expected = [
            entry("data-dir", &["/var/lib/falcon"], 2),
            entry("listen", &["127.0.0.1", "unix:/run/f.sock"], 4),
            entry("memory-max", &["1000"], 5),
            entry("insecure", &["true"], 6),
        ];
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, line, why) in [
            ("a = 1\nb = \n", 2, ""),
            ("a = 1\na = 2\n", 2, "duplicate"),
            ("x = 1\n[server]\nport = 1\n", 2, "server: a text"),
            ("grace = 1.5\n", 1, "not a float"),
        ] {
            let (at, told) = parse(text).unwrap_err();
            assert!(at == line && told.contains(why), "{text:?}: {at}: {told}");
        }
    }
}
