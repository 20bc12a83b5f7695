//! Passing requests on to a provider's API: why one is not, or why its answer is not passed back.

/// Why a request was not passed on, or its answer not passed back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotPassed {
    /// The provider's entry does not say where its API is.
    NoApi,
    /// Where the API is, the grant or the entry's variables would have to say, and they do not; which of them.
    NoAddress(String),
    /// The path is none that may be asked for; what it must be.
    Path(&'static str),
    /// The caller wants to change the protocol (WebSocket).
    Upgrade,
    /// The request has come through here before.
    Loop,
    /// The request's body was cut off.
    BodyCut,
    /// The request's body did not go on in time.
    BodyTimeout,
    /// The API's address leads inside.
    Inside,
    /// There is no way to the API: name, route or TLS. What happened, without an address.
    Unreachable(String),
    /// The API said nothing in time.
    Timeout,
    /// The API broke off before its answer began, or answered no HTTP. What happened, without an address.
    Broken(String),
    /// The API redirects to somewhere else.
    Elsewhere,
}

impl NotPassed {
    /// The word on the wire.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NoApi => "no_api",
            Self::NoAddress(_) => "no_api_address",
            Self::Path(_) => "bad_path",
            Self::Upgrade => "upgrade_refused",
            Self::Loop => "loop_detected",
            Self::BodyCut => "body_cut_off",
            Self::BodyTimeout => "body_timeout",
            Self::Inside => "api_address_refused",
            Self::Unreachable(_) => "api_unreachable",
            Self::Timeout => "api_timeout",
            Self::Broken(_) => "api_broken",
            Self::Elsewhere => "api_redirects_elsewhere",
        }
    }
}
