//! SQLite: the only place with SQL.
//!
//! Two ways in, and no third. [`Db::read`] runs a closure on one of a few `query_only` connections, right where it is
//! called: for point reads of microseconds. ([`Db::scan`] is the same on the blocking pool, for lists, searches and
//! exports, and [`Db::stream`] for those that may be longer than memory.) [`Db::write`] hands a closure to the one writer thread and answers when its work is on the disk.
//!
//! No network call, no hashing and no waiting ever happens inside a closure.

pub mod api_tokens;
pub mod audit;
pub mod backup;
mod changes;
pub mod client_applications;
pub mod connect_links;
pub mod connections;
pub mod counts;
pub mod customers;
pub mod deliveries;
pub mod device_authorizations;
pub mod events;
pub mod expiring;
pub mod grants;
pub mod hand_outs;
pub mod installation;
pub mod migrate;
pub mod overview;
pub mod pages;
pub mod profile_pins;
pub mod profiles;
pub mod providers;
mod reach;
pub mod refresh_results;
pub mod refreshes;
pub mod revocations;
pub mod seal;
pub mod sealed;
pub mod search;
pub mod second_factors;
pub mod sessions;
pub mod stream;
pub mod users;
pub mod webhooks;
mod writer;

use std::{
    cell::Cell,
    fs::{File, OpenOptions, TryLockError},
    io::{Read as _, Write as _},
    ops::Deref,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::{Notify, watch};

use crate::domain::{Error, Outage, Result, Timestamp, live::Changes};
use changes::Touched;
use seal::Sealer;
use writer::Writer;

/// The clock: the one seam that tests may replace.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The machine's clock.
pub fn system_clock() -> Clock {
    Arc::new(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp(since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
    })
}

/// Why the database cannot be opened. Printed at start, for people.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("another Grantry{} is using {dir}; stop it first, or name another folder with --data", owner(*.pid))]
    Held {
        /// The data directory.
        dir: String,
        /// That process, where it is known.
        pid: Option<u32>,
    },
    /// The database is of a later program.
    #[error(
        "this database has schema version {found}, and this program knows versions up to {known}: use a newer Grantry"
    )]
    Newer {
        /// The database's version.
        found: i64,
        /// The program's version.
        known: i64,
    },
    /// The SQLite library is too old.
    #[error("SQLite {0} has a bug that can damage a database in WAL mode; 3.51.3 or later is needed")]
    OldSqlite(String),
    /// The database is damaged.
    #[error(
        "{path} is damaged ({report}). Nothing was changed. Put back a copy of the whole data folder, or save what can be read with the sqlite3 tool's .recover"
    )]
    Damaged {
        /// The database file.
        path: String,
        /// The first lines of SQLite's own report.
        report: String,
    },
    /// Something about the keys.
    #[error(transparent)]
    Key(#[from] seal::KeyError),
    /// The system said no.
    #[error("{path}: {source}")]
    Io {
        /// What was touched.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// SQLite said no.
    #[error("{path}: {source}")]
    Sqlite {
        /// The database file.
        path: String,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

impl OpenError {
    fn sqlite(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.display().to_string();
        if is_corrupt(&source) {
            Self::Damaged { path, report: source.to_string() }
        } else {
            Self::Sqlite { path, source }
        }
    }
}

fn owner(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

/// The exclusive hold on a data directory. Released when dropped, or by the system when the process dies.
#[derive(Debug)]
pub struct Hold {
    _file: File,
}

impl Hold {
    /// Takes hold of `dir`, which must exist.
    pub fn take(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join("grantry.lock");
        let io = |source| OpenError::Io { path: path.display().to_string(), source };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _ = file.read_to_string(&mut text);
                return Err(OpenError::Held { dir: dir.display().to_string(), pid: text.trim().parse().ok() });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        // On a full disk the number is missing; the hold is what counts.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}

/// The database.
#[derive(Clone)]
pub struct Db {
    inner: Arc<Inner>,
}

struct Inner {
    // Dropped in this order: the writer empties its queue and checkpoints, then the readers close, then the hold goes.
    writer: Writer,
    readers: Readers,
    scans: Arc<tokio::sync::Semaphore>,
    streams: Arc<tokio::sync::Semaphore>,
    sealer: Arc<Sealer>,
    clock: Clock,
    path: PathBuf,
    _hold: Hold,
}

/// The version of the SQLite library.
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

/// The database file in a data directory.
pub fn database_path(dir: &Path) -> PathBuf {
    dir.join("grantry.db")
}

impl Db {
    /// Opens the database in the directory that `hold` holds, makes it when there is none, migrates it when it is older.
    pub fn open(dir: &Path, hold: Hold, sealer: Sealer, clock: Clock) -> Result<Self, OpenError> {
        if rusqlite::version_number() < 3_051_003 {
            return Err(OpenError::OldSqlite(rusqlite::version().to_owned()));
        }
        let path = database_path(dir);
        let fail = |source| OpenError::sqlite(&path, source);
        make_private(&path).map_err(|source| OpenError::Io { path: path.display().to_string(), source })?;
        let mut connection = Connection::open(&path).map_err(fail)?;
        prepare(&connection).map_err(fail)?;
        quick_check(&connection, &path)?;
        migrate::run(&mut connection, &path, &sealer, clock().0)?;
        installation::check_key(&connection, &sealer, clock().0).map_err(fail)??;
        let sealer = Arc::new(sealer);
        let writer = Writer::start(connection, Arc::clone(&sealer), Arc::clone(&clock))
            .map_err(|source| OpenError::Io { path: "the writer thread".to_owned(), source })?;
        let readers = Readers::new(path.clone());
        drop(readers.take().map_err(fail)?);
        Ok(Self {
            inner: Arc::new(Inner {
                writer,
                readers,
                scans: Arc::new(tokio::sync::Semaphore::new(MOST_READERS - 2)),
                streams: Arc::new(tokio::sync::Semaphore::new(stream::MOST_STREAMS)),
                sealer,
                clock,
                path,
                _hold: hold,
            }),
        })
    }

    /// Runs `f` on a read connection, here and now, over one snapshot. For point reads.
    pub fn read<T>(&self, f: impl FnOnce(&Read<'_>) -> Result<T>) -> Result<T> {
        let reader = self.inner.readers.take()?;
        let tx = reader.unchecked_transaction()?;
        let read = Read { conn: &tx, sealer: &self.inner.sealer, now: (self.inner.clock)() };
        f(&read)
    }

    /// The same as [`Self::read`] on the blocking pool: for whatever may look at many rows or many bytes.
    pub async fn scan<T: Send + 'static>(&self, f: impl FnOnce(&Read<'_>) -> Result<T> + Send + 'static) -> Result<T> {
        let turn = tokio::time::timeout(TURN, Arc::clone(&self.inner.scans).acquire_owned());
        let turn = turn.await.map_err(|_| Error::unavailable(Outage::Readers))?.map_err(Error::internal)?;
        let db = self.clone();
        let scan = move || {
            // Given back when the work is done, whether or not somebody still waits for it.
            let _turn = turn;
            db.read(f)
        };
        tokio::task::spawn_blocking(scan).await.map_err(Error::internal)?
    }

    /// Runs `f` in the writer thread and answers once its work is durable; an error undoes just this closure's work.
    pub async fn write<T: Send + 'static>(&self, f: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static) -> Result<T> {
        self.inner.writer.submit(f).await
    }

    /// Hands `f` to the writer thread without waiting; for marks such as "last used" that nobody would miss.
    pub fn note(&self, f: impl FnOnce(&Tx<'_>) -> Result<()> + Send + 'static) {
        self.inner.writer.note(f);
    }

    /// Writes the log back into the database file, as far as no reader needs it.
    pub async fn write_back(&self) {
        let asked = self.write(|tx| {
            tx.write_back.set(true);
            Ok(())
        });
        if let Err(error) = asked.await {
            tracing::warn!(%error, "the log was not written back at the end; the next start does it");
        }
    }

    /// The clock.
    pub fn clock(&self) -> Clock {
        Arc::clone(&self.inner.clock)
    }

    /// Notified each time that something to be delivered is on the disk, so that no use case need think of it.
    pub fn queued(&self) -> Arc<Notify> {
        self.inner.writer.queued()
    }

    /// What has changed so far, and each time that something more is on the disk.
    pub fn changes(&self) -> watch::Receiver<Changes> {
        self.inner.writer.changes()
    }

    /// How many writes wait for the writer.
    pub fn writes_waiting(&self) -> usize {
        self.inner.writer.waiting()
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        (self.inner.clock)()
    }

    /// The sealer of this database.
    pub fn sealer(&self) -> &Sealer {
        &self.inner.sealer
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Whether a write would reach the disk just now.
    pub async fn check_writable(&self) -> Result<()> {
        self.write(installation::touch).await
    }
}

/// What a read sees: one snapshot, one *now*.
pub struct Read<'a> {
    conn: &'a Connection,
    sealer: &'a Sealer,
    now: Timestamp,
}

impl Read<'_> {
    /// The time of this snapshot.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Opens and closes sealed values.
    pub fn sealer(&self) -> &Sealer {
        self.sealer
    }
}

/// A write: what a [`Read`] has, and the right to change. One *now* for all that it writes.
pub struct Tx<'a> {
    read: Read<'a>,
    /// Whether something was queued for delivery.
    queued: Cell<bool>,
    /// What has changed.
    touched: &'a Touched,
    /// Whether the log is to be written back once this is on the disk.
    write_back: Cell<bool>,
}

impl Tx<'_> {
    /// Takes other keys from now on. Should the transaction not come to its end, they stay: whatever is sealed with them
    /// meanwhile opens with the key file, which has them already.
    pub fn take_keys(&self, keys: seal::KeyList) -> Result<()> {
        self.sealer.replace(keys)
    }
}

impl<'a> Deref for Tx<'a> {
    type Target = Read<'a>;

    fn deref(&self) -> &Read<'a> {
        &self.read
    }
}

/// More readers than workers and scans together would only hold memory.
const MOST_READERS: usize = 8;

struct Readers {
    path: PathBuf,
    pool: Mutex<Pool>,
    returned: Condvar,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Connection>,
    open: usize,
}

impl Readers {
    fn new(path: PathBuf) -> Self {
        Self { path, pool: Mutex::default(), returned: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> rusqlite::Result<Reader<'_>> {
        let mut pool = self.lock();
        loop {
            if let Some(connection) = pool.idle.pop() {
                return Ok(Reader { readers: self, connection: Some(connection) });
            }
            if pool.open < MOST_READERS {
                pool.open += 1;
                drop(pool);
                return match self.open() {
                    Ok(connection) => Ok(Reader { readers: self, connection: Some(connection) }),
                    Err(error) => {
                        self.lock().open -= 1;
                        self.returned.notify_one();
                        Err(error)
                    }
                };
            }
            pool = self.returned.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(
            &self.path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        prepare(&connection)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    }
}

struct Reader<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
}

impl Deref for Reader<'_> {
    type Target = Connection;

    #[expect(clippy::expect_used, reason = "the connection is there until the drop")]
    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("a reader has its connection until it is dropped")
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.readers.lock().idle.push(connection);
            self.readers.returned.notify_one();
        }
    }
}

