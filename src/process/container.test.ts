import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readContainer } from './container.ts';

const ID = '3f9a1c7b2d4e6f80915263748596a7b8c9d0e1f2031425364758697a8b9cadbe';
const SANDBOX = ID.replaceAll('3', '4');
const UID = '0b1f3d5a-7c9e-4b2d-8f60-123456789abc';
const UNDERSCORED = UID.replaceAll('-', '_');

const PATHS: readonly (readonly [
  what: string,
  cgroup: string,
  id: string | undefined,
  pod: string | undefined,
])[] = [
  ['docker, version 1', `12:pids:/docker/${ID}\n11:cpu,cpuacct:/docker/${ID}`, ID, undefined],
  ['docker, version 2', `0::/system.slice/docker-${ID}.scope`, ID, undefined],
  ['docker with systemd inside', `0::/docker/${ID}/init.scope`, ID, undefined],
  [
    'podman',
    `0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-${ID}.scope/container`,
    ID,
    undefined,
  ],
  ['kubernetes, cgroupfs', `4:memory:/kubepods/burstable/pod${UID}/${ID}`, ID, UID],
  [
    'kubernetes, systemd, containerd',
    `0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${UNDERSCORED}.slice/cri-containerd-${ID}.scope`,
    ID,
    UID,
  ],
  ['kubernetes, guaranteed', `0::/kubepods.slice/kubepods-pod${UNDERSCORED}.slice/crio-${ID}.scope`, ID, UID],
  [
    'containerd without systemd',
    `7:cpu:/system.slice/containerd.service/kubepods-besteffort-pod${UNDERSCORED}.slice:cri-containerd:${ID}`,
    ID,
    UID,
  ],
  ['a static pod', `0::/kubepods/pod${'ab12'.repeat(8)}/${ID}`, ID, 'ab12'.repeat(8)],
  ['kind, a container in a container', `0::/docker/${SANDBOX}/kubelet/kubepods/pod${UID}/${ID}`, ID, UID],
  ['seen from another cgroup namespace', `0::/../../pod${UID}/${ID}`, ID, undefined],
  ['ECS', `9:blkio:/ecs/task-arn/${ID}`, ID, undefined],
  [
    'ECS on Fargate',
    `1:cpu:/ecs/${'0a'.repeat(16)}/${'0a'.repeat(16)}-1234567890`,
    `${'0a'.repeat(16)}-1234567890`,
    undefined,
  ],
  ["CRI-O's monitor", `0::/system.slice/crio-conmon-${ID}.scope`, undefined, undefined],
  ['a service', '0::/system.slice/shop.service', undefined, undefined],
  ['a hexadecimal name of another length', `0::/docker/${ID}0`, undefined, undefined],
  ['not Kubernetes', `0::/custom/pod${UID}/shop`, undefined, undefined],
  ['nothing', '', undefined, undefined],
];

for (const [what, cgroup, containerId, podUid] of PATHS) {
  test(`cgroup: ${what}`, () => assert.deepEqual(readContainer(cgroup, ''), { containerId, podUid }));
}

const mount = (root: string, point: string) => `620 600 8:1 ${root} ${point} rw,relatime - ext4 /dev/sda1 rw`;

test('mountinfo tells where the cgroup path is hidden', () => {
  const docker = [mount('/', '/'), mount(`/var/lib/docker/containers/${ID}/resolv.conf`, '/etc/resolv.conf')];
  assert.equal(readContainer('0::/', docker.join('\n')).containerId, ID);
  const podman = mount(`/containers/storage/overlay-containers/${ID}/userdata/hostname`, '/etc/hostname');
  assert.equal(readContainer('0::/', podman).containerId, ID);
});

test('mountinfo: the sandbox and other mounts are no evidence', () => {
  const sandbox = mount(
    `/containerd/io.containerd.grpc.v1.cri/sandboxes/${SANDBOX}/hostname`,
    '/etc/hostname',
  );
  const data = mount(`/var/lib/docker/containers/${ID}/hostname`, '/data/hostname');
  assert.equal(readContainer('0::/', `${sandbox}\n${data}\n`).containerId, undefined);
});
