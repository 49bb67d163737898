//! What each client may do: roles, and the tokens that give them.
//!
//! A token file has a line `NAME:ROLE:TOKEN` for each holder. One bare line, without a colon, is the token of an admin.
//! Empty lines, and those that begin with `#`, are passed over. No part has a colon, so that a line is never read as
//! something else than what was meant.
//! Promise: how long it takes to look a token up tells nothing of the tokens that are there, and no secret is printed.

use std::fmt;
use std::hint::black_box;

use crate::limits::{TOKEN_BYTES_MAX, TOKEN_NAME_BYTES_MAX, TOKENS_MAX};

/// What somebody may do, and what a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// To look at all, payloads and results among it, and to wait.
    Read,
    /// That, and to submit jobs, also in batches.
    Submit,
    /// To look, and to take jobs and report on them.
    Work,
    /// Everything.
    Admin,
}

impl Role {
    pub const ALL: [Role; 4] = [Role::Read, Role::Submit, Role::Work, Role::Admin];

    pub fn word(self) -> &'static str {
        match self {
            Role::Read => "read",
            Role::Submit => "submit",
            Role::Work => "work",
            Role::Admin => "admin",
        }
    }

    /// Whether who has this role may do what needs that one.
    pub fn allows(self, needed: Role) -> bool {
        self == Role::Admin || needed == Role::Read || self == needed
    }

    fn of_word(word: &[u8]) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.word().as_bytes() == word)
    }
}

/// Somebody who has a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Holder {
    /// Empty for the admin of a bare line.
    pub name: Box<str>,
    pub role: Role,
    secret: Box<[u8]>,
}

/// The tokens that a master knows: at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens(Vec<Holder>);

/// A line that cannot be used, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokensError(String);

impl Tokens {
    /// Reads the content of a token file.
    ///
    /// # Errors
    /// The first line that cannot be used, by its number.
    pub fn parse(content: &[u8]) -> Result<Tokens, TokensError> {
        let mut holders: Vec<(usize, Holder)> = Vec::new();
        for (index, line) in content.split(|byte| *byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            let holder = holder(line).map_err(|why| TokensError(format!("line {} {why}", index + 1)))?;
            hold_against(&holders, &holder).map_err(|why| TokensError(format!("line {} {why}", index + 1)))?;
            holders.push((index + 1, holder));
        }
        if holders.is_empty() {
            return Err(TokensError("it has no token; write a secret of your own into it".to_owned()));
        }
        Ok(Tokens(holders.into_iter().map(|(_, holder)| holder).collect()))
    }

    /// Who has the token that somebody said. It looks at every byte of all, whatever was said.
    pub fn find(&self, said: &[u8]) -> Option<&Holder> {
        let mut found = 0;
        for (index, holder) in self.0.iter().enumerate() {
            // All ones where it is the same, else 0: no branch depends on it.
            let same = 0_usize.wrapping_sub(usize::from(black_box(is_same(&holder.secret, said))));
            found |= (index + 1) & same;
        }
        found.checked_sub(1).and_then(|index| self.0.get(index))
    }

    /// The secret, if there is one alone.
    pub fn sole_secret(&self) -> Option<&[u8]> {
        match &self.0[..] {
            [holder] => Some(&holder.secret),
            _ => None,
        }
    }
}

fn holder(line: &[u8]) -> Result<Holder, String> {
    let parts: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
    let (name, role, secret) = match parts[..] {
        [secret] => return checked("", Role::Admin, secret),
        [name, role, secret] => (name, role, secret),
        _ => return Err(format!("has {} colons; write NAME:ROLE:TOKEN, with no other colon", parts.len() - 1)),
    };
    let name = name_of(name).ok_or_else(|| {
        format!("has a name that is none; a name has 1 to {TOKEN_NAME_BYTES_MAX} of A-Z a-z 0-9 . _ - before the colon")
    })?;
    let Some(role) = Role::of_word(role) else {
        let said = String::from_utf8_lossy(role);
        return Err(format!("has no role that is known, {said:?}; roles are read, submit, work and admin"));
    };
    if secret.first().is_some_and(u8::is_ascii_whitespace) || secret.last().is_some_and(u8::is_ascii_whitespace) {
        return Err(format!("has a space before or after the token of {name:?}; take it out"));
    }
    checked(name, role, secret)
}

fn name_of(name: &[u8]) -> Option<&str> {
    let may_be = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    let fits = (1..=TOKEN_NAME_BYTES_MAX).contains(&name.len()) && name.iter().all(may_be);
    std::str::from_utf8(name).ok().filter(|_| fits)
}

fn checked(name: &str, role: Role, secret: &[u8]) -> Result<Holder, String> {
    match secret.len() {
        0 => Err(format!("has no token after the role; write a secret of {name:?} there")),
        bytes if bytes > TOKEN_BYTES_MAX => {
            Err(format!("has a token of {bytes} bytes; it takes up to {TOKEN_BYTES_MAX}"))
        }
        _ => Ok(Holder { name: name.into(), role, secret: secret.into() }),
    }
}

