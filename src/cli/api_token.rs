//! `grantry api-token`.

use serde_json::json;

use super::{Context, Failed, client::Client};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a token and print it, alone, on standard output. It is shown this once.
    Create {
        /// What it is for.
        #[arg(long)]
        name: String,
        /// What it may do; once for each scope. One of profiles:read, profiles:write, connections:read,
        /// connections:write, connections:token, applications:read, applications:write, audit:read, admin.
        #[arg(long = "scope", required = true)]
        scopes: Vec<String>,
        /// In how many days it stops; 0: never.
        #[arg(long, default_value_t = 90)]
        days: u32,
        /// A network that it may be used from, such as 10.1.0.0/16; once for each. Without any: from everywhere.
        #[arg(long = "address")]
        addresses: Vec<String>,
        /// A connection that it may see and use; once for each. Without any: all of them.
        #[arg(long = "connection", value_name = "ID")]
        connections: Vec<i64>,
        /// It may see and use connections of this owner alone.
        #[arg(long, value_name = "NAME")]
        owner: Option<String>,
        /// Id of the user whose token it is; it then never may more than that user.
        #[arg(long)]
        user: Option<i64>,
    },
    /// List the tokens, never their text.
    List,
    /// Revoke a token: it stops at once.
    Delete {
        /// Its id.
        id: i64,
    },
}

pub(super) async fn run(context: &Context, client: &Client, command: Command) -> Result<(), Failed> {
    match command {
        Command::Create { name, scopes, days, addresses, connections, owner, user } => {
            let connections = (!connections.is_empty()).then_some(connections);
            let body = json!({
                "name": name, "scopes": scopes, "days": days, "addresses": addresses, "connections": connections,
                "owner": owner, "user_id": user,
            });
            let answer = client.send_json("POST", "/api/api_tokens", &body).await?;
            let token = answer["result"]["token"].as_str().unwrap_or_default();
            context.out.done(&answer["result"], token);
        }
        Command::List => {
            let answer = client.get("/api/api_tokens").await?;
            context.out.list(
                answer["result"].as_array().map_or(&[], Vec::as_slice),
                &[
                    ("id", "/id"),
                    ("name", "/name"),
                    ("scopes", "/scopes"),
                    ("connections", "/connections"),
                    ("owner", "/owner"),
                    ("expires", "/expires_at"),
                    ("last used", "/last_used_at"),
                ],
            );
        }
        Command::Delete { id } => {
            let answer = client.delete(&format!("/api/api_tokens/{id}")).await?;
            context.out.done(&answer["result"], &format!("token {id} is revoked"));
        }
    }
    Ok(())
}
