//! `grantry serve`: the server.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use serde_json::json;
use tracing_subscriber::EnvFilter;

use super::{
    Context, Failed,
    open::{Opened, RunFile, open, reachable, scheme},
};
use crate::{
    app::{App, users},
    config::Config,
    domain::{Name, Timestamp, user::Role},
    http::{self, Listeners, time::whole_seconds},
};

/// Serves until the process is told to stop.
pub(super) fn serve(context: &Context) -> Result<(), Failed> {
    let config = &context.config;
    start_log(config)?;
    let opened = open(config)?;
    http::run(async {
        // Bound only when the data folder is ours, so that a second start does not disturb the first.
        let listener = bind("listen", config.listen)?;
        let address = listener.local_addr()?;
        // The command line on this machine keeps to plain HTTP on loopback: it could not check a certificate, and its
        // credential is good from loopback alone.
        let reached = config.tls.is_none() && reachable(address).ip().is_loopback();
        let own = if reached { None } else { Some(TcpListener::bind("127.0.0.1:0")?) };
        let local = own.as_ref().map_or(Ok(address), TcpListener::local_addr)?;
        let metrics = config.metrics_listen.map(|at| bind("metrics-listen", at)).transpose()?;
        let metrics_address = metrics.as_ref().map(TcpListener::local_addr).transpose()?;
        let listeners = match &config.tls {
            None => Listeners { plain: std::iter::once(listener).chain(own).collect(), tls: None, metrics },
            Some((certificate, key)) => Listeners {
                plain: own.into_iter().collect(),
                tls: Some((listener, http::tls::server_config(certificate, key)?)),
                metrics,
            },
        };
        let (app, surface) = opened.start(config, address, true)?;
        first_administrator(&app, config).await?;
        let link = match app.count_admins()? {
            0 => Some(app.make_setup_link(&app.machine("start")).await?.0),
            _ => None,
        };
        let workers = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let stop_within = Duration::from_secs(config.stop_within_s.into());
        let mut run_file = None;
        let served = http::serve(Arc::clone(&app), surface, listeners, workers, stop_within, |_| {
            run_file = RunFile::write(&config.data, local, &opened.run)
                .inspect_err(|error| tracing::error!(%error, "the command line will not find this server"))
                .ok();
            announce(context, &app, &opened, (address, metrics_address), link.as_deref());
        })
        .await;
        app.finish(stop_within).await;
        tracing::info!("stopped");
        drop(run_file);
        served.map_err(Failed::from)
    })
}

fn bind(setting: &str, at: SocketAddr) -> Result<TcpListener, Failed> {
    TcpListener::bind(at).map_err(|error| Failed::new(format_args!("{setting}: cannot listen on {at}: {error}")))
}

fn start_log(config: &Config) -> Result<(), Failed> {
    // A bare level is about us: the HTTP library's own start and stop lines say nothing that ours do not.
    let bare = config.log_level.chars().all(|c| c.is_ascii_alphabetic());
    let level = &config.log_level;
    let filter = if bare { format!("{level},actix_server=warn,actix_http=warn") } else { level.clone() };
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| Failed::new(format_args!("log-level: {:?}: {error}", config.log_level)))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if config.log_json {
        log.json().flatten_event(true).try_init()
    } else {
        log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init()
    };
    started.map_err(Failed::new)?;
    // What a panic says may hold what it was about: the log gets the place alone.
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a panic");
    }));
    Ok(())
}

/// Makes the administrator of an unattended start.
async fn first_administrator(app: &App, config: &Config) -> Result<(), Failed> {
    let Some(path) = &config.admin_password_file else { return Ok(()) };
    if app.count_admins()? > 0 {
        return Ok(());
    }
    let fail = |what: String| Failed::new(format_args!("{}: {what}", path.display()));
    let text = zeroize::Zeroizing::new(std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?);
    let password = users::password(text.lines().next().unwrap_or_default()).map_err(|_| {
        fail(format!("the first line must be a password of at least {} characters", users::LEAST_PASSWORD))
    })?;
    let name = Name::new(config.admin_name.as_str()).map_err(|_| Failed::new("admin-name: not a name"))?;
    let draft = users::Draft { name, email: "admin@localhost".to_owned(), role: Role::Admin, password };
    app.create_user(&app.machine("start"), draft).await?;
    Ok(())
}

/// The one table of a start, and the setup link where nobody can log in yet.
fn announce(
    context: &Context,
    app: &App,
    opened: &Opened,
    (address, metrics): (SocketAddr, Option<SocketAddr>),
    link: Option<&str>,
) {
    let metrics = metrics.map(|at| format!("http://{}/metrics", reachable(at)));
    let admins = app.count_admins().unwrap_or_default();
    let backup = app.last_backup();
    let backup_at = backup.as_ref().map(|manifest| whole_seconds(Timestamp(manifest.created_at)));
    let key = opened.db.sealer().keys().active_id().to_owned();
    let url = &app.settings().public_url;
    let data = std::fs::canonicalize(&context.config.data).unwrap_or_else(|_| context.config.data.clone());
    if context.out.json {
        context.out.value(&json!({
            "version": env!("CARGO_PKG_VERSION"),
            "sqlite_version": crate::store::sqlite_version(),
            "address": address.to_string(),
            "url": url,
            "metrics": metrics,
            "data": data,
            "key_id": key,
            "administrators": admins,
            "last_backup": backup.as_ref().map(|manifest| json!({"name": manifest.name, "created_at": backup_at})),
            "setup_link": link,
        }));
        return;
    }
    let admins = admins.to_string();
    let (own, data) = (format!("{}://{}", scheme(&context.config), reachable(address)), data.display().to_string());
    let mut pairs = vec![
        ("Grantry", env!("CARGO_PKG_VERSION")),
        ("SQLite", crate::store::sqlite_version()),
        ("address", &own),
        ("public URL", url),
        ("data", &data),
        ("key", &key),
        ("administrators", &admins),
        ("last backup", backup_at.as_deref().unwrap_or("none")),
    ];
    if let Some(metrics) = &metrics {
        pairs.insert(4, ("metrics", metrics));
    }
    context.out.pairs(&pairs);
    if let Some(link) = link {
        context.out.line(
            "\nNobody can log in yet. Open this link to make the first administrator (once, within 30 minutes):\n",
        );
        context.out.line(&format!("    {link}\n"));
        context.out.line("`grantry admin setup-link` makes a new one.");
    }
}
