//! `grantry webhook`.

use serde_json::{Map, Value, json};

use super::{Context, Failed, client::Client};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the webhooks.
    List,
    /// Add an address that wants to hear of events. The secret that deliveries are signed with is printed this once.
    Add {
        /// Where to deliver to: https, or http on loopback.
        url: String,
        #[command(flatten)]
        wants: Wants,
        /// Keep it switched off for now.
        #[arg(long)]
        disabled: bool,
    },
    /// Print a webhook.
    Show {
        /// Its id.
        id: i64,
    },
    /// Change a webhook; what is not named stays.
    Change {
        /// Its id.
        id: i64,
        /// Where to deliver to.
        #[arg(long)]
        url: Option<String>,
        #[command(flatten)]
        wants: Wants,
        /// Deliver all events from now on.
        #[arg(long, conflicts_with = "events")]
        all_events: bool,
        /// Switch it on (true) or off (false).
        #[arg(long, value_name = "true|false")]
        enabled: Option<bool>,
    },
    /// Make a new secret for a webhook and print it, alone. The one before stops at once.
    NewSecret {
        /// The webhook's id.
        id: i64,
    },
    /// Remove a webhook, with all that is on its way there.
    Remove {
        /// Its id.
        id: i64,
    },
    /// Send a ping to a webhook and tell what came back. Fails where it was not taken.
    Test {
        /// Its id.
        id: i64,
    },
    /// List what is or was on its way to a webhook, newest first.
    Deliveries {
        /// The webhook's id.
        id: i64,
        /// Only those that are waiting, delivered or dead.
        #[arg(long)]
        status: Option<String>,
        #[command(flatten)]
        part: Part,
    },
    /// Try a delivery now, one that was given up included.
    Retry {
        /// The webhook's id.
        id: i64,
        /// The delivery's id.
        delivery: i64,
    },
}

/// Which events.
#[derive(Debug, clap::Args)]
pub(super) struct Wants {
    /// A kind of event to deliver; once for each. One of connected, needs_reauthorization, app_secret_rejected, healed,
    /// disconnected.
    #[arg(long = "event", value_name = "KIND")]
    events: Vec<String>,
}

/// Which part of a list.
#[derive(Debug, clap::Args)]
pub(super) struct Part {
    /// Only those with a smaller id than this.
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
    /// How many at most: 1 to 100.
    #[arg(long, default_value_t = 100)]
    limit: u32,
}

impl Part {
    /// The query that says so.
    pub(super) fn query(&self) -> String {
        let before = self.before.map(|id| format!("&before={id}")).unwrap_or_default();
        format!("limit={}{before}", self.limit)
    }
}

const COLUMNS: &[(&str, &str)] = &[
    ("id", "/id"),
    ("address", "/url"),
    ("events", "/events"),
    ("enabled", "/enabled"),
    ("waiting", "/waiting"),
    ("dead", "/dead"),
];

pub(super) async fn run(context: &Context, client: &Client, command: Command) -> Result<(), Failed> {
    let out = context.out;
    let path = |id: i64| format!("/api/webhooks/{id}");
    match command {
        Command::List => {
            let answer = client.get("/api/webhooks").await?;
            out.list(answer["result"].as_array().map_or(&[], Vec::as_slice), COLUMNS);
        }
        Command::Add { url, wants, disabled } => {
            let body = json!({"url": url, "events": wants.events, "enabled": !disabled});
            let answer = client.send_json("POST", "/api/webhooks", &body).await?;
            let made = &answer["result"];
            let secret = made["secret"].as_str().unwrap_or_default();
            out.done(made, &format!("webhook {} is added; its deliveries are signed with\n{secret}", made["id"]));
        }
        Command::Show { id } => out.value(&client.get(&path(id)).await?["result"]),
        Command::Change { id, url, wants, all_events, enabled } => {
            let mut body = Map::new();
            if let Some(url) = url {
                body.insert("url".to_owned(), url.into());
            }
            if all_events || !wants.events.is_empty() {
                body.insert("events".to_owned(), wants.events.into());
            }
            if let Some(enabled) = enabled {
                body.insert("enabled".to_owned(), enabled.into());
            }
            let answer = client.send_json("PUT", &path(id), &Value::Object(body)).await?;
            out.done(&answer["result"], &format!("webhook {id} is changed"));
        }
        Command::NewSecret { id } => {
            let answer = client.send(client.request("POST", &format!("{}/secret", path(id)))?).await?;
            out.done(&answer["result"], answer["result"]["secret"].as_str().unwrap_or_default());
        }
        Command::Remove { id } => {
            let answer = client.delete(&path(id)).await?;
            out.done(&answer["result"], &format!("webhook {id} is removed"));
        }
        Command::Test { id } => {
            let answer = client.send(client.request("POST", &format!("{}/test", path(id)))?).await?;
            let done = &answer["result"];
            let (what, took) = (done["result"].as_str().unwrap_or_default(), &done["milliseconds"]);
            if done["delivered"] != true {
                if out.json {
                    out.value(done);
                }
                return Err(Failed::new(format_args!("the ping was not taken: {what}, after {took} ms")));
            }
            out.done(done, &format!("the ping was taken: {what}, after {took} ms"));
        }
        Command::Deliveries { id, status, part } => {
            let status = status.map(|word| format!("&status={}", super::client::segment(&word))).unwrap_or_default();
            let answer = client.get(&format!("{}/deliveries?{}{status}", path(id), part.query())).await?;
            out.list(
                answer["result"].as_array().map_or(&[], Vec::as_slice),
                &[
                    ("id", "/id"),
                    ("event", "/event_id"),
                    ("type", "/type"),
                    ("status", "/status"),
                    ("attempts", "/attempts"),
                    ("last result", "/result"),
                    ("next", "/next_at"),
                ],
            );
        }
        Command::Retry { id, delivery } => {
            let request = client.request("POST", &format!("{}/deliveries/{delivery}/retry", path(id)))?;
            let answer = client.send(request).await?;
            out.done(&answer["result"], &format!("delivery {delivery} is tried now"));
        }
    }
    Ok(())
}
