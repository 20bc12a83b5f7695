//! The codes of `/api/v1`. Clients decide by them, so both lists are closed: a word that stands here keeps its meaning.

use actix_web::http::StatusCode;

/// An enum whose variants have a word on the wire.
macro_rules! codes {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident => $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            /// All codes.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The code on the wire.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }
    };
}

codes! {
    /// Why a request failed: `code` of a problem document. Each has one status.
    ProblemCode {
        /// The request cannot be read: its head is malformed, or its body was cut off.
        MalformedRequest => "malformed_request",
        /// The body is not JSON in UTF-8, or an object of it names a key twice.
        MalformedJson => "malformed_json",
        /// The URL holds a credential, which logs and browser histories keep.
        CredentialInUrl => "credential_in_url",
        /// The request has no credential.
        MissingCredential => "missing_credential",
        /// The credential is unknown, expired or revoked, or there are two.
        InvalidCredential => "invalid_credential",
        /// A password alone, of a user with a second factor.
        SecondFactorRequired => "second_factor_required",
        /// The code of the second factor is missing.
        SecondFactorMissing => "second_factor_missing",
        /// The code of the second factor is wrong, or was used before.
        SecondFactorWrong => "second_factor_wrong",
        /// The credential lacks a scope (RFC 6750 §3.1).
        InsufficientScope => "insufficient_scope",
        /// The credential is limited to some connections, and the request concerns others.
        AccessRestricted => "access_restricted",
        /// A page of another site sent the request.
        CrossSiteRequest => "cross_site_request",
        /// The call is for a user with a session or a password, and not for a token.
        UserRequired => "user_required",
        /// Client secrets or grants would go to origins that no administrator has confirmed. `errors[0].params` has them.
        OriginChangeUnconfirmed => "origin_change_unconfirmed",
        /// The resource or the path does not exist, or the caller must not see it.
        NotFound => "not_found",
        /// The resource has no such method.
        MethodNotAllowed => "method_not_allowed",
        /// No media type that `Accept` names is offered.
        NotAcceptable => "not_acceptable",
        /// The body did not arrive in time.
        RequestTimeout => "request_timeout",
        /// The name is taken.
        AlreadyExists => "already_exists",
        /// Other resources need this one.
        InUse => "in_use",
        /// No account is connected.
        NotConnected => "not_connected",
        /// The account's owner has to authorize access again.
        NeedsReauthorization => "needs_reauthorization",
        /// No token is valid for as long as requested.
        TokenTooShortLived => "token_too_short_lived",
        /// The provider's API cannot be asked on behalf of this connection.
        NotForwarded => "not_forwarded",
        /// The resource is not the version that `If-Match` names.
        PreconditionFailed => "precondition_failed",
        /// The body is too large.
        ContentTooLarge => "content_too_large",
        /// The body is of another media type, or it is compressed.
        UnsupportedMediaType => "unsupported_media_type",
        /// The body is well-formed, and its values are not valid: see `errors`.
        InvalidInput => "invalid_input",
        /// The provider rejects the client credentials of the profile.
        AppSecretRejected => "app_secret_rejected",
        /// Too many requests.
        TooManyRequests => "too_many_requests",
        /// A fault of the server; its log has the details under the request ID.
        InternalError => "internal_error",
        /// Too many requests of this kind at once.
        ServerBusy => "server_busy",
        /// The server is shutting down.
        ServerStopping => "server_stopping",
        /// The database or the backup folder cannot be written.
        StorageUnavailable => "storage_unavailable",
        /// The provider issued tokens that could not be stored: they are lost.
        TokensLost => "tokens_lost",
        /// The provider issued tokens that could not be stored: they are revoked.
        TokensRevoked => "tokens_revoked",
        /// The provider is unavailable, or refuses to refresh the connection.
        ProviderUnavailable => "provider_unavailable",
    }
}

