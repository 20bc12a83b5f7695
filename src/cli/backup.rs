//! `grantry backup`.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{
    Context, Failed,
    client::{Client, segment},
    open,
};
use crate::{
    domain::Timestamp,
    http::time::whole_seconds,
    store::{self, Hold, backup},
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a backup now, while the server goes on. The key file is not in it: keep a copy of that somewhere else.
    Create,
    /// List the backups, the oldest first, and say when the next one comes.
    List,
    /// Read a backup from end to end, to see that it can be put back with the keys there are. Exits with 1 when it cannot.
    Verify {
        /// Its name.
        name: String,
    },
    /// Remove a backup.
    Delete {
        /// Its name.
        name: String,
    },
    /// Put a backup in the place of the database, while no server runs. What is replaced is laid beside it.
    Restore {
        /// Its name, or its folder.
        backup: String,
    },
}

/// What goes with every backup.
const NO_KEY: &str =
    "The key is not in it. Without the key file no secret in it can be opened: keep a copy of that, elsewhere.";

pub(super) async fn run(context: &Context, client: &Client, command: Command) -> Result<(), Failed> {
    let out = context.out;
    match command {
        Command::Create => {
            let made = client.send(client.request("POST", "/api/backups")?).await?["result"].take();
            let text = |key: &str| made[key].as_str().unwrap_or_default().to_owned();
            let sentence = format!(
                "{} is made and verified: {} bytes, sealed with key {}\n{NO_KEY}",
                text("name"),
                made["size"],
                text("key_id")
            );
            out.done(&made, &sentence);
        }
        Command::List => {
            let listed = client.get("/api/backups").await?["result"].take();
            if out.json {
                out.value(&listed);
                return Ok(());
            }
            out.list(
                listed["backups"].as_array().map_or(&[], Vec::as_slice),
                &[
                    ("name", "/name"),
                    ("made", "/created_at"),
                    ("occasion", "/occasion"),
                    ("bytes", "/size"),
                    ("key", "/key_id"),
                    ("verified", "/verified_at"),
                    ("wrong", "/faults/0/message"),
                ],
            );
            let next = match (listed["every_hours"].as_u64(), listed["next_at"].as_str()) {
                (None, _) if client.is_own() => return Ok(()),
                (None, _) => "none is made by itself".to_owned(),
                (Some(hours), next) => {
                    let next = next.map(|at| format!(", the next one at {at}")).unwrap_or_default();
                    format!("one is made every {hours} hours{next}; {} of those are kept", listed["keep"])
                }
            };
            out.line(&next);
            if let Some(why) = listed["last_failure"]["message"].as_str() {
                out.line(&super::print::visible(&format!("the last one failed: {why}")));
            }
        }
        Command::Verify { name } => {
            let path = format!("/api/backups/{}/verify", segment(&name));
            let verified = client.send(client.request("POST", &path)?).await?["result"].take();
            if verified["fit"] != true {
                if out.json {
                    out.value(&verified);
                }
                let faults = verified["faults"].as_array().map_or(&[] as &[Value], Vec::as_slice);
                let faults: Vec<&str> = faults.iter().filter_map(|fault| fault["message"].as_str()).collect();
                return Err(Failed::new(format_args!("{name} cannot be put back: {}", faults.join("; "))));
            }
            out.done(&verified, &format!("{name} is whole, and opens with the keys there are"));
        }
        Command::Delete { name } => {
            client.delete(&format!("/api/backups/{}", segment(&name))).await?;
            out.done(&json!({"deleted": name}), &format!("{name} is removed"));
        }
        Command::Restore { backup } => restore(context, &backup)?,
    }
    Ok(())
}

/// Puts a backup back. No server may hold the folder, so this is no call of the API.
pub(super) fn restore(context: &Context, wanted: &str) -> Result<(), Failed> {
    let config = &context.config;
    open::make_private(&config.data)?;
    let hold = Hold::take(&config.data)?;
    let dir = open::backup_dir(config);
    let folder = backup::find(&dir, wanted).or_else(|| Some(PathBuf::from(wanted)).filter(|path| path.is_dir()));
    let folder = folder.ok_or_else(|| {
        Failed::new(format_args!("there is no backup {wanted} in {}, and no such folder either", dir.display()))
    })?;
    let (keys, _) = open::keys(config, false)?;
    let now = (store::system_clock())();
    let done = backup::restore(&hold, &config.data, &folder, &keys, now.0)
        .map_err(|error| Failed::new(format_args!("nothing was changed: {error}")))?;
    let made = whole_seconds(Timestamp(done.manifest.created_at));
    let replaced = done.replaced.as_deref().map(|path| path.display().to_string());
    let mut lines = vec![format!("{} of {made} is in place; start the server now", done.manifest.name)];
    if let Some(replaced) = &replaced {
        lines.push(format!("the database that it replaces is {replaced}: remove it when all is well"));
    }
    if done.grants_kept > 0 {
        lines.push(format!("{} grants have their tokens from that one, as they are newer", done.grants_kept));
    }
    if done.grants_uncertain > 0 {
        lines.push(format!(
            "{} grants may have been refreshed since: the start looks at them, and marks those as uncertain whose provider \
             changes refresh tokens",
            done.grants_uncertain
        ));
    }
    lines.push(
        "everybody has to log in again; users, passwords and API tokens are as they were then: look for those that were \
         revoked since"
            .to_owned(),
    );
    let value = json!({
        "name": done.manifest.name,
        "created_at": made,
        "replaced": replaced,
        "grants_kept": done.grants_kept,
        "grants_uncertain": done.grants_uncertain,
    });
    context.out.done(&value, &lines.join("\n"));
    Ok(())
}
