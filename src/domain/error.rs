//! The one error in the middle.
//!
//! It carries facts, never sentences: every HTTP scope dresses the same facts in its own shape and language
//! (`http/problem.rs`), and no secret has a field to sit in.

use std::time::Duration;

use super::{proxy::NotPassed, user::Scope};

/// What a use case answers.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no credential, or it is no good.
    #[error("not authenticated: {0:?}")]
    Unauthenticated(Rejection),
    /// The credential is good but lacks this scope.
    #[error("lacks the scope {0}")]
    Forbidden(Scope),
    /// The credential is good but limited to some connections, and this goes beyond them.
    #[error("out of reach: {0:?}")]
    OutOfReach(Beyond),
    /// There is no such thing.
    #[error("{what:?} {key:?} does not exist")]
    NotFound {
        /// The kind of thing looked for.
        what: Noun,
        /// The id or name that was asked for, as it was given.
        key: String,
    },
    /// The name is taken.
    #[error("{what:?} {name:?} exists")]
    Conflict {
        /// The kind of thing.
        what: Noun,
        /// The name that is taken.
        name: String,
    },
    /// Somebody else has changed it since the one who asks has looked.
    #[error("{what:?} has been changed")]
    Changed {
        /// The kind of thing.
        what: Noun,
    },
    /// It cannot go while others need it.
    #[error("{what:?} is in use")]
    InUse {
        /// The kind of thing.
        what: Noun,
        /// Who needs it.
        by: Vec<Use>,
    },
    /// Secrets would go to origins that they were not given for.
    #[error("origins are not confirmed: {0:?}")]
    OriginChange(Box<OriginChange>),
    /// The input is at fault, in these places.
    #[error("invalid input: {0:?}")]
    Invalid(Vec<Fault>),
    /// The input has more than this many bytes.
    #[error("larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// Asked too often.
    #[error("too many requests")]
    TooMany {
        /// When it makes sense to come back.
        retry_after: Duration,
    },
    /// It cannot be done just now, through no fault of the caller.
    #[error("unavailable: {why:?}")]
    Unavailable {
        /// What is out.
        why: Outage,
        /// When it makes sense to come back.
        retry_after: Duration,
    },
    /// There is no access token to hand out.
    #[error("no token: {why:?}")]
    NoToken {
        /// Why.
        why: super::grant::NoToken,
        /// Where somebody can mend it by connecting the account.
        connect_url: Option<String>,
    },
    /// A request could not be passed on to a provider's API, or its answer not passed back.
    #[error("not passed on: {0:?}")]
    NotPassed(NotPassed),
    /// A mistake of ours. The text is for the log and leaves the process nowhere else.
    #[error("internal: {0}")]
    Internal(String),
}

impl From<NotPassed> for Error {
    fn from(why: NotPassed) -> Self {
        Self::NotPassed(why)
    }
}

/// What an administrator has to confirm before client secrets and grants go to other origins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginChange {
    /// The provider's slug.
    pub provider: String,
    /// The origins that the secrets were given for.
    pub old: Vec<String>,
    /// The origins that are not among them.
    pub new: Vec<String>,
    /// The number of profiles whose secrets would move.
    pub profiles: u64,
    /// The number of connections of these profiles.
    pub connections: u64,
}

/// What goes beyond the reach of a credential that is limited to some connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beyond {
    /// A new connection, where it is limited to those that it names.
    NewConnection,
    /// Handing out a wider reach than its own.
    Wider,
    /// Something that connections out of its reach depend on.
    Others,
    /// What tells of all connections alike.
    All,
}

/// A kind of thing that can be missing, taken or in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noun {
    /// A custom OAuth profile, alias OAuth configuration.
    Profile,
    /// A connection.
    Connection,
    /// A customer, alias managed user.
    Customer,
    /// A provider of the catalogue or of the operator's own.
    Provider,
    /// A client application.
    ClientApplication,
    /// A secret of a client application.
    ClientApplicationSecret,
    /// A user of Grantry.
    User,
    /// The second factor of a user.
    SecondFactor,
    /// A session of the admin page.
    Session,
    /// An API token.
    ApiToken,
    /// An assignment of a profile to a customer.
    Assignment,
    /// A webhook.
    Webhook,
    /// One event on its way to one webhook.
    Delivery,
    /// A backup.
    Backup,
    /// A key that seals secrets.
    Key,
    /// A value that is kept sealed.
    SealedValue,
    /// An address that no resource answers to.
    Path,
}

/// One of those who need a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The kind of the one in need.
    pub what: Noun,
    /// How many of that kind there are in all.
    pub count: u64,
    /// Some of them by name and owner (at most twenty): `("Sales CRM", "alice")`.
    pub examples: Vec<(String, String)>,
}

/// One fault of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where: a dotted path (`data.client_id`) or a JSON path (`$[0].actions[2].id`); empty for the whole.
    pub path: String,
    /// What is wrong there.
    pub why: Why,
}

