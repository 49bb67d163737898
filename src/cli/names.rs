//! How jobs are named on the command line: `17`, `10-20`, `last`, `key:order-1001`, and `-` for such names from stdin.
//! Nothing is asked of a master here.

use std::str::FromStr;

use crate::ids::check_key;
use crate::limits::JOB_ID_END;

/// Most jobs that one command names.
pub const NAMED_JOBS_MAX: u64 = 100_000;

/// What a key begins with.
const KEY: &str = "key:";

/// One job, or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    Id(u64),
    /// The first and the last id.
    Range(u64, u64),
    /// The newest job.
    Last,
    /// The job that holds this key.
    Key(String),
    /// Those that stdin names.
    Stdin,
}

impl Name {
    /// How many ids it may stand for.
    pub fn count(&self) -> u64 {
        if let Name::Range(first, last) = self { last - first + 1 } else { 1 }
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Name, String> {
        if let Some(key) = text.strip_prefix(KEY) {
            return check_key(key).map(|()| Name::Key(key.to_owned())).map_err(|error| error.to_string());
        }
        match (text, text.split_once('-')) {
            ("last", _) => Ok(Name::Last),
            ("-", _) => Ok(Name::Stdin),
            (_, None) => id(text).map(Name::Id),
            (_, Some((first, last))) => range(id(first)?, id(last)?),
        }
    }
}

fn id(text: &str) -> Result<u64, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let id = text.parse().ok().filter(|id| is_number && (1..JOB_ID_END).contains(id));
    id.ok_or_else(|| format!("{text:?} names no job: write an id, as in 17, a range, as in 10-20, last, or key:KEY"))
}

fn range(first: u64, last: u64) -> Result<Name, String> {
    if first > last {
        return Err(format!("the range {first}-{last} ends before it begins"));
    }
    let name = Name::Range(first, last);
    if name.count() > NAMED_JOBS_MAX {
        return Err(format!("the range {first}-{last} is over {NAMED_JOBS_MAX} ids; name jobs by filters instead"));
    }
    Ok(name)
}

/// The names in a text, whitespace apart.
pub fn names_in(text: &str) -> Result<Vec<Name>, String> {
    let name = |word: &str| match word.parse()? {
        Name::Stdin => Err("stdin cannot name itself".to_owned()),
        name => Ok(name),
    };
    text.split_whitespace().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_have_five_kinds_of_names() {
        for (text, name) in [
            ("17", Name::Id(17)),
            ("10-20", Name::Range(10, 20)),
            ("5-5", Name::Range(5, 5)),
            ("1-100000", Name::Range(1, 100_000)),
            ("last", Name::Last),
            ("key:order-1001", Name::Key("order-1001".to_owned())),
            ("key:last", Name::Key("last".to_owned())),
            ("key:key:-", Name::Key("key:-".to_owned())),
            ("-", Name::Stdin),
        ] {
            assert_eq!(text.parse(), Ok(name), "{text}");
        }
        assert_eq!([Name::Range(10, 20).count(), Name::Id(10).count()], [11, 1]);
    }

    #[test]
    fn what_names_no_job_is_refused_in_a_sentence() {
        for (text, why) in [
            ("", "names no job"),
            ("seven", "names no job"),
            ("0", "names no job"),
            ("+7", "names no job"),
            ("281474976710656", "names no job"),
            ("10-", "names no job"),
            ("-10", "names no job"),
            ("1-2-3", "names no job"),
            ("20-10", "ends before it begins"),
            ("1-100001", "over 100000 ids"),
            ("key:", "key"),
        ] {
            let error = text.parse::<Name>().unwrap_err();
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }

    #[test]
    fn names_are_read_from_a_text() {
        let names = names_in(" 1\n2-3\t\r\nkey:a last\n").unwrap();
        assert_eq!(names, [Name::Id(1), Name::Range(2, 3), Name::Key("a".to_owned()), Name::Last]);
        assert_eq!(names_in("\n"), Ok(Vec::new()));
        assert!(names_in("1 -").unwrap_err().contains("itself"));
    }
}
