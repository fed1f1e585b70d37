/**
 * A folder with certificates and, written into it, web configurations that name them: `<server.crt>` in a text stands for
 * what is in that file.
 */
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Identity } from './certificates.ts';
import { makeCertificate } from './certificates.ts';

const SECRET_MODE = 0o600;

export class WebConfigFolder {
  readonly path = mkdtempSync(join(tmpdir(), 'rras-exporter-web-'));
  readonly serverCa = makeCertificate({ name: 'server CA', isCa: true });
  readonly server = this.serverIdentity();
  readonly clientCa = makeCertificate({ name: 'client CA', isCa: true });

  constructor() {
    this.writeServer(this.server);
    this.write('client-ca.crt', this.clientCa.cert);
  }

  /** With the files that bad configurations name. */
  static withBadFiles(): WebConfigFolder {
    const folder = new WebConfigFolder();
    folder.write('other.key', folder.clientCa.key);
    folder.write('private/server.crt', folder.server.cert);
    folder.write('open.key', folder.server.key, 0o644);
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const passphrase = 'secret';
    const locked = privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase });
    folder.write('locked.key', locked.toString());
    return folder;
  }

  /** A certificate that clients of `serverCa` accept for this machine. */
  serverIdentity(keyType: 'ec' | 'rsa' = 'ec'): Identity {
    const sans = ['DNS:localhost', 'IP:127.0.0.1'];
    return makeCertificate({ name: 'server', issuer: this.serverCa, sans, usage: 'server', keyType });
  }

  client(...sans: readonly string[]): Identity {
    return makeCertificate({ name: 'client', issuer: this.clientCa, sans, usage: 'client' });
  }

  writeServer(server: Identity): void {
    this.write('server.crt', server.cert);
    this.write('server.key', server.key);
  }

  /** Returns the path. */
  write(name: string, text: string, mode = SECRET_MODE): string {
    const path = join(this.path, name);
    mkdirSync(join(path, '..'), { recursive: true });
    const full = text.replace(/<([\w.-]+\.(?:crt|key))>/g, (_, file: string) =>
      JSON.stringify(readFileSync(join(this.path, file), 'utf8')),
    );
    writeFileSync(path, full, { mode });
    // Whatever the umask and the file before it were.
    chmodSync(path, mode);
    return path;
  }

  remove(): void {
    rmSync(this.path, { recursive: true });
  }
}
