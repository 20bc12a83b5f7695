//! Providers: the catalogue that is part of the program, and the operator's own before it.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::Duration,
};

use super::{App, access::Caller, audit, pins, reach};
use crate::{
    domain::{
        Error, Noun, Result, Timestamp, Why,
        audit::Deed,
        provider::{Origin, Provider},
        user::Scope,
        version::Expected,
    },
    oauth::catalogue::{self, Entry, Given},
    store::{self, Read},
};

/// How long a provider may take to say what its endpoints are.
const DISCOVERING: Duration = Duration::from_secs(10);

/// A provider with the JSON text of its definition.
#[derive(Debug, Clone)]
pub struct Definition {
    /// What the rest of the program knows of it.
    pub provider: Provider,
    /// Its definition, in the form of the catalogue.
    pub json: String,
    /// When it was last changed; `None`: it is part of the program.
    pub updated_at: Option<Timestamp>,
}

impl Definition {
    fn new(entry: &Entry, origin: Origin) -> Self {
        Self { provider: entry.provider(origin), json: entry.to_json(), updated_at: None }
    }
}

/// All slugs there are.
pub(super) fn slugs(read: &Read<'_>) -> Result<HashSet<String>> {
    let own = store::providers::slugs(read)?;
    Ok(catalogue::built_in().keys().cloned().chain(own).collect())
}

/// The entry of this slug, the operator's own first.
pub(super) fn find(read: &Read<'_>, slug: &str) -> Result<Option<(Entry, Origin)>> {
    if let Some(json) = store::providers::find(read, slug)? {
        return Entry::read(&json).map(|entry| Some((entry, Origin::Operator)));
    }
    Ok(catalogue::built_in().get(slug).map(|entry| (entry.clone(), Origin::BuiltIn)))
}

/// What the rest of the program needs to know of the provider of this slug; `provider: is not in the list` where there
/// is none.
pub(super) fn need(read: &Read<'_>, slug: &str, path: &str) -> Result<Provider> {
    match find(read, slug)? {
        Some((entry, origin)) => Ok(entry.provider(origin)),
        None => Err(Error::invalid(path, Why::NotInList)),
    }
}

/// Turns down a change of another version of an operator's own provider than the one that is there.
fn check(read: &Read<'_>, slug: &str, expected: &Expected) -> Result<()> {
    let updated_at = store::providers::updated_at(read, slug)?;
    updated_at.map_or(Ok(()), |updated_at| expected.check(Noun::Provider, updated_at))
}

impl App {
    /// All providers by slug.
    pub async fn list_providers(&self, caller: &Caller) -> Result<Vec<Definition>> {
        caller.need(Scope::ProfilesRead)?;
        self.db
            .scan(|read| {
                let mut all: BTreeMap<&str, Definition> = catalogue::built_in()
                    .iter()
                    .map(|(slug, entry)| (slug.as_str(), Definition::new(entry, Origin::BuiltIn)))
                    .collect();
                let own = store::providers::list(read)?;
                let own: Vec<Entry> = own.iter().map(|json| Entry::read(json)).collect::<Result<_>>()?;
                for entry in &own {
                    all.insert(&entry.slug, Definition::new(entry, Origin::Operator));
                }
                Ok(all.into_values().collect())
            })
            .await
    }

    /// The provider of this slug.
    pub fn get_provider(&self, caller: &Caller, slug: &str) -> Result<Definition> {
        caller.need(Scope::ProfilesRead)?;
        self.db.read(|read| {
            let (entry, origin) = find(read, slug)?.ok_or_else(|| Error::not_found(Noun::Provider, slug))?;
            let updated_at = store::providers::updated_at(read, slug)?;
            Ok(Definition { updated_at, ..Definition::new(&entry, origin) })
        })
    }

    /// Adds a provider of the operator's own; it goes before one of the catalogue with the same slug. `confirmed`: new
    /// origins that the secrets of profiles may go to.
    pub async fn create_provider(&self, caller: &Caller, json: &str, confirmed: Vec<String>) -> Result<Definition> {
        caller.need(Scope::ProfilesWrite)?;
        reach::require_unlimited(caller)?;
        let entry = self.whole_definition(json).await?;
        self.save_provider(caller, entry, Deed::Created, Expected::default(), confirmed).await
    }

