/**
 * How axum marks what is below a nested service: `/{*__private__axum_nest_tail_param}`, before 0.8 without
 * braces (axum/src/routing/mod.rs, NEST_TAIL_PARAM). A template that ends so is no route of its own.
 */
const NEST_TAIL = /\/\{?\*__private__axum_nest_tail_param\}?$/;
const FALLBACK = '__private__axum_fallback';

/**
 * `http.route` of a request from the templates of the routers it has passed, outermost first: joined as axum's
 * MatchedPath joins them. undefined when it matched no route.
 */
export function joinRoutes(templates: readonly string[]): string | undefined {
  let matched = '';
  for (const template of templates) matched = matched.replace(NEST_TAIL, '') + template;
  if (!matched.startsWith('/') || NEST_TAIL.test(matched) || matched.includes(FALLBACK)) return undefined;
  return matched;
}
