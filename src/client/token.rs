//! The token file: whoever can read it may do what the roles in it allow.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::roles::Tokens;

/// Reads the token of a client: of a file that has one alone, with its name and role or without.
///
/// # Errors
/// A file that cannot be read, has a line that cannot be used, or the tokens of several.
pub fn read_token(path: &Path) -> Result<Vec<u8>, String> {
    let tokens = read_tokens(path)?;
    tokens.sole_secret().map(<[u8]>::to_vec).ok_or_else(|| {
        let shown = path.display();
        format!("{shown} has the tokens of several; write your own, alone, into a file, and name that by --token-file")
    })
}

/// Reads the tokens that a master knows.
///
/// # Errors
/// A file that cannot be read, or has a line that cannot be used.
pub fn read_tokens(path: &Path) -> Result<Tokens, String> {
    let shown = path.display();
    let content = fs::read(path).map_err(|error| format!("the token file {shown} cannot be read: {error}"))?;
    Tokens::parse(&content).map_err(|error| format!("the token file {shown} cannot be used: {error}"))
}

/// Whether anybody on this host can read a file.
pub fn is_readable_by_others(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|facts| facts.permissions().mode() & 0o004 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_token_of_a_file_is_read_and_any_other_file_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, "secret\r\n\n").unwrap();
        assert_eq!(read_token(&path).unwrap(), b"secret");
        fs::write(&path, "# mine\nme:work:secret\n").unwrap();
        assert_eq!(read_token(&path).unwrap(), b"secret");
        fs::write(&path, "me:work:secret\nyou:read:other\n").unwrap();
        assert!(read_token(&path).unwrap_err().contains("tokens of several; write your own"));
        assert!(read_tokens(&path).is_ok());
        for bad in [String::new(), "\n".to_owned(), "x".repeat(1025)] {
            fs::write(&path, bad).unwrap();
            assert!(read_token(&path).is_err());
        }
        assert!(read_token(&dir.path().join("missing")).is_err());
    }
}
