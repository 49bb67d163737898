//! The picture of a session is of commands that work, as `tools/record.py` wrote it.

use std::process::Command;

use crate::pages;

const PICTURE: &str = "docs/src/pictures/session.svg";

/// The commands that the picture shows are those that the script would run now.
#[test]
fn the_picture_shows_the_commands_of_the_script() {
    let listed = Command::new("python3").args(["tools/record.py", "--list"]).current_dir(pages::root()).output();
    let listed = listed.expect("python3");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let commands = String::from_utf8(listed.stdout).expect("text");
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let picture = pages::text(PICTURE);
    for command in commands.lines().filter(|command| !command.is_empty()) {
        assert!(picture.contains(&escape(command)), "{PICTURE} does not show `{command}`: run tools/record.py");
    }
}

/// A picture is whole in itself: it loads nothing and runs nothing.
#[test]
fn pictures_ask_nobody_for_anything() {
    let dir = std::fs::read_dir(pages::root().join("docs/src/pictures")).expect("the pictures");
    for entry in dir {
        let path = entry.expect("a picture").path();
        let text = std::fs::read_to_string(&path).expect("text");
        assert!(text.contains("prefers-color-scheme: dark"), "{} is not for the dark", path.display());
        let plain = text.replace("http://www.w3.org/2000/svg", "");
        for word in ["http:", "https:", "<script", "@import", "<image"] {
            assert!(!plain.contains(word), "{} has {word}", path.display());
        }
    }
}
