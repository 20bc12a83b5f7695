//! Backups: made while the server goes on, verified, sent away, removed; one a day by itself.
//!
//! The keys are in none of them. Putting one back is no use case: nothing may run meanwhile (`store/backup/restore.rs`, and
//! `app/restored.rs` for the start after it).

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;

use super::{App, access::Caller, audit, reach};
use crate::{
    domain::{Error, Noun, Outage, Result, Timestamp, audit::Deed, user::Scope},
    store::{
        self, Read,
        backup::{self, BackupError, Entry, Occasion},
    },
};

pub use crate::store::backup::{DATABASE, MANIFEST, Manifest, Unfit};

/// After a scheduled backup has failed it is tried again so much later.
const AGAIN: Duration = Duration::from_hours(1);
/// After somebody else was at it.
const SOON: Duration = Duration::from_mins(1);

/// Where backups are, and when they are made.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// The folder.
    pub dir: PathBuf,
    /// How often one is made by itself; `None`: never.
    pub every: Option<Duration>,
    /// How many of those are kept.
    pub keep: usize,
}

/// Why the last backup was not made.
#[derive(Debug, Clone)]
pub struct Failure {
    /// When.
    pub at: Timestamp,
    /// Why, for people.
    pub message: String,
}

/// What is there, and what will be.
#[derive(Debug)]
pub struct Listed {
    /// The backups, the oldest first.
    pub backups: Vec<Entry>,
    /// Where they are.
    pub schedule: Schedule,
    /// When the next one is made by itself; `None`: never, or nobody knows yet.
    pub next_at: Option<Timestamp>,
    /// Why the last one failed; `None`: it did not.
    pub last_failure: Option<Failure>,
}

/// What verifying came to.
#[derive(Debug)]
pub struct Verified {
    /// What the backup is; `None` where it is no good.
    pub manifest: Option<Manifest>,
    /// What is wrong with it.
    pub faults: Vec<Unfit>,
}

/// A backup on its way out.
#[derive(Debug)]
pub struct Outgoing {
    /// The manifest's bytes.
    pub manifest: Vec<u8>,
    /// The copy of the database.
    pub copy: File,
    /// The copy's bytes.
    pub size: u64,
}

/// What keeps backups apart.
#[derive(Default)]
pub(super) struct Backups {
    /// One is made or verified at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// The server is stopping.
    stop: Arc<AtomicBool>,
    failure: Mutex<Option<Failure>>,
    next_at: Mutex<Option<Timestamp>>,
}

impl Backups {
    /// Lets go of the one that is being made.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn last_failure(&self) -> Option<Failure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn turn(&self) -> Result<tokio::sync::OwnedMutexGuard<()>> {
        let busy = |_| Error::Unavailable { why: Outage::BackupBusy, retry_after: Duration::from_secs(5) };
        Arc::clone(&self.turn).try_lock_owned().map_err(busy)
    }

    /// Notes how a backup went; an episode of failures is logged once.
    fn note(&self, at: Timestamp, error: Option<&BackupError>) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        let message = error.map(ToString::to_string);
        match (&*failure, &message) {
            (Some(before), Some(message)) if before.message == *message => {}
            (_, Some(message)) => tracing::error!(why = message, "no backup could be made"),
            (Some(_), None) => tracing::info!("backups can be made again"),
            (None, None) => {}
        }
        *failure = message.map(|message| Failure { at, message });
    }
}

