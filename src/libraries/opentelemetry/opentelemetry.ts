import type { RecognisedLibrary } from '../../plan/plan.ts';
import type { Library } from '../library.ts';

/** The crate with which a program sends its own spans. Metrics and logs need it too: only the exporter of spans counts. */
export const OTLP_CRATE = 'opentelemetry-otlp';

/** A program that instruments itself. Nothing is probed for it. */
export const openTelemetry: Library = {
  name: OTLP_CRATE,
  queries: [
    {
      id: 'opentelemetry.otlp.span_exporter',
      kind: 'function',
      contains: ['opentelemetry_otlp', 'SpanExporter'],
      pattern: /^<?opentelemetry_otlp::\S*SpanExporter/,
    },
  ],
  hooks: [],
};

/** How the program exports spans of its own, when it does. */
export function ownExporter(libraries: readonly RecognisedLibrary[]): RecognisedLibrary | undefined {
  return libraries.find(({ name }) => name === OTLP_CRATE);
}
