//! The settings of `falcond`, each from the first place that names it: the command line, the environment, the file that
//! `--config` names, what holds otherwise.
//!
//! The options of the command line are all there is: what a file says of one is read as the command line would, and
//! stands where its default stood.

use std::ffi::OsString;
use std::io;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches};

use super::args::Args;
use super::file::{self, Entry};
use crate::exit::{self, Failure};
use crate::nearest::did_you_mean;

/// Options that are no settings.
const NO_SETTINGS: [&str; 5] = ["config", "check-config", "print-config", "help", "version"];

/// A setting as it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// As on the command line, without its dashes.
    pub name: String,
    /// None if it is not set and there is no default.
    pub values: Option<Vec<String>>,
    /// Whether it may have several values.
    pub is_list: bool,
    /// Where it came from, in words.
    pub from: String,
}

#[derive(Debug)]
pub struct Settings {
    pub args: Args,
    pub all: Vec<Setting>,
}

/// Why there are none.
#[derive(Debug)]
pub enum Unread {
    /// The command line, as `clap` tells it; help and version are among that.
    Usage(clap::Error),
    Failed(Failure),
}

impl Unread {
    /// A failure that can be told by a program that runs.
    pub fn into_failure(self) -> Failure {
        match self {
            Unread::Usage(error) => Failure::new(exit::USAGE, first_line(&error)),
            Unread::Failed(failure) => failure,
        }
    }
}

impl Settings {
    /// Reads them; `line` is the command line.
    pub fn read(line: &[OsString]) -> Result<Settings, Unread> {
        let command = Args::command();
        let matches = command.clone().try_get_matches_from(line).map_err(Unread::Usage)?;
        let path = Args::from_arg_matches(&matches).map_err(Unread::Usage)?.config;
        let Some(path) = path else { return settled(&matches, &[], "") };
        let failed = |why: String| Unread::Failed(Failure::new(exit::CONFIG, why));
        let entries = file::read(&path).map_err(failed)?;
        let shown = path.display().to_string();
        let place = |entry: &Entry| format!("{shown}:{}", entry.line);
        let mut with_file = command.clone();
        for entry in &entries {
            with_file = with_entry(with_file, entry).map_err(|why| failed(format!("{}: {why}", place(entry))))?;
        }
        match with_file.try_get_matches_from(line) {
            Ok(matches) => settled(&matches, &entries, &shown),
            Err(error) => {
                // Each was put where a default stood: which one is wrong shows where it stands alone.
                let is_wrong = |entry: &&Entry| {
                    with_entry(command.clone(), entry).is_ok_and(|command| command.try_get_matches_from(line).is_err())
                };
                let at = entries.iter().find(is_wrong).map_or(shown.clone(), place);
                Err(failed(format!("{at}: {}", first_line(&error))))
            }
        }
    }

    /// Writes them as a file, each with where it came from.
    pub fn print(&self, out: &mut impl io::Write) -> io::Result<()> {
        let width = self.all.iter().map(|setting| setting.line().chars().count()).max().unwrap_or(0).min(60);
        for setting in &self.all {
            writeln!(out, "{:<width$}  # {}", setting.line(), setting.from)?;
        }
        out.flush()
    }

    /// Whether a setting was given a value by anyone.
    pub fn was_told(&self, name: &str) -> bool {
        self.all.iter().any(|setting| setting.name == name && !["default", "not set"].contains(&setting.from.as_str()))
    }

    /// A setting as it was written, the first value of a list.
    pub fn value(&self, name: &str) -> &str {
        let setting = self.all.iter().find(|setting| setting.name == name);
        setting.and_then(|setting| setting.values.as_ref()?.first()).map_or("", String::as_str)
    }

    /// The names of settings that differ from these others'.
    pub fn that_differ<'s>(&'s self, others: &Settings) -> Vec<&'s str> {
        let pairs = self.all.iter().zip(&others.all);
        pairs.filter(|(own, other)| own.values != other.values).map(|(own, _)| own.name.as_str()).collect()
    }
}

impl Setting {
    /// As it would stand in a file; a comment if it is not set.
    fn line(&self) -> String {
        // What JSON quotes TOML reads as the same.
        let quoted = |text: &String| serde_json::Value::from(text.as_str()).to_string();
        match self.values.as_deref() {
            None => format!("# {} =", self.name),
            Some([one]) if !self.is_list && ["true", "false"].contains(&one.as_str()) => {
                format!("{} = {one}", self.name)
            }
            Some([one]) if !self.is_list => format!("{} = {}", self.name, quoted(one)),
            Some(values) => {
                let values: Vec<String> = values.iter().map(quoted).collect();
                format!("{} = [{}]", self.name, values.join(", "))
            }
        }
    }
}

/// The name of a setting; none of what is no setting.
fn name(arg: &Arg) -> Option<&str> {
    let name = arg.get_long().or_else(|| arg.is_last_set().then_some(arg.get_id().as_str()))?;
    Some(name).filter(|name| !NO_SETTINGS.contains(name))
}

/// A command whose option has as its default what a file says.
fn with_entry(command: Command, entry: &Entry) -> Result<Command, String> {
    let known = |arg: &&Arg| name(arg) == Some(entry.name.as_str());
    let Some(arg) = command.get_arguments().find(known) else {
        let meant = did_you_mean(&entry.name, command.get_arguments().filter_map(name));
        return Err(format!("there is no setting {:?}{meant}", entry.name));
    };
    let takes_many = arg.get_action().takes_values() && is_list(arg);
    if entry.values.len() != 1 && !takes_many {
        return Err(format!("{} takes one value", entry.name));
    }
    let (id, values) = (arg.get_id().clone(), entry.values.clone());
    Ok(command.mut_arg(id, |arg| arg.default_values(values)))
}

