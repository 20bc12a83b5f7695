//! Dialect 1: links by which end users connect accounts.
