//! Loading a document of OAuth configurations: adds and updates, deletes nothing, all or nothing.
//!
//! `{"<connector>": {"<OAuth provider>": {"CLIENT_ID": "…", "CLIENT_SECRET": "…", …}}}`: the connector is the slug of a
//! provider, the OAuth provider is the name of a profile, and what else stands there is kept as its parameters.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};

use super::{App, access::Caller, audit, document, profiles, providers};
use crate::{
    domain::{
        Error, Faults, Name, Outage, Result, Secret, Why,
        audit::Deed,
        profile::{Change, ClientId, Draft, Parameters, client_secret},
        user::Scope,
    },
    store,
};

/// The most bytes of a document.
pub const MOST_BYTES: usize = 16 * 1024 * 1024;
/// So many documents are loaded at a time.
pub const MOST_AT_ONCE: usize = 2;
/// The most configurations in one document.
pub const MOST_CONFIGURATIONS: usize = 10_000;
const TRIES: usize = 3;
const MOST_PARALLEL: usize = 16;
/// The most characters of a name in the path of a fault: what is told back must not dwarf what came in.
const MOST_SHOWN: usize = 255;

/// What a load did, as (connector, OAuth provider).
#[derive(Debug, Default, Clone)]
pub struct Report {
    /// New ones.
    pub added: Vec<(String, String)>,
    /// Those that are different now.
    pub updated: Vec<(String, String)>,
    /// Those that were the same already.
    pub unchanged: Vec<(String, String)>,
}

impl Report {
    /// The list of what is `known` already, and the `same`.
    fn list(&mut self, known: bool, same: bool) -> &mut Vec<(String, String)> {
        match (known, same) {
            (_, true) => &mut self.unchanged,
            (true, false) => &mut self.updated,
            (false, false) => &mut self.added,
        }
    }
}

/// How far a load is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Secrets hashed so far.
    pub hashed: usize,
    /// Secrets that have to be hashed.
    pub of: usize,
}

/// What is to be done for one configuration.
struct Step {
    draft: Draft,
    /// The profile that is there, and the hash of its secret as it was seen.
    known: Option<(i64, Option<String>)>,
    /// The hash of a secret that is new.
    hash: Option<String>,
    same: bool,
}

impl Step {
    /// Connector and OAuth provider.
    fn key(&self) -> (String, String) {
        (self.draft.provider.clone(), self.draft.name.to_string())
    }
}

impl App {
    /// Loads a document. Every fault of it is listed (`google_gmail.Gmail-1.CLIENT_ID`) before anything is done.
    ///
    /// Only secrets that are new are hashed; `progress` hears of each.
    pub async fn load(&self, caller: &Caller, bytes: Bytes, progress: impl Fn(Progress) + Sync) -> Result<Report> {
        caller.need(Scope::ProfilesWrite)?;
        if bytes.len() > MOST_BYTES {
            return Err(Error::TooLarge { limit: MOST_BYTES as u64 });
        }
        // Held while the document is: a few at a time, as each may take many times its size.
        let _place = self.loads.try_acquire().map_err(|_| Error::unavailable(Outage::Uploads))?;
        let document = document::parse_aside(bytes).await?;
        self.load_parsed(caller, document, progress).await
    }

    /// What a load of this document would do: the same checks, the same comparison, and nothing is written. No new secret is
    /// hashed, so it takes little even where the load takes long.
    pub async fn preview_load(&self, caller: &Caller, bytes: Bytes) -> Result<Report> {
        caller.need(Scope::ProfilesWrite)?;
        if bytes.len() > MOST_BYTES {
            return Err(Error::TooLarge { limit: MOST_BYTES as u64 });
        }
        let _place = self.loads.try_acquire().map_err(|_| Error::unavailable(Outage::Uploads))?;
        let drafts = self.drafts(document::parse_aside(bytes).await?).await?;
        let mut report = Report::default();
        for (step, _) in self.compare_all(drafts).await? {
            report.list(step.known.is_some(), step.same).push(step.key());
        }
        Ok(report)
    }

    /// [`Self::load`] of a document that has been parsed already.
    pub async fn load_value(
        &self,
        caller: &Caller,
        document: Value,
        progress: impl Fn(Progress) + Sync,
    ) -> Result<Report> {
        caller.need(Scope::ProfilesWrite)?;
        let _place = self.loads.try_acquire().map_err(|_| Error::unavailable(Outage::Uploads))?;
        self.load_parsed(caller, document, progress).await
    }

