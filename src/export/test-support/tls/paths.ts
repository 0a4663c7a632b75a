import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The PEM files beside the source, found from the compiled test too. Made by make.sh. */
export function tlsFile(name: `${'ca' | 'server' | 'client'}.pem` | `${'server' | 'client'}.key`): string {
  const here = fileURLToPath(new URL(name, import.meta.url));
  return existsSync(here) ? here : here.replace('/dist/src/', '/src/');
}
