//! `grantry application`.

use std::{fs, io::Write as _, path::PathBuf};

use serde_json::{Map, Value, json};

use super::{
    Context, Failed,
    client::{Client, segment},
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the applications.
    List,
    /// Make an application from its configuration file.
    Create {
        /// Its name.
        name: String,
        /// The configuration file: JSON with at least one custom action.
        file: PathBuf,
        /// It may do nothing until it is enabled.
        #[arg(long)]
        disabled: bool,
    },
    /// Give an application another file, enable or disable it. A disabled one's tokens stop at once.
    Update {
        /// Its id.
        id: String,
        /// The new configuration file.
        #[arg(long)]
        file: Option<PathBuf>,
        /// It may do what it was granted.
        #[arg(long, conflicts_with = "disable")]
        enable: bool,
        /// It may do nothing.
        #[arg(long)]
        disable: bool,
    },
    /// Delete an application with its file, secrets and tokens.
    Delete {
        /// Its id.
        id: String,
    },
    /// Print the configuration file of an application, byte for byte.
    Data {
        /// Its id.
        id: String,
    },
    /// Issue a secret and print client id and secret. The secret is shown this once. An application can have two, so
    /// that one can be changed while the other is in use.
    Secret {
        /// Its id.
        id: String,
    },
    /// List the secrets of an application, never their text.
    Secrets {
        /// Its id.
        id: String,
    },
    /// Revoke a secret: it and the tokens it fetched stop at once.
    RevokeSecret {
        /// The application's id.
        id: String,
        /// The secret's id.
        secret: i64,
    },
    /// Set what an application may do, and to which connections, or show it. Other scopes stop the tokens that are out.
    Scopes {
        /// Its id.
        id: String,
        /// What it may do: any of profiles:read, profiles:write, connections:read, connections:write,
        /// connections:token, applications:read, applications:write, audit:read, admin.
        scopes: Vec<String>,
        /// It may do nothing.
        #[arg(long, conflicts_with = "scopes")]
        none: bool,
        /// A connection that it may see and use; once for each.
        #[arg(long = "connection", value_name = "ID")]
        connections: Vec<i64>,
        /// It may see and use any connection, as far as --owner lets it.
        #[arg(long, conflicts_with = "connections")]
        any_connection: bool,
        /// It may see and use connections of this owner alone.
        #[arg(long, value_name = "NAME")]
        owner: Option<String>,
        /// It may see and use connections of any owner.
        #[arg(long, conflicts_with = "owner")]
        any_owner: bool,
    },
}

const BASE: &str = "/documents/api/1.2/config/clientApplications";

fn files(id: &str) -> String {
    format!("{BASE}/{}", segment(id))
}

fn credentials(id: &str, below: &str) -> String {
    format!("/api/client_applications/{}{below}", segment(id))
}

pub(super) async fn run(context: &Context, client: &Client, command: Command) -> Result<(), Failed> {
    match command {
        Command::List => list(context, client).await?,
        Command::Create { name, file, disabled } => {
            let metadata = json!({"name": name, "isEnabled": !disabled});
            let made = upload(client, "POST", BASE, Some(&metadata), Some(file)).await?;
            context.out.done(&made, made["id"].as_str().unwrap_or_default());
        }
        Command::Update { id, file, enable, disable } => {
            let metadata = (enable || disable).then(|| json!({"isEnabled": enable}));
            let changed = upload(client, "PUT", &files(&id), metadata.as_ref(), file).await?;
            context.out.done(&changed, &format!("application {id} is changed"));
        }
        Command::Delete { id } => {
            let gone = client.delete(&files(&id)).await?;
            context.out.done(&gone, &format!("application {id} is deleted"));
        }
        Command::Data { id } => {
            let data = client.download(&format!("{}/data", files(&id))).await?;
            let mut out = std::io::stdout().lock();
            out.write_all(&data).and_then(|()| out.flush())?;
        }
        Command::Secret { id } => {
            let issued = client.send(client.request("POST", &credentials(&id, "/secret"))?).await?;
            let field = |name: &str| issued[name].as_str().unwrap_or_default();
            if context.out.json {
                context.out.value(&issued);
            } else {
                context.out.line(&format!("client_id {}", field("client_id")));
                context.out.line(&format!("client_secret {}", field("client_secret")));
            }
        }
        Command::Secrets { id } => {
            let answer = client.get(&credentials(&id, "/secrets")).await?;
            context.out.list(
                answer["result"].as_array().map_or(&[], Vec::as_slice),
                &[("id", "/id"), ("created", "/created_at"), ("last used", "/last_used_at")],
            );
        }
        Command::RevokeSecret { id, secret } => {
            let answer = client.delete(&credentials(&id, &format!("/secrets/{secret}"))).await?;
            context.out.done(&answer["result"], &format!("secret {secret} is revoked"));
        }
        Command::Scopes { id, scopes, none, connections, any_connection, owner, any_owner } => {
            let path = credentials(&id, "/scopes");
            let mut body = Map::new();
            if none || !scopes.is_empty() {
                body.insert("scopes".to_owned(), json!(scopes));
            }
            if any_connection || !connections.is_empty() {
                let connections = (!any_connection).then_some(connections);
                body.insert("connections".to_owned(), json!(connections));
            }
            if any_owner || owner.is_some() {
                body.insert("owner".to_owned(), json!(owner));
            }
            let answer = if body.is_empty() {
                client.get(&path).await?
            } else {
                client.send_json("PUT", &path, &Value::Object(body)).await?
            };
            context.out.done(&answer["result"], &granted(&answer["result"]));
        }
    }
    Ok(())
}

