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
        /// An origin that secrets may go to from now on, as the refusal names it; may be repeated.
        #[arg(long = "confirm-origin")]
        confirm_origins: Vec<String>,
    },
    /// Replace a provider of your own.
    Replace {
        /// Its key.
        slug: String,
        /// A file with its definition.
        file: std::path::PathBuf,
        /// An origin that secrets may go to from now on, as the refusal names it; may be repeated.
        #[arg(long = "confirm-origin")]
        confirm_origins: Vec<String>,
    },
    /// Confirm the origins that a provider's definition leads to: client secrets and grants go there from now on.
    Confirm {
        /// Its key.
        slug: String,
        /// A new origin, as the refusal or the health report names it; may be repeated.
        #[arg(long = "origin", required = true)]
        origins: Vec<String>,
    },
    /// Remove a provider of your own.
    Delete {
        /// Its key.
        slug: String,
        /// An origin that secrets may go to from now on, as the refusal names it; may be repeated.
        #[arg(long = "confirm-origin")]
        confirm_origins: Vec<String>,
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
        Command::Add { file, confirm_origins } => {
            let request = client.request("POST", "/api/providers")?.header("content-type", "application/json");
            let answer = client.send(request.body(confirming(read(&file)?, &confirm_origins)?)).await?;
            let slug = answer["result"]["slug"].as_str().unwrap_or_default();
            out.done(&answer["result"], &format!("provider {slug} is added"));
        }
        Command::Replace { slug, file, confirm_origins } => {
            let request = client.request("PUT", &path(&slug))?.header("content-type", "application/json");
            let answer = client.send(request.body(confirming(read(&file)?, &confirm_origins)?)).await?;
            out.done(&answer["result"], &format!("provider {slug} is replaced"));
        }
        Command::Confirm { slug, origins } => {
            let path = format!("/api/v1/providers/{}/confirm-origins", segment(&slug));
            let answer = client.send_json("POST", &path, &serde_json::json!({"origins": origins})).await?;
            let all: Vec<&str> = answer["origins"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            out.done(&answer, &format!("the secrets of provider {slug} may go to {}", all.join(", ")));
        }
        Command::Delete { slug, confirm_origins } => {
            let parameters: Vec<(&str, &String)> =
                confirm_origins.iter().map(|origin| ("confirm_origins", origin)).collect();
            let answer = client.send(client.request("DELETE", &path(&slug))?.query(&parameters)).await?;
            out.done(&answer["result"], &format!("provider {slug} is removed"));
        }
    }
    Ok(())
}

/// A definition with the origins that are confirmed with it.
fn confirming(definition: String, origins: &[String]) -> Result<String, Failed> {
    if origins.is_empty() {
        return Ok(definition);
    }
    let mut value: Value = serde_json::from_str(&definition).map_err(Failed::new)?;
    if let Some(fields) = value.as_object_mut() {
        fields.insert("confirm_origins".to_owned(), serde_json::json!(origins));
    }
    Ok(value.to_string())
}
