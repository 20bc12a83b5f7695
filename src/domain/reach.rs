//! Which connections a credential may see and use. What is out of its reach does not exist for it.

use super::profile::Change;

/// How far a credential reaches. Without a limit: to every connection there is, and to those to come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reach {
    /// To these connections alone, by id, none of them twice; `None`: to any.
    pub connections: Option<Vec<i64>>,
    /// To connections of this owner alone; `None`: to anybody's.
    pub owner: Option<String>,
}

/// What is to be changed of a reach.
pub type Changes = (Change<Vec<i64>>, Change<String>);

impl Reach {
    /// The most connections that one credential is limited to: all of them are looked through at each request.
    pub const MOST: usize = 1000;
    /// The most characters of an owner.
    pub const MOST_OWNER: usize = 255;

    /// Whether there is no limit.
    pub fn is_everything(&self) -> bool {
        self.connections.is_none() && self.owner.is_none()
    }

    /// Whether a connection of this owner is within reach.
    pub fn has(&self, id: i64, owner: Option<&str>) -> bool {
        self.connections.as_ref().is_none_or(|ids| ids.contains(&id))
            && self.owner.as_deref().is_none_or(|only| owner == Some(only))
    }

    /// Whether whoever has this reach has `other` too. Told by what is written alone, as connections come and go: who is
    /// limited to an owner has no reach that does not name that owner.
    pub fn covers(&self, other: &Self) -> bool {
        let connections = match (&self.connections, &other.connections) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(ours), Some(theirs)) => theirs.iter().all(|id| ours.contains(id)),
        };
        connections && (self.owner.is_none() || self.owner == other.owner)
    }

    /// The reach after a change.
    #[must_use]
    pub fn changed(self, (connections, owner): Changes) -> Self {
        fn after<T>(before: Option<T>, change: Change<T>) -> Option<T> {
            match change {
                Change::Keep => before,
                Change::Clear => None,
                Change::Set(value) => Some(value),
            }
        }
        Self { connections: after(self.connections, connections), owner: after(self.owner, owner) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(connections: Option<&[i64]>, owner: Option<&str>) -> Reach {
        Reach { connections: connections.map(<[i64]>::to_vec), owner: owner.map(str::to_owned) }
    }

    #[test]
    fn both_limits_hold_at_once() {
        assert!(Reach::default().is_everything() && Reach::default().has(1, None));
        let both = reach(Some(&[1, 2]), Some("alice"));
        assert!(both.has(1, Some("alice")));
        for (id, owner) in [(3, Some("alice")), (1, Some("bob")), (1, None), (1, Some("Alice"))] {
            assert!(!both.has(id, owner), "{id} {owner:?}");
        }
        assert!(!reach(None, Some("alice")).is_everything() && !reach(Some(&[]), None).has(1, None));
    }

    #[test]
    fn a_reach_covers_what_is_no_wider() {
        let all = Reach::default();
        let (few, one) = (reach(Some(&[1, 2]), None), reach(Some(&[2]), None));
        let (alice, bob) = (reach(None, Some("alice")), reach(None, Some("bob")));
        let both = reach(Some(&[2]), Some("alice"));
        for (ours, theirs) in [(&all, &all), (&all, &few), (&few, &one), (&few, &both), (&alice, &both), (&both, &both)]
        {
            assert!(ours.covers(theirs), "{ours:?} {theirs:?}");
        }
        for (ours, theirs) in
            [(&few, &all), (&one, &few), (&alice, &all), (&alice, &bob), (&alice, &one), (&both, &one)]
        {
            assert!(!ours.covers(theirs), "{ours:?} {theirs:?}");
        }
    }

    #[test]
    fn what_is_not_said_stays() {
        let both = reach(Some(&[1]), Some("alice"));
        assert_eq!(both.clone().changed((Change::Keep, Change::Keep)), both);
        assert_eq!(both.clone().changed((Change::Clear, Change::Keep)), reach(None, Some("alice")));
        assert_eq!(both.changed((Change::Set(vec![7]), Change::Clear)), reach(Some(&[7]), None));
    }
}
