/** `1.54.1` as numbers; pre-release and build parts are dropped. */
export type Version = readonly [major: number, minor: number, patch: number];

export function parseVersion(text: string): Version | undefined {
  const match = /^(\d+)\.(\d+)\.(\d+)/.exec(text);
  return match ? [Number(match[1]), Number(match[2]), Number(match[3])] : undefined;
}

export function compareVersions(a: Version, b: Version): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
}

/** Cargo's compatible line: `1` for 1.x, `0.14` for 0.14.x. */
export function lineOf([major, minor]: Version): string {
  return major > 0 ? `${major}` : `0.${minor}`;
}

/** How far apart two versions of one line are: a minor release weighs as a thousand patches. */
export function distance(a: Version, b: Version): number {
  return Math.abs((a[0] - b[0]) * 1e6 + (a[1] - b[1]) * 1e3 + a[2] - b[2]);
}
