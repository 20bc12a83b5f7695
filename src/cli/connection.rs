//! `grantry connect|connection|token|exec`: accounts, and their access tokens.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::{Context, Failed, client::Client};
use crate::{domain::warning::WarningCode, http::warnings};

#[derive(Debug, clap::Args)]
pub(super) struct Connect {
    /// The provider's key, or the id of a profile.
    to: String,
    /// Whose account it is.
    #[arg(long)]
    owner: Option<String>,
    /// What the connection is called.
    #[arg(long)]
    name: Option<String>,
    /// The connection to authorize again, by its id.
    #[arg(long)]
    connection: Option<i64>,
    /// What to ask for, in the place of the provider's default; repeat it for each scope.
    #[arg(long = "scope")]
    scopes: Vec<String>,
    /// A value for a variable of the provider: subdomain=acme; repeat it for each.
    #[arg(long = "variable", value_name = "NAME=VALUE")]
    variables: Vec<String>,
    /// Print the link and open no browser.
    #[arg(long)]
    no_browser: bool,
    /// Print a code that somebody enters on whatever device they like, and wait until they have.
    #[arg(long, conflicts_with = "client_credentials")]
    device: bool,
    /// Connect by the app's own credentials: no browser, no account.
    #[arg(long)]
    client_credentials: bool,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the connections.
    List,
    /// Show all that is known of a connection, never its tokens.
    Show {
        /// Its id.
        id: i64,
    },
    /// Refresh a connection's access token now, whatever failed before.
    Refresh {
        /// Its id.
        id: i64,
    },
    /// End a connection's grant here and at the provider; the connection stays.
    Disconnect {
        /// Its id.
        id: i64,
    },
    /// Remove a connection, and end its grant.
    Delete {
        /// Its id.
        id: i64,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Token {
    /// The connection's id.
    connection: i64,
    /// For how many seconds the token must be good, at least.
    #[arg(long, default_value_t = 60)]
    min_ttl: u32,
}

#[derive(Debug, clap::Args)]
pub(super) struct Exec {
    /// The connection's id.
    connection: i64,
    /// The variable that holds the access token.
    #[arg(long, default_value = "ACCESS_TOKEN")]
    env: String,
    /// For how many seconds the token must be good, at least.
    #[arg(long, default_value_t = 60)]
    min_ttl: u32,
    /// The command and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Somebody has so long to agree: as long as the link lives.
const PATIENCE: Duration = Duration::from_mins(15);
/// A device's code lives a day at most; the server says when it has ended.
const DEVICE_PATIENCE: Duration = Duration::from_hours(25);
/// Between two looks at what has become of a connection.
const LOOK: Duration = Duration::from_secs(1);

pub(super) async fn connect(context: &Context, client: &Client, connect: Connect) -> Result<(), Failed> {
    let mut body = json!({"owner": connect.owner, "name": connect.name, "connection_id": connect.connection});
    match connect.to.parse::<i64>() {
        Ok(profile) => body["custom_oauth_profile_id"] = profile.into(),
        Err(_) => body["provider"] = connect.to.as_str().into(),
    }
    if !connect.scopes.is_empty() {
        body["scopes"] = connect.scopes.into();
    }
    for pair in &connect.variables {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| Failed::new(format_args!("--variable {pair}: it has the form NAME=VALUE")))?;
        body["variables"][name] = value.into();
    }
    if connect.client_credentials {
        let answer = client.send_json("POST", "/api/connect/client_credentials", &body).await?;
        let id = &answer["result"]["id"];
        context.out.done(&answer["result"], &format!("connection {id} is connected"));
        return Ok(());
    }
    if connect.device {
        return by_device(context, client, &body).await;
    }
    if client.is_own() {
        return Err(Failed::new("a browser has to come back to the server: start it first with `grantry serve`"));
    }
    let answer = client.send_json("POST", "/api/connect", &body).await?;
    print_warnings(&answer["result"]);
    let (id, url) = (answer["result"]["connection_id"].clone(), answer["result"]["url"].as_str().unwrap_or_default());
    if connect.no_browser || !open_browser(url) {
        // Not the answer itself: that comes when somebody has agreed.
        eprint_line(&format!("Open this link in a browser: {url}"));
    }
    let path = format!("/api/connections/{id}");
    let before = client.get(&path).await?["result"]["authorized_at"].clone();
    let waiting = Waiting { path, before, what: "waiting for the browser", patience: PATIENCE };
    let never = || Failed::new("nobody has agreed in time: the link has ended");
    let now = waiting.until_connected(client, |_| None).await?.ok_or_else(never)?;
    connected(context, &now);
    Ok(())
}

/// Connects by a code that somebody enters elsewhere.
async fn by_device(context: &Context, client: &Client, body: &Value) -> Result<(), Failed> {
    let before = match body["connection_id"].as_i64() {
        Some(id) => client.get(&format!("/api/connections/{id}")).await?["result"]["authorized_at"].clone(),
        None => Value::Null,
    };
    let begun = client.send_json("POST", "/api/connect/device", body).await?["result"].clone();
    print_warnings(&begun);
    let text = |field: &str| begun[field].as_str().unwrap_or_default().to_owned();
    let code = text("user_code");
    eprint_line(&format!("Enter the code {code} at {}", text("verification_uri")));
    if begun["verification_uri_complete"].is_string() {
        eprint_line(&format!("Or open {}", text("verification_uri_complete")));
    }
    let path = format!("/api/connections/{}", begun["connection_id"]);
    let waiting = Waiting { path, before, what: "waiting for the code to be entered", patience: DEVICE_PATIENCE };
    let ended = |now: &Value| {
        let device = &now["device"];
        match device["status"].as_str() {
            Some("waiting") if device["user_code"] == code.as_str() => None,
            Some("waiting") => Some(Failed::new("another code has been asked for in the meantime")),
            Some(_) => Some(Failed::new(why_ended(device))),
            None => Some(Failed::new("nothing waits for the code any more")),
        }
    };
    let never = || Failed::new("nobody has entered the code in time");
    let now = waiting.until_connected(client, ended).await?.ok_or_else(never)?;
    connected(context, &now);
    Ok(())
}

/// Why a device was not connected, for people.
fn why_ended(device: &Value) -> String {
    let result = device["result"].as_str().unwrap_or("unknown");
    match result {
        "access_denied" => "the user denied the request".to_owned(),
        "expired_token" => "the code expired before the user approved it".to_owned(),
        "other_account" => "this connection belongs to another account; nothing was changed".to_owned(),
        "disconnected" => "the connection was disconnected in the meantime".to_owned(),
        _ if device["blame"] == "app" => format!("the provider rejected the client ID or the client secret ({result})"),
        _ => format!("the request for tokens failed ({result})"),
    }
}

fn print_warnings(answer: &Value) {
    for warning in answer["warnings"].as_array().into_iter().flatten() {
        let code = warning["code"].as_str().unwrap_or_default();
        let sentence = WarningCode::parse(code)
            .map_or_else(|| code.to_owned(), |code| warnings::sentence_of(code, &warning["params"], false));
        eprint_line(&format!("Warning: {sentence}"));
    }
}

fn connected(context: &Context, now: &Value) {
    let account = now["account"]["label"].as_str().or(now["account"]["id"].as_str()).unwrap_or("an account");
    context.out.done(now, &format!("connection {} is connected to {account}", now["id"]));
}

/// A connection that somebody else is about to connect.
struct Waiting {
    path: String,
    /// When it was authorized last: a later time is what is waited for.
    before: Value,
    what: &'static str,
    patience: Duration,
}

impl Waiting {
    /// The connection once it is connected; `None`: not in time. `ended` says why there is nothing more to wait for.
    async fn until_connected(
        &self,
        client: &Client,
        ended: impl Fn(&Value) -> Option<Failed>,
    ) -> Result<Option<Value>, Failed> {
        let progress = ProgressBar::new_spinner().with_message(self.what);
        progress.enable_steady_tick(Duration::from_millis(120));
        let begun = Instant::now();
        let found = loop {
            let now = match client.get(&self.path).await {
                Ok(answer) => answer["result"].clone(),
                Err(error) => break Err(error),
            };
            if now["authorization_status"] == "success" && now["authorized_at"] != self.before {
                break Ok(Some(now));
            }
            if let Some(why) = ended(&now) {
                break Err(why);
            }
            if begun.elapsed() > self.patience {
                break Ok(None);
            }
            tokio::time::sleep(LOOK).await;
        };
        progress.finish_and_clear();
        found
    }
}

fn eprint_line(text: &str) {
    use std::io::Write as _;
    // Without standard error there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Opens a link with what the system has for that; answers whether it has.
fn open_browser(url: &str) -> bool {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let quiet = std::process::Stdio::null;
    let has_screen =
        cfg!(target_os = "macos") || ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|v| std::env::var_os(v).is_some());
    has_screen
        && std::process::Command::new(opener)
            .arg(url)
            .stdin(quiet())
            .stdout(quiet())
            .stderr(quiet())
            .status()
            .is_ok_and(|status| status.success())
}

const COLUMNS: &[(&str, &str)] = &[
    ("id", "/id"),
    ("provider", "/provider"),
    ("name", "/name"),
    ("status", "/authorization_status"),
    ("authorized", "/authorized_at"),
    ("lost because", "/connection_lost_reason"),
];

pub(super) async fn run(context: &Context, client: &Client, command: Command) -> Result<(), Failed> {
    let out = context.out;
    let path = |id: i64| format!("/api/connections/{id}");
    match command {
        Command::List => {
            let all = client.get("/api/connections?include_runtime_connections=true").await?;
            out.list(all.as_array().map_or(&[], Vec::as_slice), COLUMNS);
        }
        Command::Show { id } => out.value(&client.get(&path(id)).await?["result"]),
        Command::Refresh { id } => {
            let answer = client.send_json("POST", &format!("{}/refresh", path(id)), &json!({})).await?;
            let last = &answer["result"]["grant"]["last_refresh"];
            if last["ok"] != true {
                let why = last["result"].as_str().unwrap_or("unknown");
                return Err(Failed::new(format_args!("connection {id} was not refreshed: {why}")));
            }
            out.done(&answer["result"], &format!("connection {id} is refreshed"));
        }
        Command::Disconnect { id } => {
            let answer = client.send_json("POST", &format!("{}/disconnect", path(id)), &json!({})).await?;
            out.done(&answer, &format!("connection {id} is disconnected"));
        }
        Command::Delete { id } => {
            let answer = client.delete(&path(id)).await?;
            out.done(&answer, &format!("connection {id} is removed"));
        }
    }
    Ok(())
}

async fn fetch(client: &Client, id: i64, min_ttl: u32) -> Result<Value, Failed> {
    client.get(&format!("/api/connections/{id}/token?min_ttl={min_ttl}")).await
}

/// Prints an access token and nothing else.
pub(super) async fn token(context: &Context, client: &Client, token: Token) -> Result<(), Failed> {
    let given = fetch(client, token.connection, token.min_ttl).await?;
    if context.out.json {
        context.out.value(&given);
    } else {
        context.out.line(given["access_token"].as_str().unwrap_or_default());
    }
    Ok(())
}

/// The command of `exec` with the token in its environment; it runs once the client is closed.
pub(super) async fn prepare(client: &Client, exec: Exec) -> Result<std::process::Command, Failed> {
    let given = fetch(client, exec.connection, exec.min_ttl).await?;
    let token = given["access_token"].as_str().unwrap_or_default();
    let Some((program, arguments)) = exec.command.split_first() else { return Err(Failed::new("no command")) };
    let mut command = std::process::Command::new(program);
    command.args(arguments).env(&exec.env, token);
    // Our own keys and settings are none of its business.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("GRANTRY_")) {
            command.env_remove(name);
        }
    }
    Ok(command)
}
