//! The command line: one file per command family.
//!
//! A command is one more client of the HTTP API. Where a server holds the data folder, the command talks to it with the
//! credential that the server left there; where none does, the command takes the folder itself and serves it for as long
//! as it needs, on a port of its own that nobody else knows the credential of. Either way the same code runs.

mod admin;
mod api_token;
mod application;
mod audit;
mod backup;
mod client;
mod connection;
mod doctor;
mod event;
mod keys;
mod load;
mod open;
mod print;
mod profile;
mod provider;
mod serve;
mod settings;
mod simulate;
mod user;
mod webhook;

use std::{collections::BTreeMap, ffi::OsString, io::Write as _, process::ExitCode};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::{
    config::{self, Config, Values},
    http,
};
use client::Client;

/// Keeps your OAuth apps, connects accounts to them, and hands out access tokens that work.
#[derive(Debug, Parser)]
#[command(name = "grantry", version, max_term_width = 110)]
struct Cli {
    /// Print JSON instead of text for people.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the server. This is what `grantry` alone does.
    Serve,
    /// Connect an account in the browser, and wait until it is.
    Connect(connection::Connect),
    /// Look after connections: accounts that are connected.
    #[command(subcommand)]
    Connection(connection::Command),
    /// Print a fresh access token of a connection, and nothing else.
    Token(connection::Token),
    /// Run a command with a fresh access token in its environment.
    Exec(connection::Exec),
    /// Look after API tokens: credentials for the HTTP API.
    #[command(subcommand)]
    ApiToken(api_token::Command),
    /// Look after users of the admin page and the API.
    #[command(subcommand)]
    User(user::Command),
    /// Get into the admin page.
    #[command(subcommand)]
    Admin(admin::Command),
    /// Look after profiles: your client ids and secrets at providers.
    #[command(subcommand)]
    Profile(profile::Command),
    /// Look after client applications: programs that use this server.
    #[command(subcommand)]
    Application(application::Command),
    /// Load a document of OAuth configurations: adds and updates profiles, deletes nothing.
    Load(load::Load),
    /// Look after providers: the catalogue, and those of your own.
    #[command(subcommand)]
    Provider(provider::Command),
    /// See what happened to connections and profiles.
    #[command(subcommand)]
    Event(event::Command),
    /// See what comes to its end soon: client secrets, refresh tokens, API tokens.
    Expiring(event::Expiring),
    /// Look after webhooks: addresses that want to hear of events.
    #[command(subcommand)]
    Webhook(webhook::Command),
    /// See who did what.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Look after backups: make, list, verify, put back.
    #[command(subcommand)]
    Backup(backup::Command),
    /// Look at the whole installation: settings, files, keys, backups, connections. Exits with 1 when something is an error.
    Doctor,
    /// Look after the keys that seal secrets: list, verify, rotate.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Look at the settings.
    #[command(subcommand)]
    Config(settings::Command),
    /// Run a practice provider on this machine: an authorization server with made-up accounts, and faults on demand.
    Simulate(simulate::Simulate),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// Whether the command may begin a data folder: one that only looks would hide that the folder is the wrong one.
    fn may_begin(&self) -> bool {
        matches!(
            self,
            Self::Serve
                | Self::Config(_)
                | Self::Completions { .. }
                | Self::Simulate(_)
                | Self::Load(_)
                | Self::Admin(_)
                | Self::Backup(backup::Command::Restore { .. })
                | Self::ApiToken(api_token::Command::Create { .. })
                | Self::User(user::Command::Create { .. })
                | Self::Profile(profile::Command::Create(_))
                | Self::Application(application::Command::Create { .. })
                | Self::Provider(provider::Command::Add { .. })
        )
    }
}

/// Why a command failed, in one sentence for people.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Failed(String);

impl Failed {
    fn new(what: impl std::fmt::Display) -> Self {
        Self(what.to_string())
    }
}

macro_rules! failed_from {
    ($($error:ty),*) => {$(
        impl From<$error> for Failed {
            fn from(error: $error) -> Self {
                Self::new(error)
            }
        }
    )*};
}
failed_from!(
    config::ConfigError,
    crate::store::OpenError,
    crate::store::seal::KeyError,
    crate::http::tls::TlsError,
    crate::domain::Error,
    std::io::Error
);

/// What a command may use.
struct Context {
    config: Config,
    values: Values,
    out: print::Out,
}

