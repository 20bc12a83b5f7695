//! Every setting once: its name as a flag, a variable and a key of the file, its default, its unit, what it is for.
//!
//! A flag goes before a variable, a variable before the file, the file before the default. `--public-url`,
//! `GRANTRY_PUBLIC_URL` and `public-url = "…"` are the same setting.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Arg, ArgMatches, Command, parser::ValueSource};

use crate::domain::{setting::Told, value::Network};

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// The key in the file, and the flag without its dashes.
    pub key: &'static str,
    /// What stands for the value in the help.
    pub value: &'static str,
    /// The value where nobody gives one; `None`: none.
    pub default: Option<&'static str>,
    /// What it is for.
    pub help: &'static str,
}

impl Setting {
    /// The variable of the environment: `GRANTRY_PUBLIC_URL`.
    pub fn variable(&self) -> String {
        format!("GRANTRY_{}", self.key.to_ascii_uppercase().replace('-', "_"))
    }
}

/// All settings, in the order of the help.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "data",
        value: "DIR",
        default: Some("grantry-data"),
        help: "Folder of the database, the key and the lock. Made at first start, for its owner's eyes only (0700).",
    },
    Setting {
        key: "listen",
        value: "ADDRESS:PORT",
        default: Some("127.0.0.1:8080"),
        help: "Where to take connections. Port 0 takes a free one. Anything but loopback needs --tls-cert, a trusted \
               proxy in front, or --insecure-http.",
    },
    Setting {
        key: "metrics-listen",
        value: "ADDRESS:PORT",
        default: None,
        help: "Where to answer GET /metrics, over plain HTTP and to anybody who can get there: numbers for Prometheus, without \
               names and ids. A port alone is one of 127.0.0.1. Without it: nowhere.",
    },
    Setting {
        key: "tls-cert",
        value: "FILE",
        default: None,
        help: "The certificate chain for TLS, a PEM file; read again when it changes. Needs --tls-key.",
    },
    Setting { key: "tls-key", value: "FILE", default: None, help: "The private key of that certificate, a PEM file." },
    Setting {
        key: "public-url",
        value: "URL",
        default: None,
        help: "Where clients find this server, as they write it: scheme, host, port. Redirect URIs and links are built \
               from it. Without it: http:// or https:// and the address of --listen.",
    },
    Setting {
        key: "trusted-proxy",
        value: "NETWORKS",
        default: None,
        help: "Networks, separated by commas, whose X-Forwarded-For and X-Forwarded-Host count: 10.0.0.0/8,::1. From \
               anybody else they are ignored.",
    },
    Setting {
        key: "insecure-http",
        value: "true|false",
        default: Some("false"),
        help: "Take plain HTTP on an address that others can reach. Credentials then travel in clear.",
    },
    Setting {
        key: "secrets",
        value: "sealed|hashed",
        default: Some("sealed"),
        help: "How client secrets of providers are kept. sealed: hashed and encrypted, so that accounts can be connected. \
               hashed: only hashed, so that they can be compared and nothing else.",
    },
    Setting {
        key: "key-file",
        value: "FILE",
        default: None,
        help: "The file of the keys that seal secrets. Without it: grantry-keys in systemd's credentials directory where \
               there is one, else keys in the data folder, made at first start. GRANTRY_KEYS may hold the file's text \
               instead.",
    },
    Setting {
        key: "backup-dir",
        value: "DIR",
        default: None,
        help: "Folder of the backups, better on another disk. Made when needed, for its owner's eyes only (0700). Without it: \
               backups in the data folder.",
    },
    Setting {
        key: "backup-every",
        value: "HOURS|off",
        default: Some("24"),
        help: "How often the server makes a backup by itself: 1 to 8760 hours, or off.",
    },
    Setting {
        key: "backup-keep",
        value: "NUMBER",
        default: Some("7"),
        help: "How many of those are kept: 1 to 1000. The oldest go; backups that somebody asked for stay.",
    },
    Setting {
        key: "flow-services",
        value: "true|false",
        default: Some("true"),
        help: "Whether the OAuth configuration services (the Flow dialect) do their work.",
    },
    Setting {
        key: "allow-private",
        value: "true|false",
        default: Some("false"),
        help: "Whether providers may be at private and link-local addresses. Without it an address that leads inside is \
               not asked, whatever name it has.",
    },
    Setting {
        key: "return-urls",
        value: "URLS",
        default: None,
        help: "Where browsers may be sent once an account is connected: URLs with commas between, each for what lies at it \
               and below it.",
    },
    Setting {
        key: "access-token-life",
        value: "SECONDS",
        default: Some("3600"),
        help: "How long an access token of a client application lives: 60 to 86400 seconds.",
    },
    Setting {
        key: "max-upload",
        value: "BYTES",
        default: Some("10485760"),
        help: "The most bytes of a client application's file: 1024 to 104857600.",
    },
    Setting {
        key: "proxy-idle",
        value: "SECONDS",
        default: Some("120"),
        help: "For how long a caller or a provider may say nothing while a request is passed on: 1 to 3600 seconds.",
    },
    Setting {
        key: "audit-days",
        value: "DAYS",
        default: Some("400"),
        help: "For how many days the audit trail is kept: up to 36500; 0: for ever. More than a year, so that a year can be \
               looked back on; each caller's hourly hand-outs would fill a disk some day.",
    },
    Setting {
        key: "profile-calls-per-minute",
        value: "CALLS",
        default: Some("0"),
        help: "How many calls to /api/custom_oauth_profiles each caller may send in a minute; 0: any number.",
    },
    Setting {
        key: "admin-name",
        value: "NAME",
        default: Some("admin"),
        help: "Name of the administrator whom a first start makes when GRANTRY_ADMIN_PASSWORD_FILE names a file with the \
               password; nobody is made once there is an administrator.",
    },
    Setting {
        key: "admin-password-file",
        value: "FILE",
        default: None,
        help: "The file with that password, in its first line.",
    },
    Setting {
        key: "log-format",
        value: "human|json",
        default: Some("human"),
        help: "How the log is written, to standard error.",
    },
    Setting {
        key: "log-level",
        value: "LEVEL",
        default: Some("info"),
        help: "What is logged: error, warn, info, debug, trace, or a filter such as grantry=debug.",
    },
    Setting {
        key: "stop-within",
        value: "SECONDS",
        default: Some("20"),
        help: "How long requests under way may take once the server is told to stop: 0 to 600 seconds.",
    },
];

