/**
 * Functions of a Rust source file with the lines of their bodies, in the order of the file. Names are
 * `function`, `Type::function`, `<Type as Trait>::function`, `outer::inner`; what is only for tests is left out.
 * Reads items, not expressions: enough for sources that compile.
 */
export function functionsOf(source) {
  const found = [];
  const scopes = [];
  let pending;
  let depth = 0;
  for (const { text, line } of tokens(source)) {
    if (text === '(' && pending?.kind === 'fn' && pending.name === undefined) pending = undefined; // a type
    if (text === '(' || text === '[') depth += 1;
    else if (text === ')' || text === ']') depth -= 1;
    else if (text === ';' && depth === 0) pending = undefined;
    else if (text === '{') {
      scopes.push(depth === 0 || pending === undefined ? { ...pending, depth } : { depth });
      if (depth === 0) pending = undefined;
      depth = 0;
    } else if (text === '}') {
      const scope = scopes.pop() ?? { depth: 0 };
      depth = scope.depth;
      if (scope.kind === 'fn' && !isTest([...scopes, scope]))
        found.push({ name: pathOf(scopes, scope), first: scope.line, last: line });
    } else if (pending === undefined) pending = itemAt(text, line);
    else if (pending.kind !== 'fn' || pending.name === undefined) pending = extended(pending, text, depth);
  }
  return found.sort((a, b) => a.first - b.first || b.last - a.last);
}

function itemAt(text, line) {
  if (text === 'fn') return { kind: 'fn', line };
  if (text === 'impl') return { kind: 'impl', line, words: [] };
  return text === 'mod' || text === 'trait' ? { kind: text, line } : undefined;
}

/** A name, or one more word of an impl's header. */
function extended(item, text, depth) {
  if (item.kind === 'impl') return { ...item, words: [...item.words, text] };
  if (item.name !== undefined) return item;
  return /^\w+$/.test(text) && depth >= 0 ? { ...item, name: text } : undefined;
}

const isTest = (scopes) =>
  scopes.some(({ kind, name }) => kind === 'mod' && /^tests?$|^fuzz/.test(name ?? ''));

function pathOf(scopes, { name }) {
  const around = scopes.flatMap((scope) => {
    if (scope.kind === 'impl') return implName(scope.words);
    return scope.kind === 'fn' || scope.kind === 'mod' || scope.kind === 'trait' ? [scope.name] : [];
  });
  return [...around, name].join('::');
}

/** `impl<T> Trait<T> for Type<T> where …` is `<Type as Trait>`. */
function implName(words) {
  const plain = withoutGenerics(
    words.slice(0, words.indexOf('where') < 0 ? words.length : words.indexOf('where')),
  );
  const at = plain.indexOf('for');
  const last = (path) =>
    path.filter((word) => /^\w+$/.test(word) && word !== 'dyn' && word !== 'mut').at(-1) ?? '_';
  return at < 0 ? last(plain) : `<${last(plain.slice(at + 1))} as ${last(plain.slice(0, at))}>`;
}

function withoutGenerics(words) {
  let depth = 0;
  return words.filter((word) => {
    if (word === '<') depth += 1;
    if (word === '>') depth -= 1;
    return depth === 0 && word !== '>';
  });
}

const TOKEN = new RegExp(
  [
    String.raw`(?<skip>\/\/[^\n]*|\s+|b?"(?:[^"\\]|\\[\s\S])*"|b?'(?:[^'\\\n]|\\(?:[^u\n]|u\{[0-9a-fA-F_]+\}|x..))'|'\w+)`,
    String.raw`(?<raw>b?r(?<hashes>#*)"[\s\S]*?"\k<hashes>)`,
    String.raw`(?<open>\/\*)`,
    '(?<arrow>->|=>|>=|<=)',
    String.raw`(?<word>r#\w+|\w+)`,
    String.raw`(?<mark>[\s\S])`,
  ].join('|'),
  'y',
);

/** Words and marks with their lines; comments, literals and lifetimes are left out. */
function* tokens(source) {
  let line = 1;
  let at = 0;
  while (at < source.length) {
    TOKEN.lastIndex = at;
    const { 0: text, groups } = TOKEN.exec(source);
    const end = groups.open ? endOfComment(source, at) : at + text.length;
    if (groups.word || groups.mark) yield { text, line };
    line += source.slice(at, end).split('\n').length - 1;
    at = end;
  }
}

function endOfComment(source, start) {
  let depth = 0;
  let at = start;
  do {
    if (source.startsWith('/*', at)) depth += 1;
    else if (source.startsWith('*/', at)) depth -= 1;
    at += source.startsWith('/*', at) || source.startsWith('*/', at) ? 2 : 1;
  } while (depth > 0 && at < source.length);
  return at;
}
