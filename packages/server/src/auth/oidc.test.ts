import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { Provider } from 'oidc-provider';
import { nodeEnv } from '../env.ts';
import { createAuthenticator } from './authenticator.ts';
import { createPairSigner } from './testing/signers.ts';

const AUDIENCE = 'urn:tideway:chat';
const client = { client_id: 'billing', client_secret: 'a client secret' } as const;

/** A real OpenID provider that issues JWT access tokens for one back end. */
async function startProvider(t: TestContext) {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const signer = createPairSigner('ES256', 'provider-1');
  const jwk = {
    ...createPrivateKey(signer.privatePem).export({ format: 'jwk' }),
    kid: signer.kid,
    alg: 'ES256',
    use: 'sig',
  };
  // It says on the console that it does not know this Node, and that its defaults are for development.
  const said = t.mock.method(console, 'warn', () => {});
  const info = t.mock.method(console, 'info', () => {});
  const provider = new Provider(issuer, {
    jwks: { keys: [jwk] },
    clients: [
      {
        ...client,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
        id_token_signed_response_alg: 'ES256',
      },
    ],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({
          scope: 'append',
          audience: AUDIENCE,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  });
  said.mock.restore();
  info.mock.restore();
  server.on('request', provider.callback());
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return issuer;
}

async function fetchToken(issuer: string): Promise<string> {
  const answer = await fetch(`${issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`${client.client_id}:${encodeURIComponent(client.client_secret)}`)}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', resource: AUDIENCE, scope: 'append' }),
  });
  const body = (await answer.json()) as { access_token?: string };
  assert.equal(answer.status, 200, JSON.stringify(body));
  return body.access_token as string;
}

test('an access token of a real OpenID provider is verified by issuer, audience, typ and the keys of its discovery', async (t) => {
  const issuer = await startProvider(t);
  const discovery = (await (await fetch(`${issuer}/.well-known/openid-configuration`)).json()) as { jwks_uri: string };
  const jwt = { jwks: discovery.jwks_uri, issuer, audience: AUDIENCE, type: 'at+jwt' };
  const token = await fetchToken(issuer);
  const { authenticate } = await createAuthenticator({ auth: { jwt }, env: nodeEnv });
  const identity = await authenticate({ headers: { authorization: `Bearer ${token}` } });
  assert.equal(identity.user, 'billing');
  assert.ok((identity.expiresAtMs as number) > Date.now());

  const elsewhere = await createAuthenticator({
    auth: { jwt: { ...jwt, audience: 'urn:tideway:mail' } },
    env: nodeEnv,
  });
  await assert.rejects(elsewhere.authenticate({ token, headers: {} }), /"aud" is not what this server expects/);
  const stranger = await createAuthenticator({ auth: { jwt: { ...jwt, issuer: 'https://id.example' } }, env: nodeEnv });
  await assert.rejects(stranger.authenticate({ token, headers: {} }), /"iss" is not what this server expects/);
});
