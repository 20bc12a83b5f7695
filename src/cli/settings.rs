//! `grantry config`: what is set, and where it comes from.

use serde_json::json;

use super::{Context, Failed, open};
use crate::store::seal::KeyList;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Check the settings and the key file, and print each setting with its source. Starts nothing, changes nothing.
    Check,
}

pub(super) fn run(context: &Context, Command::Check: &Command) -> Result<(), Failed> {
    // The settings themselves were checked before any command runs.
    let rows: Vec<_> = context
        .values
        .iter()
        .map(|(key, value, source)| json!({"key": key, "value": value, "source": source.to_string()}))
        .collect();
    context.out.list(&rows, &[("setting", "/key"), ("value", "/value"), ("from", "/source")]);
    match open::key_path(&context.config) {
        Some(path) if path.exists() => KeyList::load(&path).map(drop)?,
        Some(path) if context.config.key_file.is_some() => {
            return Err(Failed::new(format_args!("key-file: {} does not exist", path.display())));
        }
        _ => {}
    }
    Ok(())
}