    async fn load_parsed(
        &self,
        caller: &Caller,
        document: Value,
        progress: impl Fn(Progress) + Sync,
    ) -> Result<Report> {
        let drafts = self.drafts(document).await?;
        for _ in 0..TRIES {
            let steps = self.plan(drafts.clone(), &progress).await?;
            let (caller, seal) = (caller.clone(), self.settings.secrets == super::SecretsMode::Sealed);
            if let Some(report) = self.db.write(move |tx| apply(tx, &caller, &steps, seal)).await? {
                self.worker.wake();
                return Ok(report);
            }
        }
        Err(Error::unavailable(Outage::Writer))
    }

    async fn drafts(&self, document: Value) -> Result<Vec<Draft>> {
        self.db
            .scan(move |read| {
                let slugs = providers::slugs(read)?;
                read_document(&document, |slug| slugs.contains(slug))
            })
            .await
    }

    /// Enough to keep the workers busy, and far from what fills their queue by itself.
    fn parallel(&self) -> usize {
        (self.hasher.workers() * 2).min(MOST_PARALLEL)
    }

    /// Who is new at all, and whose secret is: that costs a look, or in `hashed` mode a hash, each.
    async fn compare_all(&self, drafts: Vec<Draft>) -> Result<Vec<(Step, bool)>> {
        stream::iter(drafts).map(|draft| self.compare(draft)).buffered(self.parallel()).try_collect().await
    }

    async fn plan(&self, drafts: Vec<Draft>, progress: &(impl Fn(Progress) + Sync)) -> Result<Vec<Step>> {
        let steps = self.compare_all(drafts).await?;
        let of = steps.iter().filter(|(_, new_secret)| *new_secret).count();
        let hashed = std::sync::atomic::AtomicUsize::new(0);
        progress(Progress { hashed: 0, of });
        stream::iter(steps)
            .map(|(mut step, new_secret)| {
                let hashed = &hashed;
                async move {
                    if new_secret {
                        step.hash = Some(self.hasher.hash_patiently(&step.draft.client_secret).await?);
                        let so_far = hashed.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
                        progress(Progress { hashed: so_far, of });
                    }
                    Ok(step)
                }
            })
            .buffered(self.parallel())
            .try_collect()
            .await
    }

    /// What is there of a configuration, and whether its secret is new.
    async fn compare(&self, draft: Draft) -> Result<(Step, bool)> {
        let found = self.db.read(|read| {
            let Some(found) = store::profiles::find(read, &draft.provider, draft.name.as_str())? else {
                return Ok(None);
            };
            let kind = crate::domain::profile::SecretKind::Parameters;
            // Parameters that do not open any more are not those that come: they are written anew.
            let parameters = store::profiles::open_secret(read, found.id, kind).ok();
            let hash = profiles::hash_of(read, found.id)?;
            Ok(Some((found, parameters, hash)))
        })?;
        let Some((profile, parameters, seen)) = found else {
            return Ok((Step { draft, known: None, hash: None, same: false }, true));
        };
        let new_secret = !self.is_kept_secret(profile.id, &draft.client_secret).await?;
        let wanted = match &draft.parameters {
            Change::Set(parameters) => Some(profiles::parameters_text(parameters)),
            _ => None,
        };
        let same_parameters =
            parameters.is_some_and(|kept| kept.as_ref().map(Secret::expose) == wanted.as_ref().map(Secret::expose));
        let same = !new_secret && same_parameters && profile.client_id == draft.client_id;
        Ok((Step { draft, known: Some((profile.id, seen)), hash: None, same }, new_secret))
    }
}

/// All configurations of a document, or all its faults.
fn read_document(document: &Value, is_provider: impl Fn(&str) -> bool) -> Result<Vec<Draft>> {
    let Some(connectors) = document.as_object() else { return Err(Error::invalid("", Why::WrongType("object"))) };
    let mut faults = Faults::default();
    let mut drafts = Vec::new();
    if connectors.is_empty() {
        faults.add("", Why::Blank);
    }
    for (connector, configurations) in connectors {
        let place = shown(connector);
        if !is_provider(connector) {
            faults.add(&place, Why::NotInList);
        }
        let Some(configurations) = configurations.as_object() else {
            faults.add(&place, Why::WrongType("object"));
            continue;
        };
        if configurations.is_empty() {
            faults.add(&place, Why::Blank);
        }
        for (name, fields) in configurations {
            let path = format!("{place}.{}", shown(name));
            let Some(fields) = fields.as_object() else {
                faults.add(path, Why::WrongType("object"));
                continue;
            };
            let mut text = |key: &str| match fields.get(key) {
                None | Some(Value::Null) => {
                    faults.add(format!("{path}.{key}"), Why::Missing);
                    None
                }
                Some(Value::String(text)) => Some(text.clone()),
                Some(_) => {
                    faults.add(format!("{path}.{key}"), Why::WrongType("string"));
                    None
                }
            };
            let (id, secret) = (text("CLIENT_ID"), text("CLIENT_SECRET"));
            let id = id.and_then(|id| faults.take(&format!("{path}.CLIENT_ID"), ClientId::new(id)));
            let secret = secret.and_then(|text| faults.take(&format!("{path}.CLIENT_SECRET"), client_secret(text)));
            let name = faults.take(&path, Name::new(name.as_str()));
            let parameters: Parameters = fields
                .iter()
                .filter(|(key, _)| !matches!(key.as_str(), "CLIENT_ID" | "CLIENT_SECRET"))
                .map(|(key, value)| (key.clone(), Secret::new(value.to_string())))
                .collect::<BTreeMap<_, _>>();
            if let (Some(name), Some(client_id), Some(client_secret)) = (name, id, secret) {
                drafts.push(Draft {
                    name,
                    provider: connector.clone(),
                    client_id,
                    client_secret,
                    token: Change::Keep,
                    parameters: if parameters.is_empty() { Change::Clear } else { Change::Set(parameters) },
                });
            }
        }
    }
    if drafts.len() > MOST_CONFIGURATIONS {
        faults.add("", Why::TooMany(MOST_CONFIGURATIONS));
    }
    faults.or(drafts)
}

