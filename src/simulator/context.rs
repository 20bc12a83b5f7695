//! What is known of a request before it is processed: errors repeat parts of it.

use actix_web::HttpRequest;

use super::{
    api,
    options::Like,
    refusal::Refusal,
    request::{Parameters, Shown},
};

/// What is known of a request.
#[derive(Debug, Default)]
pub(super) struct RequestContext<'a> {
    parameters: Option<&'a Parameters>,
    /// The client's secret, wherever it stood.
    secret: Option<&'a str>,
    /// The token in the header.
    bearer: Option<&'a str>,
}

impl<'a> RequestContext<'a> {
    /// Of a request to the token endpoint.
    pub(super) fn of_token_request(parameters: Option<&'a Parameters>, shown: Option<&'a Shown>) -> Self {
        Self { parameters, secret: shown.and_then(Shown::secret), bearer: None }
    }

    /// Of any other request.
    pub(super) fn of_request(
        like: Like,
        request: &'a HttpRequest,
        parameters: Option<&'a Parameters>,
        shown: Option<&'a Shown>,
    ) -> Self {
        let bearer = api::token(request, like).or_else(|| api::token(request, Like::Plain));
        Self { parameters, secret: shown.and_then(Shown::secret), bearer }
    }

    /// Of the decision on an authorization request.
    pub(super) fn of_authorization(parameters: &'a Parameters) -> Self {
        Self { parameters: Some(parameters), ..Self::default() }
    }

    /// A value that was sent, with its name: this parameter, or the credential.
    pub(super) fn sent(&self, name: Option<&str>) -> Option<(&'a str, &'a str)> {
        let parameter = |name| self.parameters?.get_with_name(name);
        match name {
            Some("client_secret") => Some(("client_secret", self.secret?)),
            Some("access_token") => Some(("access_token", self.bearer?)),
            Some(name) => parameter(name),
            None => ["refresh_token", "code", "device_code", "token"]
                .into_iter()
                .find_map(parameter)
                .or_else(|| Some(("access_token", self.bearer?)))
                .or_else(|| Some(("client_secret", self.secret?)))
                .or_else(|| parameter("state")),
        }
    }
}

/// Parameters and client of a body, for what has to be known before the endpoint reads them itself.
pub(super) fn read(request: &HttpRequest, body: &[u8]) -> (Option<Parameters>, Option<Shown>) {
    let parameters: Result<Parameters, Refusal> = Parameters::of_body(request, body);
    let shown = Shown::read(request, parameters.as_ref().unwrap_or(&Parameters::default())).ok();
    (parameters.ok(), shown)
}
