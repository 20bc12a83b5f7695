//! The README's commands do what the README says.

use std::{path::Path, process::Command};

use crate::support::{Server, clean, program};

/// The commands and what stands below each, from the `console` blocks of a section.
fn examples(section: &str) -> Vec<(String, String)> {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let section = readme.split(&format!("\n## {section}\n")).nth(1).unwrap().split("\n## ").next().unwrap().to_owned();
    let mut found: Vec<(String, String)> = Vec::new();
    for block in section.split("```console\n").skip(1) {
        let mut in_command = false;
        for line in block.split("\n```").next().unwrap().lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                found.push((command.to_owned(), String::new()));
                in_command = true;
            } else if let Some((command, output)) = found.last_mut() {
                // A command goes on in lines that are indented.
                in_command &= line.starts_with("    ");
                let part = if in_command { command } else { output };
                part.push('\n');
                part.push_str(line);
            }
        }
    }
    found
}

/// What differs from run to run, made the same.
fn same(text: &str) -> String {
    let mut text = text.trim().to_owned();
    for (pattern, mark) in [
        (r"gry_[a-z]+_\d+_(…|[0-9a-f]{72})", "TOKEN"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}\+00:00|Z)", "TIME"),
        (r"[0-9A-F]{32}", "ID"),
    ] {
        text = regex_lite::Regex::new(pattern).unwrap().replace_all(&text, mark).into_owned();
    }
    text
}

#[tokio::test]
async fn every_command_of_the_dialects_prints_what_stands_below_it() {
    let server = Server::start().await;
    let token = server.admin().token();
    let examples = examples("The three dialects");
    assert!(examples.len() > 10);
    let own = |command: &str| {
        let file = server.dir().path().join("clientconfig.json");
        command.replace("http://127.0.0.1:8080", &server.url).replace("/tmp/clientconfig.json", file.to_str().unwrap())
    };
    let mark = "----- the end of one command";
    let mut script = format!("grantry() {{ {} \"$@\" --data {}; }}\n", program().display(), server.data().display());
    for (command, _) in &examples {
        script.extend([&own(command), "\necho; echo '", mark, "'\n"]);
    }
    let mut bash = Command::new("bash");
    clean(&mut bash);
    let output = bash.args(["-c", &script]).env("TOKEN", token).output().unwrap();
    let (printed, complaints) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr).into_owned());
    let printed: Vec<&str> = printed.split(mark).collect();
    assert_eq!(printed.len(), examples.len() + 1, "{complaints}");
    for ((command, expected), printed) in examples.iter().zip(printed) {
        assert_eq!(same(printed), same(expected), "{command}: {complaints}");
    }
}
