//! What is configured, and where it comes from. Never a secret: of a file that holds one, its name.

use super::{App, access::Caller, connect::Callback};
use crate::{
    domain::{Result, Timestamp, setting::Told, user::Scope},
    store,
};

/// What is told of the settings, as whoever read them tells it.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// The data folder.
    pub data: String,
    /// All settings, in the order of the help.
    pub settings: Vec<Told>,
}

/// What runs here, and how.
#[derive(Debug)]
pub struct Description<'a> {
    /// The version of this program.
    pub version: &'static str,
    /// The version of SQLite in it.
    pub sqlite: &'static str,
    /// When it was started.
    pub started_at: Timestamp,
    /// Where clients find it.
    pub public_url: &'a str,
    /// The redirect URIs to register at providers: ours, and the one of the Flow dialect.
    pub redirect_uris: [String; 2],
    /// The key that seals what is new.
    pub key_id: String,
    /// The data folder and the settings.
    pub about: &'a About,
}

impl App {
    /// What runs here, and how.
    pub fn describe(&self, caller: &Caller) -> Result<Description<'_>> {
        caller.need(Scope::Admin)?;
        Ok(Description {
            version: env!("CARGO_PKG_VERSION"),
            sqlite: store::sqlite_version(),
            started_at: self.started_at,
            public_url: &self.settings.public_url,
            redirect_uris: [Callback::OAuth, Callback::Flow].map(|callback| self.redirect_uri(callback)),
            key_id: self.db.sealer().keys().active_id().to_owned(),
            about: &self.settings.about,
        })
    }
}
