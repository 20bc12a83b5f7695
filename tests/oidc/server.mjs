// An authorization server that is not ours, for tests/it/oidc.rs: panva's oidc-provider, on loopback, in memory.
//
// It prints one line of JSON, {"issuer": …}, when it takes connections, and ends when its standard input is closed, so that
// a test that was killed leaves nothing behind.
//
// Environment: PORT (0 takes a free one), REDIRECT_URIS (JSON list), CLIENT_SECRET (of all confidential clients),
// ACCESS_TOKEN_SECONDS.
//
// Beside the provider's own addresses:
// - /interaction/:uid shows a form that logs in and consents in one step: login=NAME, decision=approve|deny;
// - /events tells what happened so far: names of oidc-provider's events and who caused them, never a token.

import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';

import { Provider, errors } from 'oidc-provider';

const env = process.env;
const redirectUris = JSON.parse(env.REDIRECT_URIS ?? '[]');
const secret = env.CLIENT_SECRET ?? randomBytes(16).toString('hex');
const accessTokenSeconds = Number(env.ACCESS_TOKEN_SECONDS ?? 300);

const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';

const coded = {
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  redirect_uris: redirectUris,
};
const bare = { response_types: [], redirect_uris: [] };
const clients = [
  { client_id: 'basic', client_secret: secret, token_endpoint_auth_method: 'client_secret_basic', ...coded },
  { client_id: 'post', client_secret: secret, token_endpoint_auth_method: 'client_secret_post', ...coded },
  { client_id: 'public', token_endpoint_auth_method: 'none', ...coded },
  { client_id: 'machine', client_secret: secret, grant_types: ['client_credentials'], ...bare },
  { client_id: 'device', client_secret: secret, grant_types: [DEVICE, 'refresh_token'], ...bare },
];

const address = (login) => `${login}@oidc.example`;

const configuration = {
  clients,
  cookies: { keys: [randomBytes(32).toString('hex')] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
  // A resource's scopes, for client credentials.
  scopes: ['openid', 'offline_access', 'read', 'write'],
  // Every client must prove that it began what it finishes.
  pkce: { methods: ['S256'], required: () => true },
  // Each refresh changes the token; one that was used ends the whole grant when it comes again.
  rotateRefreshToken: true,
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true, userCodeInputSource: input, userCodeConfirmSource: confirm, successSource: success },
    introspection: { enabled: true },
    revocation: { enabled: true },
    rpInitiatedLogout: { enabled: false },
  },
  ttl: {
    AccessToken: accessTokenSeconds,
    ClientCredentials: accessTokenSeconds,
    AuthorizationCode: 60,
    DeviceCode: 600,
    Grant: 86400,
    IdToken: 3600,
    Interaction: 600,
    RefreshToken: 86400,
    Session: 86400,
  },
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  async findAccount(_ctx, login) {
    const claims = { sub: `id-of-${login}`, email: address(login), email_verified: true, name: login };
    return { accountId: login, claims: async () => claims };
  },
};

// The pages of the device flow: what stands in the forms is the provider's.
async function input(ctx, form, _out, error) {
  ctx.body = `<title>Which device?</title><p>${error ? error.name : ''}</p>${form}<button form="op.deviceInputForm">Go`;
}
async function confirm(ctx, form) {
  ctx.body = `<title>This device?</title>${form}<button form="op.deviceConfirmForm">Yes</button>`;
}
async function success(ctx) {
  ctx.body = '<title>Device connected</title>';
}

const server = createServer();
await new Promise((resolve, reject) => {
  server.once('error', reject);
  server.listen(Number(env.PORT ?? 0), '127.0.0.1', resolve);
});
const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(issuer, configuration);

// What is asked for by name only; the objects of these events hold tokens.
const happened = [];
const note = (event, ctx, error) => {
  const oidc = ctx?.oidc;
  happened.push({
    event,
    route: oidc?.route,
    client: oidc?.client?.clientId ?? oidc?.params?.client_id,
    grant_type: oidc?.params?.grant_type,
    // How the client showed itself, and whether it sent what only a code may come with.
    basic: ctx?.headers?.authorization?.startsWith('Basic ') ?? false,
    verifier: Boolean(oidc?.params?.code_verifier),
    challenge: oidc?.params?.code_challenge_method,
    error: error?.error,
    detail: error?.error_detail ?? error?.error_description,
  });
};
for (const event of ['authorization.success', 'grant.success', 'grant.revoked']) {
  provider.on(event, (ctx) => note(event, ctx));
}
for (const what of ['authorization', 'device_authorization', 'grant', 'introspection', 'revocation', 'userinfo']) {
  provider.on(`${what}.error`, (ctx, error) => note(`${what}.error`, ctx, error));
}
provider.on('server_error', (ctx, error) => {
  note('server_error', ctx, error);
  console.error(error);
});
for (const event of ['saved', 'consumed', 'destroyed']) {
  const name = `refresh_token.${event}`;
  provider.on(name, (token) => happened.push({ event: name, client: token.clientId }));
}

async function formOf(request) {
  let text = '';
  for await (const chunk of request) {
    text += chunk;
    if (text.length > 10_000) throw new Error('too much');
  }
  return new URLSearchParams(text);
}

// Logs in and consents in one step: everything that was asked for is granted.
async function decide(ctx) {
  const interaction = await provider.interactionDetails(ctx.req, ctx.res);
  const form = await formOf(ctx.req);
  const accountId = form.get('login');
  if (form.get('decision') !== 'approve' || !accountId) {
    const result = { error: 'access_denied', error_description: 'the account\'s owner said no' };
    return provider.interactionResult(ctx.req, ctx.res, result);
  }
  const { client_id: clientId, scope } = interaction.params;
  const grant = new provider.Grant({ accountId, clientId });
  grant.addOIDCScope(scope ?? 'openid');
  const consent = { grantId: await grant.save() };
  return provider.interactionResult(ctx.req, ctx.res, { login: { accountId }, consent });
}

provider.use(async (ctx, next) => {
  if (ctx.path === '/events') {
    ctx.body = happened;
  } else if (ctx.path.startsWith('/interaction/')) {
    try {
      if (ctx.method === 'POST') {
        ctx.status = 303;
        ctx.redirect(await decide(ctx));
      } else {
        const { params, prompt } = await provider.interactionDetails(ctx.req, ctx.res);
        ctx.type = 'html';
        ctx.body = `<title>${prompt.name}</title><form method="post"><input name="login"><input name="decision"></form>`
          + `<p>${params.client_id} asks for ${params.scope}`;
      }
    } catch (error) {
      if (!(error instanceof errors.SessionNotFound)) throw error;
      ctx.status = 404;
    }
  } else {
    await next();
  }
});

server.on('request', provider.callback());
process.stdin.on('end', () => process.exit(0)).resume();
console.log(JSON.stringify({ issuer }));