/// A failure as a caller hears of it: what it says in full is in the log and the list.
fn out(error: &BackupError) -> Error {
    match error {
        BackupError::Stopped => Error::unavailable(Outage::Stopping),
        BackupError::Unfit(_) => Error::internal(format_args!("the copy does not verify: {error}")),
        BackupError::Io { .. } | BackupError::Sqlite { .. } => {
            Error::Unavailable { why: Outage::Backup, retry_after: Duration::from_mins(1) }
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)
}

impl App {
    /// Makes a backup now.
    pub async fn create_backup(&self, caller: &Caller) -> Result<Manifest> {
        caller.need(Scope::Admin)?;
        // All connections are in every backup.
        reach::whole(caller)?;
        self.back_up(caller, Occasion::Asked).await
    }

    /// The backups there are, and when the next one comes.
    pub async fn list_backups(&self, caller: &Caller) -> Result<Listed> {
        caller.need(Scope::Admin)?;
        // All connections are in every backup.
        reach::whole(caller)?;
        let schedule = self.settings.backups.clone();
        let dir = schedule.dir.clone();
        let mut backups = blocking(move || backup::list(&dir)).await?.map_err(|error| out(&error))?;
        let time = |entry: &Entry| entry.manifest.as_ref().map_or(i64::MIN, |manifest| manifest.created_at);
        backups.sort_by_key(time);
        let next_at = *self.backups.next_at.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Listed { backups, schedule, next_at, last_failure: self.backups.last_failure() })
    }

    /// Verifies a backup from end to end. `NotFound` where there is none; one that is no good is no error.
    pub async fn verify_backup(&self, caller: &Caller, name: &str) -> Result<Verified> {
        caller.need(Scope::Admin)?;
        // All connections are in every backup.
        reach::whole(caller)?;
        let folder = self.backup_folder(name)?;
        let _turn = self.backups.turn()?;
        let (keys, now) = (self.db.sealer().keys(), self.db.now());
        let verified = blocking(move || {
            let verified = backup::verify(&folder, &keys);
            if let Ok(manifest) = &verified {
                // On a volume that takes no writes it is verified all the same.
                if let Err(error) = backup::note_verified(&folder, manifest, now.0) {
                    tracing::warn!(%error, "a backup was verified, and its manifest does not say so");
                }
            }
            verified
        });
        let verified = verified.await?;
        let (who, id, fit) = (caller.clone(), name.to_owned(), verified.is_ok());
        self.db.write(move |tx| audit(tx, &who, Deed::Checked, "backup", id, &json!({"fit": fit}))).await?;
        Ok(match verified {
            Ok(manifest) => {
                Verified { manifest: Some(Manifest { verified_at: now.0, ..manifest }), faults: Vec::new() }
            }
            Err(faults) => Verified { manifest: None, faults },
        })
    }

    /// Removes a backup.
    pub async fn delete_backup(&self, caller: &Caller, name: &str) -> Result<()> {
        caller.need(Scope::Admin)?;
        // All connections are in every backup.
        reach::whole(caller)?;
        let folder = self.backup_folder(name)?;
        let _turn = self.backups.turn()?;
        let (who, id) = (caller.clone(), name.to_owned());
        self.db.write(move |tx| audit(tx, &who, Deed::Deleted, "backup", id, &json!({}))).await?;
        blocking(move || backup::delete(&folder)).await?.map_err(|error| {
            tracing::error!(%error, "a backup could not be removed");
            out(&error)
        })
    }

    /// A backup's files, to be sent to whoever asks.
    pub async fn open_backup(&self, caller: &Caller, name: &str) -> Result<Outgoing> {
        caller.need(Scope::Admin)?;
        // All connections are in every backup.
        reach::whole(caller)?;
        let folder = self.backup_folder(name)?;
        let (manifest, copy, size) = blocking(move || backup::open_files(&folder)).await?.map_err(|error| {
            tracing::error!(%error, "a backup could not be read");
            out(&error)
        })?;
        let (who, id) = (caller.clone(), name.to_owned());
        self.db.write(move |tx| audit(tx, &who, Deed::Downloaded, "backup", id, &json!({}))).await?;
        Ok(Outgoing { manifest, copy, size })
    }

    /// The last backup of this installation; `None` where there is none, or its folder cannot be read.
    pub fn last_backup(&self) -> Option<Manifest> {
        self.db.read(|read| last_in(read, &self.settings.backups.dir)).ok()?
    }

    /// Why the last backup failed; `None`: it did not.
    pub(super) fn last_backup_failure(&self) -> Option<Failure> {
        self.backups.last_failure()
    }

    fn backup_folder(&self, name: &str) -> Result<PathBuf> {
        backup::find(&self.settings.backups.dir, name).ok_or_else(|| Error::not_found(Noun::Backup, name))
    }

    /// Makes a backup on the engine thread, so that it is finished whoever asked for it and went away.
    async fn back_up(&self, caller: &Caller, occasion: Occasion) -> Result<Manifest> {
        let stopping = || Error::unavailable(Outage::Stopping);
        let turn = self.backups.turn()?;
        let app = self.me.upgrade().filter(|app| !app.worker.is_stopping()).ok_or_else(stopping)?;
        let caller = caller.clone();
        let (done, answer) = tokio::sync::oneshot::channel();
        self.worker.spawn(async move {
            let made = app.make_backup(&caller, occasion).await;
            drop(turn);
            // Nobody may wait for it.
            let _ = done.send(made);
        });
        answer.await.unwrap_or_else(|_| Err(stopping()))
    }

    async fn make_backup(&self, caller: &Caller, occasion: Occasion) -> Result<Manifest> {
        let (db, dir, stop) = (self.db.clone(), self.settings.backups.dir.clone(), Arc::clone(&self.backups.stop));
        let made = blocking(move || backup::create(&db, &dir, occasion, &stop)).await?;
        let manifest = match made {
            Err(BackupError::Stopped) => return Err(Error::unavailable(Outage::Stopping)),
            Err(error) => {
                self.backups.note(self.db.now(), Some(&error));
                return Err(out(&error));
            }
            Ok(manifest) => manifest,
        };
        self.backups.note(self.db.now(), None);
        tracing::info!(
            backup = manifest.name,
            bytes = manifest.size,
            occasion = occasion.as_str(),
            "a backup was made"
        );
        let (who, id) = (caller.clone(), manifest.name.clone());
        let detail = json!({"occasion": occasion.as_str(), "size": manifest.size, "sha256": manifest.sha256});
        self.db.write(move |tx| audit(tx, &who, Deed::Created, "backup", id, &detail)).await?;
        Ok(manifest)
    }

    /// Makes the backup whose time has come; answers when to look again.
    pub(super) async fn backup_round(&self) -> Result<Duration> {
        let Some(every) = self.settings.backups.every else { return Ok(Duration::MAX) };
        let known = *self.backups.next_at.lock().unwrap_or_else(PoisonError::into_inner);
        let next = match known {
            Some(at) => at,
            None => self.first_backup_at(every).await?,
        };
        let now = self.db.now();
        if next > now {
            self.next_backup(next);
            return Ok(self.until(Some(next)));
        }
        let wait = match self.back_up(&self.machine("schedule"), Occasion::Scheduled).await {
            Ok(_) => {
                self.thin_out().await?;
                every
            }
            Err(Error::Unavailable { why: Outage::BackupBusy, .. }) => SOON,
            // It is logged and shown.
            Err(_) => AGAIN.min(every),
        };
        self.next_backup(now.plus_ms(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)));
        Ok(wait)
    }

    fn next_backup(&self, at: Timestamp) {
        *self.backups.next_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// One interval after the last scheduled one; where there is none, after the database was made.
    async fn first_backup_at(&self, every: Duration) -> Result<Timestamp> {
        let installation = self.db.read(store::installation::created_at)?;
        let dir = self.settings.backups.dir.clone();
        let entries = blocking(move || backup::list(&dir)).await?.unwrap_or_default();
        let last = last_of(&entries, installation, |manifest| manifest.occasion == Occasion::Scheduled);
        let since = last.map_or(installation, |manifest| Timestamp(manifest.created_at));
        Ok(since.min(self.db.now()).plus_ms(i64::try_from(every.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Removes the oldest scheduled backups of this installation where there are too many.
    async fn thin_out(&self) -> Result<()> {
        let installation = self.db.read(store::installation::created_at)?;
        let Schedule { dir, keep, .. } = self.settings.backups.clone();
        blocking(move || {
            let ours = |entry: Entry| {
                let manifest = entry.manifest.ok()?;
                let own = manifest.occasion == Occasion::Scheduled && manifest.installation == installation.0;
                own.then_some((manifest.created_at, entry.name))
            };
            let mut scheduled: Vec<_> = backup::list(&dir).unwrap_or_default().into_iter().filter_map(ours).collect();
            scheduled.sort_unstable();
            let many = scheduled.len().saturating_sub(keep);
            for (_, name) in scheduled.into_iter().take(many) {
                let removed = backup::find(&dir, &name).map_or(Ok(()), |folder| backup::delete(&folder));
                match removed {
                    Ok(()) => tracing::info!(backup = name, "an old backup was removed"),
                    Err(error) => tracing::warn!(%error, "an old backup could not be removed"),
                }
            }
        })
        .await
    }
}

/// The last backup of this installation in a folder; `None` where there is none, or the folder cannot be read.
pub(super) fn last_in(read: &Read<'_>, dir: &Path) -> Result<Option<Manifest>> {
    let installation = store::installation::created_at(read)?;
    Ok(backup::list(dir).ok().and_then(|all| last_of(&all, installation, |_| true)))
}

fn last_of(entries: &[Entry], installation: Timestamp, which: impl Fn(&Manifest) -> bool) -> Option<Manifest> {
    let manifests = entries.iter().filter_map(|entry| entry.manifest.as_ref().ok());
    let ours = manifests.filter(|manifest| manifest.installation == installation.0 && which(manifest));
    ours.max_by_key(|manifest| manifest.created_at).cloned()
}
