//! `grantry doctor`.

use serde_json::Value;

use super::{Context, Failed, client::Client};

pub(super) async fn run(context: &Context, client: &Client) -> Result<(), Failed> {
    let out = context.out;
    let found = client.get("/api/doctor").await?["result"].take();
    let findings = found["findings"].as_array().map_or(&[] as &[Value], Vec::as_slice);
    if out.json {
        out.value(&found);
    } else {
        out.list(findings, &[("", "/level"), ("what", "/code"), ("finding", "/message")]);
    }
    let errors = findings.iter().filter(|finding| finding["level"] == "error").count();
    if errors > 0 {
        return Err(Failed::new(format_args!("{errors} of {} findings are errors", findings.len())));
    }
    Ok(())
}
