import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileOffset, svma } from '../../src/base/address.ts';
import type { Plan, ProbeSite } from '../../src/plan/plan.ts';
import { scoreSites } from './score.ts';
import type { TrueCode, Truth } from './truth.ts';

const site = (hook: string, at: number, parts: Partial<ProbeSite> = {}): ProbeSite => ({
  hook,
  program: 'hyper_server_parse',
  svma: svma(at),
  fileOffset: fileOffset(at),
  functionName: 'f',
  functionOffset: 0,
  instruction: 'push rbp',
  cost: 'emulated',
  evidence: '.symtab symbol, 40 bytes',
  ...parts,
});

const planOf = (...probes: readonly ProbeSite[]): Plan => ({
  formatVersion: 1,
  binary: { buildId: undefined, fileSize: 1, rustcVersion: undefined, rustcCommit: undefined },
  libraries: [],
  sources: [],
  probes,
  injection: { sites: [] },
  layout: undefined,
  clientLayout: undefined,
  streamLayout: undefined,
  layoutEvidence: {},
  taskSlot: undefined,
  routeTable: undefined,
  missing: [],
});

const code = (start: number, end: number, inlinedInto?: string): TrueCode => ({
  name: 'f',
  ranges: [{ start, end }],
  inlinedInto,
});

const PARSE = 'hyper.server.parse';

function score(hook: string, truth: Truth, sites: readonly ProbeSite[], named: readonly ProbeSite[] = []) {
  const standard = { truth, named: planOf(...named), isBoundary: (at: number) => at % 2 === 0 };
  const found = scoreSites(planOf(...sites), standard).find((one) => one.hook === hook);
  assert.ok(found);
  const { right, places, missed, wrong } = found;
  return {
    right,
    places,
    missed: missed.length,
    wrong: wrong.map((text) => text.split(': ').slice(1).join(': ')),
  };
}

test('a site at the entry of its function, and one in a copy of it, are right', () => {
  const truth = new Map([[PARSE, [code(100, 200), code(300, 400, 'host')]]]);
  const sites = [site(PARSE, 100), site(PARSE, 310, { functionOffset: 10 })];
  assert.deepEqual(score(PARSE, truth, sites), { right: 2, places: 2, missed: 0, wrong: [] });
});

test('places without a site are missed, a copy in a copy is no place of its own', () => {
  const truth = new Map([[PARSE, [code(100, 200), code(300, 400, 'host'), code(320, 330, 'host')]]]);
  assert.deepEqual(score(PARSE, truth, [site(PARSE, 100)]), { right: 1, places: 2, missed: 1, wrong: [] });
  assert.deepEqual(score(PARSE, truth, []), { right: 0, places: 2, missed: 2, wrong: [] });
});

test('a site elsewhere, off a boundary, or at an entry that is none is wrong', () => {
  const truth = new Map([[PARSE, [code(100, 200), code(300, 400, 'host')]]]);
  const sites = [site(PARSE, 250), site(PARSE, 101), site(PARSE, 300), site(PARSE, 102)];
  assert.deepEqual(score(PARSE, truth, sites), {
    right: 0,
    places: 2,
    missed: 2,
    wrong: [
      'not in the code of its function',
      'not an instruction of the function around it',
      'taken for the entry of its function, which it is not',
      'taken for the entry of its function, which it is not',
    ],
  });
});

test('where names lead to the same site its operands must be theirs', () => {
  const truth = new Map([[PARSE, [code(100, 200)]]]);
  const named = [site(PARSE, 100, { register: 3 })];
  assert.equal(score(PARSE, truth, [site(PARSE, 100, { register: 3 })], named).right, 1);
  assert.deepEqual(score(PARSE, truth, [site(PARSE, 100, { register: 5 })], named).wrong, [
    'other operands than by names: hyper_server_parse, register 5, offset none, not hyper_server_parse, register 3, offset none',
  ]);
});

test('of alternatives the one that is covered counts', () => {
  const truth = new Map([
    ['hyper.client.domain', [code(100, 200, 'host')]],
    ['hyper.client.call', [code(90, 300), code(500, 600)]],
  ]);
  const hook = 'hyper.client.call';
  assert.deepEqual(score(hook, truth, [site(hook, 110, { functionOffset: 20 })]), {
    right: 1,
    places: 1,
    missed: 0,
    wrong: [],
  });
});

test('a hook that nobody has a truth for is wrong', () => {
  assert.deepEqual(score('new.hook', new Map(), [site('new.hook', 100)]).wrong, [
    'nobody has said yet where such sites belong',
  ]);
});
