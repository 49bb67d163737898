//! Log lines for programs: an object a line.

use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use log::Record;

use crate::time::Timestamp;

/// Writes a line: when (RFC 3339, UTC), how grave, which module, what.
pub fn write(out: &mut impl Write, record: &Record<'_>, now: SystemTime) -> io::Result<()> {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let line = serde_json::json!({
        "time": Timestamp(since.as_millis() as u64).rfc3339(),
        "level": record.level().as_str().to_ascii_lowercase(),
        "module": record.target(),
        "text": record.args().to_string(),
    });
    writeln!(out, "{line}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_line_is_an_object() {
        let mut out = Vec::new();
        let at = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let record =
            Record::builder().args(format_args!("a \"b\"")).level(log::Level::Warn).target("falconqueue::wal").build();
        write(&mut out, &record, at).unwrap();
        let told = r#"{"time":"2023-11-14T22:13:20.123Z","level":"warn","module":"falconqueue::wal","text":"a \"b\""}"#;
        assert_eq!(String::from_utf8(out).unwrap(), format!("{told}\n"));
    }
}