impl Fault {
    /// A fault at `path`.
    pub fn new(path: impl Into<String>, why: Why) -> Self {
        Self { path: path.into(), why }
    }
}

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Required, and not there.
    Missing,
    /// There, but empty or only white space.
    Blank,
    /// Of another JSON type than this ("string", "integer", "object" …).
    WrongType(&'static str),
    /// Longer than so many characters (for secrets: bytes).
    TooLong(usize),
    /// Shorter than so many characters.
    TooShort(usize),
    /// Has a control character.
    ControlCharacter,
    /// Not one of the values there are.
    NotInList,
    /// Not one of these values.
    NotOneOf(Vec<String>),
    /// Another one has it.
    Taken,
    /// No field or part of this name is known.
    Unknown,
    /// Its provider takes no such value.
    NotForProvider,
    /// May not change (while connections or assignments exist, or ever).
    Fixed,
    /// It would leave nobody who may do everything.
    LastAdmin,
    /// Text such as `<client id here>`, left over from a template.
    Placeholder,
    /// The same key, id or part a second time.
    Duplicate,
    /// Two forms of one parameter are there and differ.
    Differs,
    /// Does not have the form described.
    Malformed(&'static str),
    /// The text is not JSON from this line and column (both from 1; column in bytes).
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What the parser says.
        what: String,
    },
    /// The bytes are not UTF-8 from this offset.
    NotUtf8 {
        /// Bytes before the fault.
        offset: usize,
    },
    /// Several would fit: the caller has to say which of these.
    Ambiguous(Vec<String>),
    /// None would fit, and one is needed.
    NoneFits,
    /// The request changes nothing.
    NothingToChange,
    /// More than so many of them.
    TooMany(usize),
    /// Not among what was granted.
    NotGranted,
    /// A password or code that is not the one, or was used.
    NotRight,
    /// On already: it has to go before there can be another.
    AlreadyOn,
    /// More is wrong than is listed.
    AndMore,
    /// The customer already has another profile of this provider.
    OtherAssigned,
    /// Another account than the one before.
    OtherAccount,
    /// Only a hash is kept of the secret that would be needed.
    OnlyHashed,
    /// The keys come from where Grantry cannot write them.
    KeysElsewhere,
    /// The key file was changed by somebody else; what it has and what is in use differ.
    KeysChanged,
    /// The key file cannot be read or written; what the system says.
    KeyFile(String),
    /// The active key.
    ActiveKey,
    /// The provider has no endpoint for devices (RFC 8628).
    NoDevices,
    /// The provider does not take it, in these words of its own.
    ProviderSays(String),
    /// There is no client secret to come.
    NoNextSecret,
    /// No server there says of itself what is needed; why not.
    NotDiscovered(String),
}

/// Why a credential was turned down. Says nothing about which part of it was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// There was none.
    Missing,
    /// It is unknown, wrong, expired, revoked or of another form.
    Bad,
    /// It came in the URL, where logs and histories keep it.
    InUrl,
    /// A browser sent it from another site.
    CrossSite,
    /// It is a token's, where the user in person has to come.
    InPerson,
    /// A password alone, of a user who has a second factor.
    SecondFactor,
    /// The password is right, and the code of the second factor is missing.
    CodeMissing,
    /// The password is right, and the code is wrong or was used.
    CodeWrong,
}

/// What is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// The queue in front of the hashing workers is full.
    Hashing,
    /// The queue in front of the writer is full.
    Writer,
    /// The database cannot be written: disk full, file read-only, volume lost.
    Storage,
    /// The database cannot be written, and tokens that came from a provider are lost with it; there they stand.
    TokensLost,
    /// The same, and the provider has ended them again.
    TokensGivenBack,
    /// The server is shutting down.
    Stopping,
    /// Too many uploads are being checked at once.
    Uploads,
    /// Too many lists are being read at once.
    Readers,
    /// Too many requests are being passed on at once.
    Forwards,
    /// A backup is being made already.
    BackupBusy,
    /// A backup cannot be written or read: disk full, folder read-only, volume lost.
    Backup,
    /// Too many are listening for changes.
    Streams,
}

impl Error {
    /// The input is at fault in one place.
    pub fn invalid(path: impl Into<String>, why: Why) -> Self {
        Self::Invalid(vec![Fault::new(path, why)])
    }

    /// There is no such thing.
    pub fn not_found(what: Noun, key: impl ToString) -> Self {
        Self::NotFound { what, key: key.to_string() }
    }

    /// A mistake of ours, for the log.
    pub fn internal(what: impl std::fmt::Display) -> Self {
        Self::Internal(what.to_string())
    }

    /// Cannot be done just now.
    pub fn unavailable(why: Outage) -> Self {
        Self::Unavailable { why, retry_after: Duration::from_secs(1) }
    }
}

/// Collects the faults of one input, so that a caller hears of all of them at once.
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>, usize);

impl Faults {
    /// More faults than these are not listed: a document of ten thousand wrong entries has told its story.
    pub const MOST: usize = 10_000;

    /// The paths of all that are listed have at most so many bytes: what is told back must not dwarf what came in.
    const MOST_BYTES: usize = 1024 * 1024;

    /// Notes a fault.
    pub fn add(&mut self, path: impl Into<String>, why: Why) {
        if self.is_full() {
            return;
        }
        let fault = Fault::new(path, why);
        self.1 += fault.path.len();
        self.0.push(fault);
        if self.is_full() {
            self.0.push(Fault::new("…", Why::AndMore));
        }
    }

    /// Whether no more are listed.
    fn is_full(&self) -> bool {
        self.0.len() >= Self::MOST || self.1 >= Self::MOST_BYTES
    }

    /// Whether there is none so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The faults so far.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }

    /// `value` when there was no fault.
    pub fn or<T>(self, value: T) -> Result<T> {
        if self.0.is_empty() { Ok(value) } else { Err(Error::Invalid(self.0)) }
    }

    /// All that was asked for, where every part of it passed: a part that is missing without a fault is our mistake.
    pub fn all<T>(self, parts: Option<T>) -> Result<T> {
        self.or(parts)?.ok_or_else(|| Error::internal("a part is missing and nobody said why"))
    }

    /// The value of `result`, or its fault noted and `None`.
    pub fn take<T>(&mut self, path: &str, result: std::result::Result<T, Why>) -> Option<T> {
        result.map_err(|why| self.add(path, why)).ok()
    }

    /// The faults.
    pub fn into_vec(self) -> Vec<Fault> {
        self.0
    }
}
