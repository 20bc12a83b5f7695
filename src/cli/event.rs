//! `grantry event` and `grantry expiring`: what happened, and what comes to its end.

use serde_json::Value;

use super::{
    Context, Failed,
    client::{Client, segment},
    webhook::Part,
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List what happened to connections and profiles, newest first.
    List {
        #[command(flatten)]
        part: Part,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Expiring {
    /// How far to look ahead: 30d, 12h, or a number of seconds; at most 400d.
    #[arg(long, default_value = "30d")]
    within: String,
}

pub(super) async fn run(context: &Context, client: &Client, command: Command) -> Result<(), Failed> {
    let Command::List { part } = command;
    let answer = client.get(&format!("/api/events?{}", part.query())).await?;
    context.out.list(
        answer["result"].as_array().map_or(&[], Vec::as_slice),
        &[
            ("id", "/id"),
            ("at", "/at"),
            ("what", "/type"),
            ("connection", "/connection/name"),
            ("owner", "/connection/owner"),
            ("profile", "/profile/name"),
            ("provider", "/profile/provider"),
        ],
    );
    Ok(())
}

pub(super) async fn expiring(context: &Context, client: &Client, command: Expiring) -> Result<(), Failed> {
    let answer = client.get(&format!("/api/expiring?within={}", segment(&command.within))).await?;
    if context.out.json {
        context.out.value(&answer);
        return Ok(());
    }
    // One column for the name, whatever it is the name of.
    let named = answer["result"].as_array().into_iter().flatten().cloned().map(|mut item| {
        let of = ["profile", "connection", "api_token"].into_iter().find(|of| item[*of].is_object());
        item["of"] = of.map_or(Value::Null, |of| item[of].clone());
        item
    });
    context.out.list(
        &named.collect::<Vec<_>>(),
        &[
            ("ends", "/expires_at"),
            ("what", "/what"),
            ("why", "/why"),
            ("id", "/of/id"),
            ("name", "/of/name"),
            ("provider", "/of/provider"),
        ],
    );
    if answer["more"] == true {
        context.out.line("There is more: look at a shorter time.");
    }
    Ok(())
}
