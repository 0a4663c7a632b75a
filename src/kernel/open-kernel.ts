import { closeSync, existsSync, readFileSync } from 'node:fs';
import { UserError } from '../base/errors.ts';
import type { BpfFunction, BpfObject } from './bpf-object.ts';
import { parseBpfObject } from './bpf-object.ts';
import { type ProgramLoad, tryLoadProgram, tryLoadProgramAside } from './bpf-syscall.ts';
import { Btf } from './btf.ts';
import { loadBtf } from './btf-kernel.ts';
import type { BpfMap, Kernel, KernelOptions, Link } from './kernel.ts';
import { SystemCallError } from './libc.ts';
import {
  attachToSockets,
  detectUprobeMode,
  linkCgroup,
  linkTracepoint,
  linkUprobes,
  type UprobeMode,
} from './links.ts';
import { MAP_TYPE, type MapSpec, readMapSpecs } from './map-spec.ts';
import { createDataMap, createMap, openMap, withConstants } from './maps.ts';
import { assembleProgram } from './program.ts';
import type { RelocationContext } from './relocate.ts';
import { type OwnedRingReader, openRing } from './ring.ts';
import { type ProgramKind, programKind } from './sections.ts';
import { explainVerifierLog } from './verifier-error.ts';

export const KERNEL_BTF = '/sys/kernel/btf/vmlinux';

interface LoadedProgram {
  readonly fd: number;
  readonly kind: ProgramKind;
}

/** Loads the programs of `options` with all maps of the object. On failure nothing is left behind. */
export function openKernel(options: KernelOptions): Kernel {
  return openKernelWith(options, detectUprobeMode());
}

/** As `openKernel`, with the way of attaching uprobes given. */
export function openKernelWith(options: KernelOptions, mode: UprobeMode): Kernel {
  const object = parseBpfObject(options.object, 'the BPF object');
  const kernel = readKernelTypes();
  const fds: number[] = [];
  const own = (fd: number): number => {
    fds.push(fd);
    return fd;
  };
  try {
    const btfFd = own(loadBtf(object.btf));
    const specs = readMapSpecs(object.btf)
      .filter(({ name }) => !options.unusedMaps?.includes(name))
      .map((spec) => sized(spec, options));
    const mapFds = new Map(specs.map((spec) => [spec.name, own(createMap(spec, btfFd))]));
    for (const [name, section] of withConstants(object, options.constants))
      mapFds.set(name, own(createDataMap(section)));
    const programs = new Map<string, LoadedProgram>();
    const loaded: Loaded = { fds, specs, object, mapFds, btfFd, programs, mode };
    for (const name of options.programs) {
      const one = prepareProgram(name, loaded, kernel);
      programs.set(name, { fd: own(loadProgram(one)), kind: one.kind });
    }
    return new LoadedKernel(loaded, kernel);
  } catch (error) {
    for (const fd of fds.toReversed()) closeSync(fd);
    throw error;
  }
}

function readKernelTypes(): Btf {
  if (existsSync(KERNEL_BTF)) return new Btf(readFileSync(KERNEL_BTF), 'the kernel');
  throw new UserError(`Cannot trace on this kernel: ${KERNEL_BTF} is missing (CONFIG_DEBUG_INFO_BTF)`);
}

function sized(spec: MapSpec, options: KernelOptions): MapSpec {
  const override =
    options.mapSizes?.[spec.name] ?? (spec.type === MAP_TYPE.RINGBUF ? options.ringSize : undefined);
  return override === undefined ? spec : { ...spec, maxEntries: override };
}

function findProgram(object: BpfObject, name: string): BpfFunction {
  const entry = object.functions.find(
    (candidate) => candidate.name === name && candidate.section !== '.text',
  );
  if (!entry) throw new Error(`Cannot load program ${name}: the object has no such program`);
  return entry;
}

const LOG_SIZE = 1 << 22;

interface PreparedProgram {
  readonly kind: ProgramKind;
  readonly load: ProgramLoad;
  readonly context: RelocationContext;
}

function prepareProgram(name: string, loaded: Loaded, kernel: Btf): PreparedProgram {
  const { object, mapFds, btfFd, mode } = loaded;
  const entry = findProgram(object, name);
  const kind = programKind(name, entry.section, kernel, mode);
  const context: RelocationContext = { object, kernel, mapFds, poisons: [] };
  const { code, functionInfo, lineInfo } = assembleProgram(entry, context);
  const load: ProgramLoad = {
    name: entry.name,
    type: kind.type,
    expectedAttachType: kind.expectedAttachType,
    attachBtfId: kind.attachBtfId,
    instructions: code,
    license: context.object.license,
    btfFd,
    ...(functionInfo && lineInfo ? { functionInfo, lineInfo } : {}),
  };
  return { kind, load, context };
}

