//! `grantry keys`.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::{
    Context, Failed,
    client::{Client, segment},
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the keys by id, and how many values each seals. Never prints a key.
    List,
    /// Open every sealed value, to see that the keys fit. Exits with 1 when one does not open.
    Verify,
    /// Make a new key and seal everything with it, while the server goes on; takes up what was interrupted. The old key stays
    /// in the key file: make a copy of the file afterwards.
    Rotate,
    /// Drop an old key that seals nothing any more.
    Forget {
        /// Its id.
        id: String,
        /// Although backups need it: they can never be opened again.
        #[arg(long)]
        force: bool,
    },
}

/// How often it is asked how far a rotation is.
const LOOK: Duration = Duration::from_millis(200);

pub(super) async fn run(context: &Context, client: &Client, command: &Command) -> Result<(), Failed> {
    let out = context.out;
    match command {
        Command::List => {
            let answer = client.get("/api/keys").await?;
            out.list(
                answer["result"].as_array().map_or(&[], Vec::as_slice),
                &[("key", "/id"), ("active", "/active"), ("there", "/known"), ("values", "/values")],
            );
        }
        Command::Rotate => {
            let mut at = client.send(client.request("POST", "/api/keys/rotate")?).await?["result"].take();
            let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}");
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr())
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
                .with_message("sealing anew");
            let count = |at: &Value, key: &str| at[key].as_u64().unwrap_or_default();
            while at["sealing"] == true {
                bar.set_length(count(&at, "sealed") + count(&at, "left"));
                bar.set_position(count(&at, "sealed"));
                // The server does it, and says how far it is when it is asked.
                tokio::time::sleep(LOOK).await;
                at = client.get("/api/keys/rotation").await?["result"].take();
            }
            bar.finish_and_clear();
            let mut said = format!(
                "{} values are sealed with the key {}; keep a copy of the key file, elsewhere than the database's copies",
                at["sealed"],
                at["active"].as_str().unwrap_or_default()
            );
            if count(&at, "left") > 0 {
                let left = &at["left"];
                said = format!("{said}\n{left} values do not open and stay as they are: see grantry keys verify");
            }
            out.done(&at, &said);
        }
        Command::Forget { id, force } => {
            client.delete(&format!("/api/keys/{}?force={force}", segment(id))).await?;
            out.done(&json!({"forgotten": id}), &format!("the key {id} is forgotten"));
        }
        Command::Verify => {
            let answer = client.send(client.request("POST", "/api/keys/verify")?).await?;
            let result = &answer["result"];
            let bad = result["unopenable"].as_array().map_or(&[] as &[Value], Vec::as_slice);
            if out.json {
                out.value(result);
            } else if !bad.is_empty() {
                out.list(bad, &[("table", "/table"), ("row", "/row")]);
            }
            if !bad.is_empty() {
                return Err(Failed::new(format_args!(
                    "{} of {} sealed values do not open",
                    bad.len(),
                    result["values"]
                )));
            }
            if !out.json {
                out.line(&format!("all {} sealed values open", result["values"]));
            }
        }
    }
    Ok(())
}
