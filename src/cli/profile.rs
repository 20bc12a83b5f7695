//! `grantry profile`.

use std::io::{IsTerminal as _, Read as _};

use serde_json::{Map, Value, json};

use super::{Context, Failed, client::Client};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the profiles.
    List,
    /// Show one profile, never its secret.
    Show {
        /// Its id.
        id: i64,
    },
    /// Make a profile. The client secret is read from a file or from standard input, so that it is in no history.
    Create(Given),
    /// Replace a profile; the client secret is needed again.
    Replace {
        /// Its id.
        id: i64,
        #[command(flatten)]
        given: Given,
    },
    /// Remove a profile that nobody uses.
    Delete {
        /// Its id.
        id: i64,
    },
    /// Try a profile at its provider, without any user: are client id, secret and redirect URI right? Exits with 0 only when
    /// the provider takes them and nothing else is wrong.
    Check {
        /// The profile's id.
        id: i64,
        /// A value for a variable of the provider, as in subdomain=acme. Without any, those of a connection are used.
        #[arg(long = "variable", value_name = "NAME=VALUE")]
        variables: Vec<String>,
    },
    /// Show how the app of a profile is registered: redirect URI, client secrets with their age and end. With options:
    /// change it. A next secret is tried where the provider turns down the current one.
    Registration {
        /// The profile's id.
        id: i64,
        #[command(flatten)]
        change: RegistrationChange,
    },
    /// Put the next client secret in the place of the current one, which is gone by that.
    Promote {
        /// The profile's id.
        id: i64,
    },
    /// Compare a secret with the one that is kept. Exits with 0 when it is the same, with 1 when it is not.
    VerifySecret {
        /// The profile's id.
        id: i64,
        /// The file with the secret; - for standard input.
        #[arg(long, default_value = "-")]
        secret_file: String,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Given {
    /// The name of the profile.
    #[arg(long)]
    name: String,
    /// The provider: see `grantry provider list`.
    #[arg(long)]
    provider: String,
    /// The client id that the provider gave you.
    #[arg(long)]
    client_id: String,
    /// The file with the client secret; - for standard input.
    #[arg(long, default_value = "-")]
    secret_file: String,
    /// The file with the app's own token, for providers that have one (Slack).
    #[arg(long)]
    token_file: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct RegistrationChange {
    /// The address that is registered at the provider: oauth is /oauth/callback, flow is
    /// /Thingworx/Oauths/oauth/return.
    #[arg(long, value_parser = ["oauth", "flow"])]
    callback: Option<String>,
    /// When the provider stops taking the current secret, such as 2026-01-31T12:00:00Z; or never.
    #[arg(long, value_name = "TIME")]
    secret_expires: Option<String>,
    /// The file with the next client secret; - for standard input.
    #[arg(long, value_name = "FILE")]
    next_secret_file: Option<String>,
    /// Forget the next client secret.
    #[arg(long, conflicts_with_all = ["next_secret_file", "next_secret_expires"])]
    no_next_secret: bool,
    /// When the provider stops taking the next secret; or never.
    #[arg(long, value_name = "TIME")]
    next_secret_expires: Option<String>,
}

impl RegistrationChange {
    /// The body that says it; empty: nothing is to be changed.
    fn body(self) -> Result<Map<String, Value>, Failed> {
        let time = |text: String| if text == "never" { Value::Null } else { text.into() };
        let mut body = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        put("callback", self.callback.map(Value::from));
        put("client_secret_expires_at", self.secret_expires.map(time));
        let next = self.next_secret_file.map(|path| read_secret(&path)).transpose()?;
        put("next_client_secret", next.map(Value::from).or(self.no_next_secret.then_some(Value::Null)));
        put("next_client_secret_expires_at", self.next_secret_expires.map(time));
        Ok(body)
    }
}

/// Prints how an app is registered.
fn print_registration(out: super::print::Out, registration: &Value) {
    if out.json {
        return out.value(registration);
    }
    let text = |field: &str| registration[field].as_str().unwrap_or_default();
    let rejected = registration["rejected"]["why"].as_str().unwrap_or("no");
    out.pairs(&[
        ("provider", text("provider")),
        ("name", text("name")),
        ("client id", text("client_id")),
        ("redirect URI", text("redirect_uri")),
        ("turned down", rejected),
    ]);
    out.list(
        registration["secrets"].as_array().map_or(&[], Vec::as_slice),
        &[
            ("secret", "/kind"),
            ("since", "/created_at"),
            ("last used", "/last_used_at"),
            ("ends", "/expires_at"),
            ("usable", "/usable"),
        ],
    );
}

/// A secret from a file or standard input, without the line's end; typed unseen where that is a terminal.
fn read_secret(path: &str) -> Result<String, Failed> {
    let mut text = String::new();
    if path == "-" && std::io::stdin().is_terminal() {
        return rpassword::prompt_password("Secret: ").map_err(Failed::new);
    }
    let read = if path == "-" {
        std::io::stdin().lock().read_to_string(&mut text).map(drop)
    } else {
        std::fs::read_to_string(path).map(|read| text = read)
    };
    read.map_err(|error| Failed::new(format_args!("{path}: {error}")))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

impl Given {
    fn body(&self) -> Result<Value, Failed> {
        let mut data = json!({"client_id": self.client_id, "client_secret": read_secret(&self.secret_file)?});
        if let Some(path) = &self.token_file {
            data["token"] = read_secret(path)?.into();
        }
        Ok(json!({"name": self.name, "provider": self.provider, "data": data}))
    }
}

/// Names and values of variables.
fn pairs(given: &[String]) -> Result<Map<String, Value>, Failed> {
    let mut pairs = Map::new();
    for text in given {
        let Some((name, value)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(Failed::new(format_args!("--variable {text}: write it as NAME=VALUE")));
        };
        if pairs.insert(name.to_owned(), value.into()).is_some() {
            return Err(Failed::new(format_args!("--variable {name} is given twice")));
        }
    }
    Ok(pairs)
}

/// What a check came to, in a sentence; an error unless all is well.
fn verdict(id: i64, verdict: &str) -> Result<String, Failed> {
    let sentence = match verdict {
        "accepted" => return Ok(format!("the provider takes profile {id}")),
        "rejected" => "the provider turns down the client id or the client secret",
        "redirect_uri" => "the provider does not know the redirect URI",
        "unknown" => "nobody can tell from what the provider says",
        "unreachable" => "the provider does not answer as it should",
        "misconfigured" => "the settings are wrong or not enough",
        _ => "the server answered something unexpected",
    };
    Err(Failed::new(format_args!("profile {id}: {sentence}")))
}

const COLUMNS: &[(&str, &str)] = &[
    ("id", "/id"),
    ("provider", "/provider"),
    ("name", "/name"),
    ("client id", "/data/client_id"),
    ("connections", "/shared_accounts_count"),
    ("customers", "/oem_customers_count"),
    ("updated", "/updated_at"),
];

pub(super) async fn run(context: &Context, client: &Client, command: Command) -> Result<(), Failed> {
    let out = context.out;
    let path = |id: i64| format!("/api/custom_oauth_profiles/{id}");
    match command {
        Command::List => {
            let mut all = Vec::new();
            for page in 1.. {
                let answer = client.get(&format!("/api/custom_oauth_profiles?page={page}")).await?;
                match answer["result"].as_array() {
                    Some(items) if !items.is_empty() => all.extend(items.iter().cloned()),
                    _ => break,
                }
            }
            out.list(&all, COLUMNS);
        }
        Command::Show { id } => {
            let answer = client.get(&path(id)).await?;
            if out.json { out.value(&answer["result"]) } else { out.list(&[answer["result"].clone()], COLUMNS) }
        }
        Command::Create(given) => {
            let answer = client.send_json("POST", "/api/custom_oauth_profiles", &given.body()?).await?;
            out.done(&answer["result"], &format!("profile {} is made", answer["result"]["id"]));
        }
        Command::Replace { id, given } => {
            let answer = client.send_json("PUT", &path(id), &given.body()?).await?;
            out.done(&answer["result"], &format!("profile {id} is replaced"));
        }
        Command::Delete { id } => {
            let answer = client.delete(&path(id)).await?;
            out.done(&answer["result"], &format!("profile {id} is removed"));
        }
        Command::Check { id, variables } => {
            let body = json!({"variables": pairs(&variables)?});
            let answer = client.send_json("POST", &format!("{}/check", path(id)), &body).await?;
            let checked = &answer["result"];
            if out.json {
                out.value(checked);
            } else {
                let findings = checked["findings"].as_array().cloned().unwrap_or_default();
                out.list(&findings, &[("", "/severity"), ("finding", "/code"), ("what was seen", "/message")]);
                out.pairs(&[("redirect URI", checked["redirect_uri"].as_str().unwrap_or_default())]);
            }
            return verdict(id, checked["verdict"].as_str().unwrap_or_default()).map(|sentence| {
                if !out.json {
                    out.line(&sentence);
                }
            });
        }
        Command::Registration { id, change } => {
            let body = change.body()?;
            let path = format!("{}/registration", path(id));
            let answer = if body.is_empty() {
                client.get(&path).await?
            } else {
                client.send_json("PUT", &path, &Value::Object(body)).await?
            };
            print_registration(out, &answer["result"]);
        }
        Command::Promote { id } => {
            let path = format!("{}/promote_secret", path(id));
            let answer = client.send(client.request("POST", &path)?).await?;
            print_registration(out, &answer["result"]);
        }
        Command::VerifySecret { id, secret_file } => {
            let body = json!({"client_secret": read_secret(&secret_file)?});
            let answer = client.send_json("POST", &format!("{}/verify_secret", path(id)), &body).await?;
            let matches = answer["result"]["matches"] == true;
            if out.json {
                out.value(&answer["result"]);
            }
            if !matches {
                return Err(Failed::new(format_args!("this is not the secret of profile {id}")));
            }
            if !out.json {
                out.line(&format!("this is the secret of profile {id}"));
            }
        }
    }
    Ok(())
}