/// How long a connection waits for another one's lock.
const BUSY: Duration = Duration::from_secs(5);
/// How long a list waits for its turn.
const TURN: Duration = Duration::from_secs(10);

/// Makes an empty file, for its owner alone, where there is none: SQLite gives the files beside it the same mode.
fn make_private(path: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// The pragmas of every connection, in the order that matters.
fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // FULL, not NORMAL: a lost commit would be a lost refresh token.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -1024)?;
    connection.pragma_update(None, "journal_size_limit", 16 * 1024 * 1024)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn quick_check(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let report = connection
        .prepare("PRAGMA quick_check(5)")
        .and_then(|mut s| s.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>());
    let damaged = |report: String| OpenError::Damaged { path: path.display().to_string(), report };
    match report {
        Ok(lines) if lines == ["ok"] => Ok(()),
        Ok(lines) => Err(damaged(lines.join("; "))),
        Err(source) => Err(OpenError::sqlite(path, source)),
    }
}

fn is_corrupt(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        if is_corrupt(&error) {
            // Going on would spread the damage and acknowledge what may not last.
            tracing::error!(
                %error,
                "the database is damaged; stopping. Keep a copy of the data folder as it is, then put back a backup, \
                 or save what can be read with the sqlite3 tool's .recover"
            );
            std::process::exit(70);
        }
        match error.sqlite_error_code() {
            Some(
                ErrorCode::DiskFull
                | ErrorCode::ReadOnly
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked,
            ) => {
                tracing::error!(%error, "the database cannot be used");
                Self::Unavailable { why: Outage::Storage, retry_after: Duration::from_secs(5) }
            }
            _ => Self::internal(format_args!("SQLite: {error}")),
        }
    }
}

/// Turns a broken constraint into what it means, at the query that broke it.
pub(crate) trait Constraint<T> {
    /// A UNIQUE constraint over `columns`, written as SQLite names them: `profiles.provider, profiles.name`.
    fn or_taken(self, columns: &str, meaning: impl FnOnce() -> Error) -> Result<T>;
    /// A reference: to something missing, or from something that is left.
    fn or_referenced(self, meaning: impl FnOnce() -> Error) -> Result<T>;
}

impl<T> Constraint<T> for rusqlite::Result<T> {
    fn or_taken(self, columns: &str, meaning: impl FnOnce() -> Error) -> Result<T> {
        self.map_err(|error| match &error {
            rusqlite::Error::SqliteFailure(_, Some(message))
                if message.strip_prefix("UNIQUE constraint failed: ") == Some(columns) =>
            {
                meaning()
            }
            _ => error.into(),
        })
    }

    fn or_referenced(self, meaning: impl FnOnce() -> Error) -> Result<T> {
        self.map_err(|error| if is_reference(&error) { meaning() } else { error.into() })
    }
}

fn is_reference(error: &rusqlite::Error) -> bool {
    error.sqlite_extended_error_code() == Some(rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY)
}