fn shown(name: &str) -> String {
    match name.char_indices().nth(MOST_SHOWN) {
        None => name.to_owned(),
        Some((end, _)) => format!("{}…", &name[..end]),
    }
}

/// Writes what has changed; `None` when somebody changed one of them meanwhile.
fn apply(tx: &store::Tx<'_>, caller: &Caller, steps: &[Step], seal: bool) -> Result<Option<Report>> {
    for step in steps {
        let found = store::profiles::find(tx, &step.draft.provider, step.draft.name.as_str())?;
        let now = match &found {
            Some(profile) => Some((profile.id, profiles::hash_of(tx, profile.id)?)),
            None => None,
        };
        if now != step.known {
            return Ok(None);
        }
    }
    let mut report = Report::default();
    for step in steps {
        let id = step.known.as_ref().map(|(id, _)| *id);
        if !step.same {
            profiles::save(tx, caller, id, &step.draft, step.hash.as_deref(), seal)?;
        }
        report.list(id.is_some(), step.same).push(step.key());
    }
    let detail = json!({
        "added": report.added.len(), "updated": report.updated.len(), "unchanged": report.unchanged.len()
    });
    audit(tx, caller, Deed::Loaded, "configurations", steps.len(), &detail)?;
    Ok(Some(report))
}

/// An empty document with every connector there is: what to fill in. Its placeholders are faults, not values.
pub fn template<'a>(slugs: impl Iterator<Item = &'a str>) -> Value {
    let connector = |slug: &str| {
        let name = format!("{slug}-1");
        json!({ name: {"CLIENT_ID": "<client id here>", "CLIENT_SECRET": "<client secret here>"} })
    };
    Value::Object(slugs.map(|slug| (slug.to_owned(), connector(slug))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_a_document_is_listed_with_its_path() {
        let document = json!({
            "google_gmail": {
                "Gmail-1": {"CLIENT_ID": "<client id here>", "CLIENT_SECRET": "PLANTED"},
                "Gmail-2": {"CLIENT_ID": 7},
                "Gmail-3": [],
            },
            "gmail": {"x": {"CLIENT_ID": "a", "CLIENT_SECRET": "PLANTED"}},
            "jira": {},
            "slack": null,
        });
        let Err(Error::Invalid(faults)) = read_document(&document, |slug| slug != "gmail") else {
            panic!("it has faults")
        };
        let faults: Vec<_> = faults.into_iter().map(|fault| (fault.path, fault.why)).collect();
        assert_eq!(
            faults,
            [
                ("google_gmail.Gmail-1.CLIENT_ID".to_owned(), Why::Placeholder),
                ("google_gmail.Gmail-2.CLIENT_ID".to_owned(), Why::WrongType("string")),
                ("google_gmail.Gmail-2.CLIENT_SECRET".to_owned(), Why::Missing),
                ("google_gmail.Gmail-3".to_owned(), Why::WrongType("object")),
                ("gmail".to_owned(), Why::NotInList),
                ("jira".to_owned(), Why::Blank),
                ("slack".to_owned(), Why::WrongType("object")),
            ]
        );
    }

    #[test]
    fn the_template_is_a_document_full_of_placeholders() {
        let Err(Error::Invalid(faults)) = read_document(&template(["jira", "box"].into_iter()), |_| true) else {
            panic!("it is to be filled in")
        };
        assert_eq!(faults.len(), 4);
        assert!(faults.iter().all(|fault| fault.why == Why::Placeholder));
    }
}