/// Variables that are no settings: the file of settings, and the text of the key file.
const OTHER_VARIABLES: [&str; 2] = ["GRANTRY_CONFIG", "GRANTRY_KEYS"];

/// The name of the flag that names the file of settings.
const CONFIG: &str = "config";

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A flag.
    Flag,
    /// A variable of the environment.
    Variable(String),
    /// The file.
    File(PathBuf),
    /// Nobody gave one.
    Default,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Variable(name) => f.write_str(name),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

impl Source {
    /// The kind of source in a word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Variable(_) => "environment",
            Self::File(_) => "file",
            Self::Default => "default",
        }
    }
}

/// A value without what stands in an address where a name and a password would: no setting is a secret, but a URL may be
/// pasted with one in it.
fn tellable(value: &str) -> String {
    let parts = value.split(',').map(|part| match (part.split_once("://"), part.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://***@{rest}"),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join(",")
}

/// Why the settings cannot be used. Printed, for people.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// The values of all settings, as text, with their sources.
#[derive(Debug)]
pub struct Values(BTreeMap<&'static str, (String, Source)>);

/// What the settings come to.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "a setting that is yes or no is a bool")]
pub struct Config {
    /// Folder of the database, the key and the lock.
    pub data: PathBuf,
    /// Where to take connections.
    pub listen: SocketAddr,
    /// Where to answer `/metrics`; `None`: nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// Where clients find this server; `None`: at `listen`.
    pub public_url: Option<String>,
    /// Certificate chain and private key for TLS, PEM files.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Whether plain HTTP is taken on an address that others can reach.
    pub insecure_http: bool,
    /// Networks whose forwarding headers count.
    pub trusted_proxies: Vec<Network>,
    /// Whether client secrets of providers are kept hashed only.
    pub hashed_only: bool,
    /// The file of the keys; `None`: in its usual place.
    pub key_file: Option<PathBuf>,
    /// Folder of the backups; `None`: in the data folder.
    pub backup_dir: Option<PathBuf>,
    /// How often a backup is made; `None`: not by itself.
    pub backup_every: Option<Duration>,
    /// How many of those are kept.
    pub backup_keep: usize,
    /// Whether the Flow dialect does its work.
    pub flow_services: bool,
    /// Whether providers may be at private addresses.
    pub allow_private: bool,
    /// Where browsers may be sent once an account is connected.
    pub return_urls: Vec<String>,
    /// Seconds.
    pub access_token_life_s: u32,
    /// Bytes.
    pub most_upload: u64,
    /// For how long nothing may happen while a request is passed on.
    pub proxy_idle: Duration,
    /// Calls a minute; 0: any number.
    pub profile_calls_per_minute: u32,
    /// Name of the administrator made at a first start.
    pub admin_name: String,
    /// The file with that one's password.
    pub admin_password_file: Option<PathBuf>,
    /// Whether the log is JSON.
    pub log_json: bool,
    /// What is logged.
    pub log_level: String,
    /// Seconds.
    pub stop_within_s: u16,
    /// For how many days the audit trail is kept; 0: for ever.
    pub audit_days: u32,
    /// All settings as they are told.
    pub told: Vec<Told>,
}

/// The settings as arguments of a command.
pub fn arguments(command: Command) -> Command {
    let config = Arg::new(CONFIG).long(CONFIG).value_name("FILE").global(true).help(
        "A TOML file of settings, each key named as its flag: listen = \"127.0.0.1:8080\". [env: GRANTRY_CONFIG]",
    );
    SETTINGS.iter().fold(command.arg(config), |command, setting| {
        let default = setting.default.map(|default| format!(" [default: {default}]")).unwrap_or_default();
        let help = format!("{}{default} [env: {}]", setting.help, setting.variable());
        let mut arg = Arg::new(setting.key).long(setting.key).value_name(setting.value).global(true).help(help);
        if setting.value == "true|false" {
            // The flag alone says yes; a value is joined to it, or it would swallow the command behind it.
            arg = arg.num_args(0..=1).require_equals(true).default_missing_value("true");
        }
        command.arg(arg)
    })
}

impl Values {
    /// Collects the values from flags, environment and file.
    ///
    /// A flag or a key that does not exist is an error; so is a variable that begins with `GRANTRY_` and is no setting.
    pub fn collect(flags: &ArgMatches, variables: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        for name in variables.keys().filter(|name| name.starts_with("GRANTRY_")) {
            let known = SETTINGS.iter().map(Setting::variable).chain(OTHER_VARIABLES.map(str::to_owned));
            let known: Vec<String> = known.collect();
            if !known.contains(name) {
                let hint = nearest(name, known.iter().map(String::as_str));
                return Err(ConfigError(format!("the variable {name} is no setting{hint}")));
            }
        }
        let environment = |name: &str| variables.get(name).cloned();
        let path = flags.get_one::<String>(CONFIG).cloned().or_else(|| environment("GRANTRY_CONFIG"));
        let file = path.map(|path| read_file(Path::new(&path)).map(|file| (PathBuf::from(path), file))).transpose()?;
        let mut values = BTreeMap::new();
        for setting in SETTINGS {
            let flag = flags
                .get_one::<String>(setting.key)
                .filter(|_| flags.value_source(setting.key) == Some(ValueSource::CommandLine));
            let variable = setting.variable();
            let found = if let Some(flag) = flag {
                Some((flag.clone(), Source::Flag))
            } else if let Some(value) = environment(&variable) {
                Some((value, Source::Variable(variable)))
            } else if let Some((path, value)) =
                file.as_ref().and_then(|(path, file)| Some((path, file.get(setting.key)?)))
            {
                Some((value.clone(), Source::File(path.clone())))
            } else {
                setting.default.map(|default| (default.to_owned(), Source::Default))
            };
            if let Some(found) = found {
                values.insert(setting.key, found);
            }
        }
        Ok(Self(values))
    }

    /// Each setting that has a value: key, value as it may be told, source.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, String, &Source)> {
        self.0.iter().map(|(key, (value, source))| (*key, tellable(value), source))
    }

    /// All settings as they may be told.
    fn told(&self) -> impl Iterator<Item = Told> {
        SETTINGS.iter().map(|setting| {
            let found = self.0.get(setting.key);
            Told {
                name: setting.key,
                value: found.map(|(value, _)| tellable(value)),
                source: found.map_or("default", |(_, source)| source.word()),
                default: setting.default,
                help: setting.help,
            }
        })
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|(value, _)| value.as_str())
    }

    fn read<T>(&self, key: &str, form: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, ConfigError> {
        let Some((value, source)) = self.0.get(key) else { return Ok(None) };
        match read(value.trim()) {
            Some(value) => Ok(Some(value)),
            None => Err(ConfigError(format!("{key} (from {source}): {value:?} is not {form}"))),
        }
    }

    fn need<T>(&self, key: &str, form: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, ConfigError> {
        self.read(key, form, read)?.ok_or_else(|| ConfigError(format!("{key} has no value")))
    }

    /// What the values come to, each checked.
    pub fn config(&self) -> Result<Config, ConfigError> {
        let flag = |text: &str| match text {
            "true" | "1" | "yes" => Some(true),
            "false" | "0" | "no" => Some(false),
            _ => None,
        };
        let within =
            |least: u64, most: u64| move |text: &str| text.parse::<u64>().ok().filter(|n| (least..=most).contains(n));
        let listen: SocketAddr =
            self.need("listen", "an address and a port such as 127.0.0.1:8080", |t| t.parse().ok())?;
        let metrics_listen =
            self.read("metrics-listen", "an address and a port such as 127.0.0.1:9464, or a port", |t| {
                t.parse().ok().or_else(|| Some(SocketAddr::from(([127, 0, 0, 1], t.parse().ok()?))))
            })?;
        let public_url = self.read("public-url", "an http or https URL without a path", public_url)?;
        let trusted_proxies =
            self.read("trusted-proxy", "a list of networks such as 10.0.0.0/8,::1", networks)?.unwrap_or_default();
        let insecure = self.need("insecure-http", "true or false", flag)?;
        let tls = match (self.text("tls-cert"), self.text("tls-key")) {
            (Some(certificate), Some(key)) => Some((PathBuf::from(certificate), PathBuf::from(key))),
            (None, None) => None,
            (None, Some(_)) => return Err(ConfigError("tls-key needs tls-cert beside it".to_owned())),
            (Some(_), None) => return Err(ConfigError("tls-cert needs tls-key beside it".to_owned())),
        };
        if !listen.ip().is_loopback() && trusted_proxies.is_empty() && !insecure && tls.is_none() {
            return Err(ConfigError(format!(
                "listen: {listen} can be reached by others, and this server would speak plain HTTP: give it --tls-cert \
                 and --tls-key, put a proxy with TLS in front and name it with --trusted-proxy, or say --insecure-http"
            )));
        }
        Ok(Config {
            data: self.need("data", "a folder", |text| (!text.is_empty()).then(|| PathBuf::from(text)))?,
            listen,
            metrics_listen,
            public_url,
            insecure_http: insecure && tls.is_none() && !listen.ip().is_loopback(),
            tls,
            trusted_proxies,
            hashed_only: self.need("secrets", "sealed or hashed", |text| match text {
                "sealed" => Some(false),
                "hashed" => Some(true),
                _ => None,
            })?,
            key_file: self.text("key-file").map(PathBuf::from),
            backup_dir: self.text("backup-dir").filter(|text| !text.is_empty()).map(PathBuf::from),
            backup_every: self.need("backup-every", "a number of hours from 1 to 8760, or off", |text| match text {
                "off" => Some(None),
                _ => within(1, 8760)(text).map(|hours| Some(Duration::from_secs(hours * 3600))),
            })?,
            backup_keep: self.need("backup-keep", "a number from 1 to 1000", |text| {
                within(1, 1000)(text).and_then(|n| n.try_into().ok())
            })?,
            flow_services: self.need("flow-services", "true or false", flag)?,
            allow_private: self.need("allow-private", "true or false", flag)?,
            return_urls: self
                .read("return-urls", "a list of http or https URLs with commas between", urls)?
                .unwrap_or_default(),
            access_token_life_s: self.need("access-token-life", "a number from 60 to 86400", |text| {
                within(60, 86_400)(text).and_then(|n| n.try_into().ok())
            })?,
            most_upload: self.need("max-upload", "a number from 1024 to 104857600", within(1024, 104_857_600))?,
            proxy_idle: self.need("proxy-idle", "a number from 1 to 3600", within(1, 3600)).map(Duration::from_secs)?,
            profile_calls_per_minute: self.need("profile-calls-per-minute", "a number up to 1000000", |text| {
                within(0, 1_000_000)(text).and_then(|n| n.try_into().ok())
            })?,
            admin_name: self.need("admin-name", "a name", |text| (!text.is_empty()).then(|| text.to_owned()))?,
            admin_password_file: self.text("admin-password-file").map(PathBuf::from),
            log_json: self.need("log-format", "human or json", |text| match text {
                "human" => Some(false),
                "json" => Some(true),
                _ => None,
            })?,
            log_level: self
                .need("log-level", "a level or a filter", |text| (!text.is_empty()).then(|| text.to_owned()))?,
            stop_within_s: self.need("stop-within", "a number from 0 to 600", |text| {
                within(0, 600)(text).and_then(|n| n.try_into().ok())
            })?,
            audit_days: self.need("audit-days", "a number up to 36500", |text| {
                within(0, 36_500)(text).and_then(|n| n.try_into().ok())
            })?,
            told: self.told().collect(),
        })
    }
}

fn public_url(text: &str) -> Option<String> {
    let url = url::Url::parse(text).ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    plain.then(|| url.origin().ascii_serialization())
}

fn urls(text: &str) -> Option<Vec<String>> {
    text.split(',')
        .map(|part| {
            let url = url::Url::parse(part.trim()).ok()?;
            (matches!(url.scheme(), "http" | "https") && url.has_host()).then(|| url.to_string())
        })
        .collect()
}

fn networks(text: &str) -> Option<Vec<Network>> {
    text.split(',').map(str::trim).filter(|network| !network.is_empty()).map(Network::parse).collect()
}

/// A suggestion, where one of the names is like this one.
fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> String {
    names
        .map(|known| (strsim::jaro_winkler(known, name), known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > 0.75)
        .map(|(_, known)| format!("; did you mean {known}?"))
        .unwrap_or_default()
}

/// The settings in a file; an unknown key is an error with a suggestion.
fn read_file(path: &Path) -> Result<BTreeMap<String, String>, ConfigError> {
    let fail = |what: String| ConfigError(format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        // Not the line itself, which may hold anything: its number and the reason.
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
        fail(format!("line {line}: {}", error.message()))
    })?;
    let mut values = BTreeMap::new();
    for (key, value) in table {
        if !SETTINGS.iter().any(|setting| setting.key == key) {
            let hint = nearest(&key.replace('_', "-"), SETTINGS.iter().map(|setting| setting.key));
            return Err(fail(format!("{key} is no setting{hint}")));
        }
        let value = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(flag) => flag.to_string(),
            toml::Value::Array(items) => {
                let texts: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
                texts.ok_or_else(|| fail(format!("{key} must be a list of texts")))?.join(",")
            }
            _ => return Err(fail(format!("{key} must be a text, a number, true or false"))),
        };
        values.insert(key, value);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(args: &[&str], variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let flags = arguments(Command::new("grantry"))
            .try_get_matches_from(std::iter::once(&"grantry").chain(args))
            .expect("flags that exist");
        let variables: BTreeMap<_, _> = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Values::collect(&flags, &variables)?.config()
    }

    #[test]
    fn a_flag_goes_before_a_variable_before_the_file_before_the_default() {
        let dir = std::env::temp_dir().join(format!("grantry-config-{}", std::process::id()));
        std::fs::write(&dir, "listen = \"127.0.0.1:1\"\ndata = \"from-file\"\nmax-upload = 2048\n").expect("written");
        let file = dir.to_str().expect("a plain path");
        let config = collect(
            &["--config", file, "--listen", "127.0.0.1:3"],
            &[("GRANTRY_LISTEN", "127.0.0.1:2"), ("GRANTRY_DATA", "from-variable")],
        );
        std::fs::remove_file(&dir).expect("removed");
        let config = config.expect("fine settings");
        assert_eq!(config.listen.port(), 3);
        assert_eq!(config.data, PathBuf::from("from-variable"));
        assert_eq!(config.most_upload, 2048);
        assert_eq!(config.access_token_life_s, 3600);
    }

    #[test]
    fn an_unknown_key_is_an_error_with_a_suggestion() {
        let path = std::env::temp_dir().join(format!("grantry-unknown-{}", std::process::id()));
        std::fs::write(&path, "public_ulr = \"https://a.example\"\n").expect("written");
        let error = collect(&["--config", path.to_str().expect("a plain path")], &[]).expect_err("unknown").to_string();
        std::fs::remove_file(&path).expect("removed");
        assert!(error.contains("public_ulr is no setting; did you mean public-url?"), "{error}");
    }

    #[test]
    fn values_are_checked_and_name_their_source() {
        let error = |args: &[&str]| collect(args, &[]).expect_err("refused").to_string();
        let unknown = collect(&[], &[("GRANTRY_LISTE", "x")]).expect_err("unknown").to_string();
        assert!(unknown.contains("did you mean GRANTRY_LISTEN?"), "{unknown}");
        assert!(error(&["--listen", "8080"]).starts_with("listen (from flag): \"8080\" is not an address"));
        assert!(error(&["--secrets", "clear"]).contains("sealed or hashed"));
        assert!(error(&["--access-token-life", "59"]).contains("60 to 86400"));
        assert!(error(&["--public-url", "https://a.example/path"]).contains("without a path"));
        assert!(error(&["--trusted-proxy", "10.0.0.0/33"]).contains("networks"));
    }

    #[test]
    fn an_address_that_others_reach_needs_a_proxy_or_a_word() {
        assert!(collect(&["--listen", "0.0.0.0:80"], &[]).is_err());
        assert!(collect(&["--listen", "0.0.0.0:80", "--insecure-http"], &[]).is_ok());
        assert!(collect(&["--listen", "0.0.0.0:80", "--trusted-proxy", "10.0.0.1"], &[]).is_ok());
        assert!(collect(&["--listen", "[::1]:80"], &[]).is_ok());
    }

    #[test]
    fn metrics_are_off_or_on_loopback_unless_an_address_is_given() {
        let at = |args: &[&str]| collect(args, &[]).map(|config| config.metrics_listen.map(|at| at.to_string()));
        assert_eq!(at(&[]).expect("fine"), None);
        assert_eq!(at(&["--metrics-listen", "9464"]).expect("fine").as_deref(), Some("127.0.0.1:9464"));
        assert_eq!(at(&["--metrics-listen", "0.0.0.0:9464"]).expect("fine").as_deref(), Some("0.0.0.0:9464"));
        assert_eq!(at(&["--metrics-listen", "[::1]:0"]).expect("fine").as_deref(), Some("[::1]:0"));
        for bad in ["", "localhost:9464", "65536", "9464x"] {
            assert!(at(&["--metrics-listen", bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_public_url_is_written_one_way() {
        assert_eq!(public_url("https://Grantry.Example:443/").as_deref(), Some("https://grantry.example"));
        assert_eq!(public_url("http://127.0.0.1:8080").as_deref(), Some("http://127.0.0.1:8080"));
    }
}
