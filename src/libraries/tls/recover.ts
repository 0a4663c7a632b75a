import { describe } from '../../recover/describe.ts';
import type { Recogniser } from '../../recover/recogniser.ts';

/** Code of one side of rustls: its panic locations are in files that only that side has. */
export const rustlsSide =
  (side: 'server' | 'client'): Recogniser =>
  (program) => {
    const [one] = program.functionsOf('rustls', new RegExp(`^src/${side}/(?:hs|tls12|tls13)\\.rs$`));
    if (!one) return { reason: `no panic location of rustls' ${side} was found` };
    const name = `rustls::${side}: ${describe(program, one)}`;
    return { found: [{ ...one, name, evidence: `panic locations of rustls' src/${side}` }] };
  };

/** Code that calls a function of the OpenSSL that the program is linked with at run time. */
export const openssl =
  (functions: readonly string[]): Recogniser =>
  (program) => {
    const found = functions.flatMap((name) =>
      program
        .importersOf(name)
        .slice(0, 1)
        .map((at) => ({ name, at })),
    );
    const [first] = found;
    if (!first) return { reason: `${functions.join(', ')} are not called in another object` };
    const evidence = `calls ${first.name}`;
    return { found: [{ ...first.at.function, name: `openssl: ${evidence}`, evidence }] };
  };
