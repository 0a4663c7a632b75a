import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { fileOffset } from '../base/address.ts';
import { findSection, parseElf } from '../elf/elf.ts';
import { bytesSource } from '../elf/source.ts';
import { missingPrivilege } from './capabilities.ts';
import { probeMultiLink, probePerfUprobe } from './features.ts';
import type { KernelOptions, UprobeSite } from './kernel.ts';
import { kernelIsAtLeast } from './kernel-version.ts';
import { AttributeBlock, SYS, syscall } from './libc.ts';

/** Tests run compiled, in dist/src/kernel. */
const TESTDATA = join(import.meta.dirname, '../../../src/kernel/testdata');

export const readTestData = (name: string): Buffer => readFileSync(join(TESTDATA, name));
export const testObject = (): Buffer => readTestData('loader.bpf.o');

export const kernelOptions = (
  programs: readonly string[],
  more: Partial<KernelOptions> = {},
): KernelOptions => ({
  object: testObject(),
  ringSize: 1 << 16,
  constants: {},
  programs,
  ...more,
});

/**
 * True when the test can run. Skips, naming what is missing, where privileges lack or the kernel is older than
 * `since`; fails where this kernel should have the feature.
 */
export function needs(t: TestContext, feature: string, since: string, available: boolean): boolean {
  const privilege = missingPrivilege();
  if (privilege !== undefined) t.skip(`privileges: ${privilege}`);
  else if (available) return true;
  else if (kernelIsAtLeast(since)) assert.fail(`${feature} is missing, kernels from ${since} on have it`);
  else t.skip(`${feature}: kernels from ${since} on have it`);
  return false;
}

/** Either way of attaching uprobes will do. */
export const needsUprobes = (t: TestContext): boolean =>
  needs(t, 'uprobes with cookies', '5.15', probeMultiLink().ok || probePerfUprobe().ok);

/** The running target program: each byte written to it calls its functions `first` and `second`. */
export interface Target extends AsyncDisposable {
  readonly path: string;
  readonly pid: number;
  readonly first: UprobeSite;
  readonly second: UprobeSite;
  /** Resolves when the calls for all bytes are over. */
  call(bytes: Uint8Array): Promise<void>;
}

export async function startTarget(): Promise<Target> {
  const directory = mkdtempSync(join(tmpdir(), 'kernel-test-'));
  const path = join(directory, 'target');
  const program = gunzipSync(readTestData('target.gz'));
  writeFileSync(path, program);
  chmodSync(path, 0o755);
  const child = spawn(path, { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(child, 'spawn');
  return {
    path,
    pid: child.pid ?? 0,
    first: { offset: sectionOffset(program, '.first'), cookie: 0x1_0000_0001n },
    second: { offset: sectionOffset(program, '.second'), cookie: 2n },
    call: (bytes) => exchange(child, bytes),
    async [Symbol.asyncDispose]() {
      const exited = once(child, 'exit');
      child.stdin?.end();
      await exited;
      rmSync(directory, { recursive: true });
    },
  };
}

function sectionOffset(program: Buffer, name: string): UprobeSite['offset'] {
  const section = findSection(parseElf(bytesSource(program), 'target'), name);
  if (!section) throw new Error(`Cannot find ${name} in the target program`);
  return fileOffset(section.offset);
}

async function exchange(child: ChildProcess, bytes: Uint8Array): Promise<void> {
  if (!child.stdin || !child.stdout) throw new Error('Cannot talk to the target: no pipes');
  child.stdin.write(bytes);
  let answered = 0;
  while (answered < bytes.length) {
    const [chunk] = (await once(child.stdout, 'data')) as [Buffer];
    answered += chunk.length;
  }
}

/** Kernel objects that this process holds: `anon_inode:bpf-map`, `…bpf-prog`, `…bpf_link`, `…[perf_event]`, `…btf`. */
export function heldDescriptors(): string[] {
  const names = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return ''; // the descriptor of the listing itself
    }
  });
  return names.filter((name) => /^anon_inode:.*(bpf|btf|perf_event)/.test(name)).sort();
}

/** Ids of programs (`prog_id`), links (`link_id`) or maps (`map_id`) that this process holds. */
export function heldIds(kind: 'prog_id' | 'link_id' | 'map_id'): number[] {
  const ids = readdirSync('/proc/self/fdinfo').flatMap((fd) => {
    try {
      const info = readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1');
      return [...info.matchAll(new RegExp(`^${kind}:\\s*(\\d+)$`, 'gm'))].map((match) => Number(match[1]));
    } catch {
      return [];
    }
  });
  return [...new Set(ids)];
}

/** BPF_PROG_GET_NEXT_ID, BPF_MAP_GET_NEXT_ID, BPF_LINK_GET_NEXT_ID. */
const GET_NEXT_ID = { prog_id: 11, map_id: 12, link_id: 31 } as const;

/**
 * Ids that the kernel still knows, whoever holds them: an id lives when it is the next one after its
 * predecessor. Opening the object by id instead would take a reference, and a PROG_ARRAY whose last user goes
 * twice before the kernel's clean-up ran keeps one for ever (seen on 6.18).
 */
export function aliveIds(kind: keyof typeof GET_NEXT_ID, ids: readonly number[]): number[] {
  return ids.filter((id) => {
    const block = new AttributeBlock(16).u32(0, id - 1);
    const error = block.pass((address) => syscall(SYS.bpf, BigInt(GET_NEXT_ID[kind]), address, 16n));
    return error === 0 && block.bytes.readUInt32LE(4) === id;
  });
}
