//! Settings as they are told: never a secret.

/// One setting, and what is in force of it.
#[derive(Debug, Clone)]
pub struct Told {
    /// The key in the file, and the flag without its dashes.
    pub name: &'static str,
    /// The value in force; `None`: none.
    pub value: Option<String>,
    /// Where that comes from: `default`, `flag`, `environment`, `file`.
    pub source: &'static str,
    /// The value where nobody gives one.
    pub default: Option<&'static str>,
    /// What it is for.
    pub help: &'static str,
}
