import { test } from 'node:test';
import type { Tier } from './support/agent.ts';
import { runLoad } from './support/load.ts';
import { Session } from './support/session.ts';
import type { Program } from './support/target.ts';

interface Case {
  readonly program: Program;
  readonly tls: boolean;
  readonly tiers: readonly Tier[];
}

const BOTH: readonly Tier[] = ['socket', 'library'];

const CASES: readonly Case[] = [
  ...(['axum08', 'axum07', 'axum06', 'hyper1', 'hyper014'] as const).flatMap((program) => [
    { program, tls: false, tiers: BOTH },
    { program, tls: true, tiers: ['auto'] as const },
  ]),
  { program: 'actix4', tls: false, tiers: ['auto'] },
  { program: 'stdhttp', tls: false, tiers: ['auto'] },
];

const REQUESTS = 10_000;

for (const { program, tls, tiers } of CASES) {
  const runtimes =
    program === 'stdhttp' || program === 'actix4' ? (['multi'] as const) : (['multi', 'current'] as const);
  for (const runtime of runtimes) {
    for (const tier of tiers) {
      test(`${program}${tls ? ' over TLS' : ''}, ${runtime} runtime, tier ${tier}: one right span a request`, async () => {
        using session = await Session.start({ program, tls, runtime }, { tier });
        await session.assertSpansMatch(await runLoad(session.target, { count: REQUESTS }));
      });
    }
  }
}

for (const { program, tls } of CASES.filter(({ program }) => program !== 'stdhttp' && program !== 'actix4'))
  test(`${program}${tls ? ' over TLS' : ''} without symbols: one right span a request`, async () => {
    using session = await Session.start({ program, tls, profile: 'release-stripped' });
    await session.assertSpansMatch(await runLoad(session.target, { count: REQUESTS }));
  });

/** A handler that panics ends such a program. */
const PANICS = ['panic', 'connect'];

for (const program of ['axum08', 'axum06'] as const)
  for (const tls of [false, true])
    test(`${program}${tls ? ' over TLS' : ''}, fat LTO without symbols: one right span a request`, async () => {
      using session = await Session.start({ program, tls, profile: 'fat-lto-stripped' });
      await session.assertSpansMatch(await runLoad(session.target, { count: REQUESTS, without: PANICS }));
    });

for (const program of ['axum08', 'axum06'] as const)
  test(`${program} built for size, without symbols: one right span a request`, async () => {
    using session = await Session.start({ program, profile: 'opt-s-stripped' });
    await session.assertSpansMatch(await runLoad(session.target, { count: REQUESTS }));
  });