/// What an application may do, and where there is a limit, to which connections.
fn granted(scopes: &Value) -> String {
    let list = |value: &Value| -> Vec<String> {
        let items = value.as_array().map_or(&[][..], Vec::as_slice);
        items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect()
    };
    let words = list(&scopes["scopes"]);
    let mut text = if words.is_empty() { "none".to_owned() } else { words.join(" ") };
    if scopes["connections"].is_array() {
        text.extend([", of the connections ", &list(&scopes["connections"]).join(" ")]);
    }
    if let Some(owner) = scopes["owner"].as_str() {
        text.extend([", of the owner ", owner]);
    }
    text
}

async fn list(context: &Context, client: &Client) -> Result<(), Failed> {
    let mut all = Vec::new();
    for page in 1.. {
        let answer = client.get(&format!("/api/client_applications?per_page=1000&page={page}")).await?;
        let items = answer["result"].as_array().cloned().unwrap_or_default();
        let is_last = items.len() < 1000;
        all.extend(items);
        if is_last {
            break;
        }
    }
    context.out.list(
        &all,
        &[
            ("id", "/id"),
            ("name", "/name"),
            ("enabled", "/enabled"),
            ("file", "/file_name"),
            ("scopes", "/scopes"),
            ("connections", "/connections"),
            ("owner", "/owner"),
            ("changed", "/modified_at"),
        ],
    );
    Ok(())
}

/// Sends a multipart body (RFC 7578) of one part for each thing given.
async fn upload(
    client: &Client,
    method: &str,
    path: &str,
    metadata: Option<&Value>,
    file: Option<PathBuf>,
) -> Result<Value, Failed> {
    let boundary = format!("grantry-{}", uuid::Uuid::new_v4().simple());
    let mut body = Vec::new();
    if let Some(metadata) = metadata {
        part(&mut body, &boundary, "name=\"metadata\"", metadata.to_string().as_bytes());
    }
    if let Some(file) = file {
        let data = fs::read(&file).map_err(|error| Failed::new(format_args!("{}: {error}", file.display())))?;
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // Nothing in a name may end the header that it stands in.
        let name: String = name.chars().filter(|c| !c.is_control()).collect();
        let name = name.replace('\\', "\\\\").replace('"', "\\\"");
        part(&mut body, &boundary, &format!("name=\"file\"; filename=\"{name}\""), &data);
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    let request = client
        .request(method, path)?
        .header("content-type", format!("multipart/form-data; boundary={boundary}"))
        .header("accept", "application/json")
        .body(body);
    let answer = client.send(request).await?;
    // The original writes every value as a string; the code that says "no error" is no news to anybody here.
    let fields = answer.as_object().cloned().unwrap_or_default();
    Ok(Value::Object(fields.into_iter().filter(|(key, _)| key != "errorCode").collect::<Map<_, _>>()))
}

fn part(body: &mut Vec<u8>, boundary: &str, disposition: &str, content: &[u8]) {
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\nContent-Type: application/json\r\n\r\n"
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(content);
    body.extend_from_slice(b"\r\n");
}
