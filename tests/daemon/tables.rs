//! Tables as people see them: as wide as their content and no wider than the terminal, whole where they are piped.

use crate::harness::*;

const ERROR: &str = "the relay of the day refused the connection, as it did all week\u{1b}[31m";

/// Two dead jobs of one queue with a long error, and some that wait in another one.
fn master() -> Master {
    let master = Master::fresh(&["--sync", "never"]);
    let mut wire = master.connect();
    for _ in 0..2 {
        let got = wire.put_and_take("a-queue-with-a-long-name");
        wire.fail(&got, true, ERROR);
    }
    let lines = "x\n".repeat(1234);
    master.submit_input(&["mail", "--lines", "-"], lines.as_bytes());
    master
}

/// What a command writes to a terminal of this width.
#[track_caller]
fn on_terminal(master: &Master, columns: u16, env: &[(&str, &str)], args: &[&str]) -> Vec<String> {
    let args = [&["--master", &master.address], args].concat();
    OnTerminal::spawn(columns, env, &args).finish(0).lines().map(str::to_owned).collect()
}

#[test]
fn a_table_is_cut_to_the_terminal_and_never_in_a_pipe() {
    let master = master();
    let list = ["job", "list", "--state", "dead"];
    let piped = master.cli(&list).expect(0).out;
    assert_eq!(piped.lines().count(), 3);
    let whole = r"refused the connection, as it did all week\u{1b}[31m";
    assert!(piped.contains("a-queue-with-a-long-name") && piped.contains(whole) && !piped.contains('…'), "{piped}");
    for columns in [60, 80] {
        let lines = on_terminal(&master, columns, &[], &list);
        assert_eq!(lines.len(), 3);
        let most = lines.iter().map(|line| line.chars().count()).max();
        assert_eq!(most, Some(usize::from(columns)), "{lines:#?}");
        assert!(lines[1].contains('…') && lines[1].contains(" dead "), "{lines:#?}");
    }
    let wide = on_terminal(&master, 60, &[("COLUMNS", "300")], &list);
    assert!(wide[1].ends_with(whole), "COLUMNS has the last word: {wide:#?}");
    let narrow = on_terminal(&master, 200, &[("COLUMNS", "60")], &list);
    assert!(narrow.iter().all(|line| line.chars().count() <= 60), "{narrow:#?}");
    let in_pipe = cli_with(&[&["--master", &master.address], &list[..]].concat(), &[("COLUMNS", "60")], b"").expect(0);
    assert_eq!(in_pipe.out, piped);
}

#[test]
fn columns_are_sized_by_their_content_and_numbers_stand_to_the_right() {
    let master = master();
    let table = master.cli(&["queue", "list"]).expect(0).out;
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("QUEUE                     PENDING  DELAYED"), "{table}");
    assert!(lines[1].starts_with("a-queue-with-a-long-name        0        0"), "{table}");
    assert!(lines[2].starts_with("mail                        1,234        0"), "{table}");
    for command in [&["queue", "list"][..], &["stats"], &["worker", "list"], &["batch", "list"], &["schedule", "list"]]
    {
        let lines = on_terminal(&master, 60, &[], command);
        assert!(lines.iter().all(|line| line.chars().count() <= 60), "{command:?}: {lines:#?}");
    }
}

#[test]
fn wide_signs_take_two_columns() {
    let master = Master::fresh(&[]);
    master.submit(&["q", "x", "--key", "日本"]);
    master.submit(&["q", "x", "--key", "plain"]);
    let got = master.connect().take("q");
    master.connect().fail(&got, true, "Größe");
    let table = master.cli(&["job", "list", "--oldest"]).expect(0).out;
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[1].ends_with("日本   Größe") && lines[2].ends_with("plain"), "{table}");
}
