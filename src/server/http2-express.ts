/** Express over HTTP/1.1 and HTTP/2: it knows the former only, and gives every request the prototype of one of those. */
import type { RequestListener } from 'node:http';
import type { Express } from 'express';
import express from 'express';
import { Http2Request, Http2Response } from './http2-server.ts';

/** The routes of the app for requests of either version. Its settings are as they are now. */
export function overBothVersions(app: Express): RequestListener {
  const second = express();
  for (const [name, value] of Object.entries(app.settings as Readonly<Record<string, unknown>>)) {
    second.set(name, value);
  }
  const own = { app: { value: second } };
  second.request = Object.create(Http2Request.prototype, {
    ...Object.getOwnPropertyDescriptors(express.request),
    ...own,
  }) as typeof second.request;
  second.response = Object.create(Http2Response.prototype, {
    ...Object.getOwnPropertyDescriptors(express.response),
    ...own,
  }) as typeof second.response;
  second.use(app.router);
  return (request, response) => void (request.httpVersionMajor === 2 ? second : app)(request, response);
}
