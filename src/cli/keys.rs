//! `grantry keys`.

use serde_json::Value;

use super::{Context, Failed, client::Client};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the keys by id, and how many values each seals. Never prints a key.
    List,
    /// Open every sealed value, to see that the keys fit. Exits with 1 when one does not open.
    Verify,
}

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
