import {
  type Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
} from '@grpc/grpc-js';

export interface ReceivedCall {
  readonly metadata: Metadata;
  readonly body: Buffer;
}

export type GrpcAnswer = (callback: sendUnaryData<Buffer>, callNumber: number) => void;

export interface GrpcSink extends Disposable {
  readonly port: number;
  readonly calls: ReceivedCall[];
}

const bytes = (value: Buffer) => value;
const SERVICE: ServiceDefinition = {
  Export: {
    path: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
    requestStream: false,
    responseStream: false,
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  },
};

/** A gRPC collector that keeps what it gets. `answer` sees the calls numbered from 0. */
export async function startGrpcSink(
  answer: GrpcAnswer = (callback) => callback(null, Buffer.alloc(0)),
  credentials = ServerCredentials.createInsecure(),
  port = 0,
): Promise<GrpcSink> {
  const calls: ReceivedCall[] = [];
  const server = new Server();
  server.addService(SERVICE, {
    Export: (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => {
      calls.push({ metadata: call.metadata, body: call.request });
      answer(callback, calls.length - 1);
    },
  });
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, credentials, (error, assigned) =>
      error ? reject(error) : resolve(assigned),
    );
  });
  return { port: bound, calls, [Symbol.dispose]: () => server.forceShutdown() };
}