    /// Replaces a provider of the operator's own. The slug stays. `Changed` when it is not as expected, `OriginChange` when
    /// secrets would go to origins that are not in `confirmed`.
    pub async fn replace_provider(
        &self,
        caller: &Caller,
        slug: &str,
        expected: Expected,
        json: &str,
        confirmed: Vec<String>,
    ) -> Result<Definition> {
        caller.need(Scope::ProfilesWrite)?;
        reach::require_unlimited(caller)?;
        let entry = self.whole_definition(json).await?;
        if entry.slug != slug {
            return Err(Error::invalid("slug", Why::Fixed));
        }
        self.save_provider(caller, entry, Deed::Updated, expected, confirmed).await
    }

    /// The definition of a text. Where it names an issuer and no token endpoint, the issuer is asked for what is not
    /// given.
    async fn whole_definition(&self, json: &str) -> Result<Entry> {
        let entry = match Given::parse(json)? {
            Given::Whole(entry) => *entry,
            Given::Issuer { issuer, fields } => self.engine.discover(&issuer, DISCOVERING).await?.entry(fields)?,
        };
        if entry.unbounded_variables().is_empty() {
            return Ok(entry);
        }
        Err(Error::invalid(
            "hosts",
            Why::Malformed("a list of hosts, as one of its variables can lead to any host or port"),
        ))
    }

    async fn save_provider(
        &self,
        caller: &Caller,
        entry: Entry,
        deed: Deed,
        expected: Expected,
        confirmed: Vec<String>,
    ) -> Result<Definition> {
        let caller = caller.clone();
        self.db
            .write(move |tx| {
                let slug = &entry.slug;
                let mut definition = Definition::new(&entry, Origin::Operator);
                may_write(tx, &caller, slug)?;
                check(tx, slug, &expected)?;
                let before = find(tx, slug)?.map(|(before, _)| before);
                match deed {
                    Deed::Created => store::providers::insert(tx, slug, &definition.json)?,
                    _ => store::providers::update(tx, slug, &definition.json)?,
                }
                audit(tx, &caller, deed, "provider", slug, &changes(before.as_ref(), Some(&entry)))?;
                pins::follow(tx, &caller, slug, &entry, &confirmed)?;
                definition.updated_at = store::providers::updated_at(tx, slug)?;
                Ok(definition)
            })
            .await
    }

    /// Removes a provider of the operator's own; one that profiles need stays, unless the catalogue has it too.
    /// `OriginChange` when secrets would go to origins of the catalogue's that are not in `confirmed`.
    pub async fn delete_provider(
        &self,
        caller: &Caller,
        slug: &str,
        expected: Expected,
        confirmed: Vec<String>,
    ) -> Result<()> {
        caller.need(Scope::ProfilesWrite)?;
        let (caller, slug) = (caller.clone(), slug.to_owned());
        self.db
            .write(move |tx| {
                may_write(tx, &caller, &slug)?;
                check(tx, &slug, &expected)?;
                let before = find(tx, &slug)?.map(|(before, _)| before);
                store::providers::delete(tx, &slug)?;
                let uses = store::providers::uses(tx, &slug)?;
                let after = catalogue::built_in().get(&slug);
                audit(tx, &caller, Deed::Deleted, "provider", &slug, &changes(before.as_ref(), after))?;
                match after {
                    Some(entry) => pins::follow(tx, &caller, &slug, entry, &confirmed),
                    None if uses.count > 0 => Err(Error::InUse { what: Noun::Provider, by: vec![uses] }),
                    None => Ok(()),
                }
            })
            .await
    }
}

/// Definitions decide where secrets go. A limited credential changes none; administrators alone change one of the
/// catalogue's and one that profiles use.
fn may_write(read: &Read<'_>, caller: &Caller, slug: &str) -> Result<()> {
    reach::require_unlimited(caller)?;
    if catalogue::built_in().contains_key(slug) || store::providers::uses(read, slug)?.count > 0 {
        caller.need(Scope::Admin)?;
    }
    Ok(())
}

/// What became of a definition, for the audit trail: the fields that differ, and the origins before and after.
fn changes(before: Option<&Entry>, after: Option<&Entry>) -> serde_json::Value {
    let fields = |entry: Option<&Entry>| -> serde_json::Map<String, serde_json::Value> {
        entry.and_then(|entry| serde_json::from_str(&entry.to_json()).ok()).unwrap_or_default()
    };
    let origins =
        |entry: Option<&Entry>| entry.map(|entry| entry.destinations(&BTreeMap::new()).origins()).unwrap_or_default();
    let (old, new) = (fields(before), fields(after));
    let changed: BTreeSet<&String> =
        old.keys().chain(new.keys()).filter(|name| old.get(*name) != new.get(*name)).collect();
    serde_json::json!({"changed": changed, "old_origins": origins(before), "new_origins": origins(after)})
}
