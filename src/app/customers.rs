//! Customers, and which profiles they have.

use serde_json::json;

use super::{App, access::Caller, audit};
use crate::{
    domain::{
        Error, Noun, Page, Result, Use,
        audit::Deed,
        customer::{Customer, Draft, Key},
        profile::Profile,
        user::Scope,
        version::Expected,
    },
    store,
};

impl App {
    /// One page of customers by ascending id, and how many there are in all.
    pub async fn list_customers(&self, caller: &Caller, page: Page) -> Result<(Vec<Customer>, u64)> {
        caller.need(Scope::ProfilesRead)?;
        self.db.scan(move |read| Ok((store::customers::list(read, page)?, store::customers::count(read)?))).await
    }

    /// One customer.
    pub fn get_customer(&self, caller: &Caller, key: &Key) -> Result<Customer> {
        caller.need(Scope::ProfilesRead)?;
        self.db.read(|read| store::customers::get(read, key))
    }

    /// One page of the profiles that a customer has, by ascending id, and how many there are in all.
    pub async fn list_customer_profiles(&self, caller: &Caller, key: Key, page: Page) -> Result<(Vec<Profile>, u64)> {
        caller.need(Scope::ProfilesRead)?;
        self.db
            .scan(move |read| {
                let customer = store::customers::get(read, &key)?;
                store::profiles::of_customer(read, customer.id, page)
            })
            .await
    }

    /// Makes a customer.
    pub async fn create_customer(&self, caller: &Caller, draft: Draft) -> Result<Customer> {
        caller.need(Scope::ProfilesWrite)?;
        let caller = caller.clone();
        self.db
            .write(move |tx| {
                let id = store::customers::insert(tx, &draft)?;
                audit(tx, &caller, Deed::Created, "customer", id, &json!({"name": draft.name.as_str()}))?;
                store::customers::get(tx, &Key::Id(id))
            })
            .await
    }

    /// Changes a customer: what `change` makes of it. `Changed` when it is not as expected.
    pub async fn update_customer(
        &self,
        caller: &Caller,
        key: Key,
        expected: Expected,
        change: impl FnOnce(&Customer) -> Draft + Send + 'static,
    ) -> Result<Customer> {
        caller.need(Scope::ProfilesWrite)?;
        let caller = caller.clone();
        self.db
            .write(move |tx| {
                let customer = store::customers::get(tx, &key)?;
                expected.check(Noun::Customer, customer.updated_at)?;
                let draft = change(&customer);
                store::customers::update(tx, customer.id, &draft)?;
                audit(tx, &caller, Deed::Updated, "customer", customer.id, &json!({"name": draft.name.as_str()}))?;
                store::customers::get(tx, &Key::Id(customer.id))
            })
            .await
    }

    /// Removes a customer without connections; what was assigned to it is free again.
    pub async fn delete_customer(&self, caller: &Caller, key: Key, expected: Expected) -> Result<()> {
        caller.need(Scope::ProfilesWrite)?;
        let caller = caller.clone();
        self.db
            .write(move |tx| {
                let customer = store::customers::get(tx, &key)?;
                expected.check(Noun::Customer, customer.updated_at)?;
                store::customers::delete(tx, customer.id)?;
                audit(tx, &caller, Deed::Deleted, "customer", customer.id, &json!({}))
            })
            .await
    }

    /// Gives a customer a profile: one for each provider. Safe to repeat.
    pub async fn assign_profile(&self, caller: &Caller, key: Key, profile_id: i64) -> Result<()> {
        caller.need(Scope::ProfilesWrite)?;
        let caller = caller.clone();
        self.db
            .write(move |tx| {
                let customer = store::customers::get(tx, &key)?;
                let profile = store::profiles::get(tx, profile_id)?;
                if store::customers::assign(tx, customer.id, &profile.provider, profile.id)? {
                    audit(tx, &caller, Deed::Assigned, "profile", profile_id, &json!({"customer": customer.id}))?;
                }
                Ok(())
            })
            .await
    }

    /// Takes a profile from a customer; while connections of that customer use it only by `force`. Safe to repeat.
    pub async fn unassign_profile(&self, caller: &Caller, key: Key, profile_id: i64, force: bool) -> Result<()> {
        caller.need(Scope::ProfilesWrite)?;
        let caller = caller.clone();
        self.db
            .write(move |tx| {
                let customer = store::customers::get(tx, &key)?;
                store::profiles::get(tx, profile_id)?;
                let count = store::customers::connections_through(tx, customer.id, profile_id)?;
                if count > 0 && !force {
                    let by = vec![Use { what: Noun::Connection, count, examples: Vec::new() }];
                    return Err(Error::InUse { what: Noun::Assignment, by });
                }
                if store::customers::unassign(tx, customer.id, profile_id)? {
                    audit(tx, &caller, Deed::Unassigned, "profile", profile_id, &json!({"customer": customer.id}))?;
                }
                Ok(())
            })
            .await
    }
}
