//! The token file: whoever can read it may talk to the master.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::limits::TOKEN_BYTES_MAX;

/// Reads a token: the file's bytes without trailing line ends.
pub fn read_token(path: &Path) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let mut token = fs::read(path).map_err(|error| format!("the token file {shown} cannot be read: {error}"))?;
    while token.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        token.pop();
    }
    match token.len() {
        0 => Err(format!("the token file {shown} is empty; write a secret of your own into it")),
        bytes if bytes > TOKEN_BYTES_MAX => {
            Err(format!("the token in {shown} has {bytes} bytes; it takes up to {TOKEN_BYTES_MAX}"))
        }
        _ => Ok(token),
    }
}

/// Whether anybody on this host can read a file.
pub fn is_readable_by_others(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|facts| facts.permissions().mode() & 0o004 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_do_not_count_and_an_empty_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, "secret\r\n\n").unwrap();
        assert_eq!(read_token(&path).unwrap(), b"secret");
        for bad in [String::new(), "\n".to_owned(), "x".repeat(1025)] {
            fs::write(&path, bad).unwrap();
            assert!(read_token(&path).is_err());
        }
        assert!(read_token(&dir.path().join("missing")).is_err());
    }
}
