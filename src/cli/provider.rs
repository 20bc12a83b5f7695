//! `grantry provider`.

use serde_json::Value;

use super::{
    Context, Failed,
    client::{Client, segment},
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the providers: the catalogue, and those of your own.
    List {
        /// Only those with this text in key, name or category.
        text: Option<String>,
    },
    /// Print the definition of a provider.
    Show {
        /// Its key.
        slug: String,
    },
    /// Add a provider of your own, or one that goes before the catalogue's of the same key.
    Add {
        /// A file with its definition: JSON, in the form that `show` prints without `origin`.
        file: std::path::PathBuf,
    },
    /// Replace a provider of your own.
    Replace {
        /// Its key.
        slug: String,
        /// A file with its definition.
        file: std::path::PathBuf,
    },
    /// Remove a provider of your own.
    Delete {
        /// Its key.
        slug: String,
    },
}

pub(super) async fn run(context: &Context, client: &Client, command: Command) -> Result<(), Failed> {
    let out = context.out;
    let path = |slug: &str| format!("/api/providers/{}", segment(slug));
    let read = |file: &std::path::Path| {
        std::fs::read_to_string(file).map_err(|error| Failed::new(format_args!("{}: {error}", file.display())))
    };
    match command {
        Command::List { text } => {
            let answer = client.get("/api/providers").await?;
            let text = text.unwrap_or_default().to_lowercase();
            let fits = |item: &&Value| {
                ["slug", "name", "categories"].iter().any(|key| item[*key].to_string().to_lowercase().contains(&text))
            };
            let items: Vec<Value> = answer["result"].as_array().into_iter().flatten().filter(fits).cloned().collect();
            out.list(
                &items,
                &[("key", "/slug"), ("name", "/name"), ("categories", "/categories"), ("from", "/origin")],
            );
        }
        Command::Show { slug } => out.value(&client.get(&path(&slug)).await?["result"]),
        Command::Add { file } => {
            let request = client.request("POST", "/api/providers")?.header("content-type", "application/json");
            let answer = client.send(request.body(read(&file)?)).await?;
            let slug = answer["result"]["slug"].as_str().unwrap_or_default();
            out.done(&answer["result"], &format!("provider {slug} is added"));
        }
        Command::Replace { slug, file } => {
            let request = client.request("PUT", &path(&slug))?.header("content-type", "application/json");
            let answer = client.send(request.body(read(&file)?)).await?;
            out.done(&answer["result"], &format!("provider {slug} is replaced"));
        }
        Command::Delete { slug } => {
            let answer = client.delete(&path(&slug)).await?;
            out.done(&answer["result"], &format!("provider {slug} is removed"));
        }
    }
    Ok(())
}
