//! The whole installation, looked at from every side: what `checks.rs` finds, and what stands around it on this machine.
//!
//! Each finding comes from looking; what is in order is told too, so that nobody has to wonder whether it was looked at.

mod certificate;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{App, access::Caller, backups::Manifest, checks::SetupFault, pins, reach};
use crate::{
    domain::{OriginChange, Result, Timestamp, user::Scope},
    store::{self, counts::Counts},
};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Less free space than this is an error: a few more hours, and nothing can be written.
const LEAST_FREE: u64 = 64 * 1024 * 1024;
/// Less than this is a warning.
const LITTLE_FREE: u64 = 1024 * 1024 * 1024;
/// The writer cuts the log at a quarter of this.
const LARGE_LOG: u64 = 64 * 1024 * 1024;
/// A provider's clock may be so far from ours.
const MOST_SKEW_MS: i64 = 60 * 1000;
/// What ends within so long is told.
const SOON: Duration = Duration::from_hours(30 * 24);
/// A certificate that ends within so long is told.
const CERTIFICATE_SOON_MS: i64 = 21 * DAY_MS;
/// A backup that was verified longer ago than this is to be verified again.
const VERIFIED_MS: i64 = 31 * DAY_MS;

/// What the configuration says of this process and nothing else needs to know.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Whether the public URL leads to this process: a single command serves nobody.
    pub served: bool,
    /// Whether plain HTTP is taken on an address that others can reach.
    pub insecure_http: bool,
    /// The certificate that the server shows.
    pub tls_certificate: Option<PathBuf>,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// In order.
    Ok,
    /// It works; somebody should look at it.
    Warning,
    /// It does not work, or will soon not.
    Error,
}

impl Level {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A fact, and how bad it is.
#[derive(Debug, Clone)]
pub struct Finding {
    /// How bad.
    pub level: Level,
    /// What.
    pub fact: Fact,
}

/// What was found.
#[derive(Debug, Clone)]
pub enum Fact {
    /// Something that the setup check of the Flow dialect finds; see its codes.
    Setup(SetupFault),
    /// The setup check found nothing.
    SetupFine,
    /// Others on this machine can get at this.
    Open(PathBuf),
    /// Nobody else can get at data, key and backups.
    Private,
    /// Free bytes where this is.
    Free(PathBuf, u64),
    /// Bytes of the database and of its log.
    Size(u64, u64),
    /// What SQLite says of the database; empty: all is well.
    Structure(Vec<String>),
    /// The version of SQLite.
    Sqlite(&'static str),
    /// The last backup, and how long ago it was made and verified, in milliseconds.
    Backup(Box<Manifest>, i64, i64),
    /// There is no backup.
    NoBackup,
    /// None is made by itself.
    NoSchedule,
    /// The last one failed.
    BackupFailed(String),
    /// Backups that cannot be read.
    BackupsUnreadable(Vec<String>),
    /// The provider whose clock is furthest from ours, and the milliseconds that it is ahead.
    Skew(String, i64),
    /// No provider's clock is known to be off.
    ClocksAgree,
    /// So many things end soon; the first of them does at this time.
    Expiring(usize, Timestamp),
    /// Nothing ends soon.
    NothingExpires,
    /// Connections in this state (see [`store::counts::STATES`]).
    Connections(&'static str, u64),
    /// So many connections are well.
    ConnectionsFine(u64),
    /// So many refreshes are late.
    Overdue(u64),
    /// Deliveries of webhooks that were given up.
    DeadDeliveries(u64),
    /// When the certificate ends, and in how many milliseconds.
    Certificate(PathBuf, Timestamp, i64),
    /// The certificate cannot be read.
    CertificateUnreadable(PathBuf, String),
    /// Credentials travel in clear.
    InsecureHttp,
    /// Providers may be inside.
    AllowPrivate,
    /// Secrets stay at the origins they were given for, as these were not confirmed.
    OriginsUnconfirmed(Box<OriginChange>),
    /// A rotation is under way, since when.
    Rotating(Timestamp),
}

impl Fact {
    /// The word for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Setup(fault) => fault.code(),
            Self::SetupFine => "setup",
            Self::Open(_) | Self::Private => "file-modes",
            Self::Free(..) => "disk-space",
            Self::Size(..) => "database-size",
            Self::Structure(_) => "database-check",
            Self::Sqlite(_) => "sqlite-version",
            Self::Backup(..) | Self::NoBackup => "backup-last",
            Self::NoSchedule => "backup-schedule",
            Self::BackupFailed(_) => "backup-failed",
            Self::BackupsUnreadable(_) => "backup-unreadable",
            Self::Skew(..) | Self::ClocksAgree => "clock",
            Self::Expiring(..) | Self::NothingExpires => "expiring",
            Self::Connections(..) | Self::ConnectionsFine(_) => "connections",
            Self::Overdue(_) => "refreshes-overdue",
            Self::DeadDeliveries(_) => "webhooks-dead",
            Self::Certificate(..) | Self::CertificateUnreadable(..) => "certificate",
            Self::InsecureHttp => "insecure-http",
            Self::AllowPrivate => "allow-private",
            Self::OriginsUnconfirmed(_) => "origins-unconfirmed",
            Self::Rotating(_) => "keys-rotation",
        }
    }
}

/// Facts, gathered.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, level: Level, fact: Fact) {
        self.0.push(Finding { level, fact });
    }
}

