/** The scopes that applications can ask for, and what they mean in plain words. */

/** Scopes of the authorization server itself (OpenID Connect Core §5.4, §11). */
export const identityScopes: Readonly<Record<string, string>> = {
  openid: 'Recognise you',
  profile: 'See your name',
  email: 'See your e-mail address',
  offline_access: 'Keep access while you are away',
}

/** Scopes of the API. */
export const apiScopes: Readonly<Record<string, string>> = {
  'read:profile': 'Read your profile',
  'write:profile': 'Change your profile',
  'read:email': 'Read your e-mail settings',
  'read:projects': 'List and view projects',
  'write:projects': 'Create and change projects',
  'delete:projects': 'Delete projects',
  'admin:read': 'See data of the whole organization',
  'admin:write': 'Change settings of the organization',
  'admin:users': 'Manage the people of the organization',
}

/** What a scope means, for the person who is asked to grant it; nothing for one that is not known. */
export function meaning(scope: string): string | undefined {
  return identityScopes[scope] ?? apiScopes[scope]
}
