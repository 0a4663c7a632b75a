/** What the cgroup and mount texts of a process tell about where it runs. */
export interface ContainerFacts {
  readonly containerId: string | undefined;
  readonly podUid: string | undefined;
}

export function readContainer(cgroup: string, mountInfo: string): ContainerFacts {
  const paths = cgroupPaths(cgroup);
  return {
    containerId: firstOf(paths, containerIdOfPath) ?? containerIdOfMounts(mountInfo),
    podUid: firstOf(paths, podUidOfPath),
  };
}

/** `hierarchy:controllers:path`, one line a hierarchy; version 2 is line `0::path` (cgroups(7)). */
function cgroupPaths(cgroup: string): string[] {
  const paths: string[] = [];
  for (const line of cgroup.split('\n')) {
    const path = /^\d+:[^:]*:(.+)$/.exec(line)?.[1];
    if (path) paths.push(path);
  }
  return paths;
}

function firstOf<T>(items: readonly string[], find: (item: string) => T | undefined): T | undefined {
  for (const item of items) {
    const found = find(item);
    if (found !== undefined) return found;
  }
  return undefined;
}

// Docker, containerd, CRI-O and podman name a container's cgroup by its 64-digit id:
//   /docker/<id>  /kubepods/burstable/pod<uid>/<id>  /system.slice/docker-<id>.scope
//   …/cri-containerd-<id>.scope  …/crio-<id>.scope  …/libpod-<id>.scope/container
//   containerd without systemd: /system.slice/containerd.service/kubepods-…-pod<uid>.slice:cri-containerd:<id>
// and ECS on Fargate /ecs/<task>/<task>-<number>. A monitor beside the container (crio-conmon-<id>) is not in it.
// The innermost id counts, for containers within containers.
const CONTAINER_SEGMENT = /^(?:(?!.*conmon-)[A-Za-z0-9_.:-]*[-:])?([0-9a-f]{64})(?:\.scope)?$/;
const FARGATE_SEGMENT = /^([0-9a-f]{32}-\d{1,10})$/;

function containerIdOfPath(path: string): string | undefined {
  for (const segment of path.split('/').reverse()) {
    const id = (CONTAINER_SEGMENT.exec(segment) ?? FARGATE_SEGMENT.exec(segment))?.[1];
    if (id !== undefined) return id;
  }
  return undefined;
}

// A process in a cgroup namespace of its own shows `0::/`. Then the files that the runtime mounts over /etc
// tell, field 4 (root within the file system) of mountinfo:
//   /var/lib/docker/containers/<id>/hostname  …/overlay-containers/<id>/userdata/hostname
// containerd's /…/sandboxes/<id>/hostname is the id of the pod's sandbox, not of the container.
const MOUNTED_FILE = /\/(?:overlay-)?containers\/([0-9a-f]{64})\/.*(?:hostname|hosts|resolv\.conf)$/;

function containerIdOfMounts(mountInfo: string): string | undefined {
  for (const line of mountInfo.split('\n')) {
    const [, , , root = '', mountPoint = ''] = line.split(' ');
    if (!/^\/etc\/(hostname|hosts|resolv\.conf)$/.test(mountPoint)) continue;
    const id = MOUNTED_FILE.exec(root)?.[1];
    if (id !== undefined) return id;
  }
  return undefined;
}

// cgroupfs driver: /kubepods/besteffort/pod<uid>/…; systemd driver: …-pod<uid with _ for ->.slice. A static
// pod's uid is a hash of 32 digits.
const POD =
  /(?:^|[/-])pod([0-9a-f]{8}([-_])[0-9a-f]{4}\2[0-9a-f]{4}\2[0-9a-f]{4}\2[0-9a-f]{12}|[0-9a-f]{32})(?:\.slice|[/:]|$)/;

function podUidOfPath(path: string): string | undefined {
  if (!path.includes('kubepods')) return undefined;
  return POD.exec(path)?.[1]?.replaceAll('_', '-');
}