/** Without a log first: a log costs time, and one that is too short hides the error behind ENOSPC. */
function loadProgram({ load, context }: PreparedProgram): number {
  const fd = tryLoadProgram(load);
  if (fd >= 0) return fd;
  const log = Buffer.alloc(LOG_SIZE);
  const again = tryLoadProgram(load, log);
  if (again >= 0) return again;
  const text = log.toString('latin1', 0, Math.max(0, log.indexOf(0)));
  const error = new SystemCallError(`load program ${load.name}`, -fd);
  error.message += `\n${explainVerifierLog(text, context.poisons)}`;
  throw error;
}

interface Loaded {
  /** Closed with the kernel side, the last one first. */
  readonly fds: number[];
  readonly specs: readonly MapSpec[];
  readonly object: BpfObject;
  readonly mapFds: ReadonlyMap<string, number>;
  readonly btfFd: number;
  readonly programs: Map<string, LoadedProgram>;
  readonly mode: UprobeMode;
}

class LoadedKernel implements Kernel {
  readonly ring: OwnedRingReader;
  readonly #loaded: Loaded;
  readonly #links = new Set<Link>();
  /** 6 MB that nobody needs once a program's binaries are attached. */
  #kernelTypes: WeakRef<Btf>;
  readonly #loading = new Map<string, Promise<void>>();
  #open = true;

  constructor(loaded: Loaded, kernel: Btf) {
    this.#loaded = loaded;
    this.#kernelTypes = new WeakRef(kernel);
    const rings = loaded.specs.filter((spec) => spec.type === MAP_TYPE.RINGBUF);
    const [spec] = rings;
    const fd = spec && loaded.mapFds.get(spec.name);
    if (!spec || fd === undefined || rings.length > 1)
      throw new Error(`Cannot open the ring: the object has ${rings.length} ring buffers`);
    this.ring = openRing(fd, spec.maxEntries);
  }

  map(name: string): BpfMap {
    const { specs, mapFds, object } = this.#loaded;
    const fd = mapFds.get(name);
    if (fd === undefined || !this.#open)
      throw new Error(
        `Cannot open map ${name}: ${this.#open ? 'the object has no such map' : 'the kernel side is closed'}`,
      );
    const data = object.data.get(name);
    const spec = specs.find((candidate) => candidate.name === name);
    return openMap(
      spec ?? { name, type: MAP_TYPE.ARRAY, keySize: 4, valueSize: data?.bytes.length ?? 0 },
      fd,
    );
  }

  async load(programs: readonly string[]): Promise<void> {
    const { programs: known } = this.#loaded;
    const missing = programs.filter((name) => !known.has(name) && !this.#loading.has(name));
    for (const name of missing) this.#loading.set(name, this.#loadAside(name));
    const results = await Promise.allSettled(programs.map((name) => this.#loading.get(name)));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  attachTracepoint(program: string): Link {
    return this.#keep(linkTracepoint(program, this.#program(program, 'tracepoint'), this.#forget));
  }

  attachToSockets(program: string, map: string): void {
    const mapFd = this.#loaded.mapFds.get(map);
    if (mapFd === undefined) throw new Error(`Cannot attach ${program}: the object has no map ${map}`);
    attachToSockets(program, this.#program(program, 'sockets'), mapFd);
  }

  attachToCgroup(program: string, folder: string): Link {
    return this.#keep(linkCgroup(program, this.#program(program, 'cgroup'), folder, this.#forget));
  }

  attachUprobes(program: string, path: string, sites: Parameters<Kernel['attachUprobes']>[2]): Link {
    const programFd = this.#program(program, 'uprobe');
    return this.#keep(
      linkUprobes({ program, programFd, path, sites, mode: this.#loaded.mode }, this.#forget),
    );
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    for (const link of [...this.#links]) link[Symbol.dispose]();
    this.ring.close();
    for (const fd of this.#loaded.fds.toReversed()) closeSync(fd);
  }

  async #loadAside(name: string): Promise<void> {
    const prepared = prepareProgram(name, this.#loaded, this.#kernel());
    const aside = await tryLoadProgramAside(prepared.load);
    if (!this.#open) {
      if (aside >= 0) closeSync(aside);
      return;
    }
    const fd = aside >= 0 ? aside : loadProgram(prepared); // once more: the error is told in this thread
    this.#loaded.fds.push(fd);
    this.#loaded.programs.set(name, { fd, kind: prepared.kind });
  }

  #kernel(): Btf {
    const known = this.#kernelTypes.deref();
    if (known) return known;
    const read = readKernelTypes();
    this.#kernelTypes = new WeakRef(read);
    return read;
  }

  #program(name: string, attach: ProgramKind['attach']): number {
    const program = this.#loaded.programs.get(name);
    if (!program || !this.#open)
      throw new Error(
        `Cannot attach ${name}: ${this.#open ? 'it is not loaded' : 'the kernel side is closed'}`,
      );
    if (program.kind.attach !== attach)
      throw new Error(`Cannot attach ${name} as a ${attach}: it is a ${program.kind.attach} program`);
    return program.fd;
  }

  #keep(link: Link): Link {
    this.#links.add(link);
    return link;
  }

  readonly #forget = (link: Link): void => {
    this.#links.delete(link);
  };
}
