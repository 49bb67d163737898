//! The settings of falcond: the layers that they come from, and what changes while it runs.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::harness::*;

/// What falcond says of its settings, and does not start.
fn settings(args: &[&str], env: &[(&str, &str)]) -> Run {
    Process::spawn(Command::new(FALCOND).args(args).envs(env.iter().copied()), b"").finish()
}

fn path_of(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn each_setting_tells_where_it_came_from() {
    let dir = scratch();
    let file = dir.path().join("falcond.toml");
    fs::write(&file, "key-window = \"2h\"\ngrace = \"3s\"\nsilence = \"20s\"\n").unwrap();
    let env = [("FALCOND_GRACE", "4s"), ("FALCOND_SILENCE", "30s"), ("FALCOND_LISTEN", "127.0.0.1,unix:/run/s")];
    let run = settings(&["--config", path_of(&file), "--silence", "40s", "--print-config"], &env).expect(0);
    let place = format!("{}:1", file.display());
    for (setting, from) in [
        ("silence = \"40s\"", "command line"),
        ("grace = \"4s\"", "environment, FALCOND_GRACE"),
        ("key-window = \"2h\"", &*place),
        ("sync = \"always\"", "default"),
        ("# token-file =", "not set"),
        ("listen = [\"127.0.0.1\", \"unix:/run/s\"]", "environment, FALCOND_LISTEN"),
    ] {
        let is_told = |line: &str| line.starts_with(&format!("{setting} ")) && line.ends_with(&format!("# {from}"));
        assert!(run.out.lines().any(is_told), "{setting} # {from} in\n{}", run.out);
    }
    // What it prints is a file that it reads.
    fs::write(&file, &run.out).unwrap();
    let again = settings(&["--config", path_of(&file), "--print-config"], &[]).expect(0);
    let values =
        |text: &str| text.lines().map(|line| line.split("  # ").next().unwrap().to_owned()).collect::<Vec<_>>();
    let trimmed = |text: &str| values(text).iter().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
    assert_eq!(trimmed(&again.out), trimmed(&run.out));
}

#[test]
fn settings_that_cannot_be_used_are_refused_with_their_place() {
    let dir = scratch();
    let file = dir.path().join("falcond.toml");
    let check = |text: &str| {
        fs::write(&file, text).unwrap();
        settings(&["--config", path_of(&file), "--check-config"], &[])
    };
    assert!(check("key-window = \"2h\"\n").expect(0).err.contains("can be used"));
    let missing = format!("token-file = \"{}\"\n", dir.path().join("none").display());
    for (text, status, why) in [
        (
            "sync = \"always\"\nkey-windw = \"2h\"\n",
            78,
            ":2: there is no setting \"key-windw\"; did you mean \"key-window\"?",
        ),
        ("key-window = \"soon\"\n", 78, ":1: invalid value 'soon' for '--key-window"),
        ("key-window = \n", 78, ":1: "),
        ("workers = 2\n", 2, "--workers needs at least one --queue"),
        (&missing, 78, "cannot be read"),
    ] {
        let run = check(text).expect(status);
        assert!(run.err.contains(why), "{text}: {}", run.err);
    }
    assert!(settings(&["--check-config"], &[("FALCOND_GRACE", "soon")]).expect(2).err.contains("--grace"));
    assert!(settings(&["--check-config"], &[("FALCON_LOG", "loud")]).expect(2).err.contains("\"loud\" is no level"));
}

#[test]
fn what_may_change_changes_on_sighup_and_what_may_not_is_told() {
    let dir = scratch();
    let (file, token) = (dir.path().join("falcond.toml"), dir.path().join("token"));
    fs::write(&token, "first").unwrap();
    fs::write(&file, "log = \"info\"\n").unwrap();
    let args = ["--config", path_of(&file), "--token-file", path_of(&token)];
    let master = Master::start(&dir.path().join("data"), &args);
    let ask = |secret: &str| {
        let known = dir.path().join("known");
        fs::write(&known, secret).unwrap();
        master.cli(&["--token-file", path_of(&known), "stats"]).status
    };
    assert_eq!((ask("first"), ask("second")), (0, 77));
    let reload = |text: &str, word: &str| {
        fs::write(&file, text).unwrap();
        master.signal(Signal::HUP);
        wait_until(word, SOON, || master.stderr().contains(word));
    };
    fs::write(&token, "second").unwrap();
    reload(
        "log = \"debug\"\nsync = \"never\"\nkey-window = \"2h\"\n",
        "key-window, log changed, and the tokens were read",
    );
    assert!(master.stderr().contains("needs a restart: sync\n"), "{}", master.stderr());
    assert_eq!((ask("first"), ask("second")), (77, 0));
    wait_until("a line of the debug level", SOON, || master.stderr().contains("DEBUG"));
    // A mistake changes nothing.
    reload("log = \"loud\"\n", "the settings stay as they are");
    assert_eq!(ask("second"), 0);
    master.stop();
}

#[test]
fn a_directory_without_a_log_is_told_of() {
    let dir = scratch();
    let word = "holds no log: a master without jobs begins there";
    let master = Master::start(&dir.path().join("data"), &[]);
    assert!(master.stderr().contains(word), "{}", master.stderr());
    master.stop();
    let again = Master::start(&dir.path().join("data"), &[]);
    assert!(!again.stderr().contains(word), "{}", again.stderr());
    again.stop();
}

#[test]
fn log_lines_can_be_objects() {
    let master = Master::fresh(&["--log-format", "json", "--log", "info,falconqueue::master=debug"]);
    master.submit(&["q", "x"]);
    wait_until("a line", SOON, || master.stderr().contains('\n'));
    let lines = master.stderr();
    for line in lines.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert!(line["time"].is_string() && line["level"].is_string() && line["text"].is_string(), "{line}");
    }
    master.stop();
}

#[test]
fn a_wrong_level_in_the_environment_of_a_client_is_told_and_passed_over() {
    let master = Master::fresh(&[]);
    let run = cli_with(&["--master", &master.address, "stats"], &[("FALCON_LOG", "loud")], b"").expect(0);
    assert!(run.err.contains("FALCON_LOG: \"loud\" is no level"), "{}", run.err);
    master.stop();
}