impl ProblemCode {
    /// The status of a problem with this code.
    pub fn status(self) -> StatusCode {
        match self {
            Self::MalformedRequest | Self::MalformedJson | Self::CredentialInUrl => StatusCode::BAD_REQUEST,
            Self::MissingCredential
            | Self::InvalidCredential
            | Self::SecondFactorRequired
            | Self::SecondFactorMissing
            | Self::SecondFactorWrong => StatusCode::UNAUTHORIZED,
            Self::InsufficientScope | Self::AccessRestricted | Self::CrossSiteRequest | Self::UserRequired => {
                StatusCode::FORBIDDEN
            }
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::AlreadyExists
            | Self::InUse
            | Self::OriginChangeUnconfirmed
            | Self::NotConnected
            | Self::NeedsReauthorization
            | Self::TokenTooShortLived => StatusCode::CONFLICT,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::ContentTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::InvalidInput => StatusCode::UNPROCESSABLE_ENTITY,
            Self::AppSecretRejected => StatusCode::FAILED_DEPENDENCY,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotForwarded => StatusCode::BAD_GATEWAY,
            Self::ServerBusy
            | Self::ServerStopping
            | Self::StorageUnavailable
            | Self::TokensLost
            | Self::TokensRevoked
            | Self::ProviderUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// `title` of a problem with this code (RFC 9457 §3.1.4): the same for each occurrence.
    pub fn title(self) -> &'static str {
        match self {
            Self::MalformedRequest => "Malformed request",
            Self::MalformedJson => "Malformed JSON",
            Self::CredentialInUrl => "Credential in the URL",
            Self::MissingCredential => "Credential required",
            Self::InvalidCredential => "Invalid credential",
            Self::SecondFactorRequired => "Second factor required",
            Self::SecondFactorMissing => "Second factor missing",
            Self::SecondFactorWrong => "Second factor wrong",
            Self::InsufficientScope => "Insufficient scope",
            Self::AccessRestricted => "Access restricted",
            Self::CrossSiteRequest => "Request of another site",
            Self::UserRequired => "User required",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "Method not allowed",
            Self::NotAcceptable => "Not acceptable",
            Self::RequestTimeout => "Request timeout",
            Self::AlreadyExists => "Already exists",
            Self::InUse => "In use",
            Self::OriginChangeUnconfirmed => "Origin change unconfirmed",
            Self::NotConnected => "Not connected",
            Self::NeedsReauthorization => "Needs reauthorization",
            Self::TokenTooShortLived => "Token too short-lived",
            Self::NotForwarded => "Not forwarded",
            Self::PreconditionFailed => "Precondition failed",
            Self::ContentTooLarge => "Content too large",
            Self::UnsupportedMediaType => "Unsupported media type",
            Self::InvalidInput => "Invalid input",
            Self::AppSecretRejected => "Client credentials rejected",
            Self::TooManyRequests => "Too many requests",
            Self::InternalError => "Internal error",
            Self::ServerBusy => "Server busy",
            Self::ServerStopping => "Server stopping",
            Self::StorageUnavailable => "Storage unavailable",
            Self::TokensLost => "Tokens lost",
            Self::TokensRevoked => "Tokens revoked",
            Self::ProviderUnavailable => "Provider unavailable",
        }
    }
}

codes! {
    /// What is wrong with a value: `code` of an item of `errors`.
    InputErrorCode {
        /// Origins that an administrator must confirm. `params`: `old_origins`, `new_origins`, `profiles`, `connections`.
        OriginUnconfirmed => "origin_unconfirmed",
        /// Required, and not there.
        Required => "required",
        /// Empty, or white space only.
        Blank => "blank",
        /// Of another JSON type. `params`: `expected`.
        WrongType => "wrong_type",
        /// Too long. `params`: `max`.
        TooLong => "too_long",
        /// Too short. `params`: `min`.
        TooShort => "too_short",
        /// A control character.
        ControlCharacter => "control_character",
        /// Not a known value.
        NotInList => "not_in_list",
        /// Not one of the values in `params`: `allowed`.
        NotOneOf => "not_one_of",
        /// Another resource has this value.
        Taken => "taken",
        /// No such field.
        UnknownField => "unknown_field",
        /// The provider has no use for this value.
        NotForProvider => "not_for_provider",
        /// The value cannot be changed.
        Immutable => "immutable",
        /// The last administrator.
        LastAdministrator => "last_administrator",
        /// A placeholder from a template.
        Placeholder => "placeholder",
        /// The same value twice.
        Duplicate => "duplicate",
        /// Given twice, with different values.
        ConflictingValues => "conflicting_values",
        /// Not of the form in `params`: `expected`.
        Malformed => "malformed",
        /// A fault of JSON syntax. `params`: `line`, `column` (bytes), both from 1, and `reason`.
        Syntax => "syntax",
        /// Not UTF-8. `params`: `offset`, the bytes before the fault.
        NotUtf8 => "not_utf8",
        /// Several resources match. `params`: `candidates`.
        Ambiguous => "ambiguous",
        /// No resource matches.
        NoMatch => "no_match",
        /// The request changes nothing.
        NothingToChange => "nothing_to_change",
        /// Too many items. `params`: `max`.
        TooMany => "too_many",
        /// Not among what was granted.
        NotGranted => "not_granted",
        /// A wrong password or code.
        WrongSecret => "wrong_secret",
        /// Enabled already.
        AlreadyEnabled => "already_enabled",
        /// The customer has another profile of this provider.
        OtherProfileAssigned => "other_profile_assigned",
        /// Another account than the one that was connected before.
        OtherAccount => "other_account",
        /// Only a hash of the secret is stored.
        SecretHashed => "secret_hashed",
        /// The keys come from the environment and cannot be changed here.
        KeysReadOnly => "keys_read_only",
        /// The key file was changed by another program.
        KeyFileChanged => "key_file_changed",
        /// The key file cannot be read or written. `params`: `reason`.
        KeyFile => "key_file",
        /// The active key.
        ActiveKey => "active_key",
        /// The provider has no device authorization endpoint (RFC 8628).
        NoDeviceAuthorization => "no_device_authorization",
        /// The provider rejects the value. `params`: `reason`.
        ProviderRejects => "provider_rejects",
        /// There is no next client secret.
        NoNextSecret => "no_next_secret",
        /// The issuer has no usable metadata. `params`: `reason`.
        DiscoveryFailed => "discovery_failed",
        /// More errors than are listed.
        MoreErrors => "more_errors",
        /// Resources that need this one. `params`: `resource_type`, `count`.
        UsedBy => "used_by",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_code_has_a_word_of_its_own_and_each_problem_a_title_of_its_own() {
        let problems: BTreeSet<&str> = ProblemCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(problems.len(), ProblemCode::ALL.len());
        let titles: BTreeSet<&str> = ProblemCode::ALL.iter().map(|code| code.title()).collect();
        assert_eq!(titles.len(), ProblemCode::ALL.len());
        let errors: BTreeSet<&str> = InputErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(errors.len(), InputErrorCode::ALL.len());
        for code in problems.iter().chain(&errors) {
            assert!(code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte == b'8'), "{code}");
        }
        assert!(ProblemCode::ALL.iter().all(|code| code.status().is_client_error() || code.status().is_server_error()));
    }
}
