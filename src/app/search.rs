//! Long lists, searched, filtered and in pages: what the admin page lives on.

use super::{App, access::Caller};
use crate::{
    domain::{
        Result,
        event::Event,
        search::{
            ApplicationItem, ConnectionFilter, ConnectionItem, CustomerItem, Found, ProfileFilter, ProfileItem, Wanted,
        },
        user::Scope,
    },
    store,
};

pub use store::search::EventFilter;

impl App {
    /// Profiles by id.
    pub async fn search_profiles(
        &self,
        caller: &Caller,
        filter: ProfileFilter,
        wanted: Wanted,
    ) -> Result<Found<ProfileItem>> {
        caller.need(Scope::ProfilesRead)?;
        self.db.scan(move |read| store::search::profiles(read, &filter, &wanted)).await
    }

    /// Connections within the caller's reach, by id.
    pub async fn search_connections(
        &self,
        caller: &Caller,
        filter: ConnectionFilter,
        wanted: Wanted,
    ) -> Result<Found<ConnectionItem>> {
        caller.need(Scope::ConnectionsRead)?;
        let reach = caller.reach().clone();
        self.db.scan(move |read| store::search::connections(read, &filter, &wanted, &reach)).await
    }

    /// Customers by id.
    pub async fn search_customers(&self, caller: &Caller, wanted: Wanted) -> Result<Found<CustomerItem>> {
        caller.need(Scope::ProfilesRead)?;
        self.db.scan(move |read| store::search::customers(read, &wanted)).await
    }

    /// Client applications in the order of creation.
    pub async fn search_client_applications(&self, caller: &Caller, wanted: Wanted) -> Result<Found<ApplicationItem>> {
        caller.need(Scope::ApplicationsRead)?;
        self.db.scan(move |read| store::search::client_applications(read, &wanted)).await
    }

    /// Events, newest first; of connections only those within the caller's reach. Where many are looked at in vain, a page has fewer than it may, and others follow.
    pub async fn search_events(&self, caller: &Caller, filter: EventFilter, wanted: Wanted) -> Result<Found<Event>> {
        caller.need(Scope::ConnectionsRead)?;
        let reach = caller.reach().clone();
        self.db.scan(move |read| store::search::events(read, &filter, &wanted, &reach)).await
    }
}
