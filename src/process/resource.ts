import {
  ATTR_CONTAINER_ID,
  ATTR_HOST_ARCH,
  ATTR_HOST_ID,
  ATTR_HOST_NAME,
  ATTR_K8S_CONTAINER_NAME,
  ATTR_K8S_DEPLOYMENT_NAME,
  ATTR_K8S_NAMESPACE_NAME,
  ATTR_K8S_NODE_NAME,
  ATTR_K8S_POD_NAME,
  ATTR_K8S_POD_UID,
  ATTR_OS_TYPE,
  ATTR_PROCESS_COMMAND_ARGS,
  ATTR_PROCESS_EXECUTABLE_NAME,
  ATTR_PROCESS_EXECUTABLE_PATH,
  ATTR_PROCESS_PID,
  ATTR_PROCESS_RUNTIME_NAME,
  ATTR_PROCESS_RUNTIME_VERSION,
  ATTR_SERVICE_INSTANCE_ID,
  ATTR_SERVICE_NAME,
  ATTR_SERVICE_VERSION,
  ATTR_TELEMETRY_DISTRO_NAME,
  ATTR_TELEMETRY_DISTRO_VERSION,
  ATTR_TELEMETRY_SDK_LANGUAGE,
  ATTR_TELEMETRY_SDK_NAME,
  ATTR_TELEMETRY_SDK_VERSION,
  OS_TYPE_VALUE_LINUX,
  TELEMETRY_SDK_LANGUAGE_VALUE_RUST,
} from '@opentelemetry/semantic-conventions/incubating';
import type { AttributeValue, TracedProcess } from '../spans/span.ts';
import { readContainer } from './container.ts';
import type { HostFacts } from './host.ts';
import { uuidV5 } from './instance-id.ts';
import type { Process, ProcessDetails } from './process.ts';
import { redactArguments } from './redact.ts';
import { parseResourceAttributes } from './resource-attributes.ts';

type Attributes = Record<string, AttributeValue | undefined>;

/** What is the same for every process the agent traces. */
export interface ResourceContext {
  readonly host: HostFacts;
  readonly versions: { readonly agent: string; readonly sdk: string };
  /** Of the agent's own configuration; both beat what a program's environment says. */
  readonly serviceName: string | undefined;
  readonly resourceAttributes: Readonly<Record<string, string>>;
}

/** What the executable tells; undefined where it does not. */
export interface ProgramFacts {
  readonly serviceVersion: string | undefined;
  readonly rustcVersion: string | undefined;
}

/**
 * The resource of one process (SEMCONV, "Resource"). What the user configured beats what was detected,
 * except for facts about the process and the telemetry itself.
 */
export function tracedProcess(
  process: Process,
  details: ProcessDetails,
  program: ProgramFacts,
  context: ResourceContext,
): TracedProcess {
  const own = parseResourceAttributes(details.environment.get('OTEL_RESOURCE_ATTRIBUTES') ?? '');
  const configured = { ...own, ...context.resourceAttributes };
  const attributes: Attributes = {
    ...hostAttributes(context.host),
    ...placeAttributes(details),
    [ATTR_SERVICE_INSTANCE_ID]: instanceId(process, context.host),
    [ATTR_SERVICE_VERSION]: program.serviceVersion,
    ...configured,
    [ATTR_SERVICE_NAME]: serviceName(process, details, own, context),
    ...processAttributes(process, details, program),
    ...telemetryAttributes(context),
  };
  return { pid: process.pid, resourceAttributes: withoutUndefined(attributes) };
}

function serviceName(
  process: Process,
  details: ProcessDetails,
  own: Readonly<Record<string, string>>,
  context: ResourceContext,
): string {
  return (
    context.serviceName ||
    context.resourceAttributes[ATTR_SERVICE_NAME] ||
    details.environment.get('OTEL_SERVICE_NAME') ||
    own[ATTR_SERVICE_NAME] ||
    process.executable.name
  );
}

/** The same for as long as the process lives, also after a restart of the agent. */
function instanceId(process: Process, host: HostFacts): string {
  return uuidV5([host.id ?? host.name, host.bootId ?? '', process.pid, process.startTicks].join('/'));
}

function processAttributes(process: Process, details: ProcessDetails, program: ProgramFacts): Attributes {
  return {
    [ATTR_PROCESS_PID]: process.pid,
    [ATTR_PROCESS_EXECUTABLE_NAME]: process.executable.name,
    [ATTR_PROCESS_EXECUTABLE_PATH]: process.executable.path,
    [ATTR_PROCESS_COMMAND_ARGS]: details.commandLine.length
      ? redactArguments(details.commandLine)
      : undefined,
    [ATTR_PROCESS_RUNTIME_NAME]: 'rustc',
    [ATTR_PROCESS_RUNTIME_VERSION]: program.rustcVersion,
  };
}

function telemetryAttributes({ versions }: ResourceContext): Attributes {
  return {
    [ATTR_TELEMETRY_SDK_LANGUAGE]: TELEMETRY_SDK_LANGUAGE_VALUE_RUST,
    [ATTR_TELEMETRY_SDK_NAME]: 'opentelemetry',
    [ATTR_TELEMETRY_SDK_VERSION]: versions.sdk,
    [ATTR_TELEMETRY_DISTRO_NAME]: 'otel-rust-agent',
    [ATTR_TELEMETRY_DISTRO_VERSION]: versions.agent,
  };
}

function hostAttributes(host: HostFacts): Attributes {
  return {
    [ATTR_HOST_NAME]: host.name,
    [ATTR_HOST_ID]: host.id,
    [ATTR_HOST_ARCH]: host.arch,
    [ATTR_OS_TYPE]: OS_TYPE_VALUE_LINUX,
  };
}

function placeAttributes(details: ProcessDetails): Attributes {
  const { containerId, podUid } = readContainer(details.cgroup, details.mountInfo);
  const kubernetes: Attributes = {};
  for (const [attribute, variables] of KUBERNETES_VARIABLES) {
    kubernetes[attribute] = variables.map((name) => details.environment.get(name)).find(Boolean);
  }
  return {
    ...kubernetes,
    [ATTR_CONTAINER_ID]: containerId,
    ...(podUid === undefined ? {} : { [ATTR_K8S_POD_UID]: podUid }),
  };
}

/**
 * Variables a pod's specification fills from its own fields. The first of each row is the attribute's name in
 * upper case, the second what the OpenTelemetry operator sets. HOSTNAME is no evidence: it can be anything.
 */
const KUBERNETES_VARIABLES: readonly (readonly [string, readonly string[]])[] = [
  [ATTR_K8S_POD_NAME, ['K8S_POD_NAME', 'OTEL_RESOURCE_ATTRIBUTES_POD_NAME']],
  [ATTR_K8S_POD_UID, ['K8S_POD_UID', 'OTEL_RESOURCE_ATTRIBUTES_POD_UID']],
  [ATTR_K8S_NODE_NAME, ['K8S_NODE_NAME', 'OTEL_RESOURCE_ATTRIBUTES_NODE_NAME']],
  [ATTR_K8S_NAMESPACE_NAME, ['K8S_NAMESPACE_NAME']],
  [ATTR_K8S_CONTAINER_NAME, ['K8S_CONTAINER_NAME']],
  [ATTR_K8S_DEPLOYMENT_NAME, ['K8S_DEPLOYMENT_NAME']],
];

function withoutUndefined(attributes: Attributes): Record<string, AttributeValue> {
  const known: Record<string, AttributeValue> = {};
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== '') known[key] = value;
  }
  return known;
}