/// Names and tokens are told apart, and a bare line stands alone.
fn hold_against(before: &[(usize, Holder)], holder: &Holder) -> Result<(), String> {
    if before.len() >= TOKENS_MAX {
        return Err(format!("is one too many; {TOKENS_MAX} tokens are taken"));
    }
    for (line, other) in before {
        if holder.name.is_empty() || other.name.is_empty() {
            return Err("is beside a line without a role; with several tokens write NAME:ROLE:TOKEN in each".to_owned());
        }
        if other.name == holder.name {
            return Err(format!("has the name {:?} of line {line}; give each token a name of its own", holder.name));
        }
        if other.secret == holder.secret {
            return Err(format!("has the token of line {line}; give each holder a secret of its own"));
        }
    }
    Ok(())
}

/// Compares in a time that depends on our token's length alone.
fn is_same(ours: &[u8], said: &[u8]) -> bool {
    let said_on = said.iter().copied().chain(std::iter::repeat(0));
    let differing = ours.iter().zip(said_on).fold(0, |differing, (a, b)| black_box(differing | (a ^ b)));
    (differing == 0) & (ours.len() == said.len())
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Its secret stays one.
impl fmt::Debug for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Holder({:?}, {})", self.name, self.role)
    }
}

impl fmt::Display for TokensError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for TokensError {}

#[cfg(test)]
mod tests {
    use super::*;

    const SEVERAL: &[u8] = b"# who may what\ndashboards:read:abc\r\n\nshop:submit:def\nhosts:work:ghi\nops:admin:jkl\n";

    fn refused(content: &[u8]) -> String {
        Tokens::parse(content).unwrap_err().to_string()
    }

    #[test]
    fn each_line_gives_its_role() {
        let tokens = Tokens::parse(SEVERAL).unwrap();
        let found = |said: &[u8]| tokens.find(said).map(|holder| (&*holder.name, holder.role));
        assert_eq!(found(b"abc"), Some(("dashboards", Role::Read)));
        assert_eq!(found(b"def"), Some(("shop", Role::Submit)));
        assert_eq!(found(b"ghi"), Some(("hosts", Role::Work)));
        assert_eq!(found(b"jkl"), Some(("ops", Role::Admin)));
        for unknown in [&b""[..], b"ab", b"abcd", b"abc\0", b"ABC", b"ops", b"ops:admin:jkl", &[b'x'; 2000]] {
            assert_eq!(found(unknown), None, "{unknown:?}");
        }
        assert!(tokens.sole_secret().is_none());
    }

    #[test]
    fn a_bare_line_is_the_token_of_an_admin() {
        for content in [&b"secret"[..], b"secret\r\n\n", b"# of all\n\nsecret\n"] {
            let tokens = Tokens::parse(content).unwrap();
            assert_eq!(tokens.find(b"secret").unwrap().role, Role::Admin);
            assert_eq!(tokens.sole_secret(), Some(&b"secret"[..]));
        }
    }

    #[test]
    fn what_cannot_be_used_is_named_by_its_line() {
        for (content, said) in [
            (&b"\n# nothing\n"[..], "it has no token"),
            (b"a:read", "line 1 has 1 colons"),
            (b"a:read:b:c", "line 1 has 3 colons"),
            (b"a:read:x\nb:raed:y", "line 2 has no role that is known, \"raed\""),
            (b"a:read:", "line 1 has no token after the role"),
            (b":read:x", "line 1 has a name that is none"),
            (b"a b:read:x", "line 1 has a name that is none"),
            (b"a:read: x", "line 1 has a space before or after the token of \"a\""),
            (b"a:read:x\nbare", "line 2 is beside a line without a role"),
            (b"bare\nbarer", "line 2 is beside a line without a role"),
            (b"a:read:x\n\na:work:y", "line 3 has the name \"a\" of line 1"),
            (b"a:read:x\nb:work:x", "line 2 has the token of line 1"),
        ] {
            assert!(refused(content).starts_with(said), "{}", refused(content));
        }
        let long = |bytes| format!("a:read:{}", "x".repeat(bytes));
        assert!(Tokens::parse(long(TOKEN_BYTES_MAX).as_bytes()).is_ok());
        assert!(refused(long(TOKEN_BYTES_MAX + 1).as_bytes()).contains("1025 bytes"));
        let many = |count| (0..count).map(|number| format!("n{number}:read:t{number}\n")).collect::<String>();
        assert!(Tokens::parse(many(TOKENS_MAX).as_bytes()).is_ok());
        assert!(refused(many(TOKENS_MAX + 1).as_bytes()).contains("one too many"));
    }

    #[test]
    fn a_role_allows_itself_and_to_look() {
        let allowed = |role: Role| Role::ALL.map(|needed| role.allows(needed));
        assert_eq!(allowed(Role::Read), [true, false, false, false]);
        assert_eq!(allowed(Role::Submit), [true, true, false, false]);
        assert_eq!(allowed(Role::Work), [true, false, true, false]);
        assert_eq!(allowed(Role::Admin), [true; 4]);
    }

    #[test]
    fn no_secret_is_printed() {
        let told = format!("{:?}", Tokens::parse(SEVERAL).unwrap());
        assert!(told.contains("dashboards") && told.contains("read"), "{told}");
        assert!(["abc", "def", "ghi", "jkl"].iter().all(|secret| !told.contains(secret)), "{told}");
    }
}
