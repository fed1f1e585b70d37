/** Tells requests that a browser sends for a page of somebody else. */
import type { Request } from 'express';

/** True if a page of another site asks, or may: what such a request does is not what the user wants. */
export function isOfAnotherSite(request: Request): boolean {
  const origin = request.get('Origin');
  const site = request.get('Sec-Fetch-Site');
  const foreign = origin !== undefined && origin !== `${request.protocol}://${request.get('Host') ?? ''}`;
  return foreign || (site !== undefined && site !== 'none' && site !== 'same-origin');
}
