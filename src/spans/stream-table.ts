import { OpenTable } from './open-table.ts';

/** An HTTP/2 connection, as a process's address of its streams names it. */
export interface StreamConnection {
  /** Number of its place; part of the keys of its streams. */
  readonly place: number;
  readonly pid: number;
  readonly address: number;
  /** Number of the socket below, 0 when unknown. */
  socket: number;
  /** Number of the last stream that began. */
  lastId: number;
  /** Streams that are open. */
  open: number;
  /** When the socket below was closed; 0 while it is open. */
  closedNs: number;
}

/** What the table keeps. */
export interface Placed {
  readonly connection: StreamConnection;
  readonly id: number;
}

/** Above the number of open streams, so that some are without any. About 150 bytes each. */
const MAX_CONNECTIONS = 65_536;
const MAX_ID = 2 ** 31;

/** Open streams by process, connection and number. Connections are remembered while there is room. */
export class StreamTable<Stream extends Placed> {
  readonly #streams = new OpenTable<Stream>();
  readonly #byProcess = new Map<number, Map<number, StreamConnection>>();
  readonly #bySocket = new Map<number, StreamConnection>();
  readonly #free: number[] = [];
  #places = 0;

  get size(): number {
    return this.#streams.size;
  }

  connection(pid: number, address: number): StreamConnection | undefined {
    return this.#byProcess.get(pid)?.get(address);
  }

  ofSocket(socket: number): StreamConnection | undefined {
    return socket === 0 ? undefined : this.#bySocket.get(socket);
  }

  /** The connection known under this address, or a new one. */
  connect(pid: number, address: number): StreamConnection {
    const known = this.connection(pid, address);
    if (known) return known;
    if (this.#places - this.#free.length >= MAX_CONNECTIONS) this.#forgetIdle();
    const place = this.#free.pop() ?? this.#places++;
    const connection = { place, pid, address, socket: 0, lastId: 0, open: 0, closedNs: 0 };
    let ofProcess = this.#byProcess.get(pid);
    if (!ofProcess) {
      ofProcess = new Map();
      this.#byProcess.set(pid, ofProcess);
    }
    ofProcess.set(address, connection);
    return connection;
  }

  /** Remembers the socket that carries a connection. */
  carriedBy(connection: StreamConnection, socket: number): void {
    if (socket === 0 || connection.socket === socket) return;
    this.#leaveSocket(connection);
    connection.socket = socket;
    this.#bySocket.set(socket, connection);
  }

  add(stream: Stream): void {
    stream.connection.open++;
    this.#streams.set(keyOf(stream.connection, stream.id), stream);
  }

  get(pid: number, address: number, id: number): Stream | undefined {
    const connection = this.connection(pid, address);
    return connection && this.#streams.get(keyOf(connection, id));
  }

  take(stream: Stream): void {
    if (this.#streams.take(keyOf(stream.connection, stream.id))) stream.connection.open--;
  }

  /** Open streams with a number above `id`. */
  above(connection: StreamConnection, id: number): Stream[] {
    if (connection.open === 0) return [];
    return this.filter((stream) => stream.connection === connection && stream.id > id);
  }

  filter(which: (stream: Stream) => boolean): Stream[] {
    return this.#streams
      .entries()
      .map(([, stream]) => stream)
      .filter(which);
  }

  /** Of a connection without open streams. */
  forget(connection: StreamConnection): void {
    this.#leaveSocket(connection);
    const ofProcess = this.#byProcess.get(connection.pid);
    if (ofProcess?.get(connection.address) !== connection) return;
    ofProcess.delete(connection.address);
    if (ofProcess.size === 0) this.#byProcess.delete(connection.pid);
    this.#free.push(connection.place);
  }

  forgetProcess(pid: number): void {
    for (const connection of [...(this.#byProcess.get(pid)?.values() ?? [])]) this.forget(connection);
  }

  #leaveSocket(connection: StreamConnection): void {
    if (this.#bySocket.get(connection.socket) === connection) this.#bySocket.delete(connection.socket);
  }

  #forgetIdle(): void {
    const all = [...this.#byProcess.values()].flatMap((ofProcess) => [...ofProcess.values()]);
    for (const connection of all) if (connection.open === 0) this.forget(connection);
  }
}

/** Below 2^47. */
const keyOf = (connection: StreamConnection, id: number) => connection.place * MAX_ID + (id % MAX_ID);