/// Reads the command line and does what it says. 0: done; 1: it failed, with a sentence on standard error; 2: it was not
/// understood.
pub fn main() -> ExitCode {
    let command = config::arguments(Cli::command());
    let matches = command.get_matches();
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    match run(cli, &matches) {
        Ok(()) if print::is_lost() => {
            let what = "grantry: it is done, but standard output could not be written: what was printed is lost";
            let _ = writeln!(std::io::stderr(), "{what}");
            ExitCode::FAILURE
        }
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "grantry: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli, matches: &clap::ArgMatches) -> Result<(), Failed> {
    let out = print::Out { json: cli.json };
    let command = cli.command.unwrap_or(Command::Serve);
    if let Command::Completions { shell } = command {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut config::arguments(Cli::command()), "grantry", &mut script);
        out.line(&String::from_utf8_lossy(&script));
        return Ok(());
    }
    if let Command::Simulate(simulate) = command {
        return simulate::run(out, simulate);
    }
    let values = Values::collect(matches, &environment())?;
    let context = Context { config: values.config()?, values, out };
    if !command.may_begin() && !crate::store::database_path(&context.config.data).exists() {
        let dir = context.config.data.display();
        return Err(Failed::new(format_args!(
            "there is no Grantry in {dir}; `grantry serve` begins one, --data names another"
        )));
    }
    match command {
        Command::Serve => serve::serve(&context),
        Command::Config(command) => settings::run(&context, &command),
        Command::Completions { .. } | Command::Simulate(_) => Ok(()),
        Command::Connect(connect) => {
            with_client(&context, async |client| connection::connect(&context, client, connect).await)
        }
        Command::Connection(command) => {
            with_client(&context, async |client| connection::run(&context, client, command).await)
        }
        Command::Token(token) => with_client(&context, async |client| connection::token(&context, client, token).await),
        Command::Exec(exec) => {
            let mut prepared = None;
            with_client(&context, async |client| {
                prepared = Some(connection::prepare(client, exec).await?);
                Ok(())
            })?;
            let Some(mut command) = prepared else { return Ok(()) };
            // In our place: its signals, its exit status, its terminal.
            #[cfg(unix)]
            let error = std::os::unix::process::CommandExt::exec(&mut command);
            #[cfg(not(unix))]
            let error = match command.status() {
                Ok(status) => std::process::exit(status.code().unwrap_or(1)),
                Err(error) => error,
            };
            Err(Failed::new(format_args!("{}: {error}", command.get_program().display())))
        }
        Command::ApiToken(command) => {
            with_client(&context, async |client| api_token::run(&context, client, command).await)
        }
        Command::User(command) => with_client(&context, async |client| user::run(&context, client, command).await),
        Command::Admin(command) => with_client(&context, async |client| admin::run(&context, client, command).await),
        Command::Profile(command) => {
            with_client(&context, async |client| profile::run(&context, client, command).await)
        }
        Command::Application(command) => {
            with_client(&context, async |client| application::run(&context, client, command).await)
        }
        Command::Load(command) => with_client(&context, async |client| load::run(&context, client, command).await),
        Command::Provider(command) => {
            with_client(&context, async |client| provider::run(&context, client, command).await)
        }
        Command::Event(command) => with_client(&context, async |client| event::run(&context, client, command).await),
        Command::Expiring(command) => {
            with_client(&context, async |client| event::expiring(&context, client, command).await)
        }
        Command::Webhook(command) => {
            with_client(&context, async |client| webhook::run(&context, client, command).await)
        }
        Command::Audit(command) => with_client(&context, async |client| audit::run(&context, client, command).await),
        Command::Backup(backup::Command::Restore { backup }) => backup::restore(&context, &backup),
        Command::Backup(command) => with_client(&context, async |client| backup::run(&context, client, command).await),
        Command::Doctor => with_client(&context, async |client| doctor::run(&context, client).await),
        Command::Keys(command) => with_client(&context, async |client| keys::run(&context, client, &command).await),
    }
}

/// The variables that may be about us. One that is not UTF-8 is none of ours.
fn environment() -> BTreeMap<String, String> {
    let texts = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    std::env::vars_os().filter_map(texts).filter(|(name, _)| name.starts_with("GRANTRY_")).collect()
}

fn with_client(context: &Context, work: impl AsyncFnOnce(&Client) -> Result<(), Failed>) -> Result<(), Failed> {
    http::run(async {
        let client = Client::connect(&context.config).await?;
        let done = work(&client).await;
        client.close().await;
        done
    })
}
