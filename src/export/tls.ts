import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { messageOf, UserError } from '../base/errors.ts';
import type { OtlpSettings } from './settings.ts';

export interface TlsFiles {
  readonly ca: Buffer | undefined;
  readonly key: Buffer | undefined;
  readonly cert: Buffer | undefined;
}

/** Reads and checks the PEM files of the settings. Throws `UserError`. */
export function readTlsFiles(settings: OtlpSettings): TlsFiles {
  const files: TlsFiles = {
    ca: read('certificate', settings.certificate),
    key: read('client key', settings.clientKey),
    cert: read('client certificate', settings.clientCertificate),
  };
  if ((files.key === undefined) !== (files.cert === undefined)) {
    const [given, missing] = files.key === undefined ? ['certificate', 'key'] : ['key', 'certificate'];
    throw new UserError(`Cannot use the client ${given} alone: the client ${missing} is not set`);
  }
  check(files);
  return files;
}

function read(what: string, path: string | undefined): Buffer | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path);
  } catch (error) {
    throw new UserError(`Cannot read the ${what} for the collector, ${path}: ${messageOf(error)}`);
  }
}

function check({ ca, key, cert }: TlsFiles): void {
  attempt('certificate', () => ca && new X509Certificate(ca));
  attempt('client certificate', () => cert && new X509Certificate(cert));
  attempt('client key and certificate', () => key && cert && createSecureContext({ key, cert }));
}

function attempt(what: string, use: () => unknown): void {
  try {
    use();
  } catch (error) {
    throw new UserError(`Cannot use the ${what} for the collector: ${messageOf(error)}`);
  }
}
