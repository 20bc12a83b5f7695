//! `grantry simulate`, and the definition of itself that it prints.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use grantry::{
    oauth::catalogue::Entry,
    simulator::{self, CLIENT_ID, Like, Options, Rotation, WORDS},
};
use serde_json::{Value, json};

use super::{json_of, text};
use crate::support::{clean, program};

#[test]
fn every_definition_is_one_that_grantry_takes() {
    for (like, _) in Like::ALL {
        for rotation in [Rotation::None, Rotation::Strict, Rotation::Grace(30), Rotation::RetrySafe] {
            for listen in ["127.0.0.1:9090", "[::1]:9090"] {
                let throttle = Some("10/60".parse().unwrap());
                let options =
                    Options { like, rotation, throttle, listen: listen.parse().unwrap(), ..Options::default() };
                let definition = simulator::definition(&options, &simulator::url_of(options.listen));
                let entry =
                    Entry::parse(&definition.to_string()).unwrap_or_else(|error| panic!("{error}: {definition}"));
                assert_eq!(entry.rotates, (rotation != Rotation::None).then_some(true));
                assert_eq!(entry.replay_grace_s, (rotation == Rotation::Grace(30)).then_some(30));
            }
        }
    }
}

/// A simulator in a process of its own, which ends with this.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(program());
    clean(&mut command);
    command.arg("simulate").args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[tokio::test]
async fn the_command_needs_no_folder_and_says_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let args =
        ["--listen", "127.0.0.1:0", "--json", "--rotation", "grace:30", "--like", "plain", "--fail", "code=html"];
    let mut process =
        Process(command(&args).current_dir(dir.path()).env("GRANTRY_LISTEN", "nonsense").spawn().unwrap());
    let mut line = String::new();
    BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let told: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&told["client_id"], &told["rotation"]), (&json!(CLIENT_ID), &json!("grace:30")));
    let entry = Entry::parse(&told["provider"].to_string()).unwrap();
    assert_eq!((entry.token_url.unwrap(), entry.replay_grace_s), (format!("{}/token", text(&told["url"])), Some(30)));
    let url = format!("{}/control/faults", text(&told["url"]));
    let faults = json_of(reqwest::get(url).await.unwrap()).await.1;
    assert_eq!(faults["faults"], json!([{"on": "code", "fault": ["html"], "times": null, "skip": 0}]));
    let pid = process.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(process.0.wait().unwrap().code(), Some(0));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn the_command_tells_people_what_to_do_next() {
    let args = ["--listen", "127.0.0.1:0", "--rotation", "strict", "--access-token-life", "60"];
    let mut process = Process(command(&args).spawn().unwrap());
    let mut told = String::new();
    for line in BufReader::new(process.0.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        told = format!("{told}{line}\n");
        if line.contains("forgets everything") {
            break;
        }
    }
    for part in [
        "60 seconds",
        "--rotation strict --access-token-life 60 --print-provider > practice.json",
        "grantry provider add",
        "alice@",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn the_command_prints_a_definition_or_says_what_is_wrong() {
    let run = |args: &[&str]| command(args).output().unwrap();
    let printed = run(&["--print-provider", "--like", "zoho", "--listen", "127.0.0.1:9191"]).stdout;
    let entry = Entry::parse(std::str::from_utf8(&printed).unwrap()).unwrap();
    assert_eq!((entry.slug.as_str(), entry.scope_separator.as_str()), (simulator::SLUG, ","));
    assert_eq!(entry.token_url.as_deref(), Some("http://127.0.0.1:9191/token"));
    for (args, code, part) in [
        (&["--listen", "0.0.0.0:9090"][..], 1, "loopback alone"),
        (&["--listen", "9090"], 1, "such as 127.0.0.1:9090"),
        (&["--print-provider", "--listen", "127.0.0.1:0"], 1, "the port that the simulator will have"),
        (&["--access-token-life", "0"], 1, "from 1 to"),
        (&["--rotation", "sometimes"], 2, "one of none, strict, grace:SECONDS, retry-safe"),
        (&["--like", "nobody"], 2, "one of plain, slack"),
        (&["--fail", "explode"], 2, "unknown fault \"explode\"; faults: slow:MS"),
        (&["--fail", "userinfo=expires_in:1"], 2, "expires_in has no effect on userinfo requests"),
        (&["--fail", "refresh@x=hang"], 2, "ON@GRANT=FAULT or ON@client:ID=FAULT"),
        (&["--fail", "code@1=hang"], 2, "code requests belong to no grant"),
        (&["--fail", "refresh=[\"hang\""], 2, "a list of faults is a JSON list of texts"),
        (&["--fail", "[\"status:500\",\"html\"]"], 2, "status and html contradict each other"),
        (&["--fail", "moon=hang"], 2, "on: one of token"),
        (&["--throttle", "10"], 2, "REQUESTS/SECONDS"),
    ] {
        let output = run(args);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(code) && told.contains(part), "{args:?}: {told}");
    }
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    assert!(help.contains("[default: 127.0.0.1:9090]") && help.contains("retry-safe"), "{help}");
    let flat = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for word in WORDS {
        let line = format!("{}: {}", word.usage(), word.effect);
        assert!(flat.contains(&line), "{line}");
    }
    let undeclared = run(&["--print-provider", "--rotation", "strict", "--undeclared-rotation"]).stdout;
    let entry = Entry::parse(std::str::from_utf8(&undeclared).unwrap()).unwrap();
    assert!(entry.rotates.is_none() && entry.replay_grace_s.is_none());
}

#[tokio::test]
async fn faults_of_the_command_line_may_be_lists_and_name_one_grant_or_client() {
    let args = [
        "--listen",
        "127.0.0.1:0",
        "--json",
        "--fail",
        "refresh@2=[\"answer:429:{}\",\"retry_after:Sun, 06 Nov 1994 08:49:37 GMT\"]",
        "--fail",
        "token@client:other=expires_in:0",
    ];
    let mut process = Process(command(&args).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let told: Value = serde_json::from_str(&line).unwrap();
    let faults = reqwest::get(format!("{}/control/faults", text(&told["url"]))).await.unwrap();
    let words = ["answer:429:{}", "retry_after:Sun, 06 Nov 1994 08:49:37 GMT"];
    assert_eq!(
        json_of(faults).await.1["faults"],
        json!([
            {"on": "refresh", "fault": words, "times": null, "skip": 0, "grant": 2},
            {"on": "token", "fault": ["expires_in:0"], "times": null, "skip": 0, "client": "other"},
        ])
    );
}

#[test]
fn the_readme_lists_every_fault() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    for word in WORDS {
        let row = format!("| `{}` | {} | {} |", word.usage(), word.endpoints(), word.effect);
        assert!(readme.contains(&row), "{row}");
    }
}
