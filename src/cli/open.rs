//! Taking hold of a data folder: the lock, the key, the database.

use std::{
    fs,
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::json;

use super::Failed;
use crate::{
    app::{
        App, SecretsMode, Settings, backups::Schedule, credential::Credential, doctor::Surroundings, settings::About,
    },
    config::Config,
    domain::{Secret, api_token::TokenKind},
    http::{Surface, workato::limit::ProfileLimit},
    store::{
        self, Db, Hold, OpenError,
        seal::{KeyList, Sealer},
    },
};

/// The variable that may hold the text of the key file.
const KEYS_VARIABLE: &str = "GRANTRY_KEYS";

/// A data folder in our hands.
pub(super) struct Opened {
    /// The database.
    pub db: Db,
    /// The credential for the command line on this machine.
    pub run: Credential,
    /// The file of the keys, where they are in one.
    key_file: Option<PathBuf>,
}

/// Takes hold of the data folder, and makes what is not there yet.
pub(super) fn open(config: &Config) -> Result<Opened, Failed> {
    make_private(&config.data)?;
    let hold = Hold::take(&config.data)?;
    // What a server left that was killed points nowhere.
    let _ = fs::remove_file(RunFile::path(&config.data));
    let fresh = !store::database_path(&config.data).exists();
    let (keys, key_file) = keys(config, fresh)?;
    warn_if_open(&config.data);
    if let Some(path) = &key_file {
        warn_if_open(path);
    }
    let db = Db::open(&config.data, hold, Sealer::new(keys)?, store::system_clock())?;
    Ok(Opened { db, run: Credential::generate(TokenKind::Run, 0)?, key_file })
}

/// The folder, for its owner's eyes only.
pub(super) fn make_private(dir: &Path) -> Result<(), OpenError> {
    let io = |source| OpenError::Io { path: dir.display().to_string(), source };
    if dir.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(io)
}

/// Says in the log that others on this machine can get at something; whether they may is the operator's to know.
fn warn_if_open(path: &Path) {
    #[cfg(unix)]
    if let Ok(data) = fs::metadata(path)
        && std::os::unix::fs::PermissionsExt::mode(&data.permissions()) & 0o077 != 0
    {
        tracing::warn!(path = %path.display(), "others on this machine can get at this: chmod go-rwx it");
    }
}

/// Where systemd puts the keys.
fn credential() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(|dir| PathBuf::from(dir).join("grantry-keys"))
}

/// Where the keys are by the configuration; `None`: in a variable.
pub(super) fn key_path(config: &Config) -> Option<PathBuf> {
    if std::env::var_os(KEYS_VARIABLE).is_some() && config.key_file.is_none() {
        return None;
    }
    Some(
        config
            .key_file
            .clone()
            .or_else(|| credential().filter(|path| path.exists()))
            .unwrap_or_else(|| config.data.join("keys")),
    )
}

/// Where the backups are by the configuration.
pub(super) fn backup_dir(config: &Config) -> PathBuf {
    config.backup_dir.clone().unwrap_or_else(|| config.data.join("backups"))
}

/// The keys. They are made only where there is neither a key nor a database: a lost key is never replaced in silence.
pub(super) fn keys(config: &Config, fresh: bool) -> Result<(KeyList, Option<PathBuf>), Failed> {
    let Some(path) = key_path(config) else {
        let text = zeroize::Zeroizing::new(std::env::var(KEYS_VARIABLE).unwrap_or_default());
        return Ok((KeyList::parse(&text, KEYS_VARIABLE)?, None));
    };
    if fresh && config.key_file.is_none() && !path.exists() {
        let keys = KeyList::generate()?;
        keys.save_new(&path)?;
        return Ok((keys, Some(path)));
    }
    Ok((KeyList::load(&path)?, Some(path)))
}

impl Opened {
    /// Starts the use cases, for a server at `address`.
    /// `served`: whether others find us there; a single command listens elsewhere.
    pub(super) fn start(
        &self,
        config: &Config,
        address: SocketAddr,
        served: bool,
    ) -> Result<(Arc<App>, Surface), Failed> {
        let public_url =
            config.public_url.clone().unwrap_or_else(|| format!("{}://{}", scheme(config), reachable(address)));
        let settings = Settings {
            public_url: public_url.clone(),
            secrets: if config.hashed_only { SecretsMode::Hashed } else { SecretsMode::Sealed },
            key_file: self.key_file.clone(),
            keys_can_change: self.key_file.is_some() && self.key_file != credential(),
            flow_services: config.flow_services,
            allow_private: config.allow_private,
            return_urls: config.return_urls.clone(),
            access_token_life_s: config.access_token_life_s,
            most_upload: config.most_upload,
            proxy_idle: config.proxy_idle,
            backups: Schedule { dir: backup_dir(config), every: config.backup_every, keep: config.backup_keep },
            surroundings: Surroundings {
                served,
                insecure_http: config.insecure_http,
                tls_certificate: config.tls.as_ref().map(|(certificate, _)| certificate.clone()),
            },
            audit_days: config.audit_days,
            about: About {
                data: fs::canonicalize(&config.data).unwrap_or_else(|_| config.data.clone()).display().to_string(),
                settings: config.told.clone(),
            },
        };
        let app = App::start(self.db.clone(), settings, &self.run)?;
        let surface = Surface {
            secure: public_url.starts_with("https://"),
            public_url,
            trusted_proxies: config.trusted_proxies.clone(),
            profile_limit: ProfileLimit::per_minute(config.profile_calls_per_minute),
        };
        Ok((app, surface))
    }
}

/// How the server is spoken to.
pub(super) fn scheme(config: &Config) -> &'static str {
    if config.tls.is_some() { "https" } else { "http" }
}

/// An address that can be opened: 0.0.0.0 cannot.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => SocketAddr::from(([127, 0, 0, 1], v4.port())),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, v6.port())),
        other => other,
    }
}

/// The file in which a running server says where it is, and with which credential it can be asked from this machine.
pub(super) struct RunFile {
    path: PathBuf,
}

impl RunFile {
    /// The file of a data folder.
    fn path(dir: &Path) -> PathBuf {
        dir.join("run.json")
    }

    /// Writes it, mode 0600, in one step.
    pub(super) fn write(dir: &Path, address: SocketAddr, run: &Credential) -> Result<Self, Failed> {
        let path = Self::path(dir);
        let draft = dir.join("run.json.new");
        let _ = fs::remove_file(&draft);
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let url = format!("http://{}", reachable(address));
        let text = json!({"pid": std::process::id(), "url": url, "token": run.text().expose()}).to_string();
        let written = options
            .open(&draft)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .and_then(|()| fs::rename(&draft, &path));
        written.map_err(|error| Failed::new(format_args!("{}: {error}", path.display())))?;
        Ok(Self { path })
    }

    /// Where a running server is, and the credential for it.
    pub(super) fn read(dir: &Path) -> Option<(String, Secret)> {
        let text = zeroize::Zeroizing::new(fs::read_to_string(Self::path(dir)).ok()?);
        let value: serde_json::Value = serde_json::from_str(&text).ok()?;
        Some((value["url"].as_str()?.to_owned(), Secret::new(value["token"].as_str()?)))
    }
}

impl Drop for RunFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
