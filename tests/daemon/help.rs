//! Help that is found where it is looked for, and the nearest name to one that is mistyped.

use crate::harness::*;

/// The help of a command, on so many columns.
fn help(columns: &str, command: &[&str]) -> String {
    cli_with(&[command, &["--help"]].concat(), &[("COLUMNS", columns)], b"").expect(0).out
}

/// Where each of these stands in a text; they must come in this order.
#[track_caller]
fn in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let (_, behind) =
            rest.split_once(part).unwrap_or_else(|| panic!("{part:?} is not behind the one before: {text}"));
        rest = behind;
    }
}

#[test]
fn options_stand_in_groups_and_examples_at_the_end() {
    let submit = help("100", &["submit"]);
    in_order(&submit, &["\nWhat:\n", "--file", "\nWhen:\n", "--delay", "--at", "\nAttempts:\n", "--priority"]);
    in_order(&submit, &["\nKey:\n", "\nBatch:\n", "\nOutput:\n", "\nConnection:\n", "--master", "\nExamples:\n"]);
    in_order(&help("100", &["job", "list"]), &["\nWhich jobs:\n", "-q, --queue", "\nOutput:\n", "\nExamples:\n"]);
    in_order(&help("100", &["queue", "set"]), &["\nWhen:\n", "\nAttempts:\n", "\nLimits:\n", "\nGroups and rates:\n"]);
    let all = help("100", &[]);
    in_order(&all, &["\nCommands:\n", "\nConnection:\n", "\nExamples:\n", "\nExit status: 0 done"]);
    assert!(all.split("\nExamples:\n").nth(1).is_some_and(|end| end.lines().count() < 15), "{all}");
}

#[test]
fn help_is_as_wide_as_the_terminal() {
    for command in [&["submit"][..], &["job", "update"], &["queue", "set"], &["stats"], &["wal", "dump"]] {
        let told = help("60", command);
        let (options, _) = told.split_once("\nExamples:\n").unwrap_or((&told, ""));
        let behind_usage = options.split_once("\nOptions:\n").expect("options").1;
        let most = behind_usage.lines().map(|line| line.chars().count()).max();
        assert!(most.is_some_and(|most| most <= 60), "{command:?}: {told}");
    }
}

#[test]
fn commands_that_read_files_have_no_options_of_a_connection() {
    for command in [&["wal"][..], &["wal", "dump"], &["wal", "verify"], &["wal", "repair"], &["wal", "stats"]] {
        let told = help("100", command);
        assert!(!told.contains("--master") && !told.contains("--token-file"), "{command:?}: {told}");
    }
    let master = Master::fresh(&[]);
    master.submit(&["q", "x"]);
    let dir = master.dir.to_str().unwrap();
    // An alias may set them for all commands.
    for args in [&["-m", "127.0.0.1:1", "wal", "dump", dir][..], &["wal", "dump", dir, "--master", "127.0.0.1:1"]] {
        assert!(cli(args).expect(0).out.contains("ENQUEUE"));
    }
}

#[test]
fn what_is_typed_often_is_short() {
    let master = Master::fresh(&[]);
    let address = master.address.as_str();
    let id = cli(&["-m", address, "-o", "quiet", "submit", "mail", "x"]).expect(0).out;
    assert_eq!(cli(&["job", "list", "-q", "mail", "-o", "quiet", "-m", address]).expect(0).out, id);
    assert_eq!(cli(&["job", "show", "last", "-q", "mail", "-o", "quiet", "-m", address]).expect(0).out, "pending\n");
    let _worker = worker(address, &["-q", "mail", "-c", "2"], &["true"]);
    cli(&["wait", "-q", "mail", "-m", address]).expect(0);
}

#[test]
fn a_mistyped_name_is_answered_by_the_nearest_one() {
    let master = Master::fresh(&[]);
    master.submit(&["email", "x", "--batch", "night"]);
    master.cli(&["schedule", "add", "report", "--every", "1h", "email", "x"]).expect(0);
    let _mine = master.worker(&["--queue", "thumbs", "--name", "box-one"], &["true"]);
    wait_until("it to be there", SOON, || master.cli(&["worker", "show", "box-one"]).status == 0);
    let near = [
        (&["queue", "show", "emial"][..], "email"),
        (&["queue", "resume", "emial"], "email"),
        (&["queue", "explain", "emial"], "email"),
        (&["queue", "groups", "emial"], "email"),
        (&["queue", "purge", "emial", "--yes"], "email"),
        (&["queue", "delete", "emial"], "email"),
        (&["stats", "emial"], "email"),
        (&["schedule", "show", "reprot"], "report"),
        (&["schedule", "run", "reports"], "report"),
        (&["schedule", "remove", "repor"], "report"),
        (&["batch", "show", "nihgt"], "night"),
        (&["batch", "wait", "nights"], "night"),
        (&["worker", "show", "box-on"], "box-one"),
        (&["worker", "quiet", "box_one"], "box-one"),
    ];
    for (command, name) in near {
        let missing = master.cli(command).expect(3);
        assert!(missing.err.contains(&format!("did you mean {name:?}?")), "{command:?}: {}", missing.err);
    }
    let far = master.cli(&["queue", "show", "reports"]).expect(3);
    assert!(!far.err.contains("did you mean"), "{}", far.err);
    for (args, name) in [(&["sbumit", "q", "x"][..], "submit"), (&["submit", "q", "x", "--dealy", "1s"], "--delay")] {
        assert!(master.cli(args).expect(2).err.contains(name), "{args:?}");
    }
}

#[test]
fn a_queue_that_is_new_is_told_where_another_one_may_have_been_meant() {
    let master = Master::fresh(&[]);
    let submit = |args: &[&str]| master.cli(&[&["submit"], args].concat());
    assert_eq!(submit(&["email", "x"]).expect(0).err, "", "no name is like it");
    let note = "falcon-cli: queue \"emial\" is new; no worker polls it; did you mean \"email\"?\n";
    assert_eq!(submit(&["emial", "x"]).expect(0).err, note);
    assert_eq!(submit(&["emial", "x"]).expect(0).err, "", "it is there now");
    assert_eq!(submit(&["reports", "x"]).expect(0).err, "");
    let _worker = master.worker(&["--queue", "thumbs", "--queue", "thumb"], &["true"]);
    wait_until("it to poll", SOON, || master.cli(&["worker", "list"]).expect(0).out.contains("thumbs,thumb"));
    assert!(
        submit(&["thubms", "x"]).expect(0).err.contains("did you mean \"thumbs\"?"),
        "it has a worker, and no jobs"
    );
    assert_eq!(submit(&["thumb", "x"]).expect(0).err, "", "it is polled");

    let refused = submit(&["mial", "x", "--existing"]).expect(6);
    assert!(
        refused.err.contains("no queue \"mial\"") && refused.err.contains("nothing was submitted"),
        "{}",
        refused.err
    );
    submit(&["email", "x", "--existing"]).expect(0);
    let home = scratch();
    let file = home.path().join("jobs.json");
    std::fs::write(
        &file,
        r#"[{"id": "a", "queue": "email", "payload": 1}, {"id": "b", "queue": "eamil", "payload": 1}]"#,
    )
    .unwrap();
    let refused = submit(&["--existing", "--file", file.to_str().unwrap()]).expect(6);
    assert!(refused.err.contains("did you mean \"email\"?"), "{}", refused.err);
    let left = master.cli(&["-o", "quiet", "job", "list", "-q", "eamil"]).expect(0).out;
    assert_eq!(left, "", "nothing was submitted");
}
