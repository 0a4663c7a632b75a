import type { BinaryFacts } from '../../analysis/facts.ts';
import type { RouteTableLayout } from '../../plan/plan.ts';
import { type LayoutRow, lookUp } from '../layout-table.ts';
import { cratesNamed, type Found, type Library } from '../library.ts';
import { measured } from '../measured.ts';
import layouts from './layouts.json' with { type: 'json' };
import { matchedPath } from './recover.ts';

/**
 * The route template of axum 0.6 to 0.8.
 *
 *     fn set_matched_path_for_request(id: RouteId edi, routes: &HashMap<RouteId, Arc<str>> rsi, &mut Extensions rdx)
 *
 * Nested routers call it once a level.
 */
export const axum: Library = {
  name: 'axum',
  queries: [
    {
      id: 'axum.set_matched_path',
      kind: 'function',
      contains: ['axum', 'set_matched_path_for_request'],
      pattern: /^axum::extract::matched_path::set_matched_path_for_request$/,
      recovery: { kind: 'functions', find: matchedPath },
      inlinedBeside: ['axum.router'],
    },
    {
      id: 'axum.router',
      kind: 'function',
      contains: ['axum', 'routing', 'call_with_state'],
      pattern: /^<?axum::routing::.*::call_with_state$/,
    },
  ],
  hooks: [
    {
      name: 'axum.set_matched_path',
      program: 'axum_set_matched_path',
      query: 'axum.set_matched_path',
      arguments: ['rdi', 'rsi'],
      gives: 'http.route',
    },
  ],
};

type AxumRow = LayoutRow & Omit<RouteTableLayout, 'evidence'>;

export function routeTable(facts: BinaryFacts): Found<Omit<RouteTableLayout, 'evidence'>> {
  const rows: readonly AxumRow[] = layouts.rows;
  const versions = cratesNamed(facts, 'axum').flatMap(({ version }) => version ?? []);
  const version = versions.length === 1 ? versions[0] : undefined;
  const pick = ({ version: _, rustc: __, features: ___, ...layout }: AxumRow) => layout;
  return lookUp({
    library: 'axum',
    version,
    rustc: facts.rustc?.version,
    rows,
    pick,
    measured: measured(facts, 'axum'),
  });
}
