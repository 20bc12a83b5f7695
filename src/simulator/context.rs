//! What is known of a request before it is processed: rules are matched by it, and errors repeat parts of it.

use actix_web::HttpRequest;

use super::{
    api, connection,
    options::Like,
    refusal::Refusal,
    request::{Parameters, Shown},
    state::Shared,
    tokens::Kind,
};

/// What is known of a request.
#[derive(Debug, Default)]
pub(super) struct RequestContext<'a> {
    parameters: Option<&'a Parameters>,
    /// The client's secret, wherever it stood.
    secret: Option<&'a str>,
    /// The token in the header.
    bearer: Option<&'a str>,
    /// The grant whose token it carries, or that the client has for itself.
    pub grant: Option<u64>,
    /// The client that it names, or that the token was issued to.
    pub client: Option<String>,
    /// Whether it is not the first on its connection.
    pub reused: bool,
}

impl<'a> RequestContext<'a> {
    /// Of a request to the token endpoint.
    pub(super) fn of_token_request(
        shared: &Shared,
        parameters: Option<&'a Parameters>,
        shown: Option<&'a Shown>,
        reused: bool,
    ) -> Self {
        let own = parameters.and_then(|parameters| parameters.get("grant_type")) == Some("client_credentials");
        let context = Self { parameters, reused, ..Self::default() }.with_client(shown);
        let mut context = context.with_grant(shared, parameters.and_then(|parameters| parameters.get("refresh_token")));
        if let (true, Some(client)) = (own, &context.client) {
            context.grant = shared.state().own_grant_id(client);
        }
        context
    }

    /// Of any other request.
    pub(super) fn of_request(
        shared: &Shared,
        request: &'a HttpRequest,
        parameters: Option<&'a Parameters>,
        shown: Option<&'a Shown>,
    ) -> Self {
        let like = shared.options.like;
        let bearer = api::token(request, like).or_else(|| api::token(request, Like::Plain));
        let reused = connection::is_reused(request);
        let context = Self { parameters, bearer, reused, ..Self::default() }.with_client(shown);
        let token = parameters.and_then(|parameters| parameters.get("token")).or(bearer);
        context.with_grant(shared, token)
    }

    /// Of the decision on an authorization request.
    pub(super) fn of_authorization(client: &str, parameters: &'a Parameters, reused: bool) -> Self {
        Self { client: Some(client.to_owned()), parameters: Some(parameters), reused, ..Self::default() }
    }

    fn with_client(self, shown: Option<&'a Shown>) -> Self {
        let named = self.parameters.and_then(|parameters| parameters.get("client_id"));
        let client = shown.map(Shown::client_id).or(named).map(str::to_owned);
        Self { client, secret: shown.and_then(Shown::secret), ..self }
    }

    fn with_grant(self, shared: &Shared, token: Option<&str>) -> Self {
        let Some(token) = token else { return self };
        let mut state = shared.state();
        let read = shared.mint.read(Kind::Refresh, token).or_else(|| state.read_access(&shared.mint, token));
        let Some((grant, _)) = read else { return self };
        let owner = state.grant(grant).map(|grant| grant.client_id.clone());
        Self { grant: Some(grant), client: self.client.or(owner), ..self }
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

    /// The scope that it asks for.
    pub(super) fn scope(&self) -> Option<&'a str> {
        self.parameters?.get("scope")
    }
}

/// Parameters and client of a body, for what has to be known before the endpoint reads them itself.
pub(super) fn read(request: &HttpRequest, body: &[u8]) -> (Option<Parameters>, Option<Shown>) {
    let parameters: Result<Parameters, Refusal> = Parameters::of_body(request, body);
    let shown = Shown::read(request, parameters.as_ref().unwrap_or(&Parameters::default())).ok();
    (parameters.ok(), shown)
}
