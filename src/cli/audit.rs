//! `grantry audit`: who did what.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::PathBuf,
};

use serde_json::Value;

use super::{
    Context, Failed,
    client::{Client, segment},
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List entries of the audit trail, newest first.
    List {
        #[command(flatten)]
        filter: Filter,
        /// How many at most.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
        /// Only entries behind the one with this id.
        #[arg(long)]
        before: Option<i64>,
    },
    /// Write all entries to standard output, or to a file, newest first.
    Export {
        #[command(flatten)]
        filter: Filter,
        /// csv, for a spreadsheet, or jsonl, a JSON object a line.
        #[arg(long, default_value = "csv")]
        format: String,
        /// A file to make; one that is there stays.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// Which entries; without any of these: all.
#[derive(Debug, clap::Args)]
pub(super) struct Filter {
    /// Who: "user 1", "api_token 3", "client_application ID", machine, nobody.
    #[arg(long)]
    actor: Option<String>,
    /// What was done: created, deleted, logged_in …
    #[arg(long)]
    deed: Option<String>,
    /// To what kind of thing: profile, connection, user …
    #[arg(long)]
    noun: Option<String>,
    /// To which one.
    #[arg(long)]
    noun_id: Option<String>,
    /// Not before: a day such as 2026-11-25 (UTC), or a time such as 2026-11-25T08:30:00Z.
    #[arg(long)]
    since: Option<String>,
    /// Before this time; a day is meant whole.
    #[arg(long)]
    until: Option<String>,
    /// A part of actor, id, facts, request or address, without regard to case.
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
}

impl Filter {
    fn query(&self) -> String {
        [
            ("actor", &self.actor),
            ("deed", &self.deed),
            ("noun", &self.noun),
            ("noun_id", &self.noun_id),
            ("since", &self.since),
            ("until", &self.until),
            ("q", &self.search),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some(format!("&{name}={}", segment(value.as_ref()?))))
        .collect()
    }
}

pub(super) async fn run(context: &Context, client: &Client, command: Command) -> Result<(), Failed> {
    match command {
        Command::List { filter, limit, before } => {
            let limit = limit as usize;
            let (mut found, mut before): (Vec<Value>, _) = (Vec::new(), before);
            // A page may be shorter than asked for, and still not the last.
            loop {
                let behind = before.map(|id| format!("&before={id}")).unwrap_or_default();
                let path = format!("/api/audit?limit={}{behind}{}", limit - found.len(), filter.query());
                let mut answer = client.get(&path).await?;
                if let Some(items) = answer["result"]["items"].as_array_mut() {
                    found.append(items);
                }
                before = answer["result"]["next"].as_i64();
                if before.is_none() || found.len() >= limit {
                    break;
                }
            }
            context.out.list(
                &found,
                &[
                    ("id", "/id"),
                    ("at", "/at"),
                    ("who", "/actor"),
                    ("name", "/actor_name"),
                    ("did", "/deed"),
                    ("to", "/noun"),
                    ("which", "/noun_id"),
                    ("facts", "/detail"),
                    ("from", "/address"),
                ],
            );
        }
        Command::Export { filter, format, output } => {
            let path = format!("/api/audit/export?format={}{}", segment(&format), filter.query());
            match output {
                None => client.pour(&path, &mut io::stdout().lock()).await?,
                Some(file) => {
                    let fail = |error: io::Error| Failed::new(format_args!("{}: {error}", file.display()));
                    let mut options = File::options();
                    options.write(true).create_new(true);
                    #[cfg(unix)]
                    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
                    let mut out = BufWriter::new(options.open(&file).map_err(fail)?);
                    client.pour(&path, &mut out).await?;
                    out.flush().map_err(fail)?;
                }
            }
        }
    }
    Ok(())
}