/// A finding is bad where `bad`, and in order otherwise.
fn unless(bad: bool, how: Level) -> Level {
    if bad { how } else { Level::Ok }
}

impl App {
    /// Looks at everything. It opens every sealed value and reads the whole database: for people, not for probes.
    pub async fn diagnose(&self, caller: &Caller) -> Result<Vec<Finding>> {
        caller.need(Scope::Admin)?;
        reach::whole(caller)?;
        let mut found = Findings::default();
        self.look_at_setup(caller, &mut found).await?;
        self.look_at_machine(&mut found).await?;
        self.look_at_backups(caller, &mut found).await?;
        self.look_at_connections(caller, &mut found).await?;
        let around = &self.settings.surroundings;
        if around.insecure_http {
            found.add(Level::Warning, Fact::InsecureHttp);
        }
        if self.settings.allow_private {
            found.add(Level::Warning, Fact::AllowPrivate);
        }
        if let Some(path) = around.tls_certificate.clone() {
            let now = self.db.now();
            let (level, fact) = match certificate::end_of(&path) {
                Err(why) => (Level::Error, Fact::CertificateUnreadable(path, why)),
                Ok(end) => {
                    let left = end.0 - now.0;
                    let level =
                        if left <= 0 { Level::Error } else { unless(left < CERTIFICATE_SOON_MS, Level::Warning) };
                    (level, Fact::Certificate(path, end, left))
                }
            };
            found.add(level, fact);
        }
        let mut findings = found.0;
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.level));
        Ok(findings)
    }

    async fn look_at_setup(&self, caller: &Caller, found: &mut Findings) -> Result<()> {
        let served = self.settings.surroundings.served;
        let mut fine = true;
        for fault in self.check_setup(caller).await? {
            let level = match &fault {
                // Nobody is served, so nobody has to get here.
                SetupFault::ApiUnreachable(_) | SetupFault::ApiOfAnother(_) | SetupFault::ApiSeenElsewhere(_)
                    if !served =>
                {
                    continue;
                }
                // What somebody has chosen, and what others have to mend.
                SetupFault::DialectOff
                | SetupFault::EngineOff
                | SetupFault::ExchangeAnswersWrongly(_)
                | SetupFault::ExchangeUnreachable(_) => Level::Warning,
                _ => Level::Error,
            };
            fine = false;
            found.add(level, Fact::Setup(fault));
        }
        if fine {
            found.add(Level::Ok, Fact::SetupFine);
        }
        if let Some(since) = self.db.read(store::installation::rotating_at)? {
            found.add(Level::Warning, Fact::Rotating(since));
        }
        Ok(())
    }

    async fn look_at_machine(&self, found: &mut Findings) -> Result<()> {
        let database = self.db.path().to_owned();
        let data = database.parent().map(Path::to_owned).unwrap_or_default();
        let backups = self.settings.backups.dir.clone();
        let mut private = vec![data.clone(), database.clone(), backups.clone()];
        private.extend(self.settings.key_file.clone().filter(|_| self.settings.keys_can_change));
        let open: Vec<PathBuf> = private.into_iter().filter(|path| is_open(path)).collect();
        if open.is_empty() {
            found.add(Level::Ok, Fact::Private);
        }
        for path in open {
            found.add(Level::Warning, Fact::Open(path));
        }
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |data| data.len());
        let of_database = size(&database);
        let mut log = database.into_os_string();
        log.push("-wal");
        let log = size(Path::new(&log));
        found.add(unless(log > LARGE_LOG, Level::Warning), Fact::Size(of_database, log));
        for place in [data, backups] {
            // A backup takes as much room as the database has.
            let Some(free) = free_space(&place) else { continue };
            let level = if free < LEAST_FREE {
                Level::Error
            } else {
                unless(free < LITTLE_FREE.max(of_database.saturating_mul(2)), Level::Warning)
            };
            found.add(level, Fact::Free(place, free));
        }
        let mut report = self.db.scan(store::installation::quick_check).await?;
        if !self.db.scan(store::counts::are_kept).await? {
            report.push("the kept counts of connections and assignments differ from the rows".to_owned());
        }
        found.add(unless(!report.is_empty(), Level::Error), Fact::Structure(report));
        found.add(Level::Ok, Fact::Sqlite(store::sqlite_version()));
        Ok(())
    }

    async fn look_at_backups(&self, caller: &Caller, found: &mut Findings) -> Result<()> {
        let (now, installed) = (self.db.now(), self.db.read(store::installation::created_at)?);
        if let Some(failure) = self.last_backup_failure() {
            found.add(Level::Error, Fact::BackupFailed(failure.message));
        }
        let listed = match self.list_backups(caller).await {
            Ok(listed) => listed,
            Err(error) => {
                found.add(Level::Error, Fact::BackupFailed(error.to_string()));
                return Ok(());
            }
        };
        let bad: Vec<String> =
            listed.backups.iter().filter(|entry| entry.manifest.is_err()).map(|entry| entry.name.clone()).collect();
        if !bad.is_empty() {
            found.add(Level::Warning, Fact::BackupsUnreadable(bad));
        }
        let every = listed.schedule.every.and_then(|every| i64::try_from(every.as_millis()).ok());
        if every.is_none() && self.settings.surroundings.served {
            found.add(Level::Warning, Fact::NoSchedule);
        }
        // One that was missed may be late, and a machine may sleep at night.
        let oldest = every.map_or(7 * DAY_MS, |every| 2 * every + DAY_MS);
        match self.last_backup() {
            None => found.add(unless(now.0 - installed.0 > oldest, Level::Warning), Fact::NoBackup),
            Some(last) => {
                let (age, verified) = (now.0 - last.created_at, now.0 - last.verified_at);
                let level = unless(age > oldest || verified > VERIFIED_MS, Level::Warning);
                found.add(level, Fact::Backup(Box::new(last), age, verified));
            }
        }
        Ok(())
    }

    async fn look_at_connections(&self, caller: &Caller, found: &mut Findings) -> Result<()> {
        let (counts, skew) =
            self.db.scan(|read| Ok((store::counts::all(read)?, store::grants::largest_skew(read)?))).await?;
        match skew {
            Some((provider, ms)) if ms.abs() > MOST_SKEW_MS => found.add(Level::Warning, Fact::Skew(provider, ms)),
            _ => found.add(Level::Ok, Fact::ClocksAgree),
        }
        for change in self.db.scan(pins::origin_changes).await? {
            found.add(Level::Warning, Fact::OriginsUnconfirmed(Box::new(change)));
        }
        let (expiring, _) = self.list_expiring(caller, SOON).await?;
        match expiring.first() {
            Some(first) => found.add(Level::Warning, Fact::Expiring(expiring.len(), first.expires_at)),
            None => found.add(Level::Ok, Fact::NothingExpires),
        }
        let Counts { connections, refreshes_overdue, deliveries_dead, .. } = counts;
        for (state, count) in connections {
            match state {
                "good" => found.add(Level::Ok, Fact::ConnectionsFine(count)),
                // Nobody has connected it yet; or its token has ended, and is fetched when somebody asks.
                "not_connected" | "expired" => {}
                _ if count > 0 => found.add(Level::Warning, Fact::Connections(state, count)),
                _ => {}
            }
        }
        if refreshes_overdue > 0 {
            found.add(Level::Warning, Fact::Overdue(refreshes_overdue));
        }
        if deliveries_dead > 0 {
            found.add(Level::Warning, Fact::DeadDeliveries(deliveries_dead));
        }
        Ok(())
    }
}

/// Whether others on this machine can get at a file or folder that is there.
fn is_open(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(path).is_ok_and(|data| data.permissions().mode() & 0o077 != 0)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

/// Bytes that are free for us where a folder is; `None` where nobody can tell.
fn free_space(path: &Path) -> Option<u64> {
    let volume = rustix::fs::statvfs(path).ok()?;
    Some(volume.f_bavail.saturating_mul(volume.f_frsize))
}
