/** Where things are in one run of the bench. */
export interface Places {
  /** bin/otel-rust-agent */
  readonly agent: string;
  /** Folder of the fixtures' executables. */
  readonly fixtures: string;
  /** Folder of the executables of bench/targets. */
  readonly programs: string;
  /** bench-server with line tables: a file of more than 10 MB. */
  readonly debugServer: string;
  readonly sinkPort: number;
  /** The CPU of the agent, or a list of them. */
  readonly agentCpu: number | string;
  /** XDG_CACHE_HOME of the agents. */
  readonly cache: string;
}

/** The CPU of the servers, and that of the load, the collector and the bench. */
export const SERVER_CPU = 0;
export const OTHER_CPU = 1;
