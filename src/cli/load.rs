//! `grantry load`.

use std::{io::Read as _, path::PathBuf, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use super::{
    Context, Failed,
    client::{Client, refusal, unreachable},
    print::visible,
};
use crate::app::load::MOST_BYTES;

#[derive(Debug, clap::Args)]
pub(super) struct Load {
    /// The document, connectors with their OAuth providers: {"jira": {"JIRA-1": {"CLIENT_ID": "…", "CLIENT_SECRET":
    /// "…"}}}. `-` reads it from standard input.
    #[arg(required_unless_present = "template", conflicts_with = "template")]
    file: Option<PathBuf>,
    /// Print a document with every connector there is, to be filled in.
    #[arg(long)]
    template: bool,
    /// Only say what would be added and updated; change nothing.
    #[arg(long, conflicts_with = "template")]
    dry_run: bool,
}

pub(super) async fn run(context: &Context, client: &Client, command: Load) -> Result<(), Failed> {
    let Some(file) = command.file else {
        context.out.value(&client.get("/api/connector_template").await?);
        return Ok(());
    };
    let report = send(client, read(&file)?, command.dry_run).await?;
    let count = |list: &str| report[list].as_array().map_or(0, Vec::len);
    if command.dry_run {
        let mut lines = vec![format!(
            "would be loaded: {} added, {} updated, {} unchanged",
            count("added"),
            count("updated"),
            report["unchanged"]
        )];
        for (list, sign) in [("added", '+'), ("updated", '~')] {
            let text = |item: &Value, key: &str| visible(item[key].as_str().unwrap_or_default());
            let items = report[list].as_array().map_or(&[][..], Vec::as_slice);
            lines.extend(
                items.iter().map(|item| format!("{sign} {} {}", text(item, "connector"), text(item, "provider"))),
            );
        }
        context.out.done(&report, &lines.join("\n"));
        return Ok(());
    }
    let sentence = format!("{} added, {} updated, {} unchanged", count("added"), count("updated"), report["unchanged"]);
    context.out.done(&report, &sentence);
    Ok(())
}

/// The bytes of the document. What is too large is not sent: the server would hang up in the middle.
fn read(file: &PathBuf) -> Result<Vec<u8>, Failed> {
    let most = MOST_BYTES as u64;
    let named = |error: std::io::Error| Failed::new(format_args!("{}: {error}", file.display()));
    let mut bytes = Vec::new();
    if file.as_os_str() == "-" {
        std::io::stdin().lock().take(most + 1).read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(file).map_err(named)?.take(most + 1).read_to_end(&mut bytes).map_err(named)?;
    }
    if bytes.len() > MOST_BYTES {
        return Err(Failed::new(format_args!("{}: larger than {MOST_BYTES} bytes", file.display())));
    }
    Ok(bytes)
}

/// Sends the document, shows how far it is, and answers the report.
async fn send(client: &Client, document: Vec<u8>, dry_run: bool) -> Result<Value, Failed> {
    let (path, form) =
        if dry_run { ("/api/load?dry_run=true", "application/json") } else { ("/api/load", "application/x-ndjson") };
    let request =
        client.request("POST", path)?.header("accept", form).header("content-type", "application/json").body(document);
    let mut answer = request.send().await.map_err(|error| unreachable(&error))?;
    let status = answer.status();
    if !status.is_success() {
        let body = answer.text().await.map_err(|error| unreachable(&error))?;
        let body = serde_json::from_str(&body).unwrap_or(Value::Null);
        return Err(faults(&body).unwrap_or_else(|| refusal(status.as_u16(), &body)));
    }
    if dry_run {
        let report: Value = answer.json().await.map_err(|_| broken_off())?;
        return Ok(report["result"].clone());
    }
    let bar = bar();
    let mut rest = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|_| broken_off())? {
        rest.extend_from_slice(&chunk);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            let line: Value = serde_json::from_slice(&line).map_err(|_| broken_off())?;
            if let Some(progress) = line.get("progress") {
                bar.set_length(progress["of"].as_u64().unwrap_or_default());
                bar.set_position(progress["hashed"].as_u64().unwrap_or_default());
            } else if let Some(report) = line.get("result") {
                bar.finish_and_clear();
                return Ok(report.clone());
            } else if let Some(failed) = line.get("failed") {
                bar.finish_and_clear();
                return Err(refusal(500, failed));
            }
        }
    }
    bar.finish_and_clear();
    Err(broken_off())
}

/// Hidden where standard error is no terminal.
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}");
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr())
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_message("hashing secrets");
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn broken_off() -> Failed {
    Failed::new("the server stopped before it was done: load again; what is loaded already counts as unchanged")
}

/// The faults of a document, one per line; `None` where the refusal is about something else.
fn faults(body: &Value) -> Option<Failed> {
    let errors = body["errors"].as_object()?;
    let mut lines = vec!["nothing was loaded, because of these faults of the document:".to_owned()];
    for (path, reasons) in errors {
        let reasons = reasons.as_array().map_or(&[][..], Vec::as_slice);
        lines.extend(reasons.iter().filter_map(Value::as_str).map(|reason| format!("  {path}: {reason}")));
    }
    // A name stands in the document as somebody wrote it; it is not to steer the terminal.
    Some(Failed::new(visible(&lines.join("\n"))))
}
