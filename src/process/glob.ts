const SPECIAL = /[\\*?[]/;

/** Whether a pattern is more than a plain path. */
export function isGlob(pattern: string): boolean {
  return SPECIAL.test(pattern);
}

/** Makes a plain path match only itself. */
export function escapeGlob(path: string): string {
  return path.replaceAll(/[\\*?[]/g, '\\$&');
}

// `*` and `?` stay inside one folder, `**` crosses folders (a segment of its own matches none as well),
// `[a-z]`, `[!a]` and `[^a]` are one character other than `/`, `\` takes the next character as it is.
// A `[` without `]` is itself. The pattern matches whole paths.
export function compileGlob(pattern: string): (path: string) => boolean {
  const expression = new RegExp(`^${translate(pattern)}$`, 's');
  return (path) => expression.test(path);
}

function translate(pattern: string): string {
  let out = '';
  let at = 0;
  while (at < pattern.length) {
    const [piece, length] = translateAt(pattern, at);
    if (piece !== ANY_FOLDERS || !out.endsWith(ANY_FOLDERS)) out += piece; // repeats would cost exponential time
    at += length;
  }
  return out;
}

const ANY_FOLDERS = '(?:.*/)?';

/** The regular expression for what starts at `at`, and how many characters that is. */
function translateAt(pattern: string, at: number): [string, number] {
  const rest = pattern.slice(at);
  const stars = /^\*+/.exec(rest)?.[0].length ?? 0;
  const startsSegment = at === 0 || pattern[at - 1] === '/';
  if (stars > 1 && startsSegment && rest[stars] === '/') return [ANY_FOLDERS, stars + 1];
  if (stars > 1) return ['.*', stars];
  if (stars === 1) return ['[^/]*', 1];
  if (rest.startsWith('?')) return ['[^/]', 1];
  const set = /^\[([!^]?)(\]?[^\]]*)\]/s.exec(rest);
  if (set?.[2]) return [characterSet(set[1] !== '', set[2]), set[0].length];
  if (rest.startsWith('\\') && rest.length > 1) return [escapeExpression(rest.charAt(1)), 2];
  return [escapeExpression(rest.charAt(0)), 1];
}

function characterSet(negated: boolean, members: string): string {
  const ranges: string[] = [];
  for (let at = 0; at < members.length; at++) {
    const first = members.charAt(at);
    const last = members[at + 1] === '-' && at + 2 < members.length ? members.charAt(at + 2) : first;
    if (last !== first) at += 2;
    if (first <= last) ranges.push(`${escapeInSet(first)}-${escapeInSet(last)}`);
  }
  return `(?!/)[${negated ? '^' : ''}${ranges.join('')}]`;
}

const escapeInSet = (character: string) => character.replace(/[\\\]^-]/, '\\$&');
const escapeExpression = (character: string) => character.replace(/[\\^$.*+?()[\]{}|/]/, '\\$&');
