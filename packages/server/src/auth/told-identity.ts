/** An identity as another node tells it: read anew, because what comes over a broker may be anything. */
import { parseAllow } from './allow.ts';
import { type Allow, type Identity, isRoles, isUser } from './identity.ts';

/** The identity; `undefined` for what is none. */
export function parseToldIdentity(told: unknown): Identity | undefined {
  if (typeof told !== 'object' || told === null) return undefined;
  const { kind, user, roles, allow, expiresAtMs, keyName, development } = told as Readonly<Record<string, unknown>>;
  if (kind !== 'anonymous' && kind !== 'user' && kind !== 'key') return undefined;
  if (!isRoles(roles) || (user !== undefined && !isUser(user))) return undefined;
  if (expiresAtMs !== undefined && typeof expiresAtMs !== 'number') return undefined;
  if (keyName !== undefined && typeof keyName !== 'string') return undefined;
  let allowed: Allow | undefined;
  try {
    allowed = allow === undefined ? undefined : parseAllow(allow);
  } catch {
    // What it would have taken away must not come back.
    return undefined;
  }
  return {
    kind,
    roles,
    ...(user !== undefined && { user }),
    ...(allowed !== undefined && { allow: allowed }),
    ...(expiresAtMs !== undefined && { expiresAtMs }),
    ...(keyName !== undefined && { keyName }),
    ...(development === true && { development }),
  };
}