fn is_list(arg: &Arg) -> bool {
    matches!(arg.get_action(), clap::ArgAction::Append)
}

fn settled(matches: &ArgMatches, entries: &[Entry], shown: &str) -> Result<Settings, Unread> {
    let args = Args::from_arg_matches(matches).map_err(Unread::Usage)?;
    let command = Args::command();
    let setting = |arg: &Arg| {
        let name = name(arg)?;
        let raw = matches.get_raw(arg.get_id().as_str());
        let values = raw.map(|values| values.map(|value| value.to_string_lossy().into_owned()).collect());
        let in_file = entries.iter().find(|entry| entry.name == name);
        let from = match (matches.value_source(arg.get_id().as_str()), in_file) {
            (Some(ValueSource::CommandLine), _) => "command line".to_owned(),
            (Some(ValueSource::EnvVariable), _) => {
                format!("environment, {}", arg.get_env().unwrap_or_default().to_string_lossy())
            }
            (_, Some(entry)) => format!("{shown}:{}", entry.line),
            (Some(_), None) => "default".to_owned(),
            (None, None) => "not set".to_owned(),
        };
        Some(Setting { name: name.to_owned(), values, is_list: is_list(arg), from })
    };
    let all = command.get_arguments().filter_map(setting).collect();
    Ok(Settings { args, all })
}

/// What is wrong, without the usage.
fn first_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let words = text.lines().take_while(|line| !line.trim().is_empty()).collect::<Vec<_>>().join(" ");
    words.strip_prefix("error: ").unwrap_or(&words).to_owned()
}

/// Whether this is what was asked for, and no mistake.
pub fn is_answer(error: &clap::Error) -> bool {
    matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn read(line: &[&str]) -> Result<Settings, Failure> {
        let line: Vec<OsString> = std::iter::once("falcond").chain(line.iter().copied()).map(Into::into).collect();
        Settings::read(&line).map_err(Unread::into_failure)
    }

    fn with_file(text: &str, line: &[&str]) -> Result<Settings, Failure> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("falcond.toml");
        fs::write(&path, text).unwrap();
        read(&[&["--config", path.to_str().unwrap()], line].concat())
    }

    fn setting<'s>(settings: &'s Settings, name: &str) -> (&'s str, Vec<&'s str>) {
        let setting = settings.all.iter().find(|setting| setting.name == name).unwrap();
        let values = setting.values.iter().flatten().map(String::as_str).collect();
        (setting.from.rsplit('/').next().unwrap(), values)
    }

    #[test]
    fn the_command_line_goes_before_the_file_and_the_file_before_the_default() {
        let text = "key-window = \"2h\"\ngrace = \"3s\"\nlisten = [\"127.0.0.1:0\", \"[::1]:0\"]\ninsecure = true\n";
        let settings = with_file(text, &["--grace", "4s"]).unwrap();
        assert_eq!(setting(&settings, "grace"), ("command line", vec!["4s"]));
        assert_eq!(setting(&settings, "key-window"), ("falcond.toml:1", vec!["2h"]));
        assert_eq!(setting(&settings, "silence"), ("default", vec!["15s"]));
        assert_eq!(setting(&settings, "token-file"), ("not set", vec![]));
        assert_eq!(setting(&settings, "listen"), ("falcond.toml:3", vec!["127.0.0.1:0", "[::1]:0"]));
        assert!(settings.args.insecure);
        assert_eq!(settings.args.listen.len(), 2);
    }

    #[test]
    fn what_is_wrong_in_a_file_is_told_with_its_line() {
        for (text, why) in [
            ("key-windw = \"1h\"\n", "falcond.toml:1: there is no setting \"key-windw\"; did you mean \"key-window\"?"),
            ("config = \"x\"\n", "falcond.toml:1: there is no setting \"config\""),
            ("grace = \"1s\"\nkey-window = \"soon\"\n", "falcond.toml:2: invalid value 'soon' for '--key-window"),
            ("grace = [\"1s\", \"2s\"]\n", "falcond.toml:1: grace takes one value"),
            ("grace =\n", "falcond.toml:1: "),
        ] {
            let failure = with_file(text, &[]).unwrap_err();
            assert!(failure.text.contains(why) && failure.status == exit::CONFIG, "{failure:?}");
        }
        assert_eq!(read(&["--config", "/nowhere/falcond.toml"]).unwrap_err().status, exit::CONFIG);
        assert_eq!(read(&["--grace", "soon"]).unwrap_err().status, exit::USAGE);
    }

    #[test]
    fn what_is_printed_can_be_read_again() {
        let text = "listen = [\"127.0.0.1:0\", \"unix:/tmp/a b\"]\nmemory-max = 64\nworkers = 2\nqueue = \"mail=3\"\n\
                    command = [\"sh\", \"-c\", \"echo \\\"hi\\\"\"]\ninsecure = true\n";
        let settings = with_file(text, &[]).unwrap();
        let mut printed = Vec::new();
        settings.print(&mut printed).unwrap();
        let again = with_file(std::str::from_utf8(&printed).unwrap(), &[]).unwrap();
        assert_eq!(again.that_differ(&settings), [""; 0]);
        assert_eq!(again.args.command, ["sh", "-c", "echo \"hi\""]);
        assert_eq!(again.that_differ(&read(&[]).unwrap()).len(), 6);
    }
}
