//! What a command is told of the master, so that `falcon-cli` finds it from there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where the master of a command's job is. The token itself is not told, since others can read environments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MasterFacts {
    address: String,
    token_file: Option<PathBuf>,
}

impl MasterFacts {
    /// A master at `HOST:PORT`, and the file with its token, if it needs one. A relative path becomes one that is right
    /// wherever the command goes.
    ///
    /// # Errors
    /// When the path is empty, or this process's directory is not known.
    pub fn new(address: &str, token_file: Option<&Path>) -> std::io::Result<MasterFacts> {
        let token_file = token_file.map(std::path::absolute).transpose()?;
        Ok(MasterFacts { address: address.to_owned(), token_file })
    }

    /// `FALCON_MASTER`, and `FALCON_TOKEN_FILE` if there is one.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&'static str, OsString)> {
        let token_file = self.token_file.as_ref().map(|path| ("FALCON_TOKEN_FILE", path.clone().into()));
        std::iter::once(("FALCON_MASTER", self.address.clone().into())).chain(token_file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_the_token_is_right_from_everywhere() {
        let facts = MasterFacts::new("127.0.0.1:1", Some(Path::new("token"))).unwrap();
        let token = std::env::current_dir().unwrap().join("token").into_os_string();
        let told: Vec<_> = facts.variables().collect();
        assert_eq!(told, [("FALCON_MASTER", "127.0.0.1:1".into()), ("FALCON_TOKEN_FILE", token)]);
        assert_eq!(MasterFacts::new("127.0.0.1:1", None).unwrap().variables().count(), 1);
    }
}
