//! `grantry admin`.

use serde_json::json;

use super::{Context, Failed, client::Client};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a one-time link that lets somebody become an administrator, and print it, alone. It works for 30 minutes; links
    /// that were made before stop working.
    SetupLink,
}

pub(super) async fn run(context: &Context, client: &Client, Command::SetupLink: Command) -> Result<(), Failed> {
    let answer = client.send_json("POST", "/api/setup_links", &json!({})).await?;
    let url = answer["result"]["url"].as_str().unwrap_or_default();
    context.out.done(&answer["result"], url);
    Ok(())
}
